"""Objects as files under a directory.

Strategy: an object is written to a file without a name on the same disk (``O_TMPFILE``), made durable, and only then
linked under its key. A process that is killed leaves nothing behind, or at most, in the instant between two calls that
replace an old object, a whole hidden file. A disk without nameless files gets a hidden one from the start. No listing
shows hidden files (``.keystow-…``), and they may be deleted. A disk without hard links (FAT, some of FUSE) has no way
to name a file only if the name is free, so there ``if_absent`` is refused.
"""

import contextlib
import errno
import functools
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from .arguments import is_empty
from .contract import Capabilities, Stat, Written
from .errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    UnsupportedError,
)

_CHUNK = 1 << 20
_TEMPORARY = ".keystow-"
_NAMELESS = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


class FileStore:
    """One directory, which is made when the first object is written."""

    capabilities = Capabilities()

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
    ) -> Written:
        path = self._path(key)
        digest = hashlib.sha256()
        size = 0
        with contextlib.ExitStack() as stack:
            with _translated(path):
                descriptor, hidden = stack.enter_context(_temporary(_existing_ancestor(path)))
                if hidden and if_absent:
                    with _with_links(), _hidden(os.path.dirname(hidden)) as second:
                        os.link(hidden, second)
            for chunk in chunks:
                with _translated(path):
                    _write(descriptor, chunk)
                digest.update(chunk)
                size += len(chunk)
            with _translated(path):
                os.fsync(descriptor)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                status = _commit(descriptor, hidden, path, if_absent=if_absent)
        return Written(size, digest.hexdigest(), etag=_etag(status))

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        _no_versions(version_id)
        path = self._path(key)
        if is_empty(start, stop):
            self.stat(key)
            return
        with _translated(path, _READING), open(path, "rb", buffering=0, opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            _check_file(path, status)
            file.seek(start)
            left = status.st_size if stop is None else stop - start
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        _no_versions(version_id)
        path = self._path(key)
        with _translated(path, _READING):
            status = os.stat(path)
            _check_file(path, status)
        return _stat(key, status)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        directory, _, _ = prefix.rpartition("/")
        if directory and self._refused(f"{directory}/object"):
            return
        with _translated(self._root):
            for key, status in self._walk(f"{directory}/" if directory else ""):
                if key.startswith(prefix):
                    yield _stat(key, status)

    def _walk(self, below: str) -> Iterator[tuple[str, os.stat_result]]:
        """Keys and what is known of them, in the order of their bytes."""
        try:
            with os.scandir(os.path.join(self._root, below)) as listing:
                found = [(entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in listing]
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, entry in sorted(found, key=lambda pair: os.fsencode(pair[0])):
            if name.endswith("/"):
                yield from self._walk(below + name)
            elif entry.is_file() and not name.startswith(_TEMPORARY):
                with contextlib.suppress(FileNotFoundError):
                    yield below + name, entry.stat()

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _translated(path, _READING), contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            os.unlink(path)

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


def _without_waiting(path: str, flags: int) -> int:
    """Opens a FIFO too without waiting for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check_file(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "a special file"
        raise NotFoundError(f"{path!r} is {kind}, and no object")


def _write(descriptor: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(descriptor, left) :]


@contextlib.contextmanager
def _temporary(directory: str) -> Iterator[tuple[int, str | None]]:
    """A new file in ``directory``, as a descriptor and, where it has one, its hidden name; gone at the end."""
    with contextlib.ExitStack() as stack:
        hidden = None
        try:
            descriptor = os.open(directory, _NAMELESS, 0o666)
        except OSError as error:
            if error.errno not in _NO_NAMELESS_FILES:
                raise
            hidden = stack.enter_context(_hidden(directory))
            descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        stack.callback(os.close, descriptor)
        yield descriptor, hidden


@contextlib.contextmanager
def _hidden(directory: str) -> Iterator[str]:
    """A name for a file, which is gone at the end."""
    path = os.path.join(directory, f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        yield path
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


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


def _commit(descriptor: int, hidden: str | None, path: str, *, if_absent: bool) -> os.stat_result:
    """Gives the file the name ``path``, in one step, and makes the name durable."""
    with contextlib.ExitStack() as stack:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, directory)
        # Only with a directory descriptor does os.link follow /proc/self/fd (linkat(2), AT_SYMLINK_FOLLOW).
        link = functools.partial(
            os.link, hidden or f"/proc/self/fd/{descriptor}", dst_dir_fd=directory, follow_symlinks=True
        )
        if if_absent:
            with _with_links():
                link(path)
            status = os.fstat(descriptor)
        else:
            if hidden is None:
                hidden = stack.enter_context(_hidden(os.path.dirname(path)))
                _name(descriptor, link, hidden)
            status = os.stat(hidden)
            os.replace(hidden, path)
        os.fsync(directory)
    return status


def _name(descriptor: int, link: Callable[[str], None], hidden: str) -> None:
    """Gives the nameless file a name, or copies it where it can have none."""
    try:
        link(hidden)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with open(descriptor, "rb", closefd=False) as whole, open(hidden, "xb") as copy:
            whole.seek(0)
            shutil.copyfileobj(whole, copy, _CHUNK)
            copy.flush()
            os.fsync(copy.fileno())


def _existing_ancestor(path: str) -> str:
    directory = os.path.dirname(path)
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    if not os.path.exists(directory):
        raise NotFoundError(
            f"{directory!r} is a link that leads nowhere: make the directory that it leads to, or remove the link"
        )
    return directory


def _etag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _stat(key: str, status: os.stat_result) -> Stat:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return Stat(key, status.st_size, _etag(status), modified=modified)


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
}
_READING = _ERRORS | {
    errno.ENOTDIR: (NotFoundError, "does not exist"),
    errno.EISDIR: (NotFoundError, "is a directory, and no object"),
    errno.ENXIO: (NotFoundError, "is a special file, and no object"),
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
