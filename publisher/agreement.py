"""Whether several executions gave the same: their results are compared, and of what differs indexes or manifests.

Strategy: what a result says is enough as long as it says a digest, so nothing is asked then. Where digests differ, two
indexes are walked side by side in the order of names, without the pages that both have, and no content is read. A
digest is what its publisher says: only who reads all of an archive knows that of its tar stream.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Literal

from .archive import Entry, Limits
from .archive.index import Index
from .archive.indexing import sort_key
from .backends import Credentials, Store
from .backends.options import CustomerKey
from .backends.sending.budget import Budget
from .checksum import Checksum
from .errors import ResultError, VerificationError
from .indexed import Source, opened_source
from .manifests import Found
from .prefixes import committed
from .reading import Result, admissible, opened_store, trusted
from .result import PublishedResult
from .root import KeystowError
from .stored import Access
from .trust import Trust

What = Literal["missing", "added", "kind", "content", "target", "mode", "time"]

Told = tuple[Entry, int | str]
"""A member, and the CRC-32 of its content; or of a prefix a file, and its SHA-256."""

_KINDS = {"gzip": "an archive", "plain": "a prefix", "raw": "a file as it is"}


@dataclass(frozen=True, slots=True)
class Group:
    """The results that have one digest, and their places among those that were given, counted from 1."""

    sha256: Checksum
    numbers: tuple[int, ...]
    results: tuple[PublishedResult, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """A member that is another one in the group of ``sha256`` than in the first group.

    ``what``: it is ``"missing"`` there, or was ``"added"``; or another is its ``"kind"``, its ``"content"``, the
    ``"target"`` of a link, its ``"mode"``, or if nothing of these its ``"time"``.
    """

    name: str
    what: What
    sha256: Checksum


@dataclass(frozen=True, slots=True)
class Agreement:
    """What came of comparing: ``groups``, the largest first; of the same size, the one that was given first.

    ``agreed`` says whether one of them, and no other, has at least ``quorum`` results. If not, ``differences`` are the
    first members that differ, and ``notes`` say of which groups none can be told, and why.
    """

    agreed: bool
    quorum: int
    groups: tuple[Group, ...]
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


def agree(
    results: Iterable[Result],
    *,
    quorum: int | None = None,
    differences: int = 10,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
) -> Agreement:
    """Whether at least ``quorum`` of ``results`` (default: all) are of the same content, without reading that.

    Archives are compared by the SHA-256 of their tar streams, which is in the result; of one that does not hold it, the
    end of the object is read, where its index says it. Prefixes and raw files are compared by their ``ChecksumSHA256``.
    Each result counts, also two of the same object.

    If they do not agree, the indexes of archives and the manifests of prefixes are read to tell which members of each
    other group differ from the largest one, ``differences`` of them at the most: first those of which more than the
    time does. With 0, nothing is read for that. If they cannot be read, or are not what was published, that is a note:
    whether the results agree is known then. Who wrote a result may have written any digest into it: ``fetch`` is who
    reads.

    The other arguments are those of ``fetch``. Raises ``ResultError`` for fewer than two results, for what cannot be
    compared with each other, and for a result that neither says a digest nor is of an archive with an index. Where an
    archive has to be read for its digest, raises ``VerificationError`` if it is not what its result says,
    ``ArchiveError`` and ``StoreError``.
    """
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    trust = trusted(allow, allow_endpoints, access)
    published = [admissible(result, trust) for result in results]
    wanted = _checked(published, quorum)
    if differences < 0:
        raise ValueError(f"differences={differences} is no number of members: give one from 0 on")
    groups = _grouped(published, [digest_of(result, trust, access) for result in published])
    agreed = len(groups[0].results) >= wanted and all(len(group.results) < wanted for group in groups[1:])
    if agreed or not differences:
        return Agreement(agreed, wanted, groups)
    found: list[Difference] = []
    notes: list[str] = []
    reader = _Reader(trust, access)
    for other in groups[1:]:
        told, note = _differing(groups[0], other, reader, differences)
        found += told
        notes += [note] if note else []
    return Agreement(agreed, wanted, groups, tuple(found), tuple(notes))


def _checked(published: list[PublishedResult], quorum: int | None) -> int:
    """The quorum."""
    if len(published) < 2:
        raise ResultError("there are fewer than two results, and nothing to compare: give another one")
    first = published[0]
    for other in published:
        if other.encoding != first.encoding:
            raise ResultError(
                f"{first.url!r} is {_KINDS[first.encoding]}, and {other.url!r} {_KINDS[other.encoding]}: compare "
                "archives with archives, prefixes with prefixes, and files as they are with such files"
            )
    wanted = len(published) if quorum is None else quorum
    if not 1 <= wanted <= len(published):
        raise ResultError(f"quorum={wanted} cannot be of {len(published)} results: give one from 1 to that")
    return wanted


def digest_of(published: PublishedResult, trust: Trust, access: Access, store: Store | None = None) -> Checksum:
    """The digest by which it is compared with others. Raises ``ResultError`` if there is none."""
    if published.encoding != "gzip":
        if published.checksum_sha256 is None:
            raise ResultError(f"the result of {published.url!r} holds no ChecksumSHA256 to compare: fetch it, and see")
        return published.checksum_sha256
    if published.tar_sha256 is not None:
        return published.tar_sha256
    with opened_archive(published, trust, access, store) as source:
        if source.index is None:
            raise ResultError(f"{published.url!r} has no index, and its result no TarSHA256: fetch it, and see")
        return Checksum(source.index.tar_sha256)


@contextmanager
def opened_archive(
    published: PublishedResult, trust: Trust, access: Access, store: Store | None = None
) -> Iterator[Source]:
    """The archive; of one whose result holds no ``IndexSHA256``, nothing proves the index.

    Raises ``VerificationError`` if the index tells of another tar stream than the result.
    """
    verify = published.index_sha256 is not None
    with opened_source(published, store, trust, access, verify=verify) as source:
        said = published.tar_sha256
        if source.index is not None and said is not None and source.index.tar_sha256 != said:
            raise VerificationError(
                f"the index of {published.url!r} says that its tar stream has the SHA-256 {source.index.tar_sha256}, "
                f"and its result, {said}"
            )
        yield source


def _grouped(published: list[PublishedResult], digests: list[Checksum]) -> tuple[Group, ...]:
    numbers: dict[Checksum, list[int]] = {}
    for number, digest in enumerate(digests, 1):
        numbers.setdefault(digest, []).append(number)
    groups = [
        Group(digest, tuple(found), tuple(published[number - 1] for number in found))
        for digest, found in numbers.items()
    ]
    return tuple(sorted(groups, key=lambda group: -len(group.results)))


class _Reader:
    """Opens the first result of a group that can be read; one that could not be is not tried again."""

    def __init__(self, trust: Trust, access: Access) -> None:
        self._trust, self._access = trust, access
        self._failed: dict[PublishedResult, KeystowError] = {}

    def opened(self, group: Group, opened: ExitStack) -> Source | Found:
        """An archive with a sorted index, or the manifest of a prefix. Raises what the first of the group does."""
        for result in group.results:
            if result not in self._failed:
                try:
                    return opened.enter_context(self._opened(result))
                except KeystowError as error:
                    self._failed[result] = error
        raise self._failed[group.results[0]]

    @contextmanager
    def _opened(self, result: PublishedResult) -> Iterator[Source | Found]:
        if result.encoding == "gzip":
            with opened_archive(result, self._trust, self._access) as source:
                if source.index is None or not source.index.is_sorted:
                    lack = "no index" if source.index is None else "an index that is not sorted"
                    raise ResultError(f"{source.url!r} has {lack}")
                yield source
        else:
            with opened_store(result, None, self._trust, proven=True, access=self._access) as store:
                found = committed(store, result, Limits())
                if found is None:
                    raise ResultError(f"{result.url!r} has no manifest")
                yield found


def _differing(first: Group, other: Group, reader: _Reader, most: int) -> tuple[list[Difference], str | None]:
    """The members of the ``other`` group that differ from the ``first``'s, or why none can be told."""
    one, two = (repr(group.results[0].url) for group in (first, other))
    unknown = f"what differs between {one} and {two} is not told"
    is_archive = first.results[0].encoding == "gzip"
    if first.results[0].encoding == "raw":
        return [], f"{unknown}, as only archives and prefixes tell what they hold"
    try:
        with ExitStack() as opened:
            walks = _walks([reader.opened(group, opened) for group in (first, other)], opened)
            found = first_differences(walks[0], walks[1], most, sort_key if is_archive else _name_key)
    except KeystowError as error:
        return [], "; ".join([f"{unknown}: {error}", *getattr(error, "__notes__", ())])
    if not found:
        return [], f"{one} and {two} differ in what their indexes do not tell: fetch both, and compare them"
    return [Difference(name, what, other.sha256) for name, what in found], None


