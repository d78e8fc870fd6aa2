"""What is told to the writer of an index is what its reader finds, by few ranges, in whatever order it was told."""

import hashlib
import json
import random
import tracemalloc
import zlib
from dataclasses import replace
from unittest import mock

import pytest
from archive_strategies import examples, lay, seen, trees
from forged import parts
from hypothesis import given
from hypothesis import strategies as st
from index_reader import Archive
from indexed import MIB, Ranges, archive, compressed, cut, data_and_index, told
from isal import isal_zlib

from keystow.archive import Entry, Selection, Tree, extract, gunzip, scan, selection, tar
from keystow.archive.carrier import PAGE, ROOT, carried, find_index, payload
from keystow.archive.errors import CorruptArchiveError
from keystow.archive.index import TAIL, open_index
from keystow.archive.indexing import IndexWriter, padded, sort_key
from keystow.archive.selection import included

MANY = Tree.of({f"{n % 7}/{n:04}": bytes([n % 251]) * (n % 700) for n in range(3000)} | {"8": b"x" * 700_000}, mtime=7)


def small_pages():
    """Pages of few members and blocks, so that a small tree has many."""
    limits = {"_MOST_MEMBERS": 3, "_MOST_BLOCKS": 4, "_MOST_TEXT": 500}
    return mock.patch.multiple("keystow.archive.indexing", **limits)


def as_written(entry):
    """An entry as its header tells it."""
    return replace(entry, origin=None, executable=entry.executable or entry.kind in {"directory", "symlink"})


@st.composite
def packed_trees(draw):
    """A tree with what is on the disk of none, and how its tar stream is cut."""
    nodes = draw(trees())
    entries = []
    contents = {}
    kinds = {type(None): "directory", bytes: "file"}
    for name, node in nodes.items():
        kind = kinds.get(type(node), "symlink" if isinstance(node, str) else "file")
        mtime = draw(st.integers(-(2**40), 2**40))
        target = str(node) if kind == "symlink" else ""
        contents[name] = node if kind == "file" else b""
        entries.append(Entry(name, kind, len(contents[name]), mtime, draw(st.booleans()) and kind == "file", target))
    entries.sort(key=lambda entry: [part.encode("utf-8", "surrogateescape") for part in entry.name.split("/")])
    if draw(st.integers(0, 4)) == 0:
        entries = draw(st.permutations(entries))
    tree = Tree(tuple(entries), lambda entry: iter([contents[entry.name]]))
    return tree, draw(st.lists(st.sampled_from([512, 513, 1000, 4096, 20_000]), max_size=80)), contents


@pytest.mark.slow
@given(packed_trees(), st.integers(0, 90))
@examples(100)
def test_every_member_is_found_with_its_content(packed, blocks_first):
    tree, sizes, contents = packed
    with small_pages():
        made = archive(tree, sizes=sizes, blocks_first=blocks_first)
    index = open_index(Ranges(made), len(made))
    found = list(index)
    assert [member.entry for member in found] == [as_written(entry) for entry in tree.entries]
    assert [(entry.name, b"".join(content)) for entry, content in index.contents(found)] == [
        (entry.name, contents[entry.name]) for entry in tree.entries
    ]
    other = Archive(Ranges(made), len(made))
    for member in found:
        name = member.entry.name
        assert index.find(name) == member
        assert b"".join(index.content(member)) == contents[name] == other.content(other.find(name))
        assert index.find(f"{name}-") == other.find(f"{name}-") == None or f"{name}-" in contents  # noqa: E711
    assert index.find("\ud800") is None
    stream = b"".join(tar(tree))
    assert b"".join(index.read(0, len(stream))) == stream == b"".join(gunzip([made]))
    assert (index.members, index.tar_size, index.tar_sha256) == (
        len(tree.entries),
        len(stream),
        hashlib.sha256(stream).hexdigest(),
    )


@pytest.mark.slow
@given(packed_trees(), st.integers(0, 90), st.integers(0, 90))
@examples(50)
def test_when_blocks_are_told_makes_no_difference(packed, early, late):
    tree, sizes, _ = packed
    with small_pages():
        assert data_and_index(tree, sizes=sizes, blocks_first=early) == data_and_index(
            tree, sizes=sizes, blocks_first=late
        )


