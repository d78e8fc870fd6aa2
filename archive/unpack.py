"""From an archive to a directory. One of the two edges of the package that touch the disk.

Strategy: everything is written into a new hidden directory, links last, so nothing is ever written through a link; it
gets its real name once the whole stream has been read and found sound. On any failure it is removed.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from .checked import Checked
from .errors import DestinationExistsError, UnsafeArchiveError
from .gzip import gunzip_ahead
from .leftovers import abandoned
from .limits import Budget, Limits, Room
from .partial import Partial
from .removal import OPEN_DIRECTORY
from .tree import Entry
from .untar import untar
from .writing import Writer

Members = Iterable[tuple[Entry, Iterable[bytes | memoryview]]]

_LONGEST_PATH = 4095


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was unpacked: the directory, the number of members, the bytes of content.

    ``cleared`` are the directories that runs with the same target had left when they were killed, and that were removed
    first.
    """

    directory: str
    members: int
    bytes: int
    cleared: tuple[str, ...] = ()


def unpack(chunks: Iterable[bytes], directory: str | os.PathLike[str], *, limits: Limits | None = None) -> Unpacked:
    """Extracts a ``.tar.gz`` stream into ``directory``, which is new or empty.

    Content, names, links, executable bits and times are restored; owners are not. ``chunks`` is read to its end, and
    an exception that it raises there undoes everything.

    The directory is as it was, or has everything: it gets its name by one rename, or if it is a mount, the working
    directory, or not like one that this process would make, by one for each member at its top, which are undone if that
    is interrupted. What a killed run left beside it is removed and named (``Unpacked.cleared``).

    Raises ``DestinationExistsError`` before anything is read; ``CorruptArchiveError``, ``UnsafeArchiveError`` (a member
    that would leave the directory, a link that leads out, a device, duplicate or contradicting members) or
    ``LimitExceededError`` (``limits``, or the free disk); ``DestinationChangedError`` if somebody else interferes. Then
    nothing is left behind.
    """
    counted = _Counted(chunks)
    with closing(gunzip_ahead(counted)) as content:
        return _unpacked(untar(content), directory, limits or Limits(), lambda: counted.size)


def extract(
    members: Members,
    directory: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    compressed: Callable[[], int] | None = None,
) -> Unpacked:
    """What ``unpack`` does, with members from elsewhere; each content is read before the next is asked for.

    Content that is not as long as its entry says is a ``CorruptArchiveError``. ``Limits.ratio`` is of the bytes that
    ``compressed`` says were read so far; it plays no part without.
    """
    return _unpacked(members, directory, limits or Limits(), compressed)


def check_destination(directory: str | os.PathLike[str]) -> tuple[str, bool]:
    """The real path to unpack into, and whether there is an empty directory there already.

    What a killed run left in it does not count. Raises ``DestinationExistsError`` for a directory that is not empty,
    and for anything else that is there; ``ValueError`` for an empty path.
    """
    if not os.fspath(directory):
        raise ValueError("the directory to unpack into has no name: name a new one, or '.'")
    target = os.path.realpath(directory)
    if not os.path.lexists(target):
        return target, False
    if not os.path.isdir(target):
        raise DestinationExistsError(f"{target!r} exists and is not an empty directory: name a new one")
    held = sorted(os.listdir(target))
    if held:
        place = os.open(target, OPEN_DIRECTORY)
        try:
            left = {name for name, _ in abandoned(place, os.path.basename(target))}
        finally:
            os.close(place)
        for name in held:
            if name not in left:
                raise DestinationExistsError(
                    f"{target!r} exists and is not an empty directory: name a new one (it holds {name!r})"
                )
    return target, True


class _Counted:
    """Passes chunks through, and counts their bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.size += len(chunk)
            yield chunk


def _unpacked(
    members: Members, directory: str | os.PathLike[str], limits: Limits, compressed: Callable[[], int] | None
) -> Unpacked:
    target, _ = check_destination(directory)
    partial = Partial(target)
    try:
        partial.make()
        budget = Budget(limits, _room(partial), compressed)
        _fill(partial.descriptor, members, budget)
        partial.finish()
        return Unpacked(target, budget.members, budget.bytes, tuple(partial.cleared))
    except BaseException as error:
        try:
            partial.discard()
        except OSError as failure:
            error.add_note(f"not all that was unpacked could be removed again: {failure}")
        raise
    finally:
        partial.close()


def _room(partial: Partial) -> Room:
    disk = os.fstatvfs(partial.descriptor)
    members = disk.f_favail if disk.f_files else None
    return Room(disk.f_bavail * disk.f_frsize, members, _LONGEST_PATH - len(os.fsencode(partial.target)) - 1)


def _fill(directory: int, members: Members, budget: Budget) -> None:
    checked = Checked()
    writer = Writer(directory, budget.spend)
    has_root = False
    try:
        for entry, content in members:
            if not entry.name:
                _check_root(entry, has_root=has_root)
                has_root = True
                continue
            budget.check_name(entry.name)
            placed = checked.admit(entry)
            budget.take(entry, placed)
            writer.make(placed, entry, content)
        checked.check_links()
        writer.finish(checked.links, checked.directories)
    finally:
        writer.close()


def _check_root(entry: Entry, *, has_root: bool) -> None:
    if entry.kind != "directory":
        raise UnsafeArchiveError(f"the archive's root is a {entry.kind}")
    if has_root:
        raise UnsafeArchiveError("there are two members '.'")
