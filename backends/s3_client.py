"""The connection to one bucket: s3fs's session, loop and client, and one place where its errors are translated."""

import contextlib
import functools
import re
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from .aws import is_aws, translated
from .errors import InvalidKeyError, MissingExtraError, StoreError, StoreUnavailableError
from .loop import Loop
from .parts import Body
from .s3_settings import DEFAULT_REGION, configured, credential_errors, endpoint_of, no_credentials, region_for

_ATTEMPTS = 4
_QUERY = re.compile(r"\?[^\s\"']*")


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
        self.name = name
        _require_extra()
        from aiobotocore.session import AioSession

        with _errors("open", name, ""):
            session = configured(AioSession(profile=profile))
            self.endpoint = endpoint or endpoint_of(session)
            self.region = region_for(region, self.endpoint, session) or DEFAULT_REGION
            self.checksums = is_aws(self.endpoint)
            self._files = _file_system(session, self.endpoint, self.region, ca_file, addressing)
            self.loop = Loop(self._files.loop)
            self._check_credentials(session)
            self._client = self._files.connect()

    def _check_credentials(self, session: Any) -> None:
        if self._files.key is None and self.loop.run(session.get_credentials()) is None:
            raise no_credentials()

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
            url: str = self.loop.run(
                self._client.generate_presigned_url(
                    operation, {"Bucket": self.name} | params, ExpiresIn=seconds, HttpMethod=method
                )
            )
        return url

    def errors(self, operation: str, key: str | None) -> "contextlib.AbstractContextManager[None]":
        """Within this, the client's errors become the store's."""
        return _errors(operation, self.name, key or "")

    def close(self) -> None:
        """Closes the connections."""
        self.loop.run(self._client.close())

    async def _request(self, operation: str, key: str | None, **params: Any) -> dict[str, Any]:
        target = {"Bucket": self.name} if key is None else {"Bucket": self.name, "Key": key}
        with self.errors(operation, key):
            answer: dict[str, Any] = await getattr(self._client, operation)(**target, **params)
        return answer


def _require_extra() -> None:
    try:
        import s3fs  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("S3 needs the extra s3: pip install 'keystow[s3]'") from error


@functools.cache
def _http_session() -> Any:
    from aiobotocore.httpsession import AIOHTTPSession

    class Once(AIOHTTPSession):  # type: ignore[misc]
        """Sends each request once: aiohttp repeats a PUT on its own, and a lost answer would go unnoticed."""

        async def _get_session(self, proxy_url: str | None) -> Any:
            session = await super()._get_session(proxy_url)
            session._retry_connection = False  # noqa: SLF001
            return session

    return Once


def _file_system(session: Any, endpoint: str | None, region: str, ca_file: str | None, addressing: str | None) -> Any:
    from s3fs import S3FileSystem

    options: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    client: dict[str, Any] = {"region_name": region} | ({"verify": ca_file} if ca_file else {})
    config = {
        "signature_version": "s3v4",
        "s3": {"addressing_style": addressing or ("auto" if is_aws(endpoint) else "path")},
        "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        "connect_timeout": 10,
        "read_timeout": 60,
        "max_pool_connections": 32,
        "http_session_cls": _http_session(),
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
def _errors(operation: str, bucket: str, key: str) -> Iterator[None]:
    from aiohttp import ClientError as HTTPClientError
    from botocore import exceptions as botocore

    where = f"s3://{bucket}/{key}"
    try:
        with credential_errors():
            yield
    except botocore.ClientError as error:
        raise translated(error.response, operation, bucket, key) from error
    except (
        botocore.ConnectionError,
        botocore.HTTPClientError,
        botocore.IncompleteReadError,
        HTTPClientError,
        TimeoutError,
    ) as error:
        raise StoreUnavailableError(
            f"{where}: {_without_query(error)}", hint="check the endpoint and the network"
        ) from error
    except UnicodeEncodeError as error:
        raise InvalidKeyError(f"the key {key!r} holds half a character") from error
    except botocore.BotoCoreError as error:
        raise StoreError(f"{where}: {_without_query(error)}") from error


def _without_query(error: Exception) -> str:
    """What the error says, without the queries of URLs in it: a signature may be part of one."""
    return _QUERY.sub("", str(error)).rstrip(".")
