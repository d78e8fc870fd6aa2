"""Stores tell of bytes while they arrive; what more it promises of that, the kit shows."""

import contextlib
import os

import pytest

from keystow.backends.generic import GenericStore
from keystow.backends.sending.budget import USUAL
from keystow.backends.sending.parts import part_size

PART = part_size(1)
MORE_THAN_FLY = USUAL.parts(PART) + 2
"""So many parts that some have to arrive before the last can be sent."""
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
    told = []

    def chunks():
        for _ in range(MORE_THAN_FLY * PART >> 20):
            yield os.urandom(1 << 20)
        assert told, "nothing was told of before all was there"

    assert store.capabilities.arrivals
    store.write("arrivals/parts", chunks(), arrived=told.append)
    assert sum(told) >= (MORE_THAN_FLY - 1) * PART
