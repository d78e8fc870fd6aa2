"""What is begun at once, and what it may hold."""

import itertools
import signal
import subprocess
import sys
import threading

import pytest

from keystow.concurrency import Budget, in_order


def test_a_budget_is_never_exceeded_and_all_go_on():
    budget, held, most, lock = Budget(10), 0, 0, threading.Lock()

    def work(amount):
        nonlocal held, most
        with budget.taking(amount):
            with lock:
                held += min(amount, 10)
                most = max(most, held)
            with lock:
                held -= min(amount, 10)
        return amount

    amounts = [1, 10, 3, 200, 7, 7, 0, 10] * 50
    assert [done for _, done in in_order(work, amounts)] == amounts
    assert most <= 10
    assert held == 0


def test_what_fails_gives_back_what_it_held():
    budget = Budget(1)
    for _ in range(3):
        with pytest.raises(KeyError), budget.taking(1):
            raise KeyError
    with budget.taking(1):
        pass


def test_small_ones_go_on_together():
    budget, together = Budget(8), threading.Barrier(8, timeout=60)

    def work(_):
        with budget.taking(1):
            return together.wait()

    assert sorted(answer for _, answer in in_order(work, range(8))) == list(range(8))


def test_answers_come_in_order_and_few_are_begun_ahead():
    begun = []

    def work(number):
        begun.append(number)
        return -number

    answers = in_order(work, itertools.count())
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
        list(in_order(work, range(1000), ending=ending))
    assert len(begun) < 100


def test_after_a_failure_no_worker_takes_another_item():
    """Those that are under way end; of those that wait, none is begun."""
    begun, failed, lock = [], threading.Event(), threading.Lock()

    def work(number):
        with lock:
            begun.append(number)
        if number == 23:
            failed.set()
            raise KeyError(number)
        failed.wait()

    with pytest.raises(KeyError):
        list(in_order(work, range(1000)))
    assert sorted(begun) == sorted(set(begun))
    assert len(begun) <= 24 + 23, "who was under way when it failed may have taken one more"


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
from keystow.concurrency import in_order, under_way

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
