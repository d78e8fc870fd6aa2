"""An index beside an archive that has none: made as the archive is read, once, and read as if it lay behind it.

Strategy: nothing says where blocks begin, so each place is a guess until it is proved: what lies from there to the next
one inflates alone, and to the very bytes that all of it gives. Marks of a flush, and stored blocks, are what is tried.
The members come from the same pass. See docs/format.md, section 11.
"""

import hashlib
import re
import struct
from collections.abc import Generator, Iterable, Iterator
from itertools import islice

from isal import igzip_lib, isal_zlib

from .columns import inflated
from .errors import CorruptArchiveError
from .grid import MOST
from .gzip import FIRST, LAST, LEVEL, gunzip
from .index import Index, Pieces, Read, entry_of, extended, open_index
from .indexing import ENDING, HEADER, RECORD, TRAILER, Indexed, IndexWriter, Whole, padded
from .tree import Entry
from .untar import Stream

_MARK = b"\x00\x00\xff\xff"  # the end of an empty stored block, which a flush leaves
_STORED = struct.Struct("<BHH")
_END = struct.Struct("<2sII")
MOST_COMPRESSED = 2 * MOST
_MOST_HELD = 3 * MOST
_STEP = 1 << 16
_LOOK = 1 << 16  # bytes of content by which a guess is tried: what stands behind 32 KiB cannot lead back before it
_TRIES = 256  # for each block; two of them are more than 1 MiB together, so that is linear
_MOST_EXTENDED = 1 << 20
_NOT_ALONE = "it does not consist of blocks that inflate alone"
_MODE = re.compile(rb"000[0-7]{4}")


class NotInBlocksError(Exception):
    """Of this archive there can be no index of this form: the message says why."""


