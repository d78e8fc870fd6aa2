"""Objects in Azure Blob Storage, as block blobs (https://learn.microsoft.com/rest/api/storageservices).

Strategy: up to 1 MiB goes in one Put Blob; more is staged as blocks, some under way while the next are produced,
and appears with the block list. Blocks that were staged and never committed are invisible and gone after a week. A blob
is read range by range, all of the same ETag.
"""

import asyncio
import hashlib
import io
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from keystow.backends.answers import Pages
from keystow.backends.arguments import is_empty, signature_seconds
from keystow.backends.contract import Capabilities, Stat, Written
from keystow.backends.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
)
from keystow.backends.sending.digest import Digest
from keystow.backends.sending.in_flight import in_flight
from keystow.backends.sending.parts import Body, alone, parts
from keystow.backends.sending.repeating import PAUSES, retried
from keystow.backends.sending.settling import decided

from .client import Container

_MARK = "keystow_write"
_PAGE = 1000
_WINDOW = 8 << 20
"""How many bytes of a blob one request reads."""
_LARGEST_PUT = 1 << 20
"""Beyond this the SDK holds up the event loop with one request's body; blocks it sends piece by piece."""


class AzureStore:
    """One container."""

    capabilities = Capabilities(versions=True, presign=True, metadata=True)

    def __init__(self, container: str, *, endpoint: str | None = None) -> None:
        self._container = Container(container, endpoint=endpoint)

    @property
    def client(self) -> Container:
        """The connection."""
        return self._container

    @property
    def endpoint(self) -> str:
        """The account's URL."""
        return self._container.endpoint

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
        upload = _Upload(self._container, key, if_absent, content_type, dict(metadata or {}))
        answer = upload.blocks(pieces) if only is None or len(only) > _LARGEST_PUT else upload.single(only)
        return Written(
            digest.size,
            digest.hexdigest(),
            etag=_bare(answer.get("etag")),
            version_id=answer.get("version_id"),
            confirmed=answer.get("confirmed", "checksum"),
        )

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        _check(key)
        if is_empty(start, stop):
            self.stat(key, version_id=version_id)
            return
        etag = None
        while stop is None or start < stop:
            length = _WINDOW if stop is None else min(_WINDOW, stop - start)
            content, end, etag = retried(partial(self._read, key, version_id, start, length, etag))
            if content:
                yield content
            start += len(content)
            if start >= end:
                return

    def _read(
        self, key: str, version_id: str | None, start: int, length: int, etag: str | None
    ) -> tuple[bytes, int, str | None]:
        """Bytes of one blob, its size, and its ETag, which has to be ``etag`` if there is one."""
        from azure.core import MatchConditions

        named: dict[str, Any] = {"version_id": version_id} if version_id is not None else {}
        if etag is not None:
            named |= {"etag": etag, "match_condition": MatchConditions.IfNotModified}

        async def content() -> tuple[bytes, int, str | None]:
            # A body that is decompressed may be of any length, and is not what was stored.
            download = await self._container.blob(key).download_blob(
                start, length, max_concurrency=1, decompress=False, **named
            )
            whole = await download.readall()
            if len(whole) != download.size:
                raise StoreUnavailableError(f"{self._container.where(key)}: the answer was cut short")
            return whole, int(download.properties.content_range.rpartition("/")[2]), download.properties.etag

        try:
            return self._container.run(key, content())
        except AlreadyExistsError:
            raise ConflictError(f"{self._container.where(key)}: it was replaced while it was read") from None
        except StoreError as error:
            if error.code != "InvalidRange":
                raise
            return b"", 0, None

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        _check(key)
        return retried(lambda: self._container.run(key, self._stat(key, version_id)))

    async def _stat(self, key: str, version_id: str | None) -> Stat:
        named = {"version_id": version_id} if version_id is not None else {}
        return _stat(await self._container.blob(key).get_blob_properties(**named))

    def list(self, prefix: str = "") -> Iterator[Stat]:
        listing = self._container.pages(prefix, _PAGE)
        pages = Pages()
        while (page := retried(lambda: self._container.run(prefix, _page(listing)))) is not None:
            try:
                found = list(map(_stat, page))
                if listing.continuation_token:
                    pages.after(listing.continuation_token, objects=len(found))
            except ValueError:
                raise self._container.not_understood(prefix) from None
            yield from found

    def delete(self, key: str) -> None:
        _check(key)
        try:
            retried(lambda: self._container.run(key, self._container.blob(key).delete_blob()))
        except NotFoundError:
            return

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        _check(key)
        seconds = signature_seconds(expires, method, version_id)
        if self._container.account_key is None:
            raise UnsupportedError(
                f"{self._container.where(key)}: these credentials cannot sign URLs: "
                "open the account with its key (AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT_KEY)"
            )
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        permission = BlobSasPermissions(read=True) if method == "GET" else BlobSasPermissions(create=True, write=True)
        token = generate_blob_sas(
            self._container.account_name,
            self._container.name,
            key,
            account_key=self._container.account_key,
            permission=permission,
            expiry=datetime.now(UTC) + timedelta(seconds=seconds),
            version_id=version_id,
        )
        pinned = f"versionid={quote(version_id, safe='')}&" if version_id is not None else ""
        return f"{self._container.blob(key).url}?{pinned}{token}"

    def close(self) -> None:
        self._container.close()


