"""Several requests under way at once, with answers in order and a bound on what they hold.

Strategy: threads that nobody has to wait for, as a request that hangs cannot be ended from outside. Who is interrupted
goes on at once; who fails waits for what is under way, which the stores' deadlines end.
"""

import threading
import time
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
    begun: deque[_Call[Item, Answer]] = deque()
    workers = _Workers(work)
    patience: float | None = _GRACE_SECONDS
    try:
        for item in items:
            begun.append(workers.submit(item))
            if len(begun) > _AHEAD:
                yield workers.first(begun)
        while begun:
            yield workers.first(begun)
    except Exception:
        patience = None
        raise
    finally:
        if ending is not None:
            ending.set()
        workers.end(patience)


class _Call(Generic[Item, Answer]):
    """An item, and what came of it."""

    __slots__ = ("answer", "is_done", "item")

    answer: Answer

    def __init__(self, item: Item) -> None:
        self.item = item
        self.is_done = False


class _Workers(Generic[Item, Answer]):
    """Threads that take items as long as none has failed.

    Nobody holds a lock: of two who write and then look, one sees what the other wrote. So whoever is interrupted leaves
    nothing behind that another could wait for.
    """

    def __init__(self, work: Callable[[Item], Answer]) -> None:
        self._work = work
        self._calls: SimpleQueue[_Call[Item, Answer] | None] = SimpleQueue()
        self._awaited: _Call[Item, Answer] | None = None
        self._failed: list[BaseException] = []
        self._news: SimpleQueue[None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._ended = False

    def submit(self, item: Item) -> _Call[Item, Answer]:
        call: _Call[Item, Answer] = _Call(item)
        self._calls.put(call)
        if len(self._threads) < _WORKERS:
            thread = threading.Thread(target=self._run, name="keystow", daemon=True)
            thread.start()
            self._threads.append(thread)
        return call

    def first(self, begun: deque[_Call[Item, Answer]]) -> tuple[Item, Answer]:
        """Takes the first off what has ``begun``. Raises the first failure of any item.

        If it has to be waited for, so is what the threads can do before they have nothing more to take: to wake up for
        each item would cost more than to send a small one.
        """
        if not begun[0].is_done:
            self._wait(begun[min(_AHEAD - _WORKERS, len(begun) - 1)])
        self._wait(begun[0])
        if self._failed:
            raise self._failed[0]
        call = begun.popleft()
        return call.item, call.answer

    def _wait(self, call: _Call[Item, Answer]) -> None:
        """Waits until the call is done, or any has failed.

        What is awaited is named before it is asked whether it is done, and looked at by whoever has done it afterwards.
        """
        self._awaited = call
        while not call.is_done and not self._failed:
            self._news.get()

    def end(self, patience: float | None) -> None:
        """Takes no more items, and waits so many seconds, or as long as it takes, for what is under way."""
        self._ended = True
        self._calls.put(None)
        until = time.monotonic() + (patience or 0.0)
        for thread in self._threads:
            thread.join(None if patience is None else max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while (call := self._calls.get()) is not None and not self._ended and not self._failed:
            try:
                call.answer = self._work(call.item)
            except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
                self._failed.append(error)
            call.is_done = True
            if call is self._awaited or self._failed:
                self._news.put(None)
            del call
        self._calls.put(None)  # for the others


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
