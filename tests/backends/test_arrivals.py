"""Stores tell of bytes while they arrive; what more it promises of that, the kit shows."""

import contextlib
import os
import threading

import pytest

from keystow.backends.generic import GenericStore
from keystow.backends.sending.parts import part_size

PART = part_size(1)
pytestmark = pytest.mark.server


@pytest.fixture(params=["file", "s3", "gcs", "azure", "generic"])
def store(request, tmp_path):
    if request.param == "generic":
        opened = GenericStore(f"local://{tmp_path}/inner", auto_mkdir=True)
    else:
        opened = request.getfixturevalue(f"keystow_{request.param}").open()
    with contextlib.closing(opened):
        yield opened


def test_parts_are_told_of_as_they_arrive(store):
    """Of every store but memory, where all arrives at once."""
    told, came = [], threading.Event()

    def arrived(size):
        told.append(size)
        came.set()

    def chunks():
        for _ in range(8 * 8):
            yield os.urandom(1 << 20)
        assert came.wait(60), "nothing was told of before all was there"

    assert store.capabilities.arrivals
    store.write("arrivals/parts", chunks(), arrived=arrived)
    assert sum(told) >= 7 * PART
