"""Threads that compress and inflate: whoever is interrupted, at whatever step, is done with them at once."""

import ctypes
import itertools
import os
import subprocess
import sys
import threading
import time
from functools import partial

import indexed
import pytest
from children import forked
from interrupting import SECONDS, interrupted

from keystow.archive import Tree, gzip
from keystow.archive.apart import gunzip_apart
from keystow.archive.gzip import gunzip_ahead
from keystow.archive.index import open_index
from keystow.archive.threads import Threads, side_by_side

MIB = 1 << 20
ARCHIVE = indexed.archive(Tree.of({"zeros": bytes(9 * MIB)}))
OURS = [sys.modules[f"keystow.archive.{name}"] for name in ("apart", "gzip", "threads")]


def zipped():
    return list(gzip([bytes(5 * MIB)], threads=2))


def inflated(archive):
    return list(gunzip_ahead(archive))


def inflated_apart():
    blocks = open_index(lambda start, stop: ARCHIVE[start:stop], len(ARCHIVE)).all_blocks()
    return partial(_listed, list(blocks))


def _listed(blocks):
    return list(gunzip_apart([ARCHIVE], blocks, secret=bytes(9), threads=2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gzip", "gunzip", "apart"])
def test_an_interrupt_at_any_step_is_not_waited_out(kind):
    work = {"gzip": zipped, "gunzip": partial(inflated, zipped()), "apart": inflated_apart()}[kind]
    steps = next(at for at in itertools.count(1) if not interrupted(work, at, OURS))
    assert steps > 100


def test_what_a_call_raises_is_raised_where_it_is_waited_for_and_the_thread_goes_on():
    with Threads(1, "test") as threads:
        failed, done = threads.submit(lambda: 1 // 0), threads.submit(lambda: 7)
        assert done.result() == 7
        with pytest.raises(ZeroDivisionError):
            failed.result()


@pytest.mark.parametrize("room", [0, 1])
def test_where_no_more_threads_may_start_those_that_there_are_do_the_work(monkeypatch, room):
    start, begun = threading.Thread.start, []

    def limited(thread):
        begun.append(thread)
        if len(begun) > room:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    assert list(side_by_side(abs, range(-20, 0), threads=3, name="test")) == [(n, -n) for n in range(-20, 0)]


def test_in_a_process_that_was_forked_it_goes_on_without_threads():
    given = side_by_side(abs, range(-20, 0), threads=2, name="test")
    first = [next(given) for _ in range(3)]
    rest = [(n, -n) for n in range(-17, 0)]
    assert first == [(-20, 20), (-19, 19), (-18, 18)]
    assert forked(lambda: list(given) == rest)() == "True"
    assert list(given) == rest


def test_what_is_done_is_given_before_many_more_items_are_taken():
    taken = 0

    def items():
        nonlocal taken
        for number in range(20):
            taken += 1
            yield number
            until = time.monotonic() + SECONDS
            while len(done) <= number and time.monotonic() < until:
                time.sleep(0.001)
            time.sleep(0.01)  # in which the answer gets to where it is looked for

    done = []
    for number, _ in side_by_side(done.append, items(), threads=2, name="test"):
        assert taken <= number + 3


def running():
    """How many threads of the tests there are; those of others may end meanwhile."""
    return sum(thread.name == "test" for thread in threading.enumerate())


def test_threads_end_also_when_the_end_of_the_with_was_interrupted():
    threads = Threads(2, "test")
    assert [threads.submit(lambda: 7).result() for _ in range(2)] == [7, 7]
    assert running() == 2
    del threads
    until = time.monotonic() + SECONDS
    while running() and time.monotonic() < until:
        time.sleep(0.01)
    assert running() == 0


def test_no_more_threads_than_calls():
    with Threads(5, "test") as threads:
        assert threads.submit(running).result() == 1
    assert running() == 0


MAPPED = """
import ctypes
import keystow.archive.threads as threads

class Info(ctypes.Structure):
    _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(10)]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Info
held = []

def mapped():
    before = library.mallinfo2().field4  # hblkhd: the bytes of what is mapped on its own
    held.append(bytes(2 << 20))
    return library.mallinfo2().field4 > before

assert mapped()
with threads.Threads(1, "test"):
    assert not mapped()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc, or not 2.33, which tells of it")
def test_memory_of_what_threads_hand_on_is_kept_by_glibc():
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    subprocess.run([sys.executable, "-c", MAPPED], env=own, check=True)
