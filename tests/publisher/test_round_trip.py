"""What is published comes back the same, and anything else is noticed."""

import gzip
import hashlib
import io
import os
import pickle
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from archive_strategies import OLD, Link, Program, lay, seen, trees
from conftest import same_tree
from hypothesis import assume, given, settings

from keystow import AlreadyPublishedError, Context, PublishedResult, VerificationError, fetch, publish, verify
from keystow.archive import SourceError, SourceNotFoundError, UnsafeArchiveError
from keystow.archive.index import open_index
from keystow.archive.manifest import NAME
from keystow.backends import AccessDeniedError, AlreadyExistsError, NotFoundError, open_store
from keystow.testing import Fault, FaultyStore

pytestmark = pytest.mark.slow

DENIED = AccessDeniedError("not permitted, as ordered")


def flip(data):
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def objects(store, prefix):
    return {found.key.removeprefix(prefix): b"".join(store.read(found.key)) for found in store.list(prefix)}


def sha256sum(data):
    done = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True)
    return done.stdout.split()[0].decode()


def shell_listing(directory):
    """The published checksum of a prefix, by the shell alone."""
    recipe = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum -z -- | sha256sum"
    return subprocess.run(recipe, shell=True, cwd=directory, capture_output=True, check=True).stdout.split()[0].decode()


# ---------------------------------------------------------------------------------------------------
# There and back


def test_a_real_tree_as_an_archive(place, real_tree, tmp_path):
    published = publish(real_tree, place("real-{jobID}"), Context(job_id="abc123"))
    assert published.key.endswith("real-abc123.tar.gz")
    back = fetch(published, tmp_path / "back")
    assert back.verified
    assert back.sha256 == verify(published).sha256 == published.checksum_sha256
    assert same_tree(real_tree, tmp_path / "back")
    assert seen(tmp_path / "back") == seen(real_tree)
    assert back.members == len(seen(real_tree))


def test_a_real_tree_as_a_prefix(place, real_tree, tmp_path):
    published = publish(real_tree, place("real"), archive=False)
    assert published.key.endswith("real/")
    assert published.encoding == "plain"
    assert fetch(published, tmp_path / "back").verified
    assert same_tree(real_tree, tmp_path / "back")
    assert published.checksum_sha256 == shell_listing(real_tree)


def test_a_small_tree_with_all_kinds_of_members(place, small, tmp_path):
    published = publish(small, place("small"))
    assert fetch(published, tmp_path / "back").verified
    assert seen(tmp_path / "back") == seen(small)
    assert {entry[-1] for entry in seen(tmp_path / "back").values()} == {OLD}


def test_a_small_tree_as_a_prefix(place, files, tmp_path, stored):
    published = publish(files, place("files"), archive=False)
    assert fetch(published, tmp_path / "back").verified
    assert same_tree(files, tmp_path / "back")
    assert published.checksum_sha256 == shell_listing(files)
    assert verify(published).objects == 4
    names = {name for name, (kind, *_) in seen(files).items() if kind == "file"}
    assert set(objects(stored(published), published.key)) == {*names, NAME}


@pytest.mark.parametrize("archive", [True, False])
def test_a_single_file(place, tmp_path, archive):
    (tmp_path / "score.txt").write_text("42")
    published = publish(tmp_path / "score.txt", place("one"), archive=archive)
    assert fetch(published, tmp_path / "back").verified
    assert {name: what[1] for name, what in seen(tmp_path / "back").items()} == {"score.txt": b"42"}


def test_into_an_empty_directory_that_is_there(place, small, tmp_path):
    (tmp_path / "back").mkdir()
    fetch(publish(small, place("small")), tmp_path / "back")
    assert seen(tmp_path / "back", times="file symlink") == seen(small, times="file symlink")


