"""Where an archive is unpacked to, what is restored, and which archives of others are read."""

import glob
import gzip
import io
import os
import subprocess
import tarfile

import pytest
from archive_strategies import OLD, Link, Program, cut, examples, lay, member, pax, seen, trees, zipped
from hypothesis import given
from hypothesis import strategies as st

import keystow.archive
from keystow.archive import (
    ArchiveError,
    CorruptArchiveError,
    DestinationExistsError,
    Entry,
    Limits,
    Tree,
    Unpacked,
    UnsafeArchiveError,
    dereference,
    extract,
    pack,
    scan,
    tar,
    unpack,
)

NODES = {
    "a.txt": b"hello\n",
    "bin/run": Program(b"#!/bin/sh\n"),
    "empty": None,
    "void": b"",
    "block": b"b" * 512,
    "blocks": b"c" * 70_001,
    "link": Link("bin/run"),
    "links/up": Link(".."),
    "links/loop": Link("loop"),
    "links/dangling": Link("../nowhere"),
}
LONG = {"d" * 90 + "/" + "f" * 90: b"long", "to-long": Link("d" * 90)}
WIDE = {"n" * 150 + "/" + "m" * 160: b"over 300 bytes", "ä/文件": b"", "far": Link("n" * 150 + "/" + "m" * 160)}


@examples(150)
@given(trees(), st.integers(0, 9), st.lists(st.integers(1, 2000), max_size=20))
def test_unpack_undoes_pack(tmp_path_factory, nodes, level, sizes):
    place = tmp_path_factory.mktemp("round")
    source = lay(place / "source", nodes)
    archive = b"".join(pack(scan(source), level=level))
    unpacked = unpack(cut(archive, sizes), place / "target")
    found = seen(source)
    assert seen(place / "target") == found
    assert unpacked.members == len(found)
    assert b"".join(pack(scan(place / "target"), level=level)) == archive


@examples(50)
@given(trees())
def test_what_was_followed_or_dereferenced_is_unpacked_too(tmp_path_factory, nodes):
    place = tmp_path_factory.mktemp("followed")
    source = lay(place / "source", nodes)
    trees = []
    for tree in (lambda: dereference(scan(source)), lambda: scan(source, symlinks="follow")):
        try:
            trees.append(tree())
        except OSError:
            return
    for at, tree in enumerate(trees):
        unpack(pack(tree, mtime=OLD), place / str(at))
    assert seen(place / "0", times="") == seen(place / "1", times="")


def test_the_result_says_what_was_unpacked(tmp_path):
    lay(tmp_path / "source", NODES)
    found = unpack(pack(scan(tmp_path / "source")), tmp_path / "new" / "target")
    assert found == Unpacked(str(tmp_path / "new" / "target"), len(NODES) + 2, 6 + 10 + 512 + 70_001)


def test_an_empty_archive_gives_an_empty_directory(tmp_path):
    assert unpack(pack(Tree.of({})), tmp_path / "target").members == 0
    assert os.listdir(tmp_path / "target") == []


def test_modes_are_the_users_own_and_nothing_is_setuid(tmp_path):
    old = os.umask(0o027)
    try:
        unpack(
            [zipped(member(b"d/a", mode=b"0006777\0"), member(b"d/b", mode=b"0000000\0"), member(b"e/", b"5"))],
            tmp_path / "target",
        )
    finally:
        os.umask(old)
    modes = {name: os.stat(tmp_path / "target" / name).st_mode & 0o7777 for name in (".", "d", "d/a", "d/b", "e")}
    assert modes == {".": 0o750, "d": 0o750, "d/a": 0o750, "d/b": 0o640, "e": 0o750}


@pytest.mark.parametrize("below", ["target", "some/new/target"])
def test_a_new_directory_is_made_with_its_parents(tmp_path, below):
    unpack(pack(Tree.of({"a": b"x"})), tmp_path / below)
    assert (tmp_path / below / "a").read_bytes() == b"x"
    assert os.listdir(tmp_path) == [below.split("/")[0]]


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o2770, 0o1777])
def test_an_empty_directory_gives_its_place_and_its_mode(tmp_path, mode):
    target = tmp_path / "target"
    target.mkdir()
    target.chmod(mode)
    before = os.stat(target)
    lay(tmp_path / "source", NODES)
    unpack(pack(scan(tmp_path / "source")), target)
    after = os.stat(target)
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert seen(target) == seen(tmp_path / "source")


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0])
@pytest.mark.parametrize("above", [0o755, 0o2755])
def test_a_new_directory_has_the_mode_that_mkdir_gives(tmp_path, mask, above):
    (tmp_path / "place").mkdir()
    (tmp_path / "place").chmod(above)
    old = os.umask(mask)
    try:
        unpack(pack(Tree.of({"a": b"x"})), tmp_path / "place" / "target")
        (tmp_path / "place" / "made").mkdir()
    finally:
        os.umask(old)
    modes = [os.stat(tmp_path / "place" / name).st_mode for name in ("target", "made")]
    assert modes[0] == modes[1]


