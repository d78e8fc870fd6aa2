"""What is packed is read back by GNU tar, bsdtar and Python, each of which also lists what the headers say."""

import io
import os
import subprocess
import tarfile

import pytest
from archive_strategies import OLD, Link, Program, lay, seen

from keystow.archive import Entry, Tree, gunzip, pack, scan, tar

LONG = "/".join(["directory-" + "d" * 60, "x" * 150, "y" * 80])
NODES = {
    "a.txt": b"hello\n",
    "bin/run": Program(b"#!/bin/sh\n"),
    "empty": None,
    "void": b"",
    "block": b"b" * 512,
    "blocks": b"c" * 70_001,
    LONG: b"a name of 300 bytes",
    "n" * 100: b"100",
    "n" * 101: b"101",
    "n" * 255: b"255",
    "p" * 155 + "/" + "q" * 100: b"256, the most that ustar takes",
    "p" * 155 + "/" + "r" * 99: None,
    "p" * 155 + "/" + "s" * 100: None,
    "p" * 156 + "/" + "q" * 100: b"257",
    "ä/文件": "ö".encode(),
    "undecodable-\udcff\udc80": b"bytes",
    "spaces and\nlines ": b"",
    "-rf": b"",
    "back\\slash": b"",
    "link": Link("bin/run"),
    "links/long": Link("../" + LONG),
    "links/exactly100": Link("../" + "n" * 97),
    "links/ä": Link("../undecodable-\udcff\udc80"),
    "links/up": Link(".."),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    assert len(LONG) > 300
    return lay(tmp_path_factory.mktemp("tree") / "source", NODES)


def extract_with_program(program, archive, directory):
    env = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program, "-xzf", "-", "-C", directory], input=archive, env=env, capture_output=True, check=True
    )
    return [line for line in done.stderr.decode().splitlines() if "hdrcharset" not in line]


@pytest.mark.parametrize("reader", ["gnu_tar", "bsdtar"])
def test_programs_read_it(source, tmp_path, request, reader):
    complaints = extract_with_program(request.getfixturevalue(reader), b"".join(pack(scan(source))), tmp_path)
    assert complaints == []
    assert seen(tmp_path) == seen(source)


def test_python_reads_it(source, tmp_path):
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack(scan(source)))), errorlevel=2) as archive:
        archive.extractall(tmp_path, filter="tar")
    times = "file directory"  # Python sets no times of links
    assert seen(tmp_path, times=times) == seen(source, times=times)


def headers(tree: Tree, **options: int) -> list[tarfile.TarInfo]:
    return tarfile.open(fileobj=io.BytesIO(b"".join(tar(tree, **options)))).getmembers()


def test_nobody_owns_it_and_modes_are_two(source):
    os.chmod(f"{source}/a.txt", 0o600)
    os.chmod(f"{source}/bin/run", 0o4711)
    os.chmod(f"{source}/empty", 0o700)
    found = headers(scan(source))
    assert {(h.uid, h.gid, h.uname, h.gname, h.devmajor, h.devminor) for h in found} == {(0, 0, "", "", 0, 0)}
    modes = {(h.type, h.mode) for h in found}
    assert modes == {(b"0", 0o644), (b"0", 0o755), (b"5", 0o755), (b"2", 0o777)}
    assert next(h for h in found if h.name == "bin/run").mode == 0o755


@pytest.mark.parametrize(
    ("in_group", "executable"), [(0o100, True), (0o744, True), (0o010, False), (0o001, False), (0o677, False)]
)
def test_executable_is_what_the_owner_may_execute(tmp_path, in_group, executable):
    lay(tmp_path, {"a": b""})
    os.chmod(tmp_path / "a", in_group | 0o400)
    assert headers(scan(tmp_path))[0].mode == (0o755 if executable else 0o644)


@pytest.mark.parametrize("nanoseconds", [0, 1, 999_999_999])
def test_times_are_whole_seconds(tmp_path, nanoseconds):
    lay(tmp_path, {"a": b""})
    os.utime(tmp_path / "a", ns=(0, OLD * 10**9 + nanoseconds))
    assert [header.mtime for header in headers(scan(tmp_path))] == [OLD]
    assert b"mtime" not in b"".join(tar(scan(tmp_path)))


@pytest.mark.parametrize("mtime", [0, 1, 0o77777777777, 0o77777777777 + 1, -1, -(2**40)])
def test_mtime_stands_in_for_every_time(source, mtime):
    assert {header.mtime for header in headers(scan(source), mtime=mtime)} == {mtime}


@pytest.mark.parametrize("mtime", [0, -1, 2**33 + 1])
@pytest.mark.parametrize("reader", ["gnu_tar", "bsdtar"])
def test_programs_read_times_that_ustar_cannot_hold(tmp_path, request, reader, mtime):
    extract_with_program(request.getfixturevalue(reader), b"".join(pack(Tree.of({"a": b""}), mtime=mtime)), tmp_path)
    assert os.stat(tmp_path / "a").st_mtime == mtime


def test_what_ustar_can_say_is_plain_ustar(tmp_path):
    lay(tmp_path, {"p" * 99 + "/" + "q" * 100: b"x", "d/e": None, "l": Link("n" * 100)})
    archive = b"".join(tar(scan(tmp_path)))
    kinds = [
        archive[at + 156 : at + 157] for at in range(0, len(archive), 512) if archive[at + 257 : at + 262] == b"ustar"
    ]
    assert kinds == [b"5", b"5", b"2", b"5", b"0"]


def test_the_end_is_two_blocks_of_zeros_filled_up_to_a_record():
    for size in (0, 1, 8 * 512, 17 * 512, 18 * 512, 100_000):
        archive = b"".join(tar(Tree.of({"a": b"x" * size})))
        assert len(archive) % 10240 == 0
        assert archive.endswith(bytes(1024))
    assert b"".join(tar(Tree.of({}))) == bytes(10240)


@pytest.mark.parametrize("pieces", [[b"abc"], [b"abcde"], [], [b"ab", b"cdef"]])
def test_content_that_is_not_as_long_as_announced_is_an_error(pieces):
    tree = Tree((Entry("a", "file", 4),), lambda entry: iter(pieces))
    with pytest.raises(ValueError, match=r"'a' gave . bytes where 4 were announced"):
        list(tar(tree))


@pytest.mark.parametrize("length", [*range(85, 106), 984, 985, 986, 987, 988, 989, 990, 991])
def test_a_pax_record_counts_its_own_length(length):
    name = "ä" + "/x" * (length // 2) + "y" * (length % 2)
    tree = Tree((Entry(name, "file"), Entry("z", "file", 1)), lambda entry: iter([b"z" * entry.size]))
    assert [header.name for header in headers(tree)] == [name, "z"]


def test_bytes_that_are_no_text_are_announced():
    def keywords(name: str) -> dict[str, str]:
        return headers(Tree((Entry(name, "file"),), lambda entry: iter([])))[0].pax_headers

    assert "hdrcharset" not in keywords("ä")
    assert keywords("\udce4") == {"hdrcharset": "BINARY", "path": "\udce4"}


def test_pack_is_gzip_of_tar(source):
    assert b"".join(gunzip(pack(scan(source), mtime=5))) == b"".join(tar(scan(source), mtime=5))
