"""The contract of ``keystow.backends.contract``, sentence by sentence, on every store.

SeaweedFS and moto are emulators: where they differ from S3, the difference stands in a table here and is asserted.
"""

import contextlib
import hashlib
import itertools
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import Login
from fsspec.implementations.memory import MemoryFileSystem
from moto.server import ThreadedMotoServer
from servers import FaultProxy, SeaweedFS

from keystow.backends import (
    AlreadyExistsError,
    InvalidKeyError,
    NotFoundError,
    Stat,
    Store,
    StoreError,
    UnsupportedError,
    Written,
    open_store,
)
from keystow.backends.parts import part_size

PART = part_size(1)
ODD_KEYS = {
    "looks like a query": "a?versionId=x",
    "fragment": "#1",
    "percent": "%2F",
    "percent in a segment": "a%2Fb%",
    "emoji": "😀",
    "composed": "é",
    "decomposed": "e\u0301",
    "line separator": "\u2028",
    "space": "two words",
    "outer spaces": " both ",
    "plus": "1+1=2",
    "newline": "two\nlines",
    "tab": "a\tb",
    "control": "\x01\x7f",
    "backslash": "a\\b",
    "quotes": "'\"`",
    "markup": "&amp;<Key>",
    "dots": "a..b/...",
    "hidden": ".hidden/.too",
    "dashes": "-rf",
    "long segment": "y" * 200,
    "longest key": "x/" * 500 + "x",
    "empty segment": "a//b",
    "trailing slash": "directory/",
    "leading slash": "/absolute",
    "dot segment": "./a",
    "upwards": "a/../b",
    "half a character": "\ud800",
    "empty": "",
}
DEVIATIONS: dict[str, dict[str, type[StoreError] | str]] = {
    "file": dict.fromkeys(
        ("empty segment", "trailing slash", "leading slash", "dot segment", "upwards", "half a character", "empty"),
        InvalidKeyError,
    ),
    "memory": {},
    "seaweed": {
        "backslash": "a/b",
        "empty segment": "a/b",
        "leading slash": "absolute",
        "trailing slash": "holds no bytes",
        "dot segment": StoreError,
        "upwards": StoreError,
        "half a character": InvalidKeyError,
        "empty": StoreError,
    },
    "moto": {
        "newline": NotFoundError,
        "half a character": InvalidKeyError,
        "empty": StoreError,
    },
}
"""What becomes of an odd key: the error it is refused with, or the other name it is listed under."""

HOLD_ANY_LENGTH = {"memory", "moto"}
"""Take a key of 1,025 bytes; S3 does not."""

UNORDERED = {"seaweed"}
"""Lists ``a/10`` before ``a-b``; S3 lists in the order of the bytes."""

TAKES_TURNS = {"seaweed", "moto"}
"""Let more than one of several simultaneous conditional completions through; S3 does not. Our part of that race is
shown behind a proxy that hands the server one completion at a time."""


@dataclass
class Place:
    """A store that is open, and what only an administrator of it sees."""

    name: str
    store: Store
    again: Callable[[], Store]
    unfinished: Callable[[], Sequence[str]]
    requests: Callable[[], int | None]
    empty: Callable[[], None]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@contextlib.contextmanager
def file_place(root: Path) -> Iterator[Place]:
    def open_again() -> Store:
        return open_store(f"file://{root}")

    def hidden() -> list[str]:
        seen = {stat.key for stat in open_again().list()}
        return [str(path) for path in root.rglob("*") if path.is_file() and str(path.relative_to(root)) not in seen]

    yield Place("file", open_again(), open_again, hidden, lambda: None, lambda: shutil.rmtree(root, ignore_errors=True))


@contextlib.contextmanager
def memory_place() -> Iterator[Place]:
    url = f"memory://{uuid.uuid4().hex}"
    yield Place("memory", open_store(url), lambda: open_store(url), list, lambda: None, MemoryFileSystem.store.clear)


@contextlib.contextmanager
def s3_place(name: str, admin: Any) -> Iterator[Place]:
    """One bucket, behind a proxy that counts."""
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    admin.create_bucket(Bucket=bucket)
    admin.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def unfinished() -> list[str]:
        found = admin.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [upload["Key"] for upload in found]

    def empty() -> None:
        while found := admin.list_objects_v2(Bucket=bucket).get("Contents"):
            admin.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": each["Key"]} for each in found]})

    with FaultProxy(admin.meta.endpoint_url) as proxy, contextlib.ExitStack() as opened:
        proxy.one_at_a_time(lambda method, path: method == "POST" and "uploadId=" in path)

        def open_again() -> Store:
            return opened.enter_context(contextlib.closing(open_store(f"s3://{bucket}", endpoint=proxy.url)))

        yield Place(name, open_again(), open_again, unfinished, lambda: len(proxy.requests), empty)


