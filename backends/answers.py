"""What the answer of any server must keep to, whoever it is: a body within its bound, a range as it was asked for."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

MOST = 8 << 20
"""The bytes that an answer may have which is no object's content: a page of a listing, an error, a description."""

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_LENGTH = re.compile(r"[0-9]{1,18}")


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


def announced(status: int, headers: Mapping[str, str], start: int, stop: int | None) -> int | None:
    """The bytes of content that an answer announces; ``None`` for one that does not fit what was asked.

    Asked was the object from ``start`` up to ``stop``, with a ``Range`` (RFC 9110, section 14.2) unless that is all.

    >>> announced(206, {"Content-Range": "bytes 2-4/9", "Content-Length": "3"}, 2, 5)
    3
    >>> announced(200, {"Content-Length": "9"}, 2, 5)
    """
    length = headers.get("Content-Length", headers.get("X-Goog-Stored-Content-Length", ""))
    size = int(length) if _LENGTH.fullmatch(length) else None
    if not start and stop is None:
        return size if status == 200 else None
    found = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if status != 206 or found is None:
        return None
    first, last, total = map(int, found.groups())
    if (
        first != start
        or last != (total if stop is None else min(stop, total)) - 1
        or size not in {None, last - first + 1}
    ):
        return None
    return last - first + 1


def redirect(location: str, asked: str) -> str:
    """What is said of an answer to ``asked`` that leads elsewhere."""
    try:
        host = urlsplit(urljoin(asked, location)).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return f"the server redirects to {host or repr(location)}, which is not followed"
