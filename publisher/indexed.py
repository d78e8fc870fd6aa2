"""An archive that is read: in ranges, by its index, or from its start.

Strategy: an archive with an index is read in ranges of one version of the object: its end, a page, the blocks that hold
what is wanted. What the digest of the index proves is all that can be proved so; of a result that holds that of the
whole object alone, or of an archive without an index, everything is read.
"""

import math
import os
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

from .archive import CorruptArchiveError
from .archive.beside import open_beside
from .archive.carrier import FOOTER
from .archive.index import TAIL, Index, Pieces, Read, open_index
from .backends import Credentials, Stat, Store, StoreError, UnsupportedError
from .backends.file import FileStore
from .backends.options import CustomerKey
from .backends.sending.budget import Budget
from .backends.sending.ranges import RANGE
from .checksum import Checksum
from .ending import until
from .errors import ResultError, VerificationError
from .reading import (
    Hashed,
    Result,
    admissible,
    admit_server,
    as_expected,
    check_alone,
    content_of,
    note,
    opened_store,
    stat_of,
    trusted,
)
from .result import PublishedResult
from .stored import NO_VERSION, Access
from .surroundings import inflaters
from .trust import Trust, is_url

if TYPE_CHECKING:
    from .download import Download

_PIECE = 1 << 20


