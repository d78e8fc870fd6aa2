"""The standard streams: what stands in for one that is closed, and what is said to people."""

import os
import sys
from contextlib import suppress


def stand_in_for_closed() -> set[str]:
    """Opens the null device in the place of each standard stream that was closed, and gives the names of those."""
    closed = set()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="surrogateescape"))  # noqa: SIM115
            closed.add(name)
    return closed


def take_any_text() -> None:
    """Makes stdout take every key: one may hold what no locale can write."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="surrogateescape")


def discard_output() -> None:
    """Lets what is still to be printed go nowhere, as nobody reads stdout any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """Tells people ``text``, masked and escaped, on stderr."""
    from keystow.backends.texts import presentable

    with suppress(OSError):  # there is nobody else to tell, and the result is still to be printed
        print(f"keystow: {presentable(text)}", file=sys.stderr, flush=True)
