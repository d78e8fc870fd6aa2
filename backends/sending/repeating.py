"""When a request is made again, and after what pause: one rule for all stores, all engines, and URLs.

Strategy: whoever understands an answer says whether the store may answer otherwise the next time
(``StoreUnavailableError``), and when (``retry_after``). What follows from that is decided here, by a pure function of
the failure, the tries so far and the time; around it are the two loops that wait, one for threads and one for an event
loop.
"""

import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

from keystow.backends.errors import StoreError, StoreUnavailableError, UnknownOutcomeError

from .pace import push_back

UNAVAILABLE = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may succeed (RFC 9110, section 15, and RFC 6585, section 4)."""
PAUSES = (0.2, 0.8, 2.4)
"""Seconds before the second try, the third and so on, of which chance takes off up to half."""
LONGEST_PAUSE = 20.0
"""Seconds that a server may ask for (RFC 9110, section 10.2.3); for more, there is no other try."""

_SECONDS = re.compile(r"[0-9]{1,9}")
_log = logging.getLogger("keystow")

Answer = TypeVar("Answer")


def retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a ``Retry-After`` header asks to wait for; ``None`` if it asks for nothing that makes sense.

    It names seconds, or a date (RFC 9110, section 10.2.3), of which ``now``, a POSIX timestamp, is taken off.

    >>> retry_after("120", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 50.0), retry_after("soon", 0.0)
    (120.0, 10.0, None)
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def pause_after(error: StoreError, tries: int, seconds: float, *, chance: float, patience: float) -> float | None:
    """The seconds to wait after ``error``, or ``None`` if the request is not made again.

    ``tries`` have been made, in ``seconds``, and another may begin in ``patience`` seconds after the first; ``chance``
    is a number from 0 to 1.

    >>> pause_after(StoreUnavailableError("503"), 1, 0.1, chance=1.0, patience=90)
    0.2
    >>> pause_after(StoreError("501"), 1, 0.1, chance=1.0, patience=90)
    """
    if not isinstance(error, StoreUnavailableError) or isinstance(error, UnknownOutcomeError) or tries > len(PAUSES):
        return None
    pause = PAUSES[tries - 1] * (1 + chance) / 2
    if error.retry_after is not None:
        if error.retry_after > LONGEST_PAUSE:
            return None
        pause = max(pause, error.retry_after)
    return pause if seconds + pause <= patience else None


class Tries:
    """The tries of one request, which may begin within ``patience`` seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._begun = time.monotonic()
        self.count = 0

    def after(self, error: StoreError) -> float:
        """The seconds to wait before the next try. Raises ``error``, which says how often it was tried, without one."""
        self.count += 1
        seconds = time.monotonic() - self._begun
        pause = pause_after(error, self.count, seconds, chance=random.random(), patience=self._patience)  # noqa: S311
        if isinstance(error, StoreUnavailableError):
            push_back()
        if pause is None:
            _log.debug("given up after try %d, %.1f s: %s", self.count, seconds, error)
            raise error.tried(self.count, seconds)
        _log.info("retrying in %.1f s: %s (%d of %d)", pause, error, self.count + 1, len(PAUSES) + 1)
        return pause


def retried(call: Callable[[], Answer], *, patience: float) -> Answer:
    """What ``call`` gives, tried again while the store is unavailable; for requests that may be repeated."""
    tries = Tries(patience)
    while True:
        try:
            return call()
        except StoreError as error:
            pause = tries.after(error)
        time.sleep(pause)


async def retried_on_loop(call: Callable[[], Awaitable[Answer]], *, patience: float) -> Answer:
    """``retried``, on an event loop."""
    from asyncio import sleep

    tries = Tries(patience)
    while True:
        try:
            return await call()
        except StoreError as error:
            pause = tries.after(error)
        await sleep(pause)
