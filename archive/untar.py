"""From a tar stream to members: ustar, pax and GNU long names; whatever else a tar may hold is refused.

Strategy: one pass, with one block of lookahead. A name is made simple here, and refused if it is absolute or goes up;
how members agree with each other is checked later. Work is bounded by what is left over for headers that are no
members: a compressed megabyte can hold millions of them.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .errors import CorruptArchiveError, UnsafeArchiveError, shown
from .tar import BLOCK
from .tree import Entry, Kind

_KINDS: dict[bytes, Kind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "directory",
}
_REFUSED = {b"3": "a device", b"4": "a device", b"6": "a FIFO", b"S": "a sparse file"}
_ZEROS = bytes(BLOCK)
_MOST_HEADER = 1 << 20
_LONGEST_PATH = 4095
_MOST_SECONDS = 1 << 63
_OCTAL = re.compile(rb"[0-7]*")
# Mode, size, time and checksum as nearly every header has them, read at once.
_PLAIN = re.compile(rb"([0-7]{7})\0.{16}([0-7]{11})\0([0-7]{11})\0([0-7]{6})\0 ", re.DOTALL)
_RECORD = re.compile(rb"([0-9]{1,7}) ([^=]+)=")
_SIZE = re.compile(rb"[0-9]{1,20}")
_TIME = re.compile(rb"(-?[0-9]{1,20})(?:\.([0-9]*))?")
_SPARSE = "GNU.sparse"
_USED = {"path", "linkpath", "size", "mtime", _SPARSE}
_MOST_RECORDS = 100_000  # extended headers and records in them, beside …
_RECORDS_EACH = 64  # … those for each member


def untar(chunks: Iterable[bytes]) -> Iterator[tuple[Entry, Iterator[bytes | memoryview]]]:
    """The members of a tar stream, each with its content, which is to be read before the next member is asked for.

    The stream is read to its end. Raises ``CorruptArchiveError`` for what is no tar or is cut short,
    ``UnsafeArchiveError`` for a member of a kind that results do not consist of.
    """
    return members_of(Stream(chunks))


def members_of(stream: "Stream") -> Iterator[tuple[Entry, Iterator[bytes | memoryview]]]:
    """``untar``, of a stream of which somebody else may see what is taken."""
    common: dict[str, bytes] = {}
    pending: dict[str, bytes] = {}
    left = _MOST_RECORDS
    while True:
        block = stream.take(BLOCK)
        if block == _ZEROS:
            stream.expect_padding()
            return
        header = _header(block)
        if header.kind in b"xgLK":
            records, count = _records(header, stream)
            left -= 1 + count
            if left < 0:
                raise UnsafeArchiveError("the archive holds more extended headers than its members can have")
            (common if header.kind == b"g" else pending).update(records)
            continue
        entry = _entry(header, common | pending)
        pending = {}
        left += _RECORDS_EACH
        content = stream.pieces(entry.size)
        yield entry, content
        for _ in content:
            pass
        if padding := -entry.size % BLOCK:
            stream.take(padding)


class Stream:
    """A stream of chunks, read by length; ``what`` it is, is told if it is cut short."""

    def __init__(self, chunks: Iterable[bytes], what: str = "tar stream") -> None:
        self._chunks = iter(chunks)
        self._what = what
        self._data = b""
        self._view = memoryview(b"")
        self._at = 0

    def pieces(self, length: int) -> Iterator[memoryview]:
        """``length`` bytes, in pieces as they come, and none of them copied."""
        start = self._at
        end = start + length
        if end <= len(self._data):
            self._at = end
            return iter((self._view[start:end],))
        return self._pieces(length)

    def _pieces(self, length: int) -> Iterator[memoryview]:
        while length:
            if self._at == len(self._data):
                try:
                    self._data = next(self._chunks)
                except StopIteration:
                    raise CorruptArchiveError(f"the {self._what} is cut short: publish it again") from None
                self._view, self._at = memoryview(self._data), 0
            piece = self._view[self._at : self._at + length]
            self._at += len(piece)
            length -= len(piece)
            yield piece

    def take(self, length: int) -> bytes:
        """``length`` bytes at once."""
        start = self._at
        end = start + length
        if end <= len(self._data):
            self._at = end
            return self._data[start:end]
        return b"".join(self._pieces(length))

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        yield self._data[self._at :]
        yield from self._chunks

    def expect_padding(self) -> None:
        """Reads to the end, where only zeros may stand: what others would read as more members is refused."""
        for rest in self.rest():
            if rest.count(0) != len(rest):
                raise UnsafeArchiveError("there is data behind the end of the archive")


class _Header(NamedTuple):
    kind: bytes
    name: bytes
    mode: int
    size: int
    mtime: int
    target: bytes


def _header(block: bytes) -> _Header:
    mode, size, mtime = _numbers(block)
    name = block[:100].partition(b"\0")[0]
    if block[345] and block[257:263] == b"ustar\0":
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    if size < 0:
        raise CorruptArchiveError(f"a tar header announces {size} bytes")
    return _Header(block[156:157], name, mode, size, mtime, block[157:257].partition(b"\0")[0])


def _numbers(block: bytes) -> tuple[int, int, int]:
    """Mode, size and time, once the checksum is found right."""
    if plain := _PLAIN.match(block, 100):
        mode, size, mtime, checksum = [int(digits, 8) for digits in plain.groups()]
    else:
        checksum = _number(block[148:156], "checksum")
    if checksum != _checksum(block):
        raise CorruptArchiveError("a tar header fails its checksum: this is no tar archive, or a damaged one")
    if plain:
        return mode, size, mtime
    return _number(block[100:108], "mode"), _number(block[124:136], "size"), _number(block[136:148], "time")


def _checksum(block: bytes) -> int:
    """The sum of a header's bytes, with blanks in the place of the sum itself."""
    blank = block[:148] + b"        " + block[156:]
    # Adler-32 begun at 0 keeps the sum in its low half if it is below 65521, its modulus, as it is for ASCII.
    return zlib.adler32(blank, 0) & 0xFFFF if blank.isascii() else sum(blank)


