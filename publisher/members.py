"""Members of an archive, or files of a prefix: which there are, those that patterns choose, and the content of one."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import tee
from typing import NamedTuple

from .archive import CorruptArchiveError, Entry, Limits, UnsafeArchiveError
from .archive.beside import Beside, NotInBlocksError
from .archive.errors import shown
from .archive.gzidx import gzidx
from .archive.gzip import gunzip_ahead
from .archive.index import Index
from .archive.limits import Passing
from .archive.page import Member
from .archive.selection import Choice
from .archive.sequential import SequentialBeside
from .archive.untar import untar
from .checksum import Checksum
from .errors import MemberError, MemberIsDirectoryError, MemberNotFoundError, ResultError
from .files import Files
from .indexed import Source
from .reading import Hashed, check_limit, explained, useful

_PIECE = 1 << 20

Members = Iterator[tuple[Entry, Iterator[bytes | memoryview]]]


@contextmanager
def chosen(source: Source, choice: Choice, limits: Limits) -> Iterator[Members]:
    """The members that go along with their contents, each of which is read before the next is asked for.

    A hard link to a file that does not go along is that file. They end with ``MemberNotFoundError`` if there is none
    for one of the patterns, and with ``LimitExceededError`` before ``limits`` are passed by what is read: by an index,
    these members, or names of all, and from the start, all.
    """
    if source.index is not None:
        with source.explained(), closing(_by_index(source.index, choice, limits)) as members:
            yield _matched(source, choice, _passing(source, members, limits))
    else:
        with _members_from_start(source, limits) as members:
            yield _matched(source, choice, _from_start(members, choice))


def _matched(source: Source, choice: Choice, members: Members) -> Members:
    yield from members
    _check_matched(source, choice)


def _by_index(
    index: Index, choice: Choice, limits: Limits
) -> Generator[tuple[Entry, Iterator[bytes | memoryview]], None, None]:
    written: Iterable[tuple[Entry, Member]]
    written = (_as_written(index, member, choice) for member in _found(index, choice, limits))
    if index.is_sequential:  # in the order in which that is read once
        written = sorted(written, key=lambda pair: pair[1].at)
    for_entry, for_content = tee(written)
    contents = index.contents(member for _, member in for_content)
    for (_, content), (entry, _) in zip(contents, for_entry, strict=False):
        yield entry, content


def _found(index: Index, choice: Choice, limits: Limits) -> Iterator[Member]:
    """The members that go along, looked for one by one where only names are given, and none is a directory's."""
    if choice.names is not None and index.is_sorted:
        found = {name: index.find(name) for name in choice.names}
        members = [member for member in found.values() if member and member.entry.kind != "directory"]
        if len(members) == len(found):
            members.sort(key=lambda member: member.at)
            yield from (member for member in members if choice.takes(member.entry.name))
            return
    _check_count(index, limits)
    yield from (member for member in index if takes(choice, member.entry))


def _check_count(index: Index, limits: Limits) -> None:
    """Raises ``LimitExceededError`` if there are too many members to read the names of all."""
    check_limit("members", index.members, limits.members)


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
        raise _leads_nowhere(link.entry)
    return target


def gzidx_of(source: Source) -> bytes:
    """The index in the form of indexed_gzip and rapidgzip. Raises ``ResultError`` for an archive without one."""
    if source.index is not None and source.index.is_sequential:
        raise ResultError(f"of {source.url!r} no such index can be written: it inflates only from its start")
    if source.index is None or source.size is None:
        why = "its result proves only all of it" if source.proven else source.lack
        advice = "these tools make one of such an archive themselves, as they read it"
        raise ResultError(f"the index of {source.url!r} cannot be written in another form, as {why}: {advice}")
    with source.explained():
        return gzidx(source.size, source.index.tar_size, list(source.index.all_blocks()))


class Made(NamedTuple):
    """An index that was made: its pieces, the SHA-256 of the archive, and whether that inflates only from its start."""

    pieces: Sequence[bytes]
    checksum: Checksum
    is_sequential: bool


def index_of(source: Source, limits: Limits | None = None) -> Made:
    """The index of an archive without one, which is read whole.

    One that does not consist of blocks as keystow makes them is read once more, and its index tells of blocks that
    inflate one after the other. Raises ``ResultError`` for an archive that has an index, or of which none can tell,
    ``LimitExceededError`` before ``limits`` are passed by what it holds, ``VerificationError`` and ``ArchiveError``.
    """
    if source.index is not None:
        raise _not_indexed(source, "it has an index already, behind its data")
    limits = limits or Limits()
    with suppress(NotInBlocksError, CorruptArchiveError, UnsafeArchiveError):
        return _made(source, limits, Beside)
    try:
        return _made(source, limits, SequentialBeside)
    except NotInBlocksError as error:
        raise _not_indexed(source, str(error)) from None


