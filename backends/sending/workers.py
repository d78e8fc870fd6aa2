"""Several requests under way at once, with answers in order and a bound on what they hold.

Strategy: threads that nobody has to wait for, as a request that hangs cannot be ended from outside. Who is interrupted
goes on at once; who fails waits for what is under way, which the stores' deadlines end.
"""

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

from .budget import USUAL, Budget
from .forks import not_here, tell_in_children
from .pace import Pace

LEAST = 24
"""How many are under way at once, to begin with."""
BATCH = 8
"""So many small ones are waited for at once: to wake up for each would cost more than to send it."""
_GRACE_SECONDS = 1.0
"""What is under way has so long to end once the caller is interrupted."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def objects_pace(budget: Budget = USUAL) -> Pace:
    """How many small objects are under way at once."""
    return budget.pace(LEAST, budget.requests)


def held_of(size: int, small: int, most: int) -> int:
    """The bytes that are held while an object is under way: all of a ``small`` one, or ``most`` for the pieces of one.

    An empty one counts, too, or it would go beside as many pieces as there may be.
    """
    return max(1, size) if size <= small else most


def in_order(
    work: Callable[[Item], Answer],
    items: Iterable[Item],
    *,
    pace: Pace | None = None,
    weigh: Callable[[Item], int] = lambda _: 0,
    most: float = math.inf,
    batch: int = BATCH,
    ending: threading.Event | None = None,
) -> Generator[tuple[Item, Answer], None, None]:
    """Each item with ``work(item)``, in the items' order.

    As many are under way as the ``pace`` says, by default 24 to 128, and a ``batch`` more are begun ahead of the one
    that is asked for; all of these weigh no more than ``most``, but for one alone that does.

    What ``work`` raises first is raised here, whichever item it was. Nothing is begun after that, or after the iterator
    is closed, and what had begun has ended by then; but an interrupt, or to close the iterator, waits no more than a
    second for it. ``ending`` is set before that is waited for, so that long work can end early. In a process that was
    forked meanwhile it does not go on: ``StoreError``.

    >>> list(in_order(abs, [-1, 2]))
    [(-1, 1), (2, 2)]
    """
    begun: deque[_Call[Item, Answer]] = deque()
    workers = _Workers(work, objects_pace() if pace is None else pace)
    patience: float | None = _GRACE_SECONDS
    held = 0
    try:
        for item in items:
            weight = weigh(item)
            while begun and (len(begun) > workers.number + batch or held + weight > most):
                held -= begun[0].weight
                yield workers.first(begun, batch)
            begun.append(workers.submit(item, weight))
            held += weight
        while begun:
            yield workers.first(begun, batch)
    except Exception:
        patience = None
        raise
    finally:
        if ending is not None:
            ending.set()
        workers.end(patience)


class _Call(Generic[Item, Answer]):
    """An item, and what came of it."""

    __slots__ = ("answer", "is_done", "item", "weight")

    answer: Answer

    def __init__(self, item: Item, weight: int) -> None:
        self.item = item
        self.weight = weight
        self.is_done = False


class _Workers(Generic[Item, Answer]):
    """Threads that take items as long as none has failed, each as long as the pace has room for it.

    Nobody holds a lock: of two who write and then look, one sees what the other wrote. So whoever is interrupted leaves
    nothing behind that another could wait for.
    """

    def __init__(self, work: Callable[[Item], Answer], pace: Pace) -> None:
        self._work, self._pace = work, pace
        self._calls: SimpleQueue[_Call[Item, Answer] | None] = SimpleQueue()
        self._awaited: _Call[Item, Answer] | None = None
        self._failed: list[BaseException] = []
        self._news: SimpleQueue[None] = SimpleQueue()
        self._threads: dict[int, threading.Thread] = {}
        self._ended = False
        tell_in_children(self)

    def forked(self) -> None:
        """This process was forked, and the threads are not here."""
        self._calls, self._news, self._threads = SimpleQueue(), SimpleQueue(), {}
        self._failed.append(not_here())

    @property
    def number(self) -> int:
        """How many work at once."""
        return self._pace.number

    def submit(self, item: Item, weight: int) -> _Call[Item, Answer]:
        call: _Call[Item, Answer] = _Call(item, weight)
        self._calls.put(call)
        if len(self._threads) < self.number:
            place = next(place for place in itertools.count() if place not in self._threads)
            thread = threading.Thread(target=self._run, args=(place,), name="keystow", daemon=True)
            self._threads[place] = thread
            try:
                thread.start()
            except RuntimeError:  # there may be no more; those that there are do the work
                del self._threads[place]
                if not self._threads:
                    raise
        return call

    def first(self, begun: deque[_Call[Item, Answer]], batch: int) -> tuple[Item, Answer]:
        """Takes the first off what has ``begun``. Raises the first failure of any item.

        If it has to be waited for, so is the ``batch`` behind it.
        """
        if not begun[0].is_done:
            self._wait(begun[min(batch, len(begun) - 1)])
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
        for thread in list(self._threads.values()):
            if thread.ident is not None:  # whoever was interrupted may not have started it
                thread.join(None if patience is None else max(0.0, until - time.monotonic()))
        self._failed.clear()  # they hold the frames of those who worked, and these what they had

    def _run(self, place: int) -> None:
        with self._pace.telling():
            while (call := self._calls.get()) is not None and not self._ended and not self._failed:
                try:
                    call.answer = self._work(call.item)
                except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
                    self._failed.append(error)
                call.is_done = True
                if call is self._awaited or self._failed:
                    self._news.put(None)
                del call
                self._pace.ended()
                if place >= self.number:
                    del self._threads[place]
                    return
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
