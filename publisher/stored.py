"""How what was published lies in its store: whoever publishes and whoever fetches must see it alike."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from .backends import AlreadyExistsError, Store, open_store
from .checksum import Checksum
from .result import PublishedResult


class AlreadyPublishedError(AlreadyExistsError):
    """There is an object of that name, and it holds what would have been published: ``result`` is its own."""

    kind = "already_published"

    result: PublishedResult


def open_result_store(
    result: PublishedResult, *, engine: str | None = None, timeout: timedelta | float | None = None
) -> Store:
    """The store that holds ``result``."""
    located = {"endpoint": result.endpoint, "region": result.region}
    options: dict[str, Any] = {name: value for name, value in located.items() if value is not None}
    return open_store(f"{result.type}://{result.bucket}", engine=engine, timeout=timeout, **options)


def listing_checksum(digests: Mapping[str, str]) -> Checksum:
    """The SHA-256 of what ``sha256sum -z`` prints of files (name → hex digest), in the order of their names' bytes.

    >>> listing_checksum({"b": "1" * 64, "a": "0" * 64}).hex[:8]
    'cf0db2d9'
    """
    lines = sorted((name.encode("utf-8", "surrogateescape"), digest) for name, digest in digests.items())
    listing = hashlib.sha256()
    for name, digest in lines:
        listing.update(b"%b  %b\0" % (digest.encode(), name))
    return Checksum(listing.hexdigest())
