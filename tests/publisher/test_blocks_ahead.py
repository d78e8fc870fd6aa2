"""An archive that is fetched whole: its blocks inflate side by side, if that is worth asking for where they are."""

import logging
import random
import threading
from dataclasses import replace

import indexed
import pytest
from archive_strategies import seen
from forged import forged, parts

from keystow import Checksum, PublishedResult, VerificationError, fetch
from keystow.archive import CorruptArchiveError, LimitExceededError, Limits, Tree, gunzip
from keystow.archive.index import open_index
from keystow.backends import AccessDeniedError
from keystow.backends.memory import MemoryStore
from keystow.backends.sending.budget import Budget
from keystow.surroundings import inflaters

pytestmark = pytest.mark.usefixtures("apart")

KIB = 1 << 10
TEXT = b"".join(b"%d,%d\n" % (number, number * number) for number in range(100_000))
TREE = Tree.of({"large.csv": TEXT, "small.txt": b"42\n"})
NOISE = random.Random(3).randbytes(1 << 20)


class Counting(MemoryStore):
    """Keeps what is asked of it; ``refuses`` what is asked from a place on."""

    refuses = None

    def __init__(self, bucket):
        super().__init__(bucket)
        self.asked = []

    def read(self, key, **options):
        self.asked.append(options)
        if self.refuses is not None and options.get("start"):
            return self.refuses()
        return super().read(key, **options)


@pytest.fixture
def store(tmp_path):
    return Counting(f"ahead-{tmp_path.name}")


def put(store, data, **known):
    written = store.write("key", [data])
    found = PublishedResult("memory", "bucket", "key", size=len(data), checksum_sha256=Checksum(written.sha256))
    return replace(found, **known)


def published(store, tree=TREE, **options):
    data, index = indexed.data_and_index(tree, **options)
    return put(store, data + b"".join(index.pieces), index_sha256=Checksum(index.sha256))


def test_it_is_inflated_side_by_side_by_one_request_more(store, apart, tmp_path):
    result = published(store, sizes=[100 * KIB] * 20)
    fetched = fetch(result, tmp_path / "back", store=store)
    assert apart == [3]
    assert (fetched.verified, fetched.sha256, fetched.members) == (True, result.checksum_sha256, 2)
    assert (tmp_path / "back/large.csv").read_bytes() == TEXT
    assert sorted(map(len, store.asked)) == [0, 2]
    fetch(replace(result, size=None), tmp_path / "one stream", store=store)
    assert len(apart) == 1
    assert seen(tmp_path / "back") == seen(tmp_path / "one stream")


@pytest.mark.parametrize(
    ("tree", "known"),
    [
        (TREE, {"size": None}),
        (TREE, {"index_sha256": None}),
        (Tree.of({"noise": NOISE}), {}),
        (Tree.of({f"{number:05}": NOISE[100 * number :][:100] for number in range(4000)}), {}),
    ],
    ids=["unknown size", "unknown index", "nothing shrinks", "small files"],
)
def test_where_it_is_of_no_use_it_is_one_stream(store, apart, tmp_path, tree, known):
    result = published(store, tree)
    assert fetch(replace(result, **known), tmp_path / "back", store=store).verified
    assert apart == []


def test_what_is_small_and_what_has_one_processor_is_asked_for_once(store, apart, tmp_path, monkeypatch):
    result = published(store)
    monkeypatch.setattr("keystow.ahead._LEAST", result.size + 1)
    fetch(result, tmp_path / "small", store=store)
    monkeypatch.setattr("keystow.ahead._LEAST", 1)
    monkeypatch.setattr("keystow.ahead.inflaters", lambda: 1)
    fetch(result, tmp_path / "one processor", store=store)
    monkeypatch.setattr("keystow.ahead.inflaters", lambda: 3)
    for budget in (Budget(concurrency=2), Budget(memory=1 << 20)):
        store.budget = budget
        fetch(result, tmp_path / str(budget), store=store)
    assert len(store.asked) == 4
    assert apart == []


