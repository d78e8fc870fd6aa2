"""An index made beside an archive that has none: of what keystow packed, and of what strangers write as if it were."""

import hashlib
import random
import struct
import subprocess
import tracemalloc
import zlib
from contextlib import suppress
from itertools import repeat

import index_reader
import indexed
import pytest
from archive_strategies import END, member, pax
from forged import forged, parts
from hypothesis import given, settings
from hypothesis import strategies as st
from indexed import HEADER, MIB, Ranges, compressed, stored
from sample_tree import TREE, tree_of

from keystow.archive import ArchiveError, CorruptArchiveError, Entry, Tree, tar
from keystow.archive.beside import Beside, NotInBlocksError, open_beside
from keystow.archive.gzip import pieces

RANDOM = random.Random(7)
MARKS = b"\x00\x00\xff\xff" * 60_000
FLUSHED = b"".join(RANDOM.randbytes(100) + MARKS[:4] for _ in range(200))
FILES = {
    "a": b"1",
    "log": b"".join(b"%d lines\n" % number for number in range(300_000)),
    "flushed": FLUSHED * 3,
    "marks": MARKS,
    "noise": RANDOM.randbytes(2 * MIB + 1),
    "other/marks and noise": MARKS + RANDOM.randbytes(MIB) + MARKS,
    "zeros": bytes(3 * MIB),
}
STREAM = b"".join(tar(Tree.of(FILES)))


def made_of(archive, step=100_000):
    """The index of an archive that comes in chunks, as one piece."""
    beside = Beside(archive[at : at + step] for at in range(0, len(archive), step))
    for _, content in beside.members():
        for _ in content:
            pass
    return b"".join(beside.finish().pieces)


def opened(archive, made):
    return open_beside(Ranges(archive), len(archive), Ranges(made), len(made))


def check(archive, tree):
    """The index of it tells all, and is read by whoever knows only the document."""
    made = made_of(archive)
    index = opened(archive, made)
    other = index_reader.Archive(Ranges(archive + made), len(archive + made))
    stream = b"".join(tar(tree))
    assert index.tar_sha256 == hashlib.sha256(stream).hexdigest()
    assert index.whole[:2] == (hashlib.sha256(archive).hexdigest(), zlib.crc32(stream))
    assert [each.entry.name for each in index] == [entry.name for entry in tree.entries]
    for entry, content in index.contents(index):
        expected = b"".join(tree.read(entry)) if entry.kind == "file" else b""
        assert b"".join(content) == expected
        assert other.content(other.find(entry.name)) == expected
    return index


def put_together(blocks, content, end=b"\x03\x00"):
    return HEADER + b"".join(blocks) + end + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 1, 2, 6, 9])
def test_blocks_are_found_where_they_were_made(level):
    found = list(pieces([STREAM], repeat(MIB), level=level, threads=1))
    index = check(b"".join(piece.data for piece in found), Tree.of(FILES))
    assert [(block.stop - block.start, block.tar_stop - block.tar_start) for block in index.all_blocks()] == [
        (len(piece.data), piece.size) for piece in found if piece.size
    ]


@pytest.mark.slow
def test_blocks_of_any_length_are_found_though_several_may_be_one():
    sizes = [700, 5, 1, 300_000, MIB, 13, *[70_000] * 40]
    for block in (compressed, stored, either):
        check(indexed.data_and_index(Tree.of(FILES), sizes=sizes, block=block)[0], Tree.of(FILES))


def either(content):
    return min(compressed(content), stored(content), key=len)


def test_all_kinds_of_members():
    names = {"n" * 200: b"of a long name", "\udcff": b"no text", "ä/文": b"", **FILES}
    others = (Entry("z", "symlink", target="t" * 200), Entry("zz", "hardlink", target="a"), Entry("e", "directory"))
    for tree in (TREE, tree_of(names, *others), Tree.of({}), Tree.of({"a": b""})):
        check(indexed.data_and_index(tree)[0], tree)