@pytest.fixture(scope="module", params=["file", "memory", "seaweed", "moto"])
def opened(request, tmp_path_factory) -> Iterator[Place]:
    """Each store in turn, open for as long as the module takes."""
    if request.param == "file":
        place = file_place(tmp_path_factory.mktemp("store") / "root")
    elif request.param == "memory":
        place = memory_place()
    else:
        seaweed: SeaweedFS = request.getfixturevalue("seaweed")
        endpoint = request.getfixturevalue("moto") if request.param == "moto" else None
        place = s3_place(request.param, seaweed.client(endpoint=endpoint))
    with pytest.MonkeyPatch.context() as environment:
        if request.param in {"seaweed", "moto"}:
            Login(environment)(seaweed)
        with place as found:
            yield found


@pytest.fixture
def place(opened, login, request) -> Iterator[Place]:
    """A store with nothing in it."""
    if opened.requests() is not None:
        login(request.getfixturevalue("seaweed"))
    yield opened
    opened.empty()


SOURCE = hashlib.shake_256(b"keystow").digest(1 << 16) * (4 * PART // (1 << 16))


def content(size: int) -> bytes:
    """Bytes in which a part that is missing, doubled or misplaced shows."""
    return SOURCE[:size]


def chunked(data: bytes, size: int = 1_000_003) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def fetched(store: Store, key: str, **options: object) -> bytes:
    return b"".join(store.read(key, **options))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


SIZES = [
    pytest.param(size, id=name)
    for name, size in {
        "nothing": 0,
        "one": 1,
        "under a part": PART - 1,
        "a part": PART,
        "over a part": PART + 1,
        "parts": 3 * PART + 5,
    }.items()
]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_is_read_and_described(place, size) -> None:
    data = content(size)
    written = place.store.write("dir/object", chunked(data))
    stat = place.store.stat("dir/object")
    assert (written.size, written.sha256) == (size, sha256(data))
    assert (stat.key, stat.size) == ("dir/object", size)
    assert written.etag
    assert written.etag == stat.etag
    assert written.confirmed == "response"
    assert stat.modified is not None
    assert stat.modified.tzinfo is not None
    assert (written.version_id is not None) == place.store.capabilities.versions
    assert written.version_id == stat.version_id
    assert fetched(place.store, "dir/object") == data


def test_a_second_write_replaces_the_first(place) -> None:
    for data in (content(PART + 1), b"", b"short"):
        place.store.write("object", [data])
        assert fetched(place.store, "object") == data
    assert [stat.key for stat in place.store.list()] == ["object"]


class OfChunksError(Exception):
    """Nobody else's."""


@pytest.mark.parametrize("size", [pytest.param(None, id="at first"), *SIZES])
@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "over an old object"])
def test_chunks_that_raise_leave_everything_as_it_was(place, size, old) -> None:
    if old is not None:
        before = place.store.write("object", [old])

    for error in (OfChunksError(), KeyboardInterrupt(), FileNotFoundError(2, "gone")):

        def chunks(error: BaseException = error) -> Iterator[bytes]:
            if size is not None:
                yield from chunked(content(size), PART // 2)
            raise error

        with pytest.raises(type(error)) as raised:
            place.store.write("object", chunks())
        assert raised.value is error

    if old is None:
        assert list(place.store.list()) == []
        with pytest.raises(NotFoundError):
            place.store.stat("object")
    else:
        assert place.store.stat("object").version_id == before.version_id
        assert fetched(place.store, "object") == old
    assert not place.unfinished()


@pytest.mark.parametrize("size", SIZES)
def test_if_absent_never_overwrites(place, size) -> None:
    ours = content(size)
    written = place.store.write("object", chunked(ours), if_absent=True)
    assert (written.size, written.confirmed) == (size, "response")
    for other in (b"", b"other", content(PART), content(2 * PART + 1)):
        with pytest.raises(AlreadyExistsError) as refused:
            place.store.write("object", iter([other]), if_absent=True)
        assert isinstance(refused.value, FileExistsError)
        assert "already exists" in str(refused.value)
    assert place.store.stat("object").etag == written.etag
    assert place.store.stat("object").version_id == written.version_id
    assert fetched(place.store, "object") == ours
    assert not place.unfinished()


def race(store: Store, key: str, contents: Sequence[bytes]) -> list[Written | StoreError]:
    """Everybody writes at once, from a stream, if nobody did."""
    start = threading.Barrier(len(contents))

    def write(data: bytes) -> Written | StoreError:
        def chunks() -> Iterator[bytes]:
            start.wait(60)
            yield data

        try:
            return store.write(key, chunks(), if_absent=True)
        except StoreError as error:
            return error

    with ThreadPoolExecutor(len(contents)) as pool:
        return list(pool.map(write, contents))


@pytest.mark.parametrize(("size", "racers", "rounds"), [(100, 8, 2), (PART + 1, 3, 1)], ids=["single", "multipart"])
def test_one_writer_wins_a_race(place, size, racers, rounds) -> None:
    assert place.name in TAKES_TURNS or place.requests() is None
    for number in range(rounds):
        contents = [bytes([racer]) + content(size) for racer in range(racers)]
        outcomes = race(place.store, f"object-{number}", contents)
        winners = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, Written)]
        assert len(winners) == 1
        losers = [outcome for outcome in outcomes if not isinstance(outcome, Written)]
        assert {type(error) for error in losers} == {AlreadyExistsError}
        assert outcomes[winners[0]].version_id == place.store.stat(f"object-{number}").version_id
        assert fetched(place.store, f"object-{number}") == contents[winners[0]]
    assert not place.unfinished()