def test_an_empty_directory_is_an_archive_and_no_prefix(place, tmp_path):
    (tmp_path / "empty").mkdir()
    fetch(publish(tmp_path / "empty", place("empty")), tmp_path / "back")
    assert os.listdir(tmp_path / "back") == []
    with pytest.raises(SourceError, match="there is no file in"):
        publish(tmp_path / "empty", place("empty"), archive=False)


def test_the_same_tree_is_the_same_object_everywhere(small, file_place, memory_place):
    one, other = publish(small, file_place("a")), publish(small, memory_place("b"))
    assert one.checksum_sha256 == other.checksum_sha256


def test_mtime_makes_trees_of_different_times_the_same(small, memory_place, tmp_path):
    later = lay(tmp_path / "later", {"a": b"1"}, mtime=OLD + 1)
    sooner = lay(tmp_path / "sooner", {"a": b"1"})
    assert len({publish(each, memory_place("a")).checksum_sha256 for each in (later, sooner)}) == 2
    assert len({publish(each, memory_place("a"), mtime=7).checksum_sha256 for each in (later, sooner)}) == 1


def test_progress_counts_the_bytes_of_the_source(small, memory_place):
    total = sum(len(what[1]) for what in seen(small).values() if what[0] == "file")
    for archive in (True, False):
        told = []
        publish(
            small,
            memory_place("a"),
            archive=archive,
            symlinks="skip",
            progress=lambda done, of, told=told: told.append((done, of)),
        )
        assert told == sorted(told)
        assert told[-1] == (total, total)


@pytest.mark.parametrize("archive", [True, False])
def test_special_files_are_left_out_on_demand(small, memory_place, archive):
    os.mkfifo(small / "pipe")
    without = publish(small, memory_place("a"), archive=archive, special="skip")
    with pytest.raises(SourceError, match="'pipe' is a FIFO"):
        publish(small, memory_place("a"), archive=archive)
    assert verify(without)


def storable(name):
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


@settings(max_examples=30)
@given(nodes=trees())
def test_any_tree_as_an_archive(tmp_path_factory, nodes):
    base = tmp_path_factory.mktemp("any")
    lay(base / "source", nodes)
    results = [publish(base / "source", url) for url in (f"file://{base}/out/x", f"memory://{base.name}/x")]
    assert results[0].checksum_sha256 == results[1].checksum_sha256
    for number, result in enumerate(results):
        fetch(result, base / f"back-{number}")
        assert seen(base / f"back-{number}") == seen(base / "source")


@settings(max_examples=30)
@given(nodes=trees())
def test_any_tree_of_files_as_a_prefix(tmp_path_factory, nodes):
    """An object's name in memory is UTF-8, as in S3."""
    base = tmp_path_factory.mktemp("any")
    nodes = {name: bytes(node) for name, node in nodes.items() if isinstance(node, bytes) and storable(name)}
    assume(nodes)
    lay(base / "source", nodes)
    urls = (f"file://{base}/out/x", f"memory://{base.name}/x")
    results = [publish(base / "source", url, archive=False) for url in urls]
    assert results[0].checksum_sha256 == results[1].checksum_sha256
    for number, result in enumerate(results):
        fetch(result, base / f"back-{number}")
        assert seen(base / f"back-{number}", times="") == seen(base / "source", times="")


# ---------------------------------------------------------------------------------------------------
# Checksums and versions


def test_an_archive_without_an_index_has_checksums_but_for_that(place, small, stored):
    with mock.patch("keystow.archive.indexing.MOST_CARRIED", 100):
        published = publish(small, place("no-index"))
    data = b"".join(stored(published).read(published.key))
    assert published.index_sha256 is None
    assert published.tar_sha256 == sha256sum(gzip.decompress(data))
    assert published.checksum_sha256 == sha256sum(data)
    assert PublishedResult.from_mapping(published.to_mapping()) == published
    assert verify(published).sha256 == published.checksum_sha256