def test_a_flush_is_no_place_to_begin_if_what_stands_behind_it_leads_back():
    """By 32 KiB at the most: so there are such places where 70,000 bytes are new."""
    for flush, far in ((zlib.Z_SYNC_FLUSH, 0), (zlib.Z_SYNC_FLUSH, 70_000), (zlib.Z_FULL_FLUSH, 0)):
        tree = Tree.of({"x": b"".join(RANDOM.randbytes(far) + b"again and again" * 2000 for _ in range(40))})
        stream = b"".join(tar(tree))
        deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
        step = 20_000
        blocks = [
            deflater.compress(stream[at : at + step]) + deflater.flush(flush) for at in range(0, len(stream), step)
        ]
        archive = put_together(blocks, stream)
        if flush == zlib.Z_FULL_FLUSH or far:
            check(archive, tree)
        else:
            with pytest.raises(NotInBlocksError, match="does not consist of blocks that inflate alone"):
                made_of(archive)


def test_what_other_programs_made():
    stream = b"".join(tar(Tree.of({"a": b"hello" * 1000})))
    for program in (["gzip", "-n"], ["pigz", "-n", "-b", "128"], ["pigz", "-i", "-n"]):
        made = subprocess.run(program, input=stream, capture_output=True, check=True).stdout
        with pytest.raises(NotInBlocksError, match="only what keystow packed can be read in parts"):
            made_of(made)
        assert not made.startswith(HEADER)
        with pytest.raises(NotInBlocksError, match="does not consist of blocks"):
            made_of(HEADER + made[10:])


def test_more_gzip_behind_it():
    data, index = indexed.data_and_index(TREE)
    for more in (b"".join(index.pieces), b"".join(index.pieces) * 20_000, data, bytes(10)):
        with pytest.raises(NotInBlocksError, match="does not consist of blocks"):
            made_of(data + more)


TARS = {
    "a GNU name": member(b"L", b"L", b"n" * 200 + b"\0", magic=b"ustar  \0") + member(b"n", magic=b"ustar  \0"),
    "what holds for all": pax(b"g", comment=b"x") + member(b"n"),
    "two pax headers": pax(mtime=b"1") + pax(path=b"m") + member(b"n"),
    "the root": member(b"./", b"5"),
    "another kind": member(b"n", b"7"),
    "another mode": member(b"n", mode=b"   644 \0"),
    "another right": member(b"n", mode=b"0100644\0"),
    "a long pax header": pax(path=b"m", comment=bytes(1 << 20)) + member(b"n"),
}


@pytest.mark.parametrize("members", TARS.values(), ids=TARS)
def test_a_tar_that_keystow_does_not_write(members):
    stream = members + END
    with pytest.raises((NotInBlocksError, ArchiveError)):
        made_of(put_together([compressed(stream)], stream))


def test_of_what_is_there_twice_there_is_no_index():
    stream = member(b"n") + member(b"n") + END
    beside = Beside([put_together([compressed(stream)], stream)])
    assert [entry.name for entry, _ in beside.members()] == ["n", "n"]
    assert beside.finish() is None


@pytest.mark.parametrize("end", [bytes(512), b""])
def test_a_tar_that_ends_too_early(end):
    stream = member(b"n", content=b"1") + end
    with pytest.raises(CorruptArchiveError, match="cut short"):
        made_of(put_together([compressed(stream)], stream))


DATA = indexed.data_and_index(Tree.of({"a": b"1", "b": bytes(5000), "c": RANDOM.randbytes(900)}), sizes=[2000] * 5)[0]
MADE = made_of(DATA)


@pytest.mark.slow
def test_what_is_damaged_or_cut_short_is_refused():
    """But for the bits by which a block is filled up to a whole byte."""
    sound = opened(DATA, MADE).tar_sha256
    for at in range(len(DATA)):
        made = bytearray(DATA)
        made[at] ^= 1 << at % 8
        with suppress(NotInBlocksError, ArchiveError):
            assert opened(bytes(made), made_of(bytes(made))).tar_sha256 == sound
        with pytest.raises((NotInBlocksError, ArchiveError)):
            made_of(DATA[:at])