def test_it_can_be_entered_by_nobody_else_while_it_is_filled(tmp_path):
    def members():
        (found,) = os.listdir(tmp_path)
        modes.append(os.stat(tmp_path / found).st_mode & 0o077)
        yield Entry("a", "file"), []
        modes.append(os.stat(tmp_path / found).st_mode & 0o077)

    modes = []
    extract(members(), tmp_path / "target")
    assert modes == [0, 0]


@pytest.mark.parametrize("before", [0, 3])
def test_missing_parents_go_again_with_a_failure(tmp_path, before):
    (tmp_path / "a/b/c"[: 2 * before]).mkdir(parents=True, exist_ok=True)
    found = seen(tmp_path)

    def chunks():
        assert (tmp_path / "a/b/c/d").is_dir()
        yield b""
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        unpack(chunks(), tmp_path / "a/b/c/d/target")
    assert seen(tmp_path, times="") == {name: what[:1] for name, what in found.items()}


def test_parents_that_somebody_else_uses_meanwhile_stay(tmp_path):
    def chunks():
        lay(tmp_path, {"a/b/theirs": b"x"})
        yield b""
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        unpack(chunks(), tmp_path / "a/b/c/d/target")
    assert set(seen(tmp_path)) == {"a", "a/b", "a/b/theirs"}


def test_two_runs_into_one_new_parent_do_not_disturb_each_other(tmp_path):
    def chunks():
        unpack(pack(Tree.of({"b": b"y"})), tmp_path / "new/other")
        yield from pack(Tree.of({"a": b"x"}))

    unpack(chunks(), tmp_path / "new/target")
    assert set(seen(tmp_path / "new")) == {"other", "other/b", "target", "target/a"}


def test_a_file_in_the_way_is_told_before_anything_is_read(tmp_path):
    lay(tmp_path, {"file": b"x"})
    with pytest.raises(NotADirectoryError):
        unpack(iter([]), tmp_path / "file" / "target")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(("size", "what"), [(2, "more"), (4, "fewer"), (-1, "announces -1")])
def test_content_is_as_long_as_was_announced(tmp_path, size, what):
    with pytest.raises(CorruptArchiveError, match=what):
        extract([(Entry("a", "file", size), [b"x", b"", b"yz"])], tmp_path / "target")
    assert os.listdir(tmp_path) == []


def test_content_that_never_ends_is_not_written(tmp_path):
    def endless():
        while True:
            sizes.append(os.stat(glob.glob(f"{tmp_path}/.target*/a")[0]).st_size)
            yield bytes(1000)

    sizes = []
    with pytest.raises(CorruptArchiveError, match="more bytes than the 3000"):
        extract([(Entry("a", "file", 3000), endless())], tmp_path / "target")
    assert sizes == [0, 1000, 2000, 3000]