class Content:
    """Pieces that are passed on, and the CRC-32 of those that were."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self.crc32 = 0

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return self

    def __next__(self) -> bytes | memoryview:
        piece = next(self._pieces)
        self.crc32 = isal_zlib.crc32(piece, self.crc32)
        return piece


class Beside:
    """Makes the index of the archive that ``chunks`` are.

    Some MiB are held, and the compressed pages. Reading raises ``NotInBlocksError`` where the archive is not as
    keystow makes them, ``CorruptArchiveError`` and ``UnsafeArchiveError``.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._writer = IndexWriter(LEVEL)
        self._held = bytearray()
        self._sha256, self._tar_sha256 = hashlib.sha256(), hashlib.sha256()
        self._size = self._tar_size = self._crc32 = 0
        self._inflated = gunzip(self._kept(chunks))

    def members(self) -> Generator[tuple[Entry, Iterator[bytes | memoryview]], None, None]:
        """Each member with its content, which is to be read before the next is asked for."""
        stream = Stream(self._contents())
        at = 0
        while any(header := stream.take(RECORD)):
            if (more := extended(header)) > _MOST_EXTENDED:
                raise _unlike("a pax header of it is longer than any of keystow's")
            header += stream.take(more)
            entry = _entry(header)
            content = Content(stream.pieces(entry.size))
            yield entry, content
            for _ in content:
                pass
            stream.take(padded(entry.size) - entry.size)
            self._writer.member(entry, header, content.crc32)
            at += len(header) + padded(entry.size)
        stream.expect_padding()
        check_zeros(self._tar_size - at)

    def close(self) -> None:
        """Reads no more of the archive, and ends what reads it."""
        self._inflated.close()

    def finish(self) -> Indexed | None:
        """The index, once all members were read; ``None`` if it would be too long to be read."""
        whole = Whole(self._sha256.hexdigest(), self._crc32)
        return self._writer.finish(self._size, self._tar_sha256.hexdigest(), whole)

    def _kept(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._sha256.update(chunk)
            self._size += len(chunk)
            for at in range(0, len(chunk), _STEP):
                piece = chunk[at : at + _STEP]
                self._held += piece
                if len(self._held) > _MOST_HELD:
                    raise _unlike(_NOT_ALONE)
                yield piece

    def _contents(self) -> Iterator[bytes]:
        """The content of each block, of which the writer has been told then."""
        held, content = self._held, bytearray()
        more = is_first = True
        while True:
            while more and len(content) < MOST + _LOOK:
                piece = next(self._inflated, b"")
                more = piece != b""
                content += piece
            if is_first:
                if held[:HEADER] != FIRST:
                    raise _unlike("its header is not keystow's")
                del held[:HEADER]
                is_first = False
            if not content:
                break
            stop, size = self._cut(bytes(held), bytes(content[: MOST + _LOOK]))
            block, found = bytes(held[:stop]), bytes(content[:size])
            del held[:stop], content[:size]
            self._tar_sha256.update(found)
            self._crc32 = isal_zlib.crc32(found, self._crc32)
            self._tar_size += size
            self._writer.block(stop, size, hashlib.sha256(block).digest())
            yield found
        if held != _END.pack(LAST, self._crc32, self._tar_size & 0xFFFFFFFF):
            raise _unlike(_NOT_ALONE)

    def _cut(self, data: bytes, content: bytes) -> tuple[int, int]:
        """Where the block that ``data`` begins with ends, and how many bytes of ``content`` it has."""
        view = memoryview(data)
        for stop, size in islice(reversed(list(_guesses(data))), _TRIES):
            if size and _begins(view[stop:], content[size : size + _LOOK]):
                found, ended = _alone(view[:stop], size)
                if not ended and found == content[:size]:
                    return stop, size
        raise _unlike(_NOT_ALONE)


def check_zeros(count: int) -> None:
    """Raises ``CorruptArchiveError`` if so many zeros are too few for the end of a tar stream."""
    if count < 2 * RECORD:
        raise CorruptArchiveError("the tar stream is cut short: it ends without two records of zeros")


def _guesses(data: bytes) -> Iterator[tuple[int, int]]:
    """Where a block may end, and what it holds then: behind each stored block and each mark."""
    inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
    at = size = 0
    while (stop := _next(data, at)) <= min(len(data), MOST_COMPRESSED):
        try:
            size += len(inflater.decompress(data[at:stop], MOST + 1 - size))
        except igzip_lib.IsalError:  # type: ignore[misc]  # its stub calls the class an instance
            return
        if inflater.eof or size > MOST:
            return
        yield stop, size
        at = stop


def _next(data: bytes, at: int) -> int:
    """Where a stored block that begins there ends, or behind the next mark; more than there is, if there is none."""
    if len(data) - at >= _STORED.size:
        stored: tuple[int, int, int] = _STORED.unpack_from(data, at)
        kind, length, complement = stored
        if not kind & 7 and length ^ complement == 0xFFFF:
            return at + _STORED.size + length
    found = data.find(_MARK, at)
    return len(data) + 1 if found < 0 else found + len(_MARK)


def _begins(data: memoryview, content: bytes) -> bool:
    """Whether ``data`` is what a block begins with that holds this; behind the last block, whether it is the end."""
    if not content:
        return data[: len(LAST)] == LAST
    return _alone(data, len(content) - 1)[0] == content


def _alone(data: memoryview, size: int) -> tuple[bytes, bool]:
    """Up to ``size`` bytes and one more, and whether that is all."""
    try:
        return inflated(data, size)
    except CorruptArchiveError:
        return b"", True


def _entry(header: bytes) -> Entry:
    """What a member's header says, if an index can say it, too."""
    entry = entry_of(header)
    own = header[-RECORD:]
    if entry is None or not _MODE.fullmatch(own, 100, 107) or own[156:157] not in b"0125":
        raise _unlike("its tar stream is not written as keystow's")
    if not entry.name:
        raise _unlike("a member of it has no name")
    return entry


def _unlike(why: str) -> NotInBlocksError:
    return NotInBlocksError(f"{why}, and only what keystow packed can be read in parts")


def open_beside(
    read: Read, size: int, beside: Read, length: int, *, stream: Pieces | None = None, threads: int = 2
) -> Index:
    """The index of ``length`` bytes, which ``beside`` reads, of an archive of ``size`` bytes.

    Raises ``CorruptArchiveError`` for one that is not sound, or of another archive as far as their ends tell.
    """

    def joined(start: int, stop: int) -> bytes:
        before = read(start, min(stop, size)) if start < size else b""
        return before + (beside(max(start, size) - size, stop - size) if stop > size else b"")

    index = open_index(joined, size + length, begin=size, stream=stream, threads=threads)
    if index is None or index.whole is None:
        raise CorruptArchiveError("this is no index that lies beside an archive, or one of a later version")
    if not _is_end(index, index.whole, read, size):
        raise CorruptArchiveError("the index is of another archive")
    return index


def _is_end(index: Index, whole: Whole, read: Read, size: int) -> bool:
    """Whether the archive ends as the index says."""
    if whole.is_sequential:
        return isal_zlib.crc32(read(max(0, size - ENDING), size)) == whole.crc32
    return read(size - TRAILER, size) == _END.pack(LAST, whole.crc32, index.tar_size & 0xFFFFFFFF)
