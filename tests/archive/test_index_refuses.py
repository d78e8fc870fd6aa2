"""An index that is damaged, or that a stranger wrote: it is refused, or what is read by it is right."""

import base64
import copy
import hashlib
import json
import random
import struct
import tracemalloc
import zlib
from contextlib import suppress
from dataclasses import replace
from unittest import mock

import index_reader
import pytest
from archive_strategies import examples
from forged import deflated, forged, joined, parts, with_pages
from hypothesis import given
from hypothesis import strategies as st
from indexed import MIB, Ranges, archive, compressed, data_and_index

from keystow.archive import ArchiveError, CorruptArchiveError, Entry, Tree, UnsafeArchiveError, tar
from keystow.archive.carrier import FOOTER, footer
from keystow.archive.index import open_index
from keystow.archive.indexing import IndexWriter
from keystow.archive.tree import order

FILES = {f"d{n % 3}/{n:02}": random.Random(n).randbytes(n * 37) for n in range(40)} | {"é\udcff" + "x" * 120: b"pax"}
ENTRIES = Tree.of(FILES, mtime=3).entries
LINKS = (Entry("z", "symlink", target="d1/01"), Entry("zz", "hardlink", target="d1/01"))
TREE = Tree(
    tuple(sorted((*ENTRIES, *LINKS), key=lambda entry: order(entry.name))), lambda entry: iter([FILES[entry.name]])
)
CONTENTS = {entry.name: FILES.get(entry.name, b"") for entry in TREE.entries}

with mock.patch.multiple("keystow.archive.indexing", _MOST_MEMBERS=5, _MOST_BLOCKS=4):
    MADE = archive(TREE, sizes=[4096, 700, 9000, 513, 512] * 12)
DATA, ROOT_OF, PAGES = parts(MADE)
assert len(PAGES) > 5


def use(made):
    """What every member gives that is read by an index, if anything of it is refused at all: a name and its content."""
    found = []
    try:
        index = open_index(Ranges(made), len(made))
        if index is None:
            return found
    except ArchiveError:
        return found
    members = []
    with suppress(ArchiveError):
        members.extend(index)
    for name in [*CONTENTS, "no", ""]:
        with suppress(ArchiveError):
            if member := index.find(name):
                assert member.entry.name == name
                members.append(member)
    for member in members:
        with suppress(ArchiveError):
            found.append((member.entry.name, b"".join(index.content(member))))
    return found


def check_right(made):
    for name, content in use(made):
        assert content == CONTENTS[name]


def test_what_is_sound_is_read():
    assert dict(use(MADE)) == CONTENTS
    assert dict(use(forged(DATA, ROOT_OF, PAGES))) == CONTENTS


places = st.one_of(st.integers(0, len(MADE) - 1), st.integers(len(DATA) - 9, len(MADE) - 1))


@pytest.mark.slow
@given(st.lists(st.tuples(places, st.sampled_from(["flip", "cut", "twice", "zeros", "swap"]), st.integers(1, 90))))
@examples(200)
def test_damage_is_refused_or_does_no_harm(damages):
    made = bytearray(MADE)
    for place, how, much in damages:
        at = min(place, max(0, len(made) - 1))
        piece = made[at : at + much]
        if how == "flip" and piece:
            made[at] ^= 1 << much % 8
        elif how == "cut":
            del made[at : at + much]
        elif how == "twice":
            made[at:at] = piece
        elif how == "zeros":
            made[at : at + much] = bytes(len(piece))
        else:
            made[at : at + much] = piece[::-1]
    check_right(bytes(made))


@pytest.mark.slow
def test_any_flipped_bit_of_the_index_is_noticed():
    """By whoever lists all; one in the footer may make it none."""
    for at in range(len(DATA), len(MADE)):
        made = bytearray(MADE)
        made[at] ^= 1 << at % 8
        try:
            index = open_index(Ranges(bytes(made)), len(made))
            listed = None if index is None else list(index)
        except CorruptArchiveError:
            continue
        assert listed is None
        assert at >= len(MADE) - FOOTER


