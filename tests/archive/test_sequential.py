"""An index beside what other programs packed: what is read by it, and what strangers write."""

import base64
import gzip
import hashlib
import io
import random
import subprocess
import tarfile
import tracemalloc
import zlib
from itertools import accumulate, pairwise

import indexed
import pytest
from archive_strategies import END, Link, Program, lay, member, pax
from forged import forged, parts
from hypothesis import given
from hypothesis import strategies as st
from indexed import MIB, Ranges

from keystow.archive import CorruptArchiveError, Tree, UnsafeArchiveError
from keystow.archive.beside import NotInBlocksError, open_beside
from keystow.archive.indexing import ENDING
from keystow.archive.sequential import SequentialBeside

RANDOM = random.Random(11)
NODES = {
    **{f"few/{number}.txt": b"%d lines\n" % number * 700 for number in range(60)},
    "empty": b"",
    "empty directory": None,
    "large": RANDOM.randbytes(2 * MIB + 1) + bytes(3 * MIB),
    "n" * 160: b"a long name",
    "run.sh": Program(b"#!/bin/sh\n"),
    "soft": Link("run.sh"),
    "z/noise": RANDOM.randbytes(MIB),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return lay(tmp_path_factory.mktemp("tree") / "tree", NODES)


def tarred(tree, *options):
    return subprocess.run(["tar", "-C", tree, *options, "-cf", "-", "."], capture_output=True, check=True).stdout


def by(*program):
    return lambda stream: subprocess.run(program, input=stream, capture_output=True, check=True).stdout


def in_members(stream, step=70_000):
    """As bgzip does it, with zeros behind, as a tape has them."""
    return b"".join(gzip.compress(stream[at : at + step]) for at in range(0, len(stream), step)) + bytes(100)


def made_of(archive, step=100_000):
    beside = SequentialBeside(archive[at : at + step] for at in range(0, len(archive), step))
    for _, content in beside.members():
        for _ in content:
            pass
    made = beside.finish()
    return None if made is None else b"".join(made.pieces)


def opened(archive, made):
    return open_beside(Ranges(archive), len(archive), Ranges(made), len(made))


def told(stream):
    """What a tar stream holds, as ``tarfile`` reads it."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        for each in archive:
            content = archive.extractfile(each)
            found[each.name.removeprefix("./")] = content.read() if content is not None and each.isreg() else b""
    found.pop(".", None)
    return found


def contents(index, members):
    return {entry.name: b"".join(content) for entry, content in index.contents(members)}


def all_of(archive, made):
    index = opened(archive, made)
    return contents(index, list(index))


PROGRAMS = {
    "gzip": by("gzip", "-6"),
    "gzip -1": by("gzip", "-1"),
    "pigz": by("pigz", "-b", "128"),
    "pigz -i": by("pigz", "-i"),
    "members": in_members,
}


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=posix"], ["--format=v7"], ["--sort=name"]])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_what_other_programs_made(tree, program, options):
    stream = tarred(tree, *options, *(["--exclude=./nnn*"] if "v7" in options[0] else []))
    archive = program(stream)
    index = opened(archive, made_of(archive))
    members, known = list(index), told(stream)
    assert index.is_sequential
    assert index.tar_sha256 == hashlib.sha256(stream).hexdigest()
    assert index.whole.sha256 == hashlib.sha256(archive).hexdigest()
    assert {each.entry.name: each.entry.size for each in members} == {name: len(known[name]) for name in known}
    assert [each.entry.name for each in members if each.entry.executable and each.entry.kind == "file"] == ["run.sh"]
    assert index.find("soft").entry.target == "run.sh"
    assert contents(index, members) == known
    for each in RANDOM.sample(members, 12):
        assert contents(index, [index.find(each.entry.name)]) == {each.entry.name: known[each.entry.name]}


@pytest.fixture(scope="module")
def sample(tree):
    """A tar stream, what gzip makes of it, and its index."""
    stream = tarred(tree, "--sort=name")
    archive = PROGRAMS["gzip"](stream)
    return stream, archive, made_of(archive)


def asked(ranges):
    return sum(stop - start for start, stop in ranges.asked)


def test_no_more_is_read_than_what_lies_before_and_that_once(sample):
    stream, archive, made = sample
    ranges = Ranges(archive)
    index = open_beside(ranges, len(archive), Ranges(made), len(made))
    begun = asked(ranges)
    assert contents(index, [index.find("few/1.txt")]) == {"few/1.txt": told(stream)["few/1.txt"]}
    few = asked(ranges) - begun
    assert few < len(archive) // 3
    contents(index, [index.find("few/30.txt")])
    contents(index, [index.find("few/31.txt")])
    assert asked(ranges) - begun == few
    for name in ("large", "z/noise"):
        contents(index, [index.find(name)])
    assert asked(ranges) - begun <= len(archive)
    assert contents(index, [index.find("few/2.txt")]) == {"few/2.txt": told(stream)["few/2.txt"]}


def test_two_may_read_at_once(sample):
    stream, archive, made = sample
    index, known = opened(archive, made), told(stream)
    first, second = ([index.find(name)] for name in ("large", "z/noise"))
    one, other = index.contents(first), index.contents(second)
    for _, content in one:
        begun = next(content)
        for _, more in other:
            assert b"".join(more) == known["z/noise"]
        assert bytes(begun) + b"".join(content) == known["large"]
    assert contents(index, list(index)) == known


@pytest.mark.slow
@given(st.integers(1, 3 * MIB))
def test_the_index_does_not_depend_on_what_came_together(sample, step):
    _, archive, made = sample
    assert made_of(archive, max(step, 1000)) == made


@pytest.mark.slow
@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_any_part_of_the_tar_stream(sample, start, length):
    stream, archive, made = sample
    start %= len(stream)
    stop = min(len(stream), start + length % (2 * MIB))
    index = opened(archive, made)
    assert b"".join(index.read(start, stop)) == stream[start:stop]


@pytest.mark.parametrize(("shift", "holds"), [(-300, True), (-70_000, False), (300, False)])
def test_an_inflater_may_give_more_than_a_block_says_and_never_less(sample, shift, holds):
    """And not much more, or a block of a few bytes could be any number of them."""
    stream, archive, made = sample
    _, root, [page] = parts(bytes(len(archive)) + made)
    sizes = page["blocks"]["size"]
    changed = [sizes[0] + shift, *sizes[1:-1], sizes[-1] - shift]
    index = opened(archive, forged(b"", root, [page | {"blocks": page["blocks"] | {"size": changed}}]))
    if holds:
        assert b"".join(index.read(0, len(stream))) == stream
    else:
        with pytest.raises(CorruptArchiveError, match="not as long as its index says"):
            list(index.read(0, len(stream)))


@pytest.mark.slow
def test_damage_to_a_block_is_seen_before_it_is_inflated(sample):
    stream, archive, made = sample
    sound = opened(archive, made)
    places = [block.start for block in sound.all_blocks()] + [len(archive) - ENDING - 1]
    for at in places:
        damaged = bytearray(archive)
        damaged[at] ^= 1
        index = opened(bytes(damaged), made)
        with pytest.raises(CorruptArchiveError, match="damaged"):
            list(index.read(0, len(stream)))
        begin = max(each.tar_start for each in sound.all_blocks() if each.start <= at)
        assert b"".join(index.read(0, begin)) == stream[:begin]


def test_an_index_is_of_one_archive(sample):
    _, archive, made = sample
    other = bytearray(archive)
    other[-ENDING] ^= 1
    for changed in (bytes(other), archive + b"\0", archive[:-1], b""):
        with pytest.raises(CorruptArchiveError, match=r"of another archive|fit the archive"):
            opened(changed, made)
    _, root, pages = parts(bytes(len(archive)) + made)
    for change in ({"sequential": False}, {"sequential": 1}):
        with pytest.raises(CorruptArchiveError):
            opened(archive, forged(b"", root | change, pages))
    del root["archive"]
    with pytest.raises(CorruptArchiveError, match="no block of it inflates alone"):
        opened(archive, forged(b"", root, pages))


def test_an_index_that_lies_of_a_member_is_noticed(sample):
    _, archive, made = sample
    _, root, [page] = parts(bytes(len(archive)) + made)
    members = page["members"]
    names = [*members["name"]]
    names[names.index("run.sh")] = "run.so"
    shifted = [head + (name == "few/3.txt") for name, head in zip(names, members["head"], strict=True)]
    for column in ({"name": names}, {"head": shifted}):
        with pytest.raises(CorruptArchiveError):
            all_of(archive, forged(b"", root, [page | {"members": members | column}]))


def test_a_head_holds_one_member_alone():
    """That of the root counts for none, and others would be hidden in it."""
    stream = member(b"./", b"5") + member(b"a") + member(b"b") + END
    archive = gzip.compress(stream)
    _, root, [page] = parts(bytes(len(archive)) + made_of(archive))
    assert page["members"]["head"] == [2, 1]
    hidden = {name: column[1:] for name, column in page["members"].items() if name != "target"} | {"target": {}}
    changed = page | {"members": hidden | {"head": [3]}}
    told_of = root | {"members": 1, "pages": root["pages"] | {"members": [1], "first": ["b"]}}
    index = opened(archive, forged(b"", told_of, [changed]))
    with pytest.raises(CorruptArchiveError, match="not what the archive's index says"):
        contents(index, list(index))


def test_any_header_that_says_more_of_a_member():
    stream = b"".join(
        [
            pax(b"g", comment=b"of git"),
            member(b"L", b"L", b"n" * 200 + b"\0", magic=b"ustar  \0"),
            member(b"n", content=b"1"),
            pax(mtime=b"7.5", path=b"x"),
            member(b"-", b"7", mode=b"   755 \0"),
            member(b"./", b"5"),
        ]
    )
    archive = gzip.compress(stream + END)
    index = opened(archive, made_of(archive))
    assert [(each.entry.name, each.entry.mtime, each.entry.executable) for each in index] == [
        ("n" * 200, 0, False),
        ("x", 7, True),
    ]
    assert contents(index, list(index)) == {"n" * 200: b"1", "x": b""}


@pytest.mark.parametrize(
    ("members", "error", "said"),
    [
        (pax(b"g", mtime=b"7") + member(b"a") + member(b"b"), NotInBlocksError, "holds for members further on"),
        (pax(comment=bytes(900_000)) * 3 + member(b"a"), NotInBlocksError, "longer headers than"),
        (member(b"fifo", b"6"), UnsafeArchiveError, "a FIFO"),
        (member(b".", content=b"1"), UnsafeArchiveError, "a file without a name"),
        (member(b"a", content=b"1")[:-1], CorruptArchiveError, "cut short"),
    ],
    ids=["a time for all", "three long headers", "a FIFO", "no name", "cut short"],
)
def test_of_these_there_is_none(members, error, said):
    with pytest.raises(error, match=said):
        made_of(gzip.compress(members + END))


def test_of_what_is_there_twice_there_is_none():
    assert made_of(gzip.compress(member(b"n") + member(b"n") + END)) is None


@pytest.mark.parametrize("end", [bytes(512), b""])
def test_a_tar_that_ends_too_early(end):
    with pytest.raises(CorruptArchiveError, match="cut short"):
        made_of(gzip.compress(member(b"n", content=b"1") + end))


SMALL = gzip.compress(member(b"a", content=b"1") + END, mtime=0)


@pytest.mark.parametrize("archive", [SMALL[:-1], SMALL[:9], SMALL + b"x", SMALL[:-8] + bytes(8), b"x", b""])
def test_what_is_no_gzip_is_refused(archive):
    with pytest.raises(CorruptArchiveError):
        made_of(archive)


EMPTY = gzip.compress(b"", mtime=0)


@pytest.mark.slow
def test_nothing_but_empty_members():
    """Of which a few hold nobody up, and a MiB does, unless it stands in front of what holds something."""
    for archive in (SMALL + EMPTY * 1000, EMPTY * (3 * MIB // 2 // len(EMPTY)) + SMALL):
        assert all_of(archive, made_of(archive)) == {"a": b"1"}
    for archive in (SMALL + EMPTY * (3 * MIB // len(EMPTY)), EMPTY * (3 * MIB // len(EMPTY)) + SMALL):
        with pytest.raises(NotInBlocksError, match="more than 1 MiB of it holds nothing"):
            made_of(archive)


@pytest.mark.slow
def test_members_of_a_byte_each():
    """More of the archive than of what it holds."""
    stream = member(b"a", content=RANDOM.randbytes(200_000)) + END
    archive = in_members(stream, 1)
    assert len(archive) > 4 * MIB
    index = opened(archive, made_of(archive))
    assert max(block.stop - block.start for block in index.all_blocks()) <= 2 * MIB
    assert contents(index, list(index)) == told(stream)


@pytest.mark.slow
def test_what_has_an_index_is_told_by_its_end():
    """And not by what a file in it holds."""
    own = indexed.archive(Tree.of({"a": b"1"}))
    for archive in (own, indexed.archive(Tree.of({f"{number:06}": b"" for number in range(50_000)}))):
        with pytest.raises(NotInBlocksError, match="it has an index already"):
            made_of(archive)
    archive = in_members(member(b"keystow.tar.gz", content=own) + END)
    assert all_of(archive, made_of(archive)) == {"keystow.tar.gz": own}


def test_nothing_goes_on_from_a_block_that_was_refused(sample):
    stream, archive, made = sample
    _, root, [page] = parts(bytes(len(archive)) + made)
    sizes = page["blocks"]["size"]
    changed = [sizes[0], sizes[1] + 300, *sizes[2:-1], sizes[-1] - 300]
    index = opened(archive, forged(b"", root, [page | {"blocks": page["blocks"] | {"size": changed}}]))
    for _ in range(2):
        with pytest.raises(CorruptArchiveError, match="not as long as its index says"):
            list(index.read(sizes[0], len(stream)))
        assert b"".join(index.read(0, sizes[0])) == stream[: sizes[0]]
        assert b"".join(index.read(10, sizes[0])) == stream[10 : sizes[0]]


def test_what_a_block_gave_beyond_its_size_is_no_reason_to_begin_anew(sample):
    stream, archive, made = sample
    _, root, [page] = parts(bytes(len(archive)) + made)
    sizes = page["blocks"]["size"]
    changed = [sizes[0] - 1000, *sizes[1:-1], sizes[-1] + 1000]
    made = forged(b"", root, [page | {"blocks": page["blocks"] | {"size": changed}}])
    ranges = Ranges(archive)
    index = open_beside(ranges, len(archive), Ranges(made), len(made))
    at = sizes[0] - 500
    assert b"".join(index.read(0, at)) == stream[:at]
    before = asked(ranges)
    assert b"".join(index.read(at, at + 100)) == stream[at : at + 100]
    assert asked(ranges) == before


def zeros(count):
    """A gzip member of so many MiB of zeros, in a tar stream of one file."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, 31)
    size = count * MIB
    chunks = [member(b"zeros", size=b"%011o\0" % size), *[bytes(MIB)] * count, END]
    return b"".join([*map(deflater.compress, chunks), deflater.flush()])


@pytest.mark.slow
def test_what_is_held_is_bounded():
    archive = zeros(200)
    tracemalloc.start()
    index = opened(archive, made_of(archive))
    assert sum(map(len, index.read(0, index.tar_size))) == index.tar_size > 200 * MIB
    assert tracemalloc.get_traced_memory()[1] < 40 * MIB
    tracemalloc.stop()
    assert max(block.tar_stop - block.tar_start for block in index.all_blocks()) <= MIB


@pytest.mark.slow
def test_a_block_that_holds_more_than_it_says_is_not_inflated():
    archive = zeros(100)
    _, root, [page] = parts(bytes(len(archive)) + made_of(archive))
    stop = len(archive)
    one = {"compressed": [stop], "size": [MIB], "sha256": digest(archive)}
    changed = root | {"tar": root["tar"] | {"size": MIB}}
    changed["pages"] = root["pages"] | {"blocks": [1], "compressed": [stop], "size": [MIB], "members": [1]}
    members = {**page["members"], "size": [1000]}
    index = opened(archive, forged(b"", changed, [page | {"blocks": one, "members": members}]))
    tracemalloc.start()
    with pytest.raises(CorruptArchiveError, match="not as long as its index says"):
        list(index.read(0, MIB))
    assert tracemalloc.get_traced_memory()[1] < 10 * MIB
    tracemalloc.stop()


def digest(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def test_blocks_are_of_a_length_that_is_worth_a_digest(sample):
    _, archive, made = sample
    blocks = list(opened(archive, made).all_blocks())
    assert (blocks[0].start, blocks[-1].stop) == (0, len(archive))
    assert all(one.stop == other.start for one, other in pairwise(blocks))
    assert all(one.tar_stop - one.tar_start >= MIB // 2 for one in blocks[:-1])
    assert list(accumulate(each.tar_stop - each.tar_start for each in blocks))[-1] == blocks[-1].tar_stop
