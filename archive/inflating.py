"""gzip that is inflated as far as what is there allows, and no further: who reads it knows what each byte has given.

Strategy: zlib's inflater, as it says what it took; that of ``gzip`` is faster, and keeps to itself what it holds.
"""

import zlib
from typing import NamedTuple

from .errors import CorruptArchiveError
from .gzip import cut_short
from .page import Block, check_digest

_FIRST_IN = 1 << 14  # of each member, as what lies behind each of many tiny ones is copied
_IN = 1 << 19
_NOWHERE = 1 << 63
_MORE = 1 << 16  # bytes that a block may give beyond its own, which the inflater of its writer still held


class Step(NamedTuple):
    """What came of some bytes, and how many were taken."""

    content: bytes
    taken: int


class Inflater:
    """The state of a gzip stream of one or more members."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._is_first = True

    def step(self, data: memoryview, most: int) -> Step:
        """Some of ``data``, which is not empty, inflated to up to ``most`` bytes, which may be none.

        Raises ``CorruptArchiveError`` for what is no gzip, fails its checksum or is followed by other data.
        """
        piece = data[: _FIRST_IN if self._is_first else _IN]
        if self._member.eof:
            padding = len(piece) - len(bytes(piece).lstrip(b"\0"))
            if padding:
                return Step(b"", padding)
            self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            content = self._member.decompress(piece, most)
        except zlib.error as error:
            raise CorruptArchiveError(f"this is no sound gzip stream: {error}") from None
        self._is_first = self._member.eof
        left = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return Step(content, len(piece) - len(left))

    def check_end(self) -> None:
        """Raises ``CorruptArchiveError`` if the stream stops before its end."""
        if not self._member.eof:
            raise cut_short()


class InSequence:
    """A tar stream whose blocks inflate one after the other: what is ``held`` of it begins at ``at``.

    The next block is the one that begins at ``following``, as its index says.
    """

    def __init__(self) -> None:
        self._inflater = Inflater()
        self.at = self.following = 0
        self.held = b""

    @property
    def end(self) -> int:
        """Where what is held ends."""
        return self.at + len(self.held)

    def piece(self, start: int, stop: int) -> bytes:
        """What is held of the tar stream from ``start`` up to ``stop``."""
        return self.held[max(0, start - self.at) : max(0, stop - self.at)]

    def take(self, block: Block, data: bytes) -> None:
        """Goes on with the next block, which lies in the object as ``data``: its content is what is held then.

        Raises ``CorruptArchiveError`` if it is not that block; there is nothing to go on from then.
        """
        check_digest(data, block.sha256, "block of the archive")
        begin, self.at = self.end, _NOWHERE
        most = block.tar_stop - begin + _MORE
        view, found = memoryview(data), []
        while view and most > 0:
            content, taken = self._inflater.step(view, most)
            found.append(content)
            most -= len(content)
            view = view[taken:]
        self.held, self.following = b"".join(found), block.tar_stop
        if view or begin + len(self.held) < block.tar_stop:
            raise CorruptArchiveError("a block of the archive is not as long as its index says")
        self.at = begin