@pytest.mark.slow
@given(packed_trees(), st.data())
@examples(50)
def test_any_range_of_the_tar_stream_is_read(packed, data):
    tree, sizes, _ = packed
    with small_pages():
        made = archive(tree, sizes=sizes)
    stream = b"".join(tar(tree))
    start, stop = sorted(data.draw(st.lists(st.integers(0, len(stream)), min_size=2, max_size=2)))
    index = open_index(Ranges(made), len(made))
    assert b"".join(index.read(start, stop)) == stream[start:stop]
    for block in index.blocks(start, stop):
        assert block.tar_start < stop
        assert block.tar_stop > start
    with pytest.raises(ValueError, match="the tar stream has"):
        list(index.blocks(start, len(stream) + 1))


def far(made):
    """The archive behind a reader that keeps nothing of the tail but the root, as in a large one."""
    return mock.patch("keystow.archive.index.TAIL", len(made) - find_index(made, len(made)).start + 74)


def test_one_small_member_takes_three_ranges():
    made = archive(MANY, sizes=[100_000] * 30)
    with far(made):
        for name in ("0/0007", "3/0010", "6/2995", "8"):
            ranges = Ranges(made)
            index = open_index(ranges, len(made))
            member = index.find(name)
            content = b"".join(index.content(member))
            assert content == b"".join(MANY.read(next(entry for entry in MANY.entries if entry.name == name)))
            assert len(ranges.asked) == 3, name
            if name != "8":
                assert sum(stop - start for start, stop in ranges.asked) < len(made) / 2


def test_all_members_are_listed_by_two_ranges():
    made = archive(MANY)
    with far(made):
        ranges = Ranges(made)
        assert len(list(open_index(ranges, len(made)))) == len(MANY.entries)
    assert len(ranges.asked) == 2


def test_a_small_archive_takes_one_range():
    tree = Tree.of({"a": b"1", "b/c": b"2"})
    made = archive(tree)
    ranges = Ranges(made)
    index = open_index(ranges, len(made))
    assert [b"".join(content) for _, content in index.contents(index)] == [b"1", b"", b"2"]
    assert ranges.asked == [(0, len(made))]


def test_a_root_that_is_longer_than_the_tail_takes_one_range_more():
    with small_pages(), mock.patch("keystow.archive.indexing._MOST_MEMBERS", 1):
        made = archive(MANY, sizes=[1024] * 4000)
    ranges = Ranges(made)
    assert open_index(ranges, len(made)).members == len(MANY.entries)
    assert ranges.asked[0] == (len(made) - TAIL, len(made))
    assert len(ranges.asked) == 2


def test_members_near_each_other_are_read_together():
    made = archive(MANY, sizes=[4096] * 1000)
    ranges = Ranges(made)
    index = open_index(ranges, len(made))
    chosen = [member for member in index if member.entry.name.startswith("3/")]
    before = len(ranges.asked)
    assert len(list(index.contents(chosen))) == len(chosen) > 400
    assert len(ranges.asked) - before < 5


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_however_many_blocks_are_read_as_one_stream_it_is_the_same(most):
    made = archive(MANY, sizes=[4096] * 500)
    index = open_index(Ranges(made), len(made))
    with mock.patch("keystow.archive.index._MOST_BLOCKS", most):
        assert b"".join(index.read(0, index.tar_size)) == b"".join(tar(MANY))


def test_pages_are_not_read_again_for_what_is_read_while_they_are_listed():
    made = archive(MANY, sizes=[100_000] * 30)
    with far(made):
        ranges = Ranges(made)
        index = open_index(ranges, len(made))
        assert len(list(index.contents(index))) == len(MANY.entries)
    of_pages = [place for place in ranges.asked if place[0] >= index._pages[0]]
    assert len(index._blocks) > 1
    assert len(of_pages) == 2


def test_what_a_name_stands_for_twice_is_the_last_one():
    entries = (Entry("b", "file", 1), Entry("a", "file", 1), Entry("b", "file", 2, 5))
    tree = Tree(entries, lambda entry: iter([b"x" * entry.size]))
    with small_pages(), mock.patch("keystow.archive.indexing._MOST_MEMBERS", 1):
        made = archive(tree, sizes=[1024] * 10)
    index = open_index(Ranges(made), len(made))
    assert not index.is_sorted
    assert index.find("b").entry == entries[2]
    assert index.find("a").entry == entries[1]
    assert b"".join(index.content(index.find("b"))) == b"xx"


