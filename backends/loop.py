"""A client's event loop, which runs in a thread of its own, seen from the threads that call a store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class Loop:
    """``loop``, as fsspec started it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def submit(self, work: Coroutine[Any, Any, Answer]) -> "Future[Answer]":
        """``work`` under way."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """The result of ``work``; it is cancelled if the caller is interrupted."""
        running = self.submit(work)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def soon(self, callback: Callable[[], object]) -> None:
        """Has the loop call ``callback``: connections belong to its thread."""
        self._loop.call_soon_threadsafe(callback)


async def following(content: AsyncIterator[bytes]) -> bytes:
    """The next piece of ``content``, or nothing at its end."""
    async for piece in content:
        return piece
    return b""
