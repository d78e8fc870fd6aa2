"""A prefix is published when its manifest is, and what was published is what that lists."""

import gzip
import json
import os
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from archive_strategies import OLD, Program, lay, seen

from keystow import (
    AlreadyPublishedError,
    PublishedResult,
    SpecError,
    VerificationError,
    fetch,
    publish,
    verify,
)
from keystow.archive import CorruptArchiveError, LimitExceededError, Limits, SourceError, UnsafeArchiveError
from keystow.archive.manifest import NAME, Item, Manifest, written_manifest
from keystow.backends import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    UnknownOutcomeError,
    UnsupportedError,
    open_store,
)
from keystow.backends.memory import MemoryStore
from keystow.errors import MemberNotFoundError, ResultError
from keystow.spec import PublisherSpec
from keystow.testing import Fault, FaultyStore

FILES = {"a.csv": b"1,2\n", "run.sh": Program(b"#!/bin/sh\n"), "sub/b.csv": b"", "sub/c.bin": bytes(range(256)) * 40}


@pytest.fixture
def source(tmp_path):
    """Four files, of which one is a program, and one is empty."""
    return Path(lay(tmp_path / "source", FILES))


@pytest.fixture
def store():
    """A store whose every object a test may change."""
    with closing(open_store("memory://manifests")) as opened:
        for found in list(opened.list()):
            opened.delete(found.key)
        yield opened


def keys(store, prefix=""):
    return [found.key.removeprefix(prefix) for found in store.list(prefix)]


def put(store, key, data):
    store.write(key, [data])


def plain(source, store, key="run/", **options):
    return publish(source, f"memory://manifests/{key}", store=store, archive=False, **options)


# ---------------------------------------------------------------------------------------------------
# Written last


def test_it_lists_what_is_there(place, source, stored):
    published = publish(source, place("listed"), archive=False)
    store = stored(published)
    data = b"".join(store.read(published.key + NAME))
    found = {item.name: item for item in Manifest(data)}
    assert {name: item.size for name, item in found.items()} == {name: len(node) for name, node in FILES.items()}
    assert [name for name, item in found.items() if item.executable] == ["run.sh"]
    assert {item.mtime for item in found.values()} == {OLD}
    for name, item in found.items():
        assert b"".join(store.read(published.key + name, version_id=item.version_id)) == FILES[name]


def test_it_is_written_when_all_the_others_have_arrived(store, source):
    order = []

    class Noting(FaultyStore):
        def write(self, key, chunks, **options):
            written = super().write(key, chunks, **options)
            order.append(key)
            return written

    plain(source, Noting(store))
    assert order[-1] == f"run/{NAME}"
    assert sorted(order[:-1]) == sorted(f"run/{name}" for name in FILES)


@pytest.mark.parametrize("which", range(1, len(FILES) + 2))
def test_one_that_was_cut_off_is_not_there(store, source, tmp_path, which):
    """Whichever request is the one that fails."""
    with pytest.raises(AccessDeniedError) as caught:
        plain(source, FaultyStore(store, Fault("write", nth=which, error=AccessDeniedError("as ordered"))))
    assert "without the manifest that makes them published" in caught.value.__notes__[-1]
    assert f"run/{NAME}" not in keys(store)
    with pytest.raises(NotFoundError, match="nothing was published under 'memory://manifests/run/'"):
        fetch("memory://manifests/run/", tmp_path / "back", store=store, allow=["memory"])
    assert not (tmp_path / "back").exists()
    assert fetch(plain(source, store), tmp_path / "back", store=store).verified


def test_one_whose_manifest_is_gone_is_not_there_any_more(store, source, tmp_path):
    result = plain(source, store)
    store.delete(f"run/{NAME}")
    with pytest.raises(NotFoundError, match=r"^what was published under 'memory://manifests/run/' is not") as caught:
        fetch(result, tmp_path / "back", store=store)
    assert caught.value.hint == "publish it again"
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(("which", "said"), [(1, "without"), (len(FILES) + 1, "perhaps with")])
def test_of_what_nobody_knows_it_is_not_said_that_it_is_not_there(store, source, which, said):
    lost = Fault("write", nth=which, kind="lose", error=UnknownOutcomeError("the answer was lost"))
    with pytest.raises(UnknownOutcomeError) as caught:
        plain(source, FaultyStore(store, lost))
    assert f", {said} the manifest that makes them published" in caught.value.__notes__[-1]
    assert (f"run/{NAME}" in keys(store)) == (said == "perhaps with")


