"""Objects in Azure Blob Storage, as block blobs (https://learn.microsoft.com/rest/api/storageservices): its requests.

Strategy: what is read comes in one answer, which is whole before its first byte is handed on.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from keystow.backends.answers import Pages, natural
from keystow.backends.cloud import CloudStore
from keystow.backends.contract import Stat
from keystow.backends.errors import InvalidKeyError, UnsupportedError
from keystow.backends.options import CustomerKey, ObjectOptions
from keystow.backends.permits import Permit, SignedRequest, Terms, headers_of
from keystow.backends.sending.budget import USUAL, Budget
from keystow.backends.sending.continuing import Content
from keystow.backends.sending.limits import bounds
from keystow.backends.sending.repeating import retried

from . import answers
from .client import Container
from .upload import LARGEST_PUT, Upload

Answer = TypeVar("Answer")

_PAGE = 1000
_VERSION = "2021-12-02"
"""Of the REST API that a ticket's request speaks: one that takes 5,000 MiB, and that servers long know."""
_HEADERS = {
    "content_type": "x-ms-blob-content-type",
    "cache_control": "x-ms-blob-cache-control",
    "content_disposition": "x-ms-blob-content-disposition",
    "storage_class": "x-ms-access-tier",
    "encryption_scope": "x-ms-encryption-scope",
}
"""Of Put Blob (https://learn.microsoft.com/rest/api/storageservices/put-blob)."""


class AzureStore(CloudStore):
    """One container."""

    kind = "az"
    largest = LARGEST_PUT
    largest_permitted = 5000 << 20
    streams = False

    def __init__(
        self,
        container: str,
        *,
        endpoint: str | None = None,
        timeout: float | None = None,
        budget: Budget = USUAL,
        credentials: Any = None,
        customer_key: CustomerKey | None = None,
    ) -> None:
        super().__init__(f"az://{container}", bounds(timeout, budget), keyed=customer_key is not None)
        self._container = Container(
            container, endpoint=endpoint, bounds=self._bounds, given=credentials, customer_key=customer_key
        )

    @property
    def endpoint(self) -> str:
        """The account's URL."""
        return self._container.endpoint

    def _upload(self, key: str, if_absent: bool, options: ObjectOptions) -> Upload:
        return Upload(self._container, key, if_absent, options)

    def _content(self, key: str, version_id: str | None, stop: int | None, start: int, tag: str | None) -> Content:
        from azure.core import MatchConditions

        length = None if stop is None else stop - start
        named: dict[str, Any] = self._container.keyed | ({"version_id": version_id} if version_id is not None else {})
        if tag is not None:
            named |= {"etag": tag, "match_condition": MatchConditions.IfNotModified}

        async def whole() -> tuple[bytes, Any]:
            # A body that is decompressed may be of any length, and is not what was stored.
            download = await self._container.blob(key).download_blob(
                start, length, max_concurrency=1, decompress=False, **named
            )
            content = await download.readall()
            if len(content) != download.size:
                raise self._container.cut_short(key)
            return content, download.properties

        content, said = self._container.run(key, whole())
        if not said.etag:
            raise self._container.not_understood(key)
        size = self._container.understood(key, lambda: natural(said.content_range.rpartition("/")[2]))
        return Content((piece for piece in [content]), said.etag, len(content), size)

    def _tag(self, found: Stat) -> str | None:
        return None if found.etag is None else f'"{found.etag}"'

    def _found(self, key: str, version_id: str | None) -> Stat:
        blob = self._container.blob(key)
        named = self._container.keyed | ({"version_id": version_id} if version_id is not None else {})
        return self._asked(lambda: self._container.told(key, blob.get_blob_properties(**named), answers.stat))

    def _page(self, prefix: str, token: str | None, pages: Pages) -> tuple[Sequence[Stat], str | None]:
        def ask() -> tuple[list[Stat], str | None]:
            listing = self._container.pages(prefix, _PAGE, token)

            async def page() -> list[Any]:
                return [blob async for blob in await anext(listing)]

            found = self._container.told(prefix, page(), lambda blobs: list(map(answers.stat, blobs)))
            return found, listing.continuation_token

        objects, following = self._asked(ask)
        if not following:
            return objects, None
        return objects, self._container.understood(prefix, partial(pages.after, objects=len(objects)), following)

    def _deleted(self, key: str) -> None:
        blob = self._container.blob(key)
        self._asked(lambda: self._container.run(key, blob.delete_blob()))

    def _signed(self, key: str, seconds: int, method: str, version_id: str | None) -> str:
        pinned = f"versionid={quote(version_id, safe='')}&" if version_id is not None else ""
        permissions = "r" if method == "GET" else "cw"
        return f"{self._container.blob(key).url}?{pinned}{self._sas(key, seconds, permissions, version_id)}"

    def _permitted(self, key: str, terms: Terms) -> Permit:
        """A signature to create a blob is none to replace one; it covers neither headers nor content."""
        options = terms.options
        if options.storage_class:
            options = replace(options, storage_class=options.storage_class.title())
        headers = headers_of(options, _HEADERS, "x-ms-meta-", self._container.where(key))
        headers |= {"x-ms-blob-type": "BlockBlob", "x-ms-version": _VERSION, "If-None-Match": "*"}
        url = f"{self._container.blob(key).url}?{self._sas(key, terms.seconds, 'c')}"
        return Permit(self._most(terms), SignedRequest("PUT", url, headers), terms.sha256)

    def _sas(self, key: str, seconds: int, permissions: str, version_id: str | None = None) -> str:
        """A shared access signature with these permissions, which are letters of Azure's."""
        if self._container.account_key is None:
            raise UnsupportedError(
                f"{self._container.where(key)}: these credentials cannot sign URLs: "
                "open the account with its key (AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_ACCOUNT_KEY)"
            )
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        token: str = generate_blob_sas(
            self._container.account_name,
            self._container.name,
            key,
            account_key=self._container.account_key,
            permission=BlobSasPermissions.from_string(permissions),
            expiry=datetime.now(UTC) + timedelta(seconds=seconds),
            version_id=version_id,
        )
        return token

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """What ``ask`` gives, again while the store is unavailable."""
        return retried(ask, patience=self._bounds.patience)

    def close(self) -> None:
        self._container.close()

    def _check(self, key: str) -> None:
        r"""Refuses what the service stores under another name (``\`` becomes ``/``) or that no request can carry."""
        segments = key.split("/")
        unsound = not key or "\\" in key or any(not segment or segment.endswith(".") for segment in segments)
        if unsound or any("\ud800" <= character <= "\udfff" or character in "\ufffe\uffff" for character in key):
            raise InvalidKeyError(
                f"Azure Blob Storage cannot hold the key {key[:80]!r}: it takes no backslash, no empty segment, none "
                "that ends in '.', and only characters that UTF-8 and XML can hold"
            )
        if any(character < " " for character in key):
            raise InvalidKeyError(
                f"Azure Blob Storage cannot hold the key {key[:80]!r}: it takes no control characters"
            )
