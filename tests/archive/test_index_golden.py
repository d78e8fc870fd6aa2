"""An archive with an index, as the first version that made one wrote it, is read by every version after it."""

import hashlib
import subprocess
import sys
from pathlib import Path

import golden
import index_reader
import pytest
from indexed import Ranges, archive

from keystow.archive import Tree, gunzip, tar, unpack
from keystow.archive.index import open_index

FILE = Path(__file__).parents[1] / "data" / "indexed.tar.gz"
MADE = FILE.read_bytes()
DIGEST = "bbbfce2401d4afa38c6551fbbdbe6e75508c300f7781fa47fd21e2a53bee8423"
CONTENTS = {entry.name: golden.CONTENTS.get(entry.name, b"") for entry in golden.tree().entries}


def test_the_file_is_the_one_that_was_written():
    assert hashlib.sha256(MADE).hexdigest() == "95800d5e26f3c7cbab2c23cdc8ea65fc8af4c2869d75c438e2ff80e84744522b"


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
