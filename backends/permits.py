"""What lets somebody without credentials write one object that is not there yet: requests that were signed beforehand.

Whoever has them may make them, until they end, and may do nothing else with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .errors import UnsupportedError
from .options import ObjectOptions
from .sending.parts import MOST_PARTS, part_size

GIB = 1 << 30


class SignedRequest(NamedTuple):
    """One request. All of the ``headers`` go with it: most are signed, too, and the store wants the others."""

    method: str
    url: str
    headers: Mapping[str, str] = {}


class InParts(NamedTuple):
    """A multipart upload that was begun: a request for each part, one that makes the object, and one that ends it.

    Parts are as long as ``sending.parts`` cuts them.
    """

    parts: Sequence[SignedRequest]
    complete: SignedRequest
    abort: SignedRequest


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be sent: up to ``most`` bytes, in one request or in parts; those of ``sha256`` (in hex) alone, if given.

    ``is_bound`` says that the store itself refuses another content.
    """

    most: int
    way: SignedRequest | InParts = field(repr=False)
    sha256: str | None = None
    is_bound: bool = False

    @property
    def requests(self) -> Sequence[SignedRequest]:
        """All that may be asked."""
        way = self.way
        return [*way.parts, way.complete, way.abort] if isinstance(way, InParts) else [way]


class Terms(NamedTuple):
    """What a permit is to be for: ``seconds``, so many bytes, or as many as go in one request, and one content."""

    seconds: int
    most: int | None
    sha256: str | None
    options: ObjectOptions


def parts_for(size: int) -> int:
    """Into how many parts so many bytes are cut.

    >>> parts_for(1), parts_for((8 << 20) + 1), parts_for(5 << 40) <= 10_000
    (1, 2, True)
    """
    number = 1
    left = size - part_size(1)
    while left > 0 and number <= MOST_PARTS:
        number += 1
        left -= part_size(number)
    return number


def headers_of(options: ObjectOptions, names: Mapping[str, str], metadata: str, where: str) -> dict[str, str]:
    """The headers that say ``options``, by their ``names`` in a cloud; those of metadata begin with ``metadata``.

    Raises ``UnsupportedError`` for an option that has no header there.
    """
    for name in options.named():
        if name not in names and name != "metadata":
            raise UnsupportedError(f"{where}: a ticket cannot say {name}: leave it out")
    found = {header: str(getattr(options, name)) for name, header in names.items() if getattr(options, name)}
    found |= {f"{metadata}{name}": value for name, value in options.metadata.items()}
    for name, value in found.items():
        if not (value.isascii() and value.isprintable() and name.isascii() and name.isprintable()):
            raise UnsupportedError(f"{where}: {name}: {value!r} is not printable ASCII, as a ticket's headers are")
    return found
