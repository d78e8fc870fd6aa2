"""``progress=`` is told of bytes that have arrived and of no others, and of all of them once the call has succeeded."""

import http.server
import io
import os
import threading
import tracemalloc
from contextlib import contextmanager

import pytest
from archive_strategies import lay
from fsspec.callbacks import Callback

from keystow import (
    Context,
    Publisher,
    ResultError,
    SpecError,
    StoreError,
    VerificationError,
    fetch,
    open_store,
    presign,
    publish,
    verify,
)
from keystow.archive import Packed
from keystow.backends import AccessDeniedError, Capabilities, StoreUnavailableError
from keystow.progress import Meter, Moved, Share
from keystow.testing import Fault, FaultyStore

pytestmark = pytest.mark.slow

PART = 8 << 20
WAYS = {"archive": {"archive": True}, "prefix": {"archive": False}, "raw": {"raw": True}}


class Told(list):
    """What ``progress`` was told, which keeps the law at every moment."""

    def __call__(self, done, total):
        assert 0 <= done <= total
        if self:
            assert done >= self[-1][0]
            assert total >= self[-1][1]
            assert self[-1][0] < self[-1][1], "it was told already that all has moved"
        self.append((done, total))

    @property
    def is_whole(self):
        return self[-1][0] == self[-1][1]


@pytest.fixture
def mixed(tmp_path):
    """Files of several parts and of none, that shrink and do not, in directories."""
    files = {
        "a": b"",
        "big": os.urandom(2 * PART + 5),
        "d/zeros": bytes(9 << 20),
        "d/small": b"small",
        "z/last": os.urandom(3 << 20),
    }
    lay(tmp_path / "mixed", files)
    return tmp_path / "mixed", sum(map(len, files.values()))


@pytest.mark.parametrize("way", WAYS)
def test_all_has_moved_at_the_end_and_not_before(place, mixed, tmp_path, way):
    """There and back, on each kind of store, each way to publish."""
    source, total = mixed
    if way == "raw":
        source, total = source / "big", 2 * PART + 5
    told = Told()
    result = publish(source, place("k"), **WAYS[way], progress=told)
    assert told[0] == (0, total)
    assert told[-1] == (total, total)
    for call in (verify, lambda result, progress: fetch(result, tmp_path / "back", progress=progress)):
        told = Told()
        call(result, progress=told)
        assert told.is_whole
        assert (told[-1][0] == total) == (way != "archive")
        assert len(told) > 2 or place.name == "memory"  # which gives all at once


@pytest.mark.server
@pytest.mark.parametrize("way", WAYS)
def test_nothing_counts_that_the_store_has_not_acknowledged(seaweed, s3_place, proxy, noise, way):
    """What does not shrink: a part of the archive holds no more of the source than it has bytes."""
    told, seen = Told(), []

    def progress(done, total):
        acknowledged = sum("partNumber=" in each.path and each.status == 200 for each in proxy.requests)
        whole = any(
            each.method == "POST" and "uploadId=" in each.path and each.status == 200 for each in proxy.requests
        )
        assert done <= acknowledged * PART
        assert whole == (done == total)
        seen.append(acknowledged)
        told(done, total)

    source = noise / "data" if way == "raw" else noise
    destination = s3_place("k").replace(seaweed.endpoint, proxy.url)
    publish(source, destination, **WAYS[way], progress=progress)
    assert told[-1] == (30 << 20, 30 << 20)
    assert len({done for done, _ in told}) >= 4
    assert seen[-1] == 4


@pytest.mark.server
def test_a_part_that_is_sent_again_counts_once(seaweed, s3_place, proxy, noise):
    proxy.answer(lambda method, path: "partNumber=1&" in path or path.endswith("partNumber=1"), 503)
    told = Told()
    publish(noise / "data", s3_place("k").replace(seaweed.endpoint, proxy.url), raw=True, progress=told)
    assert told[-1] == (30 << 20, 30 << 20)
    assert [each.status for each in proxy.requests if "partNumber=" in each.path].count(503) == 1


@pytest.mark.server
@pytest.mark.parametrize(
    "matches",
    [lambda method, path: "partNumber=2" in path, lambda method, path: method == "POST" and "uploadId=" in path],
    ids=["a part", "the completion"],
)
def test_what_is_refused_in_the_end_never_is_whole(seaweed, s3_place, proxy, noise, matches):
    proxy.answer(matches, 403, b"<Error><Code>AccessDenied</Code></Error>", nth=None)
    told = Told()
    with pytest.raises(AccessDeniedError):
        publish(noise, s3_place("k").replace(seaweed.endpoint, proxy.url), progress=told)
    assert not told.is_whole