@pytest.mark.parametrize("how", ["walked", "hashed", "alike"])
def test_names_in_no_order_are_found_however_they_are_looked_up(how):
    entries = [*MANY.entries[::-7], *MANY.entries[::14]]
    made = archive(Tree(tuple(entries), MANY.read), sizes=[20_000] * 60)
    index = open_index(Ranges(made), len(made))
    last = {member.entry.name: member for member in index}
    limits = {"_MOST_HASHES": 0 if how == "walked" else 1 << 24}
    if how == "alike":
        limits["_hashes"] = lambda names: b"".join(b"hash%04d" % (len(name) % 2) for name in names)
    with mock.patch.multiple("keystow.archive.index", **limits):
        assert [index.find(name) for name in [*last][::20]] == [*last.values()][::20]
        assert index.find("0/none") is None
        assert index.find("\ud800") is None


def test_all_pages_of_names_in_no_order_are_read_once_however_many_are_looked_up():
    made = archive(Tree(tuple(reversed(MANY.entries)), MANY.read), sizes=[100_000] * 30)
    with far(made):
        ranges = Ranges(made)
        index = open_index(ranges, len(made))
        found = [index.find(entry.name).entry.name for entry in MANY.entries[::100]]
    assert found == [entry.name for entry in MANY.entries[::100]]
    assert index.find("no") is None
    pages = [(start, stop) for start, stop in ranges.asked if start >= index._pages[0]]
    assert len(index._blocks) > 1
    assert len([each for each in pages if each == (index._pages[0], index._pages[-1])]) == 1
    assert len(pages) < 6


@pytest.mark.slow
@given(trees(), st.lists(st.sampled_from(["a", "*b", "a/", "b/**", "[!a]", "/c", "ä"]), min_size=1, max_size=3))
@examples(60)
def test_members_match_as_a_scan_selects(tmp_path_factory, nodes, patterns):
    source = lay(tmp_path_factory.mktemp("tree"), nodes)
    made = archive(scan(source))
    index = open_index(Ranges(made), len(made))
    for lines, only in ((patterns, False), ([included(pattern) for pattern in patterns], True)):
        chosen = Selection(lines, only=only)
        files = {member.entry.name for member in index.matching(chosen) if member.entry.kind != "directory"}
        try:
            expected = scan(source, selection=chosen)
        except Exception:  # noqa: BLE001  # there is nothing left
            assert not any(index.find(name).entry.kind == "file" for name in files)
            continue
        assert files == {entry.name for entry in expected.entries if entry.kind != "directory"}


def test_what_matches_is_extracted(tmp_path):
    nodes = {"a/x.csv": b"1", "a/y.txt": b"2", "b/c/z.csv": b"3", "old/w.csv": b"4"}
    made = archive(scan(lay(tmp_path / "source", nodes)))
    index = open_index(Ranges(made), len(made))
    extract(index.contents(index.matching(selection(["*.csv"], ["old/"]))), tmp_path / "some")
    assert {name for name, what in seen(tmp_path / "some").items() if what[0] == "file"} == {"a/x.csv", "b/c/z.csv"}
    extract(index.contents(index), tmp_path / "all")
    assert seen(tmp_path / "all") == seen(tmp_path / "source")


def test_a_page_may_hold_nothing_but_the_end():
    with small_pages():
        made = archive(Tree.of({}), sizes=[512] * 20)
    index = open_index(Ranges(made), len(made))
    assert len(index._blocks) == 5
    assert list(index) == []
    assert b"".join(index.read(0, index.tar_size)) == bytes(10240)


def test_an_archive_without_an_index_has_none():
    data, _ = data_and_index(MANY)
    for made in (data, b"", b"\x1f\x8b", bytes(1000)):
        assert open_index(lambda start, stop, made=made: made[start:stop], len(made)) is None


def test_an_index_of_another_format_is_none():
    made = archive(MANY)
    place = len(made) - 74 + 16 + 7
    assert made[place] == 1
    other = made[:place] + b"\x02" + made[place + 1 :]
    assert open_index(Ranges(other), len(other)) is None


def test_the_digest_of_an_index_is_compared():
    data, index = data_and_index(MANY)
    made = data + b"".join(index.pieces)
    assert open_index(Ranges(made), len(made), sha256=index.sha256).sha256 == index.sha256
    with pytest.raises(CorruptArchiveError, match="not the one that was published"):
        open_index(Ranges(made), len(made), sha256="0" * 64)


