"""Whether executions agree: what is compared, what is read for that, and which members differ."""

import json
import os
import random
import re
from contextlib import closing
from dataclasses import replace
from unittest import mock

import indexed
import pytest
from archive_strategies import Link, Program, lay
from commands import complaint, keystow
from forged import forged, parts
from hypothesis import given
from hypothesis import strategies as st
from sample_tree import FILES, TREE, tree_of

from keystow import Checksum, PublishedResult, ResultError, VerificationError, agree, agreement, publish, reading
from keystow.agreement import first_differences
from keystow.archive import Entry, Tree
from keystow.backends import NotFoundError, open_store
from keystow.result import WRAPPER

TIME = 1_700_000_000


class Counting:
    """A store that notes what is asked of it."""

    def __init__(self, store, asked):
        self.store, self.asked = store, asked

    def __getattr__(self, name):
        if name != "close":
            self.asked.append(name)
        return getattr(self.store, name)


@pytest.fixture
def asked(monkeypatch):
    """What is asked of stores that hold results."""
    asked = []
    opened = reading.open_place
    monkeypatch.setattr(reading, "open_place", lambda *given: Counting(opened(*given), asked))
    return asked


@pytest.fixture
def execute(tmp_path):
    """An execution of a job with a seed, whose result is published; it may go wrong in its own ways."""

    def run(to, *, seed=7, mtime=TIME, **others):
        noise = random.Random(seed)
        nodes = {f"tables/{number:03}.csv": b"%d\n" % noise.randrange(10**9) for number in range(300)}
        nodes |= {"run.sh": Program(b"#!/bin/sh\n"), "latest": Link("tables/000.csv"), "empty": None}
        nodes = {name: node for name, node in (nodes | others).items() if node != "gone"}
        return publish(lay(tmp_path / f"run-{len(os.listdir(tmp_path))}", nodes), to, mtime=mtime, **options(to))

    return run


def options(to):
    return {"archive": False} if to.split(",")[0].endswith("/") else {}


def told(agreement):
    return [(each.name, each.what) for each in agreement.differences]


def test_those_that_agree_are_found_without_a_request(place, execute, asked):
    results = [execute(place(f"e-{number}"), seed=seed) for number, seed in enumerate((7, 7, 8))]
    agreement = agree(results, quorum=2)
    assert (agreement.agreed, agreement.quorum, agreement.differences, agreement.notes) == (True, 2, (), ())
    assert [(group.sha256, group.numbers) for group in agreement.groups] == [
        (results[0].tar_sha256, (1, 2)),
        (results[2].tar_sha256, (3,)),
    ]
    assert agreement.groups[0].results == tuple(results[:2])
    assert not agree(results, differences=0).agreed
    assert asked == []


def test_no_request_is_sent_to_a_server_of_s3(proxy, bucket, seaweed, login, execute):
    login(seaweed)
    to = f"s3://{bucket}/agree/{{}},opt=endpoint={proxy.url},opt=region=us-east-1"
    results = [execute(to.format(name), **{"score.txt": name}) for name in (b"1", b"2")]
    proxy.clear()
    assert not agree(results, differences=0).agreed
    assert agree([results[0], results[0]]).agreed
    assert proxy.requests == []
    assert told(agree(results)) == [("score.txt", "content")]
    assert [(each.method, each.headers["range"]) for each in proxy.requests] == [
        ("GET", f"bytes=0-{result.size - 1}") for result in results
    ]


def test_one_request_each_tells_which_members_of_two_stores_differ(place, file_place, execute, asked):
    """A job with a seed whose log is not of it alone."""
    one = execute(place("e"), log=b"at 12:00")
    other = execute(file_place("elsewhere"), **{"log": b"at 12:01", "core": b"", "tables/007.csv": "gone"})
    agreement = agree([one, other])
    assert not agreement.agreed
    assert {each.sha256 for each in agreement.differences} == {other.tar_sha256}
    assert told(agreement) == [("core", "added"), ("log", "content"), ("tables/007.csv", "missing")]
    assert asked == ["read", "read"]


