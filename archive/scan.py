"""From a path to a tree. One of the two edges of the package that touch the disk.

Strategy: the walk never follows what it was not told to: each directory is opened relative to its parent with
``O_NOFOLLOW``. A file is read later, by path, and must then be the very inode that was scanned, unchanged before and
after; whatever was put in its place is a ``SourceChangedError``.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Literal

from .errors import SourceChangedError, SourceError, SourceNotFoundError
from .links import Links
from .selection import Selection, State, without_empty
from .tree import Entry, Origin, Tree

Symlinks = Literal["inside", "follow", "skip", "error"]
Special = Literal["error", "skip"]

_CHUNK = 1 << 18
_LONGEST_PATH = 4095
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def scan(
    source: str | os.PathLike[str],
    *,
    symlinks: Symlinks = "inside",
    special: Special = "error",
    selection: Selection | None = None,
) -> Tree:
    """The tree at ``source``; a single file is a tree of one. ``source`` itself may be a link.

    ``symlinks``: ``"inside"`` keeps the links that stay in the source and raises for one that leads out,
    ``"follow"`` puts what they lead to in their place, ``"skip"`` leaves them out, ``"error"`` raises.
    ``special``: what becomes of sockets, FIFOs and devices. What is left out is named in ``Tree.skipped``. Of a
    directory, what ``selection`` leaves out is not looked at, and named in ``Tree.excluded``.

    Raises ``ValueError`` for a source that is an empty text, ``SourceNotFoundError``, or ``SourceError`` for what
    cannot be packed: an unreadable file or directory, a special file, a link that is not allowed, or no file at all if
    there is a ``selection``.
    """
    check_choices(symlinks, special)
    if not os.fspath(source):
        raise ValueError("the source is empty: name the file or directory to publish, or '.' for the current directory")
    root = os.path.join(os.getcwd(), os.fspath(source))
    try:
        status = os.stat(root)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceNotFoundError(f"there is nothing at {root!r}: name the file or directory to publish") from None
    except OSError as error:
        raise _failed(root, error) from error
    if stat.S_ISDIR(status.st_mode):
        walk = _Walk(root, symlinks, special, selection)
        entries = without_empty(tuple(walk.entries()), walk.undecided)
        if selection is not None and not any(entry.kind == "file" for entry in entries):
            raise _nothing_left(root)
        if symlinks == "inside":
            _check_links(entries, root)
        read = _reader(root, follow=symlinks == "follow")
        return Tree(entries, read, tuple(walk.skipped), tuple(walk.excluded))
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{root!r} is {_what(status.st_mode)}, and only files and directories can be published")
    if not os.access(root, os.R_OK, effective_ids=True):
        raise _unreadable(root)
    directory, name = os.path.split(root)
    if selection is not None and not selection.state(name, within=selection.root):
        raise _nothing_left(root)
    return Tree((_file(name, name, status),), _reader(directory, follow=True))


def _nothing_left(root: str) -> SourceError:
    return SourceError(f"the patterns let no file of {root!r} go along: correct what to include and exclude")


def check_choices(symlinks: str, special: str) -> None:
    """Raises ``ValueError`` for what is no choice of ``scan``'s."""
    _check_choice("symlinks", symlinks, ("inside", "follow", "skip", "error"))
    _check_choice("special", special, ("error", "skip"))


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{option}={value!r} is no choice: use one of {', '.join(choices)}")


