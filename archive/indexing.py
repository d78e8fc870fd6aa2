"""The index of an archive, made while the archive is: which member begins where, and in which block that is.

Strategy: nothing is read again, and nothing is kept longer than needed. Members and blocks are told as they become
known, in order; a page is compressed once its last block and the members that begin in it are known. Where pages end
follows from what is in them, so the same archive gives the same index. The format is docs/format.md.
"""

import hashlib
import struct
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .carrier import MOST_CARRIED, PAGE, ROOT, carried, footer
from .columns import encoded, packed, text_of
from .gzip import compressor
from .tree import Entry, Kind

HEADER, TRAILER = 10, 10
"""The bytes of the data's gzip member before the first block and behind the last."""
ENDING = 1 << 10
"""The bytes by which the end of an archive is known whose blocks inflate one after the other."""
MOST_HEAD = 4096
"""The records that the headers of a member may have."""
KINDS: Mapping[Kind, str] = {"file": "0", "hardlink": "1", "symlink": "2", "directory": "5"}
"""The letter of each kind of member, which is tar's."""
RECORD = 512
MOST_IN_PAGE = 4096
"""The most members, and the most blocks, of a page: more than one has that is full once a block of tiny files is in."""
_MOST_MEMBERS = 2000
_MOST_BLOCKS = 1000
_MOST_TEXT = 1 << 20


class Indexed(NamedTuple):
    """The gzip members to write behind the data, in order, and the SHA-256 of the index: of its root's payload."""

    pieces: Sequence[bytes]
    sha256: str


class Whole(NamedTuple):
    """What names the archive that an index lies beside: its SHA-256, as hex, and the CRC-32 of its tar stream.

    Of one that ``is_sequential``, whose blocks inflate one after the other, it is the CRC-32 of its last bytes.
    """

    sha256: str
    crc32: int
    is_sequential: bool = False


class _Member(NamedTuple):
    at: int
    entry: Entry
    time: int
    kind: str
    mode: int
    records: int
    crc32: int


class _Block(NamedTuple):
    compressed: int
    size: int
    sha256: bytes


_BLOCK = struct.Struct("<II32s")