def test_everything_that_an_index_tells_of(memory_place, execute):
    one = execute(memory_place("1"), a=b"1", b=b"x", c=Link("a"), d=b"", e=b"1")
    other = execute(memory_place("2"), a=None, b=Program(b"x"), c=Link("b"), d=b"1", e=b"2")
    assert told(agree([one, other])) == [
        ("a", "kind"),
        ("b", "mode"),
        ("c", "target"),
        ("d", "content"),
        ("e", "content"),
    ]


def test_what_differs_in_time_alone_comes_last(memory_place, execute):
    one = execute(memory_place("1"), z=b"1")
    other = execute(memory_place("2"), mtime=TIME + 1, z=b"2")
    assert told(agree([one, other], differences=3)) == [("z", "content"), ("empty", "time"), ("latest", "time")]
    assert told(agree([one, other], differences=1)) == [("z", "content")]


def test_each_smaller_group_is_compared_with_the_largest(memory_place, execute):
    results = [execute(memory_place(str(number)), score=score) for number, score in enumerate((b"1", b"2", b"1", b"3"))]
    agreement = agree(results, quorum=3)
    assert [group.numbers for group in agreement.groups] == [(1, 3), (2,), (4,)]
    assert [(each.name, each.sha256) for each in agreement.differences] == [
        ("score", results[1].tar_sha256),
        ("score", results[3].tar_sha256),
    ]


def test_two_that_both_have_the_quorum_are_no_agreement(memory_place, execute):
    one, other = (execute(memory_place(str(seed)), seed=seed) for seed in (1, 2))
    assert agree([one, one, other], quorum=2).agreed
    assert not agree([one, one, other, other], quorum=2).agreed
    assert not agree([one, other], quorum=1).agreed
    assert agree([one, one], quorum=1).agreed


@pytest.mark.parametrize("quorum", [0, 3, -1])
def test_a_quorum_that_cannot_be(memory_place, execute, quorum):
    result = execute(memory_place("1"))
    with pytest.raises(ResultError, match=r"quorum=.* of 2 results"):
        agree([result, result], quorum=quorum)


def test_what_cannot_be_compared_is_refused_before_anything_is_asked(memory_place, execute, small, asked):
    archive, prefix = execute(memory_place("a")), execute(memory_place("p/"))
    raw = publish(small / "score.txt", memory_place("r"), raw=True)
    for results, said in (
        ([archive, prefix], r"an archive, and .* a prefix: compare"),
        ([prefix, raw], "a prefix, and .* a file as it is"),
        ([archive], "fewer than two"),
        ([], "fewer than two"),
        ([prefix, replace(prefix, checksum_sha256=None)], "no ChecksumSHA256"),
        (["https://example.com/a.tar.gz", archive], "URL"),
    ):
        with pytest.raises(ResultError, match=said):
            agree(results)
    with pytest.raises(ValueError, match="differences=-1"):
        agree([archive, archive], differences=-1)
    assert asked == []


def test_prefixes_and_files_as_they_are_are_compared_by_their_checksums(memory_place, execute, small, asked):
    given = {"run.sh": "gone", "latest": "gone", "empty": "gone"}
    one, other, third = (execute(memory_place(f"{seed}/"), seed=seed, mtime=None, **given) for seed in (1, 1, 2))
    assert agree([one, other]).agreed
    agreement = agree([one, other, third])
    assert not agreement.agreed
    assert {difference.what for difference in agreement.differences} == {"content"}
    raw = [publish(small / name, memory_place(name), raw=True) for name in ("score.txt", "empty.txt")]
    assert agree([raw[0], raw[0]]).agreed
    asked.clear()
    different = agree(raw)
    assert not different.agreed
    assert "only archives and prefixes tell what they hold" in different.notes[0]
    assert asked == []


