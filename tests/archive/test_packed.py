"""What is said to be in the first pieces of an archive can be unpacked from them."""

import hashlib
import io
import tarfile
import zlib
from unittest import mock

import pytest

from keystow.archive import Tree, gunzip, pack, packed
from keystow.archive.grid import MOST
from keystow.archive.index import open_index

pytestmark = pytest.mark.slow

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
    pieces = list(packed(Tree.of(tree), threads=threads))
    assert b"".join(piece.data for piece in pieces) == b"".join(pack(Tree.of(tree)))
    told = [piece.content for piece in pieces]
    assert told == sorted(told)
    assert told[-1] == sum(map(len, tree.values()))
    archive = b""
    for piece in pieces:
        archive += piece.data
        assert piece.content <= content(archive)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@pytest.mark.parametrize("level", [0, 2, 6])
def test_the_last_piece_proves_the_archive(tree, level):
    *pieces, last = packed(Tree.of(tree), level=level)
    archive = b"".join(piece.data for piece in [*pieces, last])
    index = open_index(lambda start, stop: archive[start:stop], len(archive), sha256=last.proof.index_sha256)
    assert not any(piece.proof for piece in pieces)
    assert last.proof.tar_sha256 == index.tar_sha256 == hashlib.sha256(b"".join(gunzip([archive]))).hexdigest()
    assert index.level == level
    found = {member.entry.name: b"".join(index.content(member)) for member in index if member.entry.kind == "file"}
    assert found == tree


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_an_archive_whose_index_would_be_too_long_has_none(tree):
    whole = b"".join(pack(Tree.of(tree)))
    with mock.patch("keystow.archive.indexing.MOST_CARRIED", 100):
        *pieces, last = packed(Tree.of(tree))
    archive = b"".join(piece.data for piece in [*pieces, last])
    assert open_index(lambda start, stop: archive[start:stop], len(archive)) is None
    assert whole.startswith(archive)
    assert not any(piece.proof for piece in pieces)
    assert last.proof == (hashlib.sha256(b"".join(gunzip([whole]))).hexdigest(), None)
    assert last.content == sum(map(len, tree.values()))
