"""What was found out about one thing on the way to a store, and what to do about it."""

from dataclasses import dataclass
from typing import Literal, Self

from .errors import AccessDeniedError, StoreError
from .texts import presentable

Outcome = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was ``found`` of the thing called ``name``; no text of it holds a secret.

    ``outcome`` is ``"ok"``, ``"failed"``, or ``"unknown"`` where it may not be asked, or where asking would tell
    nothing. ``advice`` says what to do; what failed always has some.

    >>> Finding("clock", "failed", "it is 3600 s behind", "set the clock")
    Finding(name='clock', outcome='failed', found='it is 3600 s behind', advice='set the clock')
    """

    name: str
    outcome: Outcome
    found: str
    advice: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", presentable(self.found))
        object.__setattr__(self, "advice", presentable(self.advice))

    @classmethod
    def of(cls, name: str, error: Exception, outcome: Outcome = "failed") -> Self:
        """What ``error`` says, taken apart into what is wrong and what to do."""
        text = str(error)
        if isinstance(error, StoreError) and error.hint:
            found, _, tries = text.rpartition(f": {error.hint}")
            return cls(name, outcome, f"{found}{tries}", error.hint)
        found, _, advice = text.rpartition(": ")
        if isinstance(error, ValueError | ImportError) and found:
            return cls(name, outcome, found, advice)
        return cls(name, outcome, text, "" if outcome == "unknown" else "see what the server says of it, in its log")


def unless_denied(name: str, error: StoreError, advice: str = "") -> Finding:
    """What ``error`` says; that it is not permitted to ask is no failure of what is asked about."""
    if not isinstance(error, AccessDeniedError):
        return Finding.of(name, error)
    return Finding(name, "unknown", "it may not be asked with these credentials", advice or error.hint)
