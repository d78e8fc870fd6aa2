"""What is said to be in the first pieces of an archive can be unpacked from them."""

import io
import tarfile
import zlib

import pytest

from keystow.archive import Tree, pack, pack_counted
from keystow.archive.grid import MOST

TREES = {
    "nothing": {},
    "an empty file": {"a": b""},
    "small files": {f"d/{number}": b"x" * number for number in range(3000)},
    "large files": {"a": bytes(3 * MOST + 1), "b": bytes(range(256)) * 9000, "c": b"end"},
}


def content(archive):
    """The bytes of files that stand in what there is of an archive."""
    stream = io.BytesIO(zlib.decompressobj(31).decompress(archive))
    found = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|") as members:
            for member in members:
                if member.isfile():
                    found += min(member.size, len(stream.getvalue()) - member.offset_data)
    except tarfile.ReadError:
        pass  # it stops somewhere
    return found


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("threads", [1, 3])
def test_so_much_content_is_in_what_came(tree, threads):
    pieces = list(pack_counted(Tree.of(tree), threads=threads))
    assert b"".join(piece for piece, _ in pieces) == b"".join(pack(Tree.of(tree)))
    told = [count for _, count in pieces]
    assert told == sorted(told)
    assert told[-1] == sum(map(len, tree.values()))
    archive = b""
    for piece, count in pieces:
        archive += piece
        assert count <= content(archive)
