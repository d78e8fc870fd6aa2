"""Large objects come in ranges, side by side: the same bytes as one stream gives, and never those of two versions."""

import contextlib
import itertools
import os
import random
import threading
import time
from types import SimpleNamespace

import pytest
from children import forked
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow.backends.errors import (
    AccessDeniedError,
    ConflictError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from keystow.backends.sending import ranges
from keystow.backends.sending.continuing import Content
from keystow.backends.sending.known import Version
from keystow.backends.sending.pace import Pace
from keystow.backends.sending.ranges import in_ranges

RANGE = 8


@pytest.fixture(autouse=True, scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "RANGE", RANGE)
        patch.setattr("keystow.backends.sending.repeating.PAUSES", (0.0, 0.0, 0.0))
        yield


class Server:
    """Has an object, of which it gives what is asked for, in pieces; how is said by ``chance``.

    If it heeds no ranges, it gives all of it in place of the first, and what is an answer to no other.
    """

    def __init__(self, content, *, chance=None, faults=0.0, heeds=True, tags=True):
        self.content, self.version = content, 1
        self.asked, self.held, self.open = [], 0, 0
        self._chance, self._faults, self._heeds, self._tags = chance or random.Random(0), faults, heeds, tags
        self._faults_left = 3
        self._lock = threading.Lock()

    def replace(self, content):
        self.content, self.version = content, self.version + 1

    def _fails(self):
        with self._lock:
            fails = self._faults_left > 0 and self._chance.random() < self._faults
            self._faults_left -= fails
            return fails

    def open_at(self, start, stop, tag):
        with self._lock:
            self.asked.append((start, stop, tag))
        if self._fails():
            raise StoreUnavailableError("503")
        content, version = self.content, f'"{self.version}"'
        if tag not in {None, version}:
            raise ConflictError("it was replaced")
        if start > len(content):
            raise StoreError("416")
        if not self._heeds:
            if start:
                raise StoreUnavailableError("200")
            stop = None
        stop = len(content) if stop is None else min(stop, len(content))
        pieces = self._pieces(content[start:stop])
        return Content(pieces, version if self._tags else None, stop - start, len(content))

    def _pieces(self, content):
        with self._lock:
            self.open += 1
        try:
            while content:
                size = self._chance.randint(1, len(content))
                yield content[:size]
                content = content[size:]
                if self._fails():
                    raise StoreUnavailableError("it broke off")
        finally:
            with self._lock:
                self.open -= 1


def read(server, start=0, stop=None, pace=None, near=0.0, held=6 * RANGE, known=None, proved=lambda _: None):
    how = {"patience": 60, "near": near, "held": held, "known": known, "proved": proved}
    return in_ranges(server.open_at, start, stop, pace=pace or Pace(2, 6), **how)


def named(size, version=1):
    """What was said of an object; without a version, its size alone."""
    return Version(size, None if version is None else f'"{version}"')


CONTENTS = st.binary(max_size=20 * RANGE)
CHANCES = st.integers(0, 1 << 32).map(random.Random)
"""Not hypothesis' own, as several threads draw."""
NEARS = st.sampled_from([0.0, 0.001, 60.0])


@settings(deadline=None)
@given(CONTENTS, st.data(), CHANCES, st.floats(0, 0.3), st.booleans(), st.sampled_from([0.0, 60.0]))
def test_the_bytes_are_those_of_one_stream_for_any_size_range_and_fault(content, data, chance, faults, heeds, near):
    start = data.draw(st.integers(0, len(content) if heeds else 0))
    stop = data.draw(st.none() | st.integers(start, len(content) + 2 * RANGE))
    server = Server(content, chance=chance, faults=faults if heeds else 0.0, heeds=heeds)
    assert b"".join(read(server, start, stop, near=near)) == content[start:stop]
    assert not server.open


@settings(deadline=None)
@given(
    *(CONTENTS, st.data(), CHANCES, st.floats(0, 0.3), st.booleans(), NEARS),
    *(st.none() | st.integers(0, 25 * RANGE), st.none() | st.integers(1, 2)),
)
def test_they_are_so_whatever_was_said_of_the_object_before(
    content, data, chance, faults, heeds, near, size, version
) -> None:
    start = data.draw(st.integers(0, len(content) if heeds else 0))
    stop = data.draw(st.none() | st.integers(start, len(content) + 2 * RANGE))
    server = Server(content, chance=chance, faults=faults if heeds else 0.0, heeds=heeds)
    known = named(len(content) if size is None else size, version)
    assert b"".join(read(server, start, stop, near=near, known=known)) == content[start:stop]
    assert not server.open


@settings(deadline=None)
@given(CONTENTS, CHANCES)
def test_without_a_tag_it_is_one_stream(content, chance):
    server = Server(content, chance=chance, tags=False)
    assert b"".join(read(server)) == content
    assert len(server.asked) <= 2


@settings(deadline=None)
@given(CONTENTS, CHANCES, NEARS)
def test_without_a_tag_it_is_so_whatever_size_was_said(content, chance, near):
    server = Server(content, chance=chance, tags=False)
    assert b"".join(read(server, near=near, known=named(len(content), None))) == content
    assert server.asked[-1][1] in {None, RANGE}
    assert not server.open


@settings(deadline=None)
@given(st.integers(2, 4), st.integers(0, 6), CHANCES, NEARS)
def test_what_is_replaced_while_it_is_asked_for_is_one_of_both_versions(count, when, chance, near):
    """Of an object whose size alone is known, each request may be the first that names a version."""
    server, contents = Server(b"a" * count * RANGE, chance=chance), [b"a" * count * RANGE, b"b" * count * RANGE]
    other = threading.Event()
    whole = server.open_at

    def open_at(start, stop, tag):
        if start:
            other.set()
        else:
            other.wait(0.01)
        if len(server.asked) == when:
            server.replace(contents[1])
        return whole(start, stop, tag)

    came = b""
    with contextlib.suppress(ConflictError):
        for piece in in_ranges(
            open_at, pace=Pace(4, 6), patience=60, near=near, held=6 * RANGE, known=named(count * RANGE, None)
        ):
            came += piece
        assert came in contents
    assert came in {content[: len(came)] for content in contents}
    assert not server.open


@settings(deadline=None)
@given(
    *(st.integers(1, 20), st.integers(0, 20), st.integers(0, 60)),
    *(st.floats(0, 0.2), CHANCES, NEARS, st.sampled_from([0, 1, None])),
)
def test_an_object_that_is_replaced_meanwhile_is_an_error_and_never_a_mixture(
    count, other, when, faults, chance, near, version
):
    server = Server(b"a" * count * RANGE, chance=chance, faults=faults)
    known = None if version == 0 else named(count * RANGE, version)
    came = b""
    with contextlib.suppress(ConflictError):
        for number, piece in enumerate(read(server, near=near, known=known)):
            if number == when:
                server.replace(b"b" * other * RANGE)
            came += piece
        assert len(came) == count * RANGE
    assert came == b"a" * len(came)


def test_what_is_small_is_asked_for_once():
    for size in (0, 1, RANGE - 1, RANGE):
        server = Server(bytes(size))
        assert b"".join(read(server)) == bytes(size)
        assert server.asked == [(0, RANGE, None)]


def test_a_server_that_gives_all_is_asked_once():
    server = Server(bytes(10 * RANGE), heeds=False)
    assert b"".join(read(server)) == bytes(10 * RANGE)
    assert len(server.asked) == 1


def test_of_a_store_that_is_near_the_rest_is_one_stream():
    server = Server(bytes(10 * RANGE))
    assert b"".join(read(server, near=60.0)) == bytes(10 * RANGE)
    assert server.asked == [(0, RANGE, None), (RANGE, None, '"1"')]


def test_what_has_not_begun_in_time_is_one_stream():
    server = Server(bytes(10 * RANGE))
    assert b"".join(in_ranges(server.open_at, pace=Pace(2, 6), patience=60, near=0.0, until=0.0)) == bytes(10 * RANGE)
    assert server.asked == [(0, RANGE, None), (RANGE, 10 * RANGE, '"1"')]


def test_the_rest_is_asked_for_in_time_and_not_once_all_before_it_is_taken(monkeypatch):
    now, end = [0.0], 40 * RANGE
    monkeypatch.setattr(ranges, "time", SimpleNamespace(monotonic=lambda: now[0]))
    server, rest, asked = Server(bytes(end)), [], threading.Event()
    whole = server.open_at

    def open_at(start, stop, tag):
        if (stop or end) - start > RANGE:
            rest.append(start)
            asked.set()
        return whole(start, stop, tag)

    reading = in_ranges(open_at, pace=Pace(4, 4), patience=60, near=0.0, until=1.0)
    taken = len(next(reading))
    now[0] = 2.0
    while taken < 4 * RANGE:  # of what was asked for in time, some is left
        taken += len(next(reading))
    assert asked.wait(60)
    assert taken < rest[0]
    assert taken + sum(map(len, reading)) == end


@settings(deadline=None)
@given(CONTENTS, st.data(), CHANCES, st.integers(0, 30))
def test_the_bytes_are_those_of_one_stream_whenever_the_time_is_over(content, data, chance, times):
    stop = data.draw(st.none() | st.integers(0, len(content) + 2 * RANGE))
    clock = iter(range(times))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "time", SimpleNamespace(monotonic=lambda: 0.0 if next(clock, None) is not None else 2.0))
        reading = in_ranges(
            Server(content, chance=chance).open_at, stop=stop, pace=Pace(2, 6), patience=60, near=0.0, until=1.0
        )
        assert b"".join(reading) == content[:stop]


