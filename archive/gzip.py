"""gzip as streams: one RFC 1952 member, made of blocks that are compressed side by side.

Strategy: the input is cut into blocks of 1 MiB whatever its chunking; each is deflated on its own and ends on a byte
boundary (RFC 1951, section 3.2.4: an empty stored block), so that the blocks can be joined in order and the bytes do
not depend on the number of threads. Memory is bounded by threads x block.
"""

import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from isal import isal_zlib

from .errors import CorruptArchiveError

BLOCK = 1 << 20
LEVEL = 2
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
_IN = 1 << 16
_OUT = 1 << 20


def gzip(chunks: Iterable[bytes], *, level: int = LEVEL, threads: int = 2) -> Iterator[bytes]:
    """``chunks`` compressed, with no name and no time in the header.

    Levels 0 to 3 are ISA-L's (fast; 2 is the default), 4 to 9 are zlib's (smaller, and many times slower). The bytes
    are the same for any ``threads`` and any chunking; another release of the libraries, or ISA-L's code for another
    processor, may give other bytes for the same content. Raises ``ValueError`` for a level or a number of threads
    that there is not.
    """
    if not 0 <= level <= 9:
        raise ValueError(f"level={level} is no gzip level: use 0 to 9")
    if threads < 1:
        raise ValueError(f"threads={threads}: use 1 or more")
    return _gzip(chunks, level, threads)


def _gzip(chunks: Iterable[bytes], level: int, threads: int) -> Iterator[bytes]:
    yield _HEADER
    checksum = length = 0
    running: deque[Future[tuple[bytes, int, int]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="keystow-gzip") as pool:
        blocks = _blocks(chunks)
        more = True
        while more or running:
            block = next(blocks, None) if more else None
            more = block is not None
            if block is not None:
                running.append(pool.submit(_deflate, block, level))
            if running and (not more or len(running) > threads):
                compressed, block_checksum, block_length = running.popleft().result()
                checksum = isal_zlib.crc32_combine(checksum, block_checksum, block_length)
                length += block_length
                yield compressed
    yield _LAST_BLOCK + struct.pack("<II", checksum, length & 0xFFFFFFFF)


def _blocks(chunks: Iterable[bytes]) -> Iterator[memoryview]:
    parts: list[bytes] = []
    have = 0
    for chunk in chunks:
        parts.append(chunk)
        have += len(chunk)
        if have >= BLOCK:
            data = memoryview(b"".join(parts))
            end = have - have % BLOCK
            for start in range(0, end, BLOCK):
                yield data[start : start + BLOCK]
            parts = [bytes(data[end:])]
            have -= end
    if have:
        yield memoryview(b"".join(parts))


def _deflate(block: memoryview, level: int) -> tuple[bytes, int, int]:
    library = isal_zlib if level <= 3 else zlib
    compressor = library.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    compressed = compressor.compress(block) + compressor.flush(zlib.Z_FULL_FLUSH)
    return compressed, isal_zlib.crc32(block), len(block)


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a gzip stream of one or more members, in pieces of at most 1 MiB.

    Raises ``CorruptArchiveError`` for what is not gzip, is cut short, fails its checksum or is followed by other data.
    """
    member = _new_member()
    for piece in _pieces(chunks):
        data, pending = piece, False
        while data or pending:
            if member.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                member = _new_member()
            try:
                out = member.decompress(data, _OUT)
            except isal_zlib.IsalError as error:  # type: ignore[misc]  # its stub calls the class an instance
                raise CorruptArchiveError(f"this is no sound gzip stream: {error}") from None
            if out:
                yield out
            pending = len(out) == _OUT and not member.eof
            data = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise CorruptArchiveError("the gzip stream is cut short: fetch it again, or publish it again")


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """``chunks`` in pieces of 64 KiB at most: what lies behind each of many tiny members is copied."""
    for chunk in chunks:
        for start in range(0, len(chunk), _IN):
            yield chunk[start : start + _IN]


def _new_member() -> "isal_zlib.Decompress":
    return isal_zlib.decompressobj(16 + zlib.MAX_WBITS)