@pytest.mark.parametrize("error", [AccessDeniedError, OSError, TypeError])
def test_an_end_that_cannot_be_read_is_told_and_not_needed(store, apart, tmp_path, caplog, error):
    def refuses():
        raise error("no parts for you")

    store.refuses = refuses
    with caplog.at_level(logging.DEBUG, "keystow"):
        assert fetch(published(store), tmp_path / "back", store=store).verified
    assert apart == []
    assert f"as one stream: {error.__name__}: no parts for you" in caplog.text


def test_an_end_that_does_not_come_is_not_waited_for(store, apart, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("keystow.ahead._PATIENCE", 0.01)
    over, taken = threading.Event(), []

    def refuses():
        over.wait(60)
        for piece in (b"1", b"2", b"3"):
            taken.append(piece)
            yield piece

    store.refuses = refuses
    monkeypatch.setattr("keystow.ahead._GRACE", 0.01)
    try:
        with caplog.at_level(logging.DEBUG, "keystow"):
            assert fetch(published(store), tmp_path / "back", store=store).verified
    finally:
        over.set()
    assert apart == []
    assert "its end has not come yet" in caplog.text
    for thread in threading.enumerate():
        if thread.name == "keystow-index":
            thread.join(60)
    assert taken == [b"1"]  # whoever gave the store may have closed it


def test_where_no_more_threads_may_start_it_is_one_stream(store, apart, tmp_path, monkeypatch):
    def none(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("keystow.ahead.under_way", none)
    assert fetch(published(store), tmp_path / "back", store=store).verified
    assert apart == []


def test_an_index_of_more_blocks_than_it_could_prove_is_not_used(store, apart, tmp_path):
    """A stranger's may tell of thousands of the same block in a few bytes."""
    result = published(store, Tree.of({"zeros": bytes(16 << 20)}), sizes=[4 * KIB] * 4096)
    assert fetch(result, tmp_path / "back", store=store).verified
    assert apart == []


def test_another_index_than_the_published_one_is_not_used(store, apart, tmp_path, caplog):
    result = replace(published(store), index_sha256=Checksum("0" * 64))
    assert fetch(result, tmp_path / "back", store=store).verified
    assert apart == []
    assert "not the one that was published" in caplog.text


def test_a_damaged_index_is_told_and_not_needed(store, apart, tmp_path, caplog):
    sound = published(store)
    data = bytearray(b"".join(store.read("key")))
    data[parts(bytes(data))[1]["data"] + 40] ^= 1  # in a page
    assert fetch(put(store, bytes(data), index_sha256=sound.index_sha256), tmp_path / "back", store=store).verified
    assert apart == []
    assert "is not sound, and was not needed: " in caplog.text


def test_an_index_that_is_proven_and_lies_is_an_error(store, tmp_path):
    data, root, pages = parts(indexed.archive(TREE, sizes=[100 * KIB] * 20))
    compressed = pages[0]["blocks"]["compressed"]
    compressed[0], compressed[1] = compressed[0] - 1, compressed[1] + 1
    lie = forged(data, root, pages)
    index = open_index(lambda start, stop: lie[start:stop], len(lie))
    result = put(store, lie, index_sha256=Checksum(index.sha256))
    with pytest.raises(CorruptArchiveError, match="that its index tells of"):
        fetch(result, tmp_path / "back", store=store)
    assert list(tmp_path.iterdir()) == []
    assert b"".join(gunzip([lie])) == b"".join(gunzip([data]))


def test_what_was_replaced_is_not_what_was_published(store, tmp_path, caplog):
    result = published(store)
    published(store, Tree.of({"large.csv": TEXT[::-1]}))
    with pytest.raises(VerificationError):
        fetch(result, tmp_path / "back", store=store)
    assert list(tmp_path.iterdir()) == []
    assert caplog.text == ""


def test_limits_hold_as_in_one_stream(store, apart, tmp_path):
    result = published(store)
    errors = []
    for known in ({}, {"size": None}):
        with pytest.raises(LimitExceededError, match="raise Limits") as caught:
            fetch(replace(result, **known), tmp_path / "back", store=store, limits=Limits(bytes=1000))
        errors.append(str(caught.value))
    assert len(apart) == 1
    assert errors[0] == errors[1]


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (3, 3), (64, 4)])
def test_no_more_threads_inflate_than_there_are_processors_nor_than_can_be_written(monkeypatch, processors, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(processors)))
    assert inflaters() == threads
