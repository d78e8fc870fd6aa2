"""How long is waited for the other side, the same for all stores, all engines, and URLs."""

from datetime import timedelta
from typing import NamedTuple

from .budget import USUAL, Budget

CONNECT = 10.0
"""Seconds in which a connection must stand, with TLS."""
SECONDS = 60.0
"""Seconds after which a try in which nothing moves is over."""
PATIENCE = 90.0
"""Seconds after the first try in which another one may begin."""
COMPLETION = 600.0
"""Seconds in which many parts become one object: S3 may take minutes for it (CompleteMultipartUpload, of its API)."""
LEAST = 1 << 10
"""The bytes of an object's content that come in ``SECONDS`` of waiting for it; any other answer is whole by then."""
BRIEF = 10.0
"""Seconds for a try of what is looked at or cleared once a request has used up its own."""

_STILL = 0.4
_COMPLETES = 4
_LONGEST = 86_400


class Bounds(NamedTuple):
    """What one request is given, over all of its tries, in seconds; ``still`` is what ``SECONDS`` says, and so on.

    The ``budget`` says how many there are at once.
    """

    still: float
    patience: float
    completion: float
    brief: float
    connect: float
    budget: Budget = USUAL


def bounds(timeout: float | None = None, budget: Budget = USUAL) -> Bounds:
    """The bounds of a request that is over after ``timeout`` seconds in which nothing moves; ``None``: the usual ones.

    Without a timeout that is after 150 seconds. What makes one object of many parts has four times as long.

    >>> bounds(30)[:5]
    (12.0, 18.0, 120, 10.0, 6.0)
    """
    if timeout is None:
        return Bounds(SECONDS, PATIENCE, COMPLETION, BRIEF, CONNECT, budget)
    still = min(SECONDS, _STILL * timeout)
    brief, connect = min(BRIEF, still), min(CONNECT, still / 2)
    return Bounds(still, timeout - still, _COMPLETES * timeout, brief, connect, budget)


def check_timeout(timeout: timedelta | float) -> float:
    """``timeout`` in seconds. Raises ``ValueError`` for less than one, and for more than a day."""
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if not 1 <= seconds <= _LONGEST:
        raise ValueError(f"a timeout of {seconds:.9g} seconds cannot be kept: give 1 second to 1 day")
    return float(seconds)
