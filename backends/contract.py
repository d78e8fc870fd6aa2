"""The contract of a store, the same for every kind.

``write`` promises:

1. All or nothing. The object appears whole or not at all. If ``chunks`` raises, or the caller is interrupted, the old
   object stands and nothing half-written is left.
2. ``if_absent=True`` never overwrites, for any size from 0 bytes up: ``AlreadyExistsError``. A store that cannot
   promise it raises ``UnsupportedError`` before a byte is sent. A retry after a lost answer does not report our own
   object as somebody else's.
3. It writes and does nothing else: no listing, no look before, no making of buckets.
4. Memory is bounded by part size and concurrency, whatever the length.
5. SHA-256 of all bytes is computed on the way, and a store that can verify a checksum on arrival is asked to.
6. ``arrived`` is told of bytes that the store has, and of no others: of each part once it is acknowledged, in whatever
   order, by the thread that writes. What it raises ends the write, as what ``chunks`` raises does.

Every error is a ``StoreError``, but for what ``chunks`` and ``arrived`` raise, which passes through unchanged.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from .options import ObjectOptions

Arrived = Callable[[int], object]
"""Is told how many bytes more a store has."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can promise; what it cannot, it refuses with ``UnsupportedError``.

    ``content_type`` and ``metadata`` are only descriptions: a store without them, which has ``metadata=False``, leaves
    them out.
    ``atomic`` is the first promise of ``write``: without it, nothing is written at all. ``options`` says that there is
    a table of what it makes of ``ObjectOptions`` (``options.TABLE``); a store without has none of them. ``arrivals``
    says that ``write`` takes ``arrived``; a store without is given none.
    """

    atomic: bool = True
    if_absent: bool = True
    versions: bool = False
    presign: bool = False
    metadata: bool = False
    options: bool = False
    arrivals: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: ``size`` in bytes, ``sha256`` of all bytes as lower-case hex.

    ``version_id`` is that of this very write, ``None`` where the store keeps no versions. ``confirmed`` says what the
    store did to confirm it: verified a ``"checksum"``, answered with a ``"response"``, or, after an answer was lost,
    was asked by ``"stat"``. ``checksum`` is the SHA-256 that the store keeps and reports of the object, in its own
    form; ``None`` where it keeps none or does not say.
    """

    size: int
    sha256: str
    etag: str | None = None
    version_id: str | None = None
    confirmed: Literal["checksum", "response", "stat"] = "response"
    checksum: str | None = None


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store says of an object: ``size`` in bytes, ``modified`` an aware datetime.

    ``checksum`` is as in ``Written``; a listing has none.
    """

    key: str
    size: int
    etag: str | None = None
    version_id: str | None = None
    modified: datetime | None = None
    checksum: str | None = None


class Store(Protocol):
    """Objects under keys in one bucket. A store may be used from several threads at once."""

    @property
    def capabilities(self) -> Capabilities:
        """What this store can promise."""
        ...

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        arrived: Arrived | None = None,
    ) -> Written:
        """Stores the bytes of ``chunks`` under ``key``, as the contract above says.

        ``options`` say more of how it is written, and stand above ``content_type`` and ``metadata``. Raises
        ``UnsupportedError`` for one that this store does not have, before anything is sent. ``arrived`` is told of
        bytes as they arrive; what it was not told of has arrived, too, once this returns.
        """
        ...

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        """The bytes from ``start`` up to ``stop``, in pieces; past the end there are none."""
        ...

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        """What the store knows of an object. Raises ``NotFoundError``."""
        ...

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """The objects whose keys start with ``prefix``, lazily, in the store's order: at most a page ahead."""
        ...

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        ...

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        """A URL that lets anybody ``GET`` or ``PUT`` the object until ``expires`` (a timedelta, or seconds) is over.

        It ends sooner where the credentials do that sign it: ``expiry_of(url)`` says when.
        """
        ...

    def close(self) -> None:
        """Lets go of connections. A closed store is not used again."""
        ...
