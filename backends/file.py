"""Objects as files under a directory.

Strategy: an object is written to a file without a name on the same disk (``O_TMPFILE``), made durable, and only then
linked under its key. A process that is killed leaves nothing behind, or at most, in the instant between two calls that
replace an old object, a whole hidden file. A disk without nameless files gets a hidden one from the start. No listing
shows hidden files (``.keystow-…``), and they may be deleted. A disk without hard links (FAT, some of FUSE) has no way
to name a file only if the name is free, so there ``if_absent`` is refused.

The directory itself may be a symbolic link, for who names it is trusted. Below it none is followed, by whoever it was
made and whenever: each directory is opened from the one above it.
"""

import contextlib
import errno
import functools
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Literal

from .answers import instant
from .arguments import check_options, is_empty
from .contract import Arrived, Capabilities, Stat, Written
from .errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    UnsupportedError,
)
from .options import ObjectOptions

_CHUNK = 1 << 20
_TEMPORARY = ".keystow-"
_NAMELESS = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


class FileStore:
    """One directory, which is made when the first object is written."""

    capabilities = Capabilities(arrivals=True)

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)

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
        check_options(options, "file")
        path = self._path(key)
        digest = hashlib.sha256()
        size = 0
        with contextlib.ExitStack() as stack:
            with _translated(path):
                near = stack.enter_context(self._directory(key, missing="stay"))
                descriptor, hidden = stack.enter_context(_temporary(near))
                if hidden and if_absent:
                    with _with_links(), _hidden(near) as second:
                        os.link(hidden, second, src_dir_fd=near, dst_dir_fd=near)
            for chunk in chunks:
                with _translated(path):
                    _write(descriptor, chunk)
                digest.update(chunk)
                size += len(chunk)
                if arrived is not None:
                    arrived(len(chunk))
            with _translated(path):
                os.fsync(descriptor)
                directory = stack.enter_context(self._directory(key, missing="make", flags=os.O_RDONLY))
                status = _commit(descriptor, hidden, near, directory, os.path.basename(path), if_absent=if_absent)
        return Written(size, digest.hexdigest(), etag=_etag(status))

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        _no_versions(version_id)
        path = self._path(key)
        if is_empty(start, stop):
            self.stat(key)
            return
        with _translated(path, _READING), self._opened(key) as descriptor:
            status = os.fstat(descriptor)
            _check_file(path, status)
            left = status.st_size if stop is None else stop - start
            while left > 0 and (chunk := os.pread(descriptor, min(left, _CHUNK), start)):
                start += len(chunk)
                left -= len(chunk)
                yield chunk

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        _no_versions(version_id)
        path = self._path(key)
        with _translated(path, _READING), self._directory(key) as directory:
            status = os.stat(os.path.basename(path), dir_fd=directory, follow_symlinks=False)
            _check_file(path, status)
        return _stat(key, status)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        directory, _, _ = prefix.rpartition("/")
        if directory and self._refused(f"{directory}/object"):
            return
        with _translated(self._root):
            levels = [iter(self._found(f"{directory}/" if directory else ""))]
            while levels:
                key, status = next(levels[-1], ("", None))
                if not key:
                    levels.pop()
                elif not key.startswith(prefix):
                    continue
                elif status is None:
                    levels.append(iter(self._found(key)))
                else:
                    yield _stat(key, status)

    def _found(self, below: str) -> Sequence[tuple[str, os.stat_result | None]]:
        """What is directly in a directory, in the order of bytes: keys, and nothing known of directories."""
        found: list[tuple[str, os.stat_result | None]] = []
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            self._directory(f"{below}object", flags=os.O_RDONLY) as directory,
            os.scandir(directory) as listing,
        ):
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    found.append((f"{below}{entry.name}/", None))
                elif entry.is_file(follow_symlinks=False) and not entry.name.startswith(_TEMPORARY):
                    with contextlib.suppress(FileNotFoundError):
                        found.append((below + entry.name, entry.stat(follow_symlinks=False)))
        return sorted(found, key=lambda pair: os.fsencode(pair[0]))

    @contextlib.contextmanager
    def _directory(
        self, key: str, *, missing: Literal["error", "make", "stay"] = "error", flags: int = os.O_PATH
    ) -> Iterator[int]:
        """The directory that holds ``key``, as a descriptor.

        One that is ``missing`` is an error, or made, or the last one on the way stands in for it.
        """
        if missing == "make":
            os.makedirs(self._root, exist_ok=True)
        top = _existing_ancestor(self._root) if missing == "stay" else self._root
        names = key.split("/")[:-1] if top == self._root else []
        descriptor = os.open(top, os.O_DIRECTORY | os.O_CLOEXEC | (os.O_PATH if names else flags))
        try:
            for number, name in enumerate(names, 1):
                following = os.O_PATH if number < len(names) else flags
                try:
                    below = _below(descriptor, name, following)
                except FileNotFoundError:
                    if missing == "stay":
                        break
                    if missing == "error":
                        raise
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                    below = _below(descriptor, name, following)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        """The file, as a descriptor. What is none is not opened, which alone may do something to a device or a FIFO."""
        name = key.rpartition("/")[2]
        with self._directory(key) as directory:
            seen = os.stat(name, dir_fd=directory, follow_symlinks=False)
            _check_file(self._path(key), seen)
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=directory)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with (
            _translated(path, _READING),
            contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError),
            self._directory(key) as directory,
        ):
            os.unlink(os.path.basename(path), dir_fd=directory)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        raise UnsupportedError(
            f"{self._path(key)!r} has no URL that others could use: publish to a store that is served over HTTP"
        )

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, key: str) -> str:
        if reason := self._refused(key):
            raise InvalidKeyError(f"a directory cannot hold the key {key!r}: {reason}")
        return os.path.join(self._root, key)

    @staticmethod
    def _refused(key: str) -> str | None:
        segments = key.split("/")
        if "" in segments or "." in segments or ".." in segments:
            return "an empty, '.' or '..' segment is no file name"
        if "\0" in key:
            return "it holds a NUL"
        if not _encodable(key):
            return "it holds half a character"
        if segments[-1].startswith(_TEMPORARY):
            return f"names that start with {_TEMPORARY!r} are kept for files that are being written"
        return None