def _walks(both: Sequence[Source | Found], opened: ExitStack) -> Sequence[Iterator[Told]]:
    """What both hold, each in the order of names; of archives, without the pages that both have."""
    indexes = [each.index for each in both if isinstance(each, Source) and each.index is not None]
    pages = [frozenset(index.page_digests) for index in indexes]
    known = frozenset.intersection(*pages) if pages else frozenset()
    walks = (walked(each, known) if isinstance(each, Source) else _files(each) for each in both)
    return [opened.enter_context(closing(walk)) for walk in walks if walk is not None]


def _files(found: Found) -> Generator[Told, None, None]:
    """The files of a prefix, of which no more counts than name and content."""
    yield from ((Entry(item.name, "file", item.size), item.sha256) for item in found.manifest)


def walked(source: Source, known: frozenset[bytes] = frozenset()) -> Generator[Told, None, None] | None:
    """The members in the order of their names, but for those in pages with a ``known`` digest.

    ``None`` without an index that has that order.
    """
    return None if source.index is None or not source.index.is_sorted else _walked(source, source.index, known)


def _walked(source: Source, index: Index, known: frozenset[bytes]) -> Generator[Told, None, None]:
    with source.explained():
        yield from ((member.entry, member.crc32) for member in index.except_in(known))


def first_differences(
    one: Iterator[Told], other: Iterator[Told], most: int, key: Callable[[str], bytes] = sort_key
) -> list[tuple[str, What]]:
    """What differs of two lists that are sorted by name, ``most`` members of it: those last that differ in time alone.

    ``key`` gives what names are sorted by.

    No more is read than it takes, and no more is held than is given.
    """
    found: list[tuple[str, What]] = []
    times: list[tuple[str, What]] = []
    for name, what in _joined(one, other, lambda told: key(told[0].name)):
        if what != "time":
            found.append((name, what))
            if len(found) == most:
                break
        elif len(times) < most:
            times.append((name, what))
    return [*islice([*found, *times], most)]


def _joined(one: Iterator[Told], other: Iterator[Told], key: Callable[[Told], bytes]) -> Iterator[tuple[str, What]]:
    here, there = next(one, None), next(other, None)
    while here or there:
        if here and (not there or key(here) < key(there)):
            yield here[0].name, "missing"
            here = next(one, None)
        elif there and (not here or key(there) < key(here)):
            yield there[0].name, "added"
            there = next(other, None)
        elif here and there:
            what = _what(here, there)
            if what is not None:
                yield here[0].name, what
            here, there = next(one, None), next(other, None)


def _name_key(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _what(here: Told, there: Told) -> What | None:
    """What differs of two members of a name, if anything does."""
    (one, crc32), (other, other_crc32) = here, there
    compared: tuple[tuple[What, object, object], ...] = (
        ("kind", one.kind, other.kind),
        ("content", (one.size, crc32), (other.size, other_crc32)),
        ("target", one.target, other.target),
        ("mode", one.kind == "file" and one.executable, other.kind == "file" and other.executable),
        ("time", one.mtime, other.mtime),
    )
    return next((what for what, is_here, is_there in compared if is_here != is_there), None)