class _Upload:
    """One write of one key."""

    def __init__(
        self, container: Container, key: str, if_absent: bool, content_type: str | None, metadata: dict[str, str]
    ) -> None:
        from azure.core import MatchConditions
        from azure.storage.blob import ContentSettings

        self._container = container
        self._key = key
        self._blob = container.blob(key)
        self._id = uuid.uuid4().hex
        self._content_type = content_type
        self._settings = ContentSettings
        self._metadata = metadata | ({_MARK: self._id} if if_absent else {})
        self._condition = {"match_condition": MatchConditions.IfMissing} if if_absent else {}
        self._overwrite = not if_absent

    def single(self, body: bytes) -> dict[str, Any]:
        """Put Blob, with its MD5 verified on arrival and kept."""
        settings = self._settings(
            content_type=self._content_type, content_md5=bytearray(hashlib.md5(body, usedforsecurity=False).digest())
        )
        return self._decided(
            lambda: self._blob.upload_blob(
                io.BytesIO(body),
                length=len(body),
                overwrite=self._overwrite,
                metadata=self._metadata,
                content_settings=settings,
                validate_content=True,
                max_concurrency=1,
            )
        )

    def blocks(self, pieces: Iterator[bytes]) -> dict[str, Any]:
        """Put Block for each piece, with its MD5 verified on arrival, then Put Block List."""
        from azure.storage.blob import BlobBlock

        identifiers: list[str] = []

        def send(number: int, piece: bytes) -> "Future[None]":
            identifiers.append(f"{self._id}{number:06}")
            return self._container.loop.submit(self._stage(identifiers[-1], piece))

        in_flight(pieces, send)
        listed = [BlobBlock(block_id=identifier) for identifier in identifiers]
        return self._decided(
            lambda: self._blob.commit_block_list(
                listed,
                metadata=self._metadata,
                content_settings=self._settings(content_type=self._content_type),
                validate_content=True,
                **self._condition,
            )
        )

    async def _stage(self, identifier: str, piece: bytes) -> None:
        """A block may be staged again under its own id, so a lost answer does no harm."""
        pauses = iter(PAUSES)
        while True:
            try:
                await self._container.sound(
                    self._key,
                    self._blob.stage_block(identifier, Body(piece), length=len(piece), validate_content=True),
                )
            except StoreUnavailableError:
                pause = next(pauses, None)
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return

    def _decided(self, request: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        async def sent() -> dict[str, Any]:
            answer = await request()
            if not answer.get("etag"):
                raise self._container.not_understood(self._key)
            return answer

        where = self._container.where(self._key)
        return decided(lambda: self._container.run(self._key, sent()), self._find, where)

    def _find(self) -> dict[str, Any] | None:
        async def properties() -> Any:
            found = await self._blob.get_blob_properties()
            _stat(found)
            return found

        found = self._container.run(self._key, properties())
        if (found.metadata or {}).get(_MARK) != self._id:
            return None
        return {"etag": found.etag, "version_id": found.version_id, "confirmed": "stat"}


async def _page(pages: Any) -> Sequence[Any] | None:
    """The next page of a listing, if there is one."""
    async for page in pages:
        return [blob async for blob in page]
    return None


def _stat(found: Any) -> Stat:
    """What Azure says of a blob. Raises ``ValueError`` for what it would not say."""
    if not (isinstance(found.name, str) and isinstance(found.size, int) and found.size >= 0 and found.etag):
        raise ValueError(found)
    return Stat(found.name, found.size, _bare(found.etag), found.version_id, found.last_modified)


def _bare(etag: str | None) -> str | None:
    """An ETag without the quotes that some answers put around it."""
    return etag.strip('"') if etag else None


def _check(key: str) -> None:
    r"""Refuses what the service stores under another name (``\`` becomes ``/``) or that no request can carry."""
    segments = key.split("/")
    unsound = not key or "\\" in key or any(not segment or segment.endswith(".") for segment in segments)
    if unsound or any("\ud800" <= character <= "\udfff" or character in "\ufffe\uffff" for character in key):
        raise InvalidKeyError(
            f"Azure Blob Storage cannot hold the key {key[:80]!r}: it takes no backslash, no empty segment, none that "
            "ends in '.', and only characters that UTF-8 and XML can hold"
        )
    if any(character < " " for character in key):
        raise InvalidKeyError(f"Azure Blob Storage cannot hold the key {key[:80]!r}: it takes no control characters")