@pytest.mark.slow
def test_an_archive_that_is_cut_short_has_no_index():
    for end in range(1, len(MADE)):
        assert open_index(Ranges(MADE[:end]), end) is None


JUNK = [-1, 0, 1, 2, 511, 512, 1 << 31, (1 << 63) - 1, 1 << 63, 1 << 64, 10**400, True, False, None, 0.5, float("inf")]
JUNK += [
    "",
    "x",
    "..",
    "../a",
    "a/../b",
    "/a",
    "a//b",
    "a/",
    ".",
    "a\0b",
    "\ud800",
    "\udcc3\udca4",
    "d1/01",
    "é" * 5000,
]
JUNK += ["0000", [], {}, [1], [[]], {"0": "x"}, {"-1": "x"}, "AAAA"]


def every_place(value, above=()):
    """The paths to all that stands in a JSON value."""
    yield above
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from every_place(inner, (*above, key))


@st.composite
def forgeries(draw):
    root, pages = copy.deepcopy((ROOT_OF, PAGES))
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(-1, len(pages) - 1))
        whole = root if number < 0 else pages[number]
        path = draw(st.sampled_from(list(every_place(whole))[1:]))
        for key in path[:-1]:
            whole = whole[key]
        how = draw(st.sampled_from(["replace", "replace", "near", "remove", "repeat", "swap"]))
        value = whole[path[-1]]
        if how == "near" and type(value) is int:
            whole[path[-1]] = value + draw(st.sampled_from([-512, -1, 1, 512]))
        elif how == "remove":
            del whole[path[-1]]
        elif how == "repeat" and isinstance(whole, list):
            whole.insert(path[-1], value)
        elif how == "swap" and isinstance(whole, list):
            whole[path[-1]], whole[0] = whole[0], value
        else:
            whole[path[-1]] = draw(st.sampled_from(JUNK))
        if path == ("pages",):
            break
    try:
        return forged(DATA, root, pages) if draw(st.booleans()) else forged_root_last(root, pages)
    except (TypeError, KeyError, AttributeError):
        return MADE


def forged_root_last(root, pages):
    """As ``forged``, but that what the root says of lengths and digests stays as it is."""
    return joined(DATA, root, [deflated(page) for page in pages])


@pytest.mark.slow
@given(forgeries())
@examples(300)
def test_whatever_an_index_says_no_content_is_wrong(made):
    check_right(made)


def page_with(**columns):
    """The archive, with something else in the first page's columns of members."""
    pages = copy.deepcopy(PAGES)
    for column, (place, value) in columns.items():
        pages[0]["members"][column][place] = value
    root = ROOT_OF | {"sorted": False}
    return forged(DATA, root, pages)


@pytest.mark.parametrize("name", ["../a", "a/../b", "/a", "a\0", "", ".", "a//b", "a/", "./a", "\ud800", "n" * 4096])
def test_names_that_no_member_can_have(name):
    index = open_index(Ranges(made := page_with(name=(1, name))), len(made))
    with pytest.raises(UnsafeArchiveError):
        list(index)
    with pytest.raises(UnsafeArchiveError):
        index.find("d1/01")


@pytest.mark.parametrize("target", ["", "\0", "\ud800", "t" * 4096, "../up"])
@pytest.mark.parametrize("kind", ["1", "2"])
def test_targets_that_no_link_can_have(kind, target):
    pages = copy.deepcopy(PAGES)
    last = next(page["members"] for page in pages if ("z" if kind == "2" else "zz") in page["members"]["name"])
    place = str(last["name"].index("z" if kind == "2" else "zz"))
    assert last["target"][place] == "d1/01"
    last["target"][place] = target
    index = open_index(Ranges(made := forged(DATA, ROOT_OF, pages)), len(made))
    if (kind, target) == ("2", "../up"):  # where it leads is a matter of whoever makes it
        assert index.find("z").entry.target == target
        return
    with pytest.raises(UnsafeArchiveError, match=r"no usable target|would leave the directory|is longer than"):
        list(index)