@pytest.mark.parametrize("tree", ["small", "real_tree"], ids=["one request", "in parts"])
def test_the_checksum_is_sha256sum_of_the_object(place, request, tree, stored):
    published = publish(request.getfixturevalue(tree), place("sum"))
    data = b"".join(stored(published).read(published.key))
    assert (len(data) > 8 << 20) is (tree == "real_tree")
    assert published.checksum_sha256 == sha256sum(data)
    assert published.size == len(data)
    assert published.tar_sha256 == sha256sum(gzip.decompress(data))
    index = open_index(lambda start, stop: data[start:stop], len(data))
    assert published.index_sha256 == index.sha256
    assert (
        published.checksum_sha256.base64
        == subprocess.run(["base64"], input=hashlib.sha256(data).digest(), capture_output=True, check=True)
        .stdout.decode()
        .strip()
    )
    assert published.to_mapping()["Params"]["ChecksumSHA256"] == f"0x{sha256sum(data)}"


@pytest.mark.parametrize(
    "written",
    [str, "0x{}".format, lambda checksum: f"0X{checksum.upper()}", lambda checksum: checksum.base64],
    ids=["hex", "0x", "0X", "base64"],
)
def test_a_checksum_in_any_form_verifies(small, memory_place, written):
    published = publish(small, memory_place("sum"))
    mapping = published.to_mapping()
    mapping["Params"]["ChecksumSHA256"] = written(published.checksum_sha256)
    assert verify(mapping).sha256 == published.checksum_sha256


@pytest.mark.server
@pytest.mark.parametrize("tree", ["files", "real_tree"], ids=["one request", "in parts"])
def test_the_version_is_that_of_the_write_among_many_writers(seaweed, versioned_bucket, login, request, tmp_path, tree):
    login(seaweed)
    source = request.getfixturevalue(tree)
    key = f"raced-{tree}"
    count = 6 if tree == "files" else 3
    start = threading.Barrier(count)

    def write(number):
        start.wait()
        return publish(source, f"s3://{versioned_bucket}/{key},opt=endpoint={seaweed.endpoint}", mtime=number)

    with ThreadPoolExecutor(count) as pool:
        results = list(pool.map(write, range(count)))
    assert len({result.version_id for result in results}) == count
    assert len({result.checksum_sha256 for result in results}) == count
    client = seaweed.client()
    for result in results:
        body = client.get_object(Bucket=versioned_bucket, Key=f"{key}.tar.gz", VersionId=result.version_id)["Body"]
        assert result.checksum_sha256 == sha256sum(body.read())
        assert verify(result).sha256 == result.checksum_sha256


@pytest.mark.server
def test_a_version_is_fetched_after_it_was_overwritten(seaweed, versioned_bucket, login, small, files, tmp_path):
    login(seaweed)
    where = f"s3://{versioned_bucket}/overwritten,opt=endpoint={seaweed.endpoint}"
    old = publish(small, where)
    publish(files, where)
    assert fetch(old, tmp_path / "back").verified
    assert seen(tmp_path / "back") == seen(small)


# ---------------------------------------------------------------------------------------------------
# if_exists


@pytest.mark.parametrize("archive", [True, False])
def test_replace_is_the_default(place, files, tmp_path, archive):
    other = lay(tmp_path / "other", {"score.txt": b"43"})
    publish(files, place("same"), archive=archive)
    published = publish(other, place("same"), archive=archive)
    if archive:
        fetch(published, tmp_path / "back")
        assert (tmp_path / "back" / "score.txt").read_text() == "43"
    else:
        assert verify(published).objects == 1
        with pytest.raises(VerificationError, match=r"there are objects under .*same/' that were not published"):
            verify(published, strict=True)


def test_error_leaves_what_stands(place, files, small):
    first = publish(files, place("same"), if_exists="error")
    with pytest.raises(AlreadyExistsError, match=r"same\.tar\.gz.*already exists"):
        publish(small, place("same"), if_exists="error")
    assert verify(first)


