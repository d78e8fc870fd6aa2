"""One source to several destinations in one pass: scanned and packed once, and written to all at the same time.

Strategy: each destination has a thread, in which it is published to as if it were alone; what they share is the tree,
and the archive (or the stream), whose pieces go to all at the pace of the slowest. Files under a prefix, and a raw
file, are read for each of the destinations: they are checked against the scan whenever they are read.
"""

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial
from operator import attrgetter
from os import PathLike
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple, Unpack

from . import surroundings
from .archive import Packed, Tree
from .archive.scan import Special, Symlinks
from .backends import Credentials, Store
from .backends.options import CustomerKey
from .backends.sending.budget import Budget
from .backends.sending.in_flight import Outcome as Ended
from .backends.sending.in_flight import in_thread
from .backends.texts import presentable
from .ending import Ending, ended_by
from .errors import SpecError
from .keys import Context
from .manner import IfExists, Manner, selected
from .progress import Tell
from .publishing import Destination, Source, packed_for, sent, tree_of
from .raw import is_stream
from .result import PublishedResult
from .root import KeystowError
from .sending import Sent
from .shared import Shared
from .spec import PublisherSpec
from .stored import Access, Opened
from .surroundings import job_context, with_instant
from .writing import Writing

Require = Literal["all", "any"] | int
"""How many of the destinations have to be published to."""
_PATIENCE = 2.0
"""Seconds in which what is under way has to end, once the caller is interrupted."""
_AHEAD = 32 << 20
"""So many bytes of an archive the fastest store may be ahead of the slowest."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of one destination: a ``result``, or an ``error``."""

    destination: str | Mapping[str, object] | PublisherSpec
    result: PublishedResult | None = None
    error: BaseException | None = None


class PartlyPublishedError(KeystowError, RuntimeError):
    """It was published to fewer destinations than were required: ``deliveries`` has what came of each, in order."""

    kind = "partly_published"

    def __init__(self, message: str, deliveries: Sequence[Delivery] = ()) -> None:
        super().__init__(presentable(message))
        self.deliveries = tuple(deliveries)


class Way(NamedTuple):
    """One destination: what will have been published there, how, and whom to tell how far it is."""

    to: Destination
    foreseen: PublishedResult
    manner: Manner
    told: Tell | None = None


def publish_each(
    source: Source,
    destinations: Sequence[str | Mapping[str, object] | PublisherSpec],
    context: Context | None = None,
    *,
    require: Require = "all",
    archive: bool | None = None,
    raw: bool = False,
    if_exists: IfExists = "replace",
    symlinks: Symlinks = "inside",
    special: Special = "error",
    mtime: int | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    level: int | None = None,
    manifest: bool | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
    **writing: Unpack[Writing],
) -> list[Delivery]:
    """Publishes ``source`` to each of ``destinations`` in one pass, and returns what came of each, in their order.

    The source is scanned once, and one archive is packed for all that take one, so that their SHA-256 is the same; the
    fastest store is never more than 32 MiB ahead of the slowest. One that fails neither stops nor changes the others.
    ``require`` says how many have to be published to: ``"all"`` of them, ``"any"`` one, or a number; where it is fewer,
    that is a ``PartlyPublishedError``, which has what came of each. All else is as in ``publish``; ``credentials`` and
    the like are those of every destination, and each has ``concurrency`` and ``memory`` for itself.

    Raises what ``publish`` raises for a call, or a source, that is wrong, before anything is sent.

    >>> import pathlib, tempfile
    >>> results = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (results / "score.txt").write_text("42")
    >>> near, far = publish_each(results, ["memory://near/a", "memory://far/b"])
    >>> near.result.checksum_sha256 == far.result.checksum_sha256
    True
    """
    manner = Manner(if_exists, symlinks, special, mtime, level, selected(include, exclude), manifest)
    trusted = surroundings.trust(allow, allow_endpoints)
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    if isinstance(destinations, str | Mapping | PublisherSpec):
        raise SpecError("destinations= is one destination: give a list, or use publish")
    known = with_instant(job_context() if context is None else context)
    ways = []
    for each in destinations:
        to = Destination(each, archive=archive, raw=raw, trust=trusted, access=access, writing=writing)
        ways.append(Way(to, to.foreseen(known), to.fitted(manner)))
    wanted = required(require, len(ways))
    came = dict(sent_each(scanned_each(source, ways), ways))
    deliveries = [
        Delivery(each, None if (done := came[number].answer) is None else done.result, came[number].error)
        for number, each in enumerate(destinations)
    ]
    _check_enough(deliveries, wanted)
    return deliveries


