"""gunzip in a thread of its own: the same content and errors, bounded, and nothing of it is left running."""

import itertools
import threading
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from archive_strategies import chunkings, cut, examples, member, zipped
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive import CorruptArchiveError, Tree, UnsafeArchiveError, gunzip, gzip, pack, unpack
from keystow.archive.gzip import gunzip_ahead

MIB = 1 << 20
NOISE = bytes(range(256)) * 4096
contents = st.one_of(st.binary(max_size=300), st.builds(bytes, st.integers(0, 9 * MIB)), st.just(NOISE * 5))


def inflating():
    """How many threads inflate, or compress."""
    return sum(thread.name in {"keystow-gunzip", "keystow-gzip"} for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    """Of these; what others have left may end meanwhile."""
    yield
    assert inflating() == 0


def outcome(read, chunks):
    found = []
    try:
        for piece in read(chunks):
            assert 0 < len(piece) <= MIB
            found.append(piece)
    except CorruptArchiveError as error:
        return str(error)
    return b"".join(found)


@examples(60)
@given(st.lists(contents, min_size=1, max_size=3), chunkings, st.integers(0, 9), st.booleans())
def test_it_gives_what_gunzip_gives(members, sizes, level, whole):
    archive = b"".join(b"".join(gzip([content], level=level)) for content in members)
    archive = archive if whole else archive[: len(archive) * 2 // 3]
    assert outcome(gunzip_ahead, cut(archive, sizes)) == outcome(gunzip, cut(archive, sizes))
    assert not whole or outcome(gunzip_ahead, [archive]) == b"".join(members)


def test_the_source_is_read_by_the_callers_thread():
    readers = set()

    def chunks():
        for chunk in gzip([NOISE * 8]):
            readers.add(threading.get_ident())
            yield chunk

    assert b"".join(gunzip_ahead(chunks())) == NOISE * 8
    assert readers == {threading.get_ident()}


@pytest.mark.parametrize("error", [ConnectionResetError, KeyboardInterrupt, ValueError])
def test_an_error_of_the_source_comes_through_unchanged(error):
    raised = error("the network went away")

    def chunks():
        yield from itertools.islice(gzip([NOISE * 8]), 5)
        raise raised

    with pytest.raises(error) as caught:
        list(gunzip_ahead(chunks()))
    assert caught.value is raised
    assert caught.value.__context__ is None


@pytest.mark.parametrize("pieces", [0, 1, 4])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_whoever_reads_may_stop_at_any_time(pieces, error):
    for stop in (lambda reading: reading.close(), lambda reading: reading.throw(error)):
        read = 0

        def chunks():
            nonlocal read
            for chunk in gzip(itertools.repeat(NOISE, 64)):
                read += 1
                yield chunk

        reading = gunzip_ahead(chunks())
        for _ in range(pieces):
            next(reading)
        before = read
        with suppress(error):
            stop(reading)
        assert read == before


@pytest.mark.slow
def test_a_bomb_is_inflated_no_further_than_a_few_mib():
    bomb = zlib.compress(bytes(300 * MIB), wbits=16 + zlib.MAX_WBITS)
    tracemalloc.start()
    try:
        reading = gunzip_ahead([bomb])
        first = next(reading)
        whole = len(first) + sum(map(len, reading))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(first) <= MIB
    assert whole == 300 * MIB
    assert peak < 14 * MIB


def test_the_source_is_read_no_further_than_a_few_mib():
    read = 0

    def chunks():
        nonlocal read
        compressor = zlib.compressobj(0, wbits=16 + zlib.MAX_WBITS)
        for _ in range(64):
            read += 1
            yield compressor.compress(NOISE)
        yield compressor.flush()

    reading = gunzip_ahead(chunks())
    taken = 0
    for _ in range(80):
        taken += len(next(reading))
        assert read <= taken // MIB + 8
    reading.close()


@pytest.mark.parametrize(
    ("archive", "error"),
    [
        (zipped(member(b"a", content=NOISE), member(b"../b"), member(b"c", content=NOISE)), UnsafeArchiveError),
        (b"".join(pack(Tree.of({"a": NOISE * 9})))[:-1], CorruptArchiveError),
        (zipped(member(b"a"), end=b"x" * 512), CorruptArchiveError),
    ],
    ids=["unsafe", "cut short", "no tar"],
)
def test_a_refusal_leaves_no_thread_while_it_is_handled(tmp_path, archive, error):
    with pytest.raises(error) as caught:
        unpack(cut(archive, [1000] * 20), tmp_path / "target")
    assert inflating() == 0, caught


def test_blocks_that_are_used_again_keep_their_content():
    blocks = [bytes([number]) * MIB for number in range(12)]
    for threads, size in ((1, MIB), (2, 700_000), (3, 5 * MIB)):
        content = b"".join(blocks) + b"end"
        chunks = (content[at : at + size] for at in range(0, len(content), size))
        assert b"".join(gunzip(gzip(chunks, threads=threads))) == content
