"""What the command reads of an archive, and of a prefix, on each kind of store, by so many requests and no more."""

import io
import json
import os
import subprocess
from dataclasses import replace

import counted_places
import indexed
import pytest
from archive_strategies import seen
from commands import complaint, run
from counted_places import NODES, change, written

from keystow import Checksum, PublishedResult, publish
from keystow.archive import scan, tar
from keystow.archive.manifest import NAME

pytestmark = [pytest.mark.server, pytest.mark.slow]

moto, place, source = counted_places.moto, counted_places.place, counted_places.source
keystow = counted_places.keystow


# ---------------------------------------------------------------------------------------------------
# Members


@pytest.fixture(params=["archive", "prefix/"])
def result(request, place, source, tmp_path):
    """The file with the result of an archive, or of a prefix."""
    archive = request.param == "archive"
    return written(publish(source, place(request.param), archive=archive), tmp_path / request.param.strip("/"))


def test_members_are_listed(place, result, keystow):
    """By the end of the archive, or the manifest."""

    def listed(*more):
        with place.asks("GET", most=1 << 16):
            ran = keystow("ls", result, *more)
        assert (ran.status, ran.err) == (0, "")
        return ran.out.splitlines()

    names = sorted([*NODES, "tables"] if result.name == "archive" else NODES)
    assert sorted(listed()) == names
    assert sorted(json.loads(line)["name"] for line in listed("--output", "json")) == names
    assert listed("tables/*9.csv") == [f"tables/{number}9.csv" for number in ("00", "01", "02")]
    assert listed("--long", "/score.txt") == ["-rw-r--r--            3 2001-09-09T01:46:40Z score.txt"]


def test_a_member_is_printed_fetched_and_verified(place, result, keystow, tmp_path):
    """By what lists it, and the range where it lies, or its object."""
    with place.asks("GET", "GET", most=1 << 17):
        assert keystow("cat", result, "a.txt") == (0, "1\n", "")
    with place.asks("GET", "GET", most=1 << 17):
        ran = keystow("get", result, tmp_path / "some", "--member", "/a.txt", "--output", "json")
    assert (ran.status, json.loads(ran.out)["verified"], os.listdir(tmp_path / "some")) == (0, True, ["a.txt"])
    with place.asks("GET", "GET", most=1 << 17):
        assert "verified 1 member of 2 bytes" in keystow("verify", result, "--member", "a.txt").err
    with place.asks("GET"):
        assert "'*.jpg'" in complaint(keystow("verify", result, "--member", "*.jpg"), 1)


# ---------------------------------------------------------------------------------------------------
# Indexes


def stored(place, key, content):
    """A result of which no more is known than the content's SHA-256."""
    with place.opened() as store:
        sha256 = store.write(key, [content]).sha256
    known = PublishedResult.parse(place(key))
    return replace(known, checksum_sha256=Checksum(sha256))


def of_keystow(source):
    return indexed.data_and_index(scan(source))[0]


def of_tar(source):
    return subprocess.run(
        ["tar", "-C", source, "-cz", *sorted(os.listdir(source))], capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("packed", [of_keystow, of_tar])
def test_an_index_is_made_beside(packed, place, source, keystow, tmp_path):
    """All is read for it, twice of what inflates only from its start; and then no more than it leads to."""
    content = packed(source)
    result = written(stored(place, "k.tar.gz", content), tmp_path / "result.json")
    index = tmp_path / "index"
    times = 1 if packed is of_keystow else 2
    with place.asks(*["GET"] * times, perhaps=2 * times, most=times * len(content)):
        ran = keystow("index", result, "--index", index, "--output", "json")
    assert (ran.status, json.loads(ran.out)["sequential"]) == (0, packed is of_tar)
    given, most = ("--index", index), 2 << 20  # a block, or what lies before the member
    with place.asks(place.look, "GET", most=1 << 16):
        assert sorted(keystow("ls", result, *given).out.split()) == sorted([*NODES, "tables"])
    with place.asks(place.look, "GET", "GET", most=most):
        assert keystow("cat", result, "a.txt", *given) == (0, "1\n", "")
    with place.asks(place.look, "GET", "GET", most=most):
        assert keystow("get", result, tmp_path / "some", "--member", "/a.txt", *given).status == 0
    assert (tmp_path / "some/a.txt").read_bytes() == b"1\n"
    with place.asks(place.look, "GET", "GET", most=most):
        assert "verified 1 member of 2 bytes" in keystow("verify", result, "--member", "a.txt", *given).err


class Remote(io.RawIOBase):
    """An object of a store, each read of which is a request."""

    def __init__(self, store, key):
        self._store, self._key, self._at, self._size = store, key, 0, store.stat(key).size

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self):
        return self._at

    def readinto(self, buffer):
        stop = min(self._at + len(buffer), self._size)
        found = b"".join(self._store.read(self._key, start=self._at, stop=stop)) if self._at < stop else b""
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def test_indexed_gzip_reads_by_the_index_of_an_archive(place, source, keystow, tmp_path):
    """The end of the archive is enough to write it; by it, as much is read as indexed_gzip asks for at once."""
    indexed_gzip = pytest.importorskip("indexed_gzip")
    published = publish(source, place("archive"))
    stream = b"".join(tar(scan(source)))
    with place.asks("GET", most=1 << 16):
        assert keystow("index", written(published, tmp_path / "r.json"), "--gzidx", tmp_path / "gzidx").status == 0
    with place.opened() as store:
        remote, at_once = Remote(store, published.key), {"buffer_size": 1000, "readbuf_size": 1 << 20}
        with indexed_gzip.IndexedGzipFile(remote, index_file=str(tmp_path / "gzidx"), **at_once) as file:
            for at in (len(stream) - (3 << 20), 700, len(stream) - 12_000):
                with place.asks("GET", perhaps=1, most=2 << 20):
                    file.seek(at)
                    assert file.read(1000) == stream[at : at + 1000]


