"""The carrier by fsspec's client: s3fs brings the session, the loop and the client, and requests are made on that.

Strategy: s3fs's own writers look before they write, publish what an exception cut short, and throw away the version.
botocore's retries are off, and its parsers see no body of an answer: ``client_http`` hands the answer on as it came.
"""

import contextlib
import functools
import math
import os
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from typing import Any

from keystow.backends.endpoints import is_aws
from keystow.backends.errors import StoreError, raise_alone
from keystow.backends.loop import Loop
from keystow.backends.sending.budget import MOST
from keystow.backends.sending.continuing import begun
from keystow.backends.sending.lines import LEAST, Line
from keystow.backends.sending.parts import Body
from keystow.backends.texts import keep_secret

from .answers import strange
from .client_http import ANSWER, careful_session, hand_on
from .failures import unanswered
from .place import Options
from .provided import Provided, end_of
from .requests import Answer, Request
from .settings import (
    DEFAULT_REGION,
    ca_file_for,
    check_keys,
    configured,
    credential_errors,
    endpoint_of,
    no_credentials,
    region_for,
    renewal_errors,
    setting_errors,
)

_PIECE = 1 << 20


class Client:
    """An open client for one bucket; ``region`` is always known, ``endpoint`` is ``None`` for AWS's own."""

    def __init__(self, bucket: str, options: Options) -> None:
        from aiobotocore.session import AioSession

        self._bucket = bucket
        with setting_errors():
            session = configured(AioSession(profile=options.profile))
            self._given = options.credentials
            if self._given is not None:
                session.register_component("credential_provider", _Given(self._given))
            self.endpoint = endpoint_of(options.endpoint, session)
            self.region = region_for(options.region, self.endpoint, session) or DEFAULT_REGION
            trusted = ca_file_for(options.ca_file, session)
            self._files = _file_system(session, self.endpoint, self.region, trusted, options)
            self._loop = Loop(self._files.loop)
            self._credentials = self._loop.run(session.get_credentials()) if self._files.key is None else None
            self._check_credentials()
            self._client = self._files.connect()
        self._client.meta.events.register("before-sign.s3", _say_in_url_who_pays)
        hand_on(self._client)

    def _check_credentials(self) -> None:
        if self._credentials is None and self._files.key is None:
            raise no_credentials()
        check_keys(self._loop.run(self._learnt()), self._credentials.method if self._credentials else "s3fs")

    def _renew(self) -> None:
        """Has given credentials renewed where it is time: in this thread, as the loop is not to wait for a provider."""
        if self._given is not None:
            self._given()

    async def _learnt(self) -> dict[str, str | None]:
        """The credentials of this moment, which the client renews by itself; they are masked from now on."""
        found = self._files
        keys = {"access_key_id": found.key, "secret_access_key": found.secret, "token": found.token}
        if self._credentials is not None:
            with renewal_errors():
                frozen = await self._credentials.get_frozen_credentials()
            keys = {"access_key_id": frozen.access_key, "secret_access_key": frozen.secret_key, "token": frozen.token}
        keep_secret(keys["secret_access_key"], keys["token"])
        return keys

    def send(self, request: Request, line: Line) -> Answer:
        """The answer to one try. Raises ``StoreUnavailableError`` if there is none that makes sense."""
        self._renew()
        parsed = self._awaited(self._asked(request, line), request, line)
        answer: Answer = parsed[ANSWER]
        if request.operation != "get_object" or answer.status >= 300:
            line.rests()
            return answer
        return answer._replace(content=begun(self._content(parsed["Body"], request, line)))

    def sign(self, operation: str, params: dict[str, Any], seconds: int, method: str) -> str:
        """A signed URL for one request, which lasts no longer than the credentials do."""
        named = {"Bucket": self._bucket} | params
        self._renew()
        with self._errors(params["Key"]):
            self._loop.run(self._learnt())
            lasts = min(seconds, self._seconds_left())
            url: str = self._loop.run(
                self._client.generate_presigned_url(operation, named, ExpiresIn=lasts, HttpMethod=method)
            )
        return url

    def _seconds_left(self) -> float:
        """Whole seconds until the credentials end, as far as that is known."""
        end = end_of(self._credentials) if self._given is None else self._given.end
        return math.inf if end is None else max(1, int((end - datetime.now(UTC)).total_seconds()))

    def ready(self, count: int) -> None:
        """Does nothing: it opens its connections itself."""

    def close(self) -> None:
        """Closes the connections."""
        self._loop.end(self._client.close())

    async def _asked(self, request: Request, line: Line) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        params = {"Bucket": self._bucket, **request.params}
        if request.key:
            params["Key"] = request.key
        if request.operation in {"put_object", "upload_part"}:
            params["Body"] = _Watched(request.body, line)
        await self._learnt()
        try:
            answer: dict[str, Any] = await getattr(self._client, request.operation)(**params)
        except ClientError as error:
            if ANSWER not in error.response:
                raise
            answer = error.response
        except _not_understood():
            raise_alone(strange(f"s3://{self._bucket}/{request.key}", self.endpoint))
        return answer

    def _awaited(self, work: Any, request: Request, line: Line) -> Any:
        """What ``work`` gives on the loop, unless the line is cut."""
        try:
            with self._errors(request.key):
                try:
                    return self._loop.run(work, line.ends)
                except CancelledError:
                    line.check()
                    raise
        except BaseException:
            line.rests()
            raise

    def _content(self, body: Any, request: Request, line: Line) -> Generator[bytes, None, None]:
        try:
            yield b""
            while piece := self._awaited(_piece(body, line), request, line):
                yield piece
        finally:
            line.rests()
            self._loop.soon(body.close)

    @contextlib.contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Within this, the client's errors become the store's.

        They hold requests, and in them credentials: they are not kept as the cause.
        """
        from aiohttp import ClientError as HTTPClientError
        from botocore import exceptions as botocore

        where = f"s3://{self._bucket}/{key}"
        try:
            with credential_errors():
                yield
        except StoreError:
            raise
        except (
            botocore.ConnectionError,
            botocore.HTTPClientError,
            botocore.IncompleteReadError,
            HTTPClientError,
            TimeoutError,
        ) as error:
            raise_alone(unanswered(where, self.endpoint, *_reasons(error), arrived=_arrived(error)))
        except (botocore.BotoCoreError, botocore.ClientError) as error:
            raise_alone(StoreError(f"{where}: {str(error).rstrip('.')}"))


def _say_in_url_who_pays(request: Any, **_: object) -> None:
    """A URL that is handed on has no header (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html)."""
    if request.context.get("is_presign_request") and (payer := request.headers.get("x-amz-request-payer")):
        del request.headers["x-amz-request-payer"]
        request.params = {**(request.params or {}), "x-amz-request-payer": payer}


class _Given:
    """What an ``AioSession`` has its credentials from, and all that it may have."""

    def __init__(self, provided: Provided) -> None:
        self._provided = provided

    async def load_credentials(self) -> Any:
        """The credentials, which are those of the moment whenever something is signed."""
        from aiobotocore.credentials import AioCredentials, ReadOnlyCredentials

        provided = self._provided

        class Latest(AioCredentials):  # type: ignore[misc]
            async def get_frozen_credentials(self) -> Any:
                keys = provided.latest
                return ReadOnlyCredentials(keys["access_key_id"], keys["secret_access_key"], keys["token"])

        keys = provided.latest
        return Latest(keys["access_key_id"], keys["secret_access_key"], keys["token"], method="given")


class _Watched(Body):
    """What is sent; when more of it is taken, that is progress."""

    def __init__(self, content: bytes, line: Line) -> None:
        super().__init__(content)
        self._line = line

    def read(self, size: int | None = -1, /) -> bytes:
        self._line.moved()
        return super().read(size)


async def _piece(body: Any, line: Line) -> bytes:
    """The next piece of an object."""
    pieces = []
    left, before = _PIECE, _PIECE
    while left and (piece := await body.read(left)):
        pieces.append(piece)
        left -= len(piece)
        if before - left >= LEAST:
            before = left
            line.moved()
    return b"".join(pieces)


@functools.cache
def _not_understood() -> tuple[type[Exception], ...]:
    """What botocore's parsers raise for answers of strangers."""
    from botocore.parsers import ResponseParserError

    return ResponseParserError, ValueError, LookupError, TypeError, AttributeError, RecursionError


