"""A publisher that stays open, and stores that are given."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from children import forked
from conftest import same_tree

from keystow import (
    Context,
    Publisher,
    ResultError,
    SpecError,
    StoreError,
    fetch,
    open_archive,
    open_store,
    presign,
    publish,
    stored,
    verify,
)
from keystow.testing import Fault, FaultyStore


@pytest.fixture
def opened(monkeypatch):
    """The URLs of the stores that were opened, and closed."""
    seen = {"opened": [], "closed": []}

    def opening(url, **options):
        store = open_store(url, **options)
        seen["opened"].append(url)
        close = store.close

        def closing():
            seen["closed"].append(url)
            close()

        store.close = closing
        return store

    monkeypatch.setattr(stored, "open_store", opening)
    return seen


def test_many_results_of_many_threads_on_one_store(place, files, opened, tmp_path):
    with Publisher(place("results-{jobID}")) as publisher, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda job: publisher.publish(files, Context(job_id=f"{job}")), range(40)))
        assert len({result.key for result in results}) == 40
        assert {publisher.verify(result).sha256 for result in results} == {results[0].checksum_sha256}
        assert publisher.fetch(results[0], tmp_path / "back").verified
    assert same_tree(files, tmp_path / "back")
    assert len(opened["opened"]) == len(opened["closed"]) == 1


def test_members_are_read_from_the_store_that_is_open(place, files, opened):
    with Publisher(place("k")) as publisher:
        result = publisher.publish(files)
        with publisher.open_archive(result) as archive:
            entries, verified = dict(archive), archive.verified
            name = next(name for name, entry in archive.items() if entry.kind == "file" and entry.size)
            assert archive.open(name).read() == (files / name).read_bytes()
        assert publisher.verify(result).sha256 == result.checksum_sha256
    assert len(opened["opened"]) == len(opened["closed"]) == 1
    with open_archive(result) as other:
        assert (dict(other), other.verified) == (entries, verified)


def test_what_it_publishes_is_what_publish_does(place, files):
    options = {"archive": False, "if_exists": "error", "mtime": 7}
    context = Context(job_id="one", labels={"team": "a"})
    with Publisher(place("{team}/{jobID}"), **options) as publisher:
        results = [publisher.publish(files, context)]
        with pytest.raises(StoreError):
            publisher.publish(files, context)
        results.append(publisher.publish(files, Context(job_id="two", labels={"team": "b", "more": "c"})))
    assert [result.key.split("/")[-3:] for result in results] == [["a", "one", ""], ["b", "two", ""]]
    other = publish(files, place("other"), **options)
    assert {result.checksum_sha256 for result in results} == {other.checksum_sha256}


def test_what_is_wrong_with_the_call_is_found_before_anything_is_opened(opened, files):
    for arguments in ({"if_exists": "maybe"}, {"timeout": 0}):
        with pytest.raises(SpecError):
            Publisher("memory://bucket/k", **arguments)
    with pytest.raises(ValueError, match="needs a value"), Publisher("memory://bucket/{jobID}") as publisher:
        publisher.publish(files, Context())
    assert opened["opened"] == []


def test_nothing_is_published_once_it_is_closed(memory_place, files, opened):
    publisher = Publisher(memory_place("k-{jobID}"))
    publisher.publish(files, Context(job_id="1"))
    publisher.close()
    publisher.close()
    given = Publisher(memory_place("k"), store=open_store(memory_place.root))
    given.close()
    for closed in (publisher, given):
        with pytest.raises(ValueError, match="this publisher is closed"):
            closed.publish(files / "absent", Context(job_id="2"))
        with pytest.raises(ValueError, match="this publisher is closed"):
            closed.verify(memory_place("k-1.tar.gz"))
    assert len(opened["opened"]) == len(opened["closed"]) == 1


def test_a_store_that_could_not_be_opened_is_tried_again(memory_place, files, monkeypatch):
    tries = []

    def opening(url, **options):
        tries.append(url)
        if len(tries) == 1:
            raise StoreError("not now")
        return open_store(url, **options)

    monkeypatch.setattr(stored, "open_store", opening)
    with Publisher(memory_place("k")) as publisher:
        with pytest.raises(StoreError, match="not now"):
            publisher.publish(files)
        assert len(tries) == 1
        assert publisher.verify(publisher.publish(files)).objects == 1
    assert len(tries) == 2


def test_to_close_does_not_wait_for_a_store_that_is_being_opened(memory_place, files, monkeypatch, opened):
    hangs, begun, closed = threading.Event(), threading.Event(), threading.Event()
    make = stored.open_store

    def opening(url, **options):
        begun.set()
        hangs.wait(60)
        store = make(url, **options)
        close = store.close
        store.close = lambda: (close(), closed.set())
        return store

    monkeypatch.setattr(stored, "open_store", opening)
    publisher = Publisher(memory_place("k"))
    waiting = threading.Thread(target=publisher.publish, args=[files], daemon=True)
    waiting.start()
    assert begun.wait(60)
    publisher.close()
    assert not opened["opened"]
    hangs.set()
    waiting.join(60)
    assert closed.wait(60)
    assert opened["closed"] == opened["opened"] != []


def test_results_of_elsewhere_are_not_looked_for_here(memory_place, files, tmp_path):
    with Publisher(memory_place("k")) as publisher:
        result = publisher.publish(files)
        for other in (
            replace(result, bucket="other"),
            replace(result, type="file", bucket=str(tmp_path)),
            replace(result, type="s3", bucket="bucket"),
        ):
            for ask in (
                publisher.verify,
                lambda one: publisher.fetch(one, tmp_path / "back"),
                lambda one: publisher.presign(one, expires=60),
                publisher.open_archive,
            ):
                with pytest.raises(ResultError, match=r"does not lie in this publisher's memory://"):
                    ask(other)
    assert not (tmp_path / "back").exists()


def test_a_stranger_may_name_no_more_than_elsewhere(file_place, files, tmp_path):
    with Publisher(file_place("k")) as publisher:
        published = publisher.publish(files)
        mapping = replace(published, checksum_sha256=None).to_mapping()
        with pytest.raises(ResultError, match="checksum"):
            publisher.fetch(mapping, tmp_path / "back")
        with pytest.raises(ResultError, match="checksum"):
            publisher.fetch(published.to_mapping(), tmp_path / "back", verify=False)
        assert publisher.fetch(mapping, tmp_path / "back", sha256=published.checksum_sha256).verified
        (name,) = list(publisher.open_archive(mapping))[:1]
        assert publisher.fetch(mapping, tmp_path / "some", members=[f"/{name}"]).verified
        assert publisher.verify(mapping, members=[f"/{name}"]).sha256 == published.index_sha256
        with pytest.raises(ResultError, match="checksum"):
            publisher.open_archive(mapping, verify=False)
        with pytest.raises(ResultError, match="leave store= out"):
            fetch("http://127.0.0.1:1/k", tmp_path / "url", store=open_store("memory://b"))


def test_an_endpoint_may_be_written_otherwise(memory_place, files):
    class There(FaultyStore):
        endpoint = "https://account.example.com"

    destination = "az://container/k,opt=endpoint=https://ACCOUNT.example.com:443/"
    with Publisher(destination, store=There(open_store(memory_place.root))) as publisher:
        result = publisher.publish(files)
        assert result.endpoint == There.endpoint
        assert publisher.verify(result).objects == 1
        with pytest.raises(ResultError, match="does not lie in"):
            publisher.verify(replace(result, endpoint="https://other.example.com"))


@pytest.mark.parametrize(
    ("destination", "here", "endpoint", "is_ours"),
    [
        ("s3://bucket/k", None, None, True),
        ("s3://bucket/k", None, "https://s3.eu-west-1.amazonaws.com", True),
        ("s3://bucket/k", None, "https://other.example.com", False),
        ("s3://bucket/k", "https://minio.example.com", None, True),
        ("s3://bucket/k,opt=endpoint=https://minio.example.com", "https://minio.example.com", None, False),
    ],
)
def test_what_lies_here(memory_place, files, destination, here, endpoint, is_ours):
    class There(FaultyStore):
        """A store that says where it is."""

    There.endpoint = here
    with Publisher(destination, store=There(open_store(memory_place.root))) as publisher:
        result = replace(publisher.publish(files), endpoint=endpoint)
        if is_ours:
            assert publisher.verify(result).objects == 1
        else:
            with pytest.raises(ResultError, match=r"does not lie in this publisher's s3://bucket"):
                publisher.verify(result)


def test_a_child_that_is_forked_while_the_store_is_being_opened_opens_its_own(memory_place, files, monkeypatch):
    hangs, begun = threading.Event(), threading.Event()
    make = stored.open_store

    def opening(url, **options):
        begun.set()
        hangs.wait(60)
        return make(url, **options)

    monkeypatch.setattr(stored, "open_store", opening)
    with Publisher(memory_place("k")) as publisher:
        waiting = threading.Thread(target=publisher.publish, args=[files], daemon=True)
        waiting.start()
        assert begun.wait(60)
        monkeypatch.setattr(stored, "open_store", make)
        said = forked(lambda: publisher.publish(files).key)()
        hangs.set()
        waiting.join(60)
    assert said == "k.tar.gz"


@pytest.mark.server
def test_a_result_of_another_endpoint_is_not_looked_for_here(s3_place, files):
    with Publisher(s3_place("k")) as publisher:
        result = publisher.publish(files)
        assert "X-Amz-Signature" in publisher.presign(result, expires=60)
        with pytest.raises(ResultError, match="does not lie in"):
            publisher.verify(replace(result, endpoint="http://127.0.0.1:1"))


@pytest.mark.parametrize("archive", [True, False])
def test_a_store_that_is_given_is_used_and_stays_open(memory_place, files, tmp_path, opened, archive):
    store = FaultyStore(open_store(memory_place.root))
    result = publish(files, memory_place("k"), store=store, archive=archive)
    assert verify(result, store=store).sha256 == result.checksum_sha256
    assert fetch(result, tmp_path / "back", store=store).verified
    with pytest.raises(StoreError, match="no URL"):
        presign(replace(result, encoding="gzip"), store=store, expires=60)
    with Publisher(memory_place("k"), store=store, archive=archive) as publisher:
        assert publisher.verify(publisher.publish(files)).sha256 == result.checksum_sha256
    assert opened["opened"] == []
    assert {operation for operation, _ in store.calls} >= {"write", "read", "presign"}


@pytest.mark.parametrize("archive", [True, False])
def test_what_a_given_store_raises_comes_through(memory_place, files, tmp_path, archive):
    store = open_store(memory_place.root)
    failing = FaultyStore(store, Fault("write", error=StoreError("full")), Fault("read", error=StoreError("gone")))
    with pytest.raises(StoreError, match="full"):
        publish(files, memory_place("k"), store=failing, archive=archive)
    result = publish(files, memory_place("k"), store=store, archive=archive)
    with pytest.raises(StoreError, match="gone"):
        fetch(result, tmp_path / "back", store=failing)
    assert not (tmp_path / "back").exists()
    assert verify(result, store=failing).sha256 == result.checksum_sha256


def test_a_result_of_a_stranger_opens_no_store_of_his_where_one_is_given(memory_place, files, opened):
    result = publish(files, memory_place("k"), store=open_store(memory_place.root))
    mapping = result.to_mapping()
    mapping["Type"] = "sftp"
    mapping["Params"] |= {"Bucket": "elsewhere/there"}
    assert verify(mapping, store=open_store(memory_place.root)).sha256 == result.checksum_sha256
    assert opened["opened"] == []
