"""From a published result back to a directory, or to the proof that it is there.

Strategy: what is read is hashed on the way into a directory that has no name yet; only a stream that ends with the
published SHA-256 gets one.
"""

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, TypeVar

from . import surroundings
from .archive import Entry, Limits, Tree, Unpacked, check_destination, extract, unpack
from .archive.selection import Choice
from .backends import Credentials, NotFoundError, Stat, Store, StoreError, StoreUnavailableError
from .backends.opening import timeout_for
from .backends.options import CustomerKey
from .backends.sending import ranges
from .backends.sending.budget import Budget, budget_of
from .backends.sending.digest import Digest
from .backends.sending.workers import in_order, objects_pace
from .checksum import Checksum
from .ending import until
from .errors import ResultError, VerificationError
from .progress import Meter, Progress, Tell, told_by
from .reading import (
    Hashed,
    Result,
    admissible,
    admit_server,
    as_expected,
    check_alone,
    check_limit,
    content_of,
    explained,
    opened_store,
    stat_of,
)
from .result import PublishedResult
from .stored import Access, listing_checksum
from .trust import is_url

if TYPE_CHECKING:
    from .download import Download
    from .indexed import Source

_SMALL = ranges.RANGE  # bytes of an object that is read ahead, as one range of it
_NEAR = {"file", "memory"}  # nothing to wait for: threads cost several times what they could save

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched: the directory, its members, the bytes of their content.

    ``verified`` says whether the content was compared with a published SHA-256, ``sha256`` is that of what was read; of
    members that an index led to, it is the index's, whose digest was compared then.
    ``address`` is where the content of a pre-signed URL came from in the end, without its query. ``cleared`` names what
    an earlier run that was killed had left of the same directory, and is removed.
    """

    directory: str
    members: int
    bytes: int
    sha256: Checksum
    verified: bool
    address: str | None = None
    cleared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in the store, and is what was published: ``size`` in bytes, over all ``objects``.

    If ``members`` of an archive were verified, it is that of their content, and ``sha256`` is of what proves them: of
    the index, or of the whole object. Of a directory that was packed again, they are its members, and ``sha256`` is of
    its tar stream.
    """

    objects: int
    size: int
    sha256: Checksum
    members: int | None = None


