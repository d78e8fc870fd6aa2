"""Objects on any other fsspec file system.

Strategy: fsspec promises nothing about a file that is being written, so an object is written under a hidden name and
renamed. Where the file system has no rename of its own, it is spooled to a local temporary file and put in one go,
and only if the caller vouches that a put of this store is whole or nothing (``whole_puts=True``). What fsspec has no
uniform way to promise (conditions, versions, signed URLs) is refused.
"""

import contextlib
import secrets
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .arguments import is_empty
from .contract import Capabilities, Stat, Written
from .digest import Digest
from .errors import (
    AccessDeniedError,
    CredentialsError,
    InvalidKeyError,
    MissingExtraError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
)

_CHUNK = 1 << 20
_TEMPORARY = ".keystow-"


class GenericStore:
    """A directory of the file system that ``url`` names; ``options`` are fsspec's own for it.

    A file system is asked one thing at a time, whatever the number of threads.
    """

    def __init__(self, url: str, *, whole_puts: bool = False, **options: Any) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._files, self._root = _opened(url, options)
        self._renames = _renames(self._files) and url.partition("://")[0] not in _COPY_AND_REMOVE
        self.capabilities = Capabilities(if_absent=False, atomic=self._renames or whole_puts)

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
        if if_absent:
            raise UnsupportedError(
                f"{self._url} cannot promise to write only what is absent: write unconditionally, under a unique key"
            )
        if not self.capabilities.atomic:
            raise UnsupportedError(
                f"{self._url} cannot promise to write all or nothing, as it has no rename: "
                "open it with whole_puts=True if its uploads are whole or nothing by nature"
            )
        digest = Digest(chunks)
        (self._write_and_rename if self._renames else self._spool_and_put)(path, digest)
        return Written(digest.size, digest.hexdigest())

    def _write_and_rename(self, path: str, chunks: Iterable[bytes]) -> None:
        parent = path.rpartition("/")[0]
        hidden = f"{parent}/{_TEMPORARY}{secrets.token_hex(8)}"
        with self._errors(path):
            self._make(parent)
            file = self._files.open(hidden, "wb")
            _unhurried(file, "set_pipelined", True)
        try:
            for chunk in chunks:
                with self._errors(path):
                    file.write(chunk)
            with self._errors(path):
                file.close()
                self._files.mv(hidden, path)
        except BaseException as error:
            with contextlib.suppress(StoreError), self._errors(path):
                file.close()
            try:
                with self._errors(path):
                    self._files.rm_file(hidden)
            except NotFoundError:
                pass
            except StoreError as failure:
                error.add_note(f"the temporary file {hidden!r} could not be removed: {failure}")
            raise

    def _spool_and_put(self, path: str, chunks: Iterable[bytes]) -> None:
        with tempfile.NamedTemporaryFile(prefix="keystow-") as spool:
            for chunk in chunks:
                spool.write(chunk)
            spool.flush()
            with self._errors(path):
                self._make(path.rpartition("/")[0])
                self._files.put_file(spool.name, path)

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        self._no_versions(version_id)
        path = self._path(key)
        if is_empty(start, stop):
            self.stat(key)
            return
        left = (self.stat(key).size if stop is None else stop) - start
        with self._errors(path):
            file = self._files.open(path, "rb")
        try:
            with self._errors(path):
                file.seek(start)
                if not start and stop is None:
                    _unhurried(file, "prefetch", left, 64)
            while left > 0:
                with self._errors(path):
                    chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    return
                left -= len(chunk)
                yield chunk
        finally:
            file.close()

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        self._no_versions(version_id)
        path = self._path(key)
        with self._errors(path):
            found = self._files.info(path)
        if found["type"] != "file":
            raise NotFoundError(f"{self._url}/{key} is no file")
        return _stat(key, found)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        directory = prefix.rpartition("/")[0]
        if directory and _refused(directory):
            return
        self._files.invalidate_cache()
        walk = self._files.walk(self._root + (f"/{directory}" if directory else ""), detail=True)
        while True:
            with self._errors(self._root):
                step = next(walk, None)
            if step is None:
                return
            where, _, files = step
            below = where.rstrip("/")[len(self._root) :].lstrip("/")
            for name in sorted(files):
                key = f"{below}/{name}" if below else name
                if name and key.startswith(prefix) and not name.startswith(_TEMPORARY):
                    yield _stat(key, files[name])

    def delete(self, key: str) -> None:
        path = self._path(key)
        with contextlib.suppress(NotFoundError):
            self.stat(key)
            with self._errors(path):
                self._files.rm_file(path)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        raise UnsupportedError(f"{self._url} has no signed URLs that keystow knows of")

    def close(self) -> None:
        client = getattr(self._files, "client", None)
        for holder in (self._files, getattr(client, "http", None), client):
            close = getattr(holder, "close", None)
            if callable(close):
                with self._errors(self._root):
                    close()
                return

    def _make(self, directory: str) -> None:
        """Some file systems raise for a directory that appeared meanwhile, whatever ``exist_ok`` says."""
        with contextlib.suppress(FileExistsError):
            self._files.makedirs(directory, exist_ok=True)

    def _path(self, key: str) -> str:
        if reason := _refused(key):
            raise InvalidKeyError(f"{self._url} cannot hold the key {key!r}: {reason}")
        return f"{self._root}/{key}"

    def _no_versions(self, version_id: str | None) -> None:
        if version_id is not None:
            raise UnsupportedError(f"{self._url} keeps no versions that keystow knows of: leave version_id out")

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """One request at a time, and its errors as the store's: file systems raise what their libraries do."""
        with self._lock:
            try:
                yield
            except StoreError:
                raise
            except Exception as error:
                kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), StoreError)
                if (
                    kind is StoreError and str(error) == "Socket is closed"
                ):  # all that paramiko says of a lost connection
                    kind = StoreUnavailableError
                said = str(error) or type(error).__name__
                raise kind(f"{self._url}: {path!r}: {said}", code=type(error).__name__) from error