def test_every_range_is_asked_for_once_and_of_the_first_ones_version():
    server = Server(bytes(10 * RANGE + 3))
    assert b"".join(read(server)) == bytes(10 * RANGE + 3)
    ends = [*range(RANGE, 11 * RANGE, RANGE), 10 * RANGE + 3]
    assert server.asked[0] == (0, RANGE, None)
    assert sorted(server.asked[1:]) == [(end, after, '"1"') for end, after in itertools.pairwise(ends)]


def test_so_many_are_under_way_as_the_pace_says():
    server = Server(bytes(12 * RANGE))
    three = threading.Barrier(3, timeout=60)
    whole = server.open_at

    def open_at(start, stop, tag):
        if start in {3 * RANGE, 4 * RANGE, 5 * RANGE}:
            three.wait()
        return whole(start, stop, tag)

    assert b"".join(in_ranges(open_at, pace=Pace(3, 3), patience=60, near=0.0)) == bytes(12 * RANGE)


@pytest.mark.parametrize(("version", "tag"), [(1, '"1"'), (None, None)])
def test_of_what_is_known_all_are_asked_for_at_once_and_of_that_version(version, tag):
    """Of a size alone, the first ones are of any version, and the others of that of their answers."""
    server = Server(bytes(12 * RANGE))
    three = threading.Barrier(3, timeout=60)
    whole = server.open_at

    def open_at(start, stop, tag):
        if start in {0, RANGE, 2 * RANGE}:
            three.wait()
        return whole(start, stop, tag)

    reading = in_ranges(open_at, pace=Pace(3, 3), patience=60, near=0.01, known=named(12 * RANGE, version))
    assert b"".join(reading) == bytes(12 * RANGE)
    asked = sorted(server.asked, key=lambda each: each[0])
    assert [each[:2] for each in asked] == [(at, at + RANGE) for at in range(0, 12 * RANGE, RANGE)]
    assert {each[2] for each in asked[:3]} == {tag}
    assert asked[-1][2] == '"1"'


