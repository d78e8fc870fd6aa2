"""A client's event loop, which runs in a thread of its own, seen from the threads that call a store.

A process that was forked has no such thread; there, whoever asks is told so, and does not wait for ever.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError
from queue import SimpleQueue
from typing import Any, TypeVar

from .errors import StoreError
from .sending.in_flight import Cancel, Outcome, Told

Answer = TypeVar("Answer")


class Loop:
    """``loop``, as fsspec started it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._process = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether it runs in this process."""
        return os.getpid() == self._process

    def begin(self, work: Coroutine[Any, Any, Answer], told: Told[Answer]) -> Cancel:
        """Has ``work`` begun. Raises ``StoreError`` in a process that was forked."""
        if not self.is_here:
            work.close()
            hint = "open the store again in the process that uses it"
            raise StoreError("the store was opened before the process was forked, and cannot be used in it", hint=hint)
        tasks: list[asyncio.Task[Answer]] = []

        def begin() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(lambda task: told(_outcome(task)))

        self._loop.call_soon_threadsafe(begin)
        return lambda: self.soon(lambda: [task.cancel() for task in tasks])

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

    def soon(self, callback: Callable[[], object]) -> None:
        """Has the loop call ``callback``: connections belong to its thread."""
        if self.is_here:
            self._loop.call_soon_threadsafe(callback)

    def end(self, work: Coroutine[Any, Any, object]) -> None:
        """Has ``work`` close the connections, which are none of a process that was forked."""
        if self.is_here:
            self.run(work)
        else:
            work.close()


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