def test_one_that_no_reader_takes_is_not_written(store, source, monkeypatch):
    monkeypatch.setattr("keystow.committing.MOST_BYTES", 100)
    with pytest.raises(
        SpecError, match=rf"^{len(FILES)} files make a manifest of \d+ bytes, .* or with manifest=False"
    ):
        plain(source, store)
    assert f"run/{NAME}" not in keys(store)


def test_without_one_it_is_the_bare_form_of_the_specification(place, source, stored, tmp_path):
    published = publish(source, place("bare"), archive=False, manifest=False)
    assert published.index_sha256 is None
    assert set(keys(stored(published), published.key)) == set(FILES)
    assert fetch(published, tmp_path / "back").verified
    assert verify(published).objects == len(FILES)


@pytest.mark.parametrize("text", ["opt=manifest=false", "opt=Manifest=FALSE"])
def test_the_destination_says_so(store, source, text):
    publish(source, f"memory://manifests/run,opt=encoding=plain,{text}", store=store)
    assert set(keys(store, "run/")) == set(FILES)
    publish(source, f"memory://manifests/run,opt=encoding=plain,{text}", store=store, manifest=True)
    assert NAME in keys(store, "run/")


def test_the_mapping_says_so():
    spec = PublisherSpec.from_mapping({"Type": "s3", "Params": {"Bucket": "b", "Key": "k", "Manifest": "false"}})
    assert not spec.manifest
    assert PublisherSpec.from_mapping(spec.to_mapping()) == spec
    assert PublisherSpec.parse("s3://b/k").manifest
    with pytest.raises(SpecError, match="'no' is neither true nor false"):
        PublisherSpec.parse("s3://b/k,opt=manifest=no")


@pytest.mark.parametrize("how", [{}, {"raw": True}])
def test_one_object_has_none(store, source, how):
    with pytest.raises(SpecError, match="manifest=False is for files under a prefix"):
        publish(source / "a.csv", "memory://manifests/run", store=store, manifest=False, **how)


def test_a_file_of_that_name_is_refused(store, source):
    (source / NAME).write_bytes(b"")
    with pytest.raises(SourceError, match="what a manifest is called"):
        plain(source, store)
    assert keys(store) == []
    assert plain(source, store, exclude=[NAME]).index_sha256 is not None


def test_the_same_files_give_the_same_manifest(store, source):
    one, other = plain(source, store), plain(source, store, "again/")
    assert (one.checksum_sha256, one.index_sha256) == (other.checksum_sha256, other.index_sha256)


# ---------------------------------------------------------------------------------------------------
# Read first


def test_times_and_rights_come_back(place, source, tmp_path):
    fetch(publish(source, place("whole"), archive=False), tmp_path / "back")
    assert seen(tmp_path / "back", times="file") == seen(source, times="file")


def test_what_else_lies_there_does_not_matter(store, source, tmp_path):
    published = plain(source, store)
    put(store, "run/other.txt", b"of somebody else")
    put(store, "run/sub/d.csv", b"")
    for result in (published, "memory://manifests/run/"):
        fetch(result, tmp_path / str(type(result)), store=store, allow=["memory"])
        assert seen(tmp_path / str(type(result))).keys() == seen(source).keys()
    assert verify(published, store=store).objects == len(FILES)
    for strict in (
        lambda: verify(published, store=store, strict=True),
        lambda: fetch(published, tmp_path / "strict", store=store, strict=True),
        lambda: fetch(published, tmp_path / "strict", store=store, strict=True, members=["a.csv"]),
    ):
        with pytest.raises(VerificationError, match=r"that were not published: 'other.txt', 'sub/d.csv'$"):
            strict()
    assert not (tmp_path / "strict").exists()


