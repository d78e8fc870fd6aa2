"""One published object, read: what says where it is, who may be asked for it, and what proves it."""

import math
import os
import re
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Literal

from . import surroundings
from .archive import ArchiveError, LimitExceededError, Limits
from .archive.threads import Called, Threads
from .backends import Stat, Store, StoreError
from .backends.opening import timeout_for
from .backends.sending.digest import Digest
from .backends.sending.ranges import RANGE
from .checksum import Checksum
from .ending import held
from .errors import ResultError, VerificationError
from .result import PublishedResult
from .stored import NO_VERSION, Access, open_place
from .trust import Trust, admit_url, is_url
from .yaml_files import load_mapping_file, load_mappings_file

_ABSENT = "is no file with a published result, and no URL: give one of them"
_AT_ONCE = 1 << 20  # bytes for which it is worth waking a thread to hash them
_REFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

Result = PublishedResult | Mapping[str, object] | str | PathLike[str]
"""A published result, its mapping, or the path of a file that holds it."""


@contextmanager
def opened_store(
    published: PublishedResult,
    given: Store | None,
    trust: Trust,
    *,
    proven: bool,
    access: Access,
) -> Iterator[Store]:
    """The ``given`` store, or that which ``published`` names, if it may; ``proven``: one of its digests has to hold."""
    if given is not None:
        yield held(given, given=True)
        return
    surroundings.admit_claimed(
        published,
        proven=proven,
        trust=trust,
        error=ResultError,
        keyed=access.customer_key is not None,
        profile=access.profile,
    )
    with closing(held(open_place(published, access), given=False)) as opened:
        yield opened


def trusted(
    allow: Collection[str], allow_endpoints: Collection[str] | None, access: Access, store: Store | None = None
) -> Trust:
    """What results may name, as the caller says who reads: by ``access``, or from a ``store`` that is open.

    Raises ``ValueError`` for a timeout that is none, and ``ResultError`` for an ``access`` that goes with no ``store``.
    """
    timeout_for(access.timeout)
    access.check(store, ResultError)
    return surroundings.trust(allow, allow_endpoints)


def read_result(result: Result) -> PublishedResult:
    """``result`` itself, or what its mapping, a file or the place where it lies says. Raises ``ResultError``."""
    if isinstance(result, PublishedResult):
        return result
    if isinstance(result, Mapping):
        return PublishedResult.from_mapping(result)
    path = os.fspath(result)
    if is_url(path):
        raise ResultError("a URL brings no checksum and can only be fetched: give the published result")
    if is_reference(path):
        return PublishedResult.parse(path)
    return PublishedResult.from_mapping(load_mapping_file(path, ResultError, _ABSENT))


def is_prefix(result: Result) -> bool:
    """Whether the objects under a prefix are meant, and not one object or a URL. Raises ``ResultError``."""
    return not (isinstance(result, str) and is_url(result)) and read_result(result).encoding == "plain"


def read_results(path: str) -> list[PublishedResult]:
    """The results in a file that may hold several. Raises ``ResultError``."""
    return [*map(PublishedResult.from_mapping, load_mappings_file(path, ResultError, _ABSENT))]


def is_reference(text: str) -> bool:
    """Whether ``text`` is meant as where something lies, for ``PublishedResult.parse``."""
    return _REFERENCE.match(text) is not None


def admissible(result: Result, trust: Trust) -> PublishedResult:
    """``read_result``; where servers are listed that may be called, the place in a text is one to be judged, too."""
    found = read_result(result)
    is_text = not isinstance(result, PublishedResult | Mapping)
    return replace(found, claimed=True) if is_text and trust.endpoints is not None else found


def as_expected(published: PublishedResult, checksum: Checksum | None) -> PublishedResult:
    """``published``, with the ``checksum`` that somebody else knows of it, which says nothing of another digest."""
    known = published.checksum_sha256
    if checksum is not None and known not in {None, checksum}:
        raise VerificationError(f"the result says that the SHA-256 is {known}, and {checksum} is expected")
    return published if checksum is None else replace(published, checksum_sha256=checksum, index_sha256=None)


def stat_of(store: Store, published: PublishedResult) -> Stat:
    """What the store says of the object that ``content_of`` reads."""
    try:
        return store.stat(published.key, version_id=published.version_id)
    except NO_VERSION:
        if published.version_id is None or not is_proven(published):
            raise
        return store.stat(published.key)


def is_proven(published: PublishedResult) -> bool:
    """Whether it holds a digest that what is read has to have."""
    return published.checksum_sha256 is not None or published.index_sha256 is not None


def content_of(store: Store, published: PublishedResult, *, check: bool) -> "Hashed":
    """The published version's content, or the current object's where that is not to be had."""
    said = Stat(published.key, published.size or 0, version_id=published.version_id)
    return version_of(store, said, published.checksum_sha256, published.url, check=check)


def note(store: Store, said: Stat) -> None:
    """Tells the store what is said of a version that is read next, if it has a use for that (``CloudStore.noted``)."""
    noted: Callable[[Stat, str | None], object] | None = getattr(store, "noted", None)
    if noted is not None:
        noted(said, said.version_id)


