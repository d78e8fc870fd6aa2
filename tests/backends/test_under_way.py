"""What is under way to a store: what comes of it, and that an interrupt at any step leaves nothing stuck."""

import asyncio
import contextlib
import gc
import itertools
import threading
import time
import weakref
from concurrent.futures import CancelledError
from queue import SimpleQueue

import pytest
from interrupting import SECONDS, interrupted

from keystow.backends import loop as loops
from keystow.backends.loop import Loop
from keystow.backends.sending import in_flight as flights
from keystow.backends.sending.budget import Budget
from keystow.backends.sending.in_flight import in_flight, in_thread
from keystow.backends.sending.lines import Lines
from keystow.backends.sending.pace import Pace

pytestmark = pytest.mark.slow

OURS = [loops, flights]
PIECES = [b"a", b"b", b"c", b"d", b"e", b"f"]


@pytest.fixture
def loop():
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield Loop(running)
    running.call_soon_threadsafe(running.stop)
    thread.join(SECONDS)
    assert not thread.is_alive(), "the loop is stuck"
    running.close()


async def soon(answer):
    await asyncio.sleep(0)
    return answer


def sends_on_loop(loop):
    return lambda number, piece, told: loop.begin(soon((number, piece)), told)


def sends_in_threads(number, piece, told):
    in_thread(lambda: (number, piece), told)
    return bool


@pytest.mark.filterwarnings("ignore:coroutine 'soon' was never awaited")  # as it was interrupted before that
@pytest.mark.parametrize("kind", ["run", "parts on the loop", "parts in threads"])
def test_an_interrupt_at_any_step_leaves_the_loop_free(kind, loop):
    work = {
        "run": lambda: loop.run(soon(7)),
        "parts on the loop": lambda: in_flight(PIECES, sends_on_loop(loop), pace=Pace(4, 4)),
        "parts in threads": lambda: in_flight(PIECES, sends_in_threads, pace=Pace(4, 4)),
    }[kind]
    for at in itertools.count(1):
        came = interrupted(work, at, OURS)
        assert loop.run(soon("free")) == "free"
        if not came:
            break
    assert at > 10


@pytest.mark.parametrize(
    ("pace", "budget", "most"),
    [
        (1, Budget(), 1),
        (2, Budget(), 2),
        (4, Budget(), 4),
        (4, Budget(memory=1), 1),
        (4, Budget(memory=5), 2),
        (2, Budget(memory=8), 2),
    ],
)
def test_answers_are_in_order_and_no_more_than_so_many_are_under_way(pace, budget, most):
    pieces = [2 * piece for piece in PIECES]
    lock, now, highest, all_here = threading.Lock(), 0, 0, threading.Event()

    def send(number, piece, told):
        nonlocal now, highest
        with lock:
            now += 1
            highest = max(highest, now)
        if highest >= most:
            all_here.set()

        def work():
            nonlocal now
            assert all_here.wait(SECONDS)
            time.sleep(0.02 / number)  # the later ones end first, and there is time for more than may be
            with lock:
                now -= 1
            return number, piece

        in_thread(work, told)
        return bool

    assert in_flight(pieces, send, pace=Pace(pace, pace), budget=budget) == list(enumerate(pieces, 1))
    assert highest == most


def test_the_first_error_is_raised_and_the_others_are_cancelled_not_waited_for():
    cancelled = []

    def send(number, _, told):
        if number == 4:
            in_thread(lambda: 1 // 0, told)
        return lambda: cancelled.append(number)

    with pytest.raises(ZeroDivisionError):
        in_flight(PIECES, send, pace=Pace(4, 4))
    assert cancelled == [1, 2, 3, 4]


def test_a_piece_that_cannot_be_had_cancels_what_is_under_way():
    cancelled = []

    def pieces():
        yield b"a"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        in_flight(pieces(), lambda number, *_: lambda: cancelled.append(number), pace=Pace(4, 4))
    assert cancelled == [1]


def test_work_on_the_loop_is_cancelled_by_what_was_told_of_it(loop):
    ended = threading.Event()

    async def stuck():
        try:
            await asyncio.sleep(SECONDS)
        finally:
            ended.set()

    def begun(cancel):
        threading.Timer(0.05, cancel).start()

    with pytest.raises(CancelledError):
        loop.run(stuck(), begun)
    assert ended.is_set()


def test_work_that_was_cancelled_before_it_began_is_told_of_too(loop):
    busy = threading.Event()
    loop.soon(lambda: busy.wait(SECONDS))

    def begun(cancel):
        cancel()
        busy.set()

    with pytest.raises(CancelledError):
        loop.run(soon(1), begun)


def test_what_work_on_the_loop_raises_is_raised_where_it_is_waited_for(loop):
    async def broken():
        raise LookupError("on the loop")

    with pytest.raises(LookupError, match="on the loop"):
        loop.run(broken())


def test_a_failed_part_is_not_held_by_what_it_raised():
    class Piece:
        """What a part holds."""

    alive = []

    def send(number, _, told):
        piece = Piece()
        alive.append(weakref.ref(piece))

        def work():
            raise LookupError(type(piece))

        in_thread(work, told)
        return bool

    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(LookupError):
            in_flight(PIECES, send, pace=Pace(4, 4))
        until = time.monotonic() + SECONDS
        while any(ref() is not None for ref in alive) and time.monotonic() < until:
            time.sleep(0.01)
        assert [ref() for ref in alive if ref() is not None] == []
    finally:
        gc.enable()


def test_a_watcher_that_could_not_be_started_is_started_with_the_next_line(monkeypatch):
    lines = Lines(0.1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError), lines.line():
            pass
    ended = threading.Event()
    with lines.line() as line:
        line.begins()
        line.ends(ended.set)
        assert ended.wait(SECONDS)


def test_a_watcher_that_is_no_more_is_started_with_the_next_try(monkeypatch):
    lines = Lines(0.1)
    line = lines.line()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            lines.add(line)
    ended = threading.Event()
    line.begins()
    line.ends(ended.set)
    assert ended.wait(SECONDS)
    lines.discard(line)


def test_what_is_cut_before_it_begins_does_not_begin():
    lines = Lines(60)
    with lines.line() as line:
        lines.cut()
        with pytest.raises(CancelledError):
            line.begins()


def test_what_is_cancelled_at_once_awaits_what_it_was_given(loop):
    """Or else Python warns of it, in the middle of what the user reads."""
    busy, ended, begun = threading.Event(), SimpleQueue(), []

    async def inner():
        begun.append(True)
        await asyncio.sleep(SECONDS)

    async def outer(work):
        await work

    loop.soon(busy.wait)
    loop.begin(outer(inner()), ended.put)()
    busy.set()
    with pytest.raises(CancelledError):
        ended.get(timeout=SECONDS).result()
    assert begun


def test_nobody_waits_for_long_for_connections_that_do_not_close(loop):
    """As one does not whose other side takes nothing more."""
    begun, over = threading.Event(), []

    async def never():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.append(True)

    loop.end(never())
    assert begun.is_set()
    assert over
