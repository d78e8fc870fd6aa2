"""Some members of an archive, without the rest of it.

Strategy: an archive with an index is read in ranges: its end, a page, the blocks that hold what is wanted. What the
digest of the index proves is all that can be proved so; of a result that holds that of the whole object alone, or
of an archive without an index, everything is read, from its start.
"""

from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import tee
from typing import TYPE_CHECKING

from . import surroundings
from .archive import CorruptArchiveError, Entry, Limits, UnsafeArchiveError
from .archive.carrier import FOOTER
from .archive.errors import shown
from .archive.gzidx import gzidx
from .archive.gzip import gunzip_ahead
from .archive.index import TAIL, Index, Read, open_index
from .archive.page import Member
from .archive.selection import Choice
from .archive.untar import untar
from .backends import AccessDeniedError, Credentials, Store, StoreError, UnsupportedError
from .backends.opening import timeout_for
from .backends.options import CustomerKey
from .backends.sending.budget import Budget
from .checksum import Checksum
from .ending import until
from .errors import MemberError, MemberIsDirectoryError, MemberNotFoundError, ResultError, VerificationError
from .reading import (
    Hashed,
    Result,
    admissible,
    admit_server,
    as_expected,
    check_alone,
    check_limit,
    content_of,
    explained,
    opened_store,
    stat_of,
)
from .result import PublishedResult
from .stored import Access
from .trust import Trust, is_url

if TYPE_CHECKING:
    from .download import Download

_PIECE = 1 << 20

Members = Iterator[tuple[Entry, Iterator[bytes | memoryview]]]


class Ranges:
    """An object of ``size`` bytes that is read in ranges, its end first."""

    def __init__(self, url: str, size: int, read: Read) -> None:
        self.url, self.size = url, size
        self._read = read
        self._end = b""

    def __call__(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop``."""
        found = self._read(start, stop)
        if stop == self.size and not self._end:
            self._end = found[-FOOTER:]
        return found

    def check(self) -> None:
        """Raises ``VerificationError`` if the object was replaced since its end was read, as far as can be told."""
        with suppress(StoreError):
            if self._end and self._read(self.size - len(self._end), self.size + 1) != self._end:
                raise VerificationError(f"what the store holds under {self.url!r} was replaced: read it again")


class Source:
    """An archive that is read: by its ``index``, or, if that is ``None``, from its start.

    ``proven`` says that a published digest proves what is read: the index's, or the whole object's once all of it is
    read.
    """

    def __init__(
        self,
        url: str,
        whole: Callable[[], AbstractContextManager[Hashed]],
        ranges: Ranges | None,
        index: Index | None,
        *,
        proven: bool,
        address: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.url, self._address = url, address
        self.index, self.proven = index, proven
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

    def checksum(self) -> Checksum:
        """The SHA-256 of what proves what was read: of the index, or of the whole object, which was read."""
        if self.index is not None:
            return Checksum(self.index.sha256)
        return self._read.checksum()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What is no sound archive may have been replaced while it was read, or since it was published."""
        with _explained(self._ranges, proven=self.proven and self.index is not None):
            yield


@contextmanager
def _explained(ranges: Ranges | None, *, proven: bool) -> Iterator[None]:
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
            raise _not_published(ranges.url, error) from error
        raise


def _not_published(url: str, error: CorruptArchiveError) -> VerificationError:
    return VerificationError(f"what the store holds under {url!r} is not what was published: {error}")


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
) -> Iterator[Source]:
    """What ``result`` says, or a pre-signed URL; ``expected`` is the SHA-256 that somebody else knows of it.

    ``most`` are the bytes that may be read of a URL from its start, and whether it is ``Limits`` that say so. Raises
    ``ResultError``, ``VerificationError``, ``StoreError`` and ``ArchiveError``.
    """
    if isinstance(result, str) and is_url(result):
        check_alone(store, access)
        yield _of_url(result, trust, access, expected, most)
        return
    published = as_expected(admissible(result, trust), expected)
    if published.encoding != "gzip":
        what = "a prefix" if published.encoding == "plain" else "a file as it is"
        raise ResultError(f"{published.url!r} is {what}, and members are an archive's: fetch all of it")
    digest = published.index_sha256 if verify else None
    proven = verify and bool(digest or published.checksum_sha256)
    with opened_store(published, store, trust, proven=proven, access=access) as opened:
        ranges = index = None
        if digest is not None or not proven:
            ranges = _of_store(opened, published)
            index = _index(ranges, digest)

        @contextmanager
        def whole() -> Iterator[Hashed]:
            yield content_of(opened, published, check=verify)

        yield Source(published.url, whole, ranges, index, proven=proven)


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
) -> Iterator[Source]:
    """What ``result`` says, read as the caller allows it, whose arguments are those of ``fetch``."""
    trust = surroundings.trust(allow, allow_endpoints)
    timeout_for(timeout)
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    access.check(store, ResultError)
    expected = Checksum(sha256) if verify and sha256 is not None else None
    with opened_source(result, store, trust, access, expected=expected, verify=verify) as source:
        yield source


