"""Members of an archive with an index, read without the rest of it: from a file, memory, and S3."""

import asyncio
import io
import os
import random
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from unittest import mock

import counting
import indexed
import pytest
from archive_strategies import seen
from forged import forged, parts
from sample_tree import FILES, PLOT, TREE, tree_of

import keystow
from keystow import Checksum, MemberError, PublishedResult, VerificationError, fetch, open_archive, verify
from keystow.archive import CorruptArchiveError, Entry, LimitExceededError, Limits, Tree, UnsafeArchiveError
from keystow.backends import AccessDeniedError, open_store
from keystow.indexed import source_of
from keystow.members import index_of, list_members, read_member

KEY = "results.tar.gz"


class Counting:
    """A store that counts what is read of it."""

    def __init__(self, store):
        self.store, self.asked, self.bytes = store, [], 0

    def __getattr__(self, name):
        if name in {"stat", "list"}:
            self.asked.append(name)
        return getattr(self.store, name)

    def read(self, key, **options):
        self.asked.append("read")
        for piece in self.store.read(key, **options):
            self.bytes += len(piece)
            yield piece


@pytest.fixture(params=["file", "memory", pytest.param("s3", marks=pytest.mark.server)])
def place(request, tmp_path):
    """A store, and where it is."""
    if request.param == "s3":
        seaweed = request.getfixturevalue("seaweed")
        request.getfixturevalue("login")(seaweed)
        options = {"endpoint": seaweed.endpoint, "region": "us-east-1"}
        bucket = request.getfixturevalue("bucket")
    else:
        options = {}
        bucket = str(tmp_path / "store") if request.param == "file" else f"members-{tmp_path.name}"
        if request.param == "file":
            os.mkdir(bucket)
    with_store = open_store(f"{request.param}://{bucket}", **options)
    yield with_store, PublishedResult(request.param, bucket, KEY, **options)
    with_store.close()


def put(place, data, index_sha256=None, *, key=KEY, **known):
    """``data`` in the store, and its result."""
    store, result = place
    written = store.write(key, [data])
    known = {"size": len(data), "checksum_sha256": Checksum(written.sha256)} | known
    return replace(result, key=key, index_sha256=index_sha256, **known)


def published(place, tree=TREE, **known):
    data, index = indexed.data_and_index(tree)
    return put(place, data + b"".join(index.pieces), Checksum(index.sha256), **known)


@pytest.fixture
def result(place):
    return published(place)


def test_an_archive_is_a_mapping_of_its_members(result):
    with open_archive(result) as archive:
        assert archive.verified
        assert len(archive) == len(TREE.entries)
        assert list(archive) == [entry.name for entry in TREE.entries]
        assert [name for name, _ in archive.items()] == list(archive)
        assert [entry.name for entry in archive.values()] == list(archive)
        assert archive["a/first.csv"] == Entry("a/first.csv", "file", 8, 1_700_000_000)
        assert archive["soft"].target == "a/first.csv"
        assert "score.txt" in archive
        assert "score.tx" not in archive
        assert 7 not in archive
        assert archive.get("nothing") is None
        with pytest.raises(KeyError):
            archive[7]
        with pytest.raises(KeyError):
            archive["nothing"]


def test_a_file_of_it_is_read_and_sought_in(result):
    with open_archive(result) as archive, archive.open("a/plots/large.png") as file:
        assert file.readable()
        assert file.seekable()
        assert file.seek(-5, io.SEEK_END) == len(PLOT) - 5
        assert file.read() == PLOT[-5:]
        assert file.seek(1 << 20) == 1 << 20
        assert file.read(100_000) == PLOT[1 << 20 :][:100_000]
        assert file.seek(0) == 0
        assert file.read() == PLOT
        assert file.read() == b""
        assert file.seek(len(PLOT) + 9) == len(PLOT) + 9
        assert file.read(1) == b""


def test_each_member_that_can_be_opened_has_its_content(result):
    with open_archive(result) as archive:
        for name, content in FILES.items():
            with archive.open(name) as file:
                assert file.read() == content
        assert archive.open("hard").read() == b"small"
        with pytest.raises(FileNotFoundError, match="nothing"):
            archive.open("nothing")
        with pytest.raises(IsADirectoryError):
            archive.open("a/plots")
        with pytest.raises(MemberError, match=r"to 'a/first\.csv'"):
            archive.open("soft")


