"""From an archive to a directory. One of the two edges of the package that touch the disk.

Strategy: everything is written into a new directory of a random name, links last, so nothing is ever written through a
link; it gets its real name once the whole stream has been read and found sound. On any failure it is removed.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from .errors import DestinationExistsError, LimitExceededError, UnsafeArchiveError
from .gzip import gunzip_ahead
from .tree import Entry
from .untar import Checked, untar

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DISK_REFUSES = {
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EMLINK,
    errno.EEXIST,  # two names that are one to a disk without regard to case
    errno.EILSEQ,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an archive may hold: ``members``, and ``bytes`` of content. ``None`` leaves it to the disk."""

    members: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was unpacked: the directory, the number of members, the bytes of content."""

    directory: str
    members: int
    bytes: int


def unpack(chunks: Iterable[bytes], directory: str | os.PathLike[str], *, limits: Limits | None = None) -> Unpacked:
    """Extracts a ``.tar.gz`` stream into ``directory``, which is new or empty.

    Content, names, links, executable bits and times are restored; owners are not. ``chunks`` is read to its end, and
    an exception that it raises there undoes everything.

    Raises ``DestinationExistsError`` before anything is read; ``CorruptArchiveError``, ``UnsafeArchiveError`` (a member
    that would leave the directory, a link that leads out, a device, duplicate or contradicting members) or
    ``LimitExceededError`` (``limits``, or the free disk), and nothing is left behind.
    """
    with closing(gunzip_ahead(chunks)) as content:
        return extract(untar(content), directory, limits=limits)


def extract(
    members: Iterable[tuple[Entry, Iterable[bytes | memoryview]]],
    directory: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
) -> Unpacked:
    """What ``unpack`` does, with members from elsewhere; each content is read before the next is asked for."""
    target, exists = check_destination(directory)
    holder = target if exists else _existing_ancestor(target)
    partial = os.path.join(holder, f".keystow-{os.urandom(8).hex()}.partial")
    os.mkdir(partial)
    try:
        count, size = _extract(members, partial, limits or Limits())
        if exists:
            for name in os.listdir(partial):
                os.rename(os.path.join(partial, name), os.path.join(target, name))
            os.rmdir(partial)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.rename(partial, target)
    except BaseException:
        _remove(partial)
        raise
    return Unpacked(target, count, size)


def check_destination(directory: str | os.PathLike[str]) -> tuple[str, bool]:
    """The real path to unpack into, and whether there is an empty directory there already.

    Raises ``DestinationExistsError`` for a directory that is not empty, and for anything else that is there.
    """
    target = os.path.realpath(directory)
    exists = os.path.lexists(target)
    if exists and not (os.path.isdir(target) and not os.listdir(target)):
        raise DestinationExistsError(f"{target!r} exists and is not an empty directory: name a new one")
    return target, exists


def _existing_ancestor(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _remove(directory: str) -> None:
    """Removes ``directory`` however deep it goes: ``shutil.rmtree`` gives up after some thousand levels."""
    pending = [directory]
    while pending:
        with os.scandir(pending[-1]) as listing:
            found = list(listing)
        directories = [child.path for child in found if child.is_dir(follow_symlinks=False)]
        for child in found:
            if not child.is_dir(follow_symlinks=False):
                os.unlink(child.path)
        if directories:
            pending.extend(directories)
        else:
            os.rmdir(pending.pop())


def _check_disk(name: str, error: OSError) -> None:
    if error.errno in _DISK_REFUSES:
        raise LimitExceededError(f"the disk cannot hold the member {name[:200]!r}: {error.strerror}") from error


class _Budget:
    """Counts members and bytes, and refuses the one that is too many before it is written."""

    def __init__(self, limits: Limits, path: str) -> None:
        disk = os.statvfs(path)
        self._limits = limits
        self._free_bytes = disk.f_bavail * disk.f_frsize
        self._free_members = disk.f_favail if disk.f_files else None
        self.members = 0
        self.bytes = 0

    def take(self, entry: Entry, implied: int) -> None:
        self.members += 1 + implied
        self.bytes += entry.size
        self._check("members", self.members, self._limits.members, self._free_members)
        self._check("bytes", self.bytes, self._limits.bytes, self._free_bytes)

    @staticmethod
    def _check(what: str, used: int, limit: int | None, free: int | None) -> None:
        if limit is not None and used > limit:
            raise LimitExceededError(f"the archive holds more than {limit} {what}: raise Limits({what}=…)")
        if free is not None and used > free:
            raise LimitExceededError(f"the archive holds more than the {free} {what} that the disk has room for")


def _extract(
    members: Iterable[tuple[Entry, Iterable[bytes | memoryview]]], root: str, limits: Limits
) -> tuple[int, int]:
    checked = Checked()
    budget = _Budget(limits, root)
    directories: list[Entry] = []
    symlinks: list[Entry] = []
    for entry, content in members:
        if not entry.name:
            _check_root(entry)
            continue
        implied = checked.admit(entry)
        budget.take(entry, len(implied))
        if entry.kind == "symlink":
            symlinks.append(entry)
        elif entry.kind == "directory":
            directories.append(entry)
        _make(root, entry, content, implied)
    checked.check_links()
    for entry in symlinks:
        path = f"{root}/{entry.name}"
        try:
            os.symlink(entry.target, path)
        except OSError as error:
            _check_disk(entry.name, error)
            raise
        os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)
    for entry in reversed(directories):
        os.utime(f"{root}/{entry.name}", (entry.mtime, entry.mtime))
    return budget.members, budget.bytes


def _make(root: str, entry: Entry, content: Iterable[bytes | memoryview], implied: Iterable[str]) -> None:
    """Makes the directories that ``entry`` implies, and what it is; a symbolic link has to wait."""
    path = f"{root}/{entry.name}"
    descriptor = None
    try:
        for name in implied:
            os.mkdir(f"{root}/{name}")
        if entry.kind == "file":
            descriptor = os.open(path, _NEW_FILE, 0o777 if entry.executable else 0o666)
        elif entry.kind == "directory":
            _make_directory(path)
        elif entry.kind == "hardlink":
            os.link(f"{root}/{entry.target}", path)
    except OSError as error:
        _check_disk(entry.name, error)
        raise
    if descriptor is not None:
        _fill(descriptor, entry, content)


def _check_root(entry: Entry) -> None:
    if entry.kind != "directory":
        raise UnsafeArchiveError(f"the archive's root is a {entry.kind}")


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def _fill(descriptor: int, entry: Entry, content: Iterable[bytes | memoryview]) -> None:
    try:
        for piece in content:
            left = memoryview(piece)
            while left:
                try:
                    written = os.write(descriptor, left)
                except OSError as error:
                    _check_disk(entry.name, error)
                    raise
                left = left[written:]
        os.utime(descriptor, (entry.mtime, entry.mtime))
    finally:
        os.close(descriptor)