def test_the_version_is_that_of_this_very_write(place) -> None:
    contents = [bytes([number]) * 50 for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda data: place.store.write("object", [data]), contents))
    assert [each.sha256 for each in written] == [sha256(data) for data in contents]
    if not place.store.capabilities.versions:
        assert {each.version_id for each in written} == {None}
        assert fetched(place.store, "object") in contents
        return
    assert len({each.version_id for each in written}) == len(contents)
    for each, data in zip(written, contents, strict=True):
        assert fetched(place.store, "object", version_id=each.version_id) == data
        assert place.store.stat("object", version_id=each.version_id).etag == each.etag


def test_a_store_without_versions_refuses_to_look_for_one(place) -> None:
    place.store.write("object", [b"x"])
    expected = NotFoundError if place.store.capabilities.versions else UnsupportedError
    absent = uuid.uuid4().hex
    if place.name == "moto":
        absent = "null"
    with pytest.raises(expected):
        place.store.stat("object", version_id=absent)
    with pytest.raises(expected):
        fetched(place.store, "object", version_id=absent)


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 20) + 10])
def test_ranges_are_slices(place, size) -> None:
    data = content(size)
    place.store.write("object", [data])
    starts = {0, 1, 500, size - 1, size, size + 1, size + 5000} - {-1}
    for start, stop in itertools.product(sorted(starts), (None, 0, 1, 2, 999, 1000, 1001, size, size + 100)):
        assert fetched(place.store, "object", start=start, stop=stop) == data[start:stop], (start, stop)


def test_pieces_are_small_and_none_is_empty(place) -> None:
    place.store.write("large", [content(3 * PART)])
    place.store.write("empty", [])
    assert list(place.store.read("empty")) == []
    pieces = list(place.store.read("large"))
    assert all(pieces)
    if place.name != "memory":
        assert max(map(len, pieces)) <= 1 << 20


def test_reading_may_end_early(place) -> None:
    place.store.write("object", [content(3 * PART)])
    for _ in range(34):
        assert next(place.store.read("object")).startswith(content(1000))


def test_what_is_missing(place) -> None:
    place.store.write("object", [b"x"])
    for key in ("missing", "obj", "object/below", "object2"):
        for ask in (place.store.stat, lambda key: fetched(place.store, key)):
            with pytest.raises(NotFoundError) as error:
                ask(key)
            assert isinstance(error.value, FileNotFoundError)
        place.store.delete(key)
    assert list(place.store.list("missing")) == []
    assert fetched(place.store, "object") == b"x"


def test_a_prefix_is_no_object(place) -> None:
    place.store.write("a/b/c", [b"x"])
    for key in ("a", "a/b"):
        with pytest.raises(NotFoundError):
            place.store.stat(key)
        with pytest.raises(NotFoundError):
            fetched(place.store, key)
        place.store.delete(key)
    assert fetched(place.store, "a/b/c") == b"x"


def test_what_is_deleted_is_gone(place) -> None:
    place.store.write("object", [b"x"])
    place.store.delete("object")
    place.store.delete("object")
    assert list(place.store.list()) == []
    with pytest.raises(NotFoundError):
        place.store.stat("object")
    place.store.write("object", [b"again"], if_absent=True)
    assert fetched(place.store, "object") == b"again"


