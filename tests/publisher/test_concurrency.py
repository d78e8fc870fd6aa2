"""What is begun at once, and what it may hold."""

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
