"""The strftime directives that a key may hold: those whose output is all digits, whatever the locale.

Each stands once in a table: how it is written, and which texts it can have written. ``CALENDAR`` refuses the days
that a month does not have, so that a key is matched only by dates that exist.
"""

import functools
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from .errors import TemplateError

DATE, TIME = "%Y%m%d", "%H%M%S"


class _Directive(NamedTuple):
    form: str
    value: Callable[[datetime], int]
    pattern: str


_LEAP = r"(?P<leap>[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DIRECTIVES = {
    "Y": _Directive("%04d", attrgetter("year"), rf"(?:{_LEAP}|(?!0000)[0-9]{{4}})"),
    "m": _Directive("%02d", attrgetter("month"), r"(?:(?P<feb>02)|(?P<short>0[469]|11)|0[13578]|1[02])"),
    "d": _Directive("%02d", attrgetter("day"), r"(?:(?P<d29>29)|(?P<d30>30)|(?P<d31>31)|0[1-9]|1[0-9]|2[0-8])"),
    "H": _Directive("%02d", attrgetter("hour"), "(?:[01][0-9]|2[0-3])"),
    "M": _Directive("%02d", attrgetter("minute"), "[0-5][0-9]"),
    "S": _Directive("%02d", attrgetter("second"), "[0-5][0-9]"),
    "f": _Directive("%06d", attrgetter("microsecond"), "[0-9]{6}"),
    "j": _Directive(
        "%03d", lambda at: at.timetuple().tm_yday, "(?:(?P<j366>366)|(?!000)[0-2][0-9]{2}|3[0-5][0-9]|36[0-5])"
    ),
    "y": _Directive("%02d", lambda at: at.year % 100, "(?:(?P<leap2>[02468][048]|[13579][26])|[0-9]{2})"),
    "V": _Directive("%02d", lambda at: at.isocalendar().week, "(?:(?!00)[0-4][0-9]|5[0-3])"),
    "G": _Directive("%04d", lambda at: at.isocalendar().year, "(?!0000)[0-9]{4}"),
    "u": _Directive("%d", lambda at: at.isoweekday(), "[1-7]"),
}
_TOKEN = re.compile(r"%(.?)|[^%]+", re.DOTALL)


class InstantFormat(NamedTuple):
    """A format of an instant, taken apart: literal text and directives, in order."""

    tokens: tuple[tuple[str, bool], ...]

    def render(self, at: datetime) -> str:
        """The text of ``at``, in the time zone that it carries."""
        form, values = _printf(self.tokens)
        return form % tuple([value(at) for value in values])

    def pattern(self, seen: set[str]) -> str:
        """A regular expression for the texts that ``render`` can give.

        A directive that is in ``seen`` must agree with its earlier occurrence; those met here are added.
        """
        out = []
        for text, is_directive in self.tokens:
            if not is_directive:
                out.append(re.escape(text))
            elif text in seen:
                out.append(f"(?P={text})")
            else:
                seen.add(text)
                out.append(f"(?P<{text}>{_DIRECTIVES[text].pattern})")
        return "".join(out)


@functools.lru_cache
def _printf(tokens: tuple[tuple[str, bool], ...]) -> tuple[str, tuple[Callable[[datetime], int], ...]]:
    """What is the same each time that a format is rendered."""
    form = "".join(_DIRECTIVES[text].form if d else text.replace("%", "%%") for text, d in tokens)
    return form, tuple(_DIRECTIVES[text].value for text, is_directive in tokens if is_directive)


def parse_format(spec: str, position: int = 0) -> InstantFormat:
    """Takes ``spec`` apart. ``position`` is where it starts in the template, for the ``TemplateError``."""
    tokens = []
    for found in _TOKEN.finditer(spec):
        letter = found.group(1)
        if letter is None:
            tokens.append((found.group(), False))
        elif letter in _DIRECTIVES:
            tokens.append((letter, True))
        else:
            raise TemplateError(
                f"{found.group()!r} is not a date directive that a key may hold: use one of "
                + " ".join(f"%{known}" for known in _DIRECTIVES),
                position + found.start(),
            )
    if not any(is_directive for _, is_directive in tokens):
        raise TemplateError(
            f"the format {spec!r} holds no date directive: write one, such as {DATE}, or leave the ':' out",
            position,
        )
    return InstantFormat(tuple(tokens))


def calendar(seen: set[str]) -> str:
    """A regular expression of no width that fails after a day which its month or year does not have."""
    leap = "(?(leap)|(?!))" if "Y" in seen else "(?(leap2)|(?!))" if "y" in seen else ""
    month = f"(?(feb)(?(d30)(?!))(?(d31)(?!))(?(d29){leap}))(?(short)(?(d31)(?!)))" if {"m", "d"} <= seen else ""
    return month + (f"(?(j366){leap})" if "j" in seen else "")


def exists(directives: Mapping[str, str]) -> bool:
    """Whether there is an instant for which these directives give these texts."""
    seen: set[str] = set()
    pattern = InstantFormat(tuple((letter, True) for letter in directives)).pattern(seen)
    return re.fullmatch(pattern + calendar(seen), "".join(directives.values())) is not None


def related(directives: set[str]) -> set[str]:
    """``directives``, and those that say together with them whether there is such a day."""
    return directives | set("Yymdj") if directives & set("Yymdj") else directives