def fetch(
    result: Result,
    directory: str | PathLike[str],
    *,
    store: Store | None = None,
    sha256: str | None = None,
    verify: bool = True,
    limits: Limits | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
    progress: Progress | None = None,
    members: Collection[str] | None = None,
    index: str | PathLike[str] | None = None,
) -> Fetched:
    """Fetches what was published into ``directory``, which is new or empty.

    ``result`` is a ``PublishedResult``, its mapping, the path of a YAML or JSON file that holds it, a pre-signed URL of
    an archive, or where it lies (``s3://bucket/key``, as ``PublishedResult.parse`` reads it). What was published raw
    becomes one file in ``directory``, named as the last segment of its key. The published version is
    read if that is permitted; otherwise the current object, which must then have the published SHA-256. ``sha256`` is
    one that it must have, where that is known from elsewhere, of a URL too. Without any, nothing is verified
    (``Fetched.verified``).

    Whoever wrote the result may not have all of this machine: ``limits`` (default: ``Limits()``) bound what is made of
    it. It names a store of S3, Google Cloud Storage or Azure, or with a checksum that is verified a file or memory;
    other types only if they are in ``allow``. ``allow_endpoints`` are URLs of servers that it may name, and then no
    others (default: ``KEYSTOW_ALLOW_ENDPOINTS``); a text that says where a result lies is held to that, too. Without
    them, credentials that work elsewhere go to the provider's own hosts, to this machine, and to what the environment
    configures. ``timeout`` is ``open_store``'s, for a URL too; so are ``concurrency`` and ``memory``, what this call
    has under way at once (of a ``store`` that is given, its own count), ``customer_key``, by which it was written, and
    ``requester_pays``.

    ``credentials`` and ``profile`` are ``open_store``'s: who reads, if not whom the environment names. They are the
    caller's own, and loosen nothing of this. ``store`` is an open one, which stays open: what is read comes from there,
    whatever store the result names.

    ``progress`` is told, as that of ``publish``, how many bytes of the archive have been read to be unpacked, or of
    other objects have been written into ``directory``, and how many there are; of a prefix, in what was listed so far.
    Who asks for it has the store asked for an object's size.

    ``members`` are patterns of gitignore's, and only what they match is fetched of an archive, with the directories
    above. Of an archive with an index no more than that is read (``open_archive`` says what proves it then, and
    ``Fetched.sha256`` is the index's); another one, and one of which only the SHA-256 of all is known, is read from
    its start; then ``limits`` are of all that it holds. ``index`` is that of ``open_archive``.

    Raises ``VerificationError``, ``ArchiveError``, ``StoreError``, ``ResultError``, ``DestinationExistsError``, or
    ``MemberError`` for ``members`` that are not there; then ``directory`` is as it was.
    """
    told = told_by(progress, ResultError)
    trust = surroundings.trust(allow, allow_endpoints)
    timeout_for(timeout)
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    access.check(store, ResultError)
    limits = limits or Limits()
    target, _ = check_destination(directory)
    expected = Checksum(sha256) if verify and sha256 is not None else None
    choice = _choice(members, index)
    if choice is not None:
        from .indexed import opened_source

        room = _room(target, limits)
        with opened_source(
            result, store, trust, access, expected=expected, verify=verify, most=room, index=index
        ) as source:
            return _fetched_members(source, choice, directory, limits, told)
    if isinstance(result, str) and is_url(result):
        check_alone(store, access)
        from .download import Download

        most, limited = _room(target, limits)
        download = Download(
            result,
            most=most,
            limited=limited,
            admit=partial(admit_server, trust),
            timeout=timeout,
            budget=access.budget,
        )
        return _downloaded(download, directory, limits, expected, most, told=told)
    published = as_expected(admissible(result, trust), expected)
    proven = verify and published.checksum_sha256 is not None
    with opened_store(published, store, trust, proven=proven, access=access) as opened:
        if published.encoding == "plain":
            objects = _Objects(opened, published, limits, check=verify, meter=Meter(told, known=False))
            check = objects.verified if objects.expected is not None else None
            with explained(check), closing(objects.members()) as found:
                unpacked = extract(found, directory, limits=limits)
            objects.meter.end()
            return _fetched(unpacked, objects.checksum(), verified=proven)
        if published.encoding == "raw":
            stat = stat_of(opened, published)
            meter = Meter(told, stat.size, 1)
            meter.begin()
            content = content_of(opened, published, check=verify)
            announced = meter.passing(_as_announced(content, stat, published.url))
            unpacked = extract([(_member(published.key.rpartition("/")[2], stat), announced)], directory, limits=limits)
        else:
            meter = _sized(told, opened, published)
            content = content_of(opened, published, check=verify)
            drain = partial(content.drain, _room(target, limits)[0]) if content.expected is not None else None
            with explained(drain):
                unpacked = unpack(meter.passing(content), directory, limits=limits)
        meter.end()
        return _fetched(unpacked, content.checksum(), verified=content.expected is not None)


def _choice(members: Collection[str] | None, index: str | PathLike[str] | None) -> Choice | None:
    if members is None and index is not None:
        raise ResultError("index= is for members of an archive: give members=, or leave it out")
    return None if members is None else Choice(members)


def _fetched_members(
    source: "Source", choice: Choice, directory: str | PathLike[str], limits: Limits, told: Tell | None
) -> Fetched:
    from .members import chosen

    meter = Meter(told, of=1, known=False)
    with chosen(source, choice, limits) as members:
        told_of = ((entry, meter.passing(content)) for entry, content in members)
        unpacked = extract(told_of, directory, limits=limits, compressed=source.bytes_read)
    meter.end()
    return _fetched(unpacked, source.checksum(), verified=source.proven, address=source.address)