def test_a_closed_archive_is_not_read(result):
    with open_archive(result) as archive:
        file = archive.open("a/plots/large.png")
    for read in (lambda: archive["empty"], lambda: archive.open("empty"), lambda: list(archive), file.read):
        with pytest.raises(ValueError, match="closed"):
            read()


def test_a_file_of_a_closed_archive_is_closed(result):
    with open_archive(result) as archive:
        files = [archive.open("a/plots/small.png") for _ in range(3)]
        assert (files[1].read(1), files[2].read()) == (b"s", b"small")
        files[2].seek(0)
        raw = archive.open("a/plots/small.png").detach()
    for read in (*(file.read for file in files), raw.readall):
        with pytest.raises(ValueError, match="closed"):
            read()


def test_blocks_of_any_size_are_read_together(memory, monkeypatch):
    for name, size in {"_FIRST": 1500, "_MOST": 3000, "_HELD": 8000}.items():
        monkeypatch.setattr(f"keystow.archives.{name}", size)
    chance = random.Random(7)
    large = chance.randbytes(20_000)
    sizes = [*([1] * 3000), *(chance.randrange(1, 900) for _ in range(200))]
    data, index = indexed.data_and_index(Tree.of({"large": large}), sizes=sizes)
    result = put(memory, data + b"".join(index.pieces), Checksum(index.sha256))
    with open_archive(result) as archive, archive.open("large").detach() as file:
        assert file.readinto(bytearray(1000)) == 1000
        for _ in range(500):
            at, length = chance.randrange(len(large)), chance.randrange(4000)
            file.seek(at)
            assert large[at:].startswith(file.read(length))
        file.seek(0)
        assert file.readall() == large


@pytest.mark.slow
def test_one_member_takes_three_requests_and_little_of_the_archive(place, tmp_path):
    files = {f"d{number % 100:02}/f{number:05}": os.urandom(10_000) for number in range(3000)}
    files["large"] = os.urandom(30 << 20)
    result = published(place, Tree.of(files))
    for read in (
        lambda store: open_archive(result, store=store).open("d07/f01207").read(),
        lambda store: fetch(result, tmp_path / "one", store=store, members=["d07/f01207"]),
        lambda store: verify(result, store=store, members=["/d07/f01207"]),
    ):
        store = Counting(place[0])
        read(store)
        assert set(store.asked) == {"read"}
        assert len(store.asked) <= 3
        assert store.bytes < 3 << 20
    assert (tmp_path / "one/d07/f01207").read_bytes() == files["d07/f01207"]


def test_s3_is_sent_no_other_requests(seaweed, bucket, login, proxy):
    login(seaweed)
    known = {"endpoint": proxy.url, "region": "us-east-1"}
    with closing(open_store(f"s3://{bucket}", **known)) as store:
        result = published((store, PublishedResult("s3", bucket, "of-proxy.tar.gz", **known)), key="of-proxy.tar.gz")
        before = len(proxy.requests)
        with open_archive(result, store=store) as archive:
            assert archive.open("a/plots/small.png").read() == b"small"
        assert [asked.method for asked in proxy.requests[before:]] in (["GET"] * 2, ["GET"] * 3)


@pytest.mark.server
def test_what_lies_together_is_asked_for_side_by_side(seaweed, bucket, login, tmp_path):
    login(seaweed)
    files = {f"large/{number}": os.urandom(4 << 20) for number in range(6)} | {"small": b"small"}
    with counting.Counting(seaweed.endpoint) as proxy:
        known = {"endpoint": proxy.url, "region": "us-east-1"}
        with closing(open_store(f"s3://{bucket}", **known)) as store:
            result = published((store, PublishedResult("s3", bucket, KEY, **known)), Tree.of(files))
            before = len(proxy.requests)
            read = partial(fetch, result, tmp_path / "some", store=store, members=["large/"])
            fetched, at_once = proxy.most_of(read, 3)
            asked = len(proxy.requests) - before
    assert (fetched.bytes, fetched.verified) == (24 << 20, True)
    assert (tmp_path / "some/large/5").read_bytes() == files["large/5"]
    assert at_once > 2
    assert asked <= 8


