"""What the answer of any server must keep to, whoever it is: a body within its bound, a range as it was asked for."""

import re
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import urljoin, urlsplit

MOST = 8 << 20
"""The bytes that an answer may have which is no object's content: a page of a listing, an error, a description."""

_RANGE = re.compile(r"bytes ([0-9]{1,20})-([0-9]{1,20})/([0-9]{1,20})")
_NATURAL = re.compile(r"[0-9]{1,20}")
_MOST_EMPTY = 1000
"""Pages in a row without an object: a store that skips what was deleted may have some."""


class Stored(NamedTuple):
    """What a store says of an object that it made, or of a part of one, in ``Written``'s terms."""

    etag: str | None
    version_id: str | None = None
    checksum: str | None = None
    confirmed: Literal["checksum", "response", "stat"] = "response"


def instant(seconds: float) -> datetime | None:
    """So many seconds after 1970 began, or ``None`` outside of the years that a ``datetime`` has.

    >>> instant(0).isoformat(), instant(1e12)
    ('1970-01-01T00:00:00+00:00', None)
    """
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class Bounded:
    """The content of an aiohttp answer, of which no more than ``most`` bytes are read."""

    def __init__(self, content: Any, most: int) -> None:
        self._content = content
        self._left = most

    async def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, or all. Raises ``ClientPayloadError`` for a body that is longer than it may be."""
        if size < 0:
            pieces = []
            while found := await self.read(1 << 16):
                pieces.append(found)
            return b"".join(pieces)
        piece: bytes = await self._content.read(size)
        self._left -= len(piece)
        if self._left < 0:
            from aiohttp import ClientPayloadError

            raise ClientPayloadError("the answer is longer than it may be")
        return piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)


class Announced(NamedTuple):
    """The bytes of content that an answer promises, and those that the object has."""

    length: int
    size: int


def announced(status: int, length: Any, content_range: str | None, start: int, stop: int | None) -> Announced:
    """What an answer to GET promises, where the bytes from ``start`` up to ``stop`` were asked for.

    Raises ``ValueError`` for a length that is not given, and for an answer of anything else: the whole object where a
    range behind its beginning was asked for, a range where the whole was, another range (RFC 9110, section 14). A range
    from the beginning need not be heeded. What says which range it is may do so with a status of 200 (rclone), and need
    not say its length again.

    >>> announced(206, "3", "bytes 2-4/9", 2, 5)
    Announced(length=3, size=9)
    """
    if not start and status == 200 and content_range is None:
        return Announced(natural(length), natural(length))
    if not start and stop is None:
        raise ValueError("a range was not asked for")
    found = _RANGE.fullmatch(content_range or "")
    if found is None:
        raise ValueError("a range was asked for")
    first, last, total = map(int, found.groups())
    size = last + 1 - first
    if first != start or last != (total if stop is None else min(stop, total)) - 1:
        raise ValueError("another range was asked for")
    if length is not None and natural(length) != size:
        raise ValueError("the range has another length")
    return Announced(size, total)


def natural(size: Any) -> int:
    """A count of bytes. Raises ``ValueError`` for what is none."""
    if not _NATURAL.fullmatch(str(size)):
        raise ValueError("no number of bytes")
    return int(size)


class Pages:
    """The pages of one listing, which has an end: no page leads to an earlier one, or on and on to nothing."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._empty = 0

    def after(self, token: str | None, *, objects: int) -> str:
        """The token of the page after one that holds ``objects``. Raises ``ValueError`` if it leads nowhere."""
        self._empty = 0 if objects else self._empty + 1
        if not token or token in self._seen or self._empty > _MOST_EMPTY:
            raise ValueError("no way on")
        self._seen.add(token)
        return token


def redirect(location: str, asked: str) -> str:
    """What is said of an answer to ``asked`` that leads elsewhere."""
    try:
        host = urlsplit(urljoin(asked, location)).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return f"the server redirects to {host or repr(location)}, which is not followed"