def test_a_store_that_fails_was_told_of_nothing(memory_place, small):
    told = Told()
    store = FaultyStore(open_store("memory://faulty"), Fault("write", kind="lose"))
    with pytest.raises(StoreError):
        publish(small, memory_place("k"), store=store, progress=told)
    assert [done for done, _ in told] == [0]


def test_a_store_that_does_not_tell(memory_place, small):
    class Silent:
        capabilities = Capabilities()

        def write(self, key, chunks, *, if_absent=False, content_type=None, metadata=None):
            return open_store("memory://silent").write(key, chunks)

    for archive, least in ((True, 2), (False, 4)):
        told = Told()
        publish(small, memory_place("k"), store=Silent(), archive=archive, symlinks="skip", progress=told)
        assert told.is_whole
        assert len(told) >= least


def test_what_never_arrives_one_by_one_is_not_remembered_one_by_one():
    """An archive of 200 GB, in a store that tells of nothing before it has all."""
    told = Told()
    share = Share(Meter(lambda moved: told(moved.done, moved.total), 200_000))
    tracemalloc.start()
    for _ in share.packed(Packed(b"x", number) for number in range(1, 200_001)):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
    for _ in range(5000):
        share.arrived(1)
    assert told[-1] == (5000, 200_000)
    share.arrived(195_000 - 1)
    assert told[-1] == (9999, 200_000)


def test_a_stream_has_as_many_bytes_as_were_read(file_place):
    told = Told()
    data = os.urandom(3 << 20)
    publish(io.BytesIO(data), file_place("k"), raw=True, progress=told)
    assert told[-1] == (3 << 20, 3 << 20)
    told = Told()
    publish(io.BytesIO(), file_place("empty"), raw=True, progress=told)
    assert told == [(0, 0)]


def test_a_stream_is_told_while_it_comes(file_place):
    """Each piece once the next is there, as until then it may be the last."""
    told = Told()
    publish(io.BytesIO(bytes(3 << 20)), file_place("k"), raw=True, progress=told)
    assert told == [(1 << 20, 2 << 20), (2 << 20, 3 << 20), (3 << 20, 3 << 20)]


def test_what_stood_there_already_is_there(place, files, small):
    publish(files, place("k"), archive=False)
    told = Told()
    publish(files, place("k"), archive=False, if_exists="skip", progress=told)
    assert told.is_whole
    publish(small, place("a"))
    told = Told()
    publish(small, place("a"), if_exists="skip", progress=told)
    assert told.is_whole


@pytest.mark.parametrize("way", ["prefix", "raw"])
def test_what_is_fetched_counts_once_it_is_written(place, mixed, tmp_path, way):
    source = mixed[0] / "big" if way == "raw" else mixed[0]
    result = publish(source, place("k"), **WAYS[way])

    def written():
        return sum(
            os.path.getsize(os.path.join(directory, name))
            for place in (tmp_path / "here").glob(".*.partial")
            for directory, _, names in os.walk(place)
            for name in names
        )

    (tmp_path / "here").mkdir()
    told = Told()

    def progress(done, total):
        assert done <= (written() if done < total else total)
        told(done, total)

    fetch(result, tmp_path / "here" / "back", progress=progress)
    assert told.is_whole
    assert len(told) > 1


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_what_was_published_never_is_whole(file_place, mixed, tmp_path, way, stored):
    source = mixed[0] / "big" if way == "raw" else mixed[0]
    result = publish(source, file_place("k"), **WAYS[way])
    key = result.key + "d/small" if way == "prefix" else result.key
    store = stored(result)
    content = bytearray(b"".join(store.read(key)))
    content[-1] ^= 1
    store.write(key, [bytes(content)])
    for call in (verify, lambda result, progress: fetch(result, tmp_path / "back", progress=progress)):
        told = Told()
        with pytest.raises(VerificationError):
            call(result, progress=told)
        assert not told or not told.is_whole


@pytest.mark.server
def test_a_url_says_how_long_it_is(s3_place, mixed, tmp_path):
    result = publish(mixed[0], s3_place("k"))
    told = Told()
    fetch(presign(result, expires=60), tmp_path / "back", progress=told)
    assert told.is_whole
    assert len({total for _, total in told}) == 1


