"""Whole numbers from 0 on as a key holds them: in decimal, perhaps filled up with zeros.

Strategy: a number has at least ``width`` digits, and zeros before it only to reach them. So one number has one text.
"""

import re

from .errors import TemplateError

MOST_DIGITS = 20
"""As many as 2**64 has."""


def parse_width(spec: str, name: str, position: int) -> int:
    """The width in ``04``. ``position`` is where it starts in the template, for the ``TemplateError``."""
    if not re.fullmatch("0[1-9][0-9]?", spec) or int(spec) > MOST_DIGITS:
        raise TemplateError(
            f"{spec!r} is no width for {{{name}}}: write a zero and the number of digits, 1 to {MOST_DIGITS}, "
            f"such as {{{name}:04}}",
            position,
        )
    return int(spec)


def check_number(name: str, value: object) -> None:
    """Raises ``TypeError`` for what is no whole number, ``ValueError`` for one that no key holds."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"the value of {name} is {value!r}: give it as a whole number")
    if not 0 <= value < 10**MOST_DIGITS:
        size = "below 0" if value < 0 else "too large"
        raise ValueError(
            f"the value of {name} is {size}: give a whole number from 0 on, of {MOST_DIGITS} digits at most"
        )


def digits(value: int, width: int) -> str:
    """``value`` with zeros before it, to ``width`` digits."""
    return f"{value:0{width}}"


def pattern(width: int) -> str:
    """A regular expression for the texts that ``digits`` can give."""
    longer = rf"|[1-9][0-9]{{{width},{MOST_DIGITS - 1}}}?" if width < MOST_DIGITS else ""
    return f"(?:[0-9]{{{width}}}{longer})"


def ends(key: str, at: int, width: int) -> range:
    """Where in ``key`` a number that starts ``at`` may end."""
    found = re.compile(f"[0-9]{{{width},{MOST_DIGITS}}}").match(key, at)
    if found is None:
        return range(0)
    return range(at + width, (at + width if key[at] == "0" else found.end()) + 1)