def test_the_same_publish_again_recognises_its_own(place, files, small):
    """As one whose answer was lost does; and nothing else is taken for it."""
    first = publish(files, place("same"), if_exists="error")
    told = []
    with pytest.raises(
        AlreadyPublishedError, match=rf"same\.tar\.gz.*already exists.*{first.checksum_sha256}"
    ) as caught:
        publish(files, place("same"), if_exists="error", progress=lambda *done: told.append(done))
    assert caught.value.result == replace(first, store_checksum=None)
    assert verify(caught.value.result)
    assert pickle.loads(pickle.dumps(caught.value)).result == caught.value.result
    assert all(done <= total for done, total in told)
    with pytest.raises(AlreadyExistsError) as caught:
        publish(small, place("same"), if_exists="error")
    assert not isinstance(caught.value, AlreadyPublishedError)


def test_what_could_not_be_cleared_is_told_of_what_is_recognised_too(files, monkeypatch):
    store = open_store("memory://notes")

    def refuses(*arguments, **options):
        error = AlreadyExistsError("k: already exists", code="PreconditionFailed", request_id="7")
        error.add_note("the parts sent so far could not be removed")
        raise error

    publish(files, "memory://notes/k")
    monkeypatch.setattr(store, "write", refuses)
    with pytest.raises(AlreadyPublishedError) as caught:
        publish(files, "memory://notes/k", store=store, if_exists="error")
    assert caught.value.__notes__ == ["the parts sent so far could not be removed"]
    assert (caught.value.code, caught.value.request_id) == ("PreconditionFailed", "7")


def test_skip_proves_what_stands_or_says_that_it_differs(place, files, small):
    first = publish(files, place("same"), if_exists="skip")
    assert first.checksum_sha256 is not None
    assert publish(files, place("same"), if_exists="skip") == first
    with pytest.raises(AlreadyExistsError, match=r"same\.tar\.gz.*already exists.*differs from what would have been"):
        publish(small, place("same"), if_exists="skip")
    assert verify(first)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"43\n", flip])
def test_skip_sees_any_difference(place, tmp_path, stored, change):
    (tmp_path / "score.txt").write_bytes(b"42 is the answer\n")
    first = publish(tmp_path / "score.txt", place("same.txt"), raw=True, if_exists="skip")
    (tmp_path / "score.txt").write_bytes(change(b"42 is the answer\n"))
    with pytest.raises(AlreadyExistsError, match="differs from what would have been published"):
        publish(tmp_path / "score.txt", place("same.txt"), raw=True, if_exists="skip")
    assert verify(first)


@pytest.mark.parametrize("operation", ["stat", "read"])
@pytest.mark.parametrize("archive", [True, False])
def test_skip_claims_no_checksum_of_what_cannot_be_read(files, operation, archive):
    store = FaultyStore(open_store(f"memory://unseen-{operation}-{archive}"), Fault(operation, error=DENIED))
    to = f"memory://unseen-{operation}-{archive}/k"
    how = {"archive": archive, "manifest": None if archive else False}
    first = publish(files, to, store=store, **how)
    second = publish(files, to, store=store, if_exists="skip", **how)
    assert second == replace(first, checksum_sha256=None, size=None, tar_sha256=None, index_sha256=None)


@pytest.mark.parametrize(("before", "now"), [(b"123", b"12"), (b"12", b"123"), (b"", b"1")])
def test_skip_reads_nothing_of_what_has_another_size(tmp_path, before, now):
    store = FaultyStore(open_store("memory://sizes"))
    publish(io.BytesIO(before), "memory://sizes/k", store=store, raw=True)
    with pytest.raises(AlreadyExistsError, match="differs"):
        publish(io.BytesIO(now), "memory://sizes/k", store=store, raw=True, if_exists="skip")
    assert [operation for operation, _ in store.calls] == ["write", "write", "stat"]


