"""The connection to one Google Cloud Storage bucket: gcsfs's session, loop and credentials, and its errors translated.

Requests are made on that session, because gcsfs's own hide the status, repeat for minutes and ask a second API for each
bucket's layout first. No redirect is followed: aiohttp would take what holds a token or an upload elsewhere.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from keystow.backends.answers import MOST, Announced, Bounded, redirect
from keystow.backends.endpoints import check_endpoint, origin
from keystow.backends.errors import (
    CredentialsError,
    MissingExtraError,
    StoreError,
    StoreUnavailableError,
    raise_alone,
)
from keystow.backends.loop import Loop
from keystow.backends.options import CustomerKey, check_way
from keystow.backends.sending.continuing import Content, begun
from keystow.backends.sending.limits import Bounds
from keystow.backends.sending.parts import Body
from keystow.backends.sending.progress import Progressing, may_have_left, progressing
from keystow.backends.sending.repeating import retry_after
from keystow.backends.texts import guard_logs, keep_secret, presentable

from . import answers
from .answers import CREDENTIALS_HINT, Answer, Asked
from .settings import CREDENTIALS, credentials_file, emulator

_CHUNK = 1 << 20
_SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
"""The one for which gcsfs asks."""
_LOGGERS = ("gcsfs", "fsspec", "google", "requests_oauthlib", "aiohttp", "urllib3")

Result = TypeVar("Result")


class Request(NamedTuple):
    """One request, for ``key`` or a prefix, with ``body`` from ``start`` on.

    ``seconds`` bound it where it has less time than a try has.
    """

    method: str
    url: str
    key: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    asked: Asked = "object"
    seconds: float | None = None
    start: int = 0


class Bucket:
    """An open session for one bucket. ``endpoint`` is ``None`` for Google's own.

    With ``given`` credentials, no others are looked for. They sign URLs; a request without TLS, as to an emulator, goes
    unsigned all the same. ``keyed`` are the headers of requests for an object, with a customer's key
    (https://cloud.google.com/storage/docs/encryption/customer-supplied-keys); ``paying`` is the project that pays.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: str | None,
        bounds: Bounds,
        given: Any = None,
        customer_key: CustomerKey | None = None,
        paying: str | None = None,
    ) -> None:
        self.name, self.bounds, self.given = name, bounds, given
        self.endpoint = emulator(os.environ) if endpoint is None else check_endpoint(endpoint)
        self.base = (self.endpoint or "https://storage.googleapis.com").rstrip("/")
        check_way(self.base, customer_key)
        self.keyed, self.paying = _keyed(customer_key), paying
        emulated = origin(self.base)[0] != "https"
        self._files = _file_system(self.endpoint, unsigned=emulated or given is not None)
        self._scoped = None if emulated or given is None else _scoped(given)
        self._renewing: asyncio.Future[None] | None = None
        self.loop = Loop(self._files.loop)
        guard_logs(*_LOGGERS)

    @property
    def credentials(self) -> Any:
        """google-auth's, given or as gcsfs found them; ``None`` for an emulator, whose requests are unsigned."""
        return self._scoped or self._files.credentials.credentials

    def object_url(self, key: str) -> str:
        """The object's resource in the JSON API."""
        return f"{self.objects_url}/{quote(key, safe='')}"

    @property
    def objects_url(self) -> str:
        """The bucket's objects in the JSON API."""
        return f"{self.base}/storage/v1/b/{quote(self.name, safe='')}/o"

    @property
    def upload_url(self) -> str:
        """Where objects are uploaded to."""
        return f"{self.base}/upload/storage/v1/b/{quote(self.name, safe='')}/o"

    def where(self, key: str) -> str:
        """The object's name for people."""
        return f"gs://{self.name}/{key}"

    def call(self, request: Request) -> Answer:
        """``answer``, waited for."""
        return self.loop.run(self.answer(request))

    def told(self, request: Request, understand: Callable[..., Result], *more: Any) -> Result:
        """``understand(answer, *more)`` of the answer to one request."""
        return self.understood(request.key, understand, self.call(request), *more)

    async def answer(self, request: Request) -> Answer:
        """The whole answer to one request. Raises for a redirect, and for a status of 400 or more."""
        answer = await self._sound(request.key, self._whole(request))
        if answer.status >= 300 and not answer.is_unfinished:
            raise self._refused(answer, request)
        return answer

    async def _whole(self, request: Request) -> Answer:
        body = Body(request.body, request.start) if request.body else None
        seconds = self.bounds.still if request.seconds is None else request.seconds
        async with progressing(seconds, body), await self._begun(request, body) as response:
            return await _read(response)

    def content(self, request: Request, understand: Callable[..., tuple[Announced, str]], *more: Any) -> Content:
        """The content of an object; ``understand(answer, *more)`` of all but the body gives what that is, and its tag.

        Raises for a redirect, and for a status of 400 or more.
        """
        response, answer = self.loop.run(self._sound(request.key, self._opened(request)))
        if answer.status >= 300:
            raise self._refused(answer, request)
        try:
            announced, tag = self.understood(request.key, understand, answer, *more)
        except BaseException:
            self.loop.soon(response.close)
            raise
        return Content(begun(self._pieces(response, announced.length, request.key)), tag, *announced)

    async def _opened(self, request: Request) -> tuple[Any, Answer]:
        """An answer whose body is still to be read, but where it refuses."""
        async with progressing(self.bounds.still):
            response = await self._begun(request, None)
            if response.status < 300:
                return response, Answer(response.status, response.headers, b"")
            async with response:
                return response, await _read(response)

    def _pieces(self, response: Any, left: int, key: str) -> Generator[bytes, None, None]:
        content = Progressing(Bounded(response.content, left), self.bounds.still)
        try:
            yield b""
            while chunk := self.loop.run(self._sound(key, content.read(_CHUNK))):
                left -= len(chunk)
                yield chunk
            if left:
                raise StoreUnavailableError(f"{self.where(key)}: the answer was cut short")
        finally:
            self.loop.soon(response.close)

    async def _begun(self, request: Request, body: Body | None) -> Any:
        """The beginning of the answer to one request; nothing is repeated, and nothing decompressed."""
        from aiohttp import ClientTimeout
        from yarl import URL

        session = await self._files._set_session()  # noqa: SLF001  gcsfs has no public way to its session
        headers = {"Accept-Encoding": "identity", "User-Agent": "keystow", **request.headers}
        if self.credentials is not None:
            if not self.credentials.valid:
                await self._renewed()
            self.credentials.apply(headers)
            keep_secret(str(self.credentials.token))
        return await session.request(
            request.method,
            URL(self._billed(request), encoded=True),
            headers=headers,
            data=body,
            timeout=ClientTimeout(total=None, sock_connect=self.bounds.connect),
            allow_redirects=False,
            auto_decompress=False,
        )

    def _billed(self, request: Request) -> str:
        """The URL, with the project that pays; a session has it from its beginning."""
        if self.paying is None or request.asked == "session":
            return request.url
        return f"{request.url}{'&' if '?' in request.url else '?'}userProject={quote(self.paying, safe='')}"

    async def _renewed(self) -> None:
        """Has one access token asked for, whoever waits; google-auth by itself would wait for two minutes and more."""
        import requests
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request as Asking

        def renew() -> None:
            with requests.Session() as session:
                try:
                    self.credentials.refresh(partial(Asking(session), timeout=self.bounds.connect))
                except GoogleAuthError:
                    raise
                except Exception as error:  # noqa: BLE001  it may be the caller's own code
                    said = f"{type(error).__name__}: {error}".rstrip(": .")
                    failed = CredentialsError(f"the credentials gave no token: {said}", hint="renew the credentials")
                    raise_alone(failed)

        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.ensure_future(asyncio.to_thread(renew))
            self._renewing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._renewing)

    async def _sound(self, key: str, work: Awaitable[Result]) -> Result:
        """What ``work`` gives, and the errors of the client as the store's.

        They are not kept, not even as context: they hold the request, and that the token.
        """
        from aiohttp import ClientError, ClientResponseError
        from google.auth.exceptions import GoogleAuthError, TransportError

        try:
            return await work
        except ClientResponseError:
            failure: StoreError = self.not_understood(key)
        except (ClientError, TimeoutError) as error:
            failure = self._unanswered(key, error)
            failure.may_have_arrived = may_have_left(error)
        except GoogleAuthError as error:
            if isinstance(error, TransportError) or error.retryable:
                failure = self._unanswered(key, error)
                failure.may_have_arrived = False
            else:
                failure = CredentialsError(f"{self.where(key)}: {error}", hint=CREDENTIALS_HINT)
        raise failure

    def _unanswered(self, key: str, error: Exception) -> StoreUnavailableError:
        said = str(error).split("?", 1)[0] or type(error).__name__
        return StoreUnavailableError(f"{self.where(key)}: {said}", hint="check the endpoint and the network")

    def understood(self, key: str, understand: Callable[..., Result], *said: Any) -> Result:
        """``understand(*said)``. Raises ``StoreUnavailableError`` where that finds what Google would not say."""
        try:
            return understand(*said)
        except (ValueError, TypeError):
            raise self.not_understood(key) from None

    def not_understood(self, key: str) -> StoreUnavailableError:
        """The error for an answer that Google would not give."""
        hint = f"check the endpoint {self.base}"
        return StoreUnavailableError(f"{self.where(key)}: the answer is not Google's", hint=hint)

    def session(self, answer: Answer, key: str) -> str:
        """The URL of the upload session that ``answer`` begins; it has to be the endpoint's own."""
        url, ours = self.understood(key, answers.session, answer, self.base)
        keep_secret(url.partition("upload_id=")[2].partition("&")[0])
        if not ours:
            raise StoreError(f"{self.where(key)}: {redirect(url, self.base)}", hint=f"check the endpoint {self.base}")
        return url

    def _refused(self, answer: Answer, request: Request) -> StoreError:
        error = answers.refused(answer, self.where(request.key), self.base, request.asked)
        error.retry_after = retry_after(answer.headers.get("Retry-After"), time.time())
        return error

    def close(self) -> None:
        """Closes the connections."""
        if self._files.session is not None:
            self.loop.end(self._files.session.close())