# ---------------------------------------------------------------------------------------------------
# Whether it is the same


def test_a_directory_is_compared(place, source, keystow, tmp_path):
    """Nothing is asked if it is what was published, and if it is not, for the index."""
    result = written(publish(source, place("archive")), tmp_path / "result.json")
    with place.asks():
        assert f" was not read: {len(NODES) + 1} members" in keystow("verify", result, "--against", source).err
    change(source)
    with place.asks("GET", most=1 << 16):
        ran = keystow("verify", result, "--against", source)
    assert (ran.status, ran.out) == (4, "")
    assert ran.err.splitlines()[1:] == ["keystow: 'score.txt' has another content in the directory"]


@pytest.mark.parametrize("key", ["archive", "files/"])
def test_results_are_compared(key, place, source, keystow, tmp_path):
    """Nothing is asked if enough agree, and of those that do not, two indexes, or manifests."""
    archive = key == "archive"
    results = [
        written(publish(source, place(f"{number}-{key}"), archive=archive), tmp_path / number) for number in "12"
    ]
    change(source)
    results.append(written(publish(source, place(f"3-{key}"), archive=archive), tmp_path / "3"))
    with place.asks():
        assert "2 of 3 agree" in keystow("agree", *results, "--quorum", "2").err
    with place.asks("GET", "GET", most=1 << 17):
        ran = keystow("agree", *results, "--quorum", "3", "--output", "json")
    found = json.loads(ran.out)
    assert (ran.status, [group["numbers"] for group in found["groups"]]) == (4, [[1, 2], [3]])
    assert [(each["name"], each["what"]) for each in found["differences"]] == [("score.txt", "content")]


# ---------------------------------------------------------------------------------------------------
# A prefix, by its manifest


@pytest.fixture
def prefix(place, source, keystow, tmp_path):
    """The file with the result of a prefix that the command published."""
    assert keystow("publish", source, place("run/"), "--plain", "--result", tmp_path / "result.yaml").status == 0
    return tmp_path / "result.yaml"


def test_sha256sum_takes_what_is_listed(place, prefix, keystow, tmp_path):
    with place.asks(*["GET"] * (1 + len(NODES) + 1), perhaps=1):
        assert keystow("get", prefix, tmp_path / "back").status == 0
    with place.asks("GET", most=1 << 16):
        sums = keystow("manifest", prefix, "--output", "sha256sum").out
    checked = run("sha256sum", "--check", "--strict", "-", stdin=sums, cwd=tmp_path / "back", LC_ALL="C")
    assert (checked.status, checked.out.count(": OK\n"), checked.err) == (0, len(NODES), "")
    (tmp_path / "back/a.txt").write_bytes(b"2\n")
    checked = run("sha256sum", "--check", "-", stdin=sums, cwd=tmp_path / "back", LC_ALL="C")
    assert (checked.status, "a.txt: FAILED\n" in checked.out) == (1, True)


def test_what_else_lies_there_is_named(place, prefix, keystow):
    with place.opened() as store:
        store.write("run/tables/other.csv", [b"1\n"])
    assert keystow("verify", prefix).status == 0
    assert complaint(keystow("verify", prefix, "--strict"), 4).endswith("were not published: 'tables/other.csv'")


def test_what_was_cut_off_is_not_there_and_is_published_anew(place, prefix, source, keystow, tmp_path):
    """A manifest is what says that something is there."""
    again = ("publish", source, place("run/"), "--plain", "--if-exists", "error")
    with place.asks(place.look, "GET"):
        assert "was already published" in complaint(keystow(*again), 3)
    with place.opened() as store:
        store.delete(f"run/{NAME}")
    back = tmp_path / "back"
    for call in (["get", place("run/"), back], ["ls", place("run/")]):
        with place.asks("GET"):
            assert "nothing was published under" in complaint(keystow(*call), 1)
    if place.keeps_versions:
        assert keystow("verify", prefix).status == 0, "the version that was published is there"
    else:
        version = ["GET"] if place.sandbox.name == "gcs" else []  # of which there is but one, and then the current one
        for call in (["get", prefix, back], ["verify", prefix], ["ls", prefix]):
            with place.asks(*version, "GET"):
                assert "as its manifest is gone" in complaint(keystow(*call), 1)
    assert not back.exists()
    assert keystow(*again, "--result", tmp_path / "again.yaml").status == 0
    assert keystow("get", tmp_path / "again.yaml", back).status == 0
    assert seen(back, times="file") == seen(source, times="file")