def test_what_lies_together_is_read_once(result, place):
    store = Counting(place[0])
    with open_archive(result, store=store) as archive, archive.open("a/plots/large.png") as file:
        asked = len(store.asked)
        while file.read(1000):
            pass
        for name in ("a/plots/small.png", "empty", "score.txt"):
            archive.open(name).read()
        assert len(store.asked) - asked <= 3


def test_the_store_is_asked_how_long_it_is_if_the_result_does_not_say(place):
    result = replace(published(place), size=None)
    store = Counting(place[0])
    assert open_archive(result, store=store).open("score.txt").read() == b"42"
    assert store.asked[0] == "stat"
    assert len(store.asked) <= 4


def test_members_are_fetched_with_the_directories_above(result, tmp_path):
    fetched = fetch(result, tmp_path / "some", members=["*.png", "/score.txt", "hard"])
    assert {name for name, what in seen(tmp_path / "some").items() if what[0] == "file"} == {
        "a/plots/large.png",
        "a/plots/small.png",
        "score.txt",
        "hard",
    }
    assert (tmp_path / "some/a/plots/large.png").read_bytes() == PLOT
    assert os.path.samefile(tmp_path / "some/hard", tmp_path / "some/a/plots/small.png")
    assert fetched.verified
    assert fetched.sha256 == result.index_sha256
    assert fetched.bytes == len(PLOT) + 5 + 2


def test_a_directory_is_fetched_with_what_it_holds(result, tmp_path):
    fetch(result, tmp_path / "some", members=["a/plots"])
    assert set(os.listdir(tmp_path / "some/a/plots")) == {"large.png", "small.png"}
    assert not (tmp_path / "some/a/first.csv").exists()
    assert os.stat(tmp_path / "some/a/plots").st_mtime == 1_700_000_000


def test_a_hard_link_alone_is_a_file(result, tmp_path):
    fetch(result, tmp_path / "some", members=["/hard"])
    assert (tmp_path / "some/hard").read_bytes() == b"small"
    assert stat.S_ISREG(os.lstat(tmp_path / "some/hard").st_mode)


def test_a_pattern_that_matches_nothing_makes_nothing(result, tmp_path):
    for patterns in (["*.txt", "*.jpg"], ["/nothing"], ["a/nothing"]):
        with pytest.raises(FileNotFoundError, match="no member"):
            fetch(result, tmp_path / "some", members=patterns)
        with pytest.raises(FileNotFoundError, match="no member"):
            verify(result, members=patterns)
    assert not (tmp_path / "some").exists()
    with pytest.raises(ValueError, match="pattern"):
        fetch(result, tmp_path / "some", members=[])


def test_members_are_verified(result):
    verified = verify(result, members=["*.png"])
    assert (verified.objects, verified.members, verified.size) == (1, 2, len(PLOT) + 5)
    assert verified.sha256 == result.index_sha256
    assert verify(result).members is None


def damaged(place, result, at):
    store = place[0]
    data = bytearray(b"".join(store.read(result.key)))
    data[at] ^= 1
    store.write(result.key, [bytes(data)])


def test_damage_to_a_block_is_its_members_alone(place, tmp_path):
    files = {f"f{number}": os.urandom(1 << 20) for number in range(4)}
    result = published(place, Tree.of(files))
    damaged(place, result, 2_000_000)
    with open_archive(result) as archive:
        assert archive.open("f3").read() == files["f3"]
        with pytest.raises(VerificationError, match="not what was published"):
            archive.open("f1").read()
    fetch(result, tmp_path / "sound", members=["f2", "f3"])
    for call in (lambda: fetch(result, tmp_path / "not", members=["f*"]), lambda: verify(result, members=["f1"])):
        with pytest.raises(VerificationError):
            call()
    assert not (tmp_path / "not").exists()
    with open_archive(result, verify=False) as archive, pytest.raises(CorruptArchiveError):
        archive.open("f1").read()


def test_another_archive_in_its_place_is_an_error(place, tmp_path):
    result = published(place)
    published(place, tree_of(FILES | {"score.txt": b"43"}))
    for call in (
        lambda: open_archive(result),
        lambda: fetch(result, tmp_path / "some", members=["*.txt"]),
        lambda: verify(result, members=["*.txt"]),
    ):
        with pytest.raises(VerificationError, match="published"):
            call()
    assert not (tmp_path / "some").exists()


