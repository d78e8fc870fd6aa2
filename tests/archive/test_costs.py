"""No archive of a compressed megabyte costs more than 300 MB of memory, or 100 MB of disk unless it holds that much.

Each is unpacked by a process of its own, which counts what it makes. No time is asserted.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import zlib

import pytest
from archive_strategies import END, member, pax, zipped

from keystow.archive import Entry, LimitExceededError, Limits, Tree, UnsafeArchiveError, extract, pack, unpack

MEASURE = """
    import json, os, resource, sys

    from keystow.archive import ArchiveError, Limits, Tree, pack, unpack

    def resident():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    archive, target, limits = sys.argv[1:]
    unpack(pack(Tree.of({"a": bytes(3 << 20)})), target + "-warm")
    made = {"directories": 0, "others": 0}

    def count(event, arguments):
        if event == "os.mkdir":
            made["directories"] += 1
        elif event in {"os.symlink", "os.link"} or event == "open" and (arguments[2] or 0) & os.O_CREAT:
            made["others"] += 1

    sys.addaudithook(count)
    before = resident()
    says, limit, size = "", "", 0
    with open(archive, "rb") as file:
        try:
            size = unpack(iter(lambda: file.read(1 << 18), b""), target, limits=Limits(**json.loads(limits))).bytes
        except ArchiveError as error:
            says, limit = type(error).__name__, getattr(error, "limit", "")
    print(json.dumps({"says": says, "limit": limit, "size": size, "memory": resident() - before, **made}))
"""
MEGABYTE = 1 << 20


def cost(tmp_path, archive, **limits):
    """What it costs to unpack ``archive``, a compressed one."""
    assert len(archive) <= MEGABYTE
    (tmp_path / "archive").write_bytes(archive)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as place:
        command = [sys.executable, "-c", textwrap.dedent(MEASURE), tmp_path / "archive", f"{place}/target"]
        done = subprocess.run([*command, json.dumps(limits)], capture_output=True, text=True, check=True, timeout=280)
        found = json.loads(done.stdout)
        assert os.path.exists(f"{place}/target") != bool(found["says"])
    assert found["memory"] < 300_000_000
    assert 2048 * found["directories"] + 256 * found["others"] <= 101_000_000
    return found


def repeated(data, times, most=MEGABYTE - 10_000):
    """gzip members, each of ``data``, as many as there may be."""
    once = gzip.compress(data, 9, mtime=0)
    return once * min(times, most // len(once))


def many(make, most=980_000, batch=500, **options):
    """As many members as fit into a compressed megabyte: ``make(i)`` gives the one of number ``i``."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    out, size, at = [], 0, 0
    while size < most and at < 400_000:
        data = packer.compress(b"".join(make(i) for i in range(at, at + batch)))
        size += len(data)
        out.append(data)
        at += batch
    return b"".join([*out, packer.compress(END), packer.flush()])


def link(name, target):
    return pax(path=name, linkpath=target) + member(b"-", b"2", target=b"-")


def deep(at):
    return pax(path=b"%d/" % at + b"d/" * 2000 + b"f") + member(b"-")


