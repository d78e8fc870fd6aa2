"""A large object read in ranges, side by side and in order: of one version of it, never a mixture.

Strategy: the first request asks for the first range alone, which is all there is of most objects, and tells the size of
the others and which version this is. If its answer came at once, the store is near, where one stream carries as much as
many: the rest is one. Else each of the other ranges is asked for by itself, in a thread that collects it, and goes on
where it breaks off. What is held is bounded in bytes.
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
from typing import NamedTuple

from keystow.backends.errors import ConflictError, StoreError

from .budget import USUAL, Budget
from .continuing import Content, continued
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
) -> Generator[bytes, None, None]:
    """The content from ``start`` up to ``stop``, as ``continued`` gives it, several ranges at once if it is large.

    Those that are under way, or have come and are not yet taken, are ``held`` bytes at most, but for one alone that is
    more. What takes less than ``near`` seconds to begin comes in one stream from its second range on, and so does what
    is left at the time ``until``, by ``time.monotonic()``. In a process that was forked meanwhile the rest is asked for
    anew.
    """
    process = os.getpid()
    reading = _Reading(open_at, start, stop, _Terms(pace, patience, near, until, held))
    while True:
        try:
            with closing(reading.pieces()) as pieces:
                for piece in pieces:
                    reading.at += len(piece)
                    yield piece
        except StoreError as error:
            if process == os.getpid() or isinstance(error, ConflictError) or not reading.goes_on:
                raise
            process = os.getpid()
        else:
            return


class _Terms(NamedTuple):
    """How it is read: ``in_ranges`` has the words."""

    pace: Pace
    patience: float
    near: float
    until: float
    held: int


class _Reading:
    """An object that is read, up to where it is read ``at``."""

    def __init__(self, open_at: Open, start: int, stop: int | None, terms: _Terms) -> None:
        self._open_at, self.at, self._stop, self._terms = open_at, start, stop, terms
        self._start = start
        self._tag: str | None = None
        self._is_near = False

    @property
    def goes_on(self) -> bool:
        """Whether what is asked for anew is of the same version as what came."""
        return self._tag is not None or self.at == self._start

    def pieces(self) -> Generator[bytes, None, None]:
        """The rest of it."""
        answers: list[Content] = []
        first = continued(partial(self._begun, self.at + RANGE, answers), self.at, patience=self._terms.patience)
        head = list(itertools.islice(first, 1))
        came, end = answers[0], self._stop
        if came.size is not None:
            end = came.size if end is None else min(came.size, end)
        if came.length is None or end is None or self.at + came.length >= end:
            with closing(first):
                yield from _up_to(end, self.at, itertools.chain(head, first))
            return
        if came.tag is not None and not self._is_near:
            yield from self._side_by_side(head, first, range(self.at, self.at + came.length), end)
            return
        with closing(first):
            if came.tag is not None:
                yield from itertools.chain(head, first)
        yield from continued(partial(self._opened, self._stop), self.at, patience=self._terms.patience)

    def _begun(self, limit: int, answers: list[Content], at: int, tag: str | None) -> Content:
        """The content up to ``limit``, or all of it if that is what the first of the ``answers`` was."""
        is_whole = bool(answers) and (answers[0].length is None or answers[0].length > RANGE)
        stop = self._stop if is_whole or (self._stop is not None and self._stop < limit) else limit
        since = time.monotonic()
        answers.append(self._opened(stop, at, tag))
        self._tag = self._tag or answers[-1].tag
        self._is_near = time.monotonic() - since < self._terms.near
        return answers[-1]

    def _opened(self, stop: int | None, at: int, tag: str | None) -> Content:
        return self._open_at(at, stop, tag or self._tag)

    def _side_by_side(
        self, head: list[bytes], first: Generator[bytes, None, None], begun: range, end: int
    ) -> Generator[bytes, None, None]:
        """``head`` and ``first``, which are the range that has ``begun``, and all behind it."""
        ending = threading.Event()

        def check() -> None:
            if ending.is_set():
                raise CancelledError

        def opened(stop: int, at: int, tag: str | None) -> Content:
            check()
            return self._opened(stop, at, tag)

        def collected(span: range) -> Iterator[bytes]:
            """The pieces of a range, by whoever works on it; the rest has begun, and comes as it is taken."""
            others = continued(partial(opened, span.stop), span.start, patience=self._terms.patience)
            found: list[bytes] = []
            if span is begun:
                found += head
                head.clear()
            elif len(span) > RANGE:
                return _begun_with(list(itertools.islice(others, 1)), others)
            with closing(first if span is begun else others) as pieces:
                for piece in pieces:
                    check()
                    found.append(piece)
            return _taken(found)

        found = in_order(
            collected,
            self._spans(begun, end),
            pace=self._terms.pace,
            weigh=lambda span: min(len(span), RANGE),
            most=self._terms.held,
            batch=0,
            ending=ending,
        )
        with closing(found):
            for _, pieces in found:
                yield from pieces

    def _spans(self, begun: range, end: int) -> Iterator[range]:
        """``begun``, the ranges behind it that are asked for in time, and the rest."""
        yield begun
        for at in range(begun.stop, end, RANGE):
            if time.monotonic() >= self._terms.until:
                yield range(at, end)
                return
            yield range(at, min(at + RANGE, end))


def _begun_with(head: list[bytes], rest: Generator[bytes, None, None]) -> Iterator[bytes]:
    with closing(rest):
        yield from _taken(head)
        yield from rest


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