@pytest.mark.server
@pytest.mark.parametrize("size", [0, 1, 8 << 20, (20 << 20) + 1])
def test_skip_downloads_nothing_whose_checksum_s3_keeps(s3_place, stored, size):
    data = bytes(size)
    first = publish(io.BytesIO(data), s3_place("kept"), raw=True)
    store = FaultyStore(stored(first), Fault("read", error=DENIED))
    again = publish(io.BytesIO(data), s3_place("kept"), raw=True, if_exists="skip", store=store)
    assert again.checksum_sha256 == first.checksum_sha256 == hashlib.sha256(data).hexdigest()
    assert again.store_checksum == first.store_checksum
    if size:
        other = publish(io.BytesIO(data[1:] + b"1"), s3_place("kept"), raw=True, if_exists="skip", store=store)
        assert other.checksum_sha256 is None
    store.close()


@pytest.mark.parametrize("checksum", ["", "x-2", f"{'A' * 43}=", f"{'A' * 43}=-2"])
def test_a_checksum_that_is_not_ours_proves_nothing(tmp_path, checksum):
    """It may be that of other parts: what it is of is read."""

    class Telling(FaultyStore):
        def stat(self, key, *, version_id=None):
            return replace(super().stat(key, version_id=version_id), checksum=checksum)

    store = Telling(open_store(f"memory://{tmp_path.name}"))
    first = publish(io.BytesIO(b"42"), f"memory://{tmp_path.name}/k", raw=True, store=store)
    assert publish(io.BytesIO(b"42"), f"memory://{tmp_path.name}/k", raw=True, store=store, if_exists="skip") == first
    with pytest.raises(AlreadyExistsError, match="differs"):
        publish(io.BytesIO(b"43"), f"memory://{tmp_path.name}/k", raw=True, store=store, if_exists="skip")


@pytest.mark.server
def test_skip_names_the_version_that_it_compared(seaweed, versioned_bucket, login, files):
    login(seaweed)
    where = f"s3://{versioned_bucket}/skipped,opt=endpoint={seaweed.endpoint}"
    first = publish(files, where)
    assert first.version_id is not None
    assert publish(files, where, if_exists="skip").version_id == first.version_id


def test_error_and_skip_under_a_prefix(place, tmp_path, files):
    lay(tmp_path / "one", {"score.txt": b"41"})
    publish(tmp_path / "one", place("same"), archive=False, manifest=False)
    with pytest.raises(AlreadyExistsError, match=r"same/score\.txt.*already exists") as caught:
        publish(files, place("same"), archive=False, manifest=False, if_exists="error")
    assert "files had already been sent to" in caught.value.__notes__[0]
    with pytest.raises(AlreadyExistsError, match=r"same/score\.txt.*already exists.*differs"):
        publish(files, place("same"), archive=False, manifest=False, if_exists="skip")
    lay(tmp_path / "one", {"score.txt": b"42\n"})
    first = publish(tmp_path / "one", place("same"), archive=False, manifest=False)
    skipped = publish(files, place("same"), archive=False, manifest=False, if_exists="skip")
    assert skipped.checksum_sha256 == shell_listing(files) != first.checksum_sha256
    assert fetch(skipped, tmp_path / "back").verified
    assert same_tree(files, tmp_path / "back")
    assert publish(files, place("same"), archive=False, manifest=False, if_exists="skip") == skipped


def test_another_word_is_no_choice(small, memory_place):
    with pytest.raises(ValueError, match="if_exists='never' is no choice: use replace, error or skip"):
        publish(small, memory_place("same"), if_exists="never")


# ---------------------------------------------------------------------------------------------------
# What is not as it was published


