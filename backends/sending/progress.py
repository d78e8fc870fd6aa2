"""Whether a request over aiohttp gets on: a try in which nothing moves for a minute is over, in either direction.

Strategy: aiohttp's own clock runs anew with each byte that is read, and not at all while a body is sent. So another one
runs here. While a request goes out, what counts are the bytes that are taken off its body; its answer has a minute in
all, unless it is an object's content, of which ``LEAST`` bytes must come in each. Time in which nobody waits for the
network does not count.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from .limits import LEAST
from .parts import Body


@contextlib.asynccontextmanager
async def progressing(seconds: float, body: Body | None = None) -> AsyncIterator[None]:
    """Within this, ``TimeoutError`` is raised once no bytes left ``body`` for ``seconds``."""
    loop = asyncio.get_running_loop()
    deadline = asyncio.timeout(seconds)

    def moved() -> None:
        if not deadline.expired():
            deadline.reschedule(loop.time() + seconds)

    async with _until(deadline, seconds):
        if body is not None:
            body.moved = moved
        try:
            yield
        finally:
            if body is not None:
                body.moved = bool


class Progressing:
    """An answer's content, to be read as from aiohttp's ``StreamReader``: ``LEAST`` bytes of it come in ``seconds``."""

    def __init__(self, content: Any, seconds: float) -> None:
        self._content = content
        self._seconds = self._left = seconds
        self._came = 0

    async def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, or all. Raises ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        async with _until(asyncio.timeout(self._left), self._seconds):
            piece: bytes = await self._content.read(size)
        self._came += len(piece)
        self._left -= loop.time() - since
        if self._came >= LEAST:
            self._came, self._left = 0, self._seconds
        return piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)


@contextlib.asynccontextmanager
async def _until(deadline: asyncio.Timeout, seconds: float) -> AsyncIterator[None]:
    """Within this, ``TimeoutError`` is raised at ``deadline``, and says that it took ``seconds``."""
    try:
        async with deadline:
            yield
    except TimeoutError:
        if deadline.expired():
            raise TimeoutError(f"nothing moved for {seconds:.3g} s") from None
        raise


def may_have_left(error: BaseException) -> bool:
    """Whether a request that failed with aiohttp's ``error`` may have come to the server: it needs a connection."""
    from aiohttp import ClientConnectorError, ConnectionTimeoutError

    return not isinstance(error, ClientConnectorError | ConnectionTimeoutError)
