"""A sample of the bench, among it every kind of case that once broke a promise."""

from pathlib import Path

import pytest

from .case import Case
from .lane import Lane

pytestmark = pytest.mark.server

SAMPLE = Path(__file__).with_name("sample.txt").read_text("utf-8").splitlines()


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


@pytest.mark.parametrize("line", SAMPLE)
def test_every_promise_is_kept(lanes, line):
    case = Case.parse(line)
    assert lanes(case.store, case.engine).run(case).broken == []