@pytest.mark.parametrize(
    ("there", "more", "noted"),
    [
        (range(10, 71), 56, [repr(str(number)) for number in range(15, 71)]),
        (range(2000, 4001), 1996, [*(repr(str(number)) for number in range(2005, 3000)), "and 1001 more"]),
    ],
)
def test_all_that_else_lies_there_is_named_up_to_a_thousand(store, source, there, more, noted):
    published = plain(source, store)
    for number in there:
        put(store, f"run/{number}", b"")
    first = ", ".join(repr(str(number)) for number in there[:5])
    with pytest.raises(VerificationError, match=f"{first} and {more} more") as raised:
        verify(published, store=store, strict=True)
    assert raised.value.__notes__ == noted


def test_strict_is_content_with_what_was_published(place, source, tmp_path):
    published = publish(source, place("strict"), archive=False)
    assert verify(published, strict=True).objects == len(FILES)
    assert fetch(published, tmp_path / "strict", strict=True).verified


def test_strict_and_manifest_are_said_of_prefixes(store, source, tmp_path):
    published = publish(source, "memory://manifests/run", store=store)
    for call in (
        lambda: verify(published, store=store, strict=True),
        lambda: fetch(published, tmp_path / "back", store=store, strict=True),
        lambda: verify(published, store=store, manifest=False, members=["*"]),
        lambda: fetch(published, tmp_path / "back", store=store, manifest=False),
    ):
        with pytest.raises(ResultError, match="is for a prefix"):
            call()


@pytest.mark.parametrize("data", [b"", b"1,3\n", b"1,2\n\n", b"1,2"])
def test_an_object_that_was_replaced_is_named(store, source, tmp_path, data):
    published = plain(source, store)
    put(store, "run/a.csv", data)
    with pytest.raises(VerificationError, match=r"run/a\.csv"):
        verify(published, store=store)
    for result in (published, "memory://manifests/run/"):
        with pytest.raises(VerificationError, match=r"run/a\.csv"):
            fetch(result, tmp_path / "back", store=store, allow=["memory"])
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("name", ["a.csv", "large"], ids=["small", "streamed"])
def test_an_object_without_end_is_not_held(store, source, tmp_path, name):
    (source / "large").write_bytes(bytes(5 << 20))
    published, given = plain(source, store), []

    class Endless(FaultyStore):
        def read(self, key, **options):
            if key != f"run/{name}":
                yield from super().read(key, **options)
            while key == f"run/{name}":
                given.append(1 << 20)
                yield bytes(1 << 20)

    for check in (
        lambda: verify(published, store=Endless(store)),
        lambda: fetch(published, tmp_path / "back", store=Endless(store)),
    ):
        with pytest.raises(VerificationError, match=f"run/{name}.* were announced, and more came"):
            check()
    assert sum(given) < 64 << 20


def test_an_object_that_is_gone_is_named(store, source, tmp_path):
    published = plain(source, store)
    store.delete("run/a.csv")
    with pytest.raises(NotFoundError, match=r"run/a\.csv"):
        fetch(published, tmp_path / "back", store=store)
    assert not (tmp_path / "back").exists()


@pytest.mark.server
def test_versions_are_read_where_the_bucket_keeps_them(seaweed, versioned_bucket, login, source, tmp_path):
    login(seaweed)
    where = f"s3://{versioned_bucket}/versions,opt=endpoint={seaweed.endpoint}"
    first = publish(source, where, archive=False)
    (source / "a.csv").write_bytes(b"3,4\n")
    second = publish(source, where, archive=False)
    assert first.version_id != second.version_id
    fetch(first, tmp_path / "first")
    fetch(second, tmp_path / "second")
    assert [(tmp_path / which / "a.csv").read_bytes() for which in ("first", "second")] == [b"1,2\n", b"3,4\n"]


@pytest.mark.parametrize("error", [AccessDeniedError, NotFoundError, UnsupportedError])
def test_where_no_versions_are_to_be_had_the_current_ones_are_read(store, source, tmp_path, error):
    published = replace(plain(source, store), version_id="1")
    data = b"".join(store.read(f"run/{NAME}"))
    put(store, f"run/{NAME}", written_manifest(item._replace(version_id="1") for item in Manifest(data)))

    class Denying(FaultyStore):
        def read(self, key, *, version_id=None, **options):
            if version_id is not None:
                raise error("there is no such version for you")
            return super().read(key, **options)

    assert fetch(published, tmp_path / "back", store=Denying(store)).verified
    put(store, "run/a.csv", b"1,3\n")
    with pytest.raises(VerificationError, match=r"run/a\.csv"):
        fetch(published, tmp_path / "other", store=Denying(store))


