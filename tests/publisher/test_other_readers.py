"""The index that ``keystow index`` writes, read by those it is for: indexed_gzip and rapidgzip."""

import json
import os
import sqlite3
from contextlib import closing

import indexed
import pytest
from commands import complaint, keystow
from sample_tree import PLOT, TREE

from keystow import open_archive
from keystow.archive import Tree, tar

pytestmark = pytest.mark.slow

FILES = {"large.bin": os.urandom(12 << 20), "text": b"some words\n" * 400_000, "z": b"last"}


@pytest.fixture(params=["several blocks", "one block", "none whose place is round"])
def archive(request, tmp_path):
    """An archive, and the tar stream in it."""
    tree, sizes = {
        "several blocks": (Tree.of(FILES), ()),
        "one block": (Tree.of({"a": b"small"}), ()),
        "none whose place is round": (TREE, (777, 1, 65536, 12_345)),
    }[request.param]
    path = tmp_path / "k.tar.gz"
    path.write_bytes(indexed.archive(tree, sizes=sizes))
    return path, b"".join(tar(tree))


def written(archive, *arguments):
    ran = keystow("index", archive, "--gzidx", archive.with_suffix(".gzidx"), *arguments)
    assert ran.status == 0, ran.err
    return archive.with_suffix(".gzidx")


def spoiled(archive):
    """The archive with zeros in place of its first half, which whoever reads it from its start stumbles over."""
    content = bytearray(archive.read_bytes())
    far = len(content) // 2
    content[10:far] = bytes(far - 10)
    path = archive.with_name("spoiled.tar.gz")
    path.write_bytes(content)
    return path


def places(stream):
    size = len(stream)
    return [*((size * part // 7, min(1000, size - size * part // 7)) for part in (3, 0, 6, 5)), (0, size)]


def test_indexed_gzip_reads_by_it(archive):
    indexed_gzip = pytest.importorskip("indexed_gzip", reason="the reader whose format this is")
    path, stream = archive
    with indexed_gzip.IndexedGzipFile(path, index_file=str(written(path))) as file:
        for at, size in places(stream):
            file.seek(at)
            assert file.read(size) == stream[at : at + size]
        assert file.read() == b""


def test_rapidgzip_reads_by_it(archive):
    rapidgzip = pytest.importorskip("rapidgzip", reason="a reader of it that uses all processors")
    path, stream = archive
    index = written(path)
    with rapidgzip.RapidgzipFile(str(path), parallelization=2) as file:
        file.import_index(str(index))
        for at, size in places(stream):
            file.seek(at)
            assert file.read(size) == stream[at : at + size]


def test_they_find_a_place_without_what_lies_before(tmp_path):
    indexed_gzip, rapidgzip = pytest.importorskip("indexed_gzip"), pytest.importorskip("rapidgzip")
    path = tmp_path / "k.tar.gz"
    tree = Tree.of(FILES)
    path.write_bytes(indexed.archive(tree))
    index, stream, broken = written(path), b"".join(tar(tree)), spoiled(path)
    at = len(stream) - (4 << 20)
    with indexed_gzip.IndexedGzipFile(broken, index_file=str(index)) as file:
        file.seek(at)
        assert file.read(1000) == stream[at : at + 1000]
    with rapidgzip.RapidgzipFile(str(broken), parallelization=1) as file:
        file.import_index(str(index))
        file.seek(at)
        assert file.read(1000) == stream[at : at + 1000]


def test_ratarmount_goes_by_it(tmp_path):
    pytest.importorskip("ratarmountcore", reason="which keeps such an index in a database of its own")
    from ratarmountcore.mountsource.factory import open_mount_source

    path = tmp_path / "k.tar.gz"
    path.write_bytes(indexed.archive(Tree.of(FILES)))
    with open_mount_source(str(path), recursive=False):
        pass  # which makes the database
    with closing(sqlite3.connect(f"{path}.index.sqlite")) as database:
        database.execute("DELETE FROM gzipindex")
        database.execute("INSERT INTO gzipindex VALUES (?)", (written(path).read_bytes(),))
        database.commit()
    with open_mount_source(str(path), recursive=False) as mounted:
        points = [tar_start for tar_start, _ in mounted.tarFileObject.seek_points()]
        assert points == [*range(0, 1 << 24, 1 << 20), 1 << 24]
        for name, content in FILES.items():
            with mounted.open(mounted.lookup(f"/{name}")) as file:
                assert file.read() == content


def test_it_is_written_of_what_was_published(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "large.bin").write_bytes(PLOT)
    result = tmp_path / "result.yaml"
    assert keystow("publish", source, f"file://{tmp_path}/store/k", "--result", result).status == 0
    ran = keystow("index", result, "--gzidx", tmp_path / "made", "--output", "json")
    assert (ran.status, ran.err) == (0, "")
    made = (tmp_path / "made").read_bytes()
    assert json.loads(ran.out) == {"file": str(tmp_path / "made"), "bytes": len(made)}
    with open_archive(result) as archive:
        assert archive.verified
    assert written(tmp_path / "store" / "k.tar.gz").read_bytes() == made
    assert "not verified" in keystow("index", f"file://{tmp_path}/store/k.tar.gz", "--gzidx", tmp_path / "again").err


def test_what_has_no_index_and_where_nothing_can_be_written(tmp_path):
    path = tmp_path / "k.tar.gz"
    path.write_bytes(indexed.data_and_index(TREE)[0])
    assert "it has no index" in complaint(keystow("index", path, "--gzidx", tmp_path / "made"), 2)
    path.write_bytes(indexed.archive(TREE))
    assert "no file" in complaint(keystow("index", path, "--gzidx", tmp_path / "absent" / "made"), 2)
    damaged = bytearray(path.read_bytes())
    damaged[-400] ^= 1
    path.write_bytes(damaged)
    complaint(keystow("index", path, "--gzidx", tmp_path / "made"), 1)
    complaint(keystow("index", tmp_path / "absent.tar.gz", "--gzidx", tmp_path / "made"), 1)
    assert not (tmp_path / "made").exists()
