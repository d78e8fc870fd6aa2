"""The connection to one bucket: s3fs's session, loop and client, and one place where its errors are translated."""

import contextlib
import functools
import os
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from keystow.backends.endpoints import is_aws
from keystow.backends.errors import InvalidKeyError, StoreError, StoreUnavailableError, raise_alone
from keystow.backends.loop import Loop
from keystow.backends.sending.parts import Body
from keystow.backends.texts import keep_secret

from .answers import NEEDED, strange
from .failures import unanswered
from .refusals import translated
from .settings import (
    DEFAULT_REGION,
    ca_file_for,
    check_addressing,
    check_bucket,
    check_keys,
    configured,
    credential_errors,
    endpoint_of,
    guard,
    no_credentials,
    region_for,
    renewal_errors,
    setting_errors,
)

_ATTEMPTS = 4


class Bucket:
    """An open client for one bucket; ``region`` is always known, ``endpoint`` is ``None`` for AWS's own.

    ``checksums`` says whether the store is asked to verify SHA-256 on arrival: AWS is, others may not know how.
    """

    def __init__(
        self,
        name: str,
        *,
        endpoint: str | None,
        region: str | None,
        profile: str | None,
        ca_file: str | None,
        addressing: str | None,
    ) -> None:
        self.name = check_bucket(name)
        check_addressing(addressing)
        from aiobotocore.session import AioSession

        from .client_http import check_answers

        guard()
        with setting_errors():
            session = configured(AioSession(profile=profile))
            self.endpoint = endpoint_of(endpoint, session)
            self.region = region_for(region, self.endpoint, session) or DEFAULT_REGION
            self.checksums = is_aws(self.endpoint)
            self._files = _file_system(session, self.endpoint, self.region, ca_file_for(ca_file, session), addressing)
            self.loop = Loop(self._files.loop)
            self._credentials = self.loop.run(session.get_credentials()) if self._files.key is None else None
            self._check_credentials()
            self._client = self._files.connect()
        check_answers(self._client, self.endpoint)

    def _check_credentials(self) -> None:
        if self._credentials is None and self._files.key is None:
            raise no_credentials()
        check_keys(self.loop.run(self._learnt()), self._credentials.method if self._credentials else "s3fs")

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

    def call(self, operation: str, key: str | None, **params: Any) -> dict[str, Any]:
        """The answer to one request on ``key``, or on the bucket itself."""
        return self.loop.run(self._request(operation, key, **params))

    def submit(self, operation: str, key: str, **params: Any) -> "Future[dict[str, Any]]":
        """One request under way, which ends when it is cancelled."""
        params["Body"] = Body(params["Body"])
        return self.loop.submit(self._request(operation, key, **params))

    def sign(self, operation: str, params: dict[str, Any], seconds: int, method: str) -> str:
        """A signed URL for one request."""
        with self.errors(operation, params["Key"]):
            self.loop.run(self._learnt())
            url: str = self.loop.run(
                self._client.generate_presigned_url(
                    operation, {"Bucket": self.name} | params, ExpiresIn=seconds, HttpMethod=method
                )
            )
        return url

    def errors(self, operation: str, key: str | None) -> "contextlib.AbstractContextManager[None]":
        """Within this, the client's errors become the store's."""
        return _errors(operation, self.name, key or "", self.endpoint)

    def strange(self, key: str | None) -> StoreUnavailableError:
        """The error for an answer that S3 would not give."""
        return strange(f"s3://{self.name}/{key or ''}", self.endpoint)

    def close(self) -> None:
        """Closes the connections."""
        self.loop.run(self._client.close())

    async def _request(self, operation: str, key: str | None, **params: Any) -> dict[str, Any]:
        target = {"Bucket": self.name} if key is None else {"Bucket": self.name, "Key": key}
        with self.errors(operation, key):
            await self._learnt()
            try:
                answer: dict[str, Any] = await getattr(self._client, operation)(**target, **params)
            except UnicodeEncodeError:
                raise
            except _not_understood():
                raise_alone(self.strange(key))
        if operation in NEEDED and not answer.get(NEEDED[operation]):
            if "Body" in answer:
                answer["Body"].close()
            raise self.strange(key)
        return answer


@functools.cache
def _not_understood() -> tuple[type[Exception], ...]:
    """What botocore's parsers raise for answers of strangers."""
    from botocore.parsers import ResponseParserError

    return ResponseParserError, ValueError, LookupError, TypeError, AttributeError, RecursionError


def _file_system(session: Any, endpoint: str | None, region: str, ca_file: str | None, addressing: str | None) -> Any:
    from s3fs import S3FileSystem

    from .client_http import careful_session

    options: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    client: dict[str, Any] = {"region_name": region} | ({"verify": ca_file} if ca_file else {})
    config = {
        "signature_version": "s3v4",
        "s3": {"addressing_style": addressing or ("auto" if is_aws(endpoint) else "path")},
        "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        "connect_timeout": 10,
        "read_timeout": 60,
        "max_pool_connections": 32,
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
        **options,
    )


@contextlib.contextmanager
def _errors(operation: str, bucket: str, key: str, endpoint: str | None) -> Iterator[None]:
    """The client's own errors hold requests, and in them credentials: they are not kept as the cause."""
    from aiohttp import ClientError as HTTPClientError
    from botocore import exceptions as botocore

    where = f"s3://{bucket}/{key}"
    try:
        with credential_errors():
            yield
    except botocore.ClientError as error:
        raise_alone(translated(error.response, operation, bucket, key))
    except (
        botocore.ConnectionError,
        botocore.HTTPClientError,
        botocore.IncompleteReadError,
        HTTPClientError,
        TimeoutError,
    ) as error:
        raise_alone(unanswered(where, endpoint, *_reasons(error)))
    except UnicodeEncodeError:
        raise_alone(InvalidKeyError(f"the key {key!r} holds half a character"))
    except botocore.BotoCoreError as error:
        raise_alone(StoreError(f"{where}: {str(error).rstrip('.')}"))


def _reasons(error: BaseException) -> tuple[str, str]:
    """All that the error says, with what the one in it does; and what of that is fit to be told."""
    inner = getattr(error, "kwargs", {}).get("error")
    number = getattr(getattr(inner, "os_error", None), "errno", None)
    reason = os.strerror(number) if isinstance(number, int) and number > 0 else ""
    return f"{error} {inner}", ": ".join(filter(None, (str(error).rstrip("."), reason)))
