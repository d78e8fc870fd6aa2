"""gzip as streams: one RFC 1952 member, made of blocks that are compressed side by side.

Strategy: the input is cut into blocks of 1 MiB, or of the lengths that a grid gives, whatever its chunking. Each is
deflated on its own and ends on a byte boundary (RFC 1951, section 3.2.4: an empty stored block), so that the blocks can
be joined in order, and the bytes of one depend neither on the number of threads nor on what stands before it. Memory is
bounded by a few blocks more than there are threads. A stream that is read back is inflated by one thread, a few MiB
ahead of the one that does something with the content.
"""

import hashlib
import io
import struct
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import repeat
from typing import NamedTuple

import isal
from isal import igzip_lib, isal_zlib

from .errors import CorruptArchiveError
from .grid import MOST
from .threads import WAITING, Called, Threads, side_by_side

LEVEL = 2
FIRST = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
LAST = b"\x03\x00"
_FIRST_IN = 1 << 14  # of each member, as what lies behind each of many tiny ones is copied
_FAST = 2
"""Up to here the levels are ISA-L's, by which it is found out first whether a block shrinks at all."""
_ZLIB = 4  # zlib's 3 is hardly faster, and of tables and logs it makes more than ISA-L's 2
_MOST_STORED = 0xFFFF
_IN = 1 << 19
_OUT = 1 << 19
_BATCH = 1 << 18
_STEP = 1 << 20
_STEPS = 4
"""So many are ahead: with one, who inflates and who takes what comes would wait for each other at each of them."""


class Piece(NamedTuple):
    """A piece of a gzip stream: a block of so many bytes of content, and its SHA-256 digest; or what is around them.

    The last one has the digest of all the content.
    """

    data: bytes
    size: int = 0
    sha256: bytes = b""


class _Deflated(NamedTuple):
    piece: Piece
    checksum: int


def gzip(chunks: Iterable[bytes], *, level: int = LEVEL, threads: int = 2) -> Iterator[bytes]:
    """``chunks`` compressed, with no name and no time in the header.

    Level 0 stores, 1 and 2 are ISA-L's (fast; 2 is the default), 4 to 9 are zlib's (smaller, and many times slower),
    and 3 is 4. A block that does not shrink is stored at any level.

    The bytes are the same for any ``threads`` and any chunking, and on every x86-64 processor with SSE4.2: at 0 with
    any release of the libraries, at 1 and 2 with the same release of isal and of the ISA-L in it, from 3 on with that
    and the same of zlib. On ARM, 1 and 2 give others. Raises ``ValueError`` for a level or a number of threads that
    there is not.
    """
    return (piece.data for piece in pieces(chunks, repeat(MOST), level=level, threads=threads))


def pieces(chunks: Iterable[bytes], lengths: Iterator[int], *, level: int, threads: int) -> Iterator[Piece]:
    """``gzip`` in blocks of these ``lengths``."""
    check_level(level)
    if threads < 1:
        raise ValueError(f"threads={threads}: use 1 or more")
    return _pieces(chunks, lengths, level, threads)


def check_level(level: int) -> None:
    """Raises ``ValueError`` for a level that there is not."""
    if not 0 <= level <= 9:
        raise ValueError(f"level={level} is no gzip level: use 0 to 9")


def compressor(level: int) -> str:
    """The libraries, with their releases, that make the same bytes again: none where all is stored.

    >>> compressor(0), compressor(2).split()[0], compressor(9).split()[0]
    ('stored', 'ISA-L', 'zlib')
    """
    if level == 0:
        return "stored"
    fast = f"ISA-L {isal.ISAL_VERSION}"
    return fast if level <= _FAST else f"zlib {zlib.ZLIB_RUNTIME_VERSION}, {fast}"


def _pieces(chunks: Iterable[bytes], lengths: Iterator[int], level: int, threads: int) -> Iterator[Piece]:
    yield Piece(FIRST)
    checksum = length = 0
    sha256 = hashlib.sha256()
    spare = [io.BytesIO() for _ in range(threads + WAITING + 1)]
    blocks = _hashed(_blocks(chunks, lengths, spare), sha256.update)
    work = partial(_deflate, level=level)
    deflated = side_by_side(work, blocks, threads=threads, name="keystow-gzip")
    with closing(deflated):
        for block, (piece, block_checksum) in deflated:
            checksum = isal_zlib.crc32_combine(checksum, block_checksum, piece.size)
            length += piece.size
            yield piece
            spare.append(block)
    yield Piece(LAST + struct.pack("<II", checksum, length & 0xFFFFFFFF), sha256=sha256.digest())


def _blocks(chunks: Iterable[bytes], lengths: Iterator[int], spare: list[io.BytesIO]) -> Iterator[io.BytesIO]:
    """``chunks`` cut into blocks, each up to where a ``spare`` buffer stands: new memory for each would be slower."""
    block = spare.pop()
    room = next(lengths)
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest) >= room:
            block.write(rest[:room])
            yield block
            block = spare.pop()
            block.seek(0)
            rest, room = rest[room:], next(lengths)
        room -= block.write(rest)
    if block.tell():
        yield block