def test_a_page_longer_than_a_gzip_member_is_carried_by_several():
    tree = Tree.of(
        {"".join(hashlib.sha256(b"%d" % (n + k)).hexdigest() for k in range(60)): b"" for n in range(0, 9900, 100)}
    )
    made = archive(tree)
    index = open_index(Ranges(made), len(made))
    assert index._pages[1] - index._pages[0] > 150_000
    assert [member.entry for member in index] == list(tree.entries)
    assert b"".join(gunzip([made])) == b"".join(tar(tree))
    assert Archive(Ranges(made), len(made)).find(tree.entries[-1].name)["name"] == tree.entries[-1].name


def test_mtime_stands_in_for_every_time():
    made = archive(MANY, mtime=-5)
    index = open_index(Ranges(made), len(made))
    assert {member.entry.mtime for member in index} == {-5}
    assert len(list(index.contents(index))) == len(MANY.entries)


def test_a_block_full_of_the_longest_names_fits_a_page_that_is_all_but_full():
    """Each of their bytes is no text, and takes six in JSON; each of those before them takes two, and counts as one."""
    names = [bytes([255 - n % 60, 200 + n // 60]) + hashlib.sha512(b"%d" % n).digest() * 64 for n in range(390)]
    names = [bytes(byte | 0x80 for byte in name)[:4095].decode("utf-8", "surrogateescape") for name in names]
    quotes = ['"' * 4092 + str(number) for number in range(100, 350)]
    each = 11 * 512
    tree = Tree.of(dict.fromkeys([*names, *quotes], b""))
    made = archive(tree, sizes=[125 * each] * 2)
    index = open_index(Ranges(made), len(made))
    assert index._members[0] == len(quotes) + -(-MIB // each)
    assert [member.entry for member in index] == list(tree.entries)
    assert b"".join(gunzip([made])) == b"".join(tar(tree))


@pytest.mark.parametrize(("library", "level"), [(zlib, 0), (zlib, 1), (zlib, 9), (isal_zlib, 0), (isal_zlib, 3)])
def test_blocks_of_any_compressor_are_read(library, level):
    made = archive(MANY, block=lambda content: compressed(content, library, level))
    index = open_index(Ranges(made), len(made))
    assert b"".join(index.read(0, index.tar_size)) == b"".join(tar(MANY))


@given(st.binary(min_size=1, max_size=100), st.sampled_from([PAGE, ROOT]))
def test_what_is_carried_is_had_back(some, kind):
    with mock.patch("keystow.archive.carrier._MOST", 7):
        assert payload(kind, carried(kind, some)) == some


def test_a_writer_that_was_told_too_little_says_so():
    stream = b"".join(tar(MANY))
    blocks = cut(stream)
    for data, count in ((20 + len(blocks), len(blocks) - 1), (21 + len(blocks), len(blocks)), (20, 0)):
        writer = IndexWriter(2)
        for member in told(MANY, stream):
            writer.member(*member)
        for content in blocks[:count]:
            writer.block(1, len(content), bytes(32))
        with pytest.raises(ValueError, match="blocks that were told"):
            writer.finish(data, "0" * 64)


def test_no_index_is_made_that_would_not_be_read():
    """As its root would have more than 8 MiB: long beginnings that names have in common stand in it for each page."""
    header = b"".join(tar(Tree.of({"a": b""})))[:512]
    for count, is_made in ((300, True), (400, False)):
        writer = IndexWriter(2)
        with small_pages():
            for number in range(count):
                writer.member(Entry("\udcff" * 4000 + f"{number:04}", "file"), header, 0)
                writer.block(1000, 512, bytes(32))
            writer.block(1000, 1024, bytes(32))
            index = writer.finish(20 + 1000 * (count + 1), "0" * 64)
        assert (index is not None) is is_made
        if index is not None:
            made = bytes(20 + 1000 * (count + 1)) + b"".join(index.pieces)
            assert open_index(Ranges(made), len(made)).members == count


@pytest.mark.parametrize(
    ("directory", "millions"), [("a" * 200, 55), ("文" * 66, 30), ("文" * 200, 5)], ids=["200 bytes", "CJK", "long CJK"]
)
def test_so_many_members_with_a_long_directory_have_an_index(directory, millions):
    """As far as the bytes go that each page takes of the 8 MiB of a root."""
    header = b"".join(tar(Tree.of({"a": b""})))[:512]
    roots, pages = [], []
    for count in (6_000, 12_000):
        writer = IndexWriter(2)
        for number in range(count):
            writer.member(Entry(f"{directory}/{number:09}.parquet", "file", 10_000), header, number)
            if number % 10 == 9:
                writer.block(45_000 + number, 107_520, hashlib.sha256(b"%d" % number).digest())
        data = 20 + sum(45_009 + block * 10 for block in range(count // 10))
        root = parts(bytes(data) + b"".join(writer.finish(data, "0" * 64).pieces))[1]
        roots.append(len(json.dumps(root, separators=(",", ":"))))
        pages.append(len(root["pages"]["length"]))
    each = (roots[1] - roots[0]) / (pages[1] - pages[0])
    assert (1 << 23) / each * 12_000 / pages[1] > millions * 1e6


def test_of_files_of_10_kb_that_shrink_to_a_quarter_it_is_less_than_a_hundredth():
    """As long columns are deflated alone: with one code for all, it would be more than that."""
    chance = random.Random(0)
    words = ["alpha", "core", "data", "event", "graph", "index", "job", "list", "model", "node", "page", "user", "zone"]
    names = set()
    while len(names) < 6000:
        directory = "/".join(chance.choice(words) + str(chance.randrange(20)) for _ in range(3))
        for _ in range(chance.randrange(20)):
            word = chance.choice(words) + chance.choice(["", str(chance.randrange(1000)), "_" + chance.choice(words)])
            names.add(f"{directory}/{chance.choice(words)}_{word}-{chance.randrange(10**4)}.json")
    header = b"".join(tar(Tree.of({"a": b""})))[:512]
    writer = IndexWriter(2)
    size = 0
    for name in sorted(names, key=sort_key):
        entry = Entry(name, "file", chance.randrange(5000, 15_000), 1_700_000_000 + chance.randrange(10**7))
        writer.member(entry, header, chance.getrandbits(32))
        size += 512 + padded(entry.size)
        if size > 130_000:
            writer.block(size // 4 + chance.randrange(999), size, chance.randbytes(32))
            size = 0
    assert sum(map(len, writer._pages.pieces)) < sum(writer._pages.compressed) / 100


def test_an_archive_of_two_members_of_one_name_has_no_index():
    writer = IndexWriter(2)
    header = b"".join(tar(Tree.of({"a": b""})))[:512]
    for _ in range(2):
        writer.member(Entry("a", "file"), header, 0)
    writer.block(1000, 2048, bytes(32))
    assert writer.finish(1020, "0" * 64) is None


@given(st.lists(st.text(st.sampled_from("ab/ä文\udcff\udc80"), min_size=1, max_size=9), min_size=2, unique=True))
def test_the_root_has_the_shortest_beginnings_of_names(names):
    """Those that are behind all names of the page before."""
    ordered = sorted(names, key=sort_key)
    writer = IndexWriter(2)
    header = b"".join(tar(Tree.of({"a": b""})))[:512]
    with small_pages():
        for name in ordered:
            writer.member(Entry(name, "file"), header, 0)
            writer.block(1000, 512, bytes(32))
        writer.block(1000, 1024, bytes(32))
        data = 20 + 1000 * (len(names) + 1)
        root, pages = parts(bytes(data) + b"".join(writer.finish(data, "0" * 64).pieces))[1:]
    last = b""
    for first, page in zip(root["pages"]["first"], pages, strict=True):
        if page["members"]["name"]:
            assert page["members"]["name"][0].startswith(first)
            assert sort_key(first[:-1]) <= last < sort_key(first)
            last = sort_key(page["members"]["name"][-1])


def test_a_page_is_made_before_the_end():
    """What is held of an archive does not grow by all that was told of it."""
    writer = IndexWriter(2)
    header = b"".join(tar(Tree.of({"a": b""})))[:512]
    for number in range(10_000):
        writer.member(Entry(f"{number:09}", "file", 1000), header, 0)
        writer.block(1000, 1536, bytes(32))
    assert len(writer._pages.pieces) == 10
    assert len(writer._page.members) + len(writer._members) + len(writer._page.blocks) < 1000
    assert not writer._blocks
    assert sum(map(len, writer._pages.pieces)) < MIB


def test_of_the_blocks_of_a_large_file_little_is_held():
    """They are told before its CRC-32 is."""
    writer = IndexWriter(2)
    digests = [hashlib.sha256(b"%d" % number).digest() for number in range(20_000)]
    tracemalloc.start()
    try:
        for digest in digests:
            writer.block((1 << 21) - digest[0], MIB, bytes(bytearray(digest)))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 50 * len(digests)
