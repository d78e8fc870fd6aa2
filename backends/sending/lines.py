"""What is under way to a store, one line for each operation: any thread may cut it, and stillness ends a try.

Strategy: a line knows how to end what is under way on it (shut a socket, cancel a task). Whoever moves bytes says so,
and a thread of the store's looks after those on which nothing moved, wherever they hang: in a body that nobody takes,
in an answer that does not come, or in one that comes byte by byte.
"""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Self

from .forks import tell_in_children

LEAST = 1 << 16
"""The bytes of a body, sent or received, that are progress, as it moves in blocks of so many; fewer are none."""
_TICK = 0.5
_LINGER = 10.0


class Line:
    """The line of one operation, for all of its tries; each of them may stand still for ``seconds``.

    It is one of ``lines``, and looked after, within its ``with``; in a process that was forked, from the next try on.
    """

    def __init__(self, lines: "Lines", seconds: float) -> None:
        self._lines, self.seconds = lines, seconds
        self._lock = threading.Lock()
        self._end: Callable[[], object] | None = None
        self._deadline = math.inf
        self._is_cut = self._is_late = False

    def __enter__(self) -> Self:
        self._lines.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.rests()
        self._lines.discard(self)

    def begins(self) -> None:
        """There is another try. Raises ``CancelledError`` if the line is cut."""
        self._is_late = False
        self._lines.add(self)
        self.check()

    def ends(self, end: Callable[[], object]) -> None:
        """From now on, ``end()`` ends what is under way. Raises as ``check`` does."""
        with self._lock:
            self._end = end
        self.moved()
        self.check()

    def moved(self) -> None:
        """Something was sent, or has come."""
        self._deadline = time.monotonic() + self.seconds

    def waits(self) -> None:
        """It is not the other side that is waited for, until something moves."""
        with self._lock:
            self._deadline = math.inf

    def rests(self) -> None:
        """Nothing is under way any more, until there is another try."""
        with self._lock:
            self._end = None

    def check(self) -> None:
        """Raises ``CancelledError`` once the line is cut, and ``TimeoutError`` if nothing moved on it for too long."""
        if self._is_cut:
            raise CancelledError
        if self._is_late:
            raise TimeoutError(f"nothing moved for {self.seconds:.3g} s")

    def cut(self) -> None:
        """Ends what is under way, and all further tries."""
        with self._lock:
            self._is_cut = True
            self._ended()

    def cut_if_late(self, now: float, stopped: float) -> None:
        """Ends what is under way, if nothing moved while this process ran, which it did not for ``stopped`` seconds."""
        with self._lock:
            self._deadline += stopped
            if self._end is not None and now > self._deadline:
                self._is_late = True
                self._ended()

    def _ended(self) -> None:
        end, self._end = self._end, None
        if end is not None:
            end()

    def forked(self) -> None:
        """This process was forked, and a thread that held the lock is not here."""
        self._lock = threading.Lock()


class Lines:
    """The lines of one store, each of which may stand still for ``still`` seconds, if nothing else is said."""

    def __init__(self, still: float) -> None:
        self._still = still
        self._lines: set[Line] = set()
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None
        tell_in_children(self)

    def line(self, seconds: float | None = None) -> Line:
        """Another line."""
        return Line(self, self._still if seconds is None else seconds)

    def add(self, line: Line) -> None:
        """From now on, the line is looked after."""
        watcher = self._watcher
        if line in self._lines and watcher is not None and watcher.is_alive():
            return
        with self._lock:
            self._lines.add(line)
            if self._watcher is None or not self._watcher.is_alive():  # as it is if it could not be started
                self._watcher = threading.Thread(target=self._watch, name="keystow-lines", daemon=True)
                self._watcher.start()

    def discard(self, line: Line) -> None:
        """The line is no more."""
        with self._lock:
            self._lines.discard(line)

    def cut(self) -> None:
        """Ends all that is under way; what begins afterwards, such as an abort, is sent."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.cut()

    def forked(self) -> None:
        """This process was forked: what is under way is the other's; what goes on here begins with another try."""
        for line in self._lines:
            line.forked()
        self._lock, self._lines, self._watcher = threading.Lock(), set(), None

    def _watch(self) -> None:
        now = wanted = time.monotonic()
        while True:
            before = now
            time.sleep(_TICK)
            now = time.monotonic()
            overslept = now - before - _TICK
            stopped = overslept if overslept > _TICK else 0.0
            with self._lock:
                lines = list(self._lines)
                if lines:
                    wanted = now
                elif now - wanted > _LINGER:
                    self._watcher = None
                    return
            for line in lines:
                line.cut_if_late(now, stopped)
