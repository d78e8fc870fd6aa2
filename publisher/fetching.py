"""From a published result back to a directory, or to the proof that it is there.

Strategy: what is read is hashed on the way into a directory that has no name yet; only a stream that ends with the
published SHA-256 gets one.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING

from .ahead import Ahead
from .archive import Entry, Limits, Tree, Unpacked, check_destination, extract, unpack
from .archive.selection import Choice
from .archive.untar import untar
from .backends import Credentials, Store, StoreError, StoreUnavailableError
from .backends.options import CustomerKey
from .backends.sending.budget import Budget
from .checksum import Checksum
from .ending import until
from .errors import ResultError
from .prefixes import Terms, check_prefix, opened_objects
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
    is_proven,
    opened_store,
    sized,
    stat_of,
    trusted,
    useful,
)
from .result import PublishedResult
from .stored import Access
from .trust import is_url

if TYPE_CHECKING:
    from .download import Download
    from .indexed import Source


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
    manifest: bool | None = None,
    strict: bool = False,
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
    its start; then ``limits`` are of all that it holds. ``index`` is that of ``open_archive``. Of a prefix, they are
    the names of files.

    A prefix is read by its manifest, and holds what that lists, with the times that the files had; what else lies under
    it does not matter. One without a manifest was not published, unless its checksum says what lies there
    (``keystow.publish``). ``manifest=False`` takes all that lies there. With ``strict``, objects that were not
    published are an error, which names them, up to a thousand; nothing is fetched then.

    Raises ``VerificationError``, ``ArchiveError``, ``StoreError``, ``ResultError``, ``DestinationExistsError``, or
    ``MemberError`` for ``members`` that are not there; then ``directory`` is as it was.
    """
    told = told_by(progress, ResultError)
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    trust = trusted(allow, allow_endpoints, access, store)
    limits = limits or Limits()
    target, _ = check_destination(directory)
    expected = Checksum(sha256) if verify and sha256 is not None else None
    choice = _choice(members, index)
    of = result if isinstance(result, str) and is_url(result) else as_expected(admissible(result, trust), expected)
    if isinstance(of, PublishedResult) and of.encoding == "plain":
        _check_no_index(index)
        terms = Terms(limits, verify, choice, manifest)
        with opened_objects(of, store, trust, access, terms, told=told) as objects:
            if strict:
                objects.check_alone()
            with explained(objects.settle), closing(objects.members()) as found:
                unpacked = extract(found, directory, limits=limits)
            return _fetched(unpacked, objects.checksum(), verified=objects.proven)
    check_prefix(manifest=manifest, strict=strict)
    if choice is not None:
        from .indexed import opened_source

        room = _room(target, limits)
        with opened_source(
            of, store, trust, access, expected=expected, verify=verify, most=room, index=index
        ) as source:
            return _fetched_members(source, choice, directory, limits, told)
    if isinstance(of, str):
        check_alone(store, access)
        from .download import Download

        most, limited = _room(target, limits)
        download = Download(
            of,
            most=most,
            limited=limited,
            admit=partial(admit_server, trust),
            timeout=timeout,
            budget=access.budget,
        )
        return _downloaded(download, directory, limits, expected, most, told=told)
    proven = verify and of.checksum_sha256 is not None
    with opened_store(of, store, trust, proven=proven, access=access) as opened:
        if of.encoding == "raw":
            stat = stat_of(opened, of)
            meter = Meter(told, stat.size, 1)
            meter.begin()
            content = content_of(opened, of, check=verify)
            at = int(stat.modified.timestamp()) if stat.modified else 0
            entry = Entry(of.key.rpartition("/")[2], "file", stat.size, at)
            with closing(iter(content)) as chunks:
                announced = meter.passing(sized(chunks, stat.size, of.url, StoreError))
                unpacked = extract([(entry, announced)], directory, limits=limits)
        else:
            meter = _sized(told, opened, of)
            with Ahead(opened, of) as ahead:
                content = content_of(opened, of, check=verify)
                drain = partial(content.drain, _room(target, limits)[0]) if content.expected is not None else None
                with explained(drain), closing(ahead.inflated(meter.passing(content))) as tar:
                    unpacked = extract(untar(tar), directory, limits=limits, compressed=lambda: content.size)
        meter.end()
        return _fetched(unpacked, content.checksum(), verified=content.expected is not None)


def _check_no_index(index: str | PathLike[str] | None) -> None:
    if index is not None:
        raise ResultError("index= is of an archive, and this is a prefix: leave it out")


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

    def measured(chunks: Iterable[bytes]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            if not number and download.length is not None:
                meter.expect(download.length)
                meter.know()
            yield chunk

    with closing(iter(download)) as chunks:
        content = Hashed(until(measured(chunks)), expected, "the URL")
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
    manifest: bool | None = None,
    strict: bool = False,
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

    ``manifest`` and ``strict`` are those of ``fetch``.

    Raises ``VerificationError`` if it differs, ``ResultError`` for a result without a checksum,
    ``MemberNotFoundError``, ``LimitExceededError``, and ``StoreError``; for a directory also ``SourceError``.
    """
    told = told_by(progress, ResultError)
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    trust = trusted(allow, allow_endpoints, access, store)
    limits = limits or Limits()
    choice = _choice(members, index)
    if against is not None:
        from .against import compared

        if sha256 is not None or members is not None:
            raise ResultError("against= compares a directory with all of an archive: leave sha256= and members= out")
        check_prefix(manifest=manifest, strict=strict)
        known = admissible(result, trust)
        count, size, found = compared(known, against, mtime, store=store, trust=trust, access=access, told=told)
        return Verified(1, size, found, count)
    if mtime is not None:
        raise ResultError("mtime= is the time of what against= packs: give that, or leave it out")
    published = as_expected(admissible(result, trust), None if sha256 is None else Checksum(sha256))
    if choice is not None and published.encoding != "plain":
        from .indexed import opened_source

        check_prefix(manifest=manifest, strict=strict)
        with opened_source(published, store, trust, access, index=index) as source:
            return _verified_members(source, choice, limits, told)
    if published.checksum_sha256 is None and not (published.encoding == "plain" and is_proven(published)):
        raise ResultError("the result holds no ChecksumSHA256, so there is nothing to verify against: give sha256=")
    if published.encoding == "plain":
        _check_no_index(index)
        terms = Terms(limits, check=True, choice=choice, manifest=manifest)
        with opened_objects(published, store, trust, access, terms, told=told) as objects:
            count, size = objects.verify()
            if strict:
                objects.check_alone()
            return Verified(count, size, objects.checksum(), None if choice is None else count)
    check_prefix(manifest=manifest, strict=strict)
    with opened_store(published, store, trust, proven=True, access=access) as opened:
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
    access = Access(None, credentials, profile, customer_key, requester_pays)
    trust = trusted(allow, allow_endpoints, access, store)
    published = admissible(result, trust)
    if published.encoding == "plain":
        raise ResultError(
            f"{published.key!r} is a prefix, and one URL names one object: presign_each gives one for each file"
        )
    with opened_store(published, store, trust, proven=published.checksum_sha256 is not None, access=access) as opened:
        version_id = published.version_id if pin_version else None
        return opened.presign(published.key, expires=expires, version_id=version_id)


def _room(directory: str, limits: Limits) -> tuple[int, bool]:
    """The bytes of an archive that can be of use, and whether it is ``limits`` that allow no more than the disk."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    disk = os.statvfs(directory)
    free = disk.f_bavail * disk.f_frsize
    most = min(free, useful(limits))
    return int(most), most < free


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
