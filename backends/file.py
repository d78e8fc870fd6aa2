"""Objects as files under a directory.

Strategy: an object is written to a file without a name on the same disk (``O_TMPFILE``), made durable, and only then
linked under its key. A process that is killed leaves nothing behind, or at most, in the instant between two calls that
replace an old object, a whole hidden file. A disk without nameless files gets a hidden one from the start. No listing
shows hidden files (``.keystow-…``), and they may be deleted.
"""

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

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
_NAMELESS = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}


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
                descriptor, temporary = stack.enter_context(_temporary(_existing_ancestor(path)))
            for chunk in chunks:
                with _translated(path):
                    _write(descriptor, chunk)
                digest.update(chunk)
                size += len(chunk)
            with _translated(path):
                os.fsync(descriptor)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                _commit(temporary, path, if_absent=if_absent)
                status = os.fstat(descriptor)
        return Written(size, digest.hexdigest(), etag=_etag(status))

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        _no_versions(version_id)
        path = self._path(key)
        with _translated(path, _READING), open(path, "rb", buffering=0) as file:
            file.seek(start)
            left = os.fstat(file.fileno()).st_size if stop is None else stop - start
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        _no_versions(version_id)
        path = self._path(key)
        with _translated(path, _READING):
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):
                raise NotFoundError(f"{path!r} is no file")
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


def _write(descriptor: int, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[os.write(descriptor, left) :]


@contextlib.contextmanager
def _temporary(directory: str) -> Iterator[tuple[int, str]]:
    """A new file in ``directory``, as a descriptor and a path; gone at the end, unless it was linked elsewhere."""
    hidden = None
    try:
        descriptor = os.open(directory, _NAMELESS, 0o666)
    except OSError as error:
        if error.errno not in _NO_NAMELESS_FILES:
            raise
        hidden = _hidden(directory)
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor, hidden or f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
        if hidden:
            os.unlink(hidden)


def _hidden(directory: str) -> str:
    return os.path.join(directory, f"{_TEMPORARY}{secrets.token_hex(8)}")


def _commit(temporary: str, path: str, *, if_absent: bool) -> None:
    """Gives the file at ``temporary`` the name ``path``, in one step, and makes the name durable."""
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Only with a directory descriptor does os.link follow /proc/self/fd (linkat(2), AT_SYMLINK_FOLLOW).
        if if_absent:
            os.link(temporary, path, dst_dir_fd=directory, follow_symlinks=True)
        else:
            linked = _hidden(os.path.dirname(path))
            os.link(temporary, linked, dst_dir_fd=directory, follow_symlinks=True)
            try:
                os.replace(linked, path)
            except BaseException:
                os.unlink(linked)
                raise
        os.fsync(directory)
    finally:
        os.close(directory)


def _existing_ancestor(path: str) -> str:
    directory = os.path.dirname(path)
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
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
_READING = _ERRORS | dict.fromkeys((errno.ENOTDIR, errno.EISDIR), (NotFoundError, "does not exist"))


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
