"""Objects in S3 and in what speaks its protocol: the contract of a store, over requests and their answers."""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any, Literal

from keystow.backends.answers import Pages
from keystow.backends.arguments import is_empty, range_header, signature_seconds
from keystow.backends.contract import Capabilities, Stat, Written
from keystow.backends.errors import InvalidKeyError, StoreError, StoreUnavailableError, UnsupportedError
from keystow.backends.sending.continuing import Content, continued
from keystow.backends.sending.digest import Digest
from keystow.backends.sending.limits import bounds

from .answers import Found, listed, opened, strange
from .bucket import Bucket
from .carriers import Carriers
from .place import Options
from .requests import Request
from .upload import Upload

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What may be the name of a header (RFC 9110, section 5.6.2)."""


class S3Store:
    """One bucket. ``endpoint`` is ``None`` for AWS; ``region`` is always known.

    ``ca_file`` holds the certificates to trust (default: ``AWS_CA_BUNDLE``, then the system's). ``addressing`` puts the
    bucket into the URL's path or its host name; without it, AWS gets the host name and others the path.
    ``conditions=False`` says that the endpoint ignores ``If-None-Match``, as ``probe`` finds out. ``engine="fsspec"``
    has all requests carried by fsspec's client, and any other only those that nothing else can carry (``carriers``).
    """

    def __init__(
        self,
        bucket: str,
        *,
        engine: str = "auto",
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        ca_file: str | None = None,
        addressing: Literal["path", "virtual"] | None = None,
        conditions: bool = True,
        timeout: float | None = None,
    ) -> None:
        self.capabilities = Capabilities(if_absent=conditions, versions=True, presign=True, metadata=True)
        options = Options(endpoint, region, profile, ca_file, addressing)
        self._bucket = Bucket(bucket, Carriers(bucket, engine, options), bounds(timeout))

    @property
    def endpoint(self) -> str | None:
        """The endpoint's URL; ``None`` for AWS's own."""
        return self._bucket.endpoint

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self._bucket.region

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Written:
        self._check_key(key)
        self._check_headers(key, content_type, metadata or {})
        if if_absent and not self.capabilities.if_absent:
            raise UnsupportedError(
                f"s3://{self._bucket.name}: this endpoint ignores conditions: write unconditionally, under a unique key"
            )
        digest = Digest(chunks)
        stored = Upload(self._bucket, key, if_absent, content_type, metadata or {}).write(digest)
        return Written(
            digest.size,
            digest.hexdigest(),
            etag=stored.etag,
            version_id=stored.version_id,
            confirmed=stored.confirmed,
            checksum=stored.checksum,
        )

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        if is_empty(start, stop):
            self.stat(key, version_id=version_id)
            return iter(())
        self._check_key(key)
        opening = partial(self._opened, key, version_id, stop)
        return continued(opening, start, patience=self._bucket.bounds.patience)

    def _opened(self, key: str, version_id: str | None, stop: int | None, start: int, tag: str | None) -> Content:
        """The content from ``start`` on; with a ``tag``, of that object alone."""
        if tag is not None and is_empty(start, stop):
            return Content(_nothing(), tag)
        given = {"VersionId": version_id, "Range": range_header(start, stop), "IfMatch": tag}
        request = Request("get_object", key, {name: value for name, value in given.items() if value is not None})
        with ExitStack() as stack:
            line = stack.enter_context(self._bucket.lines.line())
            contents: list[Generator[bytes, None, None]] = []

            def understood(answer: Any) -> Any:
                contents.append(answer.content)
                return opened(start, stop, answer)

            try:
                found = self._bucket.once(request, line, understood)
            except StoreError as error:
                if error.code in {"InvalidRange", "416"}:
                    return Content(_nothing(), None)
                raise
            strong = None if found.etag.startswith("W/") else found.etag
            return Content(self._exactly(found.size, contents[0], key, stack.pop_all()), strong)

    def _exactly(
        self, size: int, content: Generator[bytes, None, None], key: str, until: ExitStack
    ) -> Generator[bytes, None, None]:
        """``content``, which has to have the ``size`` that was announced; then what ``until`` holds ends."""
        with until:
            until.callback(content.close)
            left = size
            for piece in content:
                if len(piece) > left:
                    yield piece[:left]
                    raise strange(self._bucket.where(key), self.endpoint)
                left -= len(piece)
                yield piece
            if left:
                at = f" ({self.endpoint})" if self.endpoint else ""
                raise StoreUnavailableError(f"{self._bucket.where(key)}: the content broke off{at}")

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        self._check_key(key)
        params = {"VersionId": version_id} if version_id is not None else {}
        found: Found = self._bucket.asked(Request("head_object", key, params))
        return Stat(key, found.size, found.etag, found.version_id, found.modified)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        _check_text(prefix)
        params = {"Prefix": prefix, "EncodingType": "url"}
        understood = partial(listed, Pages())
        token: str | None = None
        while True:
            page = Request("list_objects_v2", "", params | ({"ContinuationToken": token} if token else {}))
            objects, token = self._bucket.asked(page, understood)
            yield from objects
            if token is None:
                return

    def delete(self, key: str) -> None:
        self._check_key(key)
        self._bucket.asked(Request("delete_object", key))

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        seconds = signature_seconds(expires, method, version_id)
        self._check_key(key)
        operation = "get_object" if method == "GET" else "put_object"
        params = {"Key": key} | ({"VersionId": version_id} if version_id is not None else {})
        return self._bucket.sign(operation, params, seconds, method)

    def close(self) -> None:
        self._bucket.close()

    def _check_key(self, key: str) -> None:
        """Without a key, a request would be one for the whole bucket."""
        if not key:
            raise InvalidKeyError(f"s3://{self._bucket.name}: the key is empty")
        _check_text(key)

    def _check_headers(self, key: str, content_type: str | None, metadata: Mapping[str, str]) -> None:
        for name, value in metadata.items():
            if not _NAME.fullmatch(name) or not _is_header(value):
                raise StoreError(f"{self._bucket.where(key)}: the metadata {name!r} is not printable ASCII")
        if not _is_header(content_type or ""):
            raise StoreError(f"{self._bucket.where(key)}: the type {content_type!r} is not printable ASCII")


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _check_text(text: str) -> None:
    """Raises ``InvalidKeyError`` for what UTF-8 has no bytes for."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidKeyError(f"the key {text!r} holds half a character")


def _nothing() -> Generator[bytes, None, None]:
    yield from ()
