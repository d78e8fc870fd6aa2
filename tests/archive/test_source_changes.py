"""What another process may do to a file between the scan and the end of its reading."""

import os
import shutil

import pytest
from archive_strategies import Link, lay, seen

from keystow.archive import SourceChangedError, pack, scan, tar, unpack

SIZE = 3 << 20


def grow(path):
    with open(path, "ab") as file:
        file.write(b"more")


def shrink(path):
    os.truncate(path, os.path.getsize(path) // 2)


def rewrite(path):
    with open(path, "r+b") as file:
        file.write(b"y" * os.path.getsize(path))


def replace(path):
    size = os.path.getsize(path)
    with open(f"{path}.new", "wb") as file:
        file.write(b"y" * size)
    shutil.copystat(path, f"{path}.new")
    os.replace(f"{path}.new", path)


def replace_by_link(path):
    os.rename(path, f"{path}.old")
    os.symlink(f"{path}.old", path)


def replace_by_fifo(path):
    os.unlink(path)
    os.mkfifo(path)


def replace_by_directory(path):
    os.unlink(path)
    os.mkdir(path)


def lose_its_directory(path):
    shutil.rmtree(os.path.dirname(path))


CHANGES = [
    *(grow, shrink, rewrite, os.unlink, lose_its_directory),
    *(replace, replace_by_link, replace_by_fifo, replace_by_directory),
]


@pytest.mark.parametrize(
    ("change", "symlinks"),
    # Under "follow", a link to the very file that was scanned is as good as the file.
    [(change, "inside") for change in CHANGES]
    + [(change, "follow") for change in CHANGES if change != replace_by_link],
)
def test_between_scan_and_reading(tmp_path, change, symlinks):
    lay(tmp_path / "source", {"d/a": b"x" * SIZE})
    tree = scan(tmp_path / "source", symlinks=symlinks)
    change(str(tmp_path / "source" / "d" / "a"))
    with pytest.raises(SourceChangedError, match="d/a' changed while it was packed"):
        list(pack(tree))


@pytest.mark.parametrize("change", CHANGES)
def test_while_it_is_read(tmp_path, change):
    lay(tmp_path / "source", {"d/a": b"x" * SIZE})
    reading = tar(scan(tmp_path / "source"))
    while b"x" not in next(reading):
        pass
    change(str(tmp_path / "source" / "d" / "a"))
    with pytest.raises(SourceChangedError):
        list(reading)


@pytest.mark.parametrize("change", [grow, replace, replace_by_fifo, os.unlink])
def test_an_empty_file_too(tmp_path, change):
    lay(tmp_path / "source", {"d/a": b""})
    tree = scan(tmp_path / "source")
    change(str(tmp_path / "source" / "d" / "a"))
    with pytest.raises(SourceChangedError):
        list(pack(tree))


def test_a_directory_on_the_way_that_became_a_link_to_other_files(tmp_path):
    lay(tmp_path, {"source/d/a": b"mine", "outside/a": b"they"})
    tree = scan(tmp_path / "source")
    shutil.rmtree(tmp_path / "source" / "d")
    os.symlink(tmp_path / "outside", tmp_path / "source" / "d")
    with pytest.raises(SourceChangedError):
        list(pack(tree))


def test_a_single_file(tmp_path):
    lay(tmp_path, {"a": b"x"})
    tree = scan(tmp_path / "a")
    grow(tmp_path / "a")
    with pytest.raises(SourceChangedError):
        list(pack(tree))


def test_what_was_packed_before_the_change_is_no_archive(tmp_path):
    lay(tmp_path / "source", {"a": b"x", "b": b"y"})
    tree = scan(tmp_path / "source")
    os.unlink(tmp_path / "source" / "b")
    with pytest.raises(SourceChangedError):
        unpack(pack(tree), tmp_path / "target")
    assert os.listdir(tmp_path) == ["source"]


def test_being_read_and_linked_changes_nothing(tmp_path):
    lay(tmp_path / "source", {"a": b"x", "l": Link("a")})
    tree = scan(tmp_path / "source")
    os.link(tmp_path / "source" / "a", tmp_path / "backup")
    os.chmod(tmp_path / "source" / "a", 0o600)
    unpack(pack(tree), tmp_path / "target")
    assert seen(tmp_path / "target") == seen(tmp_path / "source")
