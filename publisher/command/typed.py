"""What can be typed for an option, read: numbers, sizes, durations, instants, zones and labels.

Each raises ``ArgumentTypeError`` that says what to type instead.
"""

import re
from argparse import ArgumentTypeError, _ActionsContainer
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

_DURATION = "([0-9]{1,9})([smhd]?)"
_AGE = "[0-9]+[a-z]"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TIMEOUT = "when a request is over on which nothing moves, with all of its tries. Default: KEYSTOW_TIMEOUT, or 150s"
_CONCURRENCY = "the most requests for objects under way at once{}. Default: 128"
_MEMORY = "the most bytes of parts, ranges and small objects under way{}, such as 16MiB. Default: 64MiB"
_SIZE = "([0-9]{1,18})([kMGTP]?)(i?)B?"
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def take_timeout(group: _ActionsContainer) -> None:
    """Declares ``--timeout``."""
    group.add_argument("--timeout", metavar="30s", type=timeout, help=_TIMEOUT)


def take_budget(group: _ActionsContainer, whose: str = "") -> None:
    """Declares ``--concurrency`` and ``--memory``; ``whose`` they are, if not the command's."""
    group.add_argument("--concurrency", metavar="N", type=concurrency, help=_CONCURRENCY.format(whose))
    group.add_argument("--memory", metavar="SIZE", type=memory, help=_MEMORY.format(whose))


def limit(text: str) -> int | None:
    """A whole number, or ``None`` for ``none``."""
    if text == "none":
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ArgumentTypeError(f"{text!r} is no whole number: give one such as 100000, or none")
    return int(text)


def size(text: str) -> int | None:
    """Bytes, with a unit or without, or ``None`` for ``none``."""
    if text == "none":
        return None
    found = re.fullmatch(_SIZE, text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no size such as 500000 (bytes), 20GB or 20GiB: give one, or none")
    unit: int = (1024 if found[3] else 1000) ** _POWERS[found[2]]
    return int(found[1]) * unit


def concurrency(text: str) -> int:
    """How many requests there may be at once."""
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        raise ArgumentTypeError(f"{text!r} is no whole number from 1 on, such as 16")
    return int(text)


def memory(text: str) -> int:
    """Bytes that may be held."""
    found = re.fullmatch(_SIZE, text) and size(text)
    if not found:
        raise ArgumentTypeError(f"{text!r} is no size from 1 byte on: give one such as 16MiB or 500000")
    return found


def label(text: str) -> tuple[str, str]:
    """A name and its value."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return name, value


def number(text: str) -> int:
    """A whole number from 0 on."""
    if not re.fullmatch("[0-9]{1,20}", text):
        raise ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def level(text: str) -> int:
    """A level of compression."""
    if not re.fullmatch("[0-9]", text):
        raise ArgumentTypeError(f"{text!r} is no level from 0 to 9")
    return int(text)


def named(name: str) -> Callable[[str], tuple[str, str]]:
    """Any text, beside the ``name`` of its option: for options that go into one list, in order."""
    return lambda text: (name, text)


def instant(text: str) -> datetime:
    """A time in ISO 8601."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no ISO 8601 time such as 2023-09-26T14:05:30") from None


def moment(text: str) -> datetime | timedelta:
    """A time in ISO 8601, or how long ago it was."""
    try:
        return duration(text) if re.fullmatch(_AGE, text) else datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is no time such as 2026-11-28 or 2026-11-28T14:05, and no age such as 7d"
        ) from None


def zone(text: str) -> tzinfo:
    """A time zone by its name."""
    if text == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(text)
    except (LookupError, ValueError, OSError):
        lack = "" if available_timezones() else ": this machine has no time zones: install the package tzdata"
        raise ArgumentTypeError(f"{text!r} is no time zone such as Europe/Berlin or UTC{lack}") from None


def timeout(text: str) -> timedelta:
    """A duration that a timeout can have."""
    from keystow.backends.sending.limits import check_timeout

    found = duration(text)
    try:
        check_timeout(found)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return found


def duration(text: str) -> timedelta:
    """A duration in seconds, minutes, hours or days."""
    found = re.fullmatch(_DURATION, text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no duration such as 90s, 30m, 12h or 7d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
