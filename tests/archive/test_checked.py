"""Members are checked against those before them, in memory that is linear in their names."""

import tracemalloc

import pytest

from keystow.archive import Entry, UnsafeArchiveError
from keystow.archive.checked import Checked, path


def missing(checked, name, kind="file"):
    placed = checked.admit(Entry(name, kind))
    return [path(directory.parent, directory.name) for directory in placed.missing]


@pytest.mark.parametrize("name", ["d/..", "d/.", "d//", "d/", "d/a\0b", "..", ".", "d/../a", "/d/a", "d/./a", "d/\0/a"])
def test_a_name_is_checked_below_a_known_directory_too(name):
    checked = Checked()
    assert missing(checked, "d", "directory") == ["d"]
    assert missing(checked, "d/e/f") == ["d/e"]
    assert missing(checked, "d/e/g") == []
    assert missing(checked, "d/e/h", "directory") == ["d/e/h"]
    assert missing(checked, "x/y/z", "directory") == ["x", "x/y", "x/y/z"]
    assert missing(checked, "x/y", "directory") == []
    with pytest.raises(UnsafeArchiveError, match="would leave the directory"):
        checked.admit(Entry(name, "file"))


@pytest.mark.parametrize("entry", [Entry("\ud800", "file"), Entry("l", "symlink", target="\ud800")])
def test_a_name_that_no_disk_can_hold_is_refused(entry):
    with pytest.raises(UnsafeArchiveError, match="no disk can hold"):
        Checked().admit(entry)


def test_names_are_counted_once():
    checked = Checked()
    names = [("a/b/c", 3), ("a/b/d", 1), ("a/e", 1), ("ä", 2), ("a/\udcff", 1)]
    assert [(name, checked.admit(Entry(name, "file")).size) for name, _ in names] == names
    assert checked.admit(Entry("a/b", "directory")).size == 0
    assert checked.admit(Entry("a/l", "symlink", target="ää")).size == 5
    assert checked.admit(Entry("new/inner", "directory")).size == 8
    assert checked.admit(Entry("other/l", "symlink", target="xy")).size == 8


def test_a_directory_is_placed_as_a_file_is():
    checked = Checked()
    placed = checked.admit(Entry("a/b", "directory"))
    assert (placed.directory.name, placed.name) == (b"a", b"b")
    assert checked.admit(Entry("a/c", "file")).directory is placed.directory


def test_a_hard_link_that_no_disk_can_hold_names_itself():
    with pytest.raises(UnsafeArchiveError, match="the member 'link' holds a name that no disk can hold"):
        Checked().admit(Entry("link", "hardlink", target="\ud800"))


@pytest.mark.slow
def test_deep_names_take_memory_by_their_segments_and_not_by_their_square():
    """50 names of 2,000 levels each imply 100,000 directories, whose full names have 2,000 bytes on average."""
    tracemalloc.start()
    checked = Checked()
    for at in range(50):
        checked.admit(Entry(f"{at}/" + "d/" * 2000 + "f", "file"))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 1000 * 50 * 2002
