"""A gzip stream that is read whole by an index: its blocks are inflated side by side.

Strategy: where a block ends is told, and proved. An inflater that begins at a block is given some bytes that nobody
could foresee, as a last stored block in place of what follows; it gives them back only if it stands at a boundary then.
As the first block begins at one, each does; and as none refers to what stands before it, what comes is what inflating
all from the start gives.
"""

import struct
from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial
from typing import NamedTuple

from isal import igzip_lib, isal_zlib

from .errors import CorruptArchiveError
from .gzip import FIRST, LAST, gunzip
from .page import Block
from .threads import side_by_side
from .untar import Stream

_CHECKS = struct.Struct("<II")
_STORED = struct.Struct("<BHH")


class _Data(NamedTuple):
    """What a block is in the object, and how many bytes its content has."""

    data: bytes
    size: int


class _Content(NamedTuple):
    content: bytes
    crc32: int


def gunzip_apart(
    chunks: Iterable[bytes], blocks: Iterable[Block], *, secret: bytes, threads: int
) -> Generator[bytes, None, None]:
    """The content of a gzip stream whose first member consists of these ``blocks``; others may lie behind it.

    ``chunks`` are read by the caller's thread, and the blocks inflated by so many ``threads``, which end when the
    iterator does. The ``secret``, of at most 65,535 bytes, is one that who made the stream could not foresee.

    Raises ``CorruptArchiveError`` for what is no such stream.
    """
    stream = Stream(chunks, "gzip stream")
    if stream.take(len(FIRST)) != FIRST:
        raise _unlike("it does not begin as one")
    data = (_Data(stream.take(block.stop - block.start), block.tar_stop - block.tar_start) for block in blocks)
    checksum = length = 0
    work = partial(_inflated, secret=secret)
    with closing(side_by_side(work, data, threads=threads, name="keystow-inflate")) as inflated:
        for (_, size), (content, crc32) in inflated:
            checksum = isal_zlib.crc32_combine(checksum, crc32, size)
            length += size
            yield content
    if stream.take(len(LAST) + _CHECKS.size) != LAST + _CHECKS.pack(checksum, length & 0xFFFFFFFF):
        raise _unlike("it does not end as one, with the checksum of its content")
    yield from gunzip(stream.rest())


def _inflated(block: _Data, *, secret: bytes) -> _Content:
    inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
    proof = b""
    try:
        content = inflater.decompress(block.data, block.size + 1)
        if len(content) == block.size and not inflater.eof:
            proof = inflater.decompress(_STORED.pack(1, len(secret), len(secret) ^ 0xFFFF) + secret, len(secret) + 1)
    except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub calls the class an instance
        raise _unlike(f"a block of it does not inflate alone: {error}") from None
    if proof != secret or not inflater.eof or inflater.unused_data:
        raise _unlike("a block of it is not as long as was told")
    return _Content(content, isal_zlib.crc32(content))


def _unlike(why: str) -> CorruptArchiveError:
    return CorruptArchiveError(f"this is no archive that consists of the blocks that its index tells of: {why}")
