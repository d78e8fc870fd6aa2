"""Objects in this process, in fsspec's global memory file system: ``memory://name/key`` reads them there too."""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from .arguments import check_options, is_empty
from .contract import Arrived, Capabilities, Stat, Written
from .errors import AlreadyExistsError, NotFoundError, UnsupportedError
from .options import ObjectOptions
from .sending.forks import tell_in_children


class _Commit:
    """The lock under which objects change."""

    def __init__(self) -> None:
        self.forked()
        tell_in_children(self)

    def forked(self) -> None:
        self.lock = threading.Lock()


_commit = _Commit()


class MemoryStore:
    """One bucket of the process's memory. Objects live as long as the process."""

    capabilities = Capabilities(arrivals=True)

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._files = MemoryFileSystem()

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
        check_options(options, "memory")
        data = b"".join(chunks)
        path = self._path(key)
        with _commit.lock:
            if if_absent and path in self._files.store:
                raise AlreadyExistsError(f"memory:/{path} already exists")
            self._files.store[path] = MemoryFile(self._files, path, data)
        digest = hashlib.sha256(data).hexdigest()
        return Written(len(data), digest, etag=digest)

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        _no_versions(version_id)
        file = self._find(key)
        if not is_empty(start, stop) and (piece := file.getvalue()[start:stop]):
            yield piece

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        _no_versions(version_id)
        return self._stat(key, self._find(key))

    def list(self, prefix: str = "") -> Iterator[Stat]:
        root = self._path("")
        for path in sorted(self._files.store):
            file = self._files.store.get(path)
            if file is not None and path.startswith(root + prefix):
                yield self._stat(path[len(root) :], file)

    def delete(self, key: str) -> None:
        self._files.store.pop(self._path(key), None)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        raise UnsupportedError(
            f"memory:/{self._path(key)} has no URL that others could use: publish to a store that is served over HTTP"
        )

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, key: str) -> str:
        return f"/{self._bucket}/{key}"

    def _find(self, key: str) -> MemoryFile:
        try:
            return self._files.store[self._path(key)]
        except KeyError:
            raise NotFoundError(f"there is no object memory:/{self._path(key)}") from None

    def _stat(self, key: str, file: MemoryFile) -> Stat:
        data = file.getvalue()
        return Stat(key, len(data), hashlib.sha256(data).hexdigest(), modified=file.modified)


def _no_versions(version_id: str | None) -> None:
    if version_id is not None:
        raise UnsupportedError("a memory store keeps no versions: leave version_id out")