@pytest.mark.parametrize(
    ("column", "value"), [("name", "d0/zz"), ("time", 4), ("mode", 0o755), ("size", 1), ("crc32", 5), ("head", 2)]
)
def test_a_member_that_is_not_what_its_page_says(column, value):
    at = PAGES[0]["members"]["name"].index("d0/03")
    made = page_with(**{column: (at, value)})
    index = open_index(Ranges(made), len(made))
    with pytest.raises(CorruptArchiveError):
        b"".join(index.content(index.find("d0/zz" if column == "name" else "d0/03")))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"format": 1' + b"0" * 5000 + b"}",
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        '{"format": 1}'.encode("utf-16"),
        '{"é": 1}'.encode(),
        b"{}" + bytes(100),
        b'{"format": NaN}',
    ],
    ids=range(12),
)
def test_json_that_is_none(text):
    made = joined(DATA, text, [])
    with pytest.raises(CorruptArchiveError):
        open_index(Ranges(made), len(made))
    payloads = [deflated(text), *map(deflated, PAGES[1:])]
    made = joined(DATA, with_pages(ROOT_OF, payloads), payloads)
    with pytest.raises(CorruptArchiveError):
        list(open_index(Ranges(made), len(made)))


@pytest.mark.parametrize("key", ["name", "before", "compressed", "data", "first", "sha256"])
def test_a_key_that_stands_twice(key):
    """Which of both counts would depend on the reader."""

    def twice(value):
        text = json.dumps(value).encode()
        return text.replace(b'"%s":' % key.encode(), b'"%s": 0, "%s":' % (key.encode(), key.encode()), 1)

    payloads = [deflated(twice(page)) for page in PAGES]
    made = joined(DATA, twice(with_pages(ROOT_OF, payloads)), payloads)
    with pytest.raises(CorruptArchiveError, match="no JSON that"):
        list(open_index(Ranges(made), len(made)))
    with pytest.raises(ValueError, match=r"docs/format.md"):
        index_reader.Archive(Ranges(made), len(made)).page(0)


@pytest.mark.slow
@pytest.mark.parametrize("text", [b'{"a":"' + b"a" * (1 << 27) + b'"}', b"0" * (1 << 27)], ids=["text", "digits"])
def test_a_bomb_takes_little_memory(text):
    made = joined(DATA, text, [])
    del text
    tracemalloc.start()
    try:
        with pytest.raises(CorruptArchiveError, match="too long"):
            open_index(Ranges(made), len(made))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 1, 75, len(MADE), len(MADE) - FOOTER, 1 << 63, (1 << 64) - 1])
def test_a_footer_that_leads_elsewhere(length):
    made = MADE[:-FOOTER] + footer(length, bytes(32))
    with pytest.raises(CorruptArchiveError):
        open_index(Ranges(made), len(made))


def test_two_archives_joined_have_an_index_that_does_not_fit():
    made = MADE + MADE
    with pytest.raises(CorruptArchiveError, match="does not fit"):
        open_index(Ranges(made), len(made))


def test_a_store_that_gives_less_than_was_asked_for():
    index = open_index(Ranges(MADE), len(MADE))
    with pytest.raises(CorruptArchiveError, match="were asked for"):
        open_index(lambda start, stop: MADE[start : stop - 1], len(MADE))
    index._read = lambda start, stop: MADE[start : stop - 1]
    index._tail_at = len(MADE)
    with pytest.raises(CorruptArchiveError, match="were asked for"):
        list(index)


@pytest.mark.parametrize("ends", [True, False])
def test_a_block_that_is_not_what_other_readers_make_of_it(ends):
    """One that ends the stream for them, or that holds more than the index says."""

    def block(content):
        if ends:
            return deflated(content)
        return compressed(content + b"more")

    made = archive(Tree.of({"a": b"1"}), block=block)
    index = open_index(Ranges(made), len(made))
    with pytest.raises(CorruptArchiveError, match="not as long as"):
        b"".join(index.content(index.find("a")))


