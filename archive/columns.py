"""What stands in an index: JSON in raw deflate, written by keystow and read as if a stranger had written it.

Strategy: nothing is taken before its type and its bounds are found right, a column at a time. What is unknown is left
alone, as a later version may add it.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar, cast

from isal import igzip_lib

from .errors import CorruptArchiveError
from .gzip import deflated

_T = TypeVar("_T")

DIGEST = 32
MOST = (1 << 63) - 1
_MOST_TEXT = 1 << 23
_LONG = 1 << 10
"""Characters from which on a column is worth a code of its own, which takes some 60 bytes."""

encoded = json.JSONEncoder(separators=(",", ":")).encode
"""A value as JSON in ASCII."""


def packed(value: Mapping[str, object], level: int) -> bytes:
    """``value`` as JSON in ASCII, deflated. Raises ``OverflowError`` if that is longer than ``unpacked`` takes."""
    pieces = [piece.encode("ascii") for piece in _pieces(value)]
    length = sum(map(len, pieces))
    if length > _MOST_TEXT:
        raise OverflowError(f"{length} bytes of JSON are more than an index can have in one place")
    return deflated(pieces, level)


def _pieces(value: Mapping[str, object]) -> Iterator[str]:
    """``value`` as JSON, cut between long columns: names, digits and base64 shrink best each with a code of its own."""
    text = ""
    for part in _parts(value):
        if min(len(text), len(part)) >= _LONG:
            yield text
            text = ""
        text += part
    yield text


def _parts(value: Mapping[str, object], *, is_whole: bool = True) -> Iterator[str]:
    yield "{"
    for number, (key, column) in enumerate(value.items()):
        yield f"{',' if number else ''}{encoded(key)}:"
        if is_whole and isinstance(column, Mapping):
            yield from _parts(column, is_whole=False)
        else:
            yield encoded(column)
    yield "}"


def text_of(digests: bytes | bytearray) -> str:
    """Digests, joined, as base64."""
    return base64.b64encode(digests).decode("ascii")


def inflated(data: bytes | memoryview, size: int) -> tuple[bytes, bool]:
    """Up to ``size`` bytes and one more of raw deflate, and whether it ends there. Raises ``CorruptArchiveError``."""
    inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
    try:
        found = inflater.decompress(data, size + 1)
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub calls the class an instance
        raise CorruptArchiveError(f"the archive holds no sound deflate stream: {error}") from None
    return found, inflater.eof and not inflater.unused_data


def unpacked(data: bytes, what: str) -> "Fields":
    """What ``packed`` was given, of at most 8 MiB of JSON. Raises ``CorruptArchiveError``."""
    text, ended = inflated(data, _MOST_TEXT)
    if not ended or len(text) > _MOST_TEXT:
        raise CorruptArchiveError(f"the {what} of the archive's index is cut short, or too long")
    try:
        return Fields(json.loads(text.decode("ascii"), object_pairs_hook=once), what)
    except (ValueError, RecursionError):
        raise CorruptArchiveError(f"the {what} of the archive's index is no JSON that could be read") from None


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of ``pairs``. Raises ``ValueError`` for a key that stands there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


class Fields:
    """A JSON object. Each method raises ``CorruptArchiveError`` if what it is asked for is missing, or of another kind.

    Columns have ``count`` places. Numbers are from ``least`` to ``most``.
    """

    def __init__(self, found: object, what: str) -> None:
        if not isinstance(found, dict):
            raise CorruptArchiveError(f"the {what} of the archive's index is no object")
        self._found = found
        self._what = what

    def fields(self, key: str) -> "Fields":
        """The object within."""
        return Fields(self._get(key, dict), f"{key!r} in the {self._what}")

    def has(self, key: str) -> bool:
        """Whether there is such a key."""
        return key in self._found

    def length(self, key: str) -> int:
        """How many places a column has."""
        return len(self._get(key, list))

    def number(self, key: str, most: int = MOST) -> int:
        """One number, 0 or more."""
        number = self._get(key, int)
        self._check(key, 0 <= number <= most)
        return number

    def flag(self, key: str) -> bool:
        """True or false."""
        return self._get(key, bool)

    def text(self, key: str) -> str:
        """One text."""
        return self._get(key, str)

    def numbers(self, key: str, count: int, most: int = MOST, least: int = 0) -> Sequence[int]:
        """A column of numbers."""
        numbers = self._column(key, count, int)
        self._check(key, not numbers or (least <= min(numbers) and max(numbers) <= most))
        return numbers

    def texts(self, key: str, count: int) -> Sequence[str]:
        """A column of texts."""
        return self._column(key, count, str)

    def letters(self, key: str, count: int, known: str) -> str:
        """One letter of those ``known`` for each place."""
        letters = self.text(key)
        self._check(key, len(letters) == count and set(letters) <= set(known))
        return letters

    def some(self, key: str, places: Sequence[int]) -> dict[int, str]:
        """Text for these places of a column, and no others."""
        found = self._get(key, dict)
        self._check(key, found.keys() == {str(place) for place in places})
        self._check(key, all(type(text) is str for text in found.values()))
        return {place: found[str(place)] for place in places}

    def digests(self, key: str, count: int) -> bytes:
        """As many digests, joined."""
        text = self.text(key)
        try:
            digests = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            digests = b""
        self._check(key, len(digests) == DIGEST * count and text_of(digests) == text)
        return digests

    def _get(self, key: str, kind: type[_T]) -> _T:
        value = self._found.get(key)
        self._check(key, type(value) is kind)
        return cast("_T", value)

    def _column(self, key: str, count: int, kind: type[_T]) -> list[_T]:
        column: list[_T] = self._get(key, list)
        self._check(key, len(column) == count and set(map(type, column)) <= {kind})
        return column

    def _check(self, key: str, holds: bool) -> None:
        if not holds:
            raise CorruptArchiveError(f"{key!r} in the {self._what} of the archive's index is not what it can be")
