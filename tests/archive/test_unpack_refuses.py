"""Archives that were made to do harm: each is refused as a whole, by an ``ArchiveError``, and leaves nothing behind."""

import errno
import os
import resource
import tracemalloc

import pytest
from archive_strategies import Link, examples, hostile_members, lay, member, pax, record, seen, zipped
from hypothesis import example, given
from hypothesis import strategies as st

from keystow.archive import (
    ArchiveError,
    CorruptArchiveError,
    LimitExceededError,
    Limits,
    Tree,
    UnsafeArchiveError,
    gzip,
    pack,
    unpack,
)

A = member(b"a", content=b"x")
SEGMENT_TOO_LONG = b"n" * 256
PATH_TOO_LONG = b"/".join([b"n" * 200] * 25)


def link(name: bytes, target: bytes) -> bytes:
    return member(name, b"2", target=target)


def hard(name: bytes, target: bytes) -> bytes:
    return member(name, b"1", target=target)


def huge(size: int) -> bytes:
    return b"\x80" + size.to_bytes(11, "big")


def negative(size: int) -> bytes:
    return size.to_bytes(12, "big", signed=True)


UNSAFE = {
    "absolute": [member(b"/a")],
    "absolute directory": [member(b"/tmp/", b"5")],
    "two slashes": [member(b"//a")],
    "parent": [member(b"../a")],
    "parent itself": [member(b"..", b"5")],
    "parent within": [member(b"d/../../a")],
    "parent that comes back": [member(b"d/../a")],
    "parent in the prefix": [member(b"a", prefix=b"..")],
    "absolute prefix": [member(b"a", prefix=b"/d")],
    "parent in a pax header": [pax(path=b"../a") + A],
    "absolute in a global pax header": [pax(b"g", path=b"/a") + A],
    "parent in a GNU name": [member(b"L", b"L", b"../a\0"), A],
    "no name": [member(b"")],
    "zero byte": [pax(path=b"a\0b") + A],
    "root as a file": [member(b".", content=b"x")],
    "two roots": [member(b"./", b"5"), A, member(b".", b"5")],
    "root as a link": [link(b"./", b"d")],
    "link to parent": [link(b"l", b"..")],
    "link to neighbour": [link(b"l", b"../outside")],
    "absolute link": [link(b"l", b"/etc/passwd")],
    "link without target": [link(b"l", b"")],
    "link target with zero byte": [pax(linkpath=b"a\0b") + link(b"l", b"a")],
    "link out in a pax header": [pax(linkpath=b"../..") + link(b"l", b"a")],
    "link out in a GNU name": [member(b"K", b"K", b"../..\0"), link(b"l", b"a")],
    "link out from below": [member(b"d/e/", b"5"), link(b"d/e/l", b"../../..")],
    "link out by way of a link": [member(b"d/e/", b"5"), link(b"up", b"d"), link(b"l", b"up/../..")],
    "link out by way of a later link": [link(b"l", b"m/../.."), link(b"m", b"d/e"), link(b"d/e", b"../f"), A],
    "link out by way of what is missing": [link(b"l", b"missing/../../x")],
    "link out that goes round": [link(b"l", b"l/../../x")],
    "link out beyond forty links": [
        *(link(b"l%d" % i, b"l%d" % (i + 1)) for i in range(45)),
        link(b"l45", b"d"),
        link(b"x", b"l0/../../out"),
    ],
    "write through a link": [link(b"l", b"d"), member(b"d/", b"5"), member(b"l/a", content=b"x")],
    "write through a link out": [link(b"l", b"/tmp"), member(b"l/a", content=b"x")],
    "link in place of a directory": [member(b"d/a"), link(b"d", b"/tmp")],
    "directory in place of a link": [link(b"d", b"e"), member(b"d/", b"5")],
    "hard link to what is missing": [hard(b"h", b"a")],
    "hard link to what comes later": [hard(b"h", b"a"), A],
    "hard link to itself": [hard(b"h", b"h")],
    "hard link out": [hard(b"h", b"../outside/secret")],
    "absolute hard link": [hard(b"h", b"/etc/passwd")],
    "hard link to a link": [link(b"l", b"a"), A, hard(b"h", b"l")],
    "hard link to a directory": [member(b"d/", b"5"), hard(b"h", b"d")],
    "hard link to the root": [hard(b"h", b".")],
    "hard link through a link": [link(b"l", b"d"), member(b"d/a"), hard(b"h", b"l/a")],
    "hard link in place of a file": [A, member(b"b"), hard(b"b", b"a")],
    "character device": [member(b"n", b"3")],
    "block device": [member(b"n", b"4")],
    "FIFO": [member(b"n", b"6")],
    "old sparse file": [member(b"s", b"S")],
    "pax sparse file": [pax(**{"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0"}) + A],
    "volume label": [member(b"v", b"V")],
    "dump directory": [member(b"d", b"D")],
    "multi-volume": [member(b"m", b"M")],
    "unknown kind": [member(b"u", b"Z")],
    "two files": [A, A],
    "two directories": [member(b"d/", b"5"), member(b"d", b"5")],
    "two spellings": [A, member(b"./a")],
    "two links": [link(b"l", b"a"), link(b"l", b"b")],
    "file, then directory": [A, member(b"a/", b"5")],
    "directory, then file": [member(b"a/", b"5"), A],
    "file, then child": [A, member(b"a/b")],
    "child, then file": [member(b"a/b"), A],
    "child, then link": [member(b"a/b"), link(b"a", b"c")],
    "link, then child": [link(b"a", b"c"), member(b"a/b")],
    "path too long": [pax(path=PATH_TOO_LONG) + A],
    "path of half a million segments": [pax(path=b"a/" * 500_000) + A],
    "link target too long": [pax(linkpath=PATH_TOO_LONG) + link(b"l", b"a")],
    "header past a megabyte": [member(b"L", b"L", bytes(2 << 20)), A],
    "header of a terabyte": [member(b"x", b"x", size=huge(1 << 40)), A],
}
CORRUPT = {
    "no tar": [b"this is text".ljust(2048, b".")],
    "negative size": [member(b"a", size=negative(-512))],
    "negative size of a header": [member(b"L", b"L", size=negative(-1024))],
    "negative size in a pax header": [pax(size=b"-1") + A],
    "size that is no number": [member(b"a", size=b"0000000zzzz\0")],
    "size with an underscore": [pax(size=b"1_0") + A],
    "size with a fraction": [pax(size=b"1.0") + A],
    "size of five thousand digits": [pax(size=b"1" * 5000) + A],
    "empty size": [pax(size=b"") + A],
    "time that is no number": [pax(mtime=b"now") + A],
    "time of five thousand digits": [pax(mtime=b"9" * 5000) + A],
    "time past 64 bits": [member(b"a", mtime=huge(1 << 80))],
    "time past 64 bits, negative": [member(b"a", mtime=negative(-(1 << 80)))],
    "time past 64 bits in a pax header": [pax(mtime=b"%d" % (1 << 63)) + A],
    "mode that is no number": [member(b"a", mode=b"rw-r--r-")],
    "pax header without length": [member(b"x", b"x", b"path=a\n") + A],
    "pax header with a wrong length": [member(b"x", b"x", b"9 path=a\n12345 path=b\n") + A],
    "pax header with a length of five thousand digits": [member(b"x", b"x", b"1" * 5000 + b" path=a\n") + A],
    "pax header without newline": [member(b"x", b"x", b"9 path=ab") + A],
    "pax header without equals sign": [member(b"x", b"x", b"8 path a\n") + A],
    "pax header that is too short for its length": [member(b"x", b"x", b"2 path=a\n") + A],
    "content cut short": [member(b"a", size=b"00000100000\0")],
}
TOO_MUCH = {
    "more bytes than the disk has": [member(b"a", size=huge(1 << 62))],
    "more bytes than the disk has, in a pax header": [pax(size=b"%d" % (1 << 62)) + A],
    "segment too long for the disk": [pax(path=SEGMENT_TOO_LONG) + A],
    "directory too long for the disk": [pax(path=SEGMENT_TOO_LONG + b"/a") + A],
    "link too long for the disk": [pax(path=SEGMENT_TOO_LONG) + link(b"l", b"a")],
    "hard link too long for the disk": [A, pax(path=SEGMENT_TOO_LONG) + hard(b"h", b"a")],
    "path that is too long below the directory": [pax(path=b"/".join([b"n" * 100] * 40)) + A],
}
REFUSED = [
    pytest.param(members, error, id=name)
    for table, error in ((UNSAFE, UnsafeArchiveError), (CORRUPT, CorruptArchiveError), (TOO_MUCH, LimitExceededError))
    for name, members in table.items()
]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(("members", "error"), REFUSED)
def test_it_is_refused_and_nothing_is_left(tmp_path, members, error, exists):
    lay(tmp_path / "place", {"outside/secret": b"secret"} | ({"target": None} if exists else {}))
    before = seen(tmp_path / "place", times="file")
    with pytest.raises(error) as refused:
        unpack([zipped(member(b"first/file", content=b"y"), *members)], tmp_path / "place" / "target")
    assert type(refused.value) is error
    assert len(str(refused.value)) < 5000
    assert seen(tmp_path / "place", times="file") == before


