"""The scheduler on every kind of store that can be had here, and on one that fails."""
# ruff: noqa: S101

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scheduler import claim, run

import keystow
from keystow.backends import StoreUnavailableError
from keystow.testing import Fault, FaultyStore, Sandbox


def add(directory: Path) -> None:
    """A job that works."""
    (directory / "sum.txt").write_text(str(2 + 2))


def fail(directory: Path) -> None:
    """A job that fails half-way."""
    (directory / "sum.txt").write_text("2 + ")
    raise ZeroDivisionError


@pytest.mark.keystow_stores
def test_results_can_be_fetched(keystow_store: Sandbox, tmp_path: Path) -> None:
    """What the job left comes back, under the key that the job's id gives."""
    result = run(add, "job-1", keystow_store.destination("results/{jobID}"))
    assert result.key.endswith("job-1.tar.gz")
    fetched = keystow.fetch(result, tmp_path / "fetched")
    assert fetched.verified
    assert (tmp_path / "fetched" / "sum.txt").read_text() == "4"


@pytest.mark.keystow_stores
def test_a_failed_job_publishes_nothing(keystow_store: Sandbox) -> None:
    """The store stays empty."""
    with pytest.raises(ZeroDivisionError):
        run(fail, "job-1", keystow_store.destination("results/{jobID}"))
    assert list(keystow_store.open().list()) == []


@pytest.mark.keystow_stores
def test_one_runner_claims_the_job(keystow_store: Sandbox) -> None:
    """Four ask at once."""
    store = keystow_store.open()
    runners = ["ann", "ben", "cid", "dot"]
    with ThreadPoolExecutor(len(runners)) as pool:
        claimed = list(pool.map(lambda runner: claim(store, "job-1", runner), runners))
    assert claimed.count(True) == 1
    assert b"".join(store.read("claims/job-1")).decode() == runners[claimed.index(True)]


def test_a_lost_answer_loses_no_claim(keystow_memory: Sandbox) -> None:
    """The claim was written, but its runner is not told so: it asks again and finds its own name."""
    store = FaultyStore(keystow_memory.open(), Fault("write", kind="lose"))
    assert claim(store, "job-1", "ann")
    assert not claim(store, "job-1", "ben")


def test_a_store_that_stays_away_is_reported(keystow_memory: Sandbox) -> None:
    """After three attempts, and without a claim."""
    store = FaultyStore(keystow_memory.open(), *(Fault("write", nth=n) for n in (1, 2, 3)))
    with pytest.raises(StoreUnavailableError):
        claim(store, "job-1", "ann")
    assert store.calls == [("write", "claims/job-1")] * 3
    assert list(store.list()) == []