class _Walk:
    """One pass over the directories, deepest open last; what was left out, and why, fills while it goes."""

    def __init__(self, root: str, symlinks: Symlinks, special: Special, selection: Selection | None) -> None:
        self.root = root
        self.symlinks = symlinks
        self.special = special
        self.skipped: list[str] = []
        self.selection = selection
        self.excluded: list[str] = []
        self.undecided: set[str] = set()
        self.nofollow = 0 if symlinks == "follow" else os.O_NOFOLLOW
        self.roots = (os.path.abspath(root), os.path.realpath(root))
        self.room = _LONGEST_PATH - len(os.fsencode(os.path.join(root, "")))
        self.user = os.geteuid()

    def entries(self) -> Iterator[Entry]:
        state = self.selection.root if self.selection else True
        open_directories = [self._open(self.root, "", None, state)]
        try:
            while open_directories:
                descriptor, prefix, pending, within, _ = open_directories[-1]
                if not pending:
                    os.close(open_directories.pop()[0])
                    continue
                found = pending.pop()
                name = prefix + found.name
                state = self._state(self.selection, found, name, within) if self.selection else True
                entry = self._entry(found, descriptor, name) if state is not False else None
                if entry is None:
                    continue
                yield entry
                if entry.kind == "directory":
                    open_directories.append(self._open(found.name, entry.name, descriptor, state))
                    self._check_loop(entry.name, [identity for *_, identity in open_directories])
        finally:
            for descriptor, *_ in open_directories:
                os.close(descriptor)

    def _state(self, selection: Selection, found: os.DirEntry[str], name: str, within: State) -> State:
        """What becomes of ``name``; it is noted, unless it simply goes along."""
        try:
            is_directory = found.is_dir(follow_symlinks=self.symlinks == "follow")
        except OSError:  # a link to nowhere that can be reached, which is an error only if it goes along
            is_directory = False
        state = selection.state(name, within=within, is_directory=is_directory)
        if state is None and is_directory:
            self.undecided.add(name)
        elif not state:
            self.excluded.append(f"{name}/" if is_directory else name)
            return False
        return state

    def _open(
        self, path: str, name: str, parent: int | None, state: State
    ) -> tuple[int, str, list[os.DirEntry[str]], State, tuple[int, int]]:
        try:
            descriptor = os.open(path, _OPEN_DIRECTORY | (self.nofollow if name else 0), dir_fd=parent)
        except PermissionError:
            raise _unreadable(self._path(name)) from None
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                raise SourceChangedError(f"the directory {name!r} changed while it was scanned") from error
            raise _failed(self._path(name), error) from error
        try:
            with os.scandir(descriptor) as listing:
                pending = sorted(listing, key=lambda found: os.fsencode(found.name), reverse=True)
            status = os.fstat(descriptor)
        except OSError as error:
            os.close(descriptor)
            raise _failed(self._path(name), error) from error
        return descriptor, f"{name}/" if name else "", pending, state, (status.st_dev, status.st_ino)

    def _path(self, name: str) -> str:
        return os.path.join(self.root, name) if name else self.root

    def _entry(self, found: os.DirEntry[str], parent: int, name: str) -> Entry | None:
        if len(os.fsencode(name)) > self.room:
            raise SourceError(f"the path {name[:80]!r}… is longer than {_LONGEST_PATH} bytes")
        status = self._status(found, name)
        mode = status.st_mode
        if stat.S_ISREG(mode):
            own = status.st_uid == self.user and mode & stat.S_IRUSR
            if not own and not os.access(found.name, os.R_OK, dir_fd=parent, effective_ids=True):
                raise _unreadable(self._path(name))
            return _file(name, name, status)
        if stat.S_ISDIR(mode):
            return Entry(name, "directory", mtime=status.st_mtime_ns // 10**9)
        if stat.S_ISLNK(mode):
            return self._link(found, parent, name, status)
        if self.special == "error":
            raise SourceError(f'{name!r} is {_what(mode)}: remove it, or choose special="skip"')
        self.skipped.append(name)
        return None

    def _status(self, found: os.DirEntry[str], name: str) -> os.stat_result:
        follow = self.symlinks == "follow"
        try:
            return found.stat(follow_symlinks=follow)
        except FileNotFoundError:
            if follow and found.is_symlink():
                raise SourceError(f'the link {name!r} leads nowhere: remove it, or choose symlinks="skip"') from None
            raise SourceChangedError(f"{name!r} disappeared while it was scanned") from None
        except OSError as error:
            raise _failed(self._path(name), error) from error

    def _link(self, found: os.DirEntry[str], parent: int, name: str, status: os.stat_result) -> Entry | None:
        if self.symlinks == "error":
            raise SourceError(f"{name!r} is a symbolic link: remove it, or choose another symlinks=")
        if self.symlinks == "skip":
            self.skipped.append(name)
            return None
        try:
            target = os.readlink(found.name, dir_fd=parent)
        except OSError as error:
            raise SourceChangedError(f"the link {name!r} changed while it was scanned") from error
        for root in self.roots:
            if target == root or target.startswith(f"{root}/"):
                target = "../" * name.count("/") + (target[len(root) :].lstrip("/") or ".")
                break
        return Entry(name, "symlink", mtime=status.st_mtime_ns // 10**9, target=target)

    def _check_loop(self, name: str, identities: list[tuple[int, int]]) -> None:
        if identities[-1] in identities[:-1]:
            raise SourceError(
                f'the link {name!r} leads to a directory that holds it: remove it, or choose symlinks="skip"'
            )


def _file(name: str, path: str, status: os.stat_result) -> Entry:
    return Entry(
        name,
        "file",
        status.st_size,
        status.st_mtime_ns // 10**9,
        bool(status.st_mode & stat.S_IXUSR),
        origin=Origin(path, status.st_dev, status.st_ino, status.st_mtime_ns),
    )


def _check_links(entries: tuple[Entry, ...], root: str) -> None:
    symlinks = [(entry.name, entry.target) for entry in entries if entry.kind == "symlink"]
    links = Links(symlinks)
    for name, target in symlinks:
        if links.leads_out(name, target):
            raise SourceError(
                f"the link {name!r} -> {target!r} leads out of {root!r}: remove it, "
                'or choose symlinks="follow" or "skip"'
            )


def _reader(root: str, *, follow: bool) -> Callable[[Entry], Iterator[bytes]]:
    flags = _OPEN_FILE if follow else _OPEN_FILE | os.O_NOFOLLOW
    prefix = os.path.join(root, "")

    def read(entry: Entry) -> Iterator[bytes]:
        origin = entry.origin
        if origin is None:
            raise ValueError(f"{entry.name!r} is no file of this tree")
        path = prefix + origin.path
        expected = (origin.device, origin.inode, entry.size, origin.mtime_ns)
        try:
            descriptor = os.open(path, flags)
        except PermissionError:
            raise _unreadable(path) from None
        except OSError as error:
            raise _changed(path) from error
        try:
            if _identity(os.fstat(descriptor)) != expected:
                raise _changed(path)
            left = entry.size
            while left:
                chunk = os.read(descriptor, min(left, _CHUNK))
                if not chunk:
                    raise _changed(path)
                left -= len(chunk)
                if not left and _now(path, follow=follow) != expected:
                    raise _changed(path)
                yield chunk
        finally:
            os.close(descriptor)

    return read


def _now(path: str, *, follow: bool) -> tuple[int, int, int, int] | None:
    try:
        return _identity(os.stat(path, follow_symlinks=follow))
    except OSError:
        return None


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: str) -> SourceChangedError:
    return SourceChangedError(
        f"{path!r} changed while it was packed, so nothing was published: publish once the job has stopped writing"
    )


def _unreadable(path: str) -> SourceError:
    return SourceError(errno.EACCES, "cannot be read: give this user the permission to read it, or remove it", path)


def _failed(path: str, error: OSError) -> SourceError:
    hint = ": raise the limit of open files (ulimit -n)" if error.errno in {errno.EMFILE, errno.ENFILE} else ""
    return SourceError(error.errno, f"cannot be read ({error.strerror}){hint}", path)


def _what(mode: int) -> str:
    kinds = {stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "a special file")
