"""A tree as a ``.tar.gz`` stream."""

from collections.abc import Iterator

from .gzip import LEVEL, gzip
from .tar import tar
from .tree import Tree


def pack(tree: Tree, *, level: int = LEVEL, threads: int = 2, mtime: int | None = None) -> Iterator[bytes]:
    """``gzip(tar(tree))``: the same bytes for the same tree, with memory bounded by threads x 1 MiB, not by the tree.

    Raises what reading the tree raises (``SourceChangedError``, ``SourceError``).

    >>> import gzip, io, tarfile
    >>> archive = b"".join(pack(Tree.of({"a/b.txt": b"hello"})))
    >>> tarfile.open(fileobj=io.BytesIO(archive)).getnames()
    ['a', 'a/b.txt']
    """
    return gzip(tar(tree, mtime=mtime), level=level, threads=threads)
