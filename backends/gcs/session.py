"""An upload session of Google's, and a piece on its way to it (https://cloud.google.com/storage/docs/resumable-uploads).

Strategy: each call of ``taken`` or ``made`` is one try, for the loops that repeat (``sending/repeating.py``). Where the
one before failed, the session is asked first what it has, and only the rest is sent.
"""

from keystow.backends.answers import Stored
from keystow.backends.errors import ConflictError, StoreError, StoreUnavailableError
from keystow.backends.sending.parts import HELD, part_size

from . import answers
from .answers import Answer
from .client import Bucket, Request

_QUANTUM = 256 << 10
"""Bytes of which a session takes a multiple, but at its end."""
_SPARE = 16
_DOUBLINGS = 1


def piece_size(number: int, held: int = HELD) -> int:
    """The bytes of piece ``number``, counted from 1: two of 8 MiB, and from then on 16.

    Nothing leaves before the second piece is there, so that one is small as well. Two of the largest are no more than
    may be ``held``, unless that is less than two of the smallest.

    >>> [piece_size(number) >> 20 for number in range(1, 6)]
    [8, 8, 16, 16, 16]
    >>> piece_size(5, held=16 << 20) >> 20
    8
    """
    fitting = (held // (2 * part_size(1))).bit_length() - 1
    return part_size(1) << max(0, min(number - 2, fitting, _DOUBLINGS))


class Session:
    """A session for one object. ``url`` opens it to everybody."""

    def __init__(self, bucket: Bucket, key: str, url: str, content_type: str) -> None:
        self.bucket = bucket
        self.key = key
        self._url = url
        self._content_type = content_type

    async def put(self, data: bytes, sent: int, start: int, total: int | None, checksum: str | None) -> Answer:
        """The answer to all of ``data`` but the ``sent`` bytes; it stands at ``start``.

        ``total`` and ``checksum`` are known at the end.
        """
        span = f"{start + sent}-{start + len(data) - 1}" if sent < len(data) else "*"
        headers = {"Content-Type": self._content_type} | self.bucket.keyed
        if checksum is not None:
            headers["X-Goog-Hash"] = f"crc32c={checksum}"
        return await self._post(f"{span}/{'*' if total is None else total}", headers, data, sent)

    async def ask(self, total: int | None) -> Answer:
        """The answer to the question of how far the session is."""
        return await self._post(f"*/{'*' if total is None else total}", {}, b"", 0)

    async def _post(self, content_range: str, headers: dict[str, str], data: bytes, sent: int) -> Answer:
        headers["Content-Range"] = f"bytes {content_range}"
        request = Request("POST", self._url, self.key, headers, data, asked="session", start=sent)
        return await self.bucket.answer(request)

    def end(self, seconds: float) -> Answer:
        """The answer to the end of a session, of which nothing is kept."""
        return self.bucket.call(Request("DELETE", self._url, self.key, asked="session", seconds=seconds))


class Piece:
    """A piece of what a session takes, at ``start``; the last one has the ``total`` bytes and their ``checksum``.

    Where no bytes of it are left, the end is sent again and not asked after, which would end it without the checksum.
    """

    def __init__(
        self, session: Session, data: bytes, start: int, total: int | None = None, checksum: str | None = None
    ) -> None:
        self._session = session
        self._data = data
        self._start = start
        self._total = total
        self._checksum = checksum
        self._sent = 0
        self._lost = False
        self._requests_left = len(data) // _QUANTUM + _SPARE

    async def taken(self) -> None:
        """Has the session take the piece, of which it is not the last."""
        while self._sent < len(self._data):
            if await self._advance() is not None:
                raise self._session.bucket.not_understood(self._session.key)

    async def made(self) -> Stored:
        """Has the session take its last piece; gives what is said of the object."""
        bucket, key = self._session.bucket, self._session.key
        while (answer := await self._advance()) is None:
            pass
        return bucket.understood(key, answers.made, answer, key, self._total, self._checksum)

    async def _advance(self) -> Answer | None:
        """Has one request answered. Gives the answer that ends the session."""
        if not self._requests_left:
            raise StoreError(f"{self._where}: the upload makes hardly any progress")
        self._requests_left -= 1
        lost, self._lost = self._lost, self._sent < len(self._data)
        if lost:
            answer = await self._session.ask(self._total)
        else:
            answer = await self._session.put(self._data, self._sent, self._start, self._total, self._checksum)
        if not answer.is_unfinished:
            return answer
        taken = self._session.bucket.understood(self._session.key, answers.taken, answer) - self._start
        if not self._sent <= taken <= len(self._data):
            changed = ConflictError(f"{self._where}: the upload was changed by somebody else")
            changed.passes = False
            raise changed
        if taken == self._sent and not lost:
            raise StoreUnavailableError(f"{self._where}: the upload makes no progress")
        self._sent, self._lost = taken, False
        return None

    @property
    def _where(self) -> str:
        return self._session.bucket.where(self._session.key)