def test_an_archive_that_is_replaced_while_it_is_read_is_an_error(place):
    result = published(place, Tree.of({f"f{number}": os.urandom(1 << 20) for number in range(4)}))
    with open_archive(result) as archive:
        archive.open("f0").read()
        published(place, Tree.of({f"f{number}": os.urandom(1 << 20) for number in range(4)}))
        with pytest.raises(VerificationError, match="replaced"):
            archive.open("f3").read()


def test_a_shorter_object_is_not_the_archive(place):
    result = published(place)
    put(place, b"short")
    with pytest.raises(VerificationError):
        open_archive(result)


def without_index(place, **known):
    data, _ = indexed.data_and_index(TREE)
    return put(place, data, **known)


def test_an_archive_without_an_index_is_read_from_its_start(place, tmp_path):
    result = without_index(place)
    fetched = fetch(result, tmp_path / "some", members=["*.png", "hard"])
    assert fetched.verified
    assert fetched.sha256 == result.checksum_sha256
    assert (tmp_path / "some/a/plots/large.png").read_bytes() == PLOT
    verified = verify(result, members=["*.png"])
    assert (verified.members, verified.size, verified.sha256) == (2, len(PLOT) + 5, result.checksum_sha256)
    with pytest.raises(keystow.ResultError, match="members="):
        open_archive(result)
    with pytest.raises(keystow.ResultError, match="no index"):
        open_archive(result, verify=False)
    with pytest.raises(FileNotFoundError):
        fetch(result, tmp_path / "none", members=["*.jpg"])
    with pytest.raises(MemberError, match="hard link"):
        fetch(result, tmp_path / "none", members=["hard"])
    assert not (tmp_path / "none").exists()


def test_what_is_read_from_its_start_is_verified_to_its_end(place, tmp_path):
    result = without_index(place, checksum_sha256=Checksum("0" * 64))
    for call in (
        lambda: fetch(result, tmp_path / "some", members=["*.csv"]),
        lambda: verify(result, members=["*.csv"]),
    ):
        with pytest.raises(VerificationError):
            call()
    assert not (tmp_path / "some").exists()


def test_a_result_that_proves_only_the_whole_is_read_whole(place, tmp_path):
    result = published(place)
    known = replace(result, index_sha256=None)
    assert fetch(known, tmp_path / "a", members=["*.csv"]).sha256 == result.checksum_sha256
    assert (
        fetch(result, tmp_path / "b", members=["*.csv"], sha256=result.checksum_sha256).sha256 == result.checksum_sha256
    )
    by_index = fetch(known, tmp_path / "c", members=["*.csv"], verify=False)
    assert not by_index.verified
    assert by_index.sha256 == result.index_sha256
    unknown = replace(known, checksum_sha256=None)
    with open_archive(unknown) as archive:
        assert not archive.verified
        assert archive.open("score.txt").read() == b"42"
    with pytest.raises(keystow.ResultError, match="IndexSHA256"):
        verify(unknown, members=["*.csv"])


def test_what_is_no_archive_has_no_members(place):
    result = published(place)
    for other in (replace(result, encoding="raw"), replace(result, key="results/", encoding="plain")):
        with pytest.raises(keystow.ResultError, match="and no archive: "):
            open_archive(other)


@pytest.fixture
def memory(tmp_path):
    return open_store(f"memory://hostile-{tmp_path.name}"), PublishedResult("memory", f"hostile-{tmp_path.name}", KEY)


@pytest.mark.parametrize(
    ("column", "value"),
    [("name", "../score.txt"), ("size", 1 << 62), ("size", 3), ("mode", True), ("crc32", 1), ("head", 2), ("time", 1)],
)
def test_a_forged_index_is_an_error_of_the_library_and_writes_nothing(memory, tmp_path, column, value):
    data, root, pages = parts(indexed.archive(TREE))
    pages[0]["members"][column][pages[0]["members"]["name"].index("score.txt")] = value
    if column == "size":
        root |= {"sorted": False}
    result = replace(put(memory, forged(data, root, pages)), checksum_sha256=None)
    for call in (
        lambda: open_archive(result).open("score.txt").read(),
        lambda: fetch(result, tmp_path / "out", members=["*.txt"]),
        lambda: fetch(result, tmp_path / "out", members=["/score.txt"]),
    ):
        with pytest.raises(keystow.ArchiveError):
            call()
    assert not (tmp_path / "out").exists()


