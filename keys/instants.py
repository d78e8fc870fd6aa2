"""The strftime directives that a key may hold: those whose output is all digits, whatever the locale.

Each stands once in a table: how it is written, and which texts it can have written. ``CALENDAR`` refuses the days
that a month does not have, so that a key is matched only by dates that exist.
"""

import functools
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple, NewType

from .errors import TemplateError

InstantFormat = NewType("InstantFormat", str)
"""Text and at least one directive, all of them known."""
DATE, TIME = InstantFormat("%Y%m%d"), InstantFormat("%H%M%S")


class _Directive(NamedTuple):
    form: str
    value: str | Callable[[datetime], int]
    """The attribute of an instant, or what finds the number out."""
    pattern: str


_LEAP = r"(?P<leap>[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DIRECTIVES = {
    "Y": _Directive("%04d", "year", rf"(?:{_LEAP}|(?!0000)[0-9]{{4}})"),
    "m": _Directive("%02d", "month", r"(?:(?P<feb>02)|(?P<short>0[469]|11)|0[13578]|1[02])"),
    "d": _Directive("%02d", "day", r"(?:(?P<d29>29)|(?P<d30>30)|(?P<d31>31)|0[1-9]|1[0-9]|2[0-8])"),
    "H": _Directive("%02d", "hour", "(?:[01][0-9]|2[0-3])"),
    "M": _Directive("%02d", "minute", "[0-5][0-9]"),
    "S": _Directive("%02d", "second", "[0-5][0-9]"),
    "f": _Directive("%06d", "microsecond", "[0-9]{6}"),
    "j": _Directive(
        "%03d", lambda at: at.timetuple().tm_yday, "(?:(?P<j366>366)|(?!000)[0-2][0-9]{2}|3[0-5][0-9]|36[0-5])"
    ),
    "y": _Directive("%02d", lambda at: at.year % 100, "(?:(?P<leap2>[02468][048]|[13579][26])|[0-9]{2})"),
    "V": _Directive("%02d", lambda at: at.isocalendar().week, "(?:(?!00)[0-4][0-9]|5[0-3])"),
    "G": _Directive("%04d", lambda at: at.isocalendar().year, "(?!0000)[0-9]{4}"),
    "u": _Directive("%d", lambda at: at.isoweekday(), "[1-7]"),
}
_TOKEN = re.compile(r"%(.?)|[^%]+", re.DOTALL)


def parse_format(spec: str, position: int) -> InstantFormat:
    """``spec``, checked. ``position`` is where it starts in the template, for the ``TemplateError``."""
    for found in _TOKEN.finditer(spec):
        letter = found.group(1)
        if letter is not None and letter not in _DIRECTIVES:
            raise TemplateError(
                f"{found.group()!r} is not a date directive that a key may hold: use one of "
                + " ".join(f"%{known}" for known in _DIRECTIVES),
                position + found.start(),
            )
    if "%" not in spec:
        raise TemplateError(
            f"the format {spec!r} holds no date directive: write one, such as {DATE}, or leave the ':' out",
            position,
        )
    return InstantFormat(spec)


def render(form: InstantFormat, at: datetime) -> str:
    """The text of ``at``, in the time zone that it carries."""
    printf, values = _printf(form)
    return printf % values(at)


@functools.lru_cache
def _printf(form: InstantFormat) -> tuple[str, Callable[[datetime], object]]:
    """What is the same each time that a format is rendered."""
    taken = tokens(form)
    printf = "".join(_DIRECTIVES[text].form if is_directive else text for text, is_directive in taken)
    values = [_DIRECTIVES[text].value for text, is_directive in taken if is_directive]
    names = [value for value in values if isinstance(value, str)]
    if len(names) == len(values):
        return printf, attrgetter(*names)  # all at once
    calls = [attrgetter(value) if isinstance(value, str) else value for value in values]
    return printf, lambda at: tuple([call(at) for call in calls])


def pattern(form: InstantFormat, seen: set[str]) -> str:
    """A regular expression for the texts that ``render`` can give.

    A directive that is in ``seen`` must agree with its earlier occurrence; those met here are added.
    """
    out = []
    for text, is_directive in tokens(form):
        if not is_directive:
            out.append(re.escape(text))
        elif text in seen:
            out.append(f"(?P={text})")
        else:
            seen.add(text)
            out.append(f"(?P<{text}>{_DIRECTIVES[text].pattern})")
    return "".join(out)


def letters(form: InstantFormat) -> set[str]:
    """The directives in ``form``."""
    return {text for text, is_directive in tokens(form) if is_directive}


@functools.lru_cache
def _reading(form: InstantFormat) -> re.Pattern[str]:
    return re.compile(pattern(form, set()))


def read(form: InstantFormat, text: str) -> dict[str, str]:
    """What each directive of ``form`` wrote of ``text``; nothing where ``render`` cannot have given it."""
    found = _reading(form).fullmatch(text)
    return {letter: found[letter] for letter in letters(form)} if found else {}


def tokens(form: InstantFormat) -> list[tuple[str, bool]]:
    """Literal text and directives, in order."""
    return [(found.group(1) or found.group(), found.group(1) is not None) for found in _TOKEN.finditer(form)]


def calendar(seen: set[str]) -> str:
    """A regular expression of no width that fails after a day which its month or year does not have."""
    leap = "(?(leap)|(?!))" if "Y" in seen else "(?(leap2)|(?!))" if "y" in seen else ""
    month = f"(?(feb)(?(d30)(?!))(?(d31)(?!))(?(d29){leap}))(?(short)(?(d31)(?!)))" if {"m", "d"} <= seen else ""
    return month + (f"(?(j366){leap})" if "j" in seen else "")


def exists(directives: Mapping[str, str]) -> bool:
    """Whether there is an instant for which these directives give these texts."""
    return _instants("".join(directives)).fullmatch("".join(directives.values())) is not None


@functools.lru_cache
def _instants(letters: str) -> re.Pattern[str]:
    seen: set[str] = set()
    return re.compile(pattern(InstantFormat("".join(f"%{letter}" for letter in letters)), seen) + calendar(seen))


def related(directives: set[str]) -> set[str]:
    """``directives``, and those that say together with them whether there is such a day."""
    return directives | set("Yymdj") if directives & set("Yymdj") else directives