# ---------------------------------------------------------------------------------------------------
# Of what others have written


def test_one_of_other_files_is_not_what_was_published(store, source, tmp_path):
    published = plain(source, store)
    (source / "a.csv").write_bytes(b"3,4\n")
    plain(source, store)
    with pytest.raises(VerificationError, match=r"the manifest of .* is not what was published"):
        fetch(published, tmp_path / "back", store=store)


def test_one_of_the_same_files_at_another_time_is(store, source, tmp_path):
    published = plain(source, store)
    os.utime(source / "a.csv", (OLD + 60, OLD + 60))
    assert plain(source, store).index_sha256 != published.index_sha256
    assert fetch(published, tmp_path / "back", store=store).verified


def test_one_that_is_damaged(store, source, tmp_path):
    published = plain(source, store)
    put(store, f"run/{NAME}", b"no manifest")
    with pytest.raises(VerificationError, match=r"the manifest of .* is not what was published"):
        fetch(published, tmp_path / "back", store=store)
    with pytest.raises(CorruptArchiveError):
        fetch("memory://manifests/run/", tmp_path / "back", store=store, allow=["memory"])


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd"])
def test_one_that_would_leave_the_directory(store, tmp_path, name):
    text = [{"format": 1, "files": 1, "size": 0}, {"name": name, "size": 0, "time": 0, "mode": 0, "sha256": "0" * 64}]
    put(store, f"run/{NAME}", gzip.compress("".join(f"{json.dumps(line)}\n" for line in text).encode()))
    with pytest.raises(UnsafeArchiveError):
        fetch("memory://manifests/run/", tmp_path / "back", store=store, allow=["memory"])


def test_limits_hold_before_anything_is_fetched(store, source, tmp_path):
    published = plain(source, store)
    for limits in (Limits(members=3), Limits(bytes=100)):
        faulty = FaultyStore(store)
        with pytest.raises(LimitExceededError):
            fetch(published, tmp_path / "back", store=faulty, limits=limits)
        assert faulty.calls == [("read", f"run/{NAME}")]


@pytest.mark.parametrize(("begin", "said"), [(b"\x1f\x8b", "longer than"), (b"\0", "does not begin as gzip does")])
def test_one_without_end_is_not_held(tmp_path, begin, said):
    class Endless(MemoryStore):
        def read(self, key, **options):
            yield begin
            while True:
                yield bytes(1 << 20)

    with pytest.raises(CorruptArchiveError, match=said):
        fetch("memory://endless/run/", tmp_path / "back", store=Endless("endless"), allow=["memory"])


# ---------------------------------------------------------------------------------------------------
# What was published before there were manifests


@pytest.mark.parametrize("later", [False, True])
def test_a_checksum_alone_is_held_against_what_lies_there(store, source, tmp_path, later):
    old = plain(source, store, manifest=False)
    if later:
        put(store, "other/x", b"")
        put(store, f"run/{NAME}", written_manifest([Item("elsewhere", 0, "0" * 64)]))
    assert fetch(old, tmp_path / "back", store=store).verified
    put(store, "run/more", b"")
    with pytest.raises(VerificationError, match="their listing has the SHA-256"):
        fetch(old, tmp_path / "again", store=store)


def test_a_checksum_from_elsewhere_proves_a_manifest(store, source, tmp_path):
    published = plain(source, store)
    put(store, "run/more", b"")
    given = {"store": store, "allow": ["memory"], "sha256": published.checksum_sha256.hex}
    assert fetch("memory://manifests/run/", tmp_path / "back", **given).verified
    assert not (tmp_path / "back" / "more").exists()


def test_whatever_lies_there_if_that_is_what_is_wanted(store, tmp_path):
    put(store, "run/a", b"1")
    assert fetch("memory://manifests/run/", tmp_path / "b", store=store, allow=["memory"], manifest=False).members == 1


# ---------------------------------------------------------------------------------------------------
# What is there already


