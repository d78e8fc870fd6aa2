"""Archives with an index, put together from a tree: its tar stream in blocks, cut and compressed as a test likes."""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable

from isal import isal_zlib

from keystow.archive import Entry, Tree, tar
from keystow.archive.indexing import Indexed, IndexWriter, padded

MIB = 1 << 20
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def compressed(content: bytes, library=isal_zlib, level: int = 2) -> bytes:
    compressor = library.compressobj(level, zlib.DEFLATED, -15)
    return bytes(compressor.compress(content) + compressor.flush(zlib.Z_FULL_FLUSH))


def stored(content: bytes) -> bytes:
    cuts = [content[at : at + 0xFFFF] for at in range(0, len(content), 0xFFFF)]
    return b"".join(struct.pack("<BHH", 0, len(each), len(each) ^ 0xFFFF) + each for each in cuts)


def told(tree: Tree, stream: bytes) -> list[tuple[Entry, bytes, int]]:
    """What a writer is told of each member of a tar stream."""
    members = []
    at = 0
    for entry in tree.entries:
        begin = at
        if stream[at + 156 : at + 157] == b"x":
            at += 512 + padded(int(stream[at + 124 : at + 135], 8))
        at += 512
        members.append((entry, stream[begin:at], zlib.crc32(stream[at : at + entry.size])))
        at += padded(entry.size)
    return members


def cut(stream: bytes, sizes: Iterable[int] = ()) -> list[bytes]:
    """``stream`` in blocks of these sizes, and then of 1 MiB."""
    blocks = []
    at = 0
    for size in [*sizes, *[MIB] * (len(stream) // MIB + 1)]:
        if at < len(stream):
            blocks.append(stream[at : at + size])
            at += size
    return blocks


def data_and_index(
    tree: Tree,
    *,
    sizes: Iterable[int] = (),
    mtime: int | None = None,
    block: Callable[[bytes], bytes] = compressed,
    blocks_first: int = 0,
) -> tuple[bytes, Indexed]:
    """The gzip member of a tree's tar stream, and its index; so many blocks are told before the members are."""
    stream = b"".join(tar(tree, mtime=mtime))
    contents = cut(stream, sizes)
    blocks = [block(content) for content in contents]
    end = struct.pack("<II", zlib.crc32(stream), len(stream) & 0xFFFFFFFF)
    data = HEADER + b"".join(blocks) + b"\x03\x00" + end
    writer = IndexWriter(2, mtime=mtime)
    tellings = [
        (len(each), len(content), hashlib.sha256(each).digest()) for each, content in zip(blocks, contents, strict=True)
    ]
    for telling in tellings[:blocks_first]:
        writer.block(*telling)
    for member in told(tree, stream):
        writer.member(*member)
    for telling in tellings[blocks_first:]:
        writer.block(*telling)
    return data, writer.finish(len(data), hashlib.sha256(stream).hexdigest())


def archive(tree: Tree, **options) -> bytes:
    """The whole object."""
    data, index = data_and_index(tree, **options)
    return data + b"".join(index.pieces)


class Ranges:
    """An object in memory that counts what is asked of it: use it as what an index reads by."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(self.content), "a range that is no range of the object"
        self.asked.append((start, stop))
        return self.content[start:stop]
