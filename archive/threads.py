"""Threads that call what they are given, and end whatever happens to who gave it.

They stand on ``SimpleQueue`` alone, whose ``get`` and ``put`` an interrupt finds done or not begun. Who waits on a
``threading.Condition``, as all of ``concurrent.futures`` does, may be interrupted with its lock taken and no ``with``
begun that would give it back: then the threads never end, nor does who waits for them.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import cache, partial
from itertools import chain, islice
from queue import SimpleQueue
from typing import Generic, Self, TypeVar

WAITING = 4
"""So many items wait for a thread: with none, threads and who takes what they give wait for each other at each one."""
_LARGEST = 4 << 20

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Called(Generic[Answer]):
    """A call that a thread makes."""

    def __init__(self, call: Callable[[], Answer]) -> None:
        self._call = call
        self._answers: SimpleQueue[tuple[Answer, None] | tuple[None, BaseException]] = SimpleQueue()

    @property
    def is_done(self) -> bool:
        """Whether there is a result, or an error."""
        return not self._answers.empty()

    def run(self) -> None:
        """Makes the call."""
        try:
            self._answers.put((self._call(), None))
        except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
            self._answers.put((None, error))

    def result(self) -> Answer:
        """What the call gave, or raised; to be asked for once."""
        answer = self._answers.get()
        if answer[1] is not None:
            raise answer[1]
        return answer[0]


class Threads:
    """So many threads at the most, which have ended, after what they were given, when the ``with`` of this has."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._over = weakref.finalize(self, self._calls.put, None)

    def __enter__(self) -> Self:
        _let_memory_be_kept()
        return self

    def submit(self, call: Callable[[], Answer]) -> Called[Answer]:
        """``call`` under way, or soon."""
        called = Called(call)
        self._calls.put(called.run)
        if len(self._threads) < self._most:
            thread = threading.Thread(target=_run, args=(self._calls,), name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there may be no more; those that there are make the calls
                if not self._threads and (waiting := self._calls.get()) is not None:
                    waiting()
            else:
                self._threads.append(thread)
        return called

    def __exit__(self, *_: object) -> None:
        self._over()
        for thread in self._threads:
            thread.join()


def side_by_side(
    work: Callable[[Item], Answer], items: Iterable[Item], *, threads: int, name: str
) -> Generator[tuple[Item, Answer], None, None]:
    """Each item with ``work(item)``, in order, by so many threads.

    When one is given that had to be waited for, each thread has another, and ``WAITING`` wait for one. ``items`` are
    taken by whoever asks for them, and the threads have ended when the iterator has. In a process that was forked
    meanwhile there are none, and it goes on without.

    >>> list(side_by_side(abs, [-1, 2], threads=2, name="example"))
    [(-1, 1), (2, 2)]
    """
    following = iter(items)
    first = list(islice(following, 2))
    if len(first) < 2:  # to start a thread would take as long
        yield from ((item, work(item)) for item in chain(first, following))
        return
    running: deque[tuple[Item, Called[Answer]]] = deque()
    process = os.getpid()

    def oldest() -> tuple[Item, Answer]:
        item, called = running.popleft()
        return item, called.result() if process == os.getpid() else work(item)

    with Threads(threads, name) as pool:
        for item in chain(first, following):
            if process != os.getpid():
                yield from (oldest() for _ in range(len(running)))
                yield item, work(item)
                continue
            running.append((item, pool.submit(partial(work, item))))
            if len(running) > threads + WAITING or running[0][1].is_done:
                yield oldest()
        while running:
            yield oldest()


@cache
def _let_memory_be_kept() -> None:
    """Has glibc keep the memory of pieces that threads hand on, once they are freed, for those that follow.

    It returns that to the kernel, and asks for it anew, until it has seen a larger piece freed. Then it maps none up to
    that size by itself, and of each of its arenas, one for a thread, it keeps up to twice as much (mallopt(3),
    ``M_MMAP_THRESHOLD``). Hardly any of this piece is touched.
    """
    bytes(_LARGEST)


def _run(calls: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (call := calls.get()) is not None:
        call()
        del call
    calls.put(None)  # for the others, of whom one may be known to nobody, if its start was interrupted