@pytest.mark.parametrize(
    "tamper",
    [flip, lambda data: data[: len(data) // 2], lambda data: data + b"\0", lambda data: b"", lambda data: b"not gzip"],
    ids=["a bit", "truncated", "longer", "empty", "another file"],
)
def test_a_tampered_archive(place, small, tmp_path, stored, tamper):
    published = publish(small, place("tampered"))
    store = stored(published)
    store.write(published.key, [tamper(b"".join(store.read(published.key)))])
    for check in (lambda: verify(published), lambda: fetch(published, tmp_path / "back")):
        with pytest.raises(VerificationError, match=published.checksum_sha256):
            check()
    assert not (tmp_path / "back").exists()
    assert [name for name in os.listdir(tmp_path) if name.startswith(".keystow")] == []


def test_a_sound_archive_of_something_else(place, small, files, tmp_path, stored):
    """Nothing but the checksum tells it from what was published."""
    published = publish(small, place("mine"))
    theirs = publish(files, place("theirs"))
    store = stored(published)
    store.write(published.key, store.read(theirs.key))
    for check in (lambda: verify(published), lambda: fetch(published, tmp_path / "back")):
        with pytest.raises(VerificationError, match=f"{theirs.checksum_sha256}, and {published.checksum_sha256}"):
            check()
    assert not (tmp_path / "back").exists()
    assert not fetch(published, tmp_path / "unchecked", verify=False).verified
    assert same_tree(files, tmp_path / "unchecked")


@pytest.mark.parametrize(
    "tamper",
    [
        lambda store, key: store.write(f"{key}extra.txt", [b"extra"]),
        lambda store, key: store.delete(f"{key}score.txt"),
        lambda store, key: store.write(f"{key}score.txt", [b"43\n"]),
        lambda store, key: store.write(f"{key}score.txt", [b""]),
        lambda store, key: (store.write(f"{key}renamed.txt", [b"42\n"]), store.delete(f"{key}score.txt")),
    ],
    ids=["extra", "missing", "changed", "emptied", "renamed"],
)
def test_a_tampered_prefix(place, files, tmp_path, stored, tamper):
    published = publish(files, place("tampered"), archive=False, manifest=False)
    tamper(stored(published), published.key)
    for check in (lambda: verify(published), lambda: fetch(published, tmp_path / "back")):
        with pytest.raises(VerificationError, match=r"objects under .*tampered/' are not those that were published"):
            check()
    assert not (tmp_path / "back").exists()


def test_a_tampered_prefix_that_is_no_tree(memory_place, files, tmp_path, stored):
    published = publish(files, memory_place("tampered"), archive=False, manifest=False)
    stored(published).write(f"{published.key}score.txt/below", [b"a file cannot hold it"])
    with pytest.raises(VerificationError, match=r"the 5 objects under .*tampered/' are not those"):
        fetch(published, tmp_path / "back")
    with pytest.raises(UnsafeArchiveError):
        fetch(published, tmp_path / "back", verify=False)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("archive", [True, False])
def test_an_object_that_is_gone(place, files, tmp_path, stored, archive):
    published = publish(files, place("gone"), archive=archive)
    store = stored(published)
    for found in list(store.list(published.key)):
        store.delete(found.key)
    for check in (lambda: verify(published), lambda: fetch(published, tmp_path / "back")):
        with pytest.raises(NotFoundError, match=r"gone(\.tar\.gz|/)"):
            check()
    assert not (tmp_path / "back").exists()


def test_a_neighbour_of_the_prefix_is_no_part_of_it(place, files, tmp_path):
    published = publish(files, place("run"), archive=False)
    publish(files, place("run-2"), archive=False)
    publish(files, place("run"))
    assert verify(published).objects == 4


def test_a_directory_that_holds_something_stays_as_it_is(place, small, tmp_path):
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "mine").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is not an empty directory"):
        fetch(publish(small, place("small")), tmp_path / "back")
    assert os.listdir(tmp_path / "back") == ["mine"]


# ---------------------------------------------------------------------------------------------------
# Links


LINKED = {
    "data/a": b"1",
    "data/run": Program(b"2"),
    "alias": Link("data/a"),
    "folder": Link("data"),
    "there/up": Link("../data/run"),
}


@pytest.mark.parametrize(
    ("archive", "symlinks", "expected"),
    [
        (True, "inside", {"alias": Link("data/a"), "folder": Link("data"), "there/up": Link("../data/run")}),
        (True, "follow", {"alias": b"1", "folder/a": b"1", "folder/run": b"2", "there/up": b"2"}),
        (True, "skip", {"there": None}),
        (False, "inside", {"alias": b"1", "folder/a": b"1", "folder/run": b"2", "there/up": b"2"}),
        (False, "follow", {"alias": b"1", "folder/a": b"1", "folder/run": b"2", "there/up": b"2"}),
        (False, "skip", {}),
    ],
)
def test_links_inside_the_source(place, tmp_path, archive, symlinks, expected):
    lay(tmp_path / "source", LINKED)
    expected = lay(tmp_path / "expected", {"data/a": b"1", "data/run": Program(b"2")} | expected)
    published = publish(tmp_path / "source", place("linked"), archive=archive, symlinks=symlinks)
    assert fetch(published, tmp_path / "back").verified
    assert same_tree(expected, tmp_path / "back")


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    ("symlinks", "link", "said"),
    [
        ("inside", "../secret", "the link 'out' -> '../secret' leads out of"),
        ("inside", "/etc/hostname", "the link 'out' -> '/etc/hostname' leads out of"),
        ("error", "kept", "'out' is a symbolic link"),
        ("follow", "nowhere", "the link 'out' leads nowhere"),
    ],
)
def test_links_that_are_refused(tmp_path, archive, memory_place, symlinks, link, said, stored):
    lay(tmp_path, {"secret": b"secret", "source/kept": b"kept", "source/out": Link(link)})
    with pytest.raises(SourceError, match=said):
        publish(tmp_path / "source", memory_place("refused"), archive=archive, symlinks=symlinks)
    manifest = None if archive else False
    kept = publish(tmp_path / "source", memory_place("other"), archive=archive, manifest=manifest, symlinks="skip")
    assert {found.key for found in stored(kept).list()} == {kept.key if archive else f"{kept.key}kept"}


