"""The connection to one Google Cloud Storage bucket: gcsfs's session, loop and credentials, and its errors translated.

Requests are made on that session, because gcsfs's own hide the status, repeat for minutes and ask a second API for each
bucket's layout first. No redirect is followed: aiohttp would take what holds a token or an upload elsewhere.
"""

import asyncio
import contextlib
import io
import json
import os
from collections.abc import Awaitable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from keystow.backends.answers import MOST, Bounded, redirect
from keystow.backends.endpoints import check_endpoint, is_provider, origin
from keystow.backends.errors import (
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
from keystow.backends.loop import Loop
from keystow.backends.texts import guard_logs, keep_secret, presentable

from .settings import CREDENTIALS, credentials_file, emulator

_CREDENTIALS = f"run gcloud auth application-default login, or set {CREDENTIALS}"
_ERRORS: dict[int, tuple[type[StoreError], str]] = {
    401: (CredentialsError, _CREDENTIALS),
    403: (AccessDeniedError, "grant the permission that it names, or use other credentials"),
    404: (NotFoundError, ""),
    408: (StoreUnavailableError, "try again later"),
    409: (ConflictError, "publish again"),
    412: (AlreadyExistsError, ""),
    429: (StoreUnavailableError, "try again later"),
}
_MOST_SAID = 1 << 16
_LOGGERS = ("gcsfs", "fsspec", "google", "requests_oauthlib", "aiohttp", "urllib3")

Result = TypeVar("Result")


class Answer(NamedTuple):
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_unfinished(self) -> bool:
        """Whether an upload session awaits more, which is no redirect ("308 Resume Incomplete")."""
        return self.status == 308 and "Location" not in self.headers


class Bucket:
    """An open session for one bucket. ``endpoint`` is ``None`` for Google's own."""

    def __init__(self, name: str, *, endpoint: str | None) -> None:
        self.name = name
        self.endpoint = emulator(os.environ) if endpoint is None else check_endpoint(endpoint)
        self.base = (self.endpoint or "https://storage.googleapis.com").rstrip("/")
        self._files = _file_system(self.endpoint, emulated=self.emulated)
        self.loop = Loop(self._files.loop)
        guard_logs(*_LOGGERS)

    @property
    def credentials(self) -> Any:
        """google-auth's credentials, as gcsfs found them."""
        return self._files.credentials.credentials

    @property
    def emulated(self) -> bool:
        """Whether requests go unsigned to an emulator."""
        return origin(self.base)[0] != "https"

    def token(self) -> str:
        """An access token of this moment."""
        headers: Mapping[str, str] = self._signed({})
        return next(value for name, value in headers.items() if name.lower() == "authorization").partition(" ")[2]

    def _signed(self, headers: Mapping[str, str]) -> dict[str, str]:
        """``headers`` with the credentials of this moment, which from now on no text shows."""
        signed: dict[str, str] = self._files._get_headers(dict(headers))  # noqa: SLF001  as in ``response``
        token = next((value for name, value in signed.items() if name.lower() == "authorization"), "")
        keep_secret(token.partition(" ")[2])
        return signed

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
    async def response(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Any:
        """The answer to one request, its body not read yet; nothing is repeated, and nothing decompressed."""
        from aiohttp import ClientTimeout
        from yarl import URL

        timeout = ClientTimeout(total=None, sock_connect=10, sock_read=60)
        session = await self._files._set_session()  # noqa: SLF001  gcsfs has no public way to its session
        signed = await asyncio.to_thread(self._signed, {"Accept-Encoding": "identity", **headers})
        async with session.request(
            method,
            URL(url, encoded=True),
            headers=signed,
            data=io.BytesIO(body) if body else None,
            timeout=timeout,
            allow_redirects=False,
            auto_decompress=False,
        ) as answer:
            yield answer

    async def request(
        self, method: str, url: str, *, key: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """The whole answer to one request. Raises for a redirect, and for a status of 400 or more."""
        answer = await self.sound(key, self._answer(method, url, headers or {}, body))
        if answer.status >= 300 and not answer.is_unfinished:
            raise self.refused(answer, key, uploading=url.startswith(self.upload_url))
        return answer

    async def _answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        async with self.response(method, url, headers=headers, body=body) as response:
            return Answer(response.status, response.headers, await Bounded(response.content, MOST).read())

    def call(
        self, method: str, url: str, *, key: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """``request``, waited for."""
        return self.loop.run(self.request(method, url, key=key, headers=headers, body=body))

    async def sound(self, key: str, work: Awaitable[Result]) -> Result:
        """What ``work`` gives, and the errors of the client as the store's.

        They are not kept, not even as context: they hold the request, and that the token.
        """
        from aiohttp import ClientError, ClientResponseError
        from gcsfs.retry import HttpError, NonRetryableError
        from google.auth.exceptions import GoogleAuthError, TransportError

        try:
            return await work
        except ClientResponseError:
            failure: StoreError = self.not_understood(key)
        except (ClientError, TimeoutError, TransportError) as error:
            said = str(error).split("?", 1)[0] or type(error).__name__
            hint = "check the endpoint and the network"
            failure = StoreUnavailableError(f"{self.where(key)}: {said}", hint=hint)
        except (GoogleAuthError, HttpError, NonRetryableError) as error:
            failure = CredentialsError(f"{self.where(key)}: {error}", hint=_CREDENTIALS)
        raise failure

    def resource(self, answer: Answer, key: str) -> dict[str, Any]:
        """The JSON that describes what was asked for. Raises ``StoreUnavailableError`` if it is something else."""
        try:
            loaded = json.loads(answer.body)
        except (ValueError, RecursionError):
            loaded = None
        if answer.status >= 300 or not isinstance(loaded, dict):
            raise self.not_understood(key)
        return loaded

    def session(self, answer: Answer, key: str) -> str:
        """The URL of the upload session that ``answer`` begins; it has to be the endpoint's own."""
        url = answer.headers.get("Location", "")
        try:
            ours = origin(url) == origin(self.base) or (is_provider("gs", self.base) and is_provider("gs", url))
        except ValueError:
            ours = False
        if not url:
            raise self.not_understood(key)
        keep_secret(url.partition("upload_id=")[2].partition("&")[0])
        if not ours:
            raise StoreError(f"{self.where(key)}: {redirect(url, self.base)}", hint=f"check the endpoint {self.base}")
        return url

    def not_understood(self, key: str) -> StoreUnavailableError:
        """The error for an answer that Google would not give."""
        hint = f"check the endpoint {self.base}"
        return StoreUnavailableError(f"{self.where(key)}: the answer is not Google's", hint=hint)

    def refused(self, answer: Answer, key: str, *, uploading: bool = False) -> StoreError:
        """The error for an answer that refused, or leads elsewhere."""
        kind, hint = _ERRORS.get(answer.status, (StoreError, ""))
        if answer.status >= 500:
            kind, hint = StoreUnavailableError, "try again later"
        if answer.status == 404 and uploading:
            kind, hint = BucketNotFoundError, "create the bucket, or correct its name"
        said = "already exists" if kind is AlreadyExistsError else f"{answer.status}: {_message(answer.body)}"
        if answer.status < 400:
            said = f"{answer.status}: {redirect(answer.headers.get('Location', ''), self.base)}"
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


def _file_system(endpoint: str | None, *, emulated: bool) -> Any:
    try:
        import gcsfs
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    except ImportError as error:
        raise MissingExtraError("Google Cloud Storage needs the extra gcs: pip install 'keystow[gcs]'") from error
    file = None if emulated else credentials_file(os.environ)
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
        said = str(error.args[0]) if error.args else ""
        if file is not None:
            raise ValueError(presentable(f"{CREDENTIALS}: {file!r} cannot be used: {said}")) from None
        raise CredentialsError("no Google credentials were found", hint=_CREDENTIALS) from error
    except GoogleAuthError as error:
        raise CredentialsError(str(error), hint=_CREDENTIALS) from error


def _message(body: bytes) -> str:
    """What Google says of a refusal, as JSON or as a line of text; a page of somebody else's says nothing."""
    text = body[:_MOST_SAID].decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return text[:200] if text and "<" not in text else "no reason was given"