def test_a_header_for_all_members_is_refused():
    """It could have renamed those before, for whoever reads all of the stream."""
    body = b"18 path=elsewhere\n"
    stream = b"".join(tar(Tree.of({"a": b"1"})))
    general = bytearray(b"".join(tar(Tree.of({"g": body})))[:1024])
    general[156:157] = b"g"
    general[148:156] = b"        "
    general[148:156] = b"%06o\0 " % sum(general[:512])
    stream = bytes(general) + stream
    writer = IndexWriter(2)
    writer.member(Entry("elsewhere", "file", 1), stream[:1536], zlib.crc32(b"1"))
    block = compressed(stream)
    writer.block(len(block), len(stream), hashlib.sha256(block).digest())
    end = b"\x03\x00" + struct.pack("<II", zlib.crc32(stream), len(stream))
    data = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + block + end
    made = data + b"".join(writer.finish(len(data), "0" * 64).pieces)
    index = open_index(Ranges(made), len(made))
    with pytest.raises(CorruptArchiveError, match="is not what"):
        b"".join(index.content(index.find("elsewhere")))


def test_members_that_are_said_to_be_sorted():
    tree = Tree(tuple(reversed(ENTRIES)), TREE.read)
    data, root, pages = parts(archive(tree))
    assert root["sorted"] is False
    made = forged(data, root | {"sorted": True}, pages)
    with pytest.raises(CorruptArchiveError, match="and they are not"):
        list(open_index(Ranges(made), len(made)))
    data, root, pages = parts(archive(Tree(ENTRIES[1:3], TREE.read)))
    pages[0]["members"]["name"] = [ENTRIES[1].name] * 2
    made = forged(data, root, pages)
    with pytest.raises(CorruptArchiveError, match="and they are not"):
        open_index(Ranges(made), len(made)).find(ENTRIES[1].name)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_lookup_in_a_page_whose_names_reach_behind_the_begin_of_the_next(name):
    made = made_of_pages([["a", "m"], ["c", "z"]], 1, sorted=True)
    with pytest.raises(CorruptArchiveError, match="and they are not"):
        open_index(Ranges(made), len(made)).find(name)


def page_of(names, blocks):
    """What an index says of so many blocks of 1 MiB, in one page, and of empty files."""
    count = len(names)
    digests = base64.b64encode(bytes(32 * blocks)).decode()
    column = {key: [0] * count for key in ("mode", "size", "time", "crc32")}
    members = {"name": names, "kind": "0" * count, "head": [1] * count, "target": {}} | column
    return {
        "blocks": {"compressed": [1] * blocks, "size": [MIB] * blocks, "sha256": digests},
        "before": 0,
        "members": members,
    }


def made_of(names, blocks):
    return made_of_pages([names], blocks)


def made_of_pages(names, blocks, **told):
    """Pages of so many blocks each, of which each has the next of these lists of ``names``."""
    count = len(names)
    pages = {"blocks": [blocks], "compressed": [blocks], "size": [MIB * blocks]}
    pages = {key: column * count for key, column in pages.items()}
    pages |= {"members": [*map(len, names)], "first": [(each or [""])[0] for each in names]}
    size = 20 + blocks * count
    told |= {"data": size, "members": sum(map(len, names)), "pages": pages}
    told["tar"] = ROOT_OF["tar"] | {"size": MIB * blocks * count}
    return forged(bytes(size), ROOT_OF | told, [page_of(each, blocks) for each in names])


