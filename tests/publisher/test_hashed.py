"""What is read is hashed by a thread of its own: the same bytes and digest, bounded, and nothing is left running."""

import hashlib
import itertools
import random
import threading
import tracemalloc
from contextlib import suppress

import pytest
from children import forked
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow import VerificationError, fetch, publish
from keystow.archive.threads import Called
from keystow.checksum import Checksum
from keystow.reading import Hashed

MIB = 1 << 20
NOISE = bytes(range(256)) * 4096


class LostError(Exception):
    """Whoever was told has gone."""


chunks = st.lists(
    st.one_of(st.binary(max_size=40), st.integers(0, 3 * MIB).map(lambda size: (NOISE * 3)[:size])), max_size=6
)


def hashing():
    """How many threads hash."""
    return sum(thread.name == "keystow-sha256" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    """Of those that hash; what others have left may end meanwhile."""
    yield
    assert hashing() == 0


def sha256(found):
    return Checksum(hashlib.sha256(b"".join(found)).hexdigest())


@settings(max_examples=40)
@given(chunks, st.data())
def test_all_passes_and_is_hashed_whenever_that_is_asked(came, data):
    asked = data.draw(st.sets(st.integers(0, len(came))))
    hashed = Hashed(came, sha256(came), "url")
    passed = []
    for number, chunk in enumerate(hashed):
        passed.append(chunk)
        assert number not in asked or hashed.checksum() == sha256(passed)
    assert passed == came
    assert hashed.checksum() == sha256(came)


@settings(max_examples=40)
@given(chunks, st.data())
def test_who_stops_may_go_on(came, data):
    hashed = Hashed(came, sha256(came), "url")
    first = iter(hashed)
    count = data.draw(st.integers(0, len(came)))
    passed = list(itertools.islice(first, count))
    if data.draw(st.booleans()):
        first.close()
    assert hashed.checksum() == sha256(passed)
    hashed.drain()
    assert hashed.checksum() == sha256(came)
    first.close()


@pytest.mark.parametrize("came", [[], [b"a"], [NOISE] * 9], ids=["none", "little", "much"])
def test_another_digest_is_told_at_the_end(came):
    passed = []
    with pytest.raises(VerificationError, match="'url' has the SHA-256"):
        passed.extend(Hashed(came, sha256([b"other"]), "url"))
    assert passed == came or not passed


@pytest.mark.parametrize("error", [ConnectionResetError, KeyboardInterrupt])
def test_an_error_of_the_source_comes_through_unchanged(error):
    raised = error("the network went away")

    def failing():
        yield from [NOISE] * 5
        raise raised

    before = hashing()
    with pytest.raises(error) as caught:
        list(Hashed(failing(), sha256([]), "url"))
    assert caught.value is raised
    assert hashing() == before


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("count", [2, 5, 7])
def test_who_was_interrupted_while_it_waited_is_told_what_is_right(count, when, monkeypatch):
    """In a child, which is ended if it waits for ever."""
    came = [bytes([n]) * (MIB // 2 + n) for n in range(9)]
    answer = Called.result

    def interrupted(called):
        monkeypatch.setattr(Called, "result", answer)
        if when == "after":
            answer(called)
        raise KeyboardInterrupt

    def goes_on():
        hashed = Hashed(came, sha256(came), "url")
        chunks = iter(hashed)
        passed = list(itertools.islice(chunks, count))
        monkeypatch.setattr(Called, "result", interrupted)
        with suppress(KeyboardInterrupt):
            hashed.checksum()
        assert hashed.checksum() == sha256(passed)
        hashed.drain()
        return hashed.checksum()

    assert forked(goes_on)() == sha256(came)


@pytest.mark.parametrize("count", range(1, 8))
def test_who_is_forked_goes_on_in_both(count):
    came = [bytes([n]) * (MIB // 2 + n) for n in range(9)]
    hashed = Hashed(came, sha256(came), "url")
    chunks = iter(hashed)
    passed = list(itertools.islice(chunks, count))

    def rest():
        assert [*passed, *chunks] == came
        return hashed.checksum()

    child = forked(rest)
    assert rest() == sha256(came)
    assert child() == sha256(came)


def test_little_takes_no_thread():
    before = hashing()
    for _ in Hashed([NOISE[:-1]], None, "url"):
        assert hashing() == before


def test_no_more_than_a_few_mib_are_held():
    tracemalloc.start()
    try:
        for _ in Hashed((bytes(MIB // 4) for _ in range(200)), None, "url"):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


@pytest.mark.parametrize("way", [{}, {"archive": False}, {"raw": True}], ids=["archive", "plain", "raw"])
def test_a_failure_leaves_no_thread_while_it_is_handled(tmp_path, way):
    (tmp_path / "tree").mkdir()
    source = tmp_path / "tree" / "file"
    source.write_bytes(random.Random(1).randbytes(9 * MIB))
    key = "k" if "raw" in way else "k/" if "archive" in way else "k.tar.gz"
    published = publish(source if "raw" in way else source.parent, f"file://{tmp_path}/store/{key}", **way)

    def told(moved, _):
        if moved > 5 * MIB:
            raise LostError

    before = hashing()
    with pytest.raises(LostError) as caught:
        fetch(published, tmp_path / "back", progress=told)
    assert hashing() == before, caught