def test_a_link_that_leads_out_is_refused(memory, tmp_path):
    result = published(memory, tree_of(FILES, Entry("out", "symlink", target="../../etc")))
    with pytest.raises(UnsafeArchiveError, match="leads out"):
        fetch(result, tmp_path / "some", members=["/out"])
    fetch(result, tmp_path / "some", members=["*.txt"])


def test_two_members_of_a_name_are_refused(memory, tmp_path):
    twice = Tree((Entry("a", "file", 1), Entry("a", "file", 1)), lambda entry: iter([b"x"]))
    with mock.patch("keystow.archive.indexing._MOST_MEMBERS", 1):  # an index names none twice in one page
        data, index = indexed.data_and_index(twice, sizes=[1024] * 2)
    result = put(memory, data + b"".join(index.pieces), Checksum(index.sha256))
    with open_archive(result) as archive, pytest.raises(UnsafeArchiveError, match="two members"):
        list(archive)
    with pytest.raises(UnsafeArchiveError, match="two members"):
        fetch(result, tmp_path / "some", members=["a"])
    assert not (tmp_path / "some").exists()


def test_limits_hold_for_members(memory, tmp_path):
    result = published(memory)
    for limits in (Limits(bytes=1000), Limits(members=2)):
        with pytest.raises(LimitExceededError):
            fetch(result, tmp_path / "some", members=["*"], limits=limits)
        with pytest.raises(LimitExceededError):
            verify(result, members=["*"], limits=limits)
    assert not (tmp_path / "some").exists()


@pytest.mark.slow
def test_so_small_an_archive_may_not_hold_so_much(memory, tmp_path):
    result = published(memory, Tree.of({"small": b"x", "zeros": bytes(120 << 20)}))
    for read in (
        lambda: fetch(result, tmp_path / "some", members=["/zeros"]),
        lambda: verify(result, members=["/zeros"]),
    ):
        with pytest.raises(LimitExceededError, match="ratio"):
            read()
    assert not (tmp_path / "some").exists()
    assert fetch(result, tmp_path / "some", members=["/zeros"], limits=Limits(ratio=None)).bytes == 120 << 20
    verify(result, members=["/small"])


def content(result, name, limits):
    with source_of(result) as source:
        return b"".join(read_member(source, name, limits))


def listed(result, limits, store=None):
    with source_of(result, store=store) as source:
        return [entry.name for entry in list_members(source, limits=limits)]


def test_no_names_are_read_of_more_members_than_there_may_be(memory, tmp_path):
    files = {f"d/{name}": os.urandom(1 << 18) for name in "abcdefgh"}
    is_sorted = published(memory, Tree.of(files))
    data, root, pages = parts(indexed.archive(Tree.of(files)))
    is_not = put(memory, forged(data, root | {"sorted": False}, pages), key="unsorted.tar.gz")
    is_not = replace(is_not, checksum_sha256=None)
    few, enough = Limits(members=root["members"] - 1), Limits(members=root["members"])
    for result in (is_sorted, is_not):
        assert len(listed(result, enough)) == root["members"]
        for call in (listed, lambda *given: fetch(given[0], tmp_path / "some", members=["*a"], limits=given[1])):
            with pytest.raises(LimitExceededError, match="members"):
                call(result, few)
    with pytest.raises(LimitExceededError, match="members"):
        verify(is_sorted, members=["*a"], limits=few)
    assert verify(is_sorted, members=["d/a"], limits=few).members == 1
    assert content(is_sorted, "d/a", few) == content(is_not, "d/a", enough) == files["d/a"]
    with pytest.raises(LimitExceededError, match="members"):
        content(is_not, "d/a", few)
    store = Counting(memory[0])
    with pytest.raises(LimitExceededError):
        listed(is_not, few, store)
    assert store.asked == ["read"]


def test_a_stranger_names_a_file_only_with_a_digest_that_is_compared(tmp_path):
    (tmp_path / "store").mkdir()
    place = open_store(f"file://{tmp_path}/store"), PublishedResult("file", f"{tmp_path}/store", KEY)
    result = replace(published(place), claimed=True)
    assert fetch(result, tmp_path / "a", members=["*.txt"]).verified
    for call in (
        lambda: fetch(result, tmp_path / "b", members=["*.txt"], verify=False),
        lambda: open_archive(replace(result, checksum_sha256=None, index_sha256=None)),
        lambda: open_archive(result, verify=False),
    ):
        with pytest.raises(keystow.ResultError, match="allow"):
            call()
    assert open_archive(replace(result, checksum_sha256=None)).verified


