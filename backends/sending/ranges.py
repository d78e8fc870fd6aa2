"""A large object read in ranges, side by side and in order: of one version of it, never a mixture.

Strategy: the first request asks for the first range alone, which is all there is of most objects, and tells the size of
the others and which version this is. If its answer came at once, the store is near, where one stream carries as much as
many: the rest is one. Else each of the other ranges is asked for by itself, in a thread that collects it, and goes on
where it breaks off. What is held is bounded in bytes.

Where the size is known before, only as long is waited for the first answer as a store that is near takes for it; then
the other ranges are asked for, too: of the version that is known, or else of whichever there is, and an answer that is
of another than the one that came first is asked for again, of that one. If the object is not what it was said to be,
nothing was handed on yet, and it is read as if nothing had been known. That the store is unavailable to one of the
others is told in its turn: a server that heeds no ranges has no answer to them, but one to the first.
"""

import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

from keystow.backends.errors import (
    AccessDeniedError,
    ConflictError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)

from .budget import USUAL, Budget
from .continuing import Content, continued
from .known import Proof, Version
from .pace import Pace
from .parts import HELD
from .workers import in_order

RANGE = 4 << 20
"""The bytes of a range."""
LEAST = 8
"""How many are asked for at once."""
NEAR = 0.01
"""The seconds in which a store that is near has begun to answer."""

Open = Callable[[int, int | None, str | None], Content]
"""``open_at(start, stop, tag)`` asks for the bytes from ``start`` up to ``stop`` or the end, of the version ``tag``."""


