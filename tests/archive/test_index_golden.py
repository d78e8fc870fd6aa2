"""Archives with an index, as the first version that made one wrote it, are read by every version after it."""

import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import golden
import index_reader
import pytest
import sequential_reader
from indexed import Ranges, archive

from keystow.archive import Tree, gunzip, tar, unpack
from keystow.archive.beside import open_beside
from keystow.archive.index import open_index
from keystow.archive.untar import untar

DATA = Path(__file__).parents[1] / "data"
MADE = (DATA / "indexed.tar.gz").read_bytes()
OTHERS, OTHERS_INDEX = ((DATA / name).read_bytes() for name in ("others.tar.gz", "others.tar.gz.index"))
OLD, OLD_INDEX = ((DATA / name).read_bytes() for name in ("0.1/objects/level-2.tar.gz", "level-2.index"))
DIGEST = "bbbfce2401d4afa38c6551fbbdbe6e75508c300f7781fa47fd21e2a53bee8423"
CONTENTS = {entry.name: golden.CONTENTS.get(entry.name, b"") for entry in golden.tree().entries}


@pytest.mark.parametrize(
    ("made", "sha256"),
    [
        (MADE, "95800d5e26f3c7cbab2c23cdc8ea65fc8af4c2869d75c438e2ff80e84744522b"),
        (OTHERS, "36059ba8dbfbe832f92b53effbf64046e1c99c03abf709564e1b1b1480a670f5"),
        (OTHERS_INDEX, "e4b2e19839011b17bfc8dec40890719f8279e3c8a01dabea37079ba7205c7fa2"),
        (OLD_INDEX, "cfa11e55c9aeb4ebede1d8561f23965d9c68a1af2116956b5882b02ffda13df3"),
    ],
)
def test_the_files_are_those_that_were_written(made, sha256):
    assert hashlib.sha256(made).hexdigest() == sha256


def test_what_is_in_it_is_still_what_would_be():
    assert b"".join(gunzip([MADE])) == b"".join(tar(golden.tree()))


def test_all_of_it_is_read():
    index = open_index(Ranges(MADE), len(MADE), sha256=DIGEST)
    assert index.is_sorted
    assert index.tar_sha256 == hashlib.sha256(b"".join(tar(golden.tree()))).hexdigest()
    assert {entry.name: b"".join(content) for entry, content in index.contents(index)} == CONTENTS
    for entry in golden.tree().entries:
        found = index.find(entry.name).entry
        assert (found.kind, found.size, found.mtime, found.target) == (
            entry.kind,
            entry.size,
            entry.mtime,
            entry.target,
        )
        assert found.executable == (entry.executable or entry.kind in {"directory", "symlink"})
        assert b"".join(index.content(index.find(entry.name))) == CONTENTS[entry.name]


def test_who_knows_only_the_document_reads_it():
    other = index_reader.Archive(Ranges(MADE), len(MADE))
    assert other.digest == DIGEST
    for name, content in CONTENTS.items():
        assert other.content(other.find(name)) == content
    assert other.find("no") is None


@pytest.mark.parametrize(("data", "beside"), [(OTHERS, OTHERS_INDEX), (OLD, OLD_INDEX)], ids=["others", "0.1"])
def test_an_index_beside_an_archive_is_read(data, beside):
    stream = gzip.decompress(data)
    index = open_beside(Ranges(data), len(data), Ranges(beside), len(beside))
    reader = sequential_reader if data is OTHERS else index_reader
    other = reader.Archive(Ranges(data + beside), len(data + beside))
    assert index.is_sequential == (data is OTHERS)
    assert index.tar_sha256 == hashlib.sha256(stream).hexdigest()
    found = {entry.name: b"".join(content) for entry, content in index.contents(index)}
    assert found == {entry.name: b"".join(content) for entry, content in untar([stream]) if entry.name}
    assert data is not OTHERS or found == {**golden.CONTENTS, "hard/link": b""}
    for name, content in found.items():
        assert other.content(other.find(name)) == content


def test_the_reader_of_the_document_is_short_and_shares_nothing_with_keystow():
    lines = Path(index_reader.__file__).read_text("utf-8").splitlines()
    assert sum(map(bool, lines)) <= 110
    code = (
        "import sys, index_reader; sys.exit(any(name.partition('.')[0] in {'keystow', 'isal'} for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(index_reader.__file__).parent, check=True)


def test_it_is_unpacked_as_any_archive(tmp_path):
    unpack([MADE], tmp_path / "all")
    for name, content in golden.CONTENTS.items():
        assert (tmp_path / "all" / name).read_bytes() == content


@pytest.mark.parametrize("files", [golden.CONTENTS, {}, {"a": b""}])
def test_what_is_made_today_is_read_by_the_document(files):
    made = archive(Tree.of(files))
    other = index_reader.Archive(Ranges(made), len(made))
    for name, content in files.items():
        assert other.content(other.find(name)) == content
