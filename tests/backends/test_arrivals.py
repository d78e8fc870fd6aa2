"""Every store tells of bytes that it has, and of no others."""

import contextlib
import os

import pytest

from keystow.backends.generic import GenericStore
from keystow.backends.sending.parts import part_size

PART = part_size(1)
pytestmark = pytest.mark.server


@pytest.fixture(params=["memory", "file", "s3", "gcs", "azure", "generic"])
def store(request, tmp_path):
    if request.param == "generic":
        opened = GenericStore(f"local://{tmp_path}/inner", auto_mkdir=True)
    else:
        opened = request.getfixturevalue(f"keystow_{request.param}").open()
    with contextlib.closing(opened):
        yield opened


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 5 * PART + 7])
def test_no_more_arrives_than_was_taken(store, size):
    taken = 0
    told = []

    def chunks():
        nonlocal taken
        for start in range(0, size, 1 << 20):
            chunk = os.urandom(min(1 << 20, size - start))
            taken += len(chunk)
            yield chunk

    def arrived(more):
        told.append(more)
        assert more > 0
        assert sum(told) <= taken

    assert store.capabilities.arrivals
    written = store.write("arrivals/key", chunks(), arrived=arrived)
    assert written.size == size
    assert sum(told) <= size
    assert store.stat("arrivals/key").size == size


def test_parts_are_told_of_as_they_arrive(store, request):
    if "memory" in request.node.name:
        pytest.skip("what is in memory arrives at once")
    told, left = [], []

    def chunks():
        for _ in range(8 * 8):
            left.append(len(told))
            yield os.urandom(1 << 20)

    store.write("arrivals/parts", chunks(), arrived=told.append)
    assert left[-1] >= 2
    assert sum(told) >= 7 * PART


def test_who_is_told_may_end_the_write(store, request):
    if "memory" in request.node.name:
        pytest.skip("what is in memory arrives at once")

    def arrived(_):
        raise LookupError("enough")

    store.write("arrivals/old", [b"old"])
    with pytest.raises(LookupError, match="enough"):
        store.write("arrivals/old", (os.urandom(1 << 20) for _ in range(40)), arrived=arrived)
    assert b"".join(store.read("arrivals/old")) == b"old"
