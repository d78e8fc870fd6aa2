"""The standard streams: what stands in for one that is closed, and what is said to people."""

import os
import sys
import threading
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Protocol

    class Below(Protocol):
        """Something that is drawn on the terminal's last line."""

        def above(self, line: str) -> None:
            """Prints ``line`` above it."""
            ...


class _Talk:
    """How people are talked to now."""

    quiet = False
    as_json = False
    warned: frozenset[str] = frozenset()
    below: "Below | None" = None
    repeats = 0
    lock = threading.RLock()  # who was interrupted with it has it still


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


def say(text: str, level: str = "error", about: "Mapping[str, object] | None" = None) -> None:
    """Tells people ``text``, masked and escaped, on stderr; a program is told what it is ``about``, too, in JSON."""
    from keystow.backends.texts import presentable

    line = f"keystow: {presentable(text)}"
    if _Talk.as_json:
        import json

        line = json.dumps({"level": level, "message": presentable(text), **(about or {})})
    with suppress(OSError), _Talk.lock:  # there is nobody else to tell, and the result is still to be printed
        if _Talk.below is None:
            print(line, file=sys.stderr, flush=True)
        else:
            _Talk.below.above(line)


def say_each(lines: "Sequence[str]", **about: object) -> None:
    """Says the lines of an error; a program is told the first with the others as its ``notes``."""
    if _Talk.as_json:
        from keystow.backends.texts import presentable

        say(lines[0], about={**about, "notes": list(map(presentable, lines[1:]))})
        return
    for line in lines:
        say(line)


def note(text: str) -> None:
    """Tells people ``text``, which is neither an error nor a result, unless they want it quiet."""
    if not _Talk.quiet:
        say(text, "note")


def warn(text: str) -> None:
    """Notes, once, what may not be what was meant."""
    if text not in _Talk.warned:
        _Talk.warned |= {text}
        note(f"note: {text}")


@contextmanager
def talking(*, as_json: bool) -> "Iterator[None]":
    """Within this, what is said is a line of JSON each, if it is to be ``as_json``."""
    before = _Talk.quiet, _Talk.as_json
    _Talk.as_json, _Talk.warned = as_json, frozenset()
    try:
        yield
    finally:
        _Talk.quiet, _Talk.as_json = before


def hush(quiet: bool) -> None:
    """From now on, ``note`` says nothing if it is to be ``quiet``."""
    _Talk.quiet = quiet


def below(drawn: "Below | None") -> None:
    """From now on, what is said stands above what is ``drawn``."""
    _Talk.below = drawn


def alone() -> threading.RLock:
    """Within this lock, nobody else says or draws anything."""
    return _Talk.lock


def repeats() -> int:
    """How many requests were made again, as far as that was told."""
    return _Talk.repeats


@contextmanager
def repeats_told(*, every_try: bool) -> "Iterator[None]":
    """Within this, people are told of each request that is made again, or of ``every_try``."""
    import logging

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _Talk.repeats += record.levelno == logging.INFO
            note(record.getMessage())

    logger, told = logging.getLogger("keystow"), Told()
    before = logger.level
    logger.addHandler(told)
    logger.setLevel(logging.DEBUG if every_try else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(told)
        logger.setLevel(before)
