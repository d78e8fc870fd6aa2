"""Objects on any other fsspec file system.

Strategy: fsspec promises nothing about a file that is being written, so an object is written under a hidden name and
renamed. Where the file system has no rename of its own, it is spooled to a local temporary file and put in one go,
and only if the caller vouches that a put of this store is whole or nothing (``whole_puts=True``). What fsspec has no
uniform way to promise (conditions, versions, signed URLs) is refused.
"""

import contextlib
import inspect
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from .answers import instant
from .arguments import check_options, is_empty
from .contract import Arrived, Capabilities, Stat, Written
from .errors import (
    AccessDeniedError,
    CredentialsError,
    InvalidKeyError,
    MissingExtraError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnknownStoreError,
    UnsupportedError,
)
from .options import ObjectOptions
from .sending.digest import Digest
from .sending.forks import not_here, tell_in_children
from .texts import guard_logs, keep_secret

_CHUNK = 1 << 20
_TEMPORARY = ".keystow-"
_SECRETS = frozenset({"password", "passwd", "passphrase", "token", "secret", "key", "auth", "access_token", "api_key"})
_LOGGERS = ("fsspec", "paramiko", "urllib3", "aiohttp", "requests", "httpx", "httpcore")


class GenericStore:
    """A directory of the file system that ``url`` names; ``options`` are fsspec's own for it.

    A file system is asked one thing at a time, whatever the number of threads. What it has taken counts as arrived:
    fsspec does not say whether that lies in a buffer of its own yet.
    """

    def __init__(self, url: str, *, whole_puts: bool = False, **options: Any) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._is_here = True
        tell_in_children(self)
        _keep_secrets(url, options)
        guard_logs(*_LOGGERS)
        self._files, self._root = _opened(url, options)
        guard_logs(*_LOGGERS, type(self._files).__module__.partition(".")[0])
        self._renames = _renames(self._files) and url.partition("://")[0] not in _COPY_AND_REMOVE
        self.capabilities = Capabilities(if_absent=False, atomic=self._renames or whole_puts, arrivals=True)

    def forked(self) -> None:
        """This process was forked, and the file system's threads and connections are the other one's."""
        self._lock, self._is_here = threading.RLock(), False

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
        check_options(options, "fsspec")
        path = self._path(key)
        if if_absent:
            raise UnsupportedError(
                f"{self._url} cannot promise to write only what is absent: write unconditionally, under a unique key"
            )
        if not self.capabilities.atomic:
            raise UnsupportedError(
                f"{self._url} cannot promise to write all or nothing, as it has no rename: publish elsewhere, or, if "
                "its uploads are whole or nothing by nature, open it in Python, with open_store(…, whole_puts=True)"
            )
        digest = Digest(chunks)
        if self._renames:
            self._write_and_rename(path, digest, arrived)
        else:
            self._spool_and_put(path, digest)
        return Written(digest.size, digest.hexdigest())

    def _write_and_rename(self, path: str, chunks: Iterable[bytes], arrived: Arrived | None) -> None:
        parent = path.rpartition("/")[0]
        hidden = f"{parent}/{_TEMPORARY}{secrets.token_hex(8)}"
        self._ask(path, lambda: self._make(parent))
        file = self._ask(path, lambda: self._files.open(hidden, "wb"))
        try:
            self._ask(path, lambda: _unhurried(file, "set_pipelined", True))
            for chunk in chunks:
                self._ask(path, partial(file.write, chunk))
                if arrived is not None:
                    arrived(len(chunk))
            self._ask(path, file.close)
            self._ask(path, lambda: self._files.mv(hidden, path))
        except BaseException as error:
            with contextlib.suppress(StoreError):
                self._ask(path, file.close)
            try:
                self._ask(path, lambda: self._files.rm_file(hidden))
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
            self._ask(path, lambda: self._make(path.rpartition("/")[0]))
            self._ask(path, lambda: self._files.put_file(spool.name, path))

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        self._no_versions(version_id)
        path = self._path(key)
        if is_empty(start, stop):
            self.stat(key)
            return
        left = (self.stat(key).size if stop is None else stop) - start
        file = self._ask(path, lambda: self._files.open(path, "rb"))
        try:
            self._ask(path, lambda: file.seek(start))
            if not start and stop is None:
                self._ask(path, lambda: _unhurried(file, "prefetch", left, 64))
            while left > 0:
                chunk = self._ask(path, partial(file.read, min(left, _CHUNK)))
                if not chunk:
                    return
                left -= len(chunk)
                if left < 0:
                    raise StoreUnavailableError(f"{self._url}/{key}: the server sends more than it was asked for")
                yield chunk
        finally:
            file.close()

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        self._no_versions(version_id)
        path = self._path(key)
        found = self._ask(path, lambda: self._files.info(path))
        if found.get("type") != "file":
            raise NotFoundError(f"{self._url}/{key} is no file")
        return self._stat(key, found)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        directory = prefix.rpartition("/")[0]
        if directory and _refused(directory):
            return
        self._files.invalidate_cache()
        walk = self._files.walk(self._root + (f"/{directory}" if directory else ""), detail=True)
        while (step := self._ask(self._root, lambda: next(walk, None))) is not None:
            where, directories, files = step
            below = where.rstrip("/")[len(self._root) :].lstrip("/")
            for name in [name for name in directories if not f"{below}/{name}/".lstrip("/").startswith(prefix)]:
                del directories[name]
            for name in sorted(files):
                key = f"{below}/{name}" if below else name
                if name and key.startswith(prefix) and not name.startswith(_TEMPORARY):
                    yield self._stat(key, files[name])

    def _stat(self, key: str, found: Mapping[str, Any]) -> Stat:
        size = found.get("size")
        if not isinstance(size, int) or size < 0:
            raise StoreUnavailableError(f"{self._url}/{key}: the server says no size of it")
        return Stat(key, size, modified=_modified(found))

    def delete(self, key: str) -> None:
        path = self._path(key)
        with contextlib.suppress(NotFoundError):
            self.stat(key)
            self._ask(path, lambda: self._files.rm_file(path))

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        raise UnsupportedError(f"{self._url} has no signed URLs that keystow knows of")

    def close(self) -> None:
        if not self._is_here:
            return
        client = getattr(self._files, "client", None)
        for holder in (self._files, getattr(client, "http", None), client):
            close = getattr(holder, "close", None)
            if callable(close):
                self._ask(self._root, close)
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

    def _ask(self, path: str, call: Callable[[], Any]) -> Any:
        """What ``call`` gives: one request at a time, and its errors, of whatever library, as the store's.

        They are not kept, not even as context: some hold the request, and that the credentials.
        """
        if not self._is_here:
            raise not_here()
        with self._lock:
            try:
                return call()
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001  file systems raise what their libraries do
                failure = _translated(error, f"{self._url}: {path!r}")
        raise failure


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

    protocol = url.partition("://")[0]
    try:
        files, root = url_to_fs(url, skip_instance_cache=True, **options)
    except ImportError as error:
        raise MissingExtraError(f"{protocol} needs a package that is not installed: {error}") from error
    except TypeError as error:
        missing = _missing(url, options)
        if options and not missing:
            if "timeout" not in options:
                raise
            raise UnsupportedError(f"{protocol}:// may take no timeout ({error}): leave it out") from None
        what = ", ".join(missing) or f"more than its URL says ({error})"
        raise UnknownStoreError(
            f"{protocol}:// needs {what}: open it in Python, with open_store(…, {missing[0] if missing else 'name'}=…)"
        ) from None
    except Exception as error:  # noqa: BLE001  file systems raise what their libraries do
        kind = CredentialsError if "Authentication" in type(error).__name__ else StoreUnavailableError
        failure = kind(f"{url} cannot be opened: {error}", code=type(error).__name__)
    else:
        return files, root.rstrip("/")
    raise failure


