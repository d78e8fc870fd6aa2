"""The placeholders of a template."""

import re
from datetime import datetime
from typing import NamedTuple

from .context import ARGUMENTS, Context
from .errors import MissingValueError, ValueRefusedError
from .instants import InstantFormat, calendar, pattern, render
from .numbers import check_number, digits
from .numbers import pattern as number_pattern
from .values import Policy


class Field(NamedTuple):
    """A placeholder: the field's name, for a date or a time its format, for a number its least count of digits."""

    name: str
    written: str
    format: InstantFormat | None = None
    width: int | None = None

    def render(self, context: Context, policy: Policy) -> str:
        """The text in a key for what ``context`` knows. Raises what ``Template.expand`` raises."""
        if self.format is not None:
            if (at := context.at) is not None:
                return render(self.format, at)
        elif self.width is not None:
            if (number := context.number(self.name)) is not None:
                return digits(number, self.width)
        elif (value := context.value(self.name)) is not None:
            return policy.admit(self.name, value)
        argument = ARGUMENTS.get(self.name)
        raise MissingValueError(
            self.name, f"set {label_hint(self.name) if argument is None else f'Context({argument}=…)'}"
        )

    def admit(self, value: str | datetime | int, policy: Policy) -> str:
        """The text in a key for ``value``. Raises ``ValueRefusedError``."""
        if self.format is not None and isinstance(value, datetime):
            return render(self.format, value)
        if self.width is not None and isinstance(value, int):
            check_number(f"{{{self.name}}}", value)
            return digits(value, self.width)
        if not isinstance(value, str):
            raise TypeError(f"the value of {{{self.name}}} is {value!r}: give it as text")
        if self.format is None and self.width is None:
            return policy.admit(self.name, value)
        if not re.fullmatch(self._texts(), value):
            raise ValueRefusedError(self.name, f"is {value!r}, which {{{self.written}}} never gives")
        return value

    def _texts(self) -> str:
        """A regular expression for what stands in a key for a date, a time or a number."""
        if self.format is None:
            return number_pattern(self.width or 1)
        seen: set[str] = set()
        return pattern(self.format, seen) + calendar(seen)


def label_hint(name: str) -> str:
    """How a context is given the value of the label ``name``."""
    return f"Context(labels={{{name!r}: …}})"
