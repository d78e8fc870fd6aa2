"""The placeholders of a template."""

import re
from datetime import datetime
from typing import NamedTuple

from .context import Context
from .errors import MissingValueError, ValueRefusedError
from .instants import InstantFormat, calendar, pattern, render
from .values import Policy

HINTS = {
    "executionID": "set Context(execution_id=…), or --execution-id",
    "jobID": "set Context(job_id=…), or --job-id",
    "nodeID": "set Context(node_id=…), or --node-id",
    "date": "set Context(at=…), or --at",
    "time": "set Context(at=…), or --at",
}


class Field(NamedTuple):
    """A placeholder: the field's name, and for a date or a time its format."""

    name: str
    written: str
    format: InstantFormat | None

    def render(self, context: Context, policy: Policy) -> str:
        """The text in a key for what ``context`` knows. Raises what ``Template.expand`` raises."""
        if self.format is None:
            if (value := context.value(self.name)) is not None:
                return policy.admit(self.name, value)
        elif (at := context.at) is not None:
            return render(self.format, at)
        hint = HINTS.get(self.name, f"set Context(labels={{{self.name!r}: …}}), or --label {self.name}=…")
        raise MissingValueError(self.name, hint)

    def admit(self, value: str | datetime, policy: Policy) -> str:
        """The text in a key for ``value``. Raises ``ValueRefusedError``."""
        if self.format is None:
            if not isinstance(value, str):
                raise TypeError(f"the value of {{{self.name}}} is {value!r}: give it as text")
            return policy.admit(self.name, value)
        if isinstance(value, datetime):
            return render(self.format, value)
        seen: set[str] = set()
        if not re.fullmatch(pattern(self.format, seen) + calendar(seen), value):
            raise ValueRefusedError(self.name, f"is {value!r}, which {{{self.written}}} never gives")
        return value
