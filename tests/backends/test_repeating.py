"""Requests that are made again (``sending/repeating.py``), and content that goes on where it broke off."""

import asyncio
import logging
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystow.backends import ConflictError, NotFoundError, StoreError, StoreUnavailableError, UnknownOutcomeError
from keystow.backends.sending import continuing, repeating
from keystow.backends.sending.continuing import Content, continued
from keystow.backends.sending.repeating import pause_after, retried, retried_on_loop, retry_after

TRIES = len(repeating.PAUSES) + 1
KINDS = st.sampled_from([StoreError, NotFoundError, ConflictError, UnknownOutcomeError])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(repeating, "PAUSES", (0.0,) * (TRIES - 1))


def unavailable(after=None):
    error = StoreUnavailableError("s3://b/k: 503", code="503")
    error.retry_after = after
    return error


@given(KINDS, st.integers(1, 9), st.floats(0, 1000), st.floats(0, 1))
def test_only_a_store_that_is_unavailable_is_asked_again(kind, tries, seconds, chance):
    assert pause_after(kind("no"), tries, seconds, chance=chance, patience=90) is None


@pytest.mark.parametrize(
    ("tries", "seconds", "after", "chance", "pause"),
    [
        (1, 0, None, 1, 0.2),
        (1, 0, None, 0, 0.1),
        (2, 5, None, 1, 0.8),
        (3, 5, None, 0.5, 1.8),
        (4, 5, None, 1, None),
        (1, 0, 7.0, 1, 7.0),
        (1, 0, 0.0, 1, 0.2),
        (1, 0, 20.0, 0, 20.0),
        (1, 0, 20.1, 0, None),
        (1, 89.8, None, 1, 90 - 89.8),
        (1, 89.9, None, 1, None),
        (1, 80.0, 15.0, 1, None),
    ],
)
def test_the_pause(monkeypatch, tries, seconds, after, chance, pause):
    """Half of it is chance; what the server asks for is heeded (RFC 9110, section 10.2.3), up to a bound."""
    monkeypatch.setattr(repeating, "PAUSES", (0.2, 0.8, 2.4))
    found = pause_after(unavailable(after), tries, seconds, chance=chance, patience=90)
    assert found == (None if pause is None else pytest.approx(pause))


@given(st.integers(1, 9), st.floats(0, 1000), st.none() | st.floats(0, 1000), st.floats(0, 1), st.floats(0, 500))
def test_no_try_begins_when_patience_is_over(tries, seconds, after, chance, patience):
    pause = pause_after(unavailable(after), tries, seconds, chance=chance, patience=patience)
    assert pause is None or (seconds + pause <= patience and tries < TRIES and pause >= (after or 0))


NOW = 784_111_700.0  # 77 s before the example of RFC 9110, section 5.6.7


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("999999999", 999_999_999),
        ("1" * 10, None),
        ("-1", None),
        ("1.5", None),
        ("\u0663", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 77),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 77),
        ("Sun Nov  6 08:49:37 1994", 77),
        ("Sun, 06 Nov 1994 08:48:00 GMT", 0),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("soon", None),
        ("<html>", None),
    ],
)
def test_what_a_server_asks_to_wait_for(value, seconds):
    assert retry_after(value, NOW) == seconds


@given(st.integers(0, 100_000), st.integers(0, 4_000_000_000))
def test_a_date_to_wait_for(seconds, now):
    assert retry_after(formatdate(now + seconds, usegmt=True), now) == seconds


@given(st.text(), st.floats(0, 1e10))
def test_whatever_a_server_asks_to_wait_for(value, now):
    found = retry_after(value, now)
    assert found is None or found >= 0


def failing(times, error=StoreUnavailableError):
    made = []

    def call():
        made.append(1)
        if len(made) <= times:
            raise error("s3://b/k: 503")
        return "answer"

    return call, made


def both(call):
    async def asked():
        return call()

    yield lambda: retried(call, patience=90)
    yield lambda: asyncio.run(retried_on_loop(asked, patience=90))


@pytest.mark.parametrize("times", range(TRIES))
def test_what_passes_is_survived(times):
    for which in range(2):
        call, made = failing(times)
        assert list(both(call))[which]() == "answer"
        assert len(made) == times + 1


def test_what_does_not_pass_says_how_often_it_was_tried(caplog):
    caplog.set_level(logging.DEBUG, "keystow")
    for which in range(2):
        caplog.clear()
        call, made = failing(99)
        with pytest.raises(StoreUnavailableError, match=rf"503 \({TRIES} tries within a second\)") as failed:
            list(both(call))[which]()
        assert len(made) == failed.value.tries == TRIES
        said = [record.getMessage() for record in caplog.records]
        assert said[0] == f"retrying in 0.0 s: s3://b/k: 503 (2 of {TRIES})"
        assert len(said) == TRIES
        assert "given up" in said[-1]