def unproven_source(ranges: Ranges) -> Source:
    """An archive of which nothing is known but how it is read. Raises ``ArchiveError``."""

    @contextmanager
    def whole() -> Iterator[Hashed]:
        pieces = (ranges(at, min(at + _PIECE, ranges.size)) for at in range(0, ranges.size, _PIECE))
        yield Hashed(pieces, None, ranges.url)

    return Source(ranges.url, whole, ranges, _index(ranges, None), proven=False)


def _of_store(store: Store, published: PublishedResult) -> Ranges:
    versions = [published.version_id]

    def read(start: int, stop: int) -> bytes:
        try:
            return b"".join(store.read(published.key, version_id=versions[0], start=start, stop=stop))
        except AccessDeniedError:
            if versions == [None] or published.index_sha256 is None:
                raise
            versions[:] = [None]  # the current object, if it proves to be the same
            return read(start, stop)

    size = stat_of(store, published).size if published.size is None else published.size
    return Ranges(published.url, size, read)


def _of_url(url: str, trust: Trust, access: Access, expected: Checksum | None, most: tuple[int | None, bool]) -> Source:
    from .download import Download

    download = partial(Download, url, admit=partial(admit_server, trust), timeout=access.timeout, budget=access.budget)
    parts = download()
    called = [parts]
    ranges = index = None
    if expected is None:
        ranges = _in_parts(parts)
        if ranges is not None:
            with suppress(UnsupportedError):
                index = _index(ranges, None)

    @contextmanager
    def whole() -> Iterator[Hashed]:
        called.append(download(most=most[0], limited=most[1]))
        with closing(iter(called[-1])) as chunks:
            yield Hashed(until(chunks), expected, "the URL")

    return Source(parts.address, whole, ranges, index, proven=expected is not None, address=lambda: called[-1].address)


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
        index = open_index(ranges, ranges.size)
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


@contextmanager
def chosen(source: Source, choice: Choice) -> Iterator[Members]:
    """The members that go along with their contents, each of which is read before the next is asked for.

    A hard link to a file that does not go along is that file. They end with ``MemberNotFoundError`` if there is none
    for one of the patterns.
    """
    if source.index is not None:
        with source.explained(), closing(_by_index(source.index, choice)) as members:
            yield _matched(source, choice, members)
    else:
        with _members_from_start(source) as members:
            yield _matched(source, choice, _from_start(members, choice))


def _matched(source: Source, choice: Choice, members: Members) -> Members:
    yield from members
    _check_matched(source, choice)


def _by_index(index: Index, choice: Choice) -> Generator[tuple[Entry, Iterator[bytes | memoryview]], None, None]:
    for_entry, for_content = tee(_as_written(index, member, choice) for member in _found(index, choice))
    contents = index.contents(member for _, member in for_content)
    for (_, content), (entry, _) in zip(contents, for_entry, strict=False):
        yield entry, content


def _found(index: Index, choice: Choice) -> Iterator[Member]:
    """The members that go along, looked for one by one where only names are given, and none is a directory's."""
    if choice.names is not None and index.is_sorted:
        found = {name: index.find(name) for name in choice.names}
        members = [member for member in found.values() if member and member.entry.kind != "directory"]
        if len(members) == len(found):
            members.sort(key=lambda member: member.at)
            yield from (member for member in members if choice.takes(member.entry.name))
            return
    yield from (member for member in index if takes(choice, member.entry))


def takes(choice: Choice, entry: Entry) -> bool:
    """Whether a member goes along."""
    return bool(entry.name) and choice.takes(entry.name, is_directory=entry.kind == "directory")


def _as_written(index: Index, member: Member, choice: Choice) -> tuple[Entry, Member]:
    """The entry to write, and the member whose content it has."""
    entry = member.entry
    if entry.kind != "hardlink" or choice.takes(entry.target):
        return entry, member
    target = _linked(index, member)
    return replace(target.entry, name=entry.name), target


def entries(index: Index) -> Iterator[Entry]:
    """All of them. Raises ``UnsafeArchiveError`` if a name is there twice."""
    seen: set[str] = set()
    for member in index:
        if not index.is_sorted:
            _check_new(member.entry.name, seen)
        yield member.entry


def _check_new(name: str, seen: set[str]) -> None:
    if name in seen:
        raise UnsafeArchiveError(f"there are two members {shown(name)}")
    seen.add(name)