def version_of(
    store: Store, said: Stat, known: Checksum | None, url: str, *, check: bool, exact: bool = False
) -> "Hashed":
    """The content of the version of which this is ``said``, or of the current object, if it is the ``known`` one then.

    If it is to be ``exact``, it ends with an error if it has not that size, before more of it is held.
    """
    expected = known if check else None

    def read(said: Stat) -> Iterator[bytes]:
        note(store, said)
        key, version_id = said.key, said.version_id
        chunks = store.read(key) if version_id is None else store.read(key, version_id=version_id)
        error = StoreError if known is None else VerificationError
        return sized(chunks, said.size, url, error) if exact else chunks

    if said.version_id is None:
        return Hashed(read(said), expected, url)
    try:
        named = read(said)
        first = next(named, b"")
    except NO_VERSION as error:
        if known is None:
            error.add_note("the current object was not tried, as the result holds no checksum to compare it with")
            raise
        return Hashed(read(replace(said, version_id=None)), known, url)
    return Hashed(_chained(first, named), expected, url)


def sized(chunks: Iterable[bytes], size: int, url: str, error: type[StoreError | VerificationError]) -> Iterator[bytes]:
    """``chunks``, if they are as many bytes as were announced. Raises ``error``."""
    left = size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise error(f"{url}: {size} bytes were announced, and {'more' if left < 0 else 'fewer'} came")


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


class Hashed:
    """Passes chunks through, hashes them, and raises at the end if the hash is not the one expected of ``url``.

    What is more than a MiB is hashed by a thread of its own, which is at most 2 MiB and a chunk behind. It has ended
    when the iterator has. It hashes with a copy, and what it was given is held as long as its answer is not known: who
    is interrupted, or forked, hashes it again.
    """

    def __init__(self, chunks: Iterable[bytes], expected: Checksum | None, url: str) -> None:
        self._chunks = iter(chunks)
        self._digest = Digest(())
        self._given: list[bytes] = []  # what the digest lacks, and the thread hashes
        self._waiting: list[bytes] = []
        self._running: tuple[Called[Digest], int] | None = None  # and in which process
        self.expected = expected
        self.size = 0
        """The bytes that came so far."""
        self._url = url

    def __iter__(self) -> Generator[bytes, None, None]:
        self._settle()
        size = 0
        pool: Threads | None = None
        process = os.getpid()
        with ExitStack() as ending:
            for chunk in self._chunks:
                self.size += len(chunk)
                self._waiting.append(chunk)
                size += len(chunk)
                if size >= _AT_ONCE:
                    self._take_answer()
                    if pool is None or process != os.getpid():
                        pool, process = ending.enter_context(Threads(1, "keystow-sha256")), os.getpid()
                    self._given, self._waiting, size = self._waiting, [], 0
                    self._running = pool.submit(partial(_extended, self._digest.copy(), self._given)), process
                yield chunk
        found = self.checksum()
        if self.expected is not None and found != self.expected:
            raise VerificationError(
                f"what the store holds under {self._url!r} has the SHA-256 {found}, and {self.expected} was published"
            )

    def _settle(self) -> None:
        """Sees that all that came so far is hashed."""
        self._take_answer()
        self._given, self._waiting = self._waiting, []
        self._take_answer()

    def _take_answer(self) -> None:
        """Sees that all that was given to the thread is hashed."""
        if not self._given:
            return
        running, self._running = self._running, None
        if running is not None and running[1] == os.getpid():
            digest = running[0].result()
        else:
            digest = _extended(self._digest.copy(), self._given)
        self._digest, self._given = digest, []

    def drain(self, most: float = math.inf) -> None:
        """Reads what is left, up to ``most`` bytes of it, and compares if that was all."""
        for chunk in self:
            most -= len(chunk)
            if most < 0:
                return

    def close(self) -> None:
        """Ends what is read, if that can be ended."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()

    def checksum(self) -> Checksum:
        """The SHA-256 of what came so far."""
        self._settle()
        return Checksum(self._digest.hexdigest())


def _extended(digest: Digest, chunks: Iterable[bytes]) -> Digest:
    for chunk in chunks:
        digest.add(chunk)
    return digest


@contextmanager
def explained(check: Callable[[], object] | None) -> Iterator[None]:
    """What cannot be unpacked may not be what was published: ``check`` raises ``VerificationError`` if it is not."""
    try:
        yield
    except LimitExceededError:
        raise
    except ArchiveError as error:
        if check is not None:
            try:
                check()
            except VerificationError as found:
                raise found from error
        raise


def check_alone(store: Store | None, access: Access) -> None:
    """Raises ``ResultError`` for what says how to open a store, and does not go with a URL."""
    if store is not None:
        raise ResultError("a URL is read from its own server: leave store= out")
    if access.credentials is not None or access.profile is not None:
        raise ResultError("a URL is signed already, and read by nobody else: leave credentials= and profile= out")
    if access.customer_key is not None:
        raise ResultError("a URL takes no customer_key, which goes with a result: give that, or s3://bucket/key")
    if access.requester_pays:
        raise ResultError("a URL says by itself who pays: leave requester_pays out")


def check_limit(what: Literal["members", "bytes"], used: int, most: int | None) -> None:
    """Raises ``LimitExceededError`` if more than the ``most`` are used."""
    if most is not None and used > most:
        raise LimitExceededError(f"there are more than {most} {what}: raise Limits({what}=…)", what)


def useful(limits: Limits) -> float:
    """The bytes of an archive that can be of use within ``limits``."""
    return math.inf if limits.bytes is None else 2 * limits.bytes + RANGE


def admit_server(trust: Trust, url: str) -> None:
    """Raises ``ResultError`` for a URL whose server is none of those that may be called."""
    admit_url(url, trust=trust, error=ResultError)
