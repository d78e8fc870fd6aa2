"""How many requests are under way at once, in a world where what that brings is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystow.backends.errors import StoreError, StoreUnavailableError
from keystow.backends.sending import pace as pacing
from keystow.backends.sending.pace import Pace
from keystow.backends.sending.repeating import retried


class World:
    """A store that is ``away`` seconds away, and a processor, of which each request takes some seconds.

    It carries no more than ``rate`` requests a second, and says that more than ``room`` at once are too much.
    """

    def __init__(self, away, processor, *, rate=float("inf"), room=float("inf")):
        self.now = self.used = 0.0
        self.refused = 0
        self._away, self._processor, self._rate, self._room = away, processor, rate, room

    def pace(self, least=24, most=128):
        return Pace(least, most, clock=lambda: self.now, processor=lambda: self.used)

    def rounds(self, pace, requests):
        """Has so many requests done, and gives how many there were at once in the last round."""
        while requests > 0:
            number = pace.number
            done = min(number, self._room)
            for _ in range(number - done):
                self.refused += 1
                pace.pushed_back()
            seconds = max(self._away + self._processor, done * self._processor, done / self._rate)
            for _ in range(done):
                self.now += seconds / done
                self.used += self._processor
                pace.ended()
            requests -= done
        return number


def test_where_the_store_is_near_it_stays_as_it_is():
    world = World(0.001, 0.0005)
    pace = world.pace()
    assert world.rounds(pace, 10_000) == 24


@pytest.mark.parametrize("away", [0.05, 0.15, 1.0])
def test_where_it_is_far_there_are_soon_as_many_as_may_be(away):
    world = World(away, 0.0001)
    pace = world.pace()
    assert world.rounds(pace, 500) == 128


def test_where_more_brings_no_more_it_goes_back():
    world = World(0.02, 0.0001, rate=1000)
    pace = world.pace()
    assert world.rounds(pace, 2000) == 24


def test_it_ends_below_what_is_too_much_and_near_it():
    world = World(0.05, 0.0001, room=64)
    pace = world.pace()
    world.rounds(pace, 400)
    refused = world.refused
    found = [world.rounds(pace, 64) for _ in range(100)]
    assert 48 <= sum(found) / len(found) <= 70
    assert world.refused - refused < 0.05 * 6400


@pytest.mark.parametrize("requests", [24, 200, 2000])
def test_a_time_without_requests_says_nothing(requests):
    world = World(0.05, 0.0001)
    pace = world.pace()
    world.rounds(pace, requests)
    world.now += 600
    pace.resumed()
    assert world.rounds(pace, 1000) == 128


def test_another_fall_waits_for_as_many_as_were_under_way():
    world = World(0.05, 0.0001)
    pace = world.pace()
    world.rounds(pace, 300)
    pace.pushed_back()
    for expected in (102, 81):
        assert pace.number == expected
        for _ in range(128):
            pace.ended()
        pace.pushed_back()


def test_of_those_that_were_sent_together_the_first_counts():
    pace = World(0.05, 0.0001).pace()
    for _ in range(24):
        pace.pushed_back()
    assert pace.number == 19


def test_after_a_hiccup_it_comes_back_to_what_it_was():
    world = World(0.001, 0.0005)
    pace = world.pace()
    world.rounds(pace, 100)
    pace.pushed_back()
    assert pace.number == 19
    assert world.rounds(pace, 1000) == 24


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=30), st.integers(1, 40), st.integers(0, 100))
def test_it_is_never_less_than_one_nor_more_than_it_may_be(events, least, more):
    world = World(0.05, 0.0)
    pace = world.pace(least, least + more)
    for is_lost, times in events:
        for _ in range(times):
            world.now += 0.001
            if is_lost:
                pace.pushed_back()
            else:
                pace.ended()
            assert 1 <= pace.number <= least + more


def test_whoever_waits_before_another_try_tells_the_pace_that_sent_him(monkeypatch):
    monkeypatch.setattr("keystow.backends.sending.repeating.PAUSES", (0.0, 0.0, 0.0))
    errors = [StoreUnavailableError("503"), StoreError("403")]
    outer, inner = Pace(8, 8), Pace(4, 4)

    def ask():
        raise errors.pop(0)

    with outer.telling(), inner.telling(), pytest.raises(StoreError, match="403"):
        retried(ask, patience=60)
    assert (outer.number, inner.number) == (8, 3)
    pacing.push_back()
    assert (outer.number, inner.number) == (8, 3)
