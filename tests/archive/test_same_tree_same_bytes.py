"""The bytes of an archive say what is in the tree, and nothing of where, when, by whom and how it was packed."""

import hashlib
import os
import random

import isal
import pytest
from archive_strategies import Link, Program, chunkings, cut, examples, lay, trees
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive import Entry, Tree, gzip, pack, scan, tar

NODES = {
    "a": bytes(3 << 20),
    "b/random": random.Random(0).randbytes(1_500_000),
    "b/run": Program(b"x"),
    "c/d/e": None,
    "l": Link("b/run"),
    "ä": b"",
}


def digest(source, **options) -> str:
    return hashlib.sha256(b"".join(pack(scan(source), **options))).hexdigest()


def test_twice_and_from_another_directory(tmp_path):
    first = lay(tmp_path / "here", NODES)
    second = lay(tmp_path / "some" / "where" / "else", dict(reversed(NODES.items())))
    assert digest(first) == digest(first) == digest(second)


def test_from_a_relative_path_and_through_a_link(tmp_path, monkeypatch):
    source = lay(tmp_path / "here", NODES)
    os.symlink("here", tmp_path / "latest")
    monkeypatch.chdir(source)
    assert digest(source) == digest(".") == digest(tmp_path / "latest") == digest(f"{source}/")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_by_another_owner_of_another_group(open_place, unprivileged):
    source = lay(f"{open_place}/source", NODES)
    mine = digest(source)
    for directory, _, files in os.walk(source):
        for name in (".", *files):
            os.chown(f"{directory}/{name}", 65534, 12345, follow_symlinks=False)
    with unprivileged():
        assert digest(source) == mine


def test_with_other_permissions_and_inodes(tmp_path):
    source = lay(tmp_path / "here", NODES)
    before = digest(source)
    os.chmod(f"{source}/a", 0o600)
    os.chmod(f"{source}/b/run", 0o4700)
    os.link(f"{source}/b/random", tmp_path / "elsewhere")
    os.utime(f"{source}/a", ns=(0, os.stat(f"{source}/a").st_mtime_ns + 123_456_789))
    assert digest(source) == before


@pytest.mark.parametrize(
    "change",
    [
        {"ä": b"x"},
        {"new": b""},
        {"b/run": b"x"},
        {"l": Link("a")},
        {"c/d/f": None},
        {"b/random": random.Random(1).randbytes(1_500_000)},
    ],
)
def test_another_tree_gives_other_bytes(tmp_path, change):
    assert digest(lay(tmp_path / "one", NODES)) != digest(lay(tmp_path / "two", NODES | change))


def test_other_times_give_other_bytes_unless_mtime_is_set(tmp_path):
    one, two = lay(tmp_path / "one", NODES), lay(tmp_path / "two", NODES, mtime=5)
    assert digest(one) != digest(two)
    assert digest(one, mtime=7) == digest(two, mtime=7)


@pytest.mark.parametrize("level", [0, 2, 6])
def test_with_any_number_of_threads(tmp_path, level):
    source = lay(tmp_path, NODES)
    assert len({digest(source, level=level, threads=threads) for threads in (1, 2, 7)}) == 1


@pytest.mark.parametrize(
    "sizes", [[1] * 5000, [1 << 20] * 3, [(1 << 20) - 1, 1, 1], [(1 << 21) + 5], [0, 0, 700_000, 0]]
)
def test_gzip_with_any_chunking(sizes):
    data = random.Random(0).randbytes(1_000_000) + bytes(2_500_000)
    assert b"".join(gzip(cut(data, sizes))) == b"".join(gzip([data]))


@examples(40)
@given(trees(), chunkings, st.sampled_from([1, 2, 7]), st.integers(0, 9))
def test_any_tree_with_any_chunking_and_threads(nodes, sizes, threads, level):
    files = {name: node for name, node in nodes.items() if isinstance(node, bytes)}
    entries = tuple(Entry(name, "file", len(data)) for name, data in files.items())
    whole = Tree(entries, lambda entry: iter([files[entry.name]]))
    pieces = Tree(entries, lambda entry: cut(files[entry.name], sizes))
    assert b"".join(tar(whole)) == b"".join(tar(pieces))
    assert list(pack(whole, level=level)) == list(pack(pieces, level=level, threads=threads))


def test_with_another_release_of_what_compresses(tmp_path, monkeypatch):
    """Where all is stored, that is nothing to the archive; else its index tells."""
    source = lay(tmp_path, NODES)
    stored, fast = digest(source, level=0), digest(source, level=2)
    monkeypatch.setattr(isal, "__version__", "9.9.9")
    assert (digest(source, level=0), digest(source, level=2)) == (stored, fast)
    monkeypatch.setattr(isal, "ISAL_VERSION", "9.9.9")
    assert digest(source, level=0) == stored
    assert digest(source, level=2) != fast
