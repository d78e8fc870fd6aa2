"""Laws of cutting a stream into parts, for any way the stream comes in."""

import base64
import hashlib
import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow.backends.gcs.session import piece_size
from keystow.backends.gcs.store import GCSStore
from keystow.backends.sending.digest import PartsDigest
from keystow.backends.sending.parts import HELD, MIB, MOST_PARTS, Body, alone, begun, part_size, parts

pytestmark = pytest.mark.slow

PART = part_size(1)
SOURCE = hashlib.shake_256(b"parts").digest(3 * PART + MIB)
CUTS = st.lists(st.integers(0, len(SOURCE)) | st.sampled_from([0, 1, PART - 1, PART, PART + 1, 2 * PART]), max_size=8)


def chunked(cuts: list[int], end: int) -> list[bytes]:
    edges = [0, *sorted(cut for cut in cuts if cut <= end), end]
    return [SOURCE[start:stop] for start, stop in itertools.pairwise(edges)]


@settings(deadline=None, max_examples=40)
@given(CUTS, st.integers(0, len(SOURCE)) | st.sampled_from([0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART]))
def test_parts_join_to_what_came_in_and_are_full(cuts, end) -> None:
    made = list(parts(chunked(cuts, end)))
    assert b"".join(made) == SOURCE[:end]
    assert [len(part) for part in made[:-1]] == [part_size(number) for number in range(1, len(made))]
    assert all(0 < len(part) <= part_size(number) for number, part in enumerate(made, 1))


@settings(deadline=None, max_examples=40)
@given(CUTS, st.integers(0, len(SOURCE)) | st.sampled_from([0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART]))
def test_what_s3_reports_is_known_beforehand_however_the_stream_comes(cuts, end) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html, "composite"."""
    digest = PartsDigest(iter(chunked(cuts, end)))
    assert b"".join(digest) == SOURCE[:end]
    assert (digest.size, digest.hexdigest()) == (end, hashlib.sha256(SOURCE[:end]).hexdigest())
    each = [hashlib.sha256(part).digest() for part in parts([SOURCE[:end]])]
    if len(each) < 2:
        assert digest.parts_base64() == digest.base64()
    else:
        whole = base64.b64encode(hashlib.sha256(b"".join(each)).digest()).decode()
        assert digest.parts_base64() == f"{whole}-{len(each)}"


@given(st.integers(1, MOST_PARTS - 1))
def test_a_part_is_within_the_limits_of_s3_and_never_smaller_than_the_one_before(number) -> None:
    assert 5 * MIB <= part_size(number) <= part_size(number + 1) <= 5 << 30


@given(st.lists(st.integers(1, 40), min_size=1), st.lists(st.binary(max_size=90), max_size=9))
def test_parts_are_as_long_as_they_are_to_be(lengths, chunks) -> None:
    made = list(parts(chunks, lambda number: lengths[(number - 1) % len(lengths)]))
    wanted = list(itertools.islice(itertools.cycle(lengths), len(made)))
    assert b"".join(made) == b"".join(chunks)
    assert [len(part) for part in made[:-1]] == wanted[:-1]
    assert all(0 < len(part) <= length for part, length in zip(made, wanted, strict=True))


@given(st.integers(1, 1 << 40), st.integers(1, HELD))
def test_a_piece_is_what_google_takes_and_two_are_what_may_be_held(number, held) -> None:
    """https://cloud.google.com/storage/docs/performing-resumable-uploads, "Chunked upload": 256 KiB times anything."""
    size, following = piece_size(number, held), piece_size(number + 1, held)
    assert size % (256 << 10) == 0
    assert 8 * MIB <= size <= following
    assert size + following <= max(held, 16 * MIB)


def test_the_first_piece_is_what_one_request_may_write() -> None:
    assert piece_size(1) == GCSStore.largest


@given(st.binary(max_size=99), st.data())
def test_the_rest_of_a_body_is_sent(content, data) -> None:
    start = data.draw(st.integers(0, len(content)))
    body = Body(content, start)
    assert len(body.getbuffer()) - body.tell() == len(content) - start
    assert body.read() == body.anew().read() == content[start:]


def test_the_parts_there_may_be_hold_the_largest_object_there_may_be() -> None:
    assert sum(map(part_size, range(1, MOST_PARTS + 1))) >= 5 << 40


def test_the_parts_do_not_grow_before_16_gib() -> None:
    assert sum(map(part_size, range(1, 2_001))) < 16 << 30
    assert {part_size(number) for number in range(1, 2_001)} == {PART}


def test_parts_are_made_as_they_are_asked_for() -> None:
    taken: list[int] = []

    def chunks():
        for number in range(64):
            taken.append(number)
            yield SOURCE[:MIB]

    made = parts(chunks())
    assert len(next(made)) == PART
    assert len(taken) == PART // MIB


def test_a_buffer_that_is_used_again_is_copied() -> None:
    buffer = bytearray(1000)

    def chunks():
        for number in range(3):
            buffer[:] = bytes([number]) * 1000
            yield buffer

    assert b"".join(parts(chunks())) == b"\0" * 1000 + b"\1" * 1000 + b"\2" * 1000
    assert b"".join(begun(chunks(), lambda size: size > 1500)[1]) == b"\0" * 1000 + b"\1" * 1000 + b"\2" * 1000


def test_tiny_chunks_take_no_more_memory_than_large_ones() -> None:
    tracemalloc.start()
    try:
        assert sum(map(len, parts(SOURCE[:16] for _ in range((PART + MIB) // 16)))) == PART + MIB
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * PART


@pytest.mark.parametrize("count", range(4))
def test_whether_a_part_is_alone(count) -> None:
    pieces = [bytes([number]) for number in range(count)]
    only, joined = alone(iter(pieces))
    assert only == (b"".join(pieces) if count < 2 else None)
    assert list(joined) == pieces


@given(st.lists(st.binary(max_size=9), max_size=9), st.integers(0, 30))
def test_the_beginning_is_part_of_all(chunks, size) -> None:
    head, joined = begun(chunks, lambda have: have >= size)
    assert head == chunks[: len(head)]
    assert sum(map(len, head)) >= size or head == chunks
    assert sum(map(len, head[:-1])) < max(size, 1)
    assert list(joined) == chunks
    assert head == []


@pytest.mark.parametrize("take", [lambda pieces: alone(pieces)[1], lambda pieces: begun(pieces, (2 * MIB).__le__)[1]])
def test_nothing_that_has_passed_is_held(take) -> None:
    tracemalloc.start()
    try:
        joined = take(bytes(MIB) for _ in range(4))
        held = [tracemalloc.get_traced_memory()[0] // MIB for _ in joined]
    finally:
        tracemalloc.stop()
    assert held == [2, 1, 1, 1]
