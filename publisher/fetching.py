"""From a published result back to a directory, or to the proof that it is there.

Strategy: what is read is hashed on the way into a directory that has no name yet; only a stream that ends with the
published SHA-256 gets one.
"""

import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from os import PathLike
from typing import TypeVar

from . import download
from .archive import ArchiveError, Entry, Unpacked, check_destination, extract, unpack
from .backends import AccessDeniedError, NotFoundError, Stat, Store
from .checksum import Checksum
from .concurrency import in_order
from .errors import ResultError, VerificationError
from .publishing import listing_checksum, open_result_store
from .result import PublishedResult
from .yaml_files import load_mapping

_SMALL = 2 << 20  # bytes of an object that is read ahead, as 32 of them may be
_NEAR = {"file", "memory"}  # nothing to wait for: threads cost several times what they could save

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched: the directory, its members, the bytes of their content.

    ``verified`` says whether the content was compared with a published SHA-256, ``sha256`` is that of what was read.
    """

    directory: str
    members: int
    bytes: int
    sha256: Checksum
    verified: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in the store, and is what was published: ``size`` in bytes, over all ``objects``."""

    objects: int
    size: int
    sha256: Checksum


def fetch(
    result: PublishedResult | Mapping[str, object] | str | PathLike[str],
    directory: str | PathLike[str],
    *,
    verify: bool = True,
) -> Fetched:
    """Fetches what was published into ``directory``, which is new or empty.

    ``result`` is a ``PublishedResult``, its mapping, the path of a YAML or JSON file that holds it, or a pre-signed URL
    of an archive. The published version is read if that is permitted; otherwise the current object, which must then
    have the published SHA-256. A URL, and a result without a checksum, are not verified (``Fetched.verified``).

    Raises ``VerificationError``, ``ArchiveError``, ``StoreError``, ``ResultError``, or ``DestinationExistsError``; then
    ``directory`` is as it was.
    """
    check_destination(directory)
    if isinstance(result, str) and download.is_url(result):
        content = _Hashed(download.read(result), None)
        return _fetched(unpack(content, directory), content.checksum(), verified=False)
    published = read_result(result)
    with closing(open_result_store(published)) as store:
        if published.encoding == "plain":
            objects = _Objects(store, published, check=verify)
            check = objects.verified if objects.expected is not None else None
            with _explained(check), closing(objects.members()) as members:
                unpacked = extract(members, directory)
            return _fetched(unpacked, objects.checksum(), verified=verify and published.checksum_sha256 is not None)
        content = _archive(store, published, check=verify)
        with _explained(content.drain if content.expected is not None else None):
            unpacked = unpack(content, directory)
        return _fetched(unpacked, content.checksum(), verified=content.expected is not None)


def verify(result: PublishedResult | Mapping[str, object] | str | PathLike[str]) -> Verified:
    """Reads what was published and compares its SHA-256; nothing is written.

    Raises ``VerificationError`` if it differs, ``ResultError`` for a result without a checksum, and ``StoreError``.
    """
    published = read_result(result)
    if published.checksum_sha256 is None:
        raise ResultError("the result holds no ChecksumSHA256, so there is nothing to verify against")
    with closing(open_result_store(published)) as store:
        if published.encoding == "plain":
            objects = _Objects(store, published, check=True)
            return objects.verified()
        content = _archive(store, published, check=True)
        size = sum(map(len, content))
        return Verified(1, size, content.checksum())


def presign(
    result: PublishedResult | Mapping[str, object] | str | PathLike[str],
    *,
    expires: timedelta | float,
    pin_version: bool = True,
) -> str:
    """A URL from which anybody can fetch the archive until ``expires`` (a timedelta, or seconds; 7 days at most).

    It names the published version unless ``pin_version`` is false: a signer who has only ``s3:GetObject`` may not
    read named versions. Raises ``ResultError`` for a prefix, ``UnsupportedError`` for a store that has no URLs.
    """
    published = read_result(result)
    if published.encoding == "plain":
        raise ResultError(f"{published.key!r} is a prefix, and one URL names one object: publish an archive")
    with closing(open_result_store(published)) as store:
        version_id = published.version_id if pin_version else None
        return store.presign(published.key, expires=expires, version_id=version_id)


def read_result(result: PublishedResult | Mapping[str, object] | str | PathLike[str]) -> PublishedResult:
    """``result`` as a ``PublishedResult``: as it is, from its mapping, or from a file. Raises ``ResultError``."""
    if isinstance(result, PublishedResult):
        return result
    if isinstance(result, Mapping):
        return PublishedResult.from_mapping(result)
    path = os.fspath(result)
    if download.is_url(path):
        raise ResultError("a URL brings no checksum and can only be fetched: give the published result")
    try:
        with open(path, "rb") as file:
            text = file.read()
    except (FileNotFoundError, IsADirectoryError):
        raise ResultError(f"{path!r} is no file with a published result, and no URL: give one of them") from None
    return PublishedResult.from_mapping(load_mapping(text, path, ResultError))