def test_files_of_prefixes_that_differ_are_named(memory_place, tmp_path, asked):
    """By their manifests alone, in whatever order names are where ``/`` and other characters stand."""
    same = {"a-b": b"1", "a/b": b"2", "a.b": b"3"}
    one = publish(
        lay(tmp_path / "one", same | {"content": b"1", "gone": b"", "a/x": b"1"}), memory_place("1/"), archive=False
    )
    other = lay(tmp_path / "other", same | {"content": b"2", "new": b"", "a-x": b"1"}, mtime=TIME + 5)
    other = publish(other, memory_place("2/"), archive=False)
    found = agree([one, other])
    told = {(each.name, each.what) for each in found.differences}
    assert told == {("content", "content"), ("gone", "missing"), ("a/x", "missing"), ("new", "added"), ("a-x", "added")}
    assert asked == ["read", "read"]


def test_of_a_prefix_without_a_manifest_no_files_are_named(memory_place, tmp_path):
    made = lay(tmp_path / "made", {"a": b"1"}), lay(tmp_path / "other", {"a": b"2"})
    bare = [publish(each, memory_place(f"{n}/"), archive=False, manifest=False) for n, each in enumerate(made)]
    assert "has no manifest" in agree(bare).notes[0]


@pytest.fixture
def memory(tmp_path):
    with closing(open_store(f"memory://agree-{tmp_path.name}")) as store:
        yield store, PublishedResult("memory", f"agree-{tmp_path.name}", "k.tar.gz")


def put(memory, key, made, **known):
    """``made`` in the store, and its result, which knows nothing but ``known``."""
    store, result = memory
    store.write(key, [made])
    return replace(result, key=key, **known)


def published(memory, key, tree, **known):
    data, index = indexed.data_and_index(tree)
    return put(memory, key, data + b"".join(index.pieces), **known), Checksum(index.sha256)


def test_the_index_tells_what_a_result_does_not(memory, asked):
    """Whatever compressed it: blocks of other sizes are another index, and the same tar stream."""
    one, digest = published(memory, "1.tar.gz", TREE)
    other = put(memory, "2.tar.gz", indexed.archive(TREE, sizes=[1000]))
    assert agree([one, other]).agreed
    assert agree([replace(one, index_sha256=digest, claimed=True), other]).agreed
    assert agree([other.url, one.url, one.to_mapping() | {"Type": "memory"}], allow={"memory"}).agreed
    assert set(asked) == {"stat", "read"}
    with pytest.raises(ResultError, match="no index, and its result no TarSHA256"):
        agree([one, put(memory, "3.tar.gz", indexed.data_and_index(TREE)[0])])


def test_a_stranger_names_no_store_that_fetch_would_not_read(memory):
    one, _ = published(memory, "1.tar.gz", TREE)
    with pytest.raises(ResultError, match="'memory' is not used without a checksum"):
        agree([one.to_mapping(), one.to_mapping()])
    evil = replace(one, type="gs", bucket="b", endpoint="https://evil.example.com", claimed=True)
    with pytest.raises(ResultError, match="evil"):
        agree([evil, evil])
    assert agree([replace(evil, tar_sha256=Checksum("0" * 64))] * 2).agreed


def test_what_was_replaced_is_an_error_only_where_its_digest_has_to_be_read(memory):
    one, one_digest = published(memory, "1.tar.gz", TREE)
    other, _ = published(memory, "2.tar.gz", tree_of(FILES))
    with pytest.raises(VerificationError, match=r"2\.tar\.gz.* with that of .* was published"):
        agree([one, replace(other, index_sha256=one_digest)])  # its digest has to be read
    said = [replace(one, tar_sha256=Checksum(character * 64)) for character in "01"]
    assert "says that its tar stream has the SHA-256" in agree(said).notes[0]
    assert agree(said, differences=0).notes == ()


def test_what_is_gone_leaves_the_verdict_and_what_differs_of_the_others(memory_place, execute, stored):
    one, gone, third = (execute(memory_place(str(seed)), seed=seed) for seed in (1, 2, 3))
    stored(gone).delete(gone.key)
    found = agree([one, gone, third, one])
    assert [group.numbers for group in found.groups] == [(1, 4), (2,), (3,)]
    assert "is not told: " in found.notes[0]
    assert gone.key in found.notes[0]
    assert {difference.sha256 for difference in found.differences} == {third.tar_sha256}
    assert agree([one, gone, one], quorum=2).agreed