def _made(source: Source, limits: Limits, kind: type[Beside | SequentialBeside]) -> Made:
    with source.whole() as content:
        check = _check(source, content, limits)
        try:
            with (
                explained(check),
                closing(kind(content)) as beside,
                closing(beside.members()) as members,
            ):
                for _ in _passing(source, members, limits):
                    pass
        except NotInBlocksError:
            if check is not None and kind is SequentialBeside:
                check()
            raise
        made = beside.finish()
        if made is None:
            raise _not_indexed(source, "it would be too long to be read, or a name is there twice")
        return Made(made.pieces, content.checksum(), kind is SequentialBeside)


def _not_indexed(source: Source, why: str) -> ResultError:
    return ResultError(f"no index is made of {source.url!r}: {why}")


def _leads_nowhere(link: Entry) -> UnsafeArchiveError:
    return UnsafeArchiveError(f"the hard link {shown(link.name)} leads to no file of the archive")


def list_members(source: Source | Files, choice: Choice | None = None, limits: Limits | None = None) -> Iterator[Entry]:
    """The entries, or those that go along; of what is read from its start, once all is read.

    Raises ``MemberNotFoundError`` and ``LimitExceededError`` as ``chosen`` does.
    """
    limits = limits or Limits()
    if isinstance(source, Files):
        yield from (item.entry for item in source.items(choice))
        return
    if source.index is None:
        yield from _listed_from_start(source, choice, limits)
    else:
        _check_count(source.index, limits)
        with source.explained():
            yield from (entry for entry in entries(source.index) if choice is None or takes(choice, entry))
    _check_matched(source, choice)


def _listed_from_start(source: Source, choice: Choice | None, limits: Limits) -> list[Entry]:
    found: list[Entry] = []
    seen: set[str] = set()
    with _members_from_start(source, limits) as members:
        for entry, _ in members:
            _check_new(entry.name, seen)
            if entry.name and (choice is None or takes(choice, entry)):
                found.append(entry)
    return found


def read_member(source: Source | Files, name: str, limits: Limits | None = None) -> Iterator[bytes | memoryview]:
    """The content of a file, in pieces, none of which is given before it is proved, if anything proves it.

    What is read from its start is held in a file until then, as is an object of a prefix; ``limits`` are those of
    ``chosen``. Raises ``MemberError``.
    """
    limits = limits or Limits()
    if isinstance(source, Files):
        yield from source.read(name)
        return
    if source.index is None:
        yield from _read_from_start(source, name, limits)
        return
    if not source.index.is_sorted:
        _check_count(source.index, limits)
    with source.explained(), closing(source.index.contents([file_of(source, source.index, name)])) as members:
        for _, content in _passing(source, members, limits):
            yield from content


def _read_from_start(source: Source, name: str, limits: Limits) -> Iterator[bytes | memoryview]:
    found = yield from _file_from_start(source, name, limits)
    if found is None:
        raise _no_such(source, name)
    _check_file(found)
    if found.kind == "hardlink":
        target = yield from _file_from_start(source, found.target, limits)
        if target is None or target.kind != "file":
            raise _leads_nowhere(found)


def _file_from_start(source: Source, name: str, limits: Limits) -> Generator[bytes | memoryview, None, Entry | None]:
    """The content of the member of that name, and then its entry, if there is one: only a file has any content."""
    from tempfile import TemporaryFile

    found: Entry | None = None
    with TemporaryFile() as held:
        with _members_from_start(source, limits) as members:
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
        held.seek(0)
        yield from iter(partial(held.read, _PIECE), b"")
    return found


@contextmanager
def _members_from_start(source: Source, limits: Limits) -> Iterator[Members]:
    """All members, with what says why they cannot be read: it may be another object than the published one."""
    with (
        source.whole() as content,
        explained(_check(source, content, limits)),
        closing(gunzip_ahead(content)) as chunks,
    ):
        yield _passing(source, untar(chunks), limits)


def _check(source: Source, content: Hashed, limits: Limits) -> Callable[[], None] | None:
    """Compares, once what can be of use of the rest is read, if there is anything to compare with."""
    if content.expected is None:
        return None
    return partial(content.drain, min(source.most, useful(limits)))


def _passing(source: Source, members: Members, limits: Limits) -> Members:
    """``members``, up to the first with which there is more than ``limits`` allow for what was read."""
    passing = Passing(limits, source.bytes_read)
    for entry, content in members:
        passing.take(entry)
        pieces = _spent(content, passing)
        yield entry, pieces
        for _ in pieces:
            pass


def _spent(pieces: Iterator[bytes | memoryview], passing: Passing) -> Iterator[bytes | memoryview]:
    for piece in pieces:
        passing.spend(len(piece))
        yield piece


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