def _encodable(key: str) -> bool:
    try:
        return bool(os.fsencode(key))
    except UnicodeEncodeError:
        return False


def _below(directory: int, name: str, flags: int) -> int:
    """Opens a directory in ``directory``. What is none is a ``NotADirectoryError``, with ``ELOOP`` for a link."""
    try:
        return os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=directory)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise NotADirectoryError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise


_KINDS = ((stat.S_ISDIR, "a directory"), (stat.S_ISLNK, "a symbolic link"))


def _check_file(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for is_such, kind in _KINDS if is_such(status.st_mode)), "a special file")
        raise NotFoundError(f"{path!r} is {kind}, and no object")


def _write(descriptor: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(descriptor, left) :]


@contextlib.contextmanager
def _temporary(directory: int) -> Iterator[tuple[int, str | None]]:
    """A new file in ``directory``, as a descriptor and, where it has one, its hidden name; gone at the end."""
    with contextlib.ExitStack() as stack:
        hidden = None
        try:
            descriptor = os.open(".", _NAMELESS, 0o666, dir_fd=directory)
        except OSError as error:
            if error.errno not in _NO_NAMELESS_FILES:
                raise
            hidden = stack.enter_context(_hidden(directory))
            descriptor = os.open(hidden, _NEW, 0o666, dir_fd=directory)
        stack.callback(os.close, descriptor)
        yield descriptor, hidden


@contextlib.contextmanager
def _hidden(directory: int) -> Iterator[str]:
    """A name for a file in ``directory``, which is gone at the end."""
    name = f"{_TEMPORARY}{secrets.token_hex(8)}"
    try:
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)