def test_a_refusal_is_not_repeated():
    for which in range(2):
        call, made = failing(1, NotFoundError)
        with pytest.raises(NotFoundError, match=r"503\Z"):
            list(both(call))[which]()
        assert made == [1]


class Breaking:
    """Content of ``size`` bytes of which each answer gives the next of ``pieces``, and then breaks off."""

    def __init__(self, size, pieces, tag="one"):
        self.content = bytes(range(256)) * (size // 256 + 1)
        self.content = self.content[:size]
        self.pieces = iter(pieces)
        self.tag = tag
        self.asked = []
        self.open = 0

    def at(self, start, tag):
        self.asked.append((start, tag))
        return Content(self._from(start), self.tag)

    def _from(self, start):
        self.open += 1
        try:
            size = next(self.pieces, None)
            if size is None:
                yield self.content[start:]
                return
            if size:
                yield self.content[start : start + size]
            raise StoreUnavailableError("it broke off")
        finally:
            self.open -= 1


@given(st.lists(st.integers(0, 30), max_size=continuing.MOST_BREAKS), st.integers(0, 40))
def test_content_goes_on_where_it_broke_off(pieces, start):
    source = Breaking(300, pieces)
    assert b"".join(continued(source.at, start, patience=90)) == source.content[start:]
    assert source.asked[0] == (start, None)
    assert [tag for _, tag in source.asked[1:]] == ["one"] * (len(source.asked) - 1)
    assert source.open == 0


def test_content_that_breaks_too_often(monkeypatch):
    source = Breaking(300, [1] * 99)
    with pytest.raises(StoreUnavailableError, match=rf"it broke off \({continuing.MOST_BREAKS + 1} tries\)"):
        list(continued(source.at, patience=90))
    assert len(source.asked) == continuing.MOST_BREAKS + 1
    monkeypatch.setattr(continuing, "ENOUGH", 10)
    assert b"".join(continued(Breaking(300, [10] * 20).at, patience=90)) == source.content


class Slow(Breaking):
    """The same, for which time is waited in vain: before each answer, or before it breaks off."""

    def __init__(self, clock, *, opening, breaking):
        super().__init__(300, [1] * 99)
        self.clock, self.opening, self.breaking = clock, opening, breaking

    def at(self, start, tag):
        self.clock.now += self.opening
        return super().at(start, tag)

    def _from(self, start):
        try:
            yield from super()._from(start)
        except StoreUnavailableError:
            self.clock.now += self.breaking
            raise


@pytest.mark.parametrize(
    ("opening", "breaking", "times"), [(0, 60, 2), (60, 0, 2), (10, 60, 2), (0, 0, continuing.MOST_BREAKS + 1)]
)
def test_the_time_that_is_waited_in_vain_is_bounded(monkeypatch, opening, breaking, times):
    """Two tries of a minute each, also where both break off, and not one for each of the breaks."""

    class Clock:
        now = 0.0
        monotonic = staticmethod(lambda: Clock.now)
        sleep = staticmethod(lambda seconds: None)

    monkeypatch.setattr(continuing, "time", Clock)
    source = Slow(Clock, opening=opening, breaking=breaking)
    with pytest.raises(StoreUnavailableError):
        list(continued(source.at, patience=90))
    assert len(source.asked) == times


def test_the_time_that_the_reader_takes_does_not_count(monkeypatch):
    class Clock:
        now = 0.0
        monotonic = staticmethod(lambda: Clock.now)
        sleep = staticmethod(lambda seconds: None)

    monkeypatch.setattr(continuing, "time", Clock)
    got = b""
    source = Breaking(300, [100, 100])
    for piece in continued(source.at, patience=90):
        got += piece
        Clock.now += 1000
    assert got == source.content


@pytest.mark.parametrize(("after", "asked"), [(None, 2), (0.0, 2), (3600.0, 1)])
def test_content_that_breaks_off_goes_on_when_the_server_wants_it(monkeypatch, caplog, after, asked):
    caplog.set_level(logging.INFO, "keystow")
    source = Breaking(300, [7])
    monkeypatch.setattr(StoreUnavailableError, "retry_after", after)
    if asked == 1:
        with pytest.raises(StoreUnavailableError):
            list(continued(source.at, patience=90))
    else:
        assert b"".join(continued(source.at, patience=90)) == source.content
        assert caplog.messages == ["going on at byte 7 in 0.0 s: it broke off"]
    assert len(source.asked) == asked


def test_content_of_no_known_version_does_not_go_on():
    source = Breaking(300, [7], tag=None)
    got = []
    with pytest.raises(StoreUnavailableError, match="it broke off"):
        got.extend(continued(source.at, patience=90))
    assert got == [source.content[:7]]
    assert len(source.asked) == 1


def test_content_is_closed_when_the_reader_stops():
    source = Breaking(300, [])
    reading = continued(source.at, patience=90)
    next(reading)
    assert source.open == 1
    reading.close()
    assert source.open == 0
