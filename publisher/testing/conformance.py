"""The contract of a store, as tests: subclass ``StoreConformance`` and give it a fixture ``store``.

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self):
            return MyStore(...)

A test that needs a capability which the store does not declare shows instead that the store refuses, and is then
reported as skipped, with that reason. A gap of an emulator is declared in ``gaps`` (name of a test or capability →
reason), or from outside in ``KEYSTOW_TEST_GAPS`` (names with commas between): the test must then fail.
"""

import contextlib
import hashlib
import itertools
import os
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import pytest

from keystow.backends import AlreadyExistsError, InvalidKeyError, NotFoundError, Store, StoreError, UnsupportedError

from .strategies import ODD_KEYS

PART = 8 << 20
"""The size of a part: where a write turns from one request into several."""

_WRITERS = 8
Test = TypeVar("Test", bound=Callable[..., Any])


def needs(capability: str) -> Callable[[Test], Test]:
    """Marks a test with the capability that it shows: a field of ``Capabilities``, or a topic of its own."""
    return pytest.mark.keystow_capability(capability)


class _FailsHalfWayError(Exception):
    """What the failing writers raise: no error of any store."""


def _pattern(size: int) -> bytes:
    """``size`` bytes, no two blocks of which are alike."""
    block = b"".join(index.to_bytes(4, "big") for index in range(4096))
    return b"".join(index.to_bytes(4, "big") + block[4:] for index in range(size // len(block) + 1))[:size]


def _chunks(data: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _told(data: bytes) -> bytes | str:
    """What is compared of ``data``: of much of it, only what a person can read, should it differ."""
    return data if len(data) <= 1000 else f"{len(data)} bytes with the SHA-256 {hashlib.sha256(data).hexdigest()}"


def _read(store: Store, key: str, version_id: str | None = None) -> bytes | str:
    return _told(b"".join(store.read(key, version_id=version_id)))


SIZES = {
    "empty": 0,
    "one byte": 1,
    "part - 1": PART - 1,
    "part": PART,
    "part + 1": PART + 1,
    "many parts": 3 * PART + 5,
}
_every_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)


class StoreConformance:
    """Every promise of ``keystow.backends.contract``, each under the capability that it belongs to."""

    gaps: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """The store to test: yours to give. Nobody else may write to it meanwhile."""
        raise NotImplementedError("give the class a fixture 'store' that yields an open store")

    @pytest.fixture
    def lossy_store(self) -> Store:
        """The same store over a connection that loses the first answer to a write. Optional."""
        pytest.skip("no fixture lossy_store was given, so no answer can be lost")

    @pytest.fixture
    def key(self) -> str:
        """A key that nothing stands under."""
        return f"conformance/{uuid.uuid4().hex}"

    @pytest.fixture(autouse=True)
    def _refused_or_gap(self, request: pytest.FixtureRequest, key: str) -> None:
        marker = request.node.get_closest_marker("keystow_capability")
        capability = marker.args[0] if marker else ""
        declared = dict.fromkeys(filter(None, os.environ.get("KEYSTOW_TEST_GAPS", "").split(",")), "KEYSTOW_TEST_GAPS")
        declared |= self.gaps
        function = request.node.originalname
        for name in (request.node.name, function, capability):
            if name in declared:
                request.applymarker(pytest.mark.xfail(reason=f"gap: {declared[name]}", strict=True))
                return
        store = request.getfixturevalue("store")
        if not store.capabilities.atomic and capability != "reading":
            _check_refusal(store, "atomic", key)
            pytest.skip("refused: the store does not promise to write all or nothing, and writes nothing")
        if getattr(store.capabilities, capability, True) is False:
            _check_refusal(store, capability, key)
            pytest.skip(f"refused: the store does not promise {capability}, and says so")

    # -- 1. all or nothing

    @needs("atomic")
    @_every_size
    def test_what_is_written_is_read_back(self, store: Store, key: str, size: int) -> None:
        """``Written`` and ``Stat`` tell the size, and SHA-256 is that of all bytes."""
        data = _pattern(size)
        written = store.write(key, _chunks(data))
        assert _read(store, key) == _told(data)
        assert (written.size, written.sha256) == (size, hashlib.sha256(data).hexdigest())
        found = store.stat(key)
        assert (found.key, found.size, found.etag) == (key, size, written.etag)

    @needs("atomic")
    @_every_size
    @pytest.mark.parametrize("old", [None, b"old"], ids=["no object", "old object"])
    @pytest.mark.parametrize("error", [_FailsHalfWayError, KeyboardInterrupt], ids=["raises", "interrupted"])
    def test_a_writer_that_fails_changes_nothing(
        self, store: Store, key: str, size: int, old: bytes | None, error: type[BaseException]
    ) -> None:
        """If ``chunks`` raises, or the caller is interrupted, the old object stands; the error passes unchanged."""
        if old is not None:
            store.write(key, [old])

        def failing() -> Iterator[bytes]:
            yield from _chunks(_pattern(size))
            raise error

        with pytest.raises(error):
            store.write(key, failing())
        if old is not None:
            assert _read(store, key) == old
        else:
            with pytest.raises(NotFoundError):
                store.stat(key)
            assert [found.key for found in store.list(key)] == []

    @needs("atomic")
    def test_a_later_write_replaces_the_whole_object(self, store: Store, key: str) -> None:
        """Nothing of a longer old object shows behind a shorter new one."""
        store.write(key, [b"long long ago"])
        store.write(key, [b"now"])
        assert _read(store, key) == b"now"

    @needs("atomic")
    def test_the_chunking_does_not_matter(self, store: Store, key: str) -> None:
        """Empty chunks and large ones give the same object."""
        data = _pattern(PART + 7)
        written = store.write(key, [b"", data[:1], b"", data[1:], b""])
        assert _read(store, key) == _told(data)
        assert written.sha256 == hashlib.sha256(data).hexdigest()

    # -- 2. if_absent

    @needs("if_absent")
    @_every_size
    def test_if_absent_writes_once(self, store: Store, key: str, size: int) -> None:
        """The first conditional write succeeds, the second raises, and the first object stands."""
        data = _pattern(size)
        store.write(key, _chunks(data), if_absent=True)
        with pytest.raises(AlreadyExistsError) as raised:
            store.write(key, _chunks(b"x" * size), if_absent=True)
        assert isinstance(raised.value, FileExistsError)
        assert _read(store, key) == _told(data)

    @needs("if_absent")
    @pytest.mark.parametrize("standing", [0, 1], ids=["over an empty object", "over one of one byte"])
    def test_if_absent_sees_any_object(self, store: Store, key: str, standing: int) -> None:
        """An empty object is an object."""
        store.write(key, [b"x" * standing])
        with pytest.raises(AlreadyExistsError):
            store.write(key, [b"new"], if_absent=True)
        assert store.stat(key).size == standing

    @needs("if_absent")
    def test_if_absent_after_a_delete(self, store: Store, key: str) -> None:
        """What was deleted is absent."""
        store.write(key, [b"old"])
        store.delete(key)
        store.write(key, [b"new"], if_absent=True)
        assert _read(store, key) == b"new"

    @needs("if_absent")
    def test_one_of_many_writers_wins(self, store: Store, key: str) -> None:
        """Of eight writers at once one succeeds, the others raise, and the winner's object stands."""
        _race(store, key, lambda writer: [b"%d" % writer])

    @needs("if_absent")
    def test_one_of_many_large_writers_wins(self, store: Store, key: str) -> None:
        """The same for objects of several parts."""
        tail = _pattern(PART + 1)
        _race(store, key, lambda writer: [b"%d" % writer, tail])

    @needs("lost_answers")
    @pytest.mark.parametrize("if_absent", [False, True], ids=["replacing", "if absent"])
    @pytest.mark.parametrize("size", [1, PART + 1], ids=["one request", "many parts"])
    def test_a_lost_answer_is_no_failure(self, lossy_store: Store, key: str, size: int, if_absent: bool) -> None:
        """A retry after a lost answer does not report our own object as somebody else's."""
        data = _pattern(size)
        assert lossy_store.write(key, _chunks(data), if_absent=if_absent).size == size
        assert _read(lossy_store, key) == _told(data)

    # -- reading, listing, deleting

    @needs("ranges")
    def test_ranges_are_slices(self, store: Store, key: str) -> None:
        """``start`` and ``stop`` mean what they mean in a slice, also past the end."""
        data = _pattern(1000)
        store.write(key, [data])
        for start, stop in itertools.product([0, 1, 999, 1000, 2000], [None, 0, 1, 999, 1000, 1001, 5000]):
            assert b"".join(store.read(key, start=start, stop=stop)) == data[start:stop], (start, stop)

    @needs("ranges")
    def test_ranges_of_an_empty_object(self, store: Store, key: str) -> None:
        """There is nothing to read, and that is no error."""
        store.write(key, [])
        assert _read(store, key) == b"".join(store.read(key, start=0, stop=10)) == b""

    @needs("ranges")
    def test_reading_may_end_early(self, store: Store, key: str) -> None:
        """No piece is empty, and many readers that stop after the first leave nothing behind that hinders."""
        data = _pattern(2 * PART)
        store.write(key, _chunks(data))
        for _ in range(34):
            reading = store.read(key)
            assert data.startswith(next(reading))
            if hasattr(reading, "close"):
                reading.close()
        pieces = list(store.read(key))
        assert all(pieces)
        assert _told(b"".join(pieces)) == _told(data)

    @needs("errors")
    def test_a_prefix_is_no_object(self, store: Store, key: str) -> None:
        """What only starts other keys is not there itself, and a delete of it harms none of them."""
        store.write(f"{key}/a/b", [b"x"])
        for prefix in (key, f"{key}/a"):
            with pytest.raises(NotFoundError):
                store.stat(prefix)
            with pytest.raises(NotFoundError):
                list(store.read(prefix))
            store.delete(prefix)
        assert b"".join(store.read(f"{key}/a/b")) == b"x"

    @needs("errors")
    def test_no_refusal_tells_a_secret(self, store: Store, key: str) -> None:
        """Neither a key that opens the store nor a signature stands in a message or in what it notes."""
        secrets = [value for name, value in os.environ.items() if "SECRET" in name or "CONNECTION_STRING" in name]
        for call in (lambda: store.stat(key), lambda: list(store.read(key))):
            with pytest.raises(NotFoundError) as raised:
                call()
            told = " ".join([str(raised.value), *getattr(raised.value, "__notes__", [])])
            assert not any(secret in told for secret in secrets)
            assert "ignature=" not in told

    @needs("errors")
    def test_what_is_not_there(self, store: Store, key: str) -> None:
        """``NotFoundError`` is also a ``FileNotFoundError``; a delete of nothing is no error."""
        for call in (lambda: store.stat(key), lambda: list(store.read(key)), lambda: list(store.read(key, start=1))):
            with pytest.raises(NotFoundError) as raised:
                call()
            assert isinstance(raised.value, FileNotFoundError)
            assert isinstance(raised.value, StoreError)
        store.delete(key)

    @needs("delete")
    def test_a_deleted_object_is_gone(self, store: Store, key: str) -> None:
        """Neither reading nor listing finds it, and its neighbour stands."""
        store.write(key, [b"x"])
        store.write(f"{key}-neighbour", [b"y"])
        store.delete(key)
        with pytest.raises(NotFoundError):
            store.stat(key)
        assert [found.key for found in store.list(key)] == [f"{key}-neighbour"]

    @needs("list")
    def test_a_listing_is_complete(self, store: Store, key: str) -> None:
        """Every object under a prefix is listed once, with its size, and nothing else is."""
        names = [f"{key}/a", f"{key}/a-b", f"{key}/a.b/c", f"{key}/b/c/d", f"{key}0"]
        for size, name in enumerate(names):
            store.write(name, [b"x" * size])
        assert {found.key: found.size for found in store.list(f"{key}/")} == {n: names.index(n) for n in names[:4]}
        assert {found.key for found in store.list(f"{key}/a")} == set(names[:3])
        assert {found.key for found in store.list(f"{key}/b/c/")} == {names[3]}
        assert {found.key for found in store.list(key)} == set(names)
        assert list(store.list(f"{key}/nothing")) == []

    @needs("list")
    def test_a_long_listing_is_complete_and_lazy(self, store: Store, key: str) -> None:
        """1,050 objects, more than a page of any store; the first is had before the rest is asked for."""
        names = [f"{key}/{index:04}" for index in range(1050)]
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(lambda name: store.write(name, [b""]), names))
        assert next(iter(store.list(f"{key}/"))).key in names
        assert sorted(found.key for found in store.list(f"{key}/")) == names

    @needs("odd_keys")
    @pytest.mark.parametrize("odd", ODD_KEYS)
    def test_odd_keys(self, store: Store, key: str, odd: str) -> None:
        """What is written under an odd key is read, listed and deleted under it, and under no other."""
        name = f"{key}/{odd}"
        store.write(name, [odd.encode()])
        assert _read(store, name) == odd.encode()
        assert [found.key for found in store.list(f"{key}/")] == [name]
        store.delete(name)
        assert list(store.list(f"{key}/")) == []

    @needs("odd_keys")
    @pytest.mark.parametrize("odd", ["a//b", "//", "a/", "a\\b", "line\nbreak"])
    def test_keys_that_some_stores_cannot_hold(self, store: Store, key: str, odd: str) -> None:
        """Such a key is held as it is, or refused before anything is stored; it never becomes another."""
        name = f"{key}/{odd}"
        try:
            store.write(name, [b"x"])
        except InvalidKeyError:
            assert [found.key for found in store.list(f"{key}/")] == []
            return
        assert [found.key for found in store.list(f"{key}/")] == [name]
        assert _read(store, name) == b"x"

    @needs("odd_keys")
    def test_long_keys(self, store: Store) -> None:
        """1,024 bytes, in segments of at most 200."""
        name = "/".join([uuid.uuid4().hex, *["é" * 100] * 4])
        name += "/" + "x" * (1023 - len(name.encode()))
        assert len(name.encode()) == 1024
        store.write(name, [b"x"])
        assert _read(store, name) == b"x"

    # -- versions, metadata, signed URLs

    @needs("versions")
    def test_each_write_names_its_version(self, store: Store, key: str) -> None:
        """The version that a write returns is the one it wrote, also while others write the same key."""

        def write(writer: int) -> tuple[int, str | None]:
            return writer, store.write(key, [b"%d" % writer]).version_id

        with ThreadPoolExecutor(_WRITERS) as pool:
            versions = dict(pool.map(write, range(_WRITERS)))
        assert len(set(versions.values())) == _WRITERS
        for writer, version in versions.items():
            assert b"".join(store.read(key, version_id=version)) == b"%d" % writer
            assert store.stat(key, version_id=version).size == 1

    @needs("versions")
    def test_a_large_write_names_its_version(self, store: Store, key: str) -> None:
        """The same for an object of several parts."""
        data = _pattern(PART + 1)
        version = store.write(key, _chunks(data)).version_id
        store.write(key, [b"later"])
        assert version is not None
        assert _read(store, key, version) == _told(data)

    @needs("presign")
    def test_a_signed_get(self, store: Store, key: str) -> None:
        """Anybody reads the object with it, and nothing else."""
        store.write(key, [b"signed"])
        url = store.presign(key, expires=60)
        assert _request("GET", url) == (200, b"signed")
        assert _request("PUT", url, b"overwritten")[0] >= 400
        assert _read(store, key) == b"signed"

    @needs("presign")
    def test_a_signed_put(self, store: Store, key: str) -> None:
        """Anybody writes the object with it."""
        url = store.presign(key, expires=60, method="PUT")
        assert _request("PUT", url, b"put")[0] in {200, 201}
        assert _read(store, key) == b"put"

    @needs("presign_expiry")
    def test_a_signed_url_expires(self, store: Store, key: str) -> None:
        """After its time it opens nothing."""
        if not store.capabilities.presign:
            pytest.skip("refused: the store does not promise presign, and says so")
        store.write(key, [b"signed"])
        url = store.presign(key, expires=1)
        time.sleep(2.5)
        status, body = _request("GET", url)
        assert status in {400, 401, 403}
        assert b"signed" not in body

    @needs("presign")
    @pytest.mark.parametrize("expires", [0, -1, 8 * 86400])
    def test_an_impossible_expiry_is_refused(self, store: Store, key: str, expires: int) -> None:
        """Before anything is signed."""
        with pytest.raises(ValueError, match="7 days"):
            store.presign(key, expires=expires)

    # -- 6. arrivals

    @needs("arrivals")
    @_every_size
    def test_what_arrives_was_given(self, store: Store, key: str, size: int) -> None:
        """``arrived`` is told of bytes that the store took, and of none twice."""
        data = _pattern(size)
        taken = arrived = 0

        def taking() -> Iterator[bytes]:
            nonlocal taken
            for chunk in _chunks(data):
                taken += len(chunk)
                yield chunk

        def tell(more: int) -> None:
            nonlocal arrived
            arrived += more
            assert more >= 0
            assert arrived <= taken

        assert store.write(key, taking(), arrived=tell).size == size
        assert _read(store, key) == _told(data)

    @needs("arrivals")
    def test_who_is_told_may_end_the_write(self, store: Store, key: str) -> None:
        """What ``arrived`` raises passes unchanged, and the old object stands; a store may have nothing to tell."""
        data = _pattern(3 * PART + 5)
        told = []

        def tell(more: int) -> None:
            told.append(more)
            raise _FailsHalfWayError

        store.write(key, [b"old"])
        with contextlib.suppress(_FailsHalfWayError):
            store.write(key, _chunks(data), arrived=tell)
            assert told == []
        assert len(told) <= 1
        assert _read(store, key) == (b"old" if told else _told(data))


def _race(store: Store, key: str, content: Callable[[int], list[bytes]]) -> None:
    barrier = threading.Barrier(_WRITERS)

    def write(writer: int) -> bool:
        barrier.wait()
        try:
            store.write(key, content(writer), if_absent=True)
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(_WRITERS) as pool:
        winners = [writer for writer, won in enumerate(pool.map(write, range(_WRITERS))) if won]
    assert len(winners) == 1
    assert _read(store, key) == _told(b"".join(content(winners[0])))


def _check_refusal(store: Store, capability: str, key: str) -> None:
    """A store that cannot promise a thing says so, and has done nothing."""

    def untouched() -> Iterator[bytes]:
        raise AssertionError("the store began to read what it had to refuse")
        yield b""

    calls: dict[str, Callable[[], object]] = {
        "atomic": lambda: store.write(key, untouched()),
        "if_absent": lambda: store.write(key, untouched(), if_absent=True),
        "versions": lambda: list(store.read(key, version_id="1")),
        "presign": lambda: store.presign(key, expires=60),
    }
    if capability in calls:
        with pytest.raises(UnsupportedError):
            calls[capability]()
    with contextlib.suppress(NotFoundError):
        raise AssertionError(f"{store.stat(key)} was stored, though it was refused")


def _request(method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"} if method == "PUT" else {}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()