def required(require: Require, count: int) -> int:
    """The number of destinations, of ``count``, that ``require`` is. Raises ``SpecError``.

    >>> required("all", 3), required("any", 3), required(2, 3)
    (3, 1, 2)
    """
    if not count:
        raise SpecError("there are no destinations: give one or more")
    number = {"all": count, "any": 1}.get(require) if isinstance(require, str) else require
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= count:
        raise SpecError(f"require={require!r} is no choice: use all, any, or a number from 1 to {count}")
    return number


def _check_enough(deliveries: Sequence[Delivery], wanted: int) -> None:
    failed = [f"{type(each.error).__name__}: {each.error}" for each in deliveries if each.error is not None]
    done = len(deliveries) - len(failed)
    if done < wanted:
        raise PartlyPublishedError(
            f"published to {done} of {len(deliveries)} destinations, and required were {wanted}: {'; '.join(failed)}",
            deliveries,
        )


def scanned_each(source: Source, ways: Sequence[Way]) -> list[Tree]:
    """The tree for each of ``ways``; the source is looked at once. Raises what is wrong with it."""
    found = cache(lambda: tree_of(source, ways[0].manner)) if isinstance(source, str | PathLike) else None
    return [way.to.scanned(source, way.foreseen, way.manner, found) for way in ways]


def sent_each(trees: Sequence[Tree], ways: Sequence[Way]) -> Iterator[tuple[int, Ended[Sent]]]:
    """What came of each of ``ways``, as it ends, and its place among them.

    To close the iterator, or an interrupt, ends what is under way within two seconds.
    """
    passed = _Passed(ways, trees)
    ending, loading = Ending(), threading.Lock()
    ended: SimpleQueue[tuple[int, Ended[Sent]]] = SimpleQueue()
    left = set(range(len(ways)))

    def store(number: int) -> Store:
        with loading:  # not every client's modules can be loaded while another's are
            return ways[number].to.store()

    def work(number: int) -> Sent:
        way = ways[number]
        try:
            with closing(Opened(partial(store, number))) as opened:
                tree, archive = passed.to(number)
                return sent(tree, way.foreseen, opened, way.manner, told=way.told, archive=archive)
        finally:
            passed.leave(number)

    def tell(number: int, outcome: Ended[Sent]) -> None:
        ended.put((number, outcome))

    try:
        for number in range(len(ways)):
            in_thread(partial(ended_by, ending, partial(work, number)), partial(tell, number))
        while left:
            number, outcome = ended.get()
            left.remove(number)
            yield number, outcome
    except BaseException as interrupt:
        ending.begin()
        passed.end()
        in_thread(ending.close, bool)
        for number, outcome in _within(ended, len(left)):
            if outcome.error is None:
                interrupt.add_note(f"it was published to {ways[number].foreseen.url}")
        raise


def _within(ended: "SimpleQueue[tuple[int, Ended[Sent]]]", most: int) -> Iterator[tuple[int, Ended[Sent]]]:
    """At ``most`` so many of what has ended within two seconds."""
    until = time.monotonic() + _PATIENCE
    with suppress(Empty):
        for _ in range(most):
            yield ended.get(timeout=max(0.0, until - time.monotonic()))


class _Passed:
    """What is read once, and passed to several: the archive for all that take one, or else the stream."""

    def __init__(self, ways: Sequence[Way], trees: Sequence[Tree]) -> None:
        self._trees = trees
        self._is_stream = is_stream(trees[0])
        takers = [number for number, way in enumerate(ways) if self._is_stream or way.to.encoding == "gzip"]
        self._places = {number: place for place, number in enumerate(takers)}
        pieces = self._pieces(ways, takers[0]) if takers else iter(())
        self._shared = Shared(pieces, len(takers), _AHEAD, lambda piece: len(piece.data))

    def _pieces(self, ways: Sequence[Way], number: int) -> Iterator[Packed]:
        tree = self._trees[number]
        if not self._is_stream:
            return packed_for(tree, ways[number].manner)
        return (Packed(piece, 0) for piece in tree.read(tree.files[0]))

    def to(self, number: int) -> tuple[Tree, Iterator[Packed] | None]:
        """The tree for that destination, and its archive if it takes one."""
        tree, place = self._trees[number], self._places.get(number)
        if place is None:
            return tree, None
        pieces = self._shared.reader(place)
        if self._is_stream:
            return replace(tree, read=lambda _: map(attrgetter("data"), pieces)), None
        return tree, pieces

    def leave(self, number: int) -> None:
        """That destination takes no more."""
        if number in self._places:
            self._shared.leave(self._places[number])

    def end(self) -> None:
        """Nobody is given any more."""
        self._shared.end()