def _hashed(blocks: Iterable[io.BytesIO], update: Callable[[memoryview], object]) -> Iterator[io.BytesIO]:
    for block in blocks:
        with block.getbuffer() as buffer:
            update(buffer[: block.tell()])
        yield block


def _deflate(block: io.BytesIO, level: int) -> _Deflated:
    with block.getbuffer() as buffer, buffer[: block.tell()] as content:
        compressed = _compressed(content, min(level, _FAST)) if level else b""
        if not compressed or len(compressed) > len(content):
            compressed = _stored(content)
        elif level > _FAST:
            compressed = _compressed(content, level)
        digest = hashlib.sha256(compressed).digest()
        return _Deflated(Piece(compressed, len(content), digest), isal_zlib.crc32(content))


def deflated(pieces: Iterable[bytes], level: int) -> bytes:
    """``pieces`` as one stream of raw deflate, each compressed alone, by the same libraries as blocks of that level."""
    return b"".join(_compressed(piece, level) if level else _stored(piece) for piece in pieces) + LAST


def _compressed(content: bytes | memoryview, level: int) -> bytes:
    library, level = (isal_zlib, level) if level <= _FAST else (zlib, max(level, _ZLIB))
    compressor = library.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    compressed: bytes = compressor.compress(content) + compressor.flush(zlib.Z_FULL_FLUSH)
    return compressed


def _stored(content: bytes | memoryview) -> bytes:
    """``content`` as it is (RFC 1951, section 3.2.4)."""
    parts: list[bytes | memoryview] = []
    for start in range(0, len(content), _MOST_STORED):
        piece = content[start : start + _MOST_STORED]
        parts += [struct.pack("<BHH", 0, len(piece), len(piece) ^ 0xFFFF), piece]
    return b"".join(parts)


def gunzip(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    """The content of a gzip stream of one or more members, in pieces of at most 512 KiB.

    Raises ``CorruptArchiveError`` for what is not gzip, is cut short, fails its checksum or is followed by other data.
    """
    inflater = _Inflater()
    for chunk in chunks:
        inflater.feed(chunk)
        while content := inflater.next():
            yield content
    inflater.check_end()


def gunzip_ahead(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    """``gunzip`` by a thread of its own, which is at most 8 MiB ahead and ends when the iterator does.

    ``chunks`` is read by the caller's thread, so that an interrupt need not wait for a network that hangs.
    """
    inflater = _Inflater()
    running: deque[Called[tuple[list[bytes], bool]]] = deque()
    with Threads(1, "keystow-gunzip") as pool:
        for batch in _batches(chunks):
            running.append(pool.submit(partial(inflater.step, batch)))
            while len(running) > (_STEPS if batch else 0):
                content, more = running.popleft().result()
                if more:
                    running.append(pool.submit(partial(inflater.step, [])))
                yield from content
        pool.submit(inflater.check_end).result()


def _batches(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """``chunks``, as many together as make it worth waking a thread for, and an empty batch at the end."""
    batch: list[bytes] = []
    size = 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
    yield []


class _Inflater:
    """The state of a gzip stream that is fed chunk by chunk."""

    def __init__(self) -> None:
        self._member = _new_member()
        self._fresh = True
        self._more = False
        self._waiting: deque[bytes | memoryview] = deque()

    def feed(self, chunk: bytes) -> None:
        """Takes a chunk, to be inflated when ``next`` gets there."""
        self._waiting.append(chunk)

    def next(self) -> bytes:
        """The next content, 512 KiB at the most; nothing if that takes another chunk."""
        while self._more or self._waiting:
            data = b"" if self._more else self._piece()
            if self._member.eof:
                data = bytes(data).lstrip(b"\0")
                if not data:
                    continue
                self._member = _new_member()
            try:
                content = self._member.decompress(data, _OUT)
            except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub calls the class an instance
                raise CorruptArchiveError(f"this is no sound gzip stream: {error}") from None
            self._fresh = self._member.eof
            self._more = not self._member.eof and (not self._member.needs_input or len(content) == _OUT)
            if self._member.unused_data:
                self._waiting.appendleft(self._member.unused_data)
            if content:
                return content
        return b""

    def _piece(self) -> memoryview:
        piece = memoryview(self._waiting.popleft())
        size = _FIRST_IN if self._fresh else _IN
        if len(piece) > size:
            self._waiting.appendleft(piece[size:])
        return piece[:size]

    def step(self, chunks: Iterable[bytes]) -> tuple[list[bytes], bool]:
        """Feeds ``chunks``, and gives some 1 MiB of content, and whether there is more of it."""
        self._waiting.extend(chunks)
        found: list[bytes] = []
        size = 0
        while size < _STEP and (content := self.next()):
            found.append(content)
            size += len(content)
        return found, size >= _STEP

    def check_end(self) -> None:
        """Raises ``CorruptArchiveError`` if the stream stops before its end."""
        if not self._member.eof:
            raise cut_short()


def cut_short() -> CorruptArchiveError:
    """What is raised where a gzip stream stops before its end."""
    return CorruptArchiveError("the gzip stream is cut short: fetch it again, or publish it again")


def _new_member() -> igzip_lib.IgzipDecompressor:
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