class Ranges:
    """An object of ``size`` bytes that is read in ranges, its end first, and what is long by ``stream``."""

    def __init__(self, url: str, size: int, read: Read, stream: Pieces | None = None) -> None:
        self.url, self.size = url, size
        self.bytes_read = 0
        self.stream = None if stream is None else partial(self._counted, stream)
        self._read = read
        self._end = b""

    def __call__(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop``."""
        found = self._read(start, stop)
        self.bytes_read += len(found)
        if stop == self.size and not self._end:
            self._end = found[-FOOTER:]
        return found

    def _counted(self, stream: Pieces, start: int, stop: int) -> Generator[bytes, None, None]:
        with closing(stream(start, stop)) as pieces:
            for piece in pieces:
                self.bytes_read += len(piece)
                yield piece

    def check(self) -> None:
        """Raises ``VerificationError`` if the object was replaced since its end was read, as far as can be told."""
        with suppress(StoreError):
            if self._end and self._read(self.size - len(self._end), self.size + 1) != self._end:
                raise VerificationError(f"what the store holds under {self.url!r} was replaced: read it again")


class Beside(NamedTuple):
    """An index in a file of ``length`` bytes, which lies beside its archive."""

    path: str
    read: Read
    length: int

    def of(self, ranges: Ranges, checksum: Checksum | None) -> Index:
        """It, of the archive that is read so and has that ``checksum``, if it is known. Raises if it is of another."""
        try:
            index = open_beside(ranges, ranges.size, self.read, self.length, stream=ranges.stream, threads=inflaters())
        except CorruptArchiveError as error:
            error.add_note(f"that is of the index in {self.path!r}, for {ranges.url!r}")
            raise
        if index.whole is not None and checksum not in {None, index.whole.sha256}:
            raise VerificationError(
                f"the index in {self.path!r} is of an archive with the SHA-256 {index.whole.sha256}, and "
                f"{ranges.url!r} was published with {checksum}"
            )
        return index


def _beside(path: str | PathLike[str]) -> Beside:
    """The index in a file. Raises ``ResultError`` for what is no file, and ``StoreError``."""
    path = os.fspath(path)
    if not isinstance(path, str):
        raise ResultError(f"the index {path!r} is named by bytes: give a str or a Path")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ResultError(f"the index {path!r} is no file that is read in parts: write it to one")
    directory, name = os.path.split(os.path.realpath(path))
    store = FileStore(directory)

    def read(start: int, stop: int) -> bytes:
        return b"".join(store.read(name, start=start, stop=stop))

    return Beside(path, read, store.stat(name).size)


class Source:
    """An archive that is read: by its ``index``, or, if that is ``None``, from its start.

    ``proven`` says that a published digest proves what is read: the index's, or the whole object's once all of it is
    read. More bytes of it than ``most`` are of no use.
    """

    def __init__(
        self,
        url: str,
        whole: Callable[[], AbstractContextManager[Hashed]],
        ranges: Ranges | None,
        index: Index | None,
        *,
        proven: bool,
        most: int | None = None,
        address: Callable[[], str | None] = lambda: None,
        beside: Beside | None = None,
    ) -> None:
        self.url, self._address = url, address
        self.index, self.proven = index, proven
        self.most = math.inf if most is None else most
        self._beside = beside
        self._whole, self._ranges = whole, ranges
        self._read = Hashed((), None, url)

    @property
    def address(self) -> str | None:
        """Where a URL led in the end, without its query."""
        return self._address()

    @property
    def size(self) -> int | None:
        """The bytes of the object, where it is read in ranges."""
        return None if self._ranges is None else self._ranges.size

    @property
    def lack(self) -> str:
        """Why there is no index."""
        return "it has no index" if self._address() is None else "it has no index, or its server gives no parts"

    @contextmanager
    def whole(self) -> Iterator[Hashed]:
        """The content of the object."""
        with self._whole() as content:
            self._read = content
            yield content

    def bytes_read(self) -> int:
        """How many bytes of the object were read: in ranges, and since it was last read from its start."""
        return self._read.size + (self._ranges.bytes_read if self._ranges is not None else 0)

    def checksum(self) -> Checksum:
        """The SHA-256 of what proves what was read: of its index, or of the object, read or named by one beside it."""
        if self.index is not None:
            if self._beside is not None and self.index.whole is not None:
                return Checksum(self.index.whole.sha256)
            return Checksum(self.index.sha256)
        return self._read.checksum()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What is no sound archive may have been replaced while it was read, or since it was published."""
        with _explained(self._ranges, self._beside, proven=self.proven and self.index is not None):
            yield


@contextmanager
def _explained(ranges: Ranges | None, beside: Beside | None, *, proven: bool) -> Iterator[None]:
    """Within this, what is not as the index says it, is no archive that could be read, or not the one published."""
    try:
        yield
    except CorruptArchiveError as error:
        if ranges is None:
            raise
        try:
            ranges.check()
        except VerificationError as found:
            raise found from error
        if proven:
            raise _not_published(ranges.url, error, beside) from error
        raise


def _not_published(url: str, error: CorruptArchiveError, beside: Beside | None = None) -> VerificationError:
    what = "what was published" if beside is None else f"what the index in {beside.path!r} is of"
    return VerificationError(f"what the store holds under {url!r} is not {what}: {error}")


@contextmanager
def opened_source(
    result: Result,
    store: Store | None,
    trust: Trust,
    access: Access,
    *,
    expected: Checksum | None = None,
    verify: bool = True,
    most: tuple[int | None, bool] = (None, False),
    index: str | PathLike[str] | None = None,
) -> Iterator[Source]:
    """What ``result`` says, or a pre-signed URL; ``expected`` is the SHA-256 that somebody else knows of it.

    ``index`` is the path of one that lies beside the archive. It is taken for the caller's word, as ``expected`` is,
    and names the SHA-256 of the archive, which has to be that of ``expected`` or of the result. ``most`` are the bytes
    that can be of use if it is read from its start, and whether it is ``Limits`` that say so; of a URL, no more are
    read. Raises ``ResultError``, ``VerificationError``, ``StoreError`` and ``ArchiveError``.
    """
    beside = None if index is None else _beside(index)
    if isinstance(result, str) and is_url(result):
        check_alone(store, access)
        yield _of_url(result, trust, access, expected=expected, most=most, beside=beside)
        return
    published = as_expected(admissible(result, trust), expected)
    if published.encoding != "gzip":
        is_prefix = published.encoding == "plain"
        what, advice = ("a prefix", "list_files(result) lists it") if is_prefix else ("a file as it is", "fetch it")
        raise ResultError(f"{published.url!r} is {what}, and no archive: {advice}")
    if beside is not None and published.index_sha256 is not None:
        raise ResultError(f"{published.url!r} has an index of its own, as its result says: leave that in a file out")
    digest = published.index_sha256 if verify else None
    proven = verify and bool(digest or published.checksum_sha256)
    with opened_store(published, store, trust, proven=proven, access=access) as opened:
        ranges = found = None
        if beside is not None or digest is not None or not proven:
            known = published if verify else replace(published, checksum_sha256=None, index_sha256=None)
            ranges = _of_store(opened, known, is_proven=digest is not None or (beside is not None and proven))
            found = _index(ranges, digest) if beside is None else beside.of(ranges, known.checksum_sha256)

        @contextmanager
        def whole() -> Iterator[Hashed]:
            with closing(content_of(opened, published, check=verify)) as content:
                yield content

        yield Source(published.url, whole, ranges, found, proven=proven, most=most[0], beside=beside)


@contextmanager
def source_of(
    result: Result,
    *,
    store: Store | None = None,
    sha256: str | None = None,
    verify: bool = True,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
    index: str | PathLike[str] | None = None,
) -> Iterator[Source]:
    """What ``result`` says, read as the caller allows it, whose arguments are those of ``fetch``."""
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    trust = trusted(allow, allow_endpoints, access, store)
    expected = Checksum(sha256) if verify and sha256 is not None else None
    with opened_source(result, store, trust, access, expected=expected, verify=verify, index=index) as source:
        yield source


def unproven_source(ranges: Ranges, index: str | PathLike[str] | None = None) -> Source:
    """An archive of which nothing is known but how it is read, and perhaps its ``index``. Raises ``ArchiveError``."""
    beside = None if index is None else _beside(index)

    @contextmanager
    def whole() -> Iterator[Hashed]:
        pieces = (ranges(at, min(at + _PIECE, ranges.size)) for at in range(0, ranges.size, _PIECE))
        yield Hashed(pieces, None, ranges.url)

    found = _index(ranges, None) if beside is None else beside.of(ranges, None)
    return Source(ranges.url, whole, ranges, found, proven=False, beside=beside)


def _of_store(store: Store, published: PublishedResult, *, is_proven: bool) -> Ranges:
    """The published version, or the current object where that may not be read and a digest shows it to be the same."""
    versions = [published.version_id]

    def stream(start: int, stop: int) -> Generator[bytes, None, None]:
        if stop - start > RANGE:
            note(store, Stat(published.key, size, version_id=versions[0]))
        yield from store.read(published.key, version_id=versions[0], start=start, stop=stop)

    def read(start: int, stop: int) -> bytes:
        try:
            return b"".join(stream(start, stop))
        except NO_VERSION as error:
            if versions == [None]:
                raise
            if not is_proven:
                error.add_note("the current object was not tried, as no digest of the result is compared with it")
                raise
            versions[:] = [None]  # the current object, if it proves to be the same
            return read(start, stop)

    size = stat_of(store, published).size if published.size is None else published.size
    return Ranges(published.url, size, read, stream)


def _of_url(
    url: str,
    trust: Trust,
    access: Access,
    *,
    expected: Checksum | None,
    most: tuple[int | None, bool],
    beside: Beside | None,
) -> Source:
    from .download import Download

    download = partial(Download, url, admit=partial(admit_server, trust), timeout=access.timeout, budget=access.budget)
    parts = download()
    called = [parts]
    ranges = index = None
    if expected is None or beside is not None:
        ranges = _in_parts(parts)
        if ranges is not None:
            with suppress(UnsupportedError):
                index = _index(ranges, None) if beside is None else beside.of(ranges, expected)

    @contextmanager
    def whole() -> Iterator[Hashed]:
        called.append(download(most=most[0], limited=most[1]))
        with closing(iter(called[-1])) as chunks:
            yield Hashed(until(chunks), expected, "the URL")

    return Source(
        parts.address,
        whole,
        ranges,
        index,
        proven=expected is not None,
        most=most[0],
        address=lambda: called[-1].address,
        beside=beside,
    )


def _in_parts(download: "Download") -> Ranges | None:
    """What is read in parts, of which its end has come, if it came; ``None`` if its length is not said."""
    end = download.end(TAIL)
    size = download.length
    if size is None:
        return None

    def read(start: int, stop: int) -> bytes:
        if end is not None and start >= size - len(end) and stop <= size:
            return end[start - size + len(end) : stop - size + len(end)]
        return b"".join(until([download.part(start, stop)]))

    return Ranges("the URL", size, read)


def _index(ranges: Ranges, sha256: Checksum | None) -> Index | None:
    """The index, if there is one. Raises ``VerificationError`` if it is not the one whose digest is ``sha256``."""
    try:
        index = open_index(ranges, ranges.size, stream=ranges.stream, threads=inflaters())
    except CorruptArchiveError as error:
        if sha256 is None:
            raise
        raise _not_published(ranges.url, error) from error
    if sha256 is not None and (index is None or index.sha256 != sha256):
        found = "an archive without an index" if index is None else f"one whose index has the SHA-256 {index.sha256}"
        raise VerificationError(
            f"what the store holds under {ranges.url!r} is {found}, and one with that of {sha256} was published"
        )
    return index