def test_error_is_decided_by_the_manifest(place, source, tmp_path):
    """Files without one, as an attempt before left them, are in nobody's way if they are the same."""
    bare = publish(source, place("decided"), archive=False, manifest=False)
    published = publish(source, place("decided"), archive=False, if_exists="error")
    assert published.checksum_sha256 == bare.checksum_sha256
    with pytest.raises(AlreadyPublishedError) as caught:
        publish(source, place("decided"), archive=False, if_exists="error")
    assert caught.value.result.checksum_sha256 == published.checksum_sha256
    assert "another key" not in str(caught.value)
    assert fetch(caught.value.result, tmp_path / "back").verified
    (source / "a.csv").write_bytes(b"3,4\n")
    with pytest.raises(AlreadyExistsError, match="already published"):
        publish(source, place("decided"), archive=False, if_exists="error")
    assert verify(published).objects == len(FILES)


def test_error_sends_nothing_where_something_is_published(store, source):
    plain(source, store)
    sent = []

    class Noting(FaultyStore):
        def write(self, key, chunks, **options):
            sent.append(key)
            return super().write(key, chunks, **options)

    with pytest.raises(AlreadyExistsError):
        plain(source, Noting(store), if_exists="error")
    assert sent == []


def test_error_replaces_no_file_of_another_attempt(store, source):
    put(store, "run/a.csv", b"of another")
    with pytest.raises(AlreadyExistsError, match=r"run/a\.csv.* differs"):
        plain(source, store, if_exists="error")
    assert b"".join(store.read("run/a.csv")) == b"of another"
    assert f"run/{NAME}" not in keys(store)


def test_who_may_only_write_is_refused_at_the_end(store, source):
    class WriteOnly(FaultyStore):
        def read(self, key, **_):
            raise AccessDeniedError("s3:GetObject is not permitted")

        stat = read

    plain(source, WriteOnly(store), if_exists="error")
    for if_exists in ("error", "skip"):
        with pytest.raises(AlreadyExistsError) as caught:
            plain(source, WriteOnly(store), if_exists=if_exists)
        assert "permit to read it" in caught.value.hint


def test_skip_commits_what_was_cut_off(store, source, tmp_path):
    with pytest.raises(AccessDeniedError):
        plain(source, FaultyStore(store, Fault("write", nth=3, error=AccessDeniedError("as ordered"))))
    published = plain(source, store, if_exists="skip")
    assert fetch(published, tmp_path / "back", store=store).verified
    assert plain(source, store, if_exists="skip") == published


def test_skip_is_an_error_where_something_else_is_published(store, source):
    plain(source, store)
    (source / "more.csv").write_bytes(b"5\n")
    with pytest.raises(AlreadyExistsError, match="already published, and not with these files"):
        plain(source, store, if_exists="skip")
    assert "run/more.csv" not in keys(store)


@pytest.mark.parametrize("same", [True, False])
def test_of_those_who_publish_at_once_one_has_published(store, tmp_path, same):
    """Each writes all of its files or none that count, and the manifest is one's."""
    sources = [
        lay(tmp_path / str(number), {"a": b"1", f"b{'' if same else number}": b"2"}, mtime=OLD + number)
        for number in range(6)
    ]
    barrier, outcomes = threading.Barrier(6), [None] * 6

    def run(number):
        barrier.wait()
        try:
            outcomes[number] = plain(sources[number], store, if_exists="error")
        except AlreadyExistsError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [each for each in outcomes if isinstance(each, PublishedResult)]
    assert verify(winner, store=store).objects == 2
    others = [each for each in outcomes if each is not winner]
    if same:
        assert {error.result.checksum_sha256 for error in others} == {winner.checksum_sha256}
    else:
        assert not any(isinstance(error, AlreadyPublishedError) for error in others)


# ---------------------------------------------------------------------------------------------------
# Some of the files


def test_some_of_the_files(place, source, tmp_path):
    published = publish(source, place("some"), archive=False)
    fetched = fetch(published, tmp_path / "back", members=["*.csv"])
    assert fetched.verified
    assert {name for name, what in seen(tmp_path / "back").items() if what[0] == "file"} == {"a.csv", "sub/b.csv"}
    assert verify(published, members=["sub/"]).members == 2
    with pytest.raises(MemberNotFoundError, match=r"'\*.txt'"):
        fetch(published, tmp_path / "none", members=["*.txt"])


