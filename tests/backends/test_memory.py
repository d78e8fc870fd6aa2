"""The memory store is fsspec's own memory file system, seen as a store."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest

from keystow.backends import AlreadyExistsError, UnsupportedError, open_store


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def test_fsspec_reads_what_the_store_wrote(name) -> None:
    files = fsspec.filesystem("memory")
    open_store(f"memory://{name}").write("a/b.txt", [b"hel", b"lo"])
    assert files.cat(f"/{name}/a/b.txt") == b"hello"
    assert files.info(f"/{name}/a/b.txt")["size"] == 5
    assert files.find(f"/{name}") == [f"/{name}/a/b.txt"]
    with fsspec.open(f"memory://{name}/a/b.txt") as file:
        assert file.read() == b"hello"


def test_the_store_reads_what_fsspec_wrote(name) -> None:
    files = fsspec.filesystem("memory")
    store = open_store(f"memory://{name}")
    with files.open(f"/{name}/x", "wb") as file:
        file.write(b"theirs")
    assert b"".join(store.read("x")) == b"theirs"
    assert [(stat.key, stat.size) for stat in store.list()] == [("x", 6)]
    with pytest.raises(AlreadyExistsError):
        store.write("x", [b"ours"], if_absent=True)
    store.write("x", [b"ours"])
    assert files.cat(f"/{name}/x") == b"ours"
    files.rm(f"/{name}/x")
    assert list(store.list()) == []


def test_buckets_are_apart_and_last(name) -> None:
    open_store(f"memory://{name}").write("x", [b"one"])
    open_store(f"memory://{name}-2").write("x", [b"two"])
    assert [stat.key for stat in open_store(f"memory://{name}").list()] == ["x"]
    assert b"".join(open_store(f"memory://{name}/").read("x")) == b"one"


def test_a_listing_stands_while_others_write_and_delete(name) -> None:
    store = open_store(f"memory://{name}")

    def work(number: int) -> int:
        for turn in range(50):
            store.write(f"{number}/{turn}", [b"x"])
            assert all(stat.size == 1 for stat in store.list())
            if turn % 2:
                store.delete(f"{number}/{turn}")
        return len(list(store.list(f"{number}/")))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [25] * 8


def test_what_memory_does_not_keep(name) -> None:
    store = open_store(f"memory://{name}")
    store.write("x", [b"x"], content_type="text/plain", metadata={"a": "b"})
    assert not store.capabilities.versions
    assert not store.capabilities.metadata
    with pytest.raises(UnsupportedError):
        store.stat("x", version_id="1")
