"""The manifest of a prefix in its store, where publishing and fetching must see it alike."""

from functools import cached_property

from .archive import CorruptArchiveError
from .archive.manifest import MAGIC, MOST_BYTES, NAME, Manifest
from .backends import Store
from .backends.sending.digest import Digest
from .checksum import Checksum
from .stored import NO_VERSION, ListingHash


class Found:
    """A manifest that was read, and the SHA-256 of its bytes."""

    def __init__(self, manifest: Manifest, sha256: Checksum) -> None:
        self.manifest, self.sha256 = manifest, sha256

    @cached_property
    def listing(self) -> Checksum:
        """The checksum of a prefix that holds these files (``listing_checksum``). Raises ``ArchiveError``."""
        listing = ListingHash()
        for item in self.manifest:
            listing.add(item.order, item.sha256)
        return listing.checksum()


def read_manifest(store: Store, prefix: str, version_id: str | None = None, *, or_current: bool = False) -> Found:
    """The manifest of what was published under ``prefix``; or the current one where that version is not to be had.

    Raises ``NotFoundError`` and ``CorruptArchiveError``.
    """
    try:
        return _read(store, prefix, version_id)
    except NO_VERSION:
        if version_id is None or not or_current:
            raise
        return _read(store, prefix, None)


def _read(store: Store, prefix: str, version_id: str | None) -> Found:
    held = bytearray()
    key = prefix + NAME
    chunks = Digest(store.read(key) if version_id is None else store.read(key, version_id=version_id))
    for chunk in chunks:
        held += chunk
        if not MAGIC.startswith(held[: len(MAGIC)]):
            raise CorruptArchiveError("the manifest does not begin as gzip does")
        if len(held) > MOST_BYTES:
            raise CorruptArchiveError(f"the manifest is longer than the {MOST_BYTES} bytes that it may have")
    return Found(Manifest(bytes(held)), Checksum(chunks.hexdigest()))
