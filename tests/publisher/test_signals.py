"""Signals of which the main thread is not woken are seen by it all the same."""

import os
import queue
import signal
import sys
import threading
import time

import pytest

from keystow.command import main, signals

SECONDS = 60


def settled(reached):
    until = time.monotonic() + SECONDS
    while not reached() and time.monotonic() < until:
        time.sleep(0.01)
    assert reached()


def held():
    """The descriptors that are open, and the threads that run; those of earlier tests may end at any time."""
    return {*os.listdir("/proc/self/fd"), *threading.enumerate()}


def nobody_listens():
    return all(thread.name != "keystow-signals" for thread in threading.enumerate())


both = pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, signals.Terminated)], ids=["INT", "TERM"]
)


@both
def test_a_signal_that_did_not_wake_the_main_thread(number, kind):
    awaited = queue.SimpleQueue()
    seen = threading.Event()
    were_seen = []

    def interrupt_another_thread():
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), number)
        were_seen.append(seen.wait(SECONDS))
        awaited.put(None)

    other = threading.Thread(target=interrupt_another_thread)
    with pytest.raises(KeyboardInterrupt) as raised:
        waits(other, awaited)
    seen.set()
    other.join()
    assert were_seen == [True]
    assert raised.type is kind


def waits(other, awaited):
    with signals.raised():
        other.start()
        awaited.get()


@both
def test_an_interrupt_that_was_dropped_while_an_object_was_taken_apart(number, kind, capfd):
    class Apart:
        def __del__(self):
            signal.raise_signal(number)
            time.sleep(0)

    def dies_and_waits():
        with signals.raised():
            Apart()
            assert queue.SimpleQueue().get(timeout=SECONDS)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as raised:
        dies_and_waits()
    assert raised.type is kind
    assert time.monotonic() - began < SECONDS / 2
    assert capfd.readouterr().err == ""


def test_what_else_is_dropped_is_told_as_ever(monkeypatch):
    class Apart:
        def __del__(self):
            raise LookupError("told")

    told = []
    monkeypatch.setattr("sys.unraisablehook", told.append)
    with signals.raised():
        Apart()
    assert [what.exc_type for what in told] == [LookupError]


def test_what_was_before_is_afterwards():
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGURG]
    before = [signal.getsignal(number) for number in numbers]
    settled(nobody_listens)
    left, hook = held(), sys.unraisablehook
    with signals.raised():
        assert not nobody_listens()
    assert sys.unraisablehook is hook
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1
    settled(lambda: held() <= left)


def test_who_listens_may_have_ended_first(monkeypatch):
    usual = signal.set_wakeup_fd

    def at_the_end(descriptor, **options):
        before = usual(descriptor, **options)
        settled(nobody_listens)
        return before

    def interrupted_at_the_end():
        with signals.raised():
            monkeypatch.setattr(signal, "set_wakeup_fd", at_the_end)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted_at_the_end()


def test_a_program_that_hears_of_signals_itself_still_does():
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        with pytest.raises(signals.Terminated), signals.raised():
            signal.raise_signal(signal.SIGTERM)
        assert os.read(heard, 9) == bytes([signal.SIGTERM])
    finally:
        assert signal.set_wakeup_fd(before) == told
        os.close(heard)
        os.close(told)


def test_a_process_that_was_forked_meanwhile_keeps_nothing_open_here():
    settled(nobody_listens)
    left = held()
    read, write = os.pipe()
    with signals.raised():
        if not (child := os.fork()):
            os.read(read, 1)
            os._exit(0)
    settled(nobody_listens)
    os.write(write, b"\0")
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    settled(lambda: held() <= left)


def test_another_thread_than_the_main_one_can_run_a_command():
    ran = []

    def run():
        with signals.raised():
            ran.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran == [True]


def test_an_interrupt_while_a_failure_is_told_is_told_too(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("keystow.command.failures.tell", interrupted)
    assert main(["publish", "nothing-is-here", "memory://bucket/key"]) == 130
    assert capsys.readouterr().err.endswith("keystow: interrupted; nothing half-written was left\n")
