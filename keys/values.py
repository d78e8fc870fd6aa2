"""What a value may bring into a key: the three policies, each as a check and as a regular expression.

A value that holds a separator, or is a relative path segment, would move the object somewhere else than the template
says. ``refuse`` rejects it, ``percent`` encodes it so that it can be read back, ``verbatim`` takes it (Bacalhau).
"""

import re
from typing import NamedTuple

from .errors import ValueRefusedError

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_SURROGATE = r"\ud800-\udfff"
_UNSAFE = rf"[/\\{_CONTROL}]"
_UNENCODABLE = rf"[{_SURROGATE}]"
_ESCAPES = "(?:%[0-9A-F]{2})+"
_ENCODED = rf"[%/\\{_CONTROL}]"


class Policy(NamedTuple):
    """How the values of one template are admitted, and what they look like in a key."""

    name: str
    first: str
    """The pattern of the shortest values; each goes on with any number of ``further`` characters."""
    further: str
    alone: tuple[str, ...] = ()
    """Values besides, which nothing follows."""
    run: str = ""

    @property
    def pattern(self) -> str:
        """A value, as short as will do."""
        return f"(?:{'|'.join((*self.alone[::-1], rf'(?:{self.first})(?:{self.further})*?'))})"

    @property
    def whole(self) -> str:
        """A value up to the next ``/`` or the end, which needs no search for where it ends."""
        return self.run or self.pattern

    def admit(self, field: str, value: str) -> str:
        """The text that stands in the key for ``value``; ``ValueRefusedError`` if there is none."""
        if self.name == "verbatim" or _stands_as_it_is(value):
            return value
        if not value:
            raise ValueRefusedError(field, "is empty: give a value, or take the field out of the template")
        if found := re.search(_UNENCODABLE, value):
            raise ValueRefusedError(field, f"is {value!r}, whose character {found.start()} cannot be written as UTF-8")
        if self.name == "percent":
            return "%2E" * len(value) if value in {".", ".."} else re.sub(_ENCODED, _percent, value)
        if value in {".", ".."}:
            raise ValueRefusedError(field, f"is {value!r}, a relative path segment: give a name")
        if found := re.search(_UNSAFE, value):
            raise ValueRefusedError(
                field,
                f"is {value!r}, and {found.group()!r} would change the shape of the key: "
                'take it out (or, with a Template of your own, choose values="percent")',
            )
        return value

    def restore(self, text: str) -> str:
        """The value for which ``admit`` gave ``text``."""
        return re.sub(_ESCAPES, _decoded, text) if self.name == "percent" and "%" in text else text


def _stands_as_it_is(value: str) -> bool:
    """Whether every policy takes ``value`` unchanged; it may be so of others. Most values are, and this is quick."""
    special = "/" in value or "\\" in value or "%" in value or value in {"", ".", ".."}
    return not special and value.isprintable()  # which no control character is, and no surrogate


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found.group().encode())


def _decoded(found: re.Match[str]) -> str:
    return bytes.fromhex(found.group().replace("%", "")).decode()


def _shortest(character: str, not_dot: str) -> str:
    """What a value begins with at least, so that it is neither empty nor ``.`` or ``..``."""
    return rf"{not_dot}|\.{not_dot}|\.\.{character}"


def _plain(excluded: str) -> str:
    return rf"[^/\\{_CONTROL}{_SURROGATE}{excluded}]"


_ESCAPE = r"%(?:25|2F|5C|[01][0-9A-F]|7F|C2%[89][0-9A-F])"

_ENCODED_CHARACTER, _ENCODED_NOT_DOT = (f"(?:{_plain(excluded)}|{_ESCAPE})" for excluded in ("%", ".%"))

REFUSE = Policy("refuse", _shortest(_plain(""), _plain(".")), _plain(""), run=rf"(?!\.\.?(?:/|\Z)){_plain('')}++")
PERCENT = Policy(
    "percent", _shortest(_ENCODED_CHARACTER, _ENCODED_NOT_DOT), _ENCODED_CHARACTER, alone=("%2E", "%2E%2E")
)
VERBATIM = Policy("verbatim", "", "(?s:.)")
