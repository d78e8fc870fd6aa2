"""What a value may bring into a key: the three policies, each as a check and as a regular expression.

A value that holds a separator, or is a relative path segment, would move the object somewhere else than the template
says. ``refuse`` rejects it, ``percent`` encodes it so that it can be read back, ``verbatim`` takes it (Bacalhau).
"""

import re
from typing import NamedTuple

from .errors import ValueRefusedError

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_SURROGATE = r"\ud800-\udfff"
_UNSAFE = re.compile(rf"[/\\{_CONTROL}]")
_UNENCODABLE = re.compile(rf"[{_SURROGATE}]")
_ESCAPES = re.compile("(?:%[0-9A-F]{2})+")
_ENCODED = re.compile(rf"[%/\\{_CONTROL}]")


class Policy(NamedTuple):
    """How the values of one template are admitted, and what they look like in a key."""

    name: str
    pattern: str
    whole: str
    """The pattern of a value up to the next ``/`` or the end, which needs no search for where it ends."""

    def admit(self, field: str, value: str) -> str:
        """The text that stands in the key for ``value``; ``ValueRefusedError`` if there is none."""
        if self.name == "verbatim":
            return value
        if not value:
            raise ValueRefusedError(field, "is empty: give a value, or take the field out of the template")
        if found := _UNENCODABLE.search(value):
            raise ValueRefusedError(field, f"is {value!r}, whose character {found.start()} cannot be written as UTF-8")
        if self.name == "percent":
            return "%2E" * len(value) if value in {".", ".."} else _ENCODED.sub(_percent, value)
        if value in {".", ".."}:
            raise ValueRefusedError(field, f"is {value!r}, a relative path segment: give a name")
        if found := _UNSAFE.search(value):
            raise ValueRefusedError(
                field,
                f"is {value!r}, and {found.group()!r} would change the shape of the key: "
                'take it out, or use Template(…, values="percent")',
            )
        return value

    def restore(self, text: str) -> str:
        """The value for which ``admit`` gave ``text``."""
        return _ESCAPES.sub(_decoded, text) if self.name == "percent" else text


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode())


def _decoded(found: re.Match[str]) -> str:
    return bytes.fromhex(found.group().replace("%", "")).decode()


def _segment(character: str, not_dot: str) -> str:
    """One or more of ``character``, as few as will do, but neither ``.`` nor ``..``."""
    return rf"(?:{not_dot}{character}*?|\.{not_dot}{character}*?|\.\.{character}+?)"


def _plain(excluded: str) -> str:
    return rf"[^/\\{_CONTROL}{_SURROGATE}{excluded}]"


_ESCAPE = r"%(?:25|2F|5C|[01][0-9A-F]|7F|C2%[89][0-9A-F])"

_ENCODED_CHARACTER, _ENCODED_NOT_DOT = (f"(?:{_plain(excluded)}|{_ESCAPE})" for excluded in ("%", ".%"))
_ENCODED_VALUE = f"(?:%2E(?:%2E)?|{_segment(_ENCODED_CHARACTER, _ENCODED_NOT_DOT)})"
_ANYTHING = "(?s:.*?)"

REFUSE = Policy("refuse", _segment(_plain(""), _plain(".")), rf"(?!\.\.?(?:/|\Z)){_plain('')}++")
PERCENT = Policy("percent", _ENCODED_VALUE, _ENCODED_VALUE)
VERBATIM = Policy("verbatim", _ANYTHING, _ANYTHING)
