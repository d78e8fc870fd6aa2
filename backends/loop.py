"""A client's event loop, which runs in a thread of its own, seen from the threads that call a store."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

CONCURRENCY = 3
"""How many parts of one upload are under way at once; while aiohttp sends a part, it holds another copy of it."""

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


def in_flight(pieces: Iterable[bytes], send: Callable[[int, bytes], "Future[Answer]"]) -> list[Answer]:
    """The answers to ``send(number, piece)``, in order, with at most ``CONCURRENCY`` requests under way.

    Pieces are numbered from 1; one more is held ready. When a piece cannot be had or an answer is an error, the
    requests that are under way are cancelled.
    """
    free = threading.Semaphore(CONCURRENCY)
    requests: list[Future[Answer]] = []
    failed: list[Future[Answer]] = []

    def ended(request: "Future[Answer]") -> None:
        if request.cancelled() or request.exception() is not None:
            failed.append(request)
        free.release()

    try:
        for number, piece in enumerate(pieces, 1):
            free.acquire()
            if failed:
                failed[0].result()
            requests.append(send(number, piece))
            requests[-1].add_done_callback(ended)
        return [request.result() for request in requests]
    finally:
        for request in requests:
            request.cancel()