def test_of_several_that_agree_one_that_can_be_read_tells_what_differs(memory_place, execute, stored):
    gone, there, other = (execute(memory_place(name), seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    expected = agree([there, other]).differences
    stored(gone).delete(gone.key)
    found = agree([gone, there, other])
    assert (found.differences, found.notes) == (expected, ())
    assert expected != ()


def test_what_could_not_be_read_is_not_tried_again(memory_place, execute, stored):
    gone, *others = (execute(memory_place(str(seed)), seed=seed) for seed in (1, 2, 3))
    stored(gone).delete(gone.key)
    with mock.patch("keystow.agreement.opened_archive", wraps=agreement.opened_archive) as opened:
        found = agree([gone, *others])
    assert [call.args[0] for call in opened.call_args_list] == [gone]
    assert len(found.notes) == 2


def test_what_has_to_be_read_for_its_digest_and_is_gone_is_an_error(memory_place, execute, stored):
    one, gone = (execute(memory_place(str(seed)), seed=seed) for seed in (1, 2))
    stored(gone).delete(gone.key)
    with pytest.raises(NotFoundError):
        agree([one, replace(gone, tar_sha256=None)])


def test_a_damaged_index_is_told_of_the_archive_that_has_it(memory):
    one, _ = published(memory, "1.tar.gz", TREE)
    data, root, pages = parts(indexed.archive(tree_of(FILES)))
    damaged = bytearray(forged(data, root, pages))
    damaged[root["data"] + 40] ^= 1  # in a page
    other = put(memory, "2.tar.gz", bytes(damaged))
    for results in ([one, other], [other, one]):
        assert "is damaged" in agree(results).notes[0]
        proved = agree([replace(each, index_sha256=_index_of(memory, each)) for each in results])
        assert re.search(r"is not told: .*2\.tar\.gz", proved.notes[0])


def _index_of(memory, result):
    made = b"".join(memory[0].read(result.key))
    return Checksum(made[-42:-10].hex())


@pytest.mark.parametrize(("column", "value"), [("name", "../up"), ("crc32", -1), ("name", "a")])
def test_nothing_is_told_by_a_hostile_index(memory, column, value):
    one, _ = published(memory, "1.tar.gz", TREE)
    data, root, pages = parts(indexed.archive(tree_of(FILES)))
    pages[0]["members"][column][-1] = value
    found = agree([one, put(memory, "2.tar.gz", forged(data, root, pages))])
    assert (found.agreed, found.differences) == (False, ())
    assert "is not told: " in found.notes[0]


def test_what_the_indexes_do_not_tell_is_not_called_the_same(memory):
    """Another digest with all members alike: of content with the same CRC-32, or a forged root."""
    one, _ = published(memory, "1.tar.gz", TREE)
    data, root, pages = parts(indexed.archive(TREE))
    other = put(memory, "2.tar.gz", forged(data, root | {"tar": root["tar"] | {"sha256": "0" * 64}}, pages))
    agreement = agree([one, other])
    assert (agreement.agreed, agreement.differences) == (False, ())
    assert "what their indexes do not tell" in agreement.notes[0]
    unsorted = put(
        memory, "3.tar.gz", forged(data, root | {"sorted": False, "tar": root["tar"] | {"sha256": "1" * 64}}, pages)
    )
    assert "not sorted" in agree([one, unsorted]).notes[0]
    bare = put(memory, "4.tar.gz", data, tar_sha256=Checksum("2" * 64))
    assert "no index" in agree([one, bare]).notes[0]


ENTRIES = st.builds(
    Entry,
    st.sampled_from(["a", "a/b", "a-b", "a.b", "b", "ü", "\udcff"]),
    st.sampled_from(["file", "directory", "symlink"]),
    st.integers(0, 1),
    st.integers(0, 1),
    st.booleans(),
    st.sampled_from(["", "x"]),
).map(lambda entry: replace(entry, executable=entry.executable and entry.kind == "file"))
MEMBERS = st.lists(st.tuples(ENTRIES, st.integers(0, 1)), unique_by=lambda member: member[0].name)


def in_order(members):
    return sorted(members, key=lambda member: member[0].name.encode("utf-8", "surrogateescape").split(b"/"))


@given(MEMBERS, MEMBERS, st.integers(1, 5))
def test_exactly_what_differs_is_found(one, other, most):
    found = first_differences(iter(in_order(one)), iter(in_order(other)), most)
    whole = first_differences(iter(in_order(one)), iter(in_order(other)), 100)
    assert found == whole[:most]
    here, there = ({entry.name: (entry, crc32) for entry, crc32 in members} for members in (one, other))
    assert {name for name, _ in whole} == {name for name in here | there if here.get(name) != there.get(name)}
    assert {name for name, what in whole if what == "missing"} == here.keys() - there.keys()
    assert {name for name, what in whole if what == "added"} == there.keys() - here.keys()
    times = [what == "time" for _, what in whole]
    assert times == sorted(times)


def test_no_more_is_read_than_it_takes():
    one = iter([(Entry(f"{number:02}", "file"), 0) for number in range(90)])
    assert len(first_differences(one, iter([]), 3)) == 3
    assert len(list(one)) == 87


@pytest.mark.slow
def test_indexes_of_several_pages_are_walked(memory):
    files = {f"d/{number:06}": b"%d" % number for number in range(9000)}
    one, _ = published(memory, "1.tar.gz", Tree.of(files))
    other, _ = published(memory, "2.tar.gz", Tree.of(files | {"d/008999": b"!"}))
    assert told(agree([one, other])) == [("d/008999", "content")]
    third, _ = published(memory, "3.tar.gz", Tree.of(dict.fromkeys(files, b"")))
    assert len(agree([one, third]).differences) == 10


class Ranged:
    """A store that notes which bytes are read."""

    def __init__(self, store, ranges):
        self.store, self.ranges = store, ranges

    def __getattr__(self, name):
        return getattr(self.store, name)

    def read(self, key, **options):
        self.ranges.append((key, options["start"], options["stop"]))
        return self.store.read(key, **options)


@pytest.mark.parametrize(
    ("changed", "differing", "gap", "pages"),
    [
        ({"d/000001": b"!"}, ["content"], 1 << 20, [1]),
        ({"d/000001": b"!", "d/000060": b"!"}, ["content", "content"], 1 << 20, [4]),
        ({"d/000001": b"!", "d/000060": b"!"}, ["content", "content"], 0, [1, 1]),
        ({"d/000001": None, "d/002000": b"!"}, ["missing", "content"], 1 << 20, [150]),
    ],
    ids=["one", "near", "far", "where pages end elsewhere"],
)
def test_pages_that_both_indexes_have_are_passed_over(memory, monkeypatch, changed, differing, gap, pages):
    """Of 150 pages of 20 members; only what lies between two that are read is read along, if it is little."""
    files = {f"d/{number:06}": b"%d" % number for number in range(3000)}
    results, asked = [], []
    for key, contents in (("1", files), ("2", files | changed)):
        tree = Tree.of({name: content for name, content in contents.items() if content is not None})
        with mock.patch("keystow.archive.indexing._MOST_MEMBERS", 20):
            made = indexed.archive(tree, sizes=[1024] * 3000)
        root = parts(made)[1]
        results.append(put(memory, key, made, tar_sha256=Checksum(root["tar"]["sha256"])))
    opened = reading.open_place
    monkeypatch.setattr(reading, "open_place", lambda *given: Ranged(opened(*given), asked))
    monkeypatch.setattr("keystow.archive.index.TAIL", 20_000)
    monkeypatch.setattr("keystow.archive.index._GAP", gap)
    assert told(agree(results)) == list(zip(changed, differing, strict=True))
    assert [stop - start for _, start, stop in asked[:2]] == [20_000, 20_000]
    longest = max(root["pages"]["length"])
    for key in "12":
        read = [stop - start for found, start, stop in asked[2:] if found == key]
        assert len(read) == len(pages)
        assert all(size <= longest * count for size, count in zip(read, pages, strict=True))


def written(path, *results):
    path.write_text("\n".join(json.dumps({WRAPPER: result.to_mapping()}) for result in results))
    return path


@pytest.fixture
def three(file_place, execute, tmp_path):
    """The files with two results that agree, and of one that does not."""
    results = [execute(file_place(f"e{number}"), score=score) for number, score in enumerate((b"1", b"1", b"2"))]
    return results, written(tmp_path / "two.json", *results[:2]), written(tmp_path / "third.json", results[2])


@pytest.mark.slow
def test_the_command_says_who_agrees(three):
    (one, two, third), both, other = three
    ran = keystow("agree", both)
    assert (ran.status, ran.err) == (0, f"keystow: 2 of 2 agree, SHA-256 {one.tar_sha256}\n")
    assert ran.out.splitlines() == [f"{one.tar_sha256}  2 results", f"      1    {one.url}", f"      2    {two.url}"]
    assert keystow("agree", other, "--quorum", "2", "-", stdin=both.read_text()).status == 0
    ran = keystow("agree", both, other)
    assert (ran.status, ran.err) == (4, "keystow: of 3 results, 2 agree, and 3 have to agree\n")
    assert ran.out.splitlines()[3:] == [f"{third.tar_sha256}  1 result", f"      3    {third.url}", "  content  score"]
    ran = keystow("agree", other, both, other, "--quorum", "2")
    assert (ran.status, "two groups have the 2 that have to agree" in ran.err) == (4, True)


@pytest.mark.slow
def test_the_command_tells_a_program(three):
    (one, _, third), both, other = three
    ran = keystow("agree", both, other, "--output", "json")
    assert ran.status == 4
    found = json.loads(ran.out)
    assert found.keys() == {"agreed", "quorum", "groups", "differences", "notes"}
    assert (found["agreed"], found["quorum"], found["notes"]) == (False, 3, [])
    assert [(group["sha256"], group["numbers"]) for group in found["groups"]] == [
        (one.tar_sha256, [1, 2]),
        (third.tar_sha256, [3]),
    ]
    assert found["groups"][1]["results"] == [{WRAPPER: third.to_mapping()}]
    assert found["differences"] == [{"name": "score", "what": "content", "sha256": third.tar_sha256}]
    (error,) = map(json.loads, ran.err.splitlines())
    assert (error["kind"], error["status"]) == ("checksum_mismatch", 4)


@pytest.mark.slow
def test_the_command_says_what_is_wrong_with_a_call(three, tmp_path):
    _, both, other = three
    assert "--quorum 3 cannot be of 2" in complaint(keystow("agree", both, "--quorum", "3"), 2)
    assert "fewer than two" in complaint(keystow("agree", other), 2)
    (tmp_path / "published" / "e2.tar.gz").unlink()
    ran = keystow("agree", both, other)
    assert (ran.status, len(ran.out.splitlines())) == (4, 5)
    assert "is not told: " in ran.err
    assert "is not told: " in keystow("agree", "-q", both, other).err


@pytest.mark.slow
def test_times_alone_are_said_to_be(file_place, execute, tmp_path):
    results = [execute(file_place(str(time)), mtime=time) for time in (1, 2)]
    ran = keystow("agree", written(tmp_path / "r.json", *results), "--differences", "1")
    assert (ran.status, ran.out.splitlines()[-1]) == (4, "  time     empty")
    assert "SOURCE_DATE_EPOCH" in ran.err


@pytest.mark.slow
def test_names_are_escaped_for_people_and_whole_for_programs(file_place, execute, tmp_path):
    results = [execute(file_place(score.decode()), **{"\x1b[2Jx\n": score}) for score in (b"1", b"2")]
    file = written(tmp_path / "r.json", *results)
    assert keystow("agree", file).out.splitlines()[-1] == r"  content  \x1b[2Jx\n"
    assert json.loads(keystow("agree", file, "--output=json").out)["differences"][0]["name"] == "\x1b[2Jx\n"