@contextlib.contextmanager
def _with_links() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise UnsupportedError(
            "this disk has no hard links, and without them it cannot be promised that nothing is overwritten: "
            "allow to replace what is there, or publish elsewhere",
            code=errno.errorcode[error.errno],
        ) from error


def _commit(
    descriptor: int, hidden: str | None, near: int, directory: int, name: str, *, if_absent: bool
) -> os.stat_result:
    """Gives the file, ``hidden`` in ``near`` or nameless, its name in one step, and makes the name durable."""
    with contextlib.ExitStack() as stack:
        if hidden is None:
            # Only with a directory descriptor does os.link follow /proc/self/fd (linkat(2), AT_SYMLINK_FOLLOW).
            link = functools.partial(os.link, f"/proc/self/fd/{descriptor}", dst_dir_fd=directory, follow_symlinks=True)
        else:
            link = functools.partial(os.link, hidden, src_dir_fd=near, dst_dir_fd=directory)
        if if_absent:
            with _with_links():
                link(name)
            status = os.fstat(descriptor)
        else:
            if hidden is None:
                near, hidden = directory, stack.enter_context(_hidden(directory))
                _name(descriptor, link, hidden, directory)
            status = os.stat(hidden, dir_fd=near, follow_symlinks=False)
            os.replace(hidden, name, src_dir_fd=near, dst_dir_fd=directory)
        os.fsync(directory)
    return status


def _name(descriptor: int, link: Callable[[str], None], hidden: str, directory: int) -> None:
    """Gives the nameless file a name, or copies it where it can have none."""
    try:
        link(hidden)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        copied = os.open(hidden, _NEW, 0o666, dir_fd=directory)
        with open(descriptor, "rb", closefd=False) as whole, open(copied, "wb") as copy:
            whole.seek(0)
            shutil.copyfileobj(whole, copy, _CHUNK)
            copy.flush()
            os.fsync(copy.fileno())


def _existing_ancestor(path: str) -> str:
    """``path``, or the last directory on the way to it that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.exists(path):
        raise NotFoundError(
            f"{path!r} is a link that leads nowhere: make the directory that it leads to, or remove the link"
        )
    return path


def _etag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _stat(key: str, status: os.stat_result) -> Stat:
    return Stat(key, status.st_size, _etag(status), modified=instant(status.st_mtime))


def _no_versions(version_id: str | None) -> None:
    if version_id is not None:
        raise UnsupportedError("a directory keeps no versions: leave version_id out")


_ERRORS: dict[int, tuple[type[StoreError], str]] = {
    errno.EEXIST: (AlreadyExistsError, "already exists"),
    errno.ENOENT: (NotFoundError, "does not exist"),
    errno.EACCES: (AccessDeniedError, "may not be used by this user: change its permissions, or publish elsewhere"),
    errno.EPERM: (AccessDeniedError, "may not be used by this user: change its permissions, or publish elsewhere"),
    errno.EROFS: (AccessDeniedError, "is on a read-only disk"),
    errno.ENOTDIR: (InvalidKeyError, "lies below a file: choose a key that does not"),
    errno.EISDIR: (InvalidKeyError, "is a directory: choose another key"),
    errno.ENAMETOOLONG: (InvalidKeyError, "is too long a name"),
    errno.ELOOP: (InvalidKeyError, "lies below a symbolic link, and a store follows none: put a directory there"),
}
_READING = _ERRORS | {
    errno.ENOTDIR: (NotFoundError, "does not exist"),
    errno.EISDIR: (NotFoundError, "is a directory, and no object"),
    errno.ENXIO: (NotFoundError, "is a special file, and no object"),
    errno.ELOOP: (NotFoundError, "is a symbolic link, or lies below one, and no object"),
}


@contextlib.contextmanager
def _translated(path: str, known: Mapping[int, tuple[type[StoreError], str]] = _ERRORS) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        number = error.errno or 0
        kind, what = known.get(number, (StoreError, f"cannot be used: {error.strerror or error}"))
        raise kind(f"{path!r} {what}", code=errno.errorcode.get(number, "")) from error