@pytest.mark.parametrize("rest", [A + bytes(1024), b"x", bytes(5000) + b"x"])
@pytest.mark.parametrize("size", [1, 700, 1 << 20])
def test_data_behind_the_end_is_refused(tmp_path, rest, size):
    archive = zipped(member(b"first"), end=bytes(1024) + rest)
    with pytest.raises(UnsafeArchiveError, match="behind the end"):
        unpack((archive[at : at + size] for at in range(0, len(archive), size)), tmp_path / "target")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("rest", [b"x", zipped(A)[:-1], b"\0\0x"], ids=["text", "half an archive", "zeros"])
def test_data_behind_the_gzip_stream_is_refused(tmp_path, rest):
    with pytest.raises(ArchiveError):
        unpack([zipped(A) + rest], tmp_path / "target")
    assert os.listdir(tmp_path) == []


def test_a_second_gzip_member_with_a_second_archive_is_refused(tmp_path):
    with pytest.raises(UnsafeArchiveError, match="behind the end"):
        unpack([zipped(A) + zipped(member(b"b"))], tmp_path / "target")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (Limits(members=3), "more than 3 members: raise Limits"),
        (Limits(members=0), "more than 0 members"),
        (Limits(bytes=8), "more than 8 bytes: raise Limits"),
        (Limits(members=9, bytes=0), "more than 0 bytes"),
    ],
)
def test_limits_are_kept(tmp_path, limits, what):
    archive = b"".join(pack(Tree.of({"d/e/a": b"12345", "d/b": b"6789"})))
    with pytest.raises(LimitExceededError, match=what):
        unpack([archive], tmp_path / "target", limits=limits)
    assert os.listdir(tmp_path) == []