def test_of_what_is_known_and_near_the_rest_is_one_stream():
    server = Server(bytes(10 * RANGE))
    assert b"".join(read(server, near=60.0, known=named(10 * RANGE))) == bytes(10 * RANGE)
    assert server.asked == [(0, RANGE, '"1"'), (RANGE, None, '"1"')]


def test_what_came_too_late_for_a_store_that_is_near_is_no_request_more(monkeypatch):
    """Who waits and who asks measure by clocks of their own, and have to agree: here to the one it came at once."""
    monkeypatch.setattr(ranges, "time", SimpleNamespace(monotonic=lambda: 0.0))
    server = Server(bytes(12 * RANGE), chance=Halves())
    others, taken = threading.Event(), []
    whole = server.open_at

    def open_at(start, stop, tag):
        content = whole(start, stop, tag)
        if start:
            others.set()
            return content
        assert others.wait(60)
        return content._replace(pieces=counted(content.pieces))

    def counted(pieces):
        for piece in pieces:
            taken.append(len(piece))
            yield piece

    reading = in_ranges(open_at, pace=Pace(2, 2), patience=60, near=0.01, known=named(12 * RANGE))
    next(reading)
    assert sum(taken) == RANGE
    assert len(b"".join(reading)) == 12 * RANGE - taken[0]