@pytest.mark.slow
def test_an_index_that_is_damaged_is_refused_or_right():
    """One bit in the number of the format, and there is none that this version reads."""
    known = {each.entry.name: each for each in opened(DATA, MADE)}
    for at in range(len(MADE)):
        made = bytearray(MADE)
        made[at] ^= 1 << at % 8
        with pytest.raises(ArchiveError):
            list(opened(DATA, bytes(made)))
        with suppress(ArchiveError):
            assert list(opened(DATA, MADE[:at])) == list(known.values())
            pytest.fail("half of an index was read")


def test_an_index_is_of_one_archive():
    longer = indexed.data_and_index(Tree.of({"a": b"12", "b": bytes(5000), "c": RANDOM.randbytes(901)}))[0]
    other = bytearray(DATA)
    other[-8] ^= 1  # as long, and its tar stream has another CRC-32
    for archive in (longer, bytes(other), DATA[:-1], DATA + b"\0", b"", DATA + MADE):
        with pytest.raises(CorruptArchiveError):
            opened(archive, MADE)
    inside = b"".join(indexed.data_and_index(TREE)[1].pieces)
    with pytest.raises(CorruptArchiveError, match="no index that lies beside an archive"):
        opened(indexed.data_and_index(TREE)[0], inside)
    for nothing in (b"", b"x", b"x" * 1000):
        with pytest.raises(CorruptArchiveError, match="no index that lies beside an archive"):
            opened(DATA, nothing)


def test_an_index_that_lies_is_noticed_before_anything_is_handed_out():
    _, root, pages = parts(DATA + MADE)
    assert forged(b"", root, pages) != b""
    page = pages[0]
    for change in (
        {"members": page["members"] | {"name": ["a", "b", "d"]}},
        {"members": page["members"] | {"size": [1, 4999, 900]}},
        {"members": page["members"] | {"crc32": [0, 0, 0]}},
        {"blocks": page["blocks"] | {"sha256": "A" * len(page["blocks"]["sha256"])}},
        {"blocks": page["blocks"] | {"size": [2001, 1999, *page["blocks"]["size"][2:]]}},
    ):
        made = forged(b"", root, [page | change])
        index = opened(DATA, made)
        with pytest.raises(CorruptArchiveError):
            [b"".join(index.content(each)) for each in index]
    for archive in ({}, {"sha256": "A" * 64, "crc32": 1}, {"sha256": "0" * 64, "crc32": 1 << 32}, []):
        with pytest.raises(CorruptArchiveError):
            opened(DATA, forged(b"", root | {"archive": archive}, pages))
    with pytest.raises(CorruptArchiveError):
        opened(DATA, forged(b"", root | {"data": len(DATA) - 1}, pages))


@pytest.mark.slow
@pytest.mark.parametrize(
    "archive",
    [
        HEADER + b"\x00\x00\x00\xff\xff" * (8 * MIB),
        put_together([compressed(bytes(400 * MIB))], b""),
        put_together([compressed(b"")] * 50_000 + [compressed(bytes(2 * MIB))], b""),
    ],
    ids=["blocks of nothing", "all in one", "marks"],
)
def test_what_is_held_is_bounded(archive):
    tracemalloc.start()
    with pytest.raises((NotInBlocksError, ArchiveError)):
        made_of(archive)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 40 * MIB


@pytest.mark.slow
@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([b"", b"x", MARKS[:6000], FLUSHED, RANDOM.randbytes(9000), bytes(200_000)]), max_size=9),
    st.lists(st.integers(1, 300_000), max_size=20),
    st.sampled_from([compressed, stored, either]),
    st.integers(1, 2_000_000),
)
def test_whatever_the_blocks_are(contents, sizes, block, step):
    tree = Tree.of({f"{number:02}": content for number, content in enumerate(contents)})
    data = indexed.data_and_index(tree, sizes=sizes, block=block)[0]
    index = opened(data, made_of(data, step))
    assert {entry.name: b"".join(found) for entry, found in index.contents(index)} == {
        f"{number:02}": content for number, content in enumerate(contents)
    }
