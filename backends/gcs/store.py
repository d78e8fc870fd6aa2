"""Objects in Google Cloud Storage, over its JSON API (https://cloud.google.com/storage/docs/json_api)."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from keystow.backends.answers import Pages
from keystow.backends.arguments import is_empty, range_header, signature_seconds
from keystow.backends.contract import Capabilities, Stat, Written
from keystow.backends.errors import (
    ConflictError,
    CredentialsError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    UnsupportedError,
)
from keystow.backends.sending.continuing import Content, continued
from keystow.backends.sending.digest import Digest
from keystow.backends.sending.limits import bounds
from keystow.backends.sending.parts import alone, parts
from keystow.backends.sending.repeating import retried
from keystow.backends.texts import guard_logs

from . import answers
from .client import Bucket, Request
from .settings import CREDENTIALS
from .upload import Upload

_PAGE = 1000

Answer = TypeVar("Answer")


class GCSStore:
    """One bucket. Versions are generations (https://cloud.google.com/storage/docs/object-versioning)."""

    capabilities = Capabilities(versions=True, presign=True, metadata=True)

    def __init__(self, bucket: str, *, endpoint: str | None = None, timeout: float | None = None) -> None:
        self._bucket = Bucket(bucket, endpoint=endpoint, bounds=bounds(timeout))

    @property
    def endpoint(self) -> str | None:
        """The endpoint's URL; ``None`` for Google's own."""
        return self._bucket.endpoint

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Written:
        _check(key)
        digest = Digest(chunks)
        only, pieces = alone(parts(digest))
        upload = Upload(self._bucket, key, if_absent, content_type, metadata or {})
        resource = upload.resumable(pieces) if only is None else upload.single(only)
        return Written(
            digest.size,
            digest.hexdigest(),
            etag=resource.get("etag"),
            version_id=resource.get("generation"),
            confirmed=resource.get("confirmed", "checksum"),
        )

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        _check(key)
        if is_empty(start, stop):
            self.stat(key, version_id=version_id)
            return
        content = partial(self._content, key, version_id, stop)
        yield from continued(content, start, patience=self._bucket.bounds.patience)

    def _content(self, key: str, version_id: str | None, stop: int | None, start: int, tag: str | None) -> Content:
        """The object's bytes from ``start`` on, as they are stored, which may be compressed.

        What goes on is of the generation ``tag``, and that only.
        """
        generation = tag or version_id
        headers = {"Accept-Encoding": "gzip"}
        if (ranged := range_header(start, stop)) is not None:
            headers["Range"] = ranged
        request = self._about(key, generation, alt="media")._replace(headers=headers)
        try:
            return self._bucket.content(request, answers.content, start, stop, generation)
        except NotFoundError:
            if tag is None:
                raise
            raise ConflictError(f"{self._bucket.where(key)}: it was replaced while it was read") from None
        except StoreError as error:
            if error.code != "416" or ranged is None or tag is not None:
                raise
            return Content((_ for _ in ()), None)

    def _about(self, key: str, generation: str | None, **query: str) -> Request:
        """A GET of an object's resource."""
        if generation is not None:
            query["generation"] = generation
        url = f"{self._bucket.object_url(key)}?{urlencode(query)}" if query else self._bucket.object_url(key)
        return Request("GET", url, key, asked="object" if generation is None else "version")

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        _check(key)
        return self._asked(self._about(key, version_id), answers.described, key)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        query: dict[str, str | int] = {
            "prefix": prefix,
            "maxResults": _PAGE,
            "fields": "kind,items(name,size,etag,generation,updated),nextPageToken",
        }
        pages = Pages()
        while True:
            request = Request("GET", f"{self._bucket.objects_url}?{urlencode(query)}", prefix)
            found, token = self._asked(request, answers.page)
            yield from found
            if not token:
                return
            query["pageToken"] = self._bucket.understood(prefix, partial(pages.after, objects=len(found)), token)

    def delete(self, key: str) -> None:
        _check(key)
        request = Request("DELETE", self._bucket.object_url(key), key)
        try:
            self._asked(request, answers.deleted)
        except NotFoundError:
            return

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        _check(key)
        seconds = signature_seconds(expires, method, version_id)
        from google.cloud import storage

        guard_logs("google")
        credentials = self._signer()
        client = storage.Client(project="keystow", credentials=credentials)
        try:
            url: str = (
                client.bucket(self._bucket.name)
                .blob(key)
                .generate_signed_url(
                    version="v4",
                    method=method,
                    generation=version_id,
                    expiration=timedelta(seconds=seconds),
                    api_access_endpoint=self._bucket.base,
                )
            )
        finally:
            client.close()
        return url

    def _signer(self) -> Any:
        from google.auth.credentials import Signing
        from google.oauth2.service_account import Credentials

        credentials = self._bucket.credentials
        file = os.environ.get(CREDENTIALS)
        if not isinstance(credentials, Signing) and file:
            try:
                credentials = Credentials.from_service_account_file(file)
            except (OSError, ValueError) as error:
                raise CredentialsError(f"{CREDENTIALS}: {file!r} is no service account's key file: {error}") from None
        if not isinstance(credentials, Signing):
            raise UnsupportedError(
                f"{self._bucket.where('')}: these credentials cannot sign URLs: "
                f"set {CREDENTIALS} to a service account's key file"
            )
        return credentials

    def _asked(self, request: Request, understand: Callable[..., Answer], *more: Any) -> Answer:
        """What the answer says, asked for again while the store is unavailable."""
        told = partial(self._bucket.told, request, understand, *more)
        return retried(told, patience=self._bucket.bounds.patience)

    def close(self) -> None:
        self._bucket.close()


def _check(key: str) -> None:
    """https://cloud.google.com/storage/docs/objects#naming; emulators take what the cloud refuses."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise InvalidKeyError(f"a key must be UTF-8, and {key!r} is not") from None
    if not 1 <= len(encoded) <= 1024 or key in {".", ".."} or not {"\r", "\n"}.isdisjoint(key):
        raise InvalidKeyError(
            f"Google Cloud Storage cannot hold the key {key[:80]!r}: it takes 1 to 1,024 bytes without line breaks"
        )