@pytest.mark.parametrize(("near", "ahead"), [(0.0, 8 * RANGE), (60.0, 0)])
@pytest.mark.parametrize("version", [1, None])
def test_of_what_is_known_no_more_is_held(near, ahead, version):
    server = Server(bytes(100 * RANGE))
    pieces = read(server, pace=Pace(50, 50), near=near, known=named(100 * RANGE, version))
    next(pieces)
    pieces.close()
    assert max(start for start, _, _ in server.asked) <= ahead
    assert not server.open


def test_an_answer_of_another_version_than_the_first_that_came_is_asked_for_again():
    """Two servers behind one name, one of which has not heard yet that the object was replaced."""
    server, behind = Server(b"b" * 3 * RANGE), Server(b"a" * 3 * RANGE)
    server.version = 2
    second, first = threading.Event(), threading.Event()

    def open_at(start, stop, tag):
        if start == RANGE and tag is None:
            second.set()
            assert first.wait(60)
            return behind.open_at(start, stop, tag)
        if start:
            return server.open_at(start, stop, tag)
        assert second.wait(60)
        content = server.open_at(start, stop, tag)
        return content._replace(pieces=late(content.pieces))

    def late(pieces):
        first.set()
        yield from pieces

    reading = in_ranges(open_at, pace=Pace(2, 2), patience=60, near=0.0, known=named(3 * RANGE, None))
    assert b"".join(reading) == b"b" * 3 * RANGE
    assert not behind.open
    assert (RANGE, 2 * RANGE, '"2"') in server.asked


@pytest.mark.parametrize("near", [0.0, 60.0])
@pytest.mark.parametrize("size", [2 * RANGE, 20 * RANGE])
def test_what_was_replaced_since_it_was_named_is_read_as_it_is_now(near, size):
    server = Server(b"a" * 10 * RANGE)
    server.replace(b"b" * size)
    assert b"".join(read(server, near=near, known=named(10 * RANGE))) == b"b" * size
    assert (0, RANGE, None) in server.asked


@pytest.mark.parametrize("near", [0.0, 60.0])
@pytest.mark.parametrize("size", [2, 9, 11])
@pytest.mark.parametrize("version", [1, None])
def test_whoever_names_another_size_is_not_believed(near, size, version):
    server = Server(bytes(10 * RANGE))
    assert b"".join(read(server, near=near, known=named(size * RANGE, version))) == bytes(10 * RANGE)
    assert not server.open


