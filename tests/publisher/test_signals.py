"""Signals of which the main thread is not woken are seen by it all the same."""

import os
import queue
import signal
import threading
import time

import pytest

from keystow.command import signals

SECONDS = 30


def settled(reached):
    until = time.monotonic() + SECONDS
    while not reached() and time.monotonic() < until:
        time.sleep(0.01)
    assert reached()


def names():
    """The descriptors that are open, and the threads that run."""
    descriptors = os.listdir("/proc/self/fd")
    return sorted(descriptors), sorted(thread.name for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, signals.Terminated)], ids=["INT", "TERM"]
)
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


def test_what_was_before_is_afterwards():
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGURG]
    before = [signal.getsignal(number) for number in numbers]
    left = names()
    with signals.raised():
        assert names() != left
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1
    settled(lambda: names() == left)


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
    left = names()
    read, write = os.pipe()
    with signals.raised():
        if not (child := os.fork()):
            os.read(read, 1)
            os._exit(0)
    settled(lambda: len(names()[1]) == len(left[1]))
    os.write(write, b"\0")
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    settled(lambda: names() == left)


def test_another_thread_than_the_main_one_can_run_a_command():
    ran = []

    def run():
        with signals.raised():
            ran.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ran == [True]