def _number(field: bytes, what: str) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) - (1 << 8 * len(field) - 1)
        return value if field[0] == 0x80 else value - (1 << 8 * len(field) - 1)
    text = field.strip(b" \0")
    if not _OCTAL.fullmatch(text):
        raise CorruptArchiveError(f"a tar header holds {field!r} for a {what}")
    return int(text or b"0", 8)


def _records(header: _Header, stream: Stream) -> tuple[dict[str, bytes], int]:
    """What a pax header or a GNU long name says about the members that follow, and how many records that took."""
    if header.size > _MOST_HEADER:
        raise UnsafeArchiveError(f"a tar header of {header.size} bytes is past the {_MOST_HEADER} that are read")
    body = stream.take(header.size)
    stream.take(-header.size % BLOCK)
    if header.kind in b"LK":
        return {"path" if header.kind == b"L" else "linkpath": body.partition(b"\0")[0]}, 1
    records = {}
    at = count = 0
    while at < len(body):
        begin = _RECORD.match(body, at)
        end = at + int(begin[1]) if begin else at
        if not begin or not begin.end() < end <= len(body) or body[end - 1 : end] != b"\n":
            raise CorruptArchiveError("a pax header is malformed")
        keyword = begin[2].decode("utf-8", "replace")
        keyword = _SPARSE if keyword.startswith(f"{_SPARSE}.") else keyword
        if keyword in _USED:
            records[keyword] = body[begin.end() : end - 1]
        at = end
        count += 1
    return records, count


def _entry(header: _Header, records: dict[str, bytes]) -> Entry:
    path = records.get("path", header.name)
    name = name_of(path)
    kind = "directory" if header.kind in b"\x007" and path.endswith(b"/") else _KINDS.get(header.kind)
    if kind is None:
        what = _REFUSED.get(header.kind, f"of an unknown kind {header.kind!r}")
        raise UnsafeArchiveError(f"the member {shown(name)} is {what}, and results hold no such thing")
    if _SPARSE in records:
        raise UnsafeArchiveError(f"the member {shown(name)} is a sparse file: pack it without --sparse")
    size = header.size if kind == "file" else 0
    mtime = header.mtime
    if kind == "file" and "size" in records:
        size = int(_matched(_SIZE, records["size"], name)[0])
    if "mtime" in records:
        whole, fraction = _matched(_TIME, records["mtime"], name).groups()
        mtime = int(whole) - (whole.startswith(b"-") and bool(fraction and fraction.strip(b"0")))
    if not -_MOST_SECONDS <= mtime < _MOST_SECONDS:
        raise CorruptArchiveError(f"the member {shown(name)} has a time of {mtime} seconds")
    target = ""
    if kind in {"symlink", "hardlink"}:
        written = records.get("linkpath", header.target)
        target = name_of(written) if kind == "hardlink" else written.decode("utf-8", "surrogateescape")
        if not target or "\0" in target or len(written) > _LONGEST_PATH:
            raise UnsafeArchiveError(f"the link {shown(name)} has no usable target")
    return Entry(name, kind, size, mtime, bool(header.mode & 0o100), target)


def _matched(form: re.Pattern[bytes], number: bytes, name: str) -> re.Match[bytes]:
    matched = form.fullmatch(number)
    if matched is None:
        raise CorruptArchiveError(f"the pax header of {shown(name)} holds a malformed number {number[:40]!r}")
    return matched


def name_of(written: bytes) -> str:
    """The member's name as text, without ``./``; the root of the archive is ``""``."""
    if len(written) > _LONGEST_PATH:
        raise UnsafeArchiveError(f"the name {written[:80]!r}… is longer than {_LONGEST_PATH} bytes")
    text = written.decode("utf-8", "surrogateescape")
    simple = text.removesuffix("/")
    if simple and not (simple[0] in "/." or simple[-1] == "/" or "/." in simple or "//" in simple or "\0" in simple):
        return simple
    segments = [segment for segment in text.split("/") if segment not in {"", "."}]
    if text.startswith("/") or ".." in segments or "\0" in text or not text:
        raise UnsafeArchiveError(f"the member {shown(text)} would leave the directory")
    return "/".join(segments)