def test_no_more_is_read_than_these(store, source):
    published = plain(source, store)
    read = []

    class Noting(FaultyStore):
        def read(self, key, **options):
            read.append(key)
            return super().read(key, **options)

        def list(self, prefix=""):
            raise AssertionError(prefix)

    verify(published, store=Noting(store), members=["a.csv"])
    assert read == [f"run/{NAME}", "run/a.csv"]


def test_of_a_prefix_without_one_strict_is_what_the_listing_says(store, source, tmp_path):
    bare = plain(source, store, manifest=False)
    assert verify(bare, store=store, strict=True).objects == len(FILES)
    put(store, "run/more", b"")
    with pytest.raises(VerificationError):
        verify(bare, store=store, strict=True)
    with pytest.raises(VerificationError):
        fetch(bare, tmp_path / "back", store=store, strict=True)
    for read in ({"manifest": False}, {"verify": False}):
        result = "memory://manifests/run/" if "manifest" in read else bare
        with pytest.raises(ResultError, match=r"nothing tells which objects .* were published"):
            fetch(result, tmp_path / "back", store=store, strict=True, allow=["memory"], **read)
    assert not (tmp_path / "back").exists()


def test_of_a_prefix_without_one_no_files_are_known(store, source, tmp_path):
    bare = plain(source, store, manifest=False)
    with pytest.raises(ResultError, match=r"only by a manifest .*: fetch all of it"):
        fetch(bare, tmp_path / "back", store=store, members=["*"])
    with pytest.raises(ResultError, match="leave manifest=False out"):
        fetch(plain(source, store), tmp_path / "back", store=store, members=["*"], manifest=False)


def test_progress_knows_all_from_the_start(place, source, tmp_path):
    published = publish(source, place("told"), archive=False)
    told = []
    fetch(published, tmp_path / "back", progress=lambda done, total: told.append((done, total)))
    size = sum(map(len, FILES.values()))
    assert told[-1] == (size, size)
    assert told == sorted(told)


def test_it_is_passed_over_by_shells(tmp_path, source):
    published = publish(source, f"file://{tmp_path}/out/run", archive=False)
    directory = tmp_path / "out" / "run"
    assert (directory / NAME).exists()
    assert published.index_sha256 is not None
    assert sorted(path.name for path in directory.glob("[!._]*")) == ["a.csv", "run.sh", "sub"]
    with closing(open_store(f"file://{tmp_path}/out")) as store:
        assert f"run/{NAME}" in keys(store)


@pytest.mark.parametrize("check", [True, False])
def test_limits_hold_before_a_manifest_is_read_on(store, tmp_path, check):
    """Its first line says how much it is; what follows is not even looked at."""
    published = plain(lay(tmp_path / "one", {"a": b"1"}), store)
    put(store, f"run/{NAME}", gzip.compress(json.dumps({"format": 1, "files": 10**9, "size": 1}).encode() + b"\n[\n"))
    with pytest.raises(LimitExceededError, match="more than 1000000 members"):
        fetch(published, tmp_path / "back", store=store, verify=check)


def test_who_changes_a_manifest_has_no_file_executed(store, source, tmp_path):
    """The checksum of the listing says nothing of permissions, and the manifest's own is another one."""
    published = plain(source, store)
    data = b"".join(store.read(f"run/{NAME}"))
    put(store, f"run/{NAME}", written_manifest(item._replace(executable=True) for item in Manifest(data)))
    fetch(published, tmp_path / "back", store=store)
    assert not any(os.access(path, os.X_OK) for path in (tmp_path / "back").rglob("*") if path.is_file())


def test_one_that_vanishes_while_skip_looks_is_no_success(store, source):
    class Vanishing(FaultyStore):
        def write(self, key, chunks, **options):
            if key.endswith(NAME):
                raise AlreadyExistsError("it was there a moment ago")
            return super().write(key, chunks, **options)

    with pytest.raises(AlreadyExistsError, match="a moment ago"):
        plain(source, Vanishing(store), if_exists="skip")


