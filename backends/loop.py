"""A client's event loop, which runs in a thread of its own, seen from the threads that call a store.

A process that was forked has no such thread; there, whoever asks is told so, and does not wait for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from .sending.forks import not_here, tell_in_children
from .sending.in_flight import Cancel, Outcome, Told

_CLOSING_SECONDS = 1.0

Answer = TypeVar("Answer")


class Loop:
    """``loop``, as fsspec started it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._is_here = True
        tell_in_children(self)

    def forked(self) -> None:
        """This process was forked, and the loop's thread is the other one's."""
        self._is_here = False

    def begin(self, work: Coroutine[Any, Any, Answer], told: Told[Answer]) -> Cancel:
        """Has ``work`` begun. Raises ``StoreError`` in a process that was forked.

        It is cancelled once it has begun, as what it is to await would else never be awaited, and Python says so.
        """
        if not self._is_here:
            work.close()
            raise not_here()
        tasks: list[asyncio.Task[Answer]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(lambda task: told(_outcome(task)))

        self._loop.call_soon_threadsafe(begin)
        return lambda: self.soon(lambda: [self._loop.call_soon(task.cancel) for task in tasks])

    def run(self, work: Coroutine[Any, Any, Answer], begun: Callable[[Cancel], object] = bool) -> Answer:
        """The result of ``work``. It is cancelled by what ``begun`` is told, and if the caller is interrupted."""
        ended: SimpleQueue[Outcome[Answer]] = SimpleQueue()
        cancel = self.begin(work, ended.put)
        try:
            begun(cancel)
            return ended.get().result()
        except BaseException:
            cancel()
            raise
        finally:
            del cancel  # which holds what was raised, and that this frame

    def soon(self, callback: Callable[[], object]) -> None:
        """Has the loop call ``callback``: connections belong to its thread."""
        if self._is_here:
            self._loop.call_soon_threadsafe(callback)

    def end(self, work: Coroutine[Any, Any, object]) -> None:
        """Has ``work`` close the connections, which are none of a process that was forked.

        One whose other side takes nothing more does not close as long as there is something to be sent: of those that
        are open after a second, nobody waits for the end.
        """
        if not self._is_here:
            work.close()
            return
        with suppress(TimeoutError):
            self.run(asyncio.wait_for(work, _CLOSING_SECONDS))


def _outcome(task: "asyncio.Task[Answer]") -> Outcome[Answer]:
    if task.cancelled():
        return Outcome(error=CancelledError())
    error = task.exception()
    return Outcome(error=error) if error is not None else Outcome(task.result())


async def following(content: AsyncIterator[bytes]) -> bytes:
    """The next piece of ``content``, or nothing at its end."""
    async for piece in content:
        return piece
    return b""