class IndexWriter:
    """Makes the index of one archive. Members are told in order, blocks too, and either may be ahead of the other.

    ``level`` is gzip's. ``mtime`` (seconds since 1970) stands in for the time of every entry, as it does in ``tar``.
    What is held are the blocks whose members are not known yet, 40 bytes for each block that a file has, and the
    compressed pages.
    """

    def __init__(self, level: int, *, mtime: int | None = None) -> None:
        self._level, self._mtime = level, mtime
        self._at = self._settled = 0
        self._members: deque[_Member] = deque()
        self._blocks = bytearray()
        self._last = b""
        self._sorted = True
        self._page = _Page(0)
        self._pages = _Pages(level)

    def member(self, entry: Entry, header: bytes, crc32: int) -> None:
        """Tells of the next member: its header, with a pax header before it, and the CRC-32 of its content."""
        own = header[-RECORD:]
        self.add(entry, own[156:157].decode("ascii"), int(own[100:107], 8), len(header) // RECORD, crc32)

    def add(self, entry: Entry, kind: str, mode: int, records: int, crc32: int) -> None:
        """The same, of a header of so many ``records`` that says this."""
        key = sort_key(entry.name)
        self._sorted = self._sorted and key > self._last
        self._last = key
        time = entry.mtime if self._mtime is None else self._mtime
        self._members.append(_Member(self._at, entry, time, kind, mode, records, crc32))
        self._at += records * RECORD + padded(entry.size)
        if self._blocks:
            self._settle(self._at)

    def block(self, compressed: int, size: int, sha256: bytes) -> None:
        """Tells of the next block: its bytes as they lie in the archive, those of content, the digest of the former."""
        self._blocks += _BLOCK.pack(compressed, size, sha256)
        self._settle(self._at)

    def finish(self, data: int, tar_sha256: str, whole: Whole | None = None) -> Indexed | None:
        """The index, once all is told. ``data`` are the bytes of the gzip member that holds the tar stream.

        ``whole`` is the archive, if the index is to lie beside it; what compressed that is not known then.

        ``None`` if a reader would refuse it: the root or a page would be too long, or a page has a name twice. Raises
        ``ValueError`` if what was told does not agree.
        """
        self._settle(None)
        if self._page.blocks:
            self._pages.add(self._page)
        pages = self._pages
        around = 0 if whole is not None and whole.is_sequential else HEADER + TRAILER
        if self._members or around + sum(pages.compressed) != data:
            raise ValueError(f"the blocks that were told are not those of {data} bytes with all their members")
        if not pages.are_read:
            return None
        root: dict[str, object] = {
            "format": 1,
            "compressor": compressor(self._level) if whole is None else "unknown",
            "level": self._level if whole is None else 0,
            "sorted": self._sorted,
            "data": data,
            "members": sum(pages.members),
            "tar": {"size": sum(pages.size), "sha256": tar_sha256},
            "pages": {
                "length": pages.length,
                "sha256": text_of(pages.sha256),
                "blocks": pages.blocks,
                "compressed": pages.compressed,
                "size": pages.size,
                "members": pages.members,
                "first": pages.first,
            },
        }
        if whole is not None:
            root["archive"] = {"sha256": whole.sha256, "crc32": whole.crc32}
            if whole.is_sequential:
                root["sequential"] = True
        try:
            written, digest = _carried(ROOT, root, self._level)
        except OverflowError:
            return None
        return Indexed([*pages.pieces, written, footer(len(written), digest)], digest.hex())

    def _settle(self, known: int | None) -> None:
        """Puts blocks into pages: those in which no member begins that is not told, up to ``known`` bytes of tar."""
        while self._blocks:
            block = _Block._make(_BLOCK.unpack_from(self._blocks))
            if known is not None and self._settled + block.size > known:
                return
            del self._blocks[: _BLOCK.size]
            self._settled += block.size
            self._page.blocks.append(block)
            while self._members and self._members[0].at < self._settled:
                self._page.take(self._members.popleft())
            if self._page.is_full:
                self._pages.add(self._page)
                self._page = _Page(self._settled)


class _Page:
    def __init__(self, start: int) -> None:
        self.start = start
        self.blocks: list[_Block] = []
        self.members: list[_Member] = []
        self._text = 0

    def take(self, member: _Member) -> None:
        self.members.append(member)
        self._text += _written(member.entry.name) + _written(member.entry.target)

    @property
    def is_full(self) -> bool:
        return len(self.members) >= _MOST_MEMBERS or len(self.blocks) >= _MOST_BLOCKS or self._text >= _MOST_TEXT

    @property
    def columns(self) -> Mapping[str, object]:
        members = self.members
        return {
            "blocks": {
                "compressed": [block.compressed for block in self.blocks],
                "size": [block.size for block in self.blocks],
                "sha256": text_of(b"".join(block.sha256 for block in self.blocks)),
            },
            "before": members[0].at - self.start if members else 0,
            "members": {
                "name": [member.entry.name for member in members],
                "kind": "".join(member.kind for member in members),
                "mode": [member.mode for member in members],
                "size": [member.entry.size for member in members],
                "time": [member.time for member in members],
                "head": [member.records for member in members],
                "crc32": [member.crc32 for member in members],
                "target": {str(at): member.entry.target for at, member in enumerate(members) if member.kind in "12"},
            },
        }


class _Pages:
    """The pages so far: what carries them, what the root says of them, and whether a reader takes them."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._last = b""
        self.are_read = True
        self.pieces: list[bytes] = []
        self.length: list[int] = []
        self.sha256 = bytearray()
        self.blocks: list[int] = []
        self.compressed: list[int] = []
        self.size: list[int] = []
        self.members: list[int] = []
        self.first: list[str] = []

    def add(self, page: _Page) -> None:
        self.blocks.append(len(page.blocks))
        self.compressed.append(sum(block.compressed for block in page.blocks))
        self.size.append(sum(block.size for block in page.blocks))
        self.members.append(len(page.members))
        names = [member.entry.name for member in page.members]
        self.first.append(_beginning(names[0], self._last) if names else "")
        self._last = sort_key(names[-1]) if names else self._last
        try:
            written, digest = _carried(PAGE, page.columns, self._level)
        except OverflowError:
            self.are_read = False
            return
        self.are_read = self.are_read and len(set(names)) == len(names) <= MOST_IN_PAGE
        self.pieces.append(written)
        self.length.append(len(written))
        self.sha256 += digest


def _carried(kind: bytes, value: Mapping[str, object], level: int) -> tuple[bytes, bytes]:
    """What carries a page or the root, and the SHA-256 digest of its payload. Raises ``OverflowError``."""
    payload = packed(value, level)
    written = carried(kind, payload)
    if len(written) > MOST_CARRIED:
        raise OverflowError(f"{len(written)} bytes are more than one part of an index can have")
    return written, hashlib.sha256(payload).digest()


def _beginning(name: str, last: bytes) -> str:
    """The shortest beginning of ``name`` that is behind ``last``, a sort key; all of it, if none is."""
    return name[: bisect_right(range(1, len(name)), last, key=lambda end: sort_key(name[:end])) + 1]


def _written(text: str) -> int:
    """The characters of ``text`` in JSON; of a quote or a backslash, half of them."""
    return len(text) if text.isascii() and text.isprintable() else len(encoded(text))


def sort_key(name: str) -> bytes:
    """What orders names as ``tree.order`` does, as long as there is no NUL in them."""
    return name.encode("utf-8", "surrogateescape").replace(b"/", b"\0")


def padded(size: int) -> int:
    """``size``, filled up to whole records."""
    return size + -size % RECORD