@pytest.mark.parametrize("text", ["memory://manifests/run/,opt=manifest=false"])
def test_a_place_that_is_read_says_nothing_of_manifests(store, text):
    with pytest.raises(ResultError, match="said as manifest=False"):
        PublishedResult.parse(text)


def test_a_digest_of_the_manifest_alone_proves_it(store, source, tmp_path):
    published = replace(plain(source, store), checksum_sha256=None)
    assert fetch(published, tmp_path / "back", store=store).verified
    assert verify(published, store=store).objects == len(FILES)
    os.utime(source / "a.csv", (OLD + 60, OLD + 60))
    plain(source, store)
    with pytest.raises(VerificationError, match=r"it has the SHA-256 \w+, and \w+ was published"):
        verify(published, store=store)


@pytest.mark.server
def test_a_publication_that_was_cut_off_leaves_what_was_published(keystow_gcs, source, tmp_path):
    """Each write is a generation of its own there, of which an ordinary bucket keeps the last."""
    to = keystow_gcs.destination("cut/")
    with closing(keystow_gcs.open()) as opened:
        first = publish(source, to, store=opened, archive=False)
        faulty = FaultyStore(opened, Fault("write", nth=len(FILES) + 1, error=AccessDeniedError("as ordered")))
        with pytest.raises(AccessDeniedError):
            publish(source, to, store=faulty, archive=False)
        assert fetch(first, tmp_path / "first", store=opened).verified
        skipped = publish(source, to, store=opened, archive=False, if_exists="skip")
        assert skipped.version_id == first.version_id
        again = publish(source, to, store=opened, archive=False)
        for number, each in enumerate((first, skipped, again)):
            assert fetch(each, tmp_path / str(number), store=opened).verified


def test_who_may_read_no_version_by_name_is_told_what_is_published(store, source):
    class Versioned(FaultyStore):
        def stat(self, key, **options):
            return replace(super().stat(key, **options), version_id="1")

        def read(self, key, *, version_id=None, **options):
            if version_id is not None:
                raise AccessDeniedError("s3:GetObjectVersion is not permitted")
            return super().read(key, **options)

    plain(source, store)
    with pytest.raises(AlreadyPublishedError) as caught:
        plain(source, Versioned(store), if_exists="error")
    assert caught.value.result.version_id == "1"


@pytest.mark.server
def test_a_copy_of_a_bucket_with_versions_is_read(seaweed, versioned_bucket, login, source, store, tmp_path):
    login(seaweed)
    published = publish(source, f"s3://{versioned_bucket}/run/,opt=endpoint={seaweed.endpoint}", archive=False)
    with closing(open_store(f"s3://{versioned_bucket}", endpoint=seaweed.endpoint)) as opened:
        for found in opened.list("run/"):
            store.write(found.key, opened.read(found.key))
    copied = replace(published, type="memory", bucket="manifests", endpoint=None, region=None)
    assert fetch(copied, tmp_path / "back", store=store).verified


@pytest.mark.server
def test_the_result_of_skip_names_the_version(seaweed, versioned_bucket, login, source, tmp_path):
    login(seaweed)
    where = f"s3://{versioned_bucket}/skipped/,opt=endpoint={seaweed.endpoint}"
    first = publish(source, where, archive=False)
    kept = publish(source, where, archive=False, if_exists="skip")
    (source / "a.csv").write_bytes(b"3,4\n")
    publish(source, where, archive=False)
    assert kept == first
    assert fetch(kept, tmp_path / "kept", sha256=first.checksum_sha256.hex).verified
    assert (tmp_path / "kept/a.csv").read_bytes() == FILES["a.csv"]


def test_two_with_different_files_of_the_same_names_never_mix(store, tmp_path):
    """Neither may have published, but what was published is one's."""
    sources = [lay(tmp_path / str(number), dict.fromkeys("abcdefgh", b"%d" % number)) for number in range(2)]
    barrier, outcomes = threading.Barrier(2), [None, None]

    def run(number):
        barrier.wait()
        try:
            outcomes[number] = plain(sources[number], store, if_exists="error")
        except AlreadyExistsError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published = [each for each in outcomes if isinstance(each, PublishedResult)]
    assert len(published) <= 1
    assert (f"run/{NAME}" in keys(store)) == bool(published)
    for each in published:
        assert verify(each, store=store).objects == 8
