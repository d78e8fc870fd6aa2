"""A tree as a ``.tar.gz`` stream, with an index at its end."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from .gzip import LEVEL, pieces
from .indexing import Indexed, IndexWriter
from .tar import tar_in_blocks
from .tree import Entry, Tree


class Proof(NamedTuple):
    """The SHA-256 of an archive's tar stream and of its index, if it has one, as lower-case hex."""

    tar_sha256: str
    index_sha256: str | None


class Packed(NamedTuple):
    """A piece of an archive; ``content`` are the bytes of files that are, whole, in all that came so far.

    The last one has the ``proof`` of the archive.
    """

    data: bytes
    content: int
    proof: Proof | None = None


def pack(tree: Tree, *, level: int = LEVEL, threads: int = 2, mtime: int | None = None) -> Iterator[bytes]:
    """``tar(tree)`` as gzip: the same bytes for the same tree, with memory bounded by threads x 1 MiB, not by the tree.

    Where a block begins depends on the members nearby, so that what a change leaves as it is keeps most of its bytes.
    Behind the blocks is an index, which readers of gzip pass over, unless it would be too long to be read
    (docs/format.md). Of each member some bytes of it are held. Raises what reading the tree raises
    (``SourceChangedError``, ``SourceError``).

    >>> import gzip, io, tarfile
    >>> archive = b"".join(pack(Tree.of({"a/b.txt": b"hello"})))
    >>> tarfile.open(fileobj=io.BytesIO(archive)).getnames()
    ['a', 'a/b.txt']
    """
    return (piece.data for piece in packed(tree, level=level, threads=threads, mtime=mtime))


def packed(tree: Tree, *, level: int = LEVEL, threads: int = 2, mtime: int | None = None) -> Iterator[Packed]:
    """``pack``, with what is known of each piece.

    >>> *_, last = packed(Tree.of({"a/b.txt": b"hello"}))
    >>> last.content, len(last.proof.index_sha256)
    (5, 64)
    """
    read = 0
    ahead: deque[tuple[int, int]] = deque()
    index = IndexWriter(level, mtime=mtime)

    def counted(entry: Entry) -> Iterator[bytes]:
        nonlocal read
        for chunk in tree.read(entry):
            read += len(chunk)
            yield chunk

    def noted() -> Iterator[bytes]:
        end = before = 0
        for chunk in chunks:
            end += len(chunk)
            if read > before:
                before = read
                ahead.append((end, read))
            yield chunk

    def packing() -> Iterator[Packed]:
        header = next(compressed)
        yield Packed(header.data, 0)
        data = len(header.data)
        content = done = 0
        for piece in compressed:
            data += len(piece.data)
            done += piece.size
            while ahead and ahead[0][0] <= done:
                _, content = ahead.popleft()
            if piece.size:
                index.block(len(piece.data), piece.size, piece.sha256)
                yield Packed(piece.data, content)
        tar_sha256 = piece.sha256.hex()
        yield from _end(piece.data, content, tar_sha256, index.finish(data, tar_sha256))

    chunks, lengths = tar_in_blocks(replace(tree, read=counted), mtime=mtime, told=index.member)
    compressed = pieces(noted(), lengths, level=level, threads=threads)
    return packing()


def _end(trailer: bytes, content: int, tar_sha256: str, indexed: Indexed | None) -> Iterator[Packed]:
    """The end of the data, and the index, if there is one."""
    if indexed is None:
        yield Packed(trailer, content, Proof(tar_sha256, None))
        return
    *first, last = [trailer, *indexed.pieces]
    yield from (Packed(piece, content) for piece in first)
    yield Packed(last, content, Proof(tar_sha256, indexed.sha256))
