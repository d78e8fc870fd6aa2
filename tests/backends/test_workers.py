"""What is begun at once, and what it may hold."""

import itertools
import signal
import subprocess
import sys
import threading

import pytest
from children import forked

from keystow.backends.sending.pace import Pace
from keystow.backends.sending.workers import in_order


def test_what_is_begun_weighs_no_more_than_it_may_and_all_go_on():
    held, most, lock = 0, 0, threading.Lock()

    def work(amount):
        nonlocal held, most
        with lock:
            held += amount
            most = max(most, held if amount <= 10 else held - amount)
        with lock:
            held -= amount
        return amount

    amounts = [1, 10, 3, 200, 7, 7, 0, 10] * 50
    assert [done for _, done in in_order(work, amounts, weigh=int, most=10)] == amounts
    assert most <= 10
    assert held == 0


def test_what_weighs_too_much_goes_alone():
    together, alone = [], []

    def work(amount):
        together.append(amount)
        if amount > 10:
            alone.append(list(together))
        together.remove(amount)

    list(in_order(work, [1, 2, 30, 3, 40, 1], weigh=int, most=10))
    assert alone == [[30], [40]]


def test_small_ones_go_on_together():
    together = threading.Barrier(8, timeout=60)
    found = in_order(lambda _: together.wait(), range(8), weigh=lambda _: 1, most=8)
    assert sorted(answer for _, answer in found) == list(range(8))


@pytest.mark.parametrize("number", [1, 3, 128])
def test_as_many_work_at_once_as_the_pace_says(number):
    at_once, most, lock = 0, 0, threading.Lock()
    all_here = threading.Barrier(number, timeout=60)

    def work(item):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        if item < number:
            all_here.wait()
        with lock:
            at_once -= 1

    list(in_order(work, range(4 * number), pace=Pace(number, number)))
    assert most == number


def test_fewer_work_on_where_the_store_says_that_it_is_too_much():
    pace = Pace(16, 16)
    at_once, most, lock = 0, 0, threading.Lock()

    def work(item):
        nonlocal at_once, most
        if item == 16:
            pace.pushed_back()
        with lock:
            at_once += 1
            most = max(most, at_once) if item > 200 else 0
        with lock:
            at_once -= 1

    pace.ended = lambda: None  # or it would come back
    list(in_order(work, range(400), pace=pace))
    assert most <= pace.number == 12


def test_a_process_that_was_forked_does_not_go_on():
    answers = in_order(abs, itertools.count())
    next(answers)
    said = forked(lambda: next(answers))()
    assert said.startswith("StoreError: the store was opened before the process was forked")
    answers.close()
    with pytest.raises(StopIteration):
        next(answers)


def test_answers_come_in_order_and_few_are_begun_ahead():
    begun = []

    def work(number):
        begun.append(number)
        return -number

    answers = in_order(work, itertools.count(), pace=Pace(24, 24))
    assert [next(answers) for _ in range(100)] == [(number, -number) for number in range(100)]
    answers.close()
    assert len(begun) <= 100 + 33


def test_the_first_failure_is_raised_though_an_earlier_item_hangs():
    ending, begun = threading.Event(), []

    def work(number):
        begun.append(number)
        if number == 5:
            raise KeyError(number)
        if number == 0:
            ending.wait()

    with pytest.raises(KeyError, match="5"):
        list(in_order(work, range(1000), pace=Pace(24, 24), ending=ending))
    assert len(begun) < 100


def test_after_a_failure_no_worker_takes_another_item():
    """Those that are under way end; of those that wait, none is begun."""
    begun, failing, failed, pace = [], [], threading.Event(), Pace(24, 24)

    def work(number):
        begun.append(number)
        if number == 23:
            failing.append(threading.get_ident())
            raise KeyError(number)
        assert failed.wait(60)

    def ended():
        if threading.get_ident() in failing:
            failed.set()

    pace.ended = ended  # which is told once the failure is known
    with pytest.raises(KeyError, match="23"):
        list(in_order(work, range(1000), pace=pace))
    assert sorted(begun) == list(range(24))


def test_what_is_under_way_has_ended_when_a_failure_is_raised():
    ending, ended = threading.Event(), []
    before = set(threading.enumerate())

    def work(number):
        if number == 0:
            raise KeyError
        ending.wait()
        ended.append(number)

    with pytest.raises(KeyError):
        list(in_order(work, range(3), ending=ending))
    assert set(ended) <= {1, 2}
    count = len(ended)
    assert set(threading.enumerate()) <= before
    assert len(ended) == count


STUCK = """
import os, signal, sys, threading
from keystow.backends.sending.workers import in_order, under_way

signal.signal(signal.SIGINT, signal.default_int_handler)

def hang(_=None):
    os.write(1, b"hanging\\n")
    threading.Event().wait()

try:
    if sys.argv[1] == "in_order":
        list(in_order(hang, range(5)))
    else:
        under_way(hang, "keystow-hang").result()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("how", ["in_order", "under_way"])
def test_an_interrupt_ends_what_hangs(how):
    """One signal is enough, and the program's end waits for nobody."""
    with subprocess.Popen([sys.executable, "-c", STUCK, how], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout.readline() == "hanging\n"
            program.send_signal(signal.SIGINT)
            said, _ = program.communicate(timeout=60)
        finally:
            program.kill()
        assert program.returncode == 0
    assert said.endswith("interrupted\n")


def test_where_there_can_be_no_more_threads_those_that_there_are_do_the_work(monkeypatch):
    start, started = threading.Thread.start, []

    def two_at_most(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", two_at_most)
    assert [answer for _, answer in in_order(abs, range(-50, 0))] == list(range(50, 0, -1))


def test_an_interrupt_before_a_thread_has_begun_is_raised_as_it_is(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(in_order(abs, [1, 2]))
