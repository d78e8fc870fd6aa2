"""What a scan promises to the letter: names in its errors, limits, and what is put in a place while it is looked at."""

import contextlib
import errno
import os
import re
import shutil
import sys

import pytest
from archive_strategies import Link, lay

from keystow.archive import Entry, SourceError, Tree, scan
from keystow.archive.errors import SourceChangedError
from keystow.archive.tree import parents

SCANNING = sys.modules["keystow.archive.scan"]
"""The module, in whose package the function has its name."""


def test_a_tree_in_memory():
    tree = Tree.of({"d/e/f": b"four", "g": b"x"}, mtime=7)
    assert [(e.name, e.kind, e.size, e.mtime) for e in tree.entries] == [
        ("d", "directory", 0, 7),
        ("d/e", "directory", 0, 7),
        ("d/e/f", "file", 4, 7),
        ("g", "file", 1, 7),
    ]
    assert [entry.name for entry in tree.files] == ["d/e/f", "g"]
    assert tree.size == 5
    assert tree.skipped == ()
    assert Tree.of({"a": b""}).entries[0].mtime == 0
    assert list(parents("a/b/c")) == ["a", "a/b"]


def test_an_entry_is_plain_unless_it_is_said():
    assert Entry("a", "file") == Entry("a", "file", 0, 0, executable=False, target="", origin=None)


@pytest.mark.parametrize("option", ["symlinks", "special"])
def test_the_option_is_named(tmp_path, option):
    with pytest.raises(ValueError, match=f"^{option}='keep' is no choice"):
        scan(tmp_path, **{option: "keep"})


def test_a_link_that_leads_out_is_told_with_the_source(tmp_path):
    lay(tmp_path, {"l": Link("..")})
    with pytest.raises(SourceError, match=re.escape(f"leads out of {str(tmp_path)!r}")):
        scan(tmp_path)


def test_an_absolute_link_inside_keeps_its_whole_name(tmp_path):
    lay(tmp_path, {"XX": b"x", "l": Link(f"{tmp_path}//XX")})
    assert scan(tmp_path).entries[1].target == "XX"


@pytest.mark.parametrize(("target", "name"), [(".", "d/l"), ("..", "d/l"), ("e", "d/e/m")])
def test_a_directory_that_holds_itself_is_told_where_it_does(tmp_path, target, name):
    lay(tmp_path, {"d/e/m": Link("..")} if target == "e" else {"d/l": Link(target)})
    with pytest.raises(SourceError, match=f"the link '{name}' leads to a directory that holds it"):
        scan(tmp_path, symlinks="follow")


def test_the_kernels_own_error_is_kept(tmp_path):
    lay(tmp_path, {"loop": Link("loop")})
    with pytest.raises(SourceError) as refused:
        scan(tmp_path / "loop")
    assert refused.value.errno == errno.ELOOP
    assert refused.value.strerror == f"cannot be read ({os.strerror(errno.ELOOP)})"
    assert refused.value.filename == str(tmp_path / "loop")


@pytest.mark.parametrize(("length", "fits"), [(5, True), (6, False)])
def test_the_longest_path_counts_the_source(tmp_path, monkeypatch, length, fits):
    lay(tmp_path, {"n" * length: b"x"})
    monkeypatch.setattr(SCANNING, "_LONGEST_PATH", len(os.fsencode(tmp_path)) + len("/") + 5)
    with contextlib.nullcontext() if fits else pytest.raises(SourceError, match="is longer than"):
        assert scan(tmp_path).entries


# -- who may read


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
def test_what_another_user_owns_is_read_where_it_may_be(open_place, unprivileged):
    lay(f"{open_place}/source", {"d/a": b"x"})
    os.chmod(f"{open_place}/source/d/a", 0o644)
    with unprivileged():
        assert [entry.name for entry in scan(f"{open_place}/source").entries] == ["d", "d/a"]
    os.chmod(f"{open_place}/source/d/a", 0o600)
    with unprivileged():
        for source in ("source", "source/d/a"):
            with pytest.raises(SourceError, match=r"cannot be read.*source/d/a'"):
                scan(f"{open_place}/{source}")


def test_a_file_that_may_no_longer_be_read_is_named(open_place, unprivileged):
    with unprivileged():
        lay(f"{open_place}/source", {"a": b"x"})
        tree = scan(f"{open_place}/source")
        os.chmod(f"{open_place}/source/a", 0)
        with pytest.raises(SourceError, match="source/a'"):
            list(tree.read(tree.entries[0]))


def test_a_directory_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    lay(tmp_path, {"d/a": b"x"})
    real, calls = os.scandir, []

    def scandir(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(descriptor)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SourceError, match=r"Too many open files\): raise the limit") as refused:
        scan(tmp_path)
    assert refused.value.filename == str(tmp_path / "d")


def test_a_directory_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    lay(tmp_path, {"d/a": b"x"})
    real = os.open

    def failing(path, flags, *arguments, **options):
        if path == "d":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(SourceError, match="cannot be read") as refused:
        scan(tmp_path)
    assert refused.value.filename == str(tmp_path / "d")


# -- what is put in a place while it is looked at


@pytest.mark.parametrize("put", [lambda path: os.symlink("elsewhere", path), lambda path: path.write_text("a file")])
def test_what_stands_in_for_a_directory_is_not_entered(tmp_path, monkeypatch, put):
    lay(tmp_path, {"d/a": b"x", "elsewhere/secret": b"x"})
    real = os.open

    def swapped(path, flags, *arguments, **options):
        if path == "d":
            shutil.rmtree(tmp_path / "d")
            put(tmp_path / "d")
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(SourceChangedError, match="'d' changed while it was scanned"):
        scan(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x"])
def test_a_link_to_the_very_file_is_not_the_file(tmp_path, content):
    lay(tmp_path / "source", {"a": content})
    tree = scan(tmp_path / "source")
    os.rename(tmp_path / "source" / "a", tmp_path / "a")
    os.symlink("../a", tmp_path / "source" / "a")
    with pytest.raises(SourceChangedError, match="source/a'"):
        list(tree.read(tree.entries[0]))


@pytest.mark.parametrize("change", [lambda path: os.utime(path, ns=(0, 0)), lambda path: os.truncate(path, 0)])
def test_a_file_that_changes_while_its_only_piece_is_read_is_refused(tmp_path, monkeypatch, change):
    lay(tmp_path, {"a": b"four"})
    tree = scan(tmp_path)
    real = os.read

    def late(descriptor, size):
        data = real(descriptor, size)
        change(tmp_path / "a")
        return data

    monkeypatch.setattr(os, "read", late)
    with pytest.raises(SourceChangedError, match="/a'"):
        list(tree.read(tree.entries[0]))


def test_a_file_that_becomes_shorter_is_refused_by_name(tmp_path, monkeypatch):
    lay(tmp_path, {"a": b"four"})
    tree = scan(tmp_path)
    monkeypatch.setattr(os, "read", lambda descriptor, size: b"")
    with pytest.raises(SourceChangedError, match="/a'"):
        list(tree.read(tree.entries[0]))


@pytest.mark.parametrize("symlinks", ["inside", "follow"])
def test_what_disappears_after_it_was_listed_has_changed(tmp_path, monkeypatch, symlinks):
    lay(tmp_path, {"a": b"x"})
    real = os.scandir

    def scandir(descriptor):
        with real(descriptor) as listing:
            found = list(listing)
        os.unlink(tmp_path / "a")
        return contextlib.nullcontext(found)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SourceChangedError, match="'a' disappeared"):
        scan(tmp_path, symlinks=symlinks)