def file_of(source: Source, index: Index, name: str) -> Member:
    """The file of that name, or that which a hard link of that name is another name of. Raises ``MemberError``."""
    member = index.find(name)
    if member is None:
        raise _no_such(source, name)
    _check_file(member.entry)
    return _linked(index, member) if member.entry.kind == "hardlink" else member


def _no_such(source: Source, name: str) -> MemberNotFoundError:
    return MemberNotFoundError(f"{source.url!r} has no member {shown(name)}")


def _check_file(entry: Entry) -> None:
    if entry.kind == "directory":
        raise MemberIsDirectoryError(f"{shown(entry.name)} is a directory: name a file in it")
    if entry.kind == "symlink":
        raise MemberError(f"{shown(entry.name)} is a symbolic link to {shown(entry.target)}, and not followed")


def _linked(index: Index, link: Member) -> Member:
    target = index.find(link.entry.target)
    if target is None or target.entry.kind != "file":
        raise UnsafeArchiveError(f"the hard link {shown(link.entry.name)} leads to no file of the archive")
    return target


def gzidx_of(source: Source) -> bytes:
    """The index in the form of indexed_gzip and rapidgzip. Raises ``ResultError`` for an archive without one."""
    if source.index is None or source.size is None:
        why = "its result proves only all of it" if source.proven else source.lack
        advice = "these tools make one of such an archive themselves, as they read it"
        raise ResultError(f"of {source.url!r} no index can be written, as {why}: {advice}")
    with source.explained():
        return gzidx(source.size, source.index.tar_size, list(source.index.all_blocks()))


def list_members(source: Source, choice: Choice | None = None, limits: Limits | None = None) -> Iterator[Entry]:
    """The entries, or those that go along; of what is read from its start, once all is read.

    ``limits`` bound how many there may be then. Raises ``MemberNotFoundError`` as ``chosen`` does.
    """
    if source.index is None:
        yield from _listed_from_start(source, choice, limits or Limits())
    else:
        with source.explained():
            yield from (entry for entry in entries(source.index) if choice is None or takes(choice, entry))
    _check_matched(source, choice)


def _listed_from_start(source: Source, choice: Choice | None, limits: Limits) -> list[Entry]:
    found: list[Entry] = []
    seen: set[str] = set()
    with _members_from_start(source) as members:
        for number, (entry, _) in enumerate(members, 1):
            check_limit("members", number, limits.members)
            _check_new(entry.name, seen)
            if entry.name and (choice is None or takes(choice, entry)):
                found.append(entry)
    return found


def read_member(source: Source, name: str) -> Iterator[bytes | memoryview]:
    """The content of a file, in pieces, none of which is given before it is proved, if anything proves it.

    What is read from its start is held in a file until then. Raises ``MemberError``.
    """
    if source.index is None:
        yield from _read_from_start(source, name)
        return
    with source.explained():
        yield from source.index.content(file_of(source, source.index, name))


def _read_from_start(source: Source, name: str) -> Iterator[bytes | memoryview]:
    from tempfile import TemporaryFile

    found: Entry | None = None
    with TemporaryFile() as held:
        with _members_from_start(source) as members:
            for entry, pieces in members:
                if entry.name != name:
                    continue
                if found is not None:
                    raise UnsafeArchiveError(f"there are two members {shown(name)}")
                found = entry
                for piece in pieces:
                    if source.proven:
                        held.write(piece)
                    else:
                        yield piece
        if found is None:
            raise _no_such(source, name)
        _check_file(found)
        held.seek(0)
        yield from iter(partial(held.read, _PIECE), b"")
    if found.kind == "hardlink":
        yield from _read_from_start(source, found.target)


@contextmanager
def _members_from_start(source: Source) -> Iterator[Members]:
    """All members, with what says why they cannot be read: it may be another object than the published one."""
    with source.whole() as content:
        check = content.drain if content.expected is not None else None
        with explained(check), closing(gunzip_ahead(content)) as chunks:
            yield untar(chunks)


def _check_matched(source: Source, choice: Choice | None) -> None:
    if choice is not None and choice.unmatched:
        raise MemberNotFoundError(f"no member of {source.url!r} is matched by {choice.unmatched[0]!r}")


def _from_start(members: Members, choice: Choice) -> Members:
    for entry, pieces in members:
        if not takes(choice, entry):
            continue
        if entry.kind == "hardlink" and not choice.takes(entry.target):
            raise MemberError(
                f"{shown(entry.name)} is a hard link to {shown(entry.target)}, which stands before it in an archive "
                "that is read from its start: take that along, too"
            )
        yield entry, pieces