def traced(work):
    """The most bytes that were held while ``work`` was done."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_blocks_of_a_byte_each_are_not_all_listed_before_one_is_read():
    made = made_of_pages([[]] * 40, 4096)
    index = open_index(Ranges(made), len(made))

    def read():
        with pytest.raises(CorruptArchiveError, match="block of the archive is damaged"):
            next(index.read(0, index.tar_size))

    assert traced(read) < 16 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 1 << 24], ids=["walked", "hashed"])
def test_names_in_no_order_are_not_held(most):
    names = [[f"{page:03}/{number:04}" + "/x" * 200 for number in range(4096)] for page in range(30)]
    made = made_of_pages(names, 3, sorted=False)
    sought, names = names[17][5], None
    index = open_index(Ranges(made), len(made))

    def find():
        assert index.find(sought).entry.name == sought
        assert index.find("no") is None

    with mock.patch("keystow.archive.index._MOST_HASHES", most, create=True):
        assert traced(find) < 32 * MIB


@pytest.mark.parametrize(("members", "blocks", "is_read"), [(4096, 4096, True), (4097, 3, False), (1, 4097, False)])
def test_a_page_of_more_than_a_page_can_have(members, blocks, is_read):
    """A few bytes could make a reader hold, and look at, hundreds of thousands of members."""
    made = made_of([f"{number:07}" for number in range(members)], blocks)
    if is_read:
        assert len(list(open_index(Ranges(made), len(made)))) == members
        return
    with pytest.raises(CorruptArchiveError, match=r"'members'|'blocks'"):
        open_index(Ranges(made), len(made))


def test_the_writer_never_has_as_many_in_a_page():
    """All but full, and then a block that holds nothing but headers."""
    names = [f"{number:07}" for number in range(1999 + 2048)]
    made = archive(Tree.of(dict.fromkeys(names, b"")), sizes=[1999 * 512])
    assert parts(made)[1]["pages"]["members"] == [4047, 0]
    assert len(list(open_index(Ranges(made), len(made)))) == 4047


def test_a_name_that_is_there_twice():
    page = copy.deepcopy(PAGES[0])
    page["members"]["name"][1] = page["members"]["name"][0]
    made = forged(DATA, ROOT_OF | {"sorted": False}, [page, *PAGES[1:]])
    index = open_index(Ranges(made), len(made))
    with pytest.raises(CorruptArchiveError, match="does not agree with itself"):
        index.find("d1/01")
    with pytest.raises(CorruptArchiveError, match="does not agree with itself"):
        list(index)
    with pytest.raises(ValueError, match=r"docs/format.md"):
        index_reader.Archive(Ranges(made), len(made)).page(0)


@pytest.mark.parametrize("first", ["", "x", PAGES[1]["members"]["name"][0] + "0", "d0", "\ud800"])
def test_a_page_that_begins_otherwise_than_the_root_says(first):
    """The one before it ends with a name that ``d0`` is not behind."""
    root = copy.deepcopy(ROOT_OF)
    assert root["pages"]["first"][:2] == ["d", "d0/1"]
    root["pages"]["first"][1] = first
    made = forged(DATA, root, PAGES)
    with pytest.raises(CorruptArchiveError):
        list(open_index(Ranges(made), len(made)))


def test_pages_whose_members_leave_a_gap():
    pages = copy.deepcopy(PAGES)
    page = next(page for page in pages[1:] if page["members"]["name"] and page["before"] >= 512)
    page["before"] -= 512
    made = forged(DATA, ROOT_OF, pages)
    with pytest.raises(CorruptArchiveError):
        list(open_index(Ranges(made), len(made)))


def test_what_comes_later_is_passed_over():
    """Keys may be added."""
    pages = [page | {"more": 1, "members": page["members"] | {"owner": [None]}} for page in PAGES]
    made = forged(DATA, ROOT_OF | {"more": [{}]}, pages)
    assert dict(use(made)) == CONTENTS


def test_the_entries_are_those_of_the_tree():
    found = [member.entry for member in open_index(Ranges(MADE), len(MADE))]
    assert [replace(entry, executable=False) for entry in found] == list(TREE.entries)


def test_the_data_is_as_it_was():
    assert data_and_index(TREE, sizes=[4096, 700, 9000, 513, 512] * 12)[0] == DATA
