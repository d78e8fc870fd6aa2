"""How many requests are under way at once: a number that finds its own measure.

Strategy: nobody can tell how far a store is, but how much of its time this process waits, and whether more requests at
once bring more. The number grows as long as there is time to spare and that helps, as it does where the store is far.
When a store says that it is too much, or does not answer, the number falls, and comes back step by step. Whoever waits
before another try tells the pace that sent him, which is found by context: a request knows nothing of it.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_HELPS = 1.05
"""How many times as many requests a second are worth that there are more at once."""
_SPARE = 0.9
"""The share of a processor that this process needs, above which more requests would only wait for it."""
_TIMES = 8
"""How many times as large the number becomes at once."""
_FALLS = 0.8
_STEPS = 32

_sending: "ContextVar[Pace | None]" = ContextVar("keystow-pace", default=None)


class Pace:
    """A ``number`` of requests, from ``least`` to ``most``; fewer than that where a store says that it is too much.

    It is told what happens by any thread, and nobody ever waits for another one here, nor for who was interrupted: who
    comes while another one measures leaves it at that.

    >>> Pace(4, 8).number
    4
    """

    def __init__(
        self,
        least: int,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        processor: Callable[[], float] = time.process_time,
    ) -> None:
        self.number = least
        self._most = most
        self._clock, self._processor = clock, processor
        self._count = itertools.count(1)
        self._measuring = threading.Lock()
        self._before: tuple[int, float] | None = None
        self._is_seeking, self._is_settling, self._is_falling = least < most, False, False
        self._top = least
        self._ended = 0
        self._begin(0)

    def resumed(self) -> None:
        """There are requests again: the time before them, in which there may have been none, is not measured."""
        if self._measuring.acquire(blocking=False):
            try:
                self._begin(self._ended)
            finally:
                self._measuring.release()

    def ended(self) -> None:
        """A request has ended."""
        count = self._ended = next(self._count)
        if count >= self._until and self._measuring.acquire(blocking=False):
            try:
                self._measure(count)
            finally:
                self._measuring.release()

    def pushed_back(self) -> None:
        """The store has said that it is too much, or nothing; of those that were sent together, the first counts."""
        if self._measuring.acquire(blocking=False):
            try:
                if not self._is_falling:
                    self._fall()
            finally:
                self._measuring.release()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Within this, what is sent by this thread, or in its context, is of this pace."""
        token = _sending.set(self)
        try:
            yield
        finally:
            _sending.reset(token)

    def _begin(self, count: int) -> None:
        """Begins to measure, from the request on that ended as the ``count``-th: twice as long where it is compared."""
        self._since = count, self._clock(), self._processor()
        is_compared = self._is_seeking and self._before is not None and not self._is_settling
        self._until = count + self.number * (2 if is_compared else 1)

    def _measure(self, count: int) -> None:
        before, began, processor = self._since
        seconds = max(self._clock() - began, 1e-6)
        if self._is_falling:
            self._is_falling = False
        elif self._is_settling:
            self._is_settling = False
        elif self._is_seeking:
            self._seek((count - before) / seconds, (self._processor() - processor) / seconds)
        elif self.number < self._top:
            self.number = min(self._top, self.number + 1 + self.number // _STEPS)
        self._begin(count)

    def _fall(self) -> None:
        """Falls, once for all that were under way."""
        if self._is_seeking:
            self._top = self.number
        self._is_seeking, self._is_settling, self._is_falling = False, False, True
        self._begin(self._ended)
        self.number = max(1, int(self.number * _FALLS))

    def _seek(self, rate: float, busy: float) -> None:
        if self._before is not None and rate < _HELPS * self._before[1]:
            self.number = self._top = self._before[0]
            self._is_seeking = False
        elif self.number == self._most:
            self._is_seeking = False
        elif busy < _SPARE:
            self._before = self.number, rate
            self.number = min(self._most, self.number * _TIMES)
            self._top, self._is_settling = self.number, True


def push_back() -> None:
    """Tells the pace that sent what is to be sent again, if there is one."""
    pace = _sending.get()
    if pace is not None:
        pace.pushed_back()