def _missing(url: str, options: Mapping[str, Any]) -> list[str]:
    """The arguments that the file system of ``url`` has to have, and that nobody gave."""
    from fsspec import get_filesystem_class

    files = get_filesystem_class(url.partition("://")[0])
    given = {*options, *files._get_kwargs_from_urls(url)}  # noqa: SLF001  as ``url_to_fs`` does
    return [
        each.name
        for each in [*inspect.signature(files.__init__).parameters.values()][1:]
        if each.default is each.empty and each.name not in given and each.kind is each.POSITIONAL_OR_KEYWORD
    ]


def _keep_secrets(url: str, options: Mapping[str, Any]) -> None:
    """What opens the file system is masked in all texts from now on, its libraries' too."""
    with contextlib.suppress(ValueError):
        password = urlsplit(url).password
        keep_secret(password, unquote(password or ""))
    from fsspec.config import conf

    configured = conf.get(url.partition("://")[0], {})
    given = [*options.items(), *(configured.items() if isinstance(configured, Mapping) else ())]
    keep_secret(*(value for name, value in given if name in _SECRETS and isinstance(value, str)))


def _translated(error: Exception, where: str) -> StoreError:
    kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), StoreError)
    if kind is StoreError and str(error) == "Socket is closed":  # all that paramiko says of a lost connection
        kind = StoreUnavailableError
    return kind(f"{where}: {str(error) or type(error).__name__}", code=type(error).__name__)


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


def _modified(found: Mapping[str, Any]) -> datetime | None:
    modified = next((found[name] for name in ("mtime", "modified", "LastModified") if found.get(name)), None)
    if isinstance(modified, int | float):
        modified = instant(modified)
    if not isinstance(modified, datetime):
        return None
    return modified if modified.tzinfo is not None else modified.replace(tzinfo=UTC)


def _refused(key: str) -> str | None:
    segments = key.split("/")
    if not {"", ".", ".."}.isdisjoint(segments):
        return "an empty, '.' or '..' segment is no file name"
    if "::" in key:
        return "fsspec would take '::' for two file systems, one in the other"
    if segments[-1].startswith(_TEMPORARY):
        return f"names that start with {_TEMPORARY!r} are kept for files that are being written"
    return None