ZEROS = bytes(16 << 20)
HEADERS = {
    "many small records": pax(**{f"k{i}": b"" for i in range(50_000)}),
    "empty pax headers": member(b"x", b"x") * 20_000,
    "global headers": pax(b"g", path=b"evil") * 20_000,
    "long names": member(b"L", b"L", b"n" * 4000) * 2000,
    "long links": member(b"K", b"K", b"n" * 4000) * 2000,
    "large pax headers": pax(comment=b"c" * 1_000_000) * 4,
}
BOMBS = {
    "forty names that imply two thousand directories each": (lambda: zipped(*map(deep, range(40))), "depth", {}),
    "the same, when depth has no limit": (lambda: zipped(*map(deep, range(40))), "ratio", {"depth": None}),
    "names of 250 levels": (lambda: many(lambda i: pax(path=b"%d/" % i + b"d/" * 250) + member(b"-")), "ratio", {}),
    "zeros": (lambda: gzip.compress(member(b"a", size=b"%011o\0" % (1 << 30))) + repeated(ZEROS, 64), "ratio", {}),
    "many files of zeros": (lambda: repeated(member(b"a", content=ZEROS), 60), None, {}),
    "a size that no disk has": (lambda: zipped(member(b"a", size=b"\x80" + bytes(4) + b"\x7f" * 7)), "disk", {}),
    "directories": (lambda: many(lambda i: member(b"%07d" % i, b"5")), "ratio", {}),
    "links with long targets": (lambda: many(lambda i: link(b"%d" % i, b"x/" * 2040), batch=50), "names", {}),
    "empty files, when only members have a limit": (
        lambda: many(lambda i: member(b"%07d" % i)),
        "members",
        {"ratio": None, "members": 50_000},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_before_it_costs_much(tmp_path, bomb):
    archive, limit, limits = BOMBS[bomb]
    found = cost(tmp_path, archive(), **limits)
    assert found["says"]
    assert found["limit"] == limit or limit is None
    if limit == "ratio" and "levels" in bomb:
        assert found["directories"] <= 24_500


@pytest.mark.slow
@pytest.mark.parametrize("kind", [b"0", b"1", b"2"])
def test_a_megabyte_of_members_is_no_bomb(tmp_path, kind):
    """Each takes nine bytes or more of it, so there is no way to make many more; a disk may have a limit of links."""
    first = gzip.compress(member(b"a"))
    found = cost(tmp_path, first + many(lambda i: member(b"%07d" % i, kind, target=b"a" * (kind != b"0"))))
    assert found["limit"] == "disk" if found["says"] else found["others"] > 80_000
    assert kind == b"1" or not found["says"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEADERS)
def test_headers_without_members_are_refused(tmp_path, kind):
    assert cost(tmp_path, repeated(HEADERS[kind], 1000))["says"] in {"UnsafeArchiveError", "CorruptArchiveError"}


def test_the_root_is_one_member(tmp_path):
    assert cost(tmp_path, repeated(member(b"./", b"5") * 20_000, 100))["says"] == "UnsafeArchiveError"
    assert unpack([zipped(member(b"./", b"5"), member(b"a"))], tmp_path / "one").members == 1


@pytest.mark.slow
@pytest.mark.parametrize("nothing", [b"", b"\0", bytes(1 << 16), ZEROS])
def test_what_is_empty_costs_nothing(tmp_path, nothing):
    """Gzip members of nothing, or of the zeros that end an archive."""
    found = cost(tmp_path, zipped(member(b"a")) + repeated(nothing, 100 if nothing is ZEROS else 100_000))
    assert (found["says"], found["others"]) == ("", 1)


LINKS = {
    "long": [(b"l%d" % i, b"x/" * 2040) for i in range(1000)],
    "long and winding": [(b"l%d" % i, b"l%d/" % (i + 1) + b"x/" * 2000) for i in range(1000)],
    "deep": [(b"d/" * 250 + b"%d" % i, b"../" * 250 + b"d/" * 250) for i in range(1000)],
    "chained": [(b"l%d" % i, b"l%d" % (i + 1)) for i in range(30_000)],
    "round": [(b"l%d" % i, b"./" * 40 + b"l%d" % ((i + 1) % 20_000)) for i in range(20_000)],
    "through one": [(b"l", b"d/" * 90), *((b"m%d" % i, b"l/../" * 9) for i in range(20_000))],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LINKS)
def test_links_cost_what_they_hold(tmp_path, kind):
    packed = gzip.compress(b"".join(link(*pair) for pair in LINKS[kind]) + END, 9)
    found = cost(tmp_path, packed)
    assert found["says"] in {"", "UnsafeArchiveError"}
    assert kind not in {"long", "deep", "chained"} or not found["says"]


@pytest.mark.parametrize(
    ("limits", "limit", "says"),
    [
        (Limits(members=6), "members", r"more than 6 members: raise Limits\(members=…\)"),
        (Limits(bytes=8), "bytes", r"more than 8 bytes: raise Limits\(bytes=…\)"),
        (Limits(depth=2), "depth", r"'d/e/a' lies 3 levels deep, and 2 are allowed: raise Limits\(depth=…\)"),
        (Limits(names=9), "names", r"more than 9 bytes of names: raise Limits\(names=…\)"),
    ],
)
def test_a_limit_that_is_just_met_refuses_nothing_and_the_next_one_names_itself(tmp_path, limits, limit, says):
    members = [
        (Entry("d/e/a", "file", 4), [b"1234"]),
        (Entry("d/f", "file", 5), [b"12345"]),
        (Entry("l", "symlink", target="./d"), []),
        (Entry("x", "directory"), []),
        (Entry("h", "hardlink", target="d/f"), []),
    ]
    with pytest.raises(LimitExceededError, match=says) as refused:
        extract(members, tmp_path / "target", limits=limits)
    assert refused.value.limit == limit
    assert os.listdir(tmp_path) == []
    met = Limits(members=7, bytes=9, depth=3, names=10, ratio=0)
    assert extract(members, tmp_path / "target", limits=met).members == 7


def test_the_ratio_counts_from_100_mb_on(tmp_path):
    """Content of just that much is free, whatever the archive takes; the next byte is not."""
    piece = bytes(1_000_000)
    for count, refused in ((99, False), (100, True)):
        tree = Tree.of({"a": b""} | {f"d/{i}": piece for i in range(count)})
        archive = b"".join(pack(tree))
        target = tmp_path / str(count)
        if refused:
            with pytest.raises(LimitExceededError, match=r"raise Limits\(ratio=…\) if you trust") as found:
                unpack([archive], target, limits=Limits(ratio=10))
            assert found.value.limit == "ratio"
            assert unpack([archive], target, limits=Limits(ratio=100_000_000 // len(archive) + 2)).members == 102
        else:
            unpack([archive], target, limits=Limits(ratio=0))


def test_names_and_targets_in_messages_are_escaped_and_cut(tmp_path):
    for name in (b"../" + b"\x1b[2J\xe2\x80\xae\xff" * 300, b"\x1b[31m" + b"n" * 4000 + b"/../../x"):
        with pytest.raises(UnsafeArchiveError) as refused:
            unpack([zipped(pax(path=name) + member(b"-"))], tmp_path / "target")
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 2000


@pytest.mark.slow
@pytest.mark.parametrize(
    "files",
    [
        {f"{i:06}": b"" for i in range(100_000)},
        {f"part-{i:05}/result.json": b'{"ok": true}' for i in range(40_000)},
        {"/".join(f"{at:x}{level}" for level in range(200)): b"x" for at in range(100)},
    ],
    ids=["empty files", "a directory for each file", "200 levels"],
)
def test_what_people_pack_is_within_the_limits(tmp_path, files):
    """Without even a difference of times, which would make archives larger."""
    tree = Tree.of(files)
    assert unpack(pack(tree), tmp_path / "target").members == len(tree.entries)
