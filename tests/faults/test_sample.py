"""A sample of the bench: cases in which every promise is kept, and a few in which one is known to be broken."""

from pathlib import Path

import pytest

from .case import Case
from .lane import Lane

pytestmark = pytest.mark.server

HERE = Path(__file__).parent
KEPT = (HERE / "sample.txt").read_text("utf-8").splitlines()
KNOWN = [line.partition(" ")[::2] for line in (HERE / "known.txt").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def lanes(tmp_path_factory):
    """Each store and engine with a server of its own, from the first time that it is asked for."""
    running = {}

    def lane(store, engine):
        if (store, engine) not in running:
            running[store, engine] = Lane(store, engine, tmp_path_factory.mktemp(store))
        return running[store, engine]

    yield lane
    for each in running.values():
        each.close()


def broken(lanes, line):
    case = Case.parse(line)
    return lanes(case.store, case.engine).run(case).broken


@pytest.mark.parametrize("line", KEPT)
def test_every_promise_is_kept(lanes, line):
    assert broken(lanes, line) == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=pytest.mark.xfail(raises=AssertionError, strict=True, reason=reason))
        for reason, line in KNOWN
    ],
)
def test_what_is_known_to_be_broken(lanes, line):
    assert broken(lanes, line) == []