def _arrived(error: Exception) -> bool:
    """Whether the request may have come to somebody. What botocore says of connecting, it says of resets too."""
    from aiohttp import ClientConnectorError
    from botocore import exceptions as botocore

    never = (botocore.ConnectTimeoutError, botocore.SSLError, botocore.ProxyConnectionError)
    return not isinstance(error, never) and not isinstance(_inner(error), ClientConnectorError)


def _reasons(error: Exception) -> tuple[str, str]:
    """All that the error says, with what the one in it does; and what of that is fit to be told."""
    from botocore.exceptions import EndpointConnectionError

    inner = _inner(error)
    found = getattr(inner, "os_error", inner)
    number = getattr(found, "errno", None)
    reason = os.strerror(number) if isinstance(number, int) and number > 0 else ""
    said = str(error).rstrip(".")
    if isinstance(error, EndpointConnectionError) and _arrived(error):
        said = "the connection was lost"
    return f"{error} {inner}", ": ".join(filter(None, (said, reason)))


def _inner(error: Exception) -> Any:
    return getattr(error, "kwargs", {}).get("error")


def _addressing(endpoint: str | None) -> str:
    """What botocore is told where nothing is asked for.

    With "auto" and no endpoint, URLs are signed for the global host, which leads on to a new bucket's region, and fail
    there.
    """
    if endpoint is None:
        return "virtual"
    return "auto" if is_aws(endpoint) else "path"


def _file_system(session: Any, endpoint: str | None, region: str, ca_file: str | None, options: Options) -> Any:
    from s3fs import S3FileSystem

    given: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    if options.credentials is not None or options.profile is not None:
        given |= {"key": None, "secret": None, "token": None, "anon": False}  # whatever fsspec's configuration says
    client: dict[str, Any] = {"region_name": region} | ({"verify": ca_file} if ca_file else {})
    config = {
        "signature_version": "s3v4",
        "s3": {"addressing_style": options.addressing or _addressing(endpoint)},
        "retries": {"mode": "standard", "total_max_attempts": 1},
        "connect_timeout": options.connect,
        "read_timeout": 60,
        "max_pool_connections": MOST,
        "http_session_cls": careful_session(),
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    return S3FileSystem(
        session=session,
        client_kwargs=client,
        config_kwargs=config,
        skip_instance_cache=True,
        use_listings_cache=False,
        **given,
    )
