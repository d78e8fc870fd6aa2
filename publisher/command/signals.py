"""Ctrl-C and SIGTERM: both interrupt what is being done, and what it leaves is said."""

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress

from .streams import say_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_TICK = 0.1


class Terminated(KeyboardInterrupt):
    """SIGTERM came: to be cleaned up after like Ctrl-C."""


@contextmanager
def raised() -> "Iterator[None]":
    """SIGTERM raises as Ctrl-C does, and both do so soon, where Python lets them: in the main thread."""

    def terminate(*_: object) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:
        yield
        return
    try:
        with _seen():
            yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def _seen() -> "Iterator[None]":
    """The main thread sees a signal that came in the moment before it began to wait, and so did not wake it.

    Python raises between two of its own steps, and a wait may be one that nothing ends for a minute. So another thread,
    which hears of each signal too, has the main thread look again and again: by SIGURG, which says nothing else here.
    What was raised where Python drops it, as while an object is taken apart (and ``threading`` does so with each of its
    threads), is raised again then. Within a program that hears of signals in one of these ways itself, nothing is
    changed.
    """
    usual = signal.getsignal(signal.SIGURG)
    theirs = signal.set_wakeup_fd(-1)
    if theirs != -1 or usual is None:
        signal.set_wakeup_fd(theirs)
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    is_over = False
    main = threading.get_ident()
    dropped: list[type[KeyboardInterrupt]] = []
    report = sys.unraisablehook

    def keep(what: "sys.UnraisableHookArgs") -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            dropped.append(what.exc_type)
        else:
            report(what)

    def again(*_: object) -> None:
        if dropped:
            raise dropped.pop()

    def wake() -> None:
        os.read(heard, 1)
        while not is_over:
            signal.pthread_kill(main, signal.SIGURG)
            time.sleep(_TICK)
        os.close(heard)

    sys.unraisablehook = keep
    signal.signal(signal.SIGURG, again)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=wake, name="keystow-signals", daemon=True).start()
    try:
        yield
    finally:
        is_over = True
        signal.set_wakeup_fd(-1)
        with suppress(BlockingIOError, BrokenPipeError):  # something is there to be read, or who reads has ended
            os.write(told, b"\0")
        os.close(told)
        signal.signal(signal.SIGURG, usual)
        sys.unraisablehook = report


def tell(interrupt: KeyboardInterrupt) -> int:
    """Says what the interrupt left behind, and gives its exit status."""
    what, status = ("terminated", 143) if isinstance(interrupt, Terminated) else ("interrupted", 130)
    notes = getattr(interrupt, "__notes__", [])
    say_each([what, *notes] if notes else [f"{what}; nothing half-written was left"], kind=what, status=status)
    return status
