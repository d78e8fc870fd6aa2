"""Several requests under way at once, with answers in order and a bound on what they hold."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_WORKERS = 24
_AHEAD = 32

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_order(
    work: Callable[[Item], Answer], items: Iterable[Item], *, ending: threading.Event | None = None
) -> Iterator[tuple[Item, Answer]]:
    """Each item with ``work(item)``, in the items' order; at most 32 are begun ahead of the one that is asked for.

    What ``work`` raises is raised here. Nothing is begun after that, or after the iterator is closed, and what had
    begun has ended by then. ``ending`` is set before that is waited for, so that long work can end early.

    >>> list(in_order(abs, [-1, 2]))
    [(-1, 1), (2, 2)]
    """
    begun: deque[tuple[Item, Future[Answer]]] = deque()
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="keystow")
    try:
        for item in items:
            begun.append((item, pool.submit(work, item)))
            if len(begun) > _AHEAD:
                first, running = begun.popleft()
                yield first, running.result()
        while begun:
            first, running = begun.popleft()
            yield first, running.result()
    finally:
        if ending is not None:
            ending.set()
        pool.shutdown(cancel_futures=True)


class Budget:
    """Lets those go on together who need no more than ``most`` in all; who needs more than that goes alone."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, amount: int) -> Iterator[None]:
        """Waits until ``amount`` is free, and holds it."""
        amount = min(amount, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()