def test_a_link_to_a_directory_is_followed_and_stays(tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink("real", tmp_path / "target")
    unpack(pack(Tree.of({"a": b"x"})), tmp_path / "target")
    assert (tmp_path / "real" / "a").read_bytes() == b"x"
    assert (tmp_path / "target").is_symlink()


@pytest.mark.parametrize("nodes", [{"target/old": b"x"}, {"target/d": None}, {"target": b"file"}])
def test_a_directory_with_something_in_it_is_refused_before_anything_is_read(tmp_path, nodes):
    lay(tmp_path, nodes)
    before = seen(tmp_path)

    def chunks():
        pytest.fail("this was read")
        yield b""

    with pytest.raises(DestinationExistsError, match="target"):
        unpack(chunks(), tmp_path / "target")
    assert seen(tmp_path) == before


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("error", [ConnectionResetError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("at_end", [False, True])
def test_an_iterator_that_raises_undoes_everything(tmp_path, exists, error, at_end):
    archive = b"".join(pack(Tree.of({"d/a": b"x" * 100_000})))
    if exists:
        (tmp_path / "target").mkdir()

    def chunks():
        yield archive if at_end else archive[:-30]
        raise error("checksum")

    with pytest.raises(error, match="checksum"):
        unpack(chunks(), tmp_path / "target")
    assert seen(tmp_path) == ({"target": seen(tmp_path)["target"]} if exists else {})


def normal(root):
    return seen(root, times="file")


GNU = [("v7", {}), ("oldgnu", LONG | WIDE), ("gnu", LONG | WIDE), ("ustar", LONG), ("pax", LONG | WIDE)]
BSD = [("v7tar", {}), ("ustar", LONG), ("gnutar", LONG | WIDE), ("pax", LONG | WIDE), ("paxr", LONG | WIDE)]
PYTHON = [(tarfile.USTAR_FORMAT, LONG), (tarfile.GNU_FORMAT, LONG | WIDE), (tarfile.PAX_FORMAT, LONG | WIDE)]
LAYOUTS = {
    "whole": lambda source: ["."],
    "names": lambda source: sorted(os.listdir(source)),
    "no directories": lambda source: [f"./{name}" for name, (kind, *_) in seen(source).items() if kind != "directory"],
}


def lay_with_hard_link(tmp_path, nodes, layout):
    source = lay(tmp_path / "source", {k: v for k, v in nodes.items() if layout != "no directories" or v is not None})
    os.link(f"{source}/blocks", f"{source}/same")
    return source


def check(tmp_path, archive):
    unpack([archive], tmp_path / "target")
    assert normal(tmp_path / "target") == normal(tmp_path / "source")
    assert os.path.samefile(tmp_path / "target" / "blocks", tmp_path / "target" / "same")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("program", "form", "more"), [("gnu_tar", *form) for form in GNU] + [("bsdtar", *form) for form in BSD]
)
def test_archives_of_other_programs_are_read(tmp_path, request, program, form, more, layout):
    source = lay_with_hard_link(tmp_path, NODES | more, layout)
    command = [request.getfixturevalue(program), f"--format={form}", "-C", source, "-czf", "-", "--"]
    env = os.environ | {"LC_ALL": "C.UTF-8"}
    command += LAYOUTS[layout](source)
    check(tmp_path, subprocess.run(command, capture_output=True, check=True, env=env).stdout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("form", "more"), PYTHON)
def test_archives_of_python_are_read(tmp_path, form, more, layout):
    source = lay_with_hard_link(tmp_path, NODES | more, layout)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", format=form) as out:
        for name in LAYOUTS[layout](source):
            out.add(f"{source}/{name}", arcname=name)
    check(tmp_path, archive.getvalue())


def test_sub_second_times_of_others_are_rounded_down(tmp_path):
    for at, time in enumerate([b"12.75", b"-12.75", b"-0.5", b"-3.0", b"7."]):
        unpack([zipped(pax(mtime=time) + member(b"a"))], tmp_path / str(at))
    assert [os.stat(tmp_path / str(at) / "a").st_mtime for at in range(5)] == [12, -13, -1, -3, 7]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"00000000012\0", 10),
        (b"000000000012", 10),
        (b"         12 ", 10),
        (b"\0" * 12, 0),
        (b"\x80" + (2**33).to_bytes(11, "big"), 2**33),
        (b"\xff" * 12, -1),
        ((-(2**31)).to_bytes(12, "big", signed=True), -(2**31)),
    ],
)
def test_numbers_are_read_in_all_their_forms(tmp_path, field, expected):
    unpack([zipped(member(b"a", mtime=field))], tmp_path / "target")
    assert os.stat(tmp_path / "target" / "a").st_mtime == expected