def _sized(told: Tell | None, store: Store, published: PublishedResult) -> Meter:
    """A meter of as many bytes as the object has, if the store says that; it is asked only for somebody to be told."""
    if told is None:
        return Meter(None)
    try:
        meter = Meter(told, stat_of(store, published).size, 1)
    except StoreUnavailableError:
        raise  # after all tries: to read would take as many again
    except StoreError:  # whether what is published can be read will be seen
        meter = Meter(told, of=1, known=False)
    meter.begin()
    return meter


def _downloaded(
    download: "Download",
    directory: str | PathLike[str],
    limits: Limits,
    expected: Checksum | None,
    most: int,
    *,
    told: Tell | None,
) -> Fetched:
    meter = Meter(told, of=1, known=False)

    def sized(chunks: Iterable[bytes]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            if not number and download.length is not None:
                meter.expect(download.length)
                meter.know()
            yield chunk

    with closing(iter(download)) as chunks:
        content = Hashed(until(sized(chunks)), expected, "the URL")
        with explained(partial(content.drain, most) if expected else None):
            unpacked = unpack(meter.passing(content), directory, limits=limits)
    meter.end()
    return _fetched(unpacked, content.checksum(), verified=expected is not None, address=download.address)


def verify(
    result: Result,
    *,
    store: Store | None = None,
    sha256: str | None = None,
    limits: Limits | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
    progress: Progress | None = None,
    members: Collection[str] | None = None,
    against: str | PathLike[str] | Tree | None = None,
    mtime: int | None = None,
    index: str | PathLike[str] | None = None,
) -> Verified:
    """Reads what was published and compares its SHA-256; nothing is written.

    ``limits`` (default: ``Limits()``) bound the objects of a prefix and the bytes that are read, or with ``members``
    what ``fetch`` would have to read; ``store``,
    ``sha256``, ``allow``, ``allow_endpoints``, ``timeout``, ``concurrency``, ``memory``, ``credentials``, ``profile``,
    ``customer_key``, ``requester_pays`` and ``progress``, which is told of bytes that were read, are those of
    ``fetch``. So are ``members``: of an archive with an index, only what they match is read, and ``size`` is of their
    content. So is ``index``.

    ``against`` is a directory, or a ``Tree`` that ``scan`` made of one with other choices than its own: it is packed
    again, with ``mtime`` as ``publish`` takes it, and compared with the ``TarSHA256`` of the result, or that of its
    index. What the store holds is not read then, but for the index where it is needed, also to tell in notes on the
    error which members differ. ``members``, ``size`` and ``sha256`` are the directory's, and of its tar stream.

    Raises ``VerificationError`` if it differs, ``ResultError`` for a result without a checksum,
    ``MemberNotFoundError``, ``LimitExceededError``, and ``StoreError``; for a directory also ``SourceError``.
    """
    told = told_by(progress, ResultError)
    trust = surroundings.trust(allow, allow_endpoints)
    timeout_for(timeout)
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    access.check(store, ResultError)
    limits = limits or Limits()
    if against is not None:
        from .against import compared

        if not sha256 is members is index is None:
            wrong = "sha256=, members= and index="
            raise ResultError(f"against= compares a directory with all of an archive: leave {wrong} out")
        known = admissible(result, trust)
        count, size, found = compared(known, against, mtime, store=store, trust=trust, access=access, told=told)
        return Verified(1, size, found, count)
    if mtime is not None:
        raise ResultError("mtime= is the time of what against= packs: give that, or leave it out")
    choice = _choice(members, index)
    published = as_expected(admissible(result, trust), None if sha256 is None else Checksum(sha256))
    if choice is not None:
        from .indexed import opened_source

        with opened_source(published, store, trust, access, index=index) as source:
            return _verified_members(source, choice, limits, told)
    if published.checksum_sha256 is None:
        raise ResultError("the result holds no ChecksumSHA256, so there is nothing to verify against: give sha256=")
    with opened_store(published, store, trust, proven=published.checksum_sha256 is not None, access=access) as opened:
        if published.encoding == "plain":
            objects = _Objects(opened, published, limits, check=True, meter=Meter(told, known=False))
            verified = objects.verified()
            objects.meter.end()
            return verified
        meter = _sized(told, opened, published)
        content = content_of(opened, published, check=True)
        size = 0
        for chunk in meter.passing(content):
            size += len(chunk)
            check_limit("bytes", size, limits.bytes)
        meter.end()
        return Verified(1, size, content.checksum())


def _verified_members(source: "Source", choice: Choice, limits: Limits, told: Tell | None) -> Verified:
    if not source.proven:
        raise ResultError("the result holds no IndexSHA256 and no ChecksumSHA256, so nothing proves a member of it")
    from .members import chosen

    meter = Meter(told, of=1, known=False)
    count = size = 0
    with chosen(source, choice, limits) as members:
        for _, content in members:
            count += 1
            size += sum(map(len, meter.passing(content)))
    meter.end()
    return Verified(1, size, source.checksum(), count)


def presign(
    result: Result,
    *,
    expires: timedelta | float,
    store: Store | None = None,
    pin_version: bool = True,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
) -> str:
    """A URL from which anybody can fetch the archive, or raw file, until ``expires`` (a timedelta, or seconds).

    That is 7 days at most. It names the published version unless ``pin_version`` is false: a signer who has only
    ``s3:GetObject`` may not read named versions. ``store``, ``allow``, ``allow_endpoints``, ``credentials``,
    ``profile``, ``customer_key`` and ``requester_pays`` are those of ``fetch``; whoever uses the URL of what a
    customer's key encrypts has to send that along, in the store's own headers. Raises ``ResultError`` for a prefix,
    ``UnsupportedError`` for a store that has no URLs.
    """
    trust = surroundings.trust(allow, allow_endpoints)
    access = Access(None, credentials, profile, customer_key, requester_pays)
    access.check(store, ResultError)
    published = admissible(result, trust)
    if published.encoding == "plain":
        raise ResultError(f"{published.key!r} is a prefix, and one URL names one object: publish an archive")
    with opened_store(published, store, trust, proven=published.checksum_sha256 is not None, access=access) as opened:
        version_id = published.version_id if pin_version else None
        return opened.presign(published.key, expires=expires, version_id=version_id)


def _room(directory: str, limits: Limits) -> tuple[int, bool]:
    """The bytes of an archive that can be of use, and whether it is ``limits`` that allow no more than the disk."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    useful = free if limits.bytes is None else min(free, 2 * limits.bytes + _SMALL)
    return useful, useful < free


def _fetched(unpacked: Unpacked, checksum: Checksum, *, verified: bool, address: str | None = None) -> Fetched:
    return Fetched(
        unpacked.directory,
        unpacked.members,
        unpacked.bytes,
        checksum,
        verified,
        address,
        unpacked.cleared,
    )


def _member(name: str, found: Stat) -> Entry:
    return Entry(name, "file", found.size, int(found.modified.timestamp()) if found.modified else 0)


def _as_announced(chunks: Iterable[bytes], found: Stat, url: str) -> Iterator[bytes]:
    """``chunks``, if they are the bytes that the store announced."""
    left = found.size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise StoreError(f"{url}: {found.size} bytes were announced, and {'more' if left < 0 else 'fewer'} came")


def _held_by(most: int, found: Stat) -> int:
    """The bytes that are held of an object: all of a small one, ``most`` for the ranges of a large one.

    An empty one counts, too, or it would go beside as many ranges as there may be.
    """
    return max(1, found.size) if found.size <= _SMALL else most


class _Objects:
    """The objects under a published prefix, and the checksum of their listing."""

    def __init__(self, store: Store, published: PublishedResult, limits: Limits, *, check: bool, meter: Meter) -> None:
        self._store = store
        self._prefix = published.key
        self._url = published.url
        self._limits = limits
        self.meter = meter
        self._near = published.type in _NEAR
        self.expected = published.checksum_sha256 if check else None
        self._digests: dict[str, str] = {}

    def members(self) -> Generator[tuple[Entry, Iterable[bytes]], None, None]:
        """Each object as a member of a tree; raises at the end if the checksum is not the expected one."""
        for found, begun in self._each(self._begin):
            name = found.key[len(self._prefix) :]
            entry = _member(name, found)
            if name.endswith("/") or not name:
                yield Entry(name.rstrip("/"), "directory", mtime=entry.mtime), ()
            elif begun is not None:
                content, self._digests[name] = begun
                yield entry, (content,)
                self.meter.move(len(content))
            else:
                hashed = Hashed(self._content(found), None, "")
                yield entry, self.meter.passing(hashed)
                self._digests[name] = hashed.checksum()
            self.meter.move(0, objects=1)
        self._check()

    def verified(self) -> Verified:
        """Reads every object, and raises if the checksum is not the expected one."""
        size = 0
        for found, digest in self._each(self._digest):
            name = found.key[len(self._prefix) :]
            if name and not name.endswith("/"):
                self._digests[name] = digest
                size += found.size
            self.meter.move(0, objects=1)
        self._check()
        return Verified(len(self._digests), size, self.checksum())

    def checksum(self) -> Checksum:
        return listing_checksum(self._digests)

    def _each(self, work: Callable[[Stat], Answer]) -> Iterator[tuple[Stat, Answer]]:
        """Each object with ``work(object)``; where the store has to be waited for, several at a time."""
        found, budget = self._listed(), budget_of(self._store)
        if self._near or budget.concurrency == 1:
            return ((each, work(each)) for each in found)
        weigh = partial(_held_by, budget.held)
        return in_order(work, found, pace=objects_pace(budget), weigh=weigh, most=budget.held)

    def _listed(self) -> Iterator[Stat]:
        """The objects, each once the next is known: whoever is told of progress knows that there is more to come."""
        size = 0
        before: Stat | None = None
        for count, found in enumerate(self._store.list(self._prefix), 1):
            if not found.key.startswith(self._prefix) or found.size < 0:
                raise StoreError(f"{self._url}: the listing makes no sense: it has {found.key!r} of {found.size} bytes")
            size += found.size
            check_limit("members", count, self._limits.members)
            check_limit("bytes", size, self._limits.bytes)
            self.meter.expect(found.size, objects=1)
            if before is not None:
                yield before
            before = found
        self.meter.know()
        if before is not None:
            yield before

    def _content(self, found: Stat) -> Iterator[bytes]:
        return _as_announced(self._store.read(found.key), found, self._url + found.key[len(self._prefix) :])

    def _begin(self, found: Stat) -> tuple[bytes, str] | None:
        """A small object's content and SHA-256, read ahead; a large one is left to be streamed."""
        if found.size > _SMALL:
            return None
        hashed = Digest(self._content(found))
        return b"".join(hashed), hashed.hexdigest()

    def _digest(self, found: Stat) -> str:
        begun = self._begin(found)
        if begun is not None:
            self.meter.move(found.size)
            return begun[1]
        hashed = Hashed(self._content(found), None, "")
        for _ in self.meter.passing(hashed):
            pass
        return hashed.checksum()

    def _check(self) -> None:
        if not self._digests:
            raise NotFoundError(f"there is no object under {self._url!r}")
        found = self.checksum()
        if self.expected is not None and found != self.expected:
            raise VerificationError(
                f"the {len(self._digests)} objects under {self._url!r} are not those that were published: "
                f"their listing has the SHA-256 {found}, and {self.expected} was published"
            )
