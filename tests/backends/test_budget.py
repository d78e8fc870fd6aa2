"""What may be under way at once, where somebody bounds it: what is asked of the numbers that find their own measure."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystow.backends import Stat, open_store
from keystow.backends.sending import ranges
from keystow.backends.sending.budget import USUAL, Budget, budget_of
from keystow.backends.sending.in_flight import parts_pace
from keystow.backends.sending.workers import objects_pace

NUMBERS = st.none() | st.integers(1, 1 << 40)
MIB = 1 << 20


def span(pace):
    """What a pace begins with, and the most that it comes to."""
    return pace.number, pace._most


def test_without_one_the_numbers_are_the_usual_ones():
    assert [span(objects_pace()), span(parts_pace()), span(ranges.pace())] == [(24, 128), (8, 8), (8, 16)]
    assert USUAL.held == 64 * MIB


@given(NUMBERS, NUMBERS)
def test_no_pace_is_above_what_is_allowed_nor_below_one(concurrency, memory):
    budget = Budget(concurrency, memory)
    for pace, size in ((objects_pace, 0), (parts_pace, 8 * MIB), (ranges.pace, 4 * MIB)):
        least, most = span(pace(budget))
        assert 1 <= least <= most <= (concurrency or 128)
        assert most == 1 or most * size <= (memory or 64 * MIB)


@pytest.mark.parametrize(
    ("budget", "spans"),
    [
        (Budget(1), [(1, 1), (1, 1), (1, 1)]),
        (Budget(30), [(24, 30), (8, 8), (8, 16)]),
        (Budget(500), [(24, 500), (8, 8), (8, 16)]),
        (Budget(memory=1), [(24, 128), (1, 1), (1, 1)]),
        (Budget(memory=24 * MIB), [(24, 128), (3, 3), (6, 6)]),
        (Budget(memory=1 << 30), [(24, 128), (16, 128), (8, 128)]),
        (Budget(500, 1 << 30), [(24, 500), (16, 128), (8, 256)]),
    ],
)
def test_a_smaller_one_allows_fewer_and_a_larger_one_more(budget, spans):
    assert [span(objects_pace(budget)), span(parts_pace(budget)), span(ranges.pace(budget))] == spans


@pytest.mark.parametrize("wrong", [0, -1, 1.5, 2.0, True, False, "2", b"", float("inf")])
@pytest.mark.parametrize("name", ["concurrency", "memory"])
@pytest.mark.parametrize("url", ["memory://bucket", "file:///", "s3://bucket", "sftp://nowhere.invalid/"])
def test_what_is_no_bound(url, name, wrong):
    with pytest.raises(ValueError, match=rf"^{name}=.* cannot be kept: give a whole number( of bytes)? from 1 on$"):
        open_store(url, **{name: wrong})


@pytest.fixture
def keys(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("url", ["s3://bucket", "gs://bucket", "az://container"])
def test_a_cloud_keeps_it(url):
    with contextlib.closing(
        open_store(url, concurrency=3, memory=20 * MIB, endpoint="http://127.0.0.1:1/account")
    ) as store:
        assert budget_of(store) == Budget(3, 20 * MIB)
        assert span(store._reading) == (3, 3)
        if url != "gs://bucket":
            (client,) = (getattr(store, name) for name in ("_bucket", "_container") if hasattr(store, name))
            assert span(client.pace) == (2, 2)


@pytest.mark.usefixtures("keys")
def test_of_one_at_a_time_a_page_of_a_listing_is_asked_for_once_the_one_before_is_worked_through(monkeypatch):
    with contextlib.closing(open_store("s3://bucket", concurrency=1, endpoint="http://127.0.0.1:1")) as store:
        asked = []

        def page(prefix, token, pages):
            asked.append(token)
            return [Stat("a", 1, "e"), Stat("b", 1, "e")], f"{token}+"

        monkeypatch.setattr(store, "_page", page)
        listed = store.list()
        for pages in (1, 1, 2, 2, 3):
            next(listed)
            assert len(asked) == pages


def test_others_have_no_use_for_it(tmp_path):
    for url in ("memory://bucket", f"file://{tmp_path}"):
        assert budget_of(open_store(url, concurrency=1, memory=1)) == USUAL