@pytest.mark.parametrize("link", ["nowhere", "out", "."])
def test_links_that_no_object_can_stand_for(tmp_path, memory_place, link):
    lay(tmp_path / "source", {"kept": b"kept", "out": Link(link)})
    with pytest.raises(SourceError, match=f"the link 'out' -> '{link}' .* cannot be published as an object"):
        publish(tmp_path / "source", memory_place("refused"), archive=False)
    assert publish(tmp_path / "source", memory_place("refused"))


def test_a_source_that_is_not_there(tmp_path, memory_place):
    with pytest.raises(SourceNotFoundError, match=r"there is nothing at .*absent"):
        publish(tmp_path / "absent", memory_place("x"))


# ---------------------------------------------------------------------------------------------------
# The context


def test_without_a_context_the_ids_are_the_jobs_and_the_time_is_now(small, memory_place, monkeypatch):
    for name in ("JOB", "EXECUTION", "NODE"):
        monkeypatch.setenv(f"BACALHAU_{name}_ID", f"{name.lower()}-1")
    before = datetime.now(UTC)
    published = publish(small, memory_place("{jobID}/{executionID}/{nodeID}/{date}{time}"))
    after = datetime.now(UTC)
    *ids, instant = published.key.removesuffix(".tar.gz").split("/")
    assert ids == ["job-1", "execution-1", "node-1"]
    found = datetime.strptime(instant, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    assert before - timedelta(seconds=1) < found <= after


def test_a_context_without_an_instant_gets_the_present_one_and_no_ids(small, memory_place, monkeypatch):
    monkeypatch.setenv("BACALHAU_NODE_ID", "not-asked-for")
    before = datetime.now(UTC)
    published = publish(small, memory_place("{jobID}-{date:%Y}"), Context(job_id="mine"))
    assert published.key.removesuffix(".tar.gz") in {f"mine-{at.year}" for at in (before, datetime.now(UTC))}
    with pytest.raises(ValueError, match=r"needs a value for \{nodeID\}"):
        publish(small, memory_place("{nodeID}"), Context(job_id="mine"))
