"""The members of a published archive as a file system of fsspec's, to read from, for whatever opens its URLs.

Strategy: fsspec finds it by its entry point, and keeps and pickles it by its arguments, so none of them is a secret or
an open store. The archive is opened once something is asked of it. A name is looked up in the index; to list, the
names of all members are read, once. Only what is no member is "not found": who reads an array takes that for a part
that was never written, so an archive that is gone is another error.
"""

import errno
import os
import threading
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from io import SEEK_END, BufferedReader
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

import fsspec
from fsspec.utils import tokenize

from . import surroundings
from .archive import Entry
from .archive.errors import shown
from .archives import Archive, open_archive
from .backends import StoreError
from .backends.opening import canonical
from .errors import MemberNotFoundError, ResultError
from .indexed import Ranges, unproven_source
from .places import KINDS
from .reading import Result
from .result import PublishedResult
from .yaml_files import MOST_BYTES, load_mapping

_ARCHIVE = (".tar.gz", ".tgz")
_URLS = {"http", "https"}
_HERE = {"file", "memory"}
_TYPES = {"file": "file", "hardlink": "file", "directory": "directory", "symlink": "link"}


class _Listing(NamedTuple):
    """All members by their names, and by the name of each directory, what is in it."""

    entries: dict[str, Entry]
    children: dict[str, dict[str, None]]


class ArchiveFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """What ``keystow://`` opens: the members of a published archive that has an index, by their names.

    ``fo`` is the archive: what ``open_archive`` takes, or what stands behind ``::`` in a URL, of which fsspec makes
    ``target_protocol`` and ``target_options`` as well. Behind ``::`` a name that ends in ``.tar.gz`` or ``.tgz`` is an
    archive of which nothing is known, and another one a file with a published result. Both are the caller's own word;
    what such a result names is its author's. With ``target_options`` they are read by that file system of fsspec's.
    The other arguments are those of ``open_archive``.

    It may be used from several threads, which wait for each other. Its arguments are what is pickled, and for equal
    ones fsspec gives the same file system, which goes on with the archive that it opened; ``invalidate_cache`` has
    it opened anew. What would write raises ``OSError`` (``EROFS``). Methods raise what those of ``Archive`` do.
    """

    protocol = "keystow"
    root_marker = ""

    def __init__(
        self,
        fo: Result | None = None,
        target_protocol: str | None = None,
        target_options: Mapping[str, Any] | None = None,
        *,
        verify: bool = True,
        allow: Collection[str] = (),
        allow_endpoints: Collection[str] | None = None,
        timeout: timedelta | float | None = None,
        profile: str | None = None,
        requester_pays: bool | str | None = None,
        index: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**options)
        if fo is None:
            advice = "keystow://MEMBER::published.yaml, or with fo='published.yaml'"
            raise ResultError(f"a URL of keystow:// names a member, and its archive behind that: {advice}")
        self._fo = fo
        self._target = target_protocol, dict(target_options or {})
        self._trusted: dict[str, Any] = {"allow": allow, "allow_endpoints": allow_endpoints}
        self._asking: dict[str, Any] = {"timeout": timeout, "profile": profile, "requester_pays": requester_pays}
        self._asking |= {"verify": verify, "index": index, **self._trusted}
        self._lock = threading.RLock()
        self._archive: Archive | None = None
        self._listing: _Listing | None = None

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:  # noqa: ANN401
        found = super()._strip_protocol(path)
        return found.lstrip("/") if isinstance(found, str) else found

    def info(self, path: str, **_: object) -> dict[str, Any]:
        """Name, size, type (``file``, ``directory`` or ``link``), and of members ``mtime``, in seconds since 1970."""
        name = self._strip_protocol(path)
        with _found():
            if name and self._listing is None:
                archive = self._opened()
                if (entry := archive.get(name)) is not None:
                    return _info(entry, archive)
            return self._info(self._listed(), name)

    def ls(self, path: str, detail: bool = True, **_: object) -> list[Any]:
        """What is in a directory, by name."""
        name = self._strip_protocol(path)
        with _found():
            listing = self._listed()
            found = self._info(listing, name)
            names = sorted(listing.children.get(name, ())) if found["type"] == "directory" else [name]
            return [self._info(listing, each) for each in names] if detail else names

    def exists(self, path: str, **_: object) -> bool:
        """Whether there is such a member, or directory above one."""
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        """Whether that is a file; a symbolic link is none, as it is not followed."""
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        """Whether that is a directory."""
        return self._type(path) == "directory"

    def modified(self, path: str) -> datetime:
        """When a member was last changed, in whole seconds."""
        return datetime.fromtimestamp(self.info(path).get("mtime", 0), UTC)

    def ukey(self, path: str) -> str:
        """A text that is another one for another content: of the digest of the index, and the name."""
        with _found():
            key: str = tokenize(self._opened().index_sha256, self.info(path))
            return key

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        """The content of a file from ``start`` up to ``end``, which count from its end if they are negative."""
        with self._open(path) as file, _found():
            first, last, _step = slice(start, end).indices(file.seek(0, SEEK_END))
            file.seek(first)
            return file.read(max(0, last - first))

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forgets the archive, and closes it with its files: the result and the index are read anew."""
        super().invalidate_cache(path)
        with self._lock:
            archive, self._archive, self._listing = self._archive, None, None
        if archive is not None:
            archive.close()

    def mkdir(self, path: str, *_: object, **__: object) -> None:
        """Raises ``OSError``."""
        _refuse(path)

    def makedirs(self, path: str, *_: object, **__: object) -> None:
        """Raises ``OSError``."""
        _refuse(path)

    def rmdir(self, path: str) -> None:
        """Raises ``OSError``."""
        _refuse(path)

    def cp_file(self, path1: str, path2: str, **_: object) -> None:  # noqa: ARG002
        """Raises ``OSError``."""
        _refuse(path2)

    def _rm(self, path: str) -> None:
        _refuse(path)

    def _open(self, path: str, mode: str = "rb", *_: object, **__: object) -> BufferedReader:
        if mode != "rb":
            _refuse(path)
        with _found():
            return self._opened().open(self._strip_protocol(path))

    def _type(self, path: str) -> str | None:
        try:
            found: str = self.info(path)["type"]
        except MemberNotFoundError:
            return None
        return found

    def _info(self, listing: _Listing, name: str) -> dict[str, Any]:
        if (entry := listing.entries.get(name)) is not None:
            return _info(entry, listing.entries)
        if name in listing.children:
            return {"name": name, "size": 0, "type": "directory", "islink": False}
        raise MemberNotFoundError(f"the archive has no member {shown(name)}")

    def _listed(self) -> _Listing:
        with self._lock:
            if self._listing is None:
                self._listing = _listing(self._opened())
            return self._listing

    def _opened(self) -> Archive:
        with self._lock:
            if self._archive is None:
                self._archive = self._open_archive()
                weakref.finalize(self, self._archive.close)
            return self._archive

    def _open_archive(self) -> Archive:
        protocol, options = self._target
        if protocol is None:
            return open_archive(self._fo, **self._asking)
        place = str(self._fo)
        is_archive = (urlsplit(place).path if protocol in _URLS else place).endswith(_ARCHIVE)
        if is_archive and not options and (protocol in _URLS or canonical(protocol) in KINDS):
            return open_archive(_url(protocol, place), **self._asking)
        if surroundings.trust(**self._trusted).endpoints is not None and (options or canonical(protocol) not in _HERE):
            what = f"{_url(protocol, place)!r} would be read by fsspec, and which servers that calls is not known"
            raise ResultError(f"{what}, while those are listed that may be called: give fo= the file of a result")
        files = fsspec.filesystem(protocol, **options)
        if is_archive:
            return _over(files, _url(protocol, place), place, self._asking["index"])
        text = files.cat_file(place, start=0, end=MOST_BYTES + 1)
        return open_archive(PublishedResult.from_mapping(load_mapping(text, place, ResultError)), **self._asking)


def _url(protocol: str, place: str) -> str:
    """The place with the protocol that fsspec took from it."""
    if protocol in _URLS:
        return place
    return f"{protocol}://{place if canonical(protocol) == 'file' else place.lstrip('/')}"


def _over(files: Any, url: str, path: str, index: str | None) -> Archive:  # noqa: ANN401
    """The archive that another file system of fsspec's holds."""

    def read(start: int, stop: int) -> bytes:
        return bytes(files.cat_file(path, start=start, end=stop))

    source = unproven_source(Ranges(url, files.info(path)["size"], read), index)
    if source.index is None:
        raise ResultError(f"{url!r} cannot be read in parts, as {source.lack}: fetch it")
    return Archive(source, source.index, ExitStack())


def _listing(archive: Archive) -> _Listing:
    entries = {entry.name: entry for entry in archive.values() if entry.name}
    children: dict[str, dict[str, None]] = {"": {}}
    for name in entries:
        child = name
        while child:
            parent = child.rpartition("/")[0]
            known = children.setdefault(parent, {})
            if child in known:
                break
            known[child] = None
            child = parent
    return _Listing(entries, children)


def _info(entry: Entry, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """What fsspec tells of a file; ``entries`` are looked into for the size of what a hard link leads to."""
    told = entries.get(entry.target) if entry.kind == "hardlink" else entry
    size = None if told is None else told.size
    info = {"name": entry.name, "size": size, "type": _TYPES[entry.kind], "mtime": entry.mtime}
    info["islink"] = entry.kind == "symlink"
    return info | {"destination": entry.target} if entry.kind == "symlink" else info


@contextmanager
def _found() -> Iterator[None]:
    """Within this, only a member may be what is not found."""
    try:
        yield
    except MemberNotFoundError:
        raise
    except FileNotFoundError as error:
        raise StoreError(f"the archive is not there, or not any more: {error}") from error


def _refuse(path: str) -> NoReturn:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