@contextmanager
def serving(content):
    """A URL that does not say how long it is."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/k.tar.gz"
        server.shutdown()


def test_a_url_that_does_not_say_how_long_it_is(mixed, memory_place, tmp_path, stored):
    result = publish(mixed[0], memory_place("k"))
    content = b"".join(stored(result).read(result.key))
    told = []
    with serving(content) as url:
        fetch(url, tmp_path / "back", progress=lambda *moved: told.append(moved))
    assert all(done == total for done, total in told)
    assert told == sorted(told)
    assert told[-1] == (len(content), len(content))
    assert len(told) > 1


def test_an_object_whose_size_is_not_told_is_fetched_all_the_same(memory_place, small, tmp_path):
    result = publish(small, memory_place("k"))
    refused = Fault("stat", error=AccessDeniedError("who reads may not look"))
    store = FaultyStore(open_store(f"memory://{result.bucket}"), refused)
    told = []
    fetch(result, tmp_path / "back", store=store, progress=lambda *moved: told.append(moved))
    assert told[-1][0] == told[-1][1] > 0


def test_a_store_that_cannot_be_reached_is_not_tried_twice_as_often(memory_place, small, tmp_path):
    result = publish(small, memory_place("k"))
    for call in (verify, lambda result, **given: fetch(result, tmp_path / "back", **given)):
        store = FaultyStore(open_store(f"memory://{result.bucket}"), Fault("stat"))
        with pytest.raises(StoreUnavailableError):
            call(result, store=store, progress=print)
        assert [operation for operation, _ in store.calls] == ["stat"]


def test_nobody_asks_for_a_size_that_nobody_wants_to_know(memory_place, small, tmp_path):
    result = publish(small, memory_place("k"))
    store = FaultyStore(open_store(f"memory://{result.bucket}"))
    fetch(result, tmp_path / "back", store=store)
    verify(result, store=store)
    assert [operation for operation, _ in store.calls] == ["read", "read"]


def test_a_callback_of_fsspecs(memory_place, mixed, tmp_path):
    source, total = mixed
    callback = Callback()
    result = publish(source, memory_place("k"), archive=False, progress=callback)
    assert (callback.size, callback.value) == (total, total)
    hooked = []
    callback = Callback(hooks={"seen": lambda size, value, **_: hooked.append((size, value))})
    verify(result, progress=callback)
    assert (callback.size, callback.value) == (total, total)
    assert len(hooked) > 1
    callback = Callback()
    fetch(result, tmp_path / "back", progress=callback)
    assert (callback.size, callback.value) == (total, total)


def test_a_publisher_tells_as_well(memory_place, small, tmp_path):
    with Publisher(memory_place("{jobID}")) as publisher:
        told = Told()
        result = publisher.publish(small, Context(job_id="a"), progress=told)
        assert told.is_whole
        told = Told()
        publisher.verify(result, progress=told)
        assert told.is_whole
        told = Told()
        publisher.fetch(result, tmp_path / "back", progress=told)
        assert told.is_whole


@pytest.mark.parametrize(
    ("progress", "advice"), [(3, "give a function of two numbers"), (Callback, r"give one that is made, Callback\(\)")]
)
def test_what_can_be_told_nothing_is_refused_first(tmp_path, progress, advice):
    with pytest.raises(SpecError, match=advice):
        publish(tmp_path / "absent", "s3://bucket/key", progress=progress)
    for call in (verify, lambda result, progress: fetch(result, tmp_path / "back", progress=progress)):
        with pytest.raises(ResultError, match=advice):
            call(tmp_path / "absent", progress=progress)


def test_what_it_raises_ends_the_call(place, noise, stored):
    standing = publish(noise, place("k"))

    def fails(done, total):
        if done:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        verify(standing, progress=fails)
    with pytest.raises(LookupError, match="enough"):
        publish(noise, place("k"), mtime=0, progress=fails)
    if place.name != "memory":  # which has it all at once, and tells of it afterwards
        assert verify(standing)


def test_a_meter_is_told_by_many_threads():
    told = []
    meter = Meter(told.append, 8000, 8)

    def move():
        for _ in range(1000):
            meter.move(1)
        meter.move(0, objects=1)

    threads = [threading.Thread(target=move) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter.end()
    assert [moved.done for moved in told if not moved.objects] == sorted(
        {moved.done for moved in told if not moved.objects}
    )
    assert {moved.done for moved in told} == set(range(1, 8001))
    assert told[-1] == Moved(8000, 8000, 8, 8, known=True)
