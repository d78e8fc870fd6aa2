"""The connection to one Google Cloud Storage bucket: gcsfs's session, loop and credentials, and its errors translated.

Requests are made on that session, because gcsfs's own hide the status, repeat for minutes and ask a second API for each
bucket's layout first.
"""

import asyncio
import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from .errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    MissingExtraError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from .loop import Loop

_CREDENTIALS = "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"
_ERRORS: dict[int, tuple[type[StoreError], str]] = {
    401: (CredentialsError, _CREDENTIALS),
    403: (AccessDeniedError, "grant the permission that it names, or use other credentials"),
    404: (NotFoundError, ""),
    408: (StoreUnavailableError, "try again later"),
    409: (ConflictError, "publish again"),
    412: (AlreadyExistsError, ""),
    429: (StoreUnavailableError, "try again later"),
}


class Answer(NamedTuple):
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def resource(self) -> dict[str, Any]:
        """The JSON in the body."""
        loaded: dict[str, Any] = json.loads(self.body) if self.body else {}
        return loaded


class Bucket:
    """An open session for one bucket. ``endpoint`` is ``None`` for Google's own."""

    def __init__(self, name: str, *, endpoint: str | None) -> None:
        self.name = name
        self.endpoint = endpoint or _emulator()
        self._files = _file_system(self.endpoint)
        self.base = self.endpoint or "https://storage.googleapis.com"
        self.loop = Loop(self._files.loop)

    @property
    def credentials(self) -> Any:
        """google-auth's credentials, as gcsfs found them."""
        return self._files.credentials.credentials

    @property
    def emulated(self) -> bool:
        """Whether requests go unsigned to an emulator."""
        return self.endpoint is not None and not self.endpoint.startswith("https://")

    def token(self) -> str:
        """An access token of this moment."""
        headers: dict[str, str] = self._files._get_headers(None)  # noqa: SLF001  as in ``response``
        return headers["Authorization"].removeprefix("Bearer ")

    def object_url(self, key: str) -> str:
        """The object's resource in the JSON API."""
        return f"{self.base}/storage/v1/b/{quote(self.name, safe='')}/o/{quote(key, safe='')}"

    @property
    def objects_url(self) -> str:
        """The bucket's objects in the JSON API."""
        return f"{self.base}/storage/v1/b/{quote(self.name, safe='')}/o"

    @property
    def upload_url(self) -> str:
        """Where objects are uploaded to."""
        return f"{self.base}/upload/storage/v1/b/{quote(self.name, safe='')}/o"

    @contextlib.asynccontextmanager
    async def response(self, method: str, url: str, *, key: str, headers: Mapping[str, str], body: bytes = b"") -> Any:
        """The answer to one request, its body not read yet; nothing is repeated."""
        from aiohttp import ClientTimeout
        from yarl import URL

        timeout = ClientTimeout(total=None, sock_connect=10, sock_read=60)
        with _errors(self.where(key)):
            session = await self._files._set_session()  # noqa: SLF001  gcsfs has no public way to its session
            signed = await asyncio.to_thread(self._files._get_headers, dict(headers))  # noqa: SLF001  as above
            content = io.BytesIO(body) if body else None
            async with session.request(
                method, URL(url, encoded=True), headers=signed, data=content, timeout=timeout
            ) as answer:
                yield answer

    async def request(
        self, method: str, url: str, *, key: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """The whole answer to one request. Raises for a status of 400 or more."""
        async with self.response(method, url, key=key, headers=headers or {}, body=body) as response:
            answer = Answer(response.status, response.headers, await response.read())
        if answer.status >= 400:
            raise self.refused(answer, key, uploading=url.startswith(self.upload_url))
        return answer

    def call(
        self, method: str, url: str, *, key: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """``request``, waited for."""
        return self.loop.run(self.request(method, url, key=key, headers=headers, body=body))

    def refused(self, answer: Answer, key: str, *, uploading: bool = False) -> StoreError:
        """The error for an answer that refused."""
        kind, hint = _ERRORS.get(answer.status, (StoreError, ""))
        if answer.status >= 500:
            kind, hint = StoreUnavailableError, "try again later"
        if answer.status == 404 and uploading:
            kind, hint = BucketNotFoundError, "create the bucket, or correct its name"
        said = "already exists" if kind is AlreadyExistsError else f"{answer.status}: {_message(answer.body)}"
        return kind(
            f"{self.where(key)}: {said}",
            code=str(answer.status),
            request_id=answer.headers.get("x-guploader-uploadid", ""),
            hint=hint,
        )

    def where(self, key: str) -> str:
        """The object's name for people."""
        return f"gs://{self.name}/{key}"

    def close(self) -> None:
        """Closes the connections."""
        if self._files.session is not None:
            self.loop.run(self._files.session.close())


def _emulator() -> str | None:
    host = os.environ.get("STORAGE_EMULATOR_HOST")
    if not host or host == "default":
        return None
    return host if "://" in host else f"http://{host}"


def _file_system(endpoint: str | None) -> Any:
    try:
        import gcsfs
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    except ImportError as error:
        raise MissingExtraError("Google Cloud Storage needs the extra gcs: pip install 'keystow[gcs]'") from error
    emulated = endpoint is not None and not endpoint.startswith("https://")
    options: dict[str, Any] = {"endpoint_url": endpoint} if endpoint else {}
    try:
        return gcsfs.GCSFileSystem(
            token="anon" if emulated else "google_default",
            skip_instance_cache=True,
            use_listings_cache=False,
            session_kwargs={"trust_env": True},
            **options,
        )
    except DefaultCredentialsError as error:
        raise CredentialsError("no Google credentials were found", hint=_CREDENTIALS) from error
    except GoogleAuthError as error:
        raise CredentialsError(str(error), hint=_CREDENTIALS) from error


def _message(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    try:
        said = str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = text[:200]
    return said or "no reason was given"


@contextlib.contextmanager
def _errors(where: str) -> Iterator[None]:
    from aiohttp import ClientError
    from gcsfs.retry import HttpError
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        yield
    except (ClientError, TimeoutError, TransportError) as error:
        said = str(error).split("?", 1)[0] or type(error).__name__
        raise StoreUnavailableError(f"{where}: {said}", hint="check the endpoint and the network") from error
    except (GoogleAuthError, HttpError) as error:
        raise CredentialsError(f"{where}: {error}", hint=_CREDENTIALS) from error
