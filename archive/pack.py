"""A tree as a ``.tar.gz`` stream."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from .gzip import LEVEL, pieces
from .tar import tar_in_blocks
from .tree import Entry, Tree


def pack(tree: Tree, *, level: int = LEVEL, threads: int = 2, mtime: int | None = None) -> Iterator[bytes]:
    """``tar(tree)`` as gzip: the same bytes for the same tree, with memory bounded by threads x 1 MiB, not by the tree.

    Where a block begins depends on the members nearby, so that what a change leaves as it is keeps most of its bytes.
    Raises what reading the tree raises (``SourceChangedError``, ``SourceError``).

    >>> import gzip, io, tarfile
    >>> archive = b"".join(pack(Tree.of({"a/b.txt": b"hello"})))
    >>> tarfile.open(fileobj=io.BytesIO(archive)).getnames()
    ['a', 'a/b.txt']
    """
    chunks, lengths = tar_in_blocks(tree, mtime=mtime)
    return (piece for piece, _ in pieces(chunks, lengths, level=level, threads=threads))


def pack_counted(
    tree: Tree, *, level: int = LEVEL, threads: int = 2, mtime: int | None = None
) -> Iterator[tuple[bytes, int]]:
    """``pack``, with each piece how many bytes of the files' content are, whole, in all that came so far.

    >>> [content for _, content in pack_counted(Tree.of({"a/b.txt": b"hello"}))]
    [0, 5, 5]
    """
    read = 0
    ahead: deque[tuple[int, int]] = deque()

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

    chunks, lengths = tar_in_blocks(replace(tree, read=counted), mtime=mtime)
    content = 0
    for piece, packed in pieces(noted(), lengths, level=level, threads=threads):
        while ahead and ahead[0][0] <= packed:
            _, content = ahead.popleft()
        yield piece, content
