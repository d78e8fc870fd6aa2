"""Where blocks begin: within bounds, and so that a change moves no cut but those near it."""

import gzip
import io
import random
import subprocess
import tarfile
import zlib
from itertools import accumulate, pairwise

import pytest
from archive_strategies import chunkings, cut, examples
from hypothesis import example, given
from hypothesis import strategies as st

from keystow.archive import Tree, gunzip, pack, tar
from keystow.archive.grid import LARGE, MOST, NEAR, cuts, lengths
from keystow.archive.gzip import pieces
from keystow.archive.tar import tar_in_blocks

pytestmark = pytest.mark.slow

BLOCK = 512
sizes = st.one_of(
    st.integers(0, 40),
    st.integers(0, LARGE // BLOCK + 1),
    st.sampled_from([NEAR, LARGE - BLOCK, LARGE, MOST, MOST + BLOCK]).map(lambda size: size // BLOCK),
).map(lambda count: count * BLOCK)
names = st.binary(min_size=1, max_size=8)
members = st.lists(st.tuples(names, st.sampled_from([BLOCK, 3 * BLOCK]), sizes), max_size=60)
numbered = st.builds(
    lambda first, size, count: [(b"%d" % number, BLOCK, size) for number in range(first, first + count)],
    st.integers(0, 10**6),
    sizes,
    st.integers(0, 600),
)
steep = numbered.map(lambda members: sorted(members, key=lambda member: -zlib.crc32(member[0])))
"""Of these none begins a block but the last, so that the longest block counts."""
many = st.one_of(members, numbered, steep)


def total(members):
    return sum(header + content for _, header, content in members)


def blocks(members):
    """The blocks that end within the members, as pairs of where they begin and end."""
    end = total(members)
    found = [0]
    for length in lengths(members):
        if found[-1] + length > end:
            break
        found.append(found[-1] + length)
    return list(pairwise(found))


def starts(members):
    return list(accumulate((header + content for _, header, content in members), initial=0))[:-1]


def alone(members):
    """Where the content of large files begins and ends."""
    edges = set()
    for start, (_, header, content) in zip(starts(members), members, strict=True):
        if content >= LARGE:
            edges |= {start + header, start + header + content}
    return edges


@given(many)
def test_a_block_is_neither_empty_nor_longer_than_the_longest(members):
    assert all(0 < end - begin <= MOST for begin, end in blocks(members))


@given(many)
def test_a_short_block_lies_at_a_large_file_or_is_what_was_left_of_the_longest(members):
    edges = alone(members) | {0}
    longest = {end for begin, end in blocks(members) if end - begin == MOST}
    for begin, end in blocks(members):
        assert end - begin >= NEAR or begin in longest or {begin, end} & edges


@given(many)
@example([(b"a", BLOCK, NEAR - BLOCK), (b"a", BLOCK, NEAR - BLOCK)])
def test_cuts_are_where_the_rule_says(members):
    """As docs/design/007-grid.md has it, for each member by itself."""
    cut_by_rule = {0, *alone(members)}
    run, begin = [], 0
    for start, (name, header, content) in zip(starts(members), members, strict=True):
        run.append((start, zlib.crc32(name)))
        end = start + header + content
        if content >= LARGE or end == total(members):
            cut_by_rule |= set(of_a_run(run, begin, start + header if content >= LARGE else end))
            run, begin = [], end
    assert {0, *cuts(members)} == cut_by_rule


def of_a_run(run, begin, end):
    for number, (start, checksum) in enumerate(run):
        far_enough = start - begin >= NEAR and end - start >= NEAR
        near = [(other, place) for place, (at, other) in enumerate(run) if abs(at - start) < NEAR]
        if far_enough and min(near) == (checksum, number):
            yield start


@given(many, st.binary(max_size=8), st.integers(0, 10))
def test_the_content_of_a_large_file_is_cut_alike_wherever_it_stands(before, name, count):
    size = LARGE + count * (MOST // 3 // BLOCK) * BLOCK
    placed = [*before, (name, BLOCK, size), *before]
    start = total(before) + BLOCK
    inside = [(begin - start, end - start) for begin, end in blocks(placed) if start <= begin < start + size]
    assert inside == [(begin, min(begin + MOST, size)) for begin in range(0, size, MOST)]


def test_many_small_members_make_blocks_of_twice_the_distance_on_the_average():
    small = [(b"directory/file-%06d.txt" % number, BLOCK, 4 * BLOCK) for number in range(50_000)]
    found = blocks(small)
    assert 1.5 * NEAR < total(small) / len(found) < 2.5 * NEAR


changes = st.tuples(st.integers(0, 600), st.integers(0, 3), st.lists(members, max_size=1))


@examples(300)
@given(many, changes)
def test_a_change_moves_no_cut_but_those_near_it(before, change):
    after, begin, old, new = changed(before, change)
    assert [cut for cut in cuts(before) if cut <= begin - NEAR] == [cut for cut in cuts(after) if cut <= begin - NEAR]
    assert behind(before, old, NEAR) == behind(after, new, NEAR)


@examples(300)
@given(many, changes)
def test_all_blocks_are_kept_but_that_of_a_change_and_one_at_each_side(before, change):
    """As far as members make the cuts: to the last cut but one before the change, and from the second behind it."""
    after, begin, old, new = changed(before, change)
    up_to = [0, 0, *(cut for cut in cuts(before) if cut <= begin)][-2]
    assert set(blocks(before)) & set(blocks(after)) >= {block for block in blocks(before) if block[1] <= up_to}
    second = [*behind(before, old, 0), total(before), total(before)][1]
    kept = {(begin - old, end - old) for begin, end in blocks(before) if begin - old >= second}
    assert kept <= {(begin - new, end - new) for begin, end in blocks(after)}


def changed(before, change):
    """The members after a change, where it begins, and where it ends before and after."""
    at, removed, added = change
    at %= len(before) + 1
    after = [*before[:at], *(added[0][:3] if added else []), *before[at + removed :]]
    end = total(before[at + removed :])
    return after, total(before[:at]), total(before) - end, total(after) - end


def behind(members, start, distance):
    return [cut - start for cut in cuts(members) if cut >= start + distance]


def packed(tree, **options):
    """The blocks of an archive, between its header and its trailer."""
    chunks, lengths = tar_in_blocks(tree)
    return [piece.data for piece in pieces(chunks, lengths, **{"level": 2, "threads": 2} | options)][1:-1]


NOISE = random.Random(0).randbytes
TREE = {
    **{f"small/{number:04}": b"%d" % number * 900 for number in range(900)},
    "large/model": NOISE(3 * MOST + 77),
    "large/table": b"a,b,c\n" * 100_000,
    "medium": NOISE(LARGE - 5),
    "ä" * 70: b"a header of three blocks",
    **{f"zeros/{number}": bytes(NEAR) for number in range(9)},
}


@pytest.mark.parametrize("level", [0, 2, 6])
def test_each_block_inflates_alone_and_joined_they_are_the_tar(level):
    found = [zlib.decompressobj(-zlib.MAX_WBITS).decompress(block) for block in packed(Tree.of(TREE), level=level)]
    stream = b"".join(tar(Tree.of(TREE)))
    assert b"".join(found) == stream
    assert max(map(len, found)) <= MOST
    for name in ("large/model", "large/table"):
        content = TREE[name] + bytes(-len(TREE[name]) % BLOCK)
        assert [content[at : at + MOST] for at in range(0, len(content), MOST)] in [
            found[at : at + -(-len(content) // MOST)] for at in range(len(found))
        ]


@pytest.mark.parametrize(
    ("change", "new"),
    [
        ({"small/0450a": b"a new file"}, 3),
        ({"small/0450": b"another content"}, 3),
        ({"small/0450": None}, 3),
        ({"large/other": NOISE(2 * MOST)}, 5),
        ({"large/table": b"c,b,a\n" * 100_000}, 3),
    ],
)
def test_what_a_change_leaves_is_the_same_bytes_again(change, new):
    before = packed(Tree.of(TREE))
    after = packed(Tree.of({name: data for name, data in (TREE | change).items() if data is not None}))
    assert len(after) > 15
    assert 1 <= len(set(after) - set(before)) <= new + 1  # the last block holds how long the archive is


def test_other_times_leave_the_content_of_large_files_the_same_bytes():
    one, two = packed(Tree.of(TREE)), packed(Tree.of(TREE, mtime=5))
    assert sum(map(len, set(one) & set(two))) > 3 * MOST


@examples(20)
@given(chunkings, st.integers(1, 5), st.sampled_from([0, 1, 2, 6]))
def test_any_chunking_and_threads_give_the_same_blocks(sizes, threads, level):
    whole = Tree.of(TREE)
    in_pieces = Tree(whole.entries, lambda entry: cut(TREE[entry.name], sizes))
    assert packed(whole, level=level, threads=1) == packed(in_pieces, level=level, threads=threads)


def test_every_reader_reads_it(tmp_path):
    archive = b"".join(pack(Tree.of(TREE)))
    stream = b"".join(tar(Tree.of(TREE)))
    assert b"".join(gunzip([archive])) == gzip.decompress(archive) == stream
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        assert {member.name: read.extractfile(member).read() for member in read if member.isfile()} == TREE
    subprocess.run(["tar", "-xzf", "-", "-C", tmp_path], input=archive, check=True)
    unpacked = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path)): path.read_bytes() for path in unpacked} == TREE