def _keyed(key: CustomerKey | None) -> dict[str, str]:
    if key is None:
        return {}
    return {
        "x-goog-encryption-algorithm": "AES256",
        "x-goog-encryption-key": key.text,
        "x-goog-encryption-key-sha256": key.sha256,
    }


async def _read(response: Any) -> Answer:
    return Answer(response.status, response.headers, await Bounded(response.content, MOST).read())


def _scoped(given: Any) -> Any:
    """The ``given`` credentials, for Cloud Storage where that has to be said."""
    from google.auth.credentials import with_scopes_if_required

    return with_scopes_if_required(given, [_SCOPE])


def _file_system(endpoint: str | None, *, unsigned: bool) -> Any:
    try:
        import gcsfs
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    except ImportError as error:
        raise MissingExtraError("Google Cloud Storage needs the extra gcs: pip install 'keystow[gcs]'") from error
    file = None if unsigned else credentials_file(os.environ)
    options: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    try:
        return gcsfs.GCSFileSystem(
            token="anon" if unsigned else "google_default",
            skip_instance_cache=True,
            use_listings_cache=False,
            session_kwargs={"trust_env": True},
            **options,
        )
    except DefaultCredentialsError as error:
        said = str(error.args[0]) if error.args else ""
        if file is not None:
            raise ValueError(presentable(f"{CREDENTIALS}: {file!r} cannot be used: {said}")) from None
        raise CredentialsError("no Google credentials were found", hint=CREDENTIALS_HINT) from error
    except GoogleAuthError as error:
        raise CredentialsError(str(error), hint=CREDENTIALS_HINT) from error
