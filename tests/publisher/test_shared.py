"""What is read once, and goes to several at the pace of the slowest."""

import itertools
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow.shared import Shared

SECONDS = 60


def taken(shared, number, most=None):
    """What a reader gets, who goes after ``most`` pieces."""
    try:
        return list(itertools.islice(shared.reader(number), most))
    finally:
        shared.leave(number)


def all_taken(shared, readers):
    with ThreadPoolExecutor(len(readers)) as pool:
        futures = [pool.submit(taken, shared, number, most) for number, most in enumerate(readers)]
        return [future.result(SECONDS) for future in futures]


@given(
    st.lists(st.binary(min_size=1, max_size=9), max_size=30),
    st.lists(st.none() | st.integers(0, 30), min_size=1, max_size=4),
    st.integers(1, 20),
)
@settings(max_examples=60)
def test_each_reader_has_every_piece_in_order_until_it_goes(pieces, readers, most):
    made = []

    def making():
        for piece in pieces:
            made.append(piece)
            yield piece

    shared = Shared(making(), len(readers), most, len)
    assert all_taken(shared, readers) == [pieces[:last] for last in readers]
    assert made == pieces[: len(made)], "each is made once"


def test_the_fastest_is_not_further_ahead_than_may_be():
    ahead, ready, go = [], threading.Event(), threading.Event()
    shared = Shared(iter([b"1234567890"] * 50), 2, 30, len)

    def fast():
        for piece in shared.reader(0):
            ahead.append(piece)
            if len(ahead) == 3:
                ready.set()
        shared.leave(0)

    def slow():
        assert ready.wait(SECONDS)
        go.wait(0.2)
        assert len(ahead) == 3
        return taken(shared, 1)

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(fast), pool.submit(slow)]
        assert len(futures[1].result(SECONDS)) == 50
        futures[0].result(SECONDS)
    assert len(ahead) == 50


def test_who_never_begins_and_goes_holds_nobody_up():
    shared = Shared(iter([b"1234567890"] * 50), 2, 10, len)
    shared.leave(1)
    assert len(taken(shared, 0)) == 50


def test_a_failure_of_the_source_is_everybodys():
    def failing():
        yield b"x"
        raise OSError("it is gone")

    shared = Shared(failing(), 3, 10, len)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(taken, shared, number) for number in range(3)]
        for future in futures:
            with pytest.raises(OSError, match="it is gone"):
                future.result(SECONDS)


def test_who_waits_for_another_is_ended():
    shared = Shared(iter([b"x"] * 50), 2, 5, len)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(taken, shared, 0)
        shared.end()
        with pytest.raises(CancelledError):
            waiting.result(SECONDS)
    with pytest.raises(CancelledError):
        taken(shared, 1)
