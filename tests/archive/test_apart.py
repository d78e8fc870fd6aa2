"""Blocks that are told of are inflated side by side: to what inflating from the start gives, or to an error."""

import random
import threading

import indexed
import pytest
from archive_strategies import chunkings, cut, examples
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive import CorruptArchiveError, Tree, gunzip
from keystow.archive.apart import gunzip_apart
from keystow.archive.index import open_index
from keystow.archive.page import Block

KIB = 1 << 10
NOISE = random.Random(5).randbytes(300 * KIB)
SECRET = bytes(range(32))
contents = st.one_of(
    st.binary(max_size=300),
    st.builds(bytes, st.integers(0, 300 * KIB)),
    st.builds(lambda size: NOISE[:size], st.integers(0, 300 * KIB)),
)
trees = st.lists(contents, min_size=1, max_size=4).map(
    lambda found: Tree.of({str(number): content for number, content in enumerate(found)})
)


def told(archive):
    """The blocks that its index tells of."""
    return list(open_index(lambda start, stop: archive[start:stop], len(archive)).all_blocks())


def inflated(chunks, blocks, *, threads=2, secret=SECRET):
    return b"".join(gunzip_apart(chunks, blocks, secret=secret, threads=threads))


def check_as_gunzip(archive, blocks):
    try:
        found = inflated([archive], blocks)
    except CorruptArchiveError:
        return
    assert found == b"".join(gunzip([archive]))


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert "keystow-inflate" not in {thread.name for thread in threading.enumerate()}


@examples(60)
@given(trees, chunkings, st.lists(st.integers(1, 200 * KIB), max_size=6), st.integers(1, 3))
def test_it_gives_what_gunzip_gives(tree, sizes, blocks, threads):
    archive = indexed.archive(tree, sizes=blocks)
    assert inflated(cut(archive, sizes), told(archive), threads=threads) == b"".join(gunzip([archive]))


@examples(100)
@given(trees, st.lists(st.integers(1, 200 * KIB), max_size=6), st.data())
def test_what_is_damaged_is_an_error_or_gives_what_gunzip_gives(tree, sizes, data):
    archive = indexed.archive(tree, sizes=sizes)
    blocks = told(archive)
    at = data.draw(st.integers(0, len(archive) - 1))
    damaged = bytearray(archive)
    damaged[at] ^= data.draw(st.integers(1, 255))
    check_as_gunzip(bytes(damaged), blocks)
    with pytest.raises(CorruptArchiveError):
        inflated([archive[:at]], blocks)


@examples(100)
@given(trees, st.lists(st.integers(1, 200 * KIB), min_size=1, max_size=6), st.data())
def test_blocks_that_are_not_there_are_an_error_or_give_what_gunzip_gives(tree, sizes, data):
    archive = indexed.archive(tree, sizes=sizes)
    blocks = told(archive)
    number = data.draw(st.integers(0, len(blocks) - 1))
    names = st.sampled_from(["start", "stop", "tar_start", "tar_stop"])
    moved = {
        name: getattr(blocks[number], name) + by
        for name, by in data.draw(st.dictionaries(names, st.integers(-9, 9))).items()
    }
    blocks[number] = blocks[number]._replace(**moved)
    if data.draw(st.booleans()):
        del blocks[data.draw(st.integers(0, len(blocks) - 1))]
    check_as_gunzip(archive, blocks)


def nested():
    """An archive with one stored block, in which deflate stands, and its blocks told as if that were of the archive."""
    inner = indexed.compressed(b"other" * 1000)
    stream = bytes(512) + inner + bytes(512)
    data = indexed.stored(stream)
    archive = indexed.HEADER + data + b"\x03\x00"
    begin, end = len(indexed.HEADER), len(indexed.HEADER) + len(data)
    at = begin + 5 + 512
    tar = [0, 512, 512 + 5000, 512 + 5000 + 512]
    places = [begin, at, at + len(inner), end]
    return archive, [Block(*places[n : n + 2], *tar[n : n + 2], b"") for n in range(3)]


def test_what_stands_in_a_stored_block_is_no_block():
    """The first piece gives as many bytes as were told, and is in the middle of its block then."""
    archive, blocks = nested()
    with pytest.raises(CorruptArchiveError, match="not as long as was told"):
        inflated([archive], blocks[:1])
    with pytest.raises(CorruptArchiveError):
        inflated([archive], blocks)


def test_a_block_that_ends_as_the_stream_would_is_none():
    content = b"content" * 100
    data = indexed.compressed(content)[:-5] + b"\x03\x00"
    archive = indexed.HEADER + data
    block = Block(len(indexed.HEADER), len(archive), 0, len(content), b"")
    with pytest.raises(CorruptArchiveError):
        inflated([archive], [block])


def test_what_lies_behind_has_to_be_gzip():
    archive = indexed.archive(Tree.of({"a": b"1"}))
    with pytest.raises(CorruptArchiveError, match="no sound gzip"):
        inflated([archive, b"more, and no gzip"], told(archive))


def test_a_stream_that_does_not_begin_as_ours_is_refused():
    archive = indexed.archive(Tree.of({"a": b"1"}))
    with pytest.raises(CorruptArchiveError, match="does not begin"):
        inflated([archive[:9] + b"\x03" + archive[10:]], told(archive))


def test_a_checksum_that_is_another_one_is_told():
    archive = bytearray(indexed.archive(Tree.of({"a": b"1"})))
    blocks = told(bytes(archive))
    archive[blocks[-1].stop + 2] ^= 1
    with pytest.raises(CorruptArchiveError, match="with the checksum"):
        inflated([bytes(archive)], blocks)


def test_the_source_is_read_by_the_callers_thread():
    archive = indexed.archive(Tree.of({"a": NOISE * 8}))
    readers = set()

    def chunks():
        for chunk in cut(archive, [100 * KIB] * 40):
            readers.add(threading.get_ident())
            yield chunk

    assert inflated(chunks(), told(archive), threads=3) == b"".join(gunzip([archive]))
    assert readers == {threading.get_ident()}


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_whoever_reads_may_stop_at_any_time(pieces):
    archive = indexed.archive(Tree.of({"a": NOISE * 60}))
    read = []

    def chunks():
        for chunk in cut(archive, [100 * KIB] * 200):
            read.append(len(chunk))
            yield chunk

    reading = gunzip_apart(chunks(), told(archive), secret=SECRET, threads=2)
    for _ in range(pieces):
        next(reading)
    before = sum(read)
    reading.close()
    assert sum(read) == before < len(archive)


def test_no_block_is_inflated_further_than_it_is_told():
    bomb = indexed.compressed(bytes(64 << 20))
    archive = indexed.HEADER + bomb
    block = Block(len(indexed.HEADER), len(archive), 0, KIB, b"")
    with pytest.raises(CorruptArchiveError, match="not as long as was told"):
        inflated([archive], [block])
