"""How a prefix is read: at once from where nothing has to be waited for, several objects at a time from elsewhere."""

import threading

import pytest
from archive_strategies import lay, seen

from keystow import PublishedResult, VerificationError, fetch, publish, verify
from keystow.archive import UnsafeArchiveError
from keystow.backends import NotFoundError, open_store
from keystow.manifests import read_manifest

FILES = {f"d{number % 7}/f{number:03}": bytes([number]) * (number * 300) for number in range(120)}


@pytest.fixture(params=[True, False], ids=["manifest", "listing"])
def published(request, tmp_path, memory_place):
    lay(tmp_path / "source", FILES | {"large": bytes(5 << 20), "empty": b""})
    return publish(tmp_path / "source", memory_place("many"), archive=False, manifest=request.param)


@pytest.fixture(params=["near", "far"])
def distance(request, monkeypatch):
    """The memory store as it is, and taken for one that has to be waited for."""
    if request.param == "far":
        monkeypatch.setattr("keystow.prefixes._NEAR", frozenset())
    return request.param


def test_it_comes_back_the_same(distance, published, tmp_path):
    assert fetch(published, tmp_path / "back").sha256 == published.checksum_sha256
    assert {name: what[1] for name, what in seen(tmp_path / "back").items() if what[0] == "file"} == {
        name: what[1] for name, what in seen(tmp_path / "source").items() if what[0] == "file"
    }
    assert verify(published).objects == len(FILES) + 2


def test_threads_are_for_what_has_to_be_waited_for(distance, published, tmp_path, monkeypatch):
    readers = set()
    read = type(open_store(f"memory://{published.bucket}")).read

    def watched(*args, **options):
        readers.add(threading.current_thread())
        yield from read(*args, **options)

    monkeypatch.setattr("keystow.backends.memory.MemoryStore.read", watched)
    verify(published)
    assert (readers == {threading.main_thread()}) == (distance == "near")


def test_a_change_is_noticed(distance, published, tmp_path):
    store = open_store(f"memory://{published.bucket}")
    store.write(f"{published.key}d1/f001", [b"y" * 300])
    for attempt in (lambda: fetch(published, tmp_path / "back"), lambda: verify(published)):
        with pytest.raises(VerificationError):
            attempt()
    assert not (tmp_path / "back").exists()


def test_a_refusal_ends_all_threads_before_it_is_handled(distance, published, tmp_path):
    store = open_store(f"memory://{published.bucket}")
    store.write(f"{published.key}d0/../../evil", [b"evil"])
    unverified = PublishedResult("memory", published.bucket, published.key, encoding="plain")
    before = set(threading.enumerate())
    with pytest.raises(UnsafeArchiveError) as caught:
        fetch(unverified, tmp_path / "back", manifest=False)
    assert set(threading.enumerate()) <= before, caught
    assert not (tmp_path / "back").exists()


def test_an_error_of_the_store_comes_through(distance, published, tmp_path, monkeypatch):
    def missing(*_, **__):
        raise NotFoundError("it has just been deleted")
        yield b""

    found = read_manifest(open_store(f"memory://{published.bucket}"), published.key) if published.index_sha256 else None
    if found is not None:
        monkeypatch.setattr("keystow.prefixes.read_manifest", lambda *_, **__: found)
    monkeypatch.setattr("keystow.backends.memory.MemoryStore.read", missing)
    before = set(threading.enumerate())
    with pytest.raises(NotFoundError, match="just been deleted"):
        fetch(published, tmp_path / "back")
    assert set(threading.enumerate()) <= before
    assert not (tmp_path / "back").exists()
