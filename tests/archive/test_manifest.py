"""What is written into a manifest is what its reader finds, and nothing that is not sound comes out of one."""

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive import CorruptArchiveError, UnsafeArchiveError
from keystow.archive.errors import ArchiveError
from keystow.archive.manifest import NAME, Item, Manifest, written_manifest

DIGEST = "0123456789abcdef" * 4
HEAD = {"format": 1, "files": 1, "size": 3}
FILE = {"name": "a/b", "size": 3, "time": 7, "mode": 420, "sha256": DIGEST}
ITEMS = [Item("b", 2, DIGEST), Item("a/Ü\udc80", 3, DIGEST, -5, True, "v/1"), Item("a-", 0, DIGEST)]

segments = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda segment: segment not in {".", ".."}
)
names = st.lists(segments, min_size=1, max_size=3).map("/".join)
items = st.builds(
    Item,
    names,
    st.integers(0, 2**40),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.none() | st.text("abc019._-", min_size=1),
    st.none() | st.text("abc019-", min_size=1),
)


def made(*lines):
    """A manifest of these lines, whatever they say."""
    text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    return gzip.compress("".join(f"{line}\n" for line in text).encode())


@given(st.lists(items, unique_by=lambda item: item.name))
def test_there_and_back(given):
    manifest = Manifest(written_manifest(given))
    assert list(manifest) == sorted(given, key=lambda item: item.name.encode())
    assert (manifest.files, manifest.size) == (len(given), sum(item.size for item in given))


def test_it_is_text_for_whoever_has_zcat():
    head, *lines = map(json.loads, gzip.decompress(written_manifest(ITEMS)).decode("ascii").splitlines())
    assert head == {"format": 1, "files": 3, "size": 5}
    assert [line["name"] for line in lines] == ["a-", "a/Ü\udc80", "b"]
    assert lines[1] == {
        "name": "a/Ü\udc80", "size": 3, "time": -5, "mode": 0o755, "sha256": DIGEST, "version": "v/1",
    }  # fmt: skip
    assert lines[2] == {"name": "b", "size": 2, "time": 0, "mode": 0o644, "sha256": DIGEST}


def test_the_same_files_give_the_same_bytes():
    assert written_manifest(ITEMS) == written_manifest(ITEMS[::-1])


def test_what_is_unknown_is_passed_over():
    assert list(Manifest(made(HEAD | {"tool": "another"}, FILE | {"owner": "x"}))) == [Item("a/b", 3, DIGEST, 7)]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("",),
        ("{",),
        ("[]",),
        (json.dumps(HEAD)[:-1] + ',"files":1}', FILE),
        (HEAD | {"format": 2}, FILE),
        (HEAD | {"format": True}, FILE),
        (HEAD | {"files": 2}, FILE),
        (HEAD | {"files": 0}, FILE),
        (HEAD | {"size": 4}, FILE),
        (HEAD | {"size": 2}, FILE),
        (HEAD | {"size": -1}, FILE),
        (HEAD,),
        (HEAD, FILE, FILE),
        (HEAD | {"files": 2, "size": 6}, FILE, FILE),
        (HEAD | {"files": 2, "size": 6}, FILE, FILE | {"name": "a-"}),
        *((HEAD, {key: value for key, value in FILE.items() if key != name}) for name in FILE),
        *((HEAD, FILE | {name: [FILE[name]]}) for name in FILE),
        (HEAD, FILE | {"size": 3.0}),
        (HEAD, FILE | {"size": True}),
        (HEAD, FILE | {"time": 1 << 63}),
        (HEAD, FILE | {"mode": 0o10000}),
        (HEAD, FILE | {"sha256": DIGEST.upper()}),
        (HEAD, FILE | {"sha256": DIGEST[1:]}),
        (HEAD, FILE | {"version": ""}),
        (HEAD, FILE | {"version": "a\nb"}),
        (HEAD, FILE | {"version": "v" * 1025}),
        (HEAD, FILE | {"etag": 7}),
        (HEAD, FILE | {"etag": "é"}),
        (HEAD, json.dumps(FILE)[:-1] + ',"size":3}'),
        (HEAD, FILE | {"more": "x" * (1 << 16)}),
        (HEAD, "[" * 100_000),
    ],
)
def test_what_does_not_agree_with_itself(lines):
    with pytest.raises(CorruptArchiveError):
        list(Manifest(made(*lines)))


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", "./a", "a/", "a\0b", "\ud800", "x" * 4096, NAME])
def test_a_name_that_no_file_has(name):
    with pytest.raises(UnsafeArchiveError):
        list(Manifest(made(HEAD, FILE | {"name": name})))


@given(st.integers(0), st.integers(1, 255))
def test_one_that_is_damaged(at, change):
    """Each byte that counts is covered by the checksum of gzip; others change nothing."""
    data = bytearray(written_manifest(ITEMS))
    data[at % len(data)] ^= change
    try:
        found = list(Manifest(bytes(data)))
    except ArchiveError:
        return
    assert found == list(Manifest(written_manifest(ITEMS)))


@given(st.integers(0))
def test_one_that_is_cut_short(at):
    data = written_manifest(ITEMS)
    with pytest.raises(ArchiveError):
        list(Manifest(data[: at % len(data)]))


def test_a_line_without_end_is_not_held():
    endless = gzip.compress(b"x" * (64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptArchiveError, match="too long"):
            Manifest(endless)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
