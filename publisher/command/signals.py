"""Ctrl-C and SIGTERM: both interrupt what is being done, and what it leaves is said."""

import signal
from contextlib import contextmanager

from .streams import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminated(KeyboardInterrupt):
    """SIGTERM came: to be cleaned up after like Ctrl-C."""


@contextmanager
def sigterm_raised() -> "Iterator[None]":
    """SIGTERM raises, where Python lets it: in the main thread."""

    def terminate(*_: object) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def tell(interrupt: KeyboardInterrupt) -> int:
    """Says what the interrupt left behind, and gives its exit status."""
    what, status = ("terminated", 143) if isinstance(interrupt, Terminated) else ("interrupted", 130)
    notes = getattr(interrupt, "__notes__", ())
    for line in (what, *notes) if notes else (f"{what}; nothing half-written was left",):
        say(line)
    return status