def _fetched(unpacked: Unpacked, checksum: Checksum, *, verified: bool) -> Fetched:
    return Fetched(unpacked.directory, unpacked.members, unpacked.bytes, checksum, verified)


@contextmanager
def _explained(check: Callable[[], object] | None) -> Iterator[None]:
    """What cannot be unpacked may not be what was published: ``check`` raises ``VerificationError`` if it is not."""
    try:
        yield
    except ArchiveError as error:
        if check is not None:
            try:
                check()
            except VerificationError as found:
                raise found from error
        raise


class _Hashed:
    """Passes chunks through, hashes them, and raises at the end if the hash is not the expected one."""

    def __init__(self, chunks: Iterable[bytes], expected: Checksum | None) -> None:
        self._chunks = iter(chunks)
        self._hash = hashlib.sha256()
        self.expected = expected

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._hash.update(chunk)
            yield chunk
        _compare(self.checksum(), self.expected)

    def drain(self) -> None:
        """Reads what is left, and compares."""
        for _ in self:
            pass

    def checksum(self) -> Checksum:
        return Checksum(self._hash.hexdigest())


def _compare(found: Checksum, expected: Checksum | None) -> None:
    if expected is not None and found != expected:
        raise VerificationError(f"what the store holds has the SHA-256 {found}, and {expected} was published")


def _archive(store: Store, published: PublishedResult, *, check: bool) -> _Hashed:
    """The published version's content, or the current object's where named versions may not be read."""
    expected = published.checksum_sha256 if check else None
    if published.version_id is None:
        return _Hashed(store.read(published.key), expected)
    named = store.read(published.key, version_id=published.version_id)
    try:
        first = next(named, b"")
    except AccessDeniedError as error:
        if published.checksum_sha256 is None:
            error.add_note("the current object was not tried, as the result holds no checksum to compare it with")
            raise
        return _Hashed(store.read(published.key), published.checksum_sha256)
    return _Hashed(_chained(first, named), expected)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


class _Objects:
    """The objects under a published prefix, and the checksum of their listing."""

    def __init__(self, store: Store, published: PublishedResult, *, check: bool) -> None:
        self._store = store
        self._prefix = published.key
        self._near = published.type in _NEAR
        self.expected = published.checksum_sha256 if check else None
        self._digests: dict[str, str] = {}

    def members(self) -> Generator[tuple[Entry, Iterable[bytes]], None, None]:
        """Each object as a member of a tree; raises at the end if the checksum is not the expected one."""
        for found, begun in self._each(self._begin):
            name = found.key[len(self._prefix) :]
            modified = int(found.modified.timestamp()) if found.modified else 0
            if name.endswith("/") or not name:
                yield Entry(name.rstrip("/"), "directory", mtime=modified), ()
                continue
            entry = Entry(name, "file", found.size, modified)
            if begun is not None:
                content, self._digests[name] = begun
                yield entry, (content,)
                continue
            hashed = _Hashed(self._store.read(found.key), None)
            yield entry, hashed
            self._digests[name] = hashed.checksum()
        self._check()

    def verified(self) -> Verified:
        """Reads every object, and raises if the checksum is not the expected one."""
        size = 0
        for found, digest in self._each(self._digest):
            name = found.key[len(self._prefix) :]
            if name and not name.endswith("/"):
                self._digests[name] = digest
                size += found.size
        self._check()
        return Verified(len(self._digests), size, self.checksum())

    def checksum(self) -> Checksum:
        return listing_checksum(self._digests)

    def _each(self, work: Callable[[Stat], Answer]) -> Iterator[tuple[Stat, Answer]]:
        """Each object with ``work(object)``; where the store has to be waited for, several at a time."""
        found = self._store.list(self._prefix)
        return ((each, work(each)) for each in found) if self._near else in_order(work, found)

    def _begin(self, found: Stat) -> tuple[bytes, str] | None:
        """A small object's content and SHA-256, read ahead; a large one is left to be streamed."""
        if found.size > _SMALL:
            return None
        content = b"".join(self._store.read(found.key))
        return content, hashlib.sha256(content).hexdigest()

    def _digest(self, found: Stat) -> str:
        begun = self._begin(found)
        if begun is not None:
            return begun[1]
        hashed = _Hashed(self._store.read(found.key), None)
        hashed.drain()
        return hashed.checksum()

    def _check(self) -> None:
        if not self._digests:
            raise NotFoundError(f"there is no object under {self._prefix!r}")
        found = self.checksum()
        if self.expected is not None and found != self.expected:
            raise VerificationError(
                f"the {len(self._digests)} objects under {self._prefix!r} are not those that were published: "
                f"their listing has the SHA-256 {found}, and {self.expected} was published"
            )