def test_what_is_small_is_asked_for_once_whatever_was_named():
    server = Server(bytes(RANGE))
    assert b"".join(read(server, known=named(RANGE, version=2))) == bytes(RANGE)
    assert server.asked == [(0, RANGE, None)]


def test_a_store_that_is_unavailable_is_not_asked_again_as_if_nothing_was_known(monkeypatch):
    monkeypatch.setattr("keystow.backends.sending.repeating.PAUSES", (0.0,))
    asked = []

    def open_at(start, stop, tag):
        asked.append((start, tag))
        raise StoreUnavailableError("503")

    with pytest.raises(StoreUnavailableError, match="2 tries"):
        list(in_ranges(open_at, pace=Pace(1, 1), patience=60, near=60.0, known=named(10 * RANGE)))
    assert (0, None) not in asked


def test_that_the_others_got_no_answer_is_not_told_before_the_first_one_came():
    """A server that heeds no ranges has none for them."""
    server = Server(bytes(10 * RANGE), heeds=False)
    given_up = threading.Event()
    whole = server.open_at

    def open_at(start, stop, tag):
        if start and len([None for asked, _, _ in server.asked if asked == start]) == 3:
            given_up.set()
        if tag is not None and not start:
            assert given_up.wait(60)
            time.sleep(0.1)  # in which that failure gets to whoever raises it
        return whole(start, stop, tag)

    reading = in_ranges(open_at, pace=Pace(2, 2), patience=60, near=0.0, known=named(10 * RANGE))
    assert b"".join(reading) == bytes(10 * RANGE)


def test_that_one_of_the_others_got_no_answer_is_told_in_its_turn():
    server = Server(bytes(10 * RANGE))
    whole = server.open_at

    def open_at(start, stop, tag):
        if start == 2 * RANGE:
            raise StoreUnavailableError("503")
        return whole(start, stop, tag)

    reading = in_ranges(open_at, pace=Pace(2, 2), patience=60, near=0.0, known=named(10 * RANGE))
    with pytest.raises(StoreUnavailableError, match="503"):
        list(reading)
    assert (0, RANGE, None) not in server.asked
    assert not server.open


@pytest.mark.parametrize("near", [0.0, 60.0])
@pytest.mark.parametrize(
    ("known", "heeds", "said"),
    [
        (named(10 * RANGE), True, ["right"]),
        (named(10 * RANGE, version=2), True, ["wrong"]),
        (named(9 * RANGE), True, ["wrong"]),
        (named(10 * RANGE, None), True, ["right"]),
        (named(9 * RANGE, None), True, ["wrong"]),
        (named(11 * RANGE, None), True, ["wrong"]),
        (named(10 * RANGE, None), False, ["no ranges", "wrong", "no ranges"]),
        (named(10 * RANGE), False, ["no ranges", "wrong", "no ranges"]),
        (None, True, []),
        (None, False, ["no ranges"]),
    ],
)
def test_how_what_was_known_has_proved_is_said(near, known, heeds, said):
    told = []
    assert b"".join(read(Server(bytes(10 * RANGE), heeds=heeds), near=near, known=known, proved=told.append))
    assert told == said


def test_what_is_not_there_any_more_is_told_as_if_nothing_was_known():
    def open_at(start, stop, tag):
        raise ConflictError("replaced") if tag else NotFoundError("gone")

    with pytest.raises(NotFoundError, match="gone"):
        list(in_ranges(open_at, pace=Pace(2, 6), patience=60, near=0.0, known=named(10 * RANGE)))


@pytest.mark.parametrize("kind", [AccessDeniedError, NotFoundError])
def test_what_is_refused_or_not_there_is_not_asked_for_again_as_if_its_size_was_wrong(kind):
    asked, told = [], []

    def open_at(start, stop, tag):
        asked.append(start)
        raise kind("no")

    how = {"patience": 60, "near": 60.0, "known": named(10 * RANGE, None), "proved": told.append}
    with pytest.raises(kind):
        list(in_ranges(open_at, pace=Pace(2, 6), **how))
    assert (asked, told) == ([0], [])


