"""How much is under way at once: what somebody allows, and what is usual where he says nothing."""

from dataclasses import dataclass

from .pace import Pace
from .parts import FEW, HELD

MOST = 128
"""How many requests are under way at once, at most."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``concurrency`` requests, and ``memory`` bytes of parts, ranges and small objects; ``None``: as usual.

    Raises ``ValueError`` for what is no whole number from 1 on.

    >>> Budget(memory=16 << 20).held
    16777216
    """

    concurrency: int | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        _check("concurrency", self.concurrency, "a whole number")
        _check("memory", self.memory, "a whole number of bytes")

    @property
    def requests(self) -> int:
        """How many requests there may be."""
        return MOST if self.concurrency is None else self.concurrency

    @property
    def held(self) -> int:
        """The bytes that may be held."""
        return HELD if self.memory is None else self.memory

    def pace(self, least: int, most: int) -> Pace:
        """A pace from ``least`` to ``most`` requests, as far as they may be under way, but never of none.

        >>> Budget(concurrency=2).pace(4, 8).number
        2
        """
        most = max(1, min(most, self.requests))
        return Pace(min(least, most), most)

    def parts(self, size: int) -> int:
        """How many parts of so many bytes there may be at once; if nobody says how much they may hold, a few anyway.

        >>> Budget(memory=16 << 20).parts(8 << 20), Budget(memory=1).parts(8 << 20), Budget().parts(1 << 30)
        (2, 1, 4)
        """
        return max(FEW if self.memory is None else 1, self.held // max(1, size))


def _check(name: str, given: object, what: str) -> None:
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
        raise ValueError(f"{name}={given!r} cannot be kept: give {what} from 1 on")


USUAL = Budget()


def budget_of(store: object) -> Budget:
    """That which ``store`` was opened with; the usual one of what knows of none."""
    found = getattr(store, "budget", USUAL)
    return found if isinstance(found, Budget) else USUAL