LISTED = ["a", "a-b", "a.b", "a/1", "a/10", "a/2", "a/2.txt", "ab", "b/c/d", "b/c/e", "ä", "😀"]


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/1", "b", "b/", "b/c", "b/c/", "b/c/d", "z", "z/", "/", "..", "%"])
def test_a_prefix_is_no_more_than_text(place, prefix) -> None:
    keys = [key for key in LISTED if not (key == "a" and place.name == "file")]
    for key in keys:
        place.store.write(key, [key.encode()])
    found = list(place.store.list(prefix))
    expected = sorted((key for key in keys if key.startswith(prefix)), key=str.encode)
    if place.name in UNORDERED:
        found.sort(key=lambda stat: stat.key.encode())
    assert [stat.key for stat in found] == expected
    assert [(stat.size, stat.etag) for stat in found] == [
        (len(key.encode()), place.store.stat(key).etag) for key in expected
    ]


def test_a_long_list_comes_page_by_page(place) -> None:
    keys = [f"many/{number:04}" for number in range(1_105)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: place.store.write(key, [b"x"]), keys))
    place.store.write("others", [b"x"])
    before = place.requests()
    listing = place.store.list("many/")
    first = next(listing)
    if before is not None:
        assert place.requests() == before + 1
    assert [first.key, *(stat.key for stat in listing)] == keys
    if before is not None:
        assert place.requests() == before + 2


@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS.keys())
def test_odd_keys_are_kept_or_refused(place, key, request) -> None:
    label = next(name for name, value in ODD_KEYS.items() if value == key)
    data = key.encode(errors="replace") * 3 + b"!"
    deviation = DEVIATIONS[place.name].get(label)
    if isinstance(deviation, type):
        with pytest.raises(deviation) as refused:
            place.store.stat(place.store.write(key, [data]) and key)
        assert isinstance(refused.value, OSError)
        assert list(place.store.list()) == []
        return
    written = place.store.write(key, [data])
    if deviation == "holds no bytes":
        assert place.store.stat(key).size == 0
        return
    assert fetched(place.store, key) == data
    assert place.store.stat(key) == Stat(
        key, len(data), written.etag, written.version_id, place.store.stat(key).modified
    )
    with pytest.raises(AlreadyExistsError):
        place.store.write(key, [b"other"], if_absent=True)
    listed = deviation or key
    assert [stat.key for stat in place.store.list()] == [listed]
    assert [stat.key for stat in place.store.list(listed[:2])] == [listed]
    place.store.delete(key)
    assert list(place.store.list()) == []


def test_a_key_longer_than_s3_allows(place) -> None:
    key = "x" * 1_025
    if place.name in HOLD_ANY_LENGTH:
        assert place.store.write(key, [b"x"]).size == 1
        return
    with pytest.raises(InvalidKeyError) as refused:
        place.store.write(key, [b"x"])
    assert isinstance(refused.value, ValueError)
    assert refused.value.code in {"KeyTooLongError", "ENAMETOOLONG"}


def test_what_others_write_is_seen_at_once(place) -> None:
    other = place.again()
    other.write("object", [b"x"])
    assert fetched(place.store, "object") == b"x"
    assert [stat.key for stat in place.store.list()] == ["object"]
    other.delete("object")
    assert list(place.store.list()) == []


def test_what_cannot_be_signed_is_refused(place) -> None:
    place.store.write("object", [b"x"])
    if place.store.capabilities.presign:
        assert "X-Amz-Signature=" in place.store.presign("object", expires=60)
        return
    with pytest.raises(UnsupportedError) as refused:
        place.store.presign("object", expires=60)
    assert isinstance(refused.value, NotImplementedError)


def test_no_refusal_tells_a_secret(place, request) -> None:
    secret = request.getfixturevalue("seaweed").secret_key if place.requests() is not None else "none"
    place.store.write("object", [b"x"])
    refusals = []
    for attempt in (
        lambda: place.store.write("object", [b"y"], if_absent=True),
        lambda: place.store.write("object", [content(PART + 1)], if_absent=True),
        lambda: place.store.stat("missing"),
        lambda: fetched(place.store, "missing"),
    ):
        with pytest.raises(StoreError) as refused:
            attempt()
        refusals.append(refused.value)
    for error in refusals:
        text = "\n".join([str(error), *getattr(error, "__notes__", [])])
        assert secret not in text
        assert "X-Amz-Signature" not in text
        if place.requests() is not None:
            assert error.code
            assert not error.request_id or error.request_id in str(error)