def pace(budget: Budget = USUAL) -> Pace:
    """How many ranges of one object are asked for at once, of a store that is far."""
    return budget.pace(LEAST, budget.held // RANGE)


def in_ranges(
    open_at: Open,
    start: int = 0,
    stop: int | None = None,
    *,
    pace: Pace,
    patience: float,
    near: float = NEAR,
    until: float = math.inf,
    held: int = HELD,
    known: Version | None = None,
    proved: Callable[[Proof], object] = lambda _: None,
) -> Generator[bytes, None, None]:
    """The content from ``start`` up to ``stop``, as ``continued`` gives it, several ranges at once if it is large.

    Those that are under way, or have come and are not yet taken, are ``held`` bytes at most, but for one alone that is
    more. What takes less than ``near`` seconds to begin comes in one stream from its second range on, and so does what
    is left at the time ``until``, by ``time.monotonic()``. ``known`` is the version that the object has, as far as
    somebody was told; how that, and the server, ``proved``, is said. In a process that was forked meanwhile the rest is
    asked for anew.
    """
    process = os.getpid()
    reading = _Reading(open_at, start, stop, _Terms(pace, patience, near, until, held, proved), known)
    while True:
        try:
            with closing(reading.pieces()) as pieces:
                for piece in pieces:
                    reading.stands()
                    reading.at += len(piece)
                    yield piece
        except StoreError as error:
            if process != os.getpid():
                if isinstance(error, ConflictError) or not reading.goes_on:
                    raise
                process = os.getpid()
            elif isinstance(error, StoreUnavailableError) or not reading.forgets(error):
                raise
        else:
            return


class _Terms(NamedTuple):
    """How it is read: ``in_ranges`` has the words."""

    pace: Pace
    patience: float
    near: float
    until: float
    held: int
    proved: Callable[[Proof], object]


class _Reading:
    """An object that is read, up to where it is read ``at``."""

    def __init__(
        self, open_at: Open, start: int, stop: int | None, terms: _Terms, known: Version | None = None
    ) -> None:
        self._open_at, self.at, self._stop, self._terms = open_at, start, stop, terms
        self._start = start
        self._known = known if known is not None and self._end(known.size) - start > RANGE else None
        self._tags = [self._known.tag] if self._known is not None and self._known.tag is not None else []
        self._is_near = False

    @property
    def _tag(self) -> str | None:
        """The version that is read: of several threads that name one, the first has."""
        return self._tags[0] if self._tags else None

    @property
    def goes_on(self) -> bool:
        """Whether what is asked for anew is of the same version as what came."""
        return self._tag is not None or self.at == self._start

    def stands(self) -> None:
        """What is known, if anything is, was right, as something of it is read now."""
        if self._known is not None and self.at == self._start:
            self._terms.proved("right")

    def forgets(self, error: StoreError) -> bool:
        """Whether ``error`` speaks against what is known, and nothing is read yet; from then on, nothing is known."""
        if self._known is None or self.at != self._start:
            return False
        if self._known.tag is None and isinstance(error, AccessDeniedError | NotFoundError):
            return False  # nothing was asked for but what anybody would
        self._known, self._tags = None, []
        self._terms.proved("wrong")
        return True

    def pieces(self) -> Generator[bytes, None, None]:
        """The rest of it."""
        self._ending = threading.Event()
        answers: list[Content] = []
        first = continued(partial(self._begun, self.at + RANGE, answers), self.at, patience=self._terms.patience)
        if self._known is not None:
            yield from self._at_once(first, self._end(self._known.size))
            return
        next(first)
        came, end = answers[0], self._stop
        if came.size is not None:
            end = self._end(came.size)
        if came.length is None or end is None or self.at + came.length >= end:
            with closing(first):
                yield from _up_to(end, self.at, first)
            return
        if came.tag is not None and not self._is_near:
            begun = range(self.at, self.at + came.length)
            yield from self._side_by_side(partial(self._collected, first), begun, self._spans(begun, end))
            return
        with closing(first):
            if came.tag is not None:
                yield from first
        yield from self._rest()

    def _at_once(self, first: Generator[bytes, None, None], end: int) -> Generator[bytes, None, None]:
        """``first``, which has not begun, and all behind it; if the store is near, one after the other."""
        came: SimpleQueue[bool] = SimpleQueue()
        decision = threading.Lock()
        decides = partial(decision.acquire, blocking=False)

        def begin() -> Iterator[bytes]:
            is_near = True  # if it fails, nothing else is asked for
            try:
                next(first)
                is_near = self._is_near and decides()
            finally:
                came.put(is_near)
            return first if is_near else self._collected(first)

        def is_near() -> bool:
            try:
                return came.get(timeout=self._terms.near)
            except Empty:
                return not decides()

        begun = range(self.at, min(self.at + RANGE, end))
        yield from self._side_by_side(begin, begun, _unless(is_near, self._spans(begun, end)))
        if self.at < end:
            yield from self._rest()

    def _end(self, size: int) -> int:
        return size if self._stop is None else min(size, self._stop)

    def _rest(self) -> Generator[bytes, None, None]:
        """All that is left, in one stream."""
        return continued(partial(self._opened, self._stop), self.at, patience=self._terms.patience)

    def _begun(self, limit: int, answers: list[Content], at: int, tag: str | None) -> Content:
        """The content up to ``limit``, or all of it if that is what the first of the ``answers`` was.

        A first, empty piece of that comes once it is known what comes.
        """
        is_whole = bool(answers) and (answers[0].length is None or answers[0].length > RANGE)
        stop = self._stop if is_whole or (self._stop is not None and self._stop < limit) else limit
        since = time.monotonic()
        content = self._ranged(stop, at, tag)
        answers.append(content)
        if len(answers) > 1:
            return content
        self._is_near = time.monotonic() - since < self._terms.near
        if stop is not None and content.length is not None and content.length > stop - at:
            self._terms.proved("no ranges")
        known = self._known
        if known is not None and (content.size, content.length) != (known.size, min(limit, self._end(known.size)) - at):
            content.pieces.close()
            raise ConflictError("it has another size than it was said to have")
        return content._replace(pieces=_after_nothing(content.pieces))

    def _opened(self, stop: int | None, at: int, tag: str | None) -> Content:
        content = self._open_at(at, stop, tag or self._tag)
        if not self._tags and content.tag is not None:
            self._tags.append(content.tag)
        if self._known is None or (content.tag is not None and content.tag == self._tag):
            return content
        content.pieces.close()
        if self._tag is None:
            raise ConflictError("nothing tells the version that is read from others")
        return self._open_at(at, stop, self._tag)

    def _ranged(self, stop: int | None, at: int, tag: str | None) -> Content:
        """The same, as long as there is somebody to take it."""
        self._check()
        return self._opened(stop, at, tag)

    def _check(self) -> None:
        if self._ending.is_set():
            raise CancelledError

    def _side_by_side(
        self, begin: Callable[[], Iterator[bytes]], begun: range, spans: Iterator[range]
    ) -> Generator[bytes, None, None]:
        """The content of the ``spans``, in order; that of the one that has ``begun`` is what ``begin`` gives."""

        def work(span: range) -> Iterator[bytes]:
            """The pieces of a range; the rest has begun, and comes as it is taken."""
            if span is begun:
                return begin()
            pieces = continued(partial(self._ranged, span.stop), span.start, patience=self._terms.patience)
            try:
                if len(span) > RANGE:
                    return _begun_with(list(itertools.islice(pieces, 1)), pieces)
                return self._collected(pieces)
            except StoreUnavailableError as error:
                if self._known is None:
                    raise
                return _failing(error)

        found = in_order(
            work,
            spans,
            pace=self._terms.pace,
            weigh=lambda span: min(len(span), RANGE),
            most=self._terms.held,
            batch=0,
            ending=self._ending,
        )
        with closing(found):
            for _, pieces in found:
                yield from pieces

    def _collected(self, pieces: Generator[bytes, None, None]) -> Iterator[bytes]:
        """All ``pieces``, by whoever works on them."""
        found: list[bytes] = []
        with closing(pieces):
            for piece in pieces:
                self._check()
                found.append(piece)
        return _taken(found)

    def _spans(self, begun: range, end: int) -> Iterator[range]:
        """``begun``, the ranges behind it that are asked for in time, and the rest."""
        yield begun
        for at in range(begun.stop, end, RANGE):
            if time.monotonic() >= self._terms.until:
                yield range(at, end)
                return
            yield range(at, min(at + RANGE, end))


def _unless(is_alone: Callable[[], bool], spans: Iterator[range]) -> Iterator[range]:
    """The first of the ``spans``, and then the others unless it ``is_alone``."""
    yield next(spans)
    if not is_alone():
        yield from spans


def _after_nothing(pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    with closing(pieces):
        yield b""
        yield from pieces


def _begun_with(head: list[bytes], rest: Generator[bytes, None, None]) -> Iterator[bytes]:
    with closing(rest):
        yield from _taken(head)
        yield from rest


def _failing(error: StoreUnavailableError) -> Iterator[bytes]:
    raise error
    yield


def _taken(pieces: list[bytes]) -> Iterator[bytes]:
    """``pieces``, each of which is held no longer than until it is taken."""
    pieces.reverse()
    while pieces:
        yield pieces.pop()


def _up_to(end: int | None, at: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """``pieces``, which begin ``at``, up to the ``end`` if there is one: a server need not heed a range."""
    for piece in pieces:
        if end is not None and at + len(piece) > end:
            yield piece[: end - at]
            return
        at += len(piece)
        yield piece