_COPY_AND_REMOVE = {"webdav", "webdavs"}
"""Protocols whose ``mv`` looks like a rename of their own, and copies."""
_ERRORS: tuple[tuple[type[Exception], type[StoreError]], ...] = (
    (FileNotFoundError, NotFoundError),
    (PermissionError, AccessDeniedError),
    (NotADirectoryError, InvalidKeyError),
    (IsADirectoryError, NotFoundError),
    (ConnectionError, StoreUnavailableError),
    (TimeoutError, StoreUnavailableError),
    (EOFError, StoreUnavailableError),
    (NotImplementedError, UnsupportedError),
)


def _opened(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(url, skip_instance_cache=True, **options)
    except ImportError as error:
        raise MissingExtraError(f"{url.partition('://')[0]} needs a package that is not installed: {error}") from error
    except TypeError:
        raise
    except Exception as error:
        kind = CredentialsError if "Authentication" in type(error).__name__ else StoreUnavailableError
        raise kind(f"{url} cannot be opened: {error}", code=type(error).__name__) from error
    return files, root.rstrip("/")


def _unhurried(file: Any, method: str, *arguments: Any) -> None:
    """Calls a ``method`` that paramiko's files have and others lack: without it, it waits for each 32 KiB in turn."""
    call = getattr(file, method, None)
    if callable(call) and type(file).__module__.startswith("paramiko."):
        call(*arguments)


def _renames(files: Any) -> bool:
    """Whether the file system renames by itself; fsspec's own ``mv`` copies and then removes."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem
    from fsspec.implementations.dirfs import DirFileSystem

    while isinstance(files, DirFileSystem):
        files = files.fs
    kind = type(files)
    return any(
        getattr(kind, name, None) not in {getattr(base, name, None) for base in (AbstractFileSystem, AsyncFileSystem)}
        for name in ("mv", "mv_file", "_mv_file")
    )


def _stat(key: str, found: Mapping[str, Any]) -> Stat:
    modified = next((found[name] for name in ("mtime", "modified", "LastModified") if found.get(name)), None)
    if isinstance(modified, int | float):
        modified = datetime.fromtimestamp(modified, UTC)
    if not isinstance(modified, datetime):
        modified = None
    elif modified.tzinfo is None:
        modified = modified.replace(tzinfo=UTC)
    return Stat(key, found["size"], modified=modified)


def _refused(key: str) -> str | None:
    segments = key.split("/")
    if not {"", ".", ".."}.isdisjoint(segments):
        return "an empty, '.' or '..' segment is no file name"
    if segments[-1].startswith(_TEMPORARY):
        return f"names that start with {_TEMPORARY!r} are kept for files that are being written"
    return None
