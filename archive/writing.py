"""Members made in an open directory, each relative to the descriptor of the one that it lies in.

Strategy: nothing is looked up from the root of the disk. A directory that was made is known by its inode. Few are open
at a time; another one is opened by its path from an open one that holds it, and must still be what was made. Links come
last, so that no path leads through one.
"""

import errno
import os
from collections.abc import Callable, Iterable, Sequence

from .checked import Directory, Link, Placed, path
from .errors import CorruptArchiveError, DestinationChangedError, LimitExceededError, shown
from .tree import Entry

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC  # O_EXCL follows no link either (open(2))
_OPEN_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 16
_DISK_REFUSES = {
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EMLINK,
    errno.EEXIST,  # two names that are one to a disk without regard to case
    errno.EILSEQ,
}


class Writer:
    """Makes members in the directory that is open as ``root``, and stays so.

    ``spend`` is told of each piece of content, in bytes, before it is written.
    """

    def __init__(self, root: int, spend: Callable[[int], None]) -> None:
        self._root = root
        self._device = os.fstat(root).st_dev
        self._spend = spend
        self._open: dict[Directory, int] = {}  # the one that was used last stands last
        self._last: tuple[Directory | None, int] = None, root

    def make(self, placed: Placed, entry: Entry, content: Iterable[bytes | memoryview]) -> None:
        """Makes the directories that are missing for the member, and what it is; a symbolic link has to wait."""
        descriptor = None
        try:
            for directory in placed.missing:
                self._make_directory(directory)
            if entry.kind == "file":
                mode = 0o777 if entry.executable else 0o666
                descriptor = os.open(placed.name, _NEW_FILE, mode, dir_fd=self._descriptor(placed.directory))
            elif placed.source is not None:
                above, name = placed.source
                source, here = self._descriptor(above), self._descriptor(placed.directory)
                os.link(name, placed.name, src_dir_fd=source, dst_dir_fd=here, follow_symlinks=False)
        except OSError as error:
            _check_disk(entry.name, error)
            raise
        if descriptor is not None:
            self._fill(descriptor, entry, content)

    def finish(self, links: Iterable[Link], directories: Sequence[Directory]) -> None:
        """Makes the symbolic links, and then gives directories their times, as nothing changes them any more."""
        for link in links:
            here = self._descriptor(link.directory)
            try:
                os.symlink(link.target, link.name, dir_fd=here)
            except OSError as error:
                _check_disk(path(link.directory, link.name), error)
                raise
            os.utime(link.name, (link.mtime, link.mtime), dir_fd=here, follow_symlinks=False)
        for directory in reversed(directories):
            if directory.parent is not None and directory.mtime is not None:
                here = self._descriptor(directory.parent)
                times = directory.mtime, directory.mtime
                os.utime(directory.name, times, dir_fd=here, follow_symlinks=False)

    def close(self) -> None:
        """Closes the directories that were opened on the way."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _make_directory(self, directory: Directory) -> None:
        if directory.parent is None:
            return
        above = self._descriptor(directory.parent)
        os.mkdir(directory.name, dir_fd=above)
        opened = os.open(directory.name, _OPEN_DIRECTORY, dir_fd=above)
        self._keep(directory, opened)
        directory.inode = os.fstat(opened).st_ino

    def _fill(self, descriptor: int, entry: Entry, content: Iterable[bytes | memoryview]) -> None:
        """Writes the content, which has to be as long as was announced."""
        left = entry.size
        try:
            for piece in content:
                size = len(piece)
                left -= size
                if left < 0:
                    break
                self._spend(size)
                written = _write(descriptor, piece, entry.name)
                while written < size:
                    written += _write(descriptor, memoryview(piece)[written:], entry.name)
            if left:
                what = "fewer" if left > 0 else "more"
                raise CorruptArchiveError(
                    f"the member {shown(entry.name)} holds {what} bytes than the {entry.size} that it announces"
                )
            os.utime(descriptor, (entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def _descriptor(self, directory: Directory) -> int:
        """``directory``, open for as long as not many others are asked for."""
        last, found = self._last
        if directory is last:
            return found
        if directory.parent is None:
            return self._root
        if directory in self._open:
            found = self._open.pop(directory)
            self._keep(directory, found)
            return found
        names: list[bytes] = []
        above = directory
        while above.parent is not None and above not in self._open:
            names.append(above.name)
            above = above.parent
        start = self._open.get(above, self._root)
        found = os.open(b"/".join(reversed(names)), _OPEN_DIRECTORY, dir_fd=start)
        self._keep(directory, found)
        status = os.fstat(found)
        if (status.st_dev, status.st_ino) != (self._device, directory.inode):
            raise DestinationChangedError(f"somebody replaced {directory.name!r} while the archive was unpacked")
        return found

    def _keep(self, directory: Directory, descriptor: int) -> None:
        self._open[directory] = descriptor
        self._last = directory, descriptor
        if len(self._open) > _MOST_OPEN:
            os.close(self._open.pop(next(iter(self._open))))


def _write(descriptor: int, piece: bytes | memoryview, name: str) -> int:
    try:
        return os.write(descriptor, piece)
    except OSError as error:
        _check_disk(name, error)
        raise


def _check_disk(name: str, error: OSError) -> None:
    if error.errno in _DISK_REFUSES:
        raise LimitExceededError(f"the disk cannot hold the member {shown(name)}: {error.strerror}") from error