def test_directories_that_names_imply_count_as_members(tmp_path):
    with pytest.raises(LimitExceededError):
        unpack([zipped(member(b"a/b/c/d"))], tmp_path / "target", limits=Limits(members=3))
    assert unpack([zipped(member(b"a/b/c/d"))], tmp_path / "target", limits=Limits(members=4)).members == 4


def test_a_bomb_is_refused_before_it_is_inflated(tmp_path):
    size = 1 << 30
    bomb = gzip([member(b"a", size=b"%011o\0" % size), *([bytes(1 << 20)] * 3)])
    with pytest.raises(LimitExceededError):
        unpack(bomb, tmp_path / "target", limits=Limits(bytes=size - 1))


def test_a_disk_that_takes_no_more_is_a_limit(tmp_path):
    archive = b"".join(pack(Tree.of({"a": b"x" * 100_000})))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(LimitExceededError, match="the disk cannot hold the member 'a'"):
            unpack([archive], tmp_path / "target")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_a_refused_archive_of_two_thousand_levels_leaves_nothing(tmp_path):
    deep = b"d/" * ((4090 - len(os.fsencode(tmp_path)) - 40) // 2)
    archive = zipped(pax(path=deep) + member(b"d", b"5"), member(b"../a"))
    with pytest.raises(UnsafeArchiveError):
        unpack([archive], tmp_path / "target", limits=Limits(depth=None))
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_headers_that_nobody_reads_take_no_memory(tmp_path):
    def chunks():
        for at in range(40):
            noise = b"".join(record(b"k%d.%d" % (at, i), b"v" * 1000) for i in range(900))
            yield member(b"g", b"g", noise)
        yield A + bytes(1024)

    tracemalloc.start()
    try:
        unpack(gzip(chunks(), threads=1), tmp_path / "target")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20


def test_long_winding_links_are_refused_without_following_them_all(tmp_path):
    winding = b"x/" * 1900
    links = [pax(linkpath=b"l%d/" % (i + 1) + winding) + link(b"l%d" % i, b"-") for i in range(39)]
    with pytest.raises(UnsafeArchiveError, match="leads out"):
        unpack([zipped(*links, link(b"l39", b"../.."))], tmp_path / "target")


OUTSIDE = {"outside/secret": b"secret", "neighbour": b"n", "b": b"b", "to-target": Link("target")}


def check_harmless(place, archive):
    root = lay(place, OUTSIDE)
    target = f"{root}/target"
    before = seen(root, times="file")
    try:
        unpack([archive], target, limits=Limits(members=1000, bytes=1 << 20))
    except ArchiveError:
        assert seen(root, times="file") == before
        return
    after = seen(root, times="file")
    assert {name: found for name, found in after.items() if not f"{name}/".startswith("target/")} == before
    for name in seen(target):
        path = f"{target}/{name}"
        assert leads_nowhere(path) or f"{os.path.realpath(path)}/".startswith(f"{os.path.realpath(target)}/")
        assert os.path.islink(path) or os.stat(path).st_uid == os.geteuid()


def leads_nowhere(path):
    """Whether links lead round in a circle, of which ``realpath`` may say that it ends at the root."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@pytest.mark.slow
@examples(250)
@example([link(b"a", b"a//.")])
@given(st.lists(hostile_members(), min_size=1, max_size=5))
def test_hostile_names_never_escape(tmp_path_factory, members):
    check_harmless(tmp_path_factory.mktemp("hostile"), zipped(*members))


fields = st.sampled_from([(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)])


@st.composite
def scrambled(draw):
    """A header with bytes of any value in some of its fields, and a right checksum."""
    block = bytearray(member(b"a"))
    for start, length in draw(st.lists(fields, min_size=1, max_size=3)):
        noise = draw(st.one_of(st.binary(max_size=length), st.sampled_from([b"\x80", b"\xff" * length, b"/", b".."])))
        noise = noise[:length]
        block[start : start + len(noise)] = noise
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@examples(250)
@given(st.lists(st.one_of(scrambled(), st.binary(max_size=1024)), min_size=1, max_size=4))
def test_noise_is_refused_by_an_archive_error(tmp_path_factory, blocks):
    check_harmless(tmp_path_factory.mktemp("noise"), zipped(*blocks))


@examples(200)
@given(
    st.lists(
        st.sampled_from([b"1", b"9", b" ", b"=", b"\n", b"path", b"size", b"mtime", b"-", b".", b"\xff"]), max_size=30
    )
)
def test_noise_in_a_pax_header_is_refused_by_an_archive_error(tmp_path_factory, parts):
    check_harmless(tmp_path_factory.mktemp("pax"), zipped(member(b"x", b"x", b"".join(parts)), A))
