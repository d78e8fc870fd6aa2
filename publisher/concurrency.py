"""Several requests under way at once, with answers in order and a bound on what they hold.

Strategy: threads that nobody has to wait for, as a request that hangs cannot be ended from outside. Who is interrupted
goes on at once; who fails waits for what is under way, which the stores' deadlines end.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, TypeVar

_WORKERS = 24
_AHEAD = 32
_GRACE_SECONDS = 1.0
"""What is under way has so long to end once the caller is interrupted."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_order(
    work: Callable[[Item], Answer], items: Iterable[Item], *, ending: threading.Event | None = None
) -> Iterator[tuple[Item, Answer]]:
    """Each item with ``work(item)``, in the items' order; at most 32 are begun ahead of the one that is asked for.

    What ``work`` raises first is raised here, whichever item it was. Nothing is begun after that, or after the iterator
    is closed, and what had begun has ended by then; but an interrupt, or to close the iterator, waits no more than a
    second for it. ``ending`` is set before that is waited for, so that long work can end early.

    >>> list(in_order(abs, [-1, 2]))
    [(-1, 1), (2, 2)]
    """
    begun: deque[tuple[Item, Future[Answer]]] = deque()
    workers = _Workers(work)
    patience: float | None = _GRACE_SECONDS
    try:
        for item in items:
            begun.append((item, workers.submit(item)))
            if len(begun) > _AHEAD:
                first, running = begun.popleft()
                yield first, workers.answer(running)
        while begun:
            first, running = begun.popleft()
            yield first, workers.answer(running)
    except Exception:
        patience = None
        raise
    finally:
        if ending is not None:
            ending.set()
        workers.end(patience)


class _Workers(Generic[Item, Answer]):
    """Threads that take items as long as none has failed."""

    def __init__(self, work: Callable[[Item], Answer]) -> None:
        self._work = work
        self._waiting: SimpleQueue[tuple[Item, Future[Answer]] | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._threads = 0
        self._failed: Future[Answer] | None = None
        self._awaited: Future[Answer] | None = None
        self._ended = False

    def submit(self, item: Item) -> "Future[Answer]":
        future: Future[Answer] = Future()
        self._waiting.put((item, future))
        if self._threads < _WORKERS:
            with self._changed:
                self._threads += 1
            try:
                threading.Thread(target=self._run, name="keystow", daemon=True).start()
            except BaseException:
                with self._changed:
                    self._threads -= 1
                raise
        return future

    def answer(self, running: "Future[Answer]") -> Answer:
        """The answer, or the first failure of any item.

        What is awaited is named before it is asked whether it is done, and looked at by whoever has done it afterwards.
        """
        with self._changed:
            self._awaited = running
            self._changed.wait_for(lambda: running.done() or self._failed is not None)
            failed = self._failed
        return (running if failed is None else failed).result()

    def end(self, patience: float | None) -> None:
        """Takes no more items, and waits so many seconds, or as long as it takes, for what is under way."""
        with self._changed:
            self._ended = True
            for _ in range(self._threads):
                self._waiting.put(None)
            self._changed.wait_for(lambda: self._threads == 0, patience)

    def _run(self) -> None:
        try:
            while (taken := self._next()) is not None:
                item, future = taken
                try:
                    future.set_result(self._work(item))
                except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
                    future.set_exception(error)
                if future is self._awaited or future.exception() is not None:
                    with self._changed:
                        if future.exception() is not None and self._failed is None:
                            self._failed = future
                        self._changed.notify_all()
                del taken, item, future
        finally:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()

    def _next(self) -> "tuple[Item, Future[Answer]] | None":
        taken = self._waiting.get()
        return None if self._ended or self._failed is not None else taken


def under_way(work: Callable[[], Answer], name: str) -> "Future[Answer]":
    """``work`` in a thread of its own, for which nobody has to wait; not even the end of the program does."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return answer


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
