"""The objects under a published prefix, read: those that its manifest lists; where it has none, those that are there.

Strategy: the manifest is read first and proved by what the result says, then each object by what the manifest says. A
prefix that was published without one is listed, and the checksum of the list is compared once all was read.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import NamedTuple, TypeVar

from .archive import ArchiveError, Entry, LimitExceededError, Limits
from .archive.manifest import NAME, Item
from .archive.selection import Choice
from .backends import AccessDeniedError, BucketNotFoundError, NotFoundError, Stat, Store, StoreError
from .backends.sending.budget import budget_of
from .backends.sending.ranges import RANGE
from .backends.sending.workers import held_of, in_order, objects_pace
from .backends.texts import SOME, some_of
from .checksum import Checksum
from .errors import MemberNotFoundError, ResultError, VerificationError
from .manifests import Found, read_manifest
from .progress import Meter, Tell
from .reading import Hashed, check_limit, is_proven, opened_store, version_of
from .result import PublishedResult
from .stored import Access, listing_checksum
from .trust import Trust

_MOST_NAMED = 1000
_NEAR = {"file", "memory"}  # nothing to wait for: threads cost several times what they could save

Answer = TypeVar("Answer")


def committed(
    store: Store, published: PublishedResult, limits: Limits, *, check: bool = True, manifest: bool | None = None
) -> Found | None:
    """The manifest by which the prefix is read, compared with what is ``published``, where ``check`` says so.

    Of one that announces more than ``limits``, no more is read. ``None`` if its objects are to be listed: ``manifest``
    is false, or only a checksum is known that is none of a manifest's. Raises ``NotFoundError`` where nothing was
    published, ``VerificationError`` and ``ArchiveError``.
    """
    if manifest is False:
        return None
    if published.checksum_sha256 is not None and published.index_sha256 is None:
        return _perhaps(store, published, limits, check=check)
    try:
        found = read_manifest(store, published.key, published.version_id, or_current=is_proven(published))
        _check_limits(found, limits)
        if not check or _is_published(found, published):
            return found
    except NotFoundError as error:
        if isinstance(error, BucketNotFoundError):
            raise
        if published.index_sha256 is not None:
            said = f"what was published under {published.url!r} is not there any more, as its manifest is gone"
            raise NotFoundError(said, code=error.code, hint="publish it again") from error
        said = f"nothing was published under {published.url!r}, as there is no manifest"
        raise NotFoundError(said, code=error.code, hint="manifest=False takes whatever lies there") from error
    except ArchiveError as error:
        if not check or published.index_sha256 is None or isinstance(error, LimitExceededError):
            raise
        raise VerificationError(f"the manifest of {published.url!r} is not what was published: {error}") from error
    if published.checksum_sha256 is not None:
        told = f"the files that it lists have the SHA-256 {found.listing}, and {published.checksum_sha256}"
    else:
        told = f"it has the SHA-256 {found.sha256}, and {published.index_sha256}"
    raise VerificationError(f"the manifest of {published.url!r} is not what was published: {told} was published")


def _check_limits(found: Found, limits: Limits) -> None:
    check_limit("members", found.manifest.files, limits.members)
    check_limit("bytes", found.manifest.size, limits.bytes)


def _perhaps(store: Store, published: PublishedResult, limits: Limits, *, check: bool) -> Found | None:
    """The manifest, if there is one that lists what was published; its result, which others may know, says nothing."""
    try:
        found = read_manifest(store, published.key, published.version_id, or_current=is_proven(published))
        _check_limits(found, limits)
        is_published = not check or found.listing == published.checksum_sha256
    except (NotFoundError, AccessDeniedError, ArchiveError):
        return None
    return found if is_published else None


def _is_published(found: Found, published: PublishedResult) -> bool:
    """Whether it lists what was published; without any digest, it is what it is."""
    if published.checksum_sha256 is not None:
        return found.listing == published.checksum_sha256
    return published.index_sha256 in {None, found.sha256}


def chosen_items(items: Iterable[Item], choice: Choice | None, url: str) -> Iterator[Item]:
    """Those of ``url`` that go along. Raises ``MemberNotFoundError`` in the end, if a pattern matched none."""
    for item in items:
        if choice is None or choice.takes(item.name):
            yield item
    if choice is not None and choice.unmatched:
        raise MemberNotFoundError(f"no file under {url!r} is matched by {choice.unmatched[0]!r}")


class Object(NamedTuple):
    """An object as it was listed, or stands in the manifest."""

    entry: Entry
    sha256: Checksum | None = None
    version_id: str | None = None
    etag: str | None = None


def object_of(item: Item) -> Object:
    """The object that a manifest tells of."""
    return Object(item.entry, Checksum(item.sha256), item.version_id, item.etag)


def content_of_object(store: Store, prefix: str, url: str, found: Object, *, check: bool = True) -> Hashed:
    """The content of an object under ``prefix``, which is ``url``, compared with what is known of it."""
    said = Stat(prefix + found.entry.name, found.entry.size, found.etag, found.version_id)
    return version_of(store, said, found.sha256, url + found.entry.name, check=check, exact=True)


class Terms(NamedTuple):
    """How a prefix is read: within which limits, whether it is compared, which files, and by a manifest or not."""

    limits: Limits
    check: bool
    choice: Choice | None = None
    manifest: bool | None = None


@contextmanager
def opened_objects(
    published: PublishedResult,
    given: Store | None,
    trust: Trust,
    access: Access,
    terms: Terms,
    *,
    told: Tell | None = None,
) -> Iterator["Objects"]:
    """The objects of what is ``published``; all have moved when this ends. Raises what ``committed`` raises."""
    proven = terms.check and is_proven(published)
    with opened_store(published, given, trust, proven=proven, access=access) as store:
        found = committed(store, published, terms.limits, check=terms.check, manifest=terms.manifest)
        meter = Meter(told, known=False)
        yield Objects(store, published, found, terms, meter, proven=proven)
        meter.end()


def check_prefix(*, manifest: bool | None, strict: bool = False) -> None:
    """Raises ``ResultError`` for what is said of prefixes alone, where there is none."""
    if manifest is not None or strict:
        name = "strict=True" if strict else f"manifest={manifest}"
        raise ResultError(f"{name} is for a prefix, and this is one object: leave it out")


class Objects:
    """The objects under a published prefix; of a ``found`` manifest, those that it lists, or that go along."""

    def __init__(
        self,
        store: Store,
        published: PublishedResult,
        found: Found | None,
        terms: Terms,
        meter: Meter,
        *,
        proven: bool,
    ) -> None:
        if terms.choice is not None and found is None:
            wrong = "leave manifest=False out" if terms.manifest is False else "fetch all of it"
            raise ResultError(f"only by a manifest it is known which files {published.url!r} has: {wrong}")
        self._store = store
        self._prefix = published.key
        self._url = published.url
        self._found = found
        self._limits = terms.limits
        self._check = terms.check
        self._choice = terms.choice
        self._expected = published.checksum_sha256 if terms.check and found is None else None
        self._near = published.type in _NEAR
        self._meter = meter
        self._digests: dict[str, str] = {}
        self.proven = proven
        """Whether a published digest proves what is read."""
        self._tells_modes = not proven or (found is not None and found.sha256 == published.index_sha256)

    def settle(self) -> None:
        """Raises ``VerificationError`` if what cannot be unpacked is not what was published, as a list tells that."""
        if self._expected is not None:
            self.verify()

    def members(self) -> Generator[tuple[Entry, Iterable[bytes]], None, None]:
        """Each object as a member of a tree; raises ``VerificationError`` for what is not what was published."""
        for found, begun in self._each(self._begin):
            if found.entry.kind == "directory":
                yield found.entry, ()
            elif begun is not None:
                content, self._digests[found.entry.name] = begun
                yield found.entry, (content,)
                self._meter.move(len(content))
            else:
                hashed = self._content(found)
                with closing(iter(hashed)) as chunks:
                    yield found.entry, self._meter.passing(chunks)
                self._digests[found.entry.name] = hashed.checksum()
            self._meter.move(0, objects=1)
        self._compare()

    def verify(self) -> tuple[int, int]:
        """Reads every object, and gives how many there are, and of how many bytes; raises as ``members`` does."""
        size = 0
        for found, digest in self._each(self._digest):
            if found.entry.kind == "file":
                self._digests[found.entry.name] = digest
                size += found.entry.size
            self._meter.move(0, objects=1)
        self._compare()
        return len(self._digests), size

    def check_alone(self) -> None:
        """Raises ``VerificationError`` if there are objects that the manifest does not list.

        The message names five, and notes the others, up to a thousand. Without a manifest, it is the checksum of the
        list that says that there are no others; without that too, raises ``ResultError``.
        """
        if self._found is None:
            if self._expected is None:
                said = f"nothing tells which objects under {self._url!r} were published, and which are others"
                raise ResultError(f"{said}: leave strict=True out")
            return
        known = {item.name for item in self._items()}
        others = (name for name in (found.key[len(self._prefix) :] for found in self._stats()) if name not in known)
        named = list(islice(others, _MOST_NAMED))
        if not named:
            return
        more = sum(1 for _ in others)
        said = f"there are objects under {self._url!r} that were not published: {some_of(named, further=more)}"
        error = VerificationError(said)
        for name in named[SOME:]:
            error.add_note(repr(name))
        if more:
            error.add_note(f"and {more} more")
        raise error

    def checksum(self) -> Checksum:
        """That of all objects of the prefix, read or not."""
        return listing_checksum(self._digests) if self._found is None else self._found.listing

    def _each(self, work: Callable[[Object], Answer]) -> Iterator[tuple[Object, Answer]]:
        """Each object with ``work(object)``; where the store has to be waited for, several at a time."""
        found, budget = self._objects(), budget_of(self._store)
        if self._near or budget.concurrency == 1:
            return ((each, work(each)) for each in found)

        def weigh(found: Object) -> int:
            return held_of(found.entry.size, RANGE, budget.held)

        return in_order(work, found, pace=objects_pace(budget), weigh=weigh, most=budget.held)

    def _objects(self) -> Iterator[Object]:
        """The objects, each once the next is known: whoever is told of progress knows that there is more to come."""
        size = 0
        before: Object | None = None
        for count, found in enumerate(self._listed() if self._found is None else self._chosen(), 1):
            size += found.entry.size
            check_limit("members", count, self._limits.members)
            check_limit("bytes", size, self._limits.bytes)
            self._meter.expect(found.entry.size, objects=1)
            if before is not None:
                yield before
            before = found
        self._meter.know()
        if before is not None:
            yield before

    def _listed(self) -> Iterator[Object]:
        for found in self._stats():
            name, at = found.key[len(self._prefix) :], int(found.modified.timestamp()) if found.modified else 0
            if name.endswith("/") or not name:
                yield Object(Entry(name.rstrip("/"), "directory", found.size, at))
            else:
                yield Object(Entry(name, "file", found.size, at))

    def _stats(self) -> Iterator[Stat]:
        """What lies under the prefix, but for a manifest of it."""
        for found in self._store.list(self._prefix):
            if not found.key.startswith(self._prefix) or found.size < 0:
                said = f"the listing makes no sense: it has {found.key!r} of {found.size} bytes"
                raise StoreError(f"{self._url}: {said}")
            if found.key != self._prefix + NAME:
                yield found

    def _items(self) -> Iterator[Item]:
        return iter(()) if self._found is None else iter(self._found.manifest)

    def _chosen(self) -> Iterator[Object]:
        for item in chosen_items(self._items(), self._choice, self._url):
            yield object_of(item if self._tells_modes else item._replace(executable=False))

    def _content(self, found: Object) -> Hashed:
        return content_of_object(self._store, self._prefix, self._url, found, check=self._check)

    def _begin(self, found: Object) -> tuple[bytes, str] | None:
        """A small object's content and SHA-256, read ahead; a large one is left to be streamed."""
        if found.entry.size > RANGE or found.entry.kind == "directory":
            return None
        hashed = self._content(found)
        return b"".join(hashed), found.sha256 or hashed.checksum()

    def _digest(self, found: Object) -> str:
        hashed = self._content(found)
        for _ in self._meter.passing(hashed):
            pass
        return found.sha256 or hashed.checksum()

    def _compare(self) -> None:
        if self._found is not None:
            return
        if not self._digests:
            raise NotFoundError(f"there is no object under {self._url!r}")
        found = self.checksum()
        if self._expected is not None and found != self._expected:
            raise VerificationError(
                f"the {len(self._digests)} objects under {self._url!r} are not those that were published: "
                f"their listing has the SHA-256 {found}, and {self._expected} was published"
            )
