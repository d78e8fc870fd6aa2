"""The directory that is filled under a hidden name, and gets its own in one step once all is found sound.

Strategy: it lies beside its target, is made so that nobody else may enter it, and is held by its descriptor: from then
on names are looked up in open directories alone, and what a name leads to must be what was made. Where a rename cannot
or should not take the place of an empty directory that is there, it lies inside that one, and what it holds is moved up
piece by piece, which an exception undoes.
"""

import errno
import os
import re
import stat

from .errors import DestinationChangedError, DestinationExistsError
from .leftovers import PRIVATE, clear, hidden_name, is_private, lock
from .removal import OPEN_DIRECTORY, Identity, empty, identity, is_there

_OPEN_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES = 16
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
_NONE = -1


class Partial:
    """A directory that is to become ``target``, a real path; ``descriptor`` is the open directory to be filled.

    ``cleared`` are the paths of what killed runs with the same target had left.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.descriptor = _NONE
        self.cleared: list[str] = []
        self._name = os.path.basename(target)
        self._parent = _NONE
        self._made_parents: list[str] = []  # outermost first, and the one that is about to be made
        self._next_parent = ""
        self._existing = _NONE
        self._inside = False
        self._hidden = ""
        self._mode = 0
        self._children: dict[str, Identity] = {}

    def make(self) -> None:
        """Makes the directory, and the parents of its target that are missing."""
        self._open_parent()
        self._clear(self._parent, os.path.dirname(self.target))
        try:
            self._existing = os.open(self._name, OPEN_DIRECTORY, dir_fd=self._parent)
        except FileNotFoundError:
            pass
        else:
            self._clear(self._existing, self.target)
            self._inside = _has_to_stay(self._existing, self._parent)
        try:
            self._make_hidden()
        except OSError as error:
            if self._inside or self._existing == _NONE or error.errno not in _NO_RIGHT:
                raise
            self._inside = True
            self._make_hidden()
        if self._existing == _NONE:
            self._mode = _mode_of_new(self.descriptor, 0o777)
        elif not self._inside:
            self._mode = stat.S_IMODE(os.fstat(self._existing).st_mode)
            if _owner(self._existing) != _owner(self.descriptor):
                self._remove_hidden()
                self._inside = True
                self._make_hidden()

    def finish(self) -> None:
        """Gives what was filled its name.

        Raises ``DestinationExistsError`` if something came to stand there, ``DestinationChangedError`` if the name
        does not lead to what was filled.
        """
        expected = identity(self._existing if self._inside else self.descriptor)
        if not is_there(self._hidden, self._place, identity(self.descriptor)):
            raise self._changed()
        try:
            if self._inside:
                self._move_up()
            else:
                if stat.S_IMODE(os.fstat(self.descriptor).st_mode) != self._mode:
                    os.fchmod(self.descriptor, self._mode)
                os.rename(self._hidden, self._name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        except OSError as error:
            if error.errno in _TAKEN:
                raise DestinationExistsError(f"something came to stand at {self.target!r} meanwhile") from error
            raise
        if not is_there(self.target, self._parent, expected):
            raise self._changed()
        if self._inside:
            os.rmdir(self._hidden, dir_fd=self._existing)

    def discard(self) -> None:
        """Removes what was made, wherever ``make`` or ``finish`` stopped."""
        if self._parent == _NONE:
            return
        if self._hidden:
            self._take_back()
            self._remove_hidden()
        self._remove_parents()

    def close(self) -> None:
        """Lets go of all descriptors, and of the lock."""
        for descriptor in (self.descriptor, self._existing, self._parent):
            if descriptor != _NONE:
                os.close(descriptor)

    @property
    def _place(self) -> int:
        """The open directory in which the hidden one lies."""
        return self._existing if self._inside else self._parent

    def _clear(self, place: int, path: str) -> None:
        for name in clear(place, self._name):
            self.cleared.append(os.path.join(path, name))

    def _open_parent(self) -> None:
        path, missing = os.path.dirname(self.target), []
        while self._parent == _NONE:
            try:
                self._parent = os.open(path, _OPEN_PLACE)
            except FileNotFoundError:
                path, name = os.path.split(path)
                missing.append(name)
        for name in reversed(missing):
            self._next_parent = name
            try:
                os.mkdir(name, dir_fd=self._parent)
            except FileExistsError:
                self._next_parent = ""  # somebody else's, as all that stands above it
            inner = os.open(name, _OPEN_PLACE, dir_fd=self._parent)
            made = [*self._made_parents, name] if self._next_parent else []
            outer, self._parent, self._made_parents, self._next_parent = self._parent, inner, made, ""
            os.close(outer)

    def _remove_parents(self) -> None:
        """Removes the parents that were made, up to the first that somebody else uses, too."""
        if self._next_parent:
            _remove_if_empty(self._next_parent, self._parent)
        for name in reversed(self._made_parents):
            inner, self._parent = self._parent, os.open("..", _OPEN_PLACE, dir_fd=self._parent)
            is_same = is_there(name, self._parent, identity(inner))
            os.close(inner)
            if not is_same or not _remove_if_empty(name, self._parent):
                return

    def _make_hidden(self) -> None:
        for _ in range(_TRIES):
            self._hidden = hidden_name(self._name)
            try:
                os.mkdir(self._hidden, PRIVATE, dir_fd=self._place)
            except OSError as error:
                raise OSError(error.errno, error.strerror, self.target) from error
            try:
                self.descriptor = os.open(self._hidden, OPEN_DIRECTORY, dir_fd=self._place)
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    raise
                continue
            ours = _is_new_and_ours(self.descriptor, self._place) and lock(self.descriptor)
            if ours and is_there(self._hidden, self._place, identity(self.descriptor)):
                return
            os.close(self.descriptor)
            self.descriptor = _NONE
        raise self._changed()

    def _remove_hidden(self) -> None:
        directory, self.descriptor = self.descriptor, _NONE
        if directory == _NONE:
            _remove_if_empty(self._hidden, self._place)
            return
        try:
            empty(directory)
            if not is_there(self._hidden, self._place, identity(directory)):
                raise self._changed()
            os.rmdir(self._hidden, dir_fd=self._place)
        finally:
            os.close(directory)

    def _move_up(self) -> None:
        """Moves what was filled into the directory that holds it; what came to stand there meanwhile stays."""
        with os.scandir(self.descriptor) as listing:
            children = [(child.name, child.is_dir(follow_symlinks=False)) for child in listing]
        self._children = {name: _named(name, self.descriptor) for name, _ in children}
        for name, is_directory in children:
            if is_directory:
                os.rename(name, name, src_dir_fd=self.descriptor, dst_dir_fd=self._existing)
            else:
                _rename_without_replacing(name, self.descriptor, self._existing)

    def _take_back(self) -> None:
        """What has its own name already becomes hidden again: whoever is stopped now has left nothing by that name."""
        if self.descriptor == _NONE:
            return
        found = identity(self.descriptor)
        if self._inside:
            self._move_down()
        elif self._name and is_there(self._name, self._parent, found):
            os.fchmod(self.descriptor, PRIVATE)
            os.rename(self._name, self._hidden, src_dir_fd=self._parent, dst_dir_fd=self._parent)
            if self._existing != _NONE:
                _make_directory(self._name, self._mode, self._parent)

    def _move_down(self) -> None:
        moved = [name for name, found in self._children.items() if is_there(name, self._existing, found)]
        if moved and not is_there(self._hidden, self._existing, identity(self.descriptor)):
            os.close(self.descriptor)
            self._make_hidden()
        for name in moved:
            if is_there(name, self.descriptor, self._children[name]):
                os.unlink(name, dir_fd=self._existing)  # a second name of the same file
            else:
                os.rename(name, name, src_dir_fd=self._existing, dst_dir_fd=self.descriptor)

    def _changed(self) -> DestinationChangedError:
        return DestinationChangedError(
            f"somebody else moved or replaced what was to become {self.target!r}: unpack into a directory in which "
            "nobody else may rename"
        )


def _has_to_stay(existing: int, parent: int) -> bool:
    """Whether an empty directory cannot be replaced, or is where somebody stands who would not see it happen."""
    return identity(existing) == _named(".", None) or _mount(existing) != _mount(parent)


def _mount(directory: int) -> tuple[int, str]:
    """What differs where one disk, or one view of it, is mounted in another (proc_pid_fdinfo(5))."""
    try:
        with open(f"/proc/self/fdinfo/{directory}") as file:
            mount = re.search("mnt_id:.*", file.read())
    except OSError:
        mount = None
    return os.fstat(directory).st_dev, mount[0] if mount else ""


def _owner(directory: int) -> tuple[int, int, dict[str, bytes]]:
    """What a directory has beside its mode, and would lose if another took its place: owner, group, access lists."""
    status = os.fstat(directory)
    try:
        attributes = {name: os.getxattr(directory, name) for name in os.listxattr(directory)}
    except OSError:
        attributes = {}
    return status.st_uid, status.st_gid, attributes


def _is_new_and_ours(directory: int, place: int) -> bool:
    """Whether an open directory is the one that was just made in ``place``, as far as others could have replaced it."""
    if os.listdir(directory):
        return False
    status, around = os.fstat(directory), os.fstat(place)
    if is_private(status):
        return True
    others_write = around.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not around.st_mode & stat.S_ISVTX
    if around.st_uid in {0, os.geteuid()} and not others_write:
        return True
    # A disk that keeps no modes has nothing private.
    return status.st_uid == os.geteuid() and _mode_of_new(directory, PRIVATE) & 0o7777 == stat.S_IMODE(status.st_mode)


def _mode_of_new(place: int, mode: int) -> int:
    """The mode that a new directory in ``place`` gets: what the umask and the disk make of ``mode``."""
    os.mkdir("new", mode, dir_fd=place)
    try:
        return stat.S_IMODE(os.stat("new", dir_fd=place, follow_symlinks=False).st_mode)
    finally:
        os.rmdir("new", dir_fd=place)


def _make_directory(name: str, mode: int, place: int) -> None:
    os.mkdir(name, PRIVATE, dir_fd=place)
    made = os.open(name, OPEN_DIRECTORY, dir_fd=place)
    try:
        os.fchmod(made, mode)
    finally:
        os.close(made)


def _rename_without_replacing(name: str, source: int, target: int) -> None:
    try:
        os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if name in os.listdir(target):  # there is no better way on a disk without hard links
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    else:
        os.unlink(name, dir_fd=source)


def _remove_if_empty(name: str, place: int) -> bool:
    try:
        os.rmdir(name, dir_fd=place)
    except OSError as error:
        if error.errno not in _NOT_THERE | _TAKEN:
            raise
        return False
    return True


def _named(name: str, directory: int | None) -> Identity:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return status.st_dev, status.st_ino