@pytest.mark.parametrize("known", [None, named(12 * RANGE), named(12 * RANGE, None)])
def test_the_others_are_asked_for_before_anything_of_the_first_has_come(known):
    server = Server(bytes(12 * RANGE))
    others = threading.Event()
    whole = server.open_at

    def open_at(start, stop, tag):
        content = whole(start, stop, tag)
        if start:
            others.set()
            return content
        return content._replace(pieces=late(content.pieces))

    def late(pieces):
        assert others.wait(60)
        yield from pieces

    reading = in_ranges(open_at, pace=Pace(2, 2), patience=60, near=0.0, known=known)
    assert b"".join(reading) == bytes(12 * RANGE)


@pytest.mark.parametrize("held", [1, 2, 6])
def test_what_is_held_is_bounded(held):
    server = Server(bytes(100 * RANGE))
    pieces = read(server, pace=Pace(50, 50), held=held * RANGE)
    next(pieces)
    pieces.close()
    assert max(start for start, _, _ in server.asked) < (held + 2) * RANGE


def test_one_range_there_always_is():
    server = Server(bytes(10 * RANGE + 3))
    assert b"".join(read(server, pace=Pace(50, 50), held=1)) == bytes(10 * RANGE + 3)


def test_nothing_is_asked_before_the_first_byte_is():
    server = Server(bytes(RANGE))
    read(server).close()
    assert server.asked == []


def test_whoever_stops_reading_ends_what_is_under_way():
    server = Server(bytes(50 * RANGE))
    pieces = read(server)
    next(pieces)
    pieces.close()
    assert not server.open
    assert len(server.asked) < 10


def test_an_error_of_any_range_is_raised():
    server = Server(bytes(10 * RANGE))
    whole = server.open_at

    def open_at(start, stop, tag):
        if start == 5 * RANGE:
            raise NotFoundError("gone")
        return whole(start, stop, tag)

    with pytest.raises(NotFoundError, match="gone"):
        list(in_ranges(open_at, pace=Pace(2, 6), patience=60, near=0.0))
    assert not server.open


@pytest.mark.parametrize("near", [0.0, 60.0])
@pytest.mark.parametrize("known", [None, named(30 * RANGE)])
def test_in_a_process_that_was_forked_it_goes_on_too(near, known):
    content = os.urandom(30 * RANGE)
    server = Server(content)
    pieces = read(server, near=near, known=known)
    first = next(pieces)

    def rest():
        return b"".join(pieces)

    def in_the_child():
        server._lock = threading.Lock()  # a thread that is not there may have held the other one
        return rest().hex()

    child = forked(in_the_child)
    assert first + rest() == content
    assert child() == content[len(first) :].hex()


@pytest.mark.parametrize("size", [RANGE, 10 * RANGE])
def test_what_is_replaced_after_a_fork_is_no_mixture_there_either(size):
    """A small object, too: of that the first answer is all, and in the child it has broken off."""
    server, parent = Server(b"a" * size, chance=Halves()), os.getpid()
    whole = server.open_at

    def open_at(start, stop, tag):
        content = whole(start, stop, tag)
        return content._replace(pieces=here(content.pieces))

    def here(pieces):
        mine = os.getpid()
        for piece in pieces:
            if mine == parent != os.getpid():
                raise StoreUnavailableError("the connection is the other one's")
            yield piece

    pieces = in_ranges(open_at, pace=Pace(2, 6), patience=60, near=60.0)
    next(pieces)
    server.replace(b"b" * size)
    assert forked(lambda: b"".join(pieces))().startswith("ConflictError: it was replaced")


class Halves(random.Random):
    """Cuts whatever there is in two."""

    def randint(self, a, b):
        return (a + b) // 2
