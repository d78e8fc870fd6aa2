"""A store that fails on order: at that call and no other, and in the way that was ordered."""

import threading
import time

import pytest

from keystow.backends import StoreUnavailableError, UnsupportedError
from keystow.testing import Fault, FaultyStore, StoreConformance

CALLS = {
    "write": lambda store: store.write("key", [b"new"]),
    "read": lambda store: list(store.read("key")),
    "stat": lambda store: store.stat("key"),
    "list": lambda store: list(store.list("k")),
    "delete": lambda store: store.delete("key"),
}
every_call = pytest.mark.parametrize("operation", CALLS)


@pytest.fixture
def behind(keystow_memory):
    store = keystow_memory.open()
    store.write("key", [b"old"])
    return store


class TestFaulty(StoreConformance):
    """Where no fault is ordered, it keeps what the store behind keeps."""

    @pytest.fixture
    def store(self, keystow_memory):
        return FaultyStore(keystow_memory.open())


@every_call
def test_the_nth_call_raises_and_does_nothing(behind, operation):
    store = FaultyStore(behind, Fault(operation, nth=2))
    CALLS[operation](store)
    behind.write("key", [b"old"])
    with pytest.raises(StoreUnavailableError, match="as it was ordered to"):
        CALLS[operation](store)
    assert b"".join(behind.read("key")) == b"old"
    CALLS[operation](store)


@every_call
def test_other_operations_do_not_count(behind, operation):
    store = FaultyStore(behind, Fault(operation))
    for other in CALLS.keys() - {operation, "delete"}:
        CALLS[other](store)
    with pytest.raises(StoreUnavailableError):
        CALLS[operation](store)


def test_presign_fails_too(behind):
    with pytest.raises(StoreUnavailableError):
        FaultyStore(behind, Fault("presign")).presign("key", expires=60)
    with pytest.raises(UnsupportedError):
        FaultyStore(behind).presign("key", expires=60)


def test_the_error_is_the_ordered_one(behind):
    error = PermissionError("ordered")
    with pytest.raises(PermissionError) as caught:
        FaultyStore(behind, Fault("stat", error=error)).stat("key")
    assert caught.value is error


def test_of_a_write_only_the_answer_is_lost(behind):
    store = FaultyStore(behind, Fault("write", kind="lose"))
    with pytest.raises(StoreUnavailableError):
        store.write("new", [b"arrived"])
    assert b"".join(store.read("new")) == b"arrived"


def test_of_a_delete_only_the_answer_is_lost(behind):
    with pytest.raises(StoreUnavailableError):
        FaultyStore(behind, Fault("delete", kind="lose")).delete("key")
    assert list(behind.list()) == []


def test_a_lost_listing_ends_after_the_first_object(behind):
    behind.write("key2", [b""])
    listing = FaultyStore(behind, Fault("list", kind="lose")).list()
    assert next(listing).key == "key"
    with pytest.raises(StoreUnavailableError):
        next(listing)


@pytest.mark.parametrize("operation", ["read", "stat"])
def test_a_lost_answer_to_a_reader(behind, operation):
    with pytest.raises(StoreUnavailableError):
        CALLS[operation](FaultyStore(behind, Fault(operation, kind="lose")))


def test_a_hanging_write_waits_for_its_release(behind):
    fault = Fault("write", kind="hang")
    store = FaultyStore(behind, fault)
    writing = threading.Thread(target=store.write, args=("new", [b"late"]), daemon=True)
    writing.start()
    while not store.calls:
        time.sleep(0.01)
    writing.join(0.2)
    assert writing.is_alive()
    assert store.calls == [("write", "new")]
    assert [found.key for found in store.list()] == ["key"]
    fault.release.set()
    writing.join(60)
    assert b"".join(behind.read("new")) == b"late"


def test_calls_are_recorded_in_order(behind):
    store = FaultyStore(behind, Fault("stat"))
    with pytest.raises(StoreUnavailableError):
        store.stat("a")
    store.write("b", [])
    list(store.list("c"))
    list(store.read("b"))
    store.delete("b")
    assert store.calls == [("stat", "a"), ("write", "b"), ("list", "c"), ("read", "b"), ("delete", "b")]