FILE = ("file", b"", False, 0)
DIRECTORY = ("directory",)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([pax(b"g", mtime=b"7"), member(b"a"), member(b"b")], dict.fromkeys("ab", ("file", b"", False, 7))),
        ([pax(b"g", mtime=b"7"), pax(mtime=b"8"), member(b"a")], {"a": ("file", b"", False, 8)}),
        ([pax(path=b"long"), member(b"a"), member(b"b")], {"long": FILE, "b": FILE}),
        ([pax(size=b"3"), member(b"a", content=b"abc", size=b"0" * 12)], {"a": ("file", b"abc", False, 0)}),
        ([member(b"a", prefix=b"p"), member(b"b")], {"p": DIRECTORY, "p/a": FILE, "b": FILE}),
        ([member(b"b", prefix=b"q", magic=b"ustar  \0")], {"b": FILE}),
        ([member(b"d/", b"\0"), member(b"d/a", b"7", b"x")], {"d": DIRECTORY, "d/a": ("file", b"x", False, 0)}),
        ([member(b"./", b"5"), member(b".//a/.//b")], {"a": DIRECTORY, "a/b": FILE}),
        ([member(b"d/a"), member(b"d", b"5")], {"d": DIRECTORY, "d/a": FILE}),
        ([member(b"..."), member(b"..a"), member(b"b..")], {"...": FILE, "..a": FILE, "b..": FILE}),
        ([pax(comment=b"x", **{"SCHILY.xattr.user.a": b"\0=\n"}), member(b"a")], {"a": FILE}),
        ([member(b"L", b"L", b"l" * 200 + b"\0"), member(b"a")], {"l" * 200: FILE}),
        (
            [member(b"a"), member(b"b", b"1", target=b"./a"), member(b"c", b"1", target=b"a")],
            {"a": FILE, "b": FILE, "c": FILE},
        ),
    ],
)
def test_what_headers_say(tmp_path, members, expected):
    unpack([zipped(*members)], tmp_path / "target")
    assert seen(tmp_path / "target", times="file") == expected


def test_a_directory_that_comes_after_what_it_holds_gets_its_time(tmp_path):
    unpack([zipped(member(b"d/a"), member(b"d", b"5", mtime=b"00000000005\0"))], tmp_path / "target")
    assert seen(tmp_path / "target")["d"] == ("directory", 5)


def test_limits_that_are_just_met_refuse_nothing(tmp_path):
    archive = b"".join(pack(Tree.of({"d/a": b"xyz"})))
    assert unpack([archive], tmp_path / "target", limits=Limits(members=2, bytes=3)).bytes == 3


@pytest.mark.parametrize("end", [bytes(512), bytes(1024), bytes(10240), bytes(3 << 20)])
def test_any_number_of_zeros_ends_an_archive(tmp_path, end):
    unpack([zipped(member(b"a"), end=end)], tmp_path / "target")
    assert os.listdir(tmp_path / "target") == ["a"]


SMALL = {"d/a": b"content", "d/l": Link("a"), "run": Program(b"")}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    source = lay(tmp_path_factory.mktemp("small") / "source", SMALL)
    return b"".join(keystow.archive.gzip(tar(scan(source)))), seen(source)


def test_an_archive_cut_short_anywhere_is_refused(tmp_path, small):
    archive, _ = small
    for size in range(len(archive)):
        with pytest.raises(CorruptArchiveError):
            unpack([archive[:size]], tmp_path / "target")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_of_an_archive_that_is_cut_short_in_its_index_nothing_is_missing(tmp_path, small):
    data, found = small
    archive = b"".join(pack(scan(lay(tmp_path / "source", SMALL))))
    assert archive.startswith(data)
    for size in range(len(data), len(archive)):
        try:
            unpack([archive[:size]], tmp_path / str(size))
        except CorruptArchiveError:
            assert not (tmp_path / str(size)).exists()
        else:
            assert seen(tmp_path / str(size)) == found


def test_a_tar_cut_short_anywhere_is_refused(tmp_path, small):
    content = gzip.decompress(small[0]).rstrip(b"\0")
    for size in [*range(0, len(content), 64), *range(0, len(content) + 1, 512)]:
        with pytest.raises(CorruptArchiveError, match="cut short"):
            unpack([gzip.compress(content[:size], 1)], tmp_path / "target")
    assert os.listdir(tmp_path) == []


def test_a_flipped_byte_is_refused_or_changes_nothing(tmp_path, small):
    archive, found = small
    harmless = []
    for at in range(len(archive)):
        flipped = bytearray(archive)
        flipped[at] ^= 0x55
        try:
            unpack([bytes(flipped)], tmp_path / str(at))
        except ArchiveError:
            assert not (tmp_path / str(at)).exists()
        else:
            harmless.append(at)
            assert seen(tmp_path / str(at)) == found
    assert len(harmless) < len(archive) / 10


def test_a_flipped_byte_of_a_tar_header_is_refused(tmp_path):
    content = bytearray(member(b"a", content=b"x"))
    for at in range(512):
        content[at] ^= 0x55
        with pytest.raises((CorruptArchiveError, UnsafeArchiveError)):
            unpack([zipped(bytes(content))], tmp_path / "target")
        content[at] ^= 0x55
    assert os.listdir(tmp_path) == []