class Denying(Counting):
    """A store of which named versions may not be read."""

    def read(self, key, *, version_id=None, **options):
        if version_id is not None:
            raise AccessDeniedError("no versions")
        yield from super().read(key, **options)

    def stat(self, key, *, version_id=None):
        if version_id is not None:
            raise AccessDeniedError("no versions")
        return self.store.stat(key)


def test_a_version_that_may_not_be_read_is_the_current_object_if_it_is_the_same(memory):
    result = replace(published(memory), version_id="1")
    for known in (result, replace(result, size=None)):
        with open_archive(known, store=Denying(memory[0])) as archive:
            assert archive.open("score.txt").read() == b"42"
    unproven = replace(result, index_sha256=None, checksum_sha256=None)
    with pytest.raises(AccessDeniedError):
        open_archive(unproven, store=Denying(memory[0]))


def test_so_is_one_whose_index_lies_beside_it(memory, tmp_path):
    current = put(memory, indexed.data_and_index(TREE)[0])
    with source_of(current) as source:
        (tmp_path / "index").write_bytes(b"".join(index_of(source)[0]))
    store = Denying(memory[0])
    result = replace(current, version_id="1")
    for known in (result, replace(result, size=None)):
        with open_archive(known, store=store, index=tmp_path / "index") as archive:
            assert archive.open("score.txt").read() == b"42"
        with pytest.raises(AccessDeniedError):
            open_archive(known, store=store, index=tmp_path / "index", verify=False)


def test_another_version_is_not_read_where_no_digest_is_compared(memory, tmp_path):
    result = replace(published(memory), version_id="1")
    published(memory, tree_of(FILES | {"score.txt": b"43"}))
    store = Denying(memory[0])
    for known in (result, replace(result, size=None)):
        for call in (
            lambda known=known: open_archive(known, store=store, verify=False),
            lambda known=known: fetch(known, tmp_path / "some", store=store, verify=False, members=["*.txt"]),
        ):
            with pytest.raises(AccessDeniedError):
                call()


def test_a_pattern_that_is_none_is_found_out_before_the_store_is_asked(memory, tmp_path):
    result = published(memory)
    store = Counting(memory[0])
    for patterns, said in ((["["], r"the pattern '\['"), ([], "no pattern"), (["!*.csv"], r"'!\*\.csv'")):
        with pytest.raises(ValueError, match=said):
            fetch(result, tmp_path / "some", store=store, members=patterns)
        with pytest.raises(ValueError, match=said):
            verify(result, store=store, members=patterns)
    assert store.asked == []


def test_threads_may_read_one_archive(result):
    with open_archive(result) as archive, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: (name, archive.open(name).read(), list(archive)), [*FILES] * 5))
    assert all(content == FILES[name] and len(names) == len(TREE.entries) for name, content, names in found)


def test_a_content_is_compared_with_its_checksum_once_it_is_read_in_order(memory):
    data, root, pages = parts(indexed.archive(TREE))
    members = pages[0]["members"]
    members["crc32"][members["name"].index("a/plots/small.png")] ^= 1
    result = replace(put(memory, forged(data, root, pages)), checksum_sha256=None)
    with open_archive(result) as archive, archive.open("a/plots/small.png") as file:
        file.seek(1)
        assert file.read() == b"mall"
        file.seek(0)
        for _ in range(2):
            with pytest.raises(CorruptArchiveError, match="CRC-32"):
                file.read()


def test_a_publisher_and_an_event_loop_take_members_too(memory, tmp_path):
    result = published(memory)
    with keystow.Publisher(f"memory://{result.bucket}/k") as publisher:
        assert publisher.fetch(result, tmp_path / "some", members=["*.txt"]).members == 1
        assert publisher.verify(result, members=["*.png"]).members == 2
    assert asyncio.run(keystow.averify(result, members=["*.png"])).members == 2


def test_how_much_has_moved_is_told(result, tmp_path):
    told = []
    fetch(result, tmp_path / "some", members=["*.png"], progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(PLOT) + 5, len(PLOT) + 5)
