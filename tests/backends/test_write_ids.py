"""The id of a write is its own, and what passes is hashed whatever its size."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from keystow.backends.sending.digest import Digest
from keystow.backends.sending.settling import write_id


def test_no_two_writes_have_one_id_in_one_process():
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: write_id(), range(20_000)))
    assert len(set(ids)) == len(ids)
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in ids)


def test_nor_in_a_process_and_its_forks(monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: 0)  # as two processors may read the same time
    ends = []
    for _ in range(2):
        read, write = os.pipe()
        if not (child := os.fork()):
            os.write(write, write_id().encode())
            os._exit(0)
        os.close(write)
        ends.append((child, read))
    ids = {write_id()}
    for child, read in ends:
        ids.add(os.read(read, 100).decode())
        os.close(read)
        os.waitpid(child, 0)
    assert len(ids) == 3
    assert "" not in ids


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 4094, (1 << 15) - 1, 1 << 15, (1 << 15) + 1, 1 << 20])
def test_a_digest_is_that_of_all_that_passed(size):
    content = os.urandom(size)
    digest = Digest([content, memoryview(content)])
    assert b"".join(digest) == content * 2
    assert (digest.size, digest.hexdigest()) == (2 * size, hashlib.sha256(content * 2).hexdigest())
