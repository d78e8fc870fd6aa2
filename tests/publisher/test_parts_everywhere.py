"""What is read of an archive, and of a prefix, on each kind of store: the same, by so many requests and no more."""

import hashlib
import subprocess
from dataclasses import replace

import counted_places
import fsspec
import pytest
from archive_strategies import lay, seen
from counted_places import NODES, change, written

from keystow import AlreadyPublishedError, Checksum, VerificationError, agree, fetch, open_archive, publish, verify
from keystow.filesystem import ArchiveFileSystem
from keystow.indexed import source_of
from keystow.members import index_of

pytestmark = pytest.mark.server

moto, place, source = counted_places.moto, counted_places.place, counted_places.source


def test_members_of_an_archive(place, source, tmp_path):
    """The end of the object, and the range where the member lies, if that is not near the end."""
    published = publish(source, place("archive"))
    with place.asks("GET", "GET", most=1 << 17), open_archive(published) as archive:
        assert archive.verified
        assert set(archive) == {*NODES, "tables"}
        assert archive.open("a.txt").read() == b"1\n"
    with place.asks("GET", most=1 << 16), open_archive(published) as archive:
        assert archive.open("score.txt").read() == b"42\n"
    with place.asks("GET", "GET", most=1 << 17):
        assert fetch(published, tmp_path / "some", members=["/a.txt"]).verified
    assert (tmp_path / "some/a.txt").read_bytes() == b"1\n"
    with place.asks("GET", "GET"):
        assert verify(published, members=["a.txt"]).size == 2


def test_an_archive_of_another_program(place, source, tmp_path):
    """Once to make its index, as it inflates only from its start; then its end, and what lies before the member."""
    made = subprocess.run(["tar", "-C", source, "-cz", "."], capture_output=True, check=True).stdout
    own = publish(source, place("own"))
    with place.opened() as store:
        store.write("others", [made])
    sha256 = Checksum(hashlib.sha256(made).hexdigest())
    nothing = {"version_id": None, "size": None, "index_sha256": None, "tar_sha256": None}
    result = replace(own, key="others", checksum_sha256=sha256, **nothing)
    index = tmp_path / "index"
    with source_of(result) as opened:
        found = index_of(opened)
    index.write_bytes(b"".join(found.pieces))
    assert (found.checksum, found.is_sequential) == (sha256, True)
    with open_archive(result, index=index) as archive:
        assert archive.verified
        first = next(name for name in archive if name in NODES)
    with place.asks(place.look, "GET", "GET"):
        assert fetch(result, tmp_path / "some", members=[f"/{first}"], index=index).verified
    assert (tmp_path / "some" / first).read_bytes() == NODES[first]
    with open_archive(result, index=index) as archive:
        assert {name: archive.open(name).read() for name in archive if name in NODES} == NODES


def test_an_archive_that_is_fetched_whole(place, tmp_path, apart):
    """It, and its end at the same time, by which its blocks inflate side by side."""
    source = lay(tmp_path / "source", {"large.csv": b"".join(b"%d\n" % number for number in range(500_000))})
    published = publish(source, place("archive"))
    with place.asks("GET", "GET"):
        assert fetch(published, tmp_path / "back").verified
    assert apart == [3]
    assert seen(tmp_path / "back") == seen(source)


def test_archives_that_differ(place, source):
    one = publish(source, place("one"))
    change(source)
    other = publish(source, place("other"))
    with place.asks():
        assert not agree([one, other], differences=0).agreed
    with place.asks("GET", "GET"):
        assert [(each.name, each.what) for each in agree([one, other]).differences] == [("score.txt", "content")]


def test_a_directory_is_compared(place, source):
    """Nothing is asked if it is what was published, and the index to tell what differs."""
    published = publish(source, place("archive"))
    with place.asks():
        assert verify(published, against=source).members == len(NODES) + 1
    with place.asks("GET", most=1 << 16):
        assert verify(replace(published, tar_sha256=None), against=source).sha256 == published.tar_sha256
    change(source)
    with place.asks("GET", most=1 << 16), pytest.raises(VerificationError) as raised:
        verify(published, against=source)
    assert raised.value.__notes__ == ["'score.txt' has another content in the directory"]


@pytest.fixture
def forgotten():
    """Afterwards, no file system has an archive open."""
    yield
    for files in list(ArchiveFileSystem._cache.values()):
        files.invalidate_cache()
    ArchiveFileSystem.clear_instance_cache()


@pytest.mark.slow
def test_a_member_is_opened_by_its_url(place, source, tmp_path, forgotten):
    """The archive is opened once."""
    result = written(publish(source, place("archive")), tmp_path / "result.json")
    with place.asks("GET", "GET", most=1 << 17), fsspec.open(f"keystow://a.txt::{result}") as file:
        assert file.read() == b"1\n"
    with place.asks(), fsspec.open(f"keystow://score.txt::{result}") as file:
        assert file.read() == b"42\n"
    files = fsspec.filesystem("keystow", fo=str(result))
    with place.asks("GET", "GET", "GET", most=4 << 20):  # its header, and the blocks in which that begins and ends
        assert files.cat_file("large.bin", 4 << 20, 5 << 20) == NODES["large.bin"][4 << 20 : 5 << 20]
    with place.asks():
        assert files.glob("tables/*9.csv") == ["tables/009.csv", "tables/019.csv", "tables/029.csv"]


@pytest.mark.slow
def test_an_archive_stands_in_a_url_by_its_name(place, source, monkeypatch, forgotten):
    """Nothing is known of it, so it is asked how long it is."""
    publish(source, place("archive"))
    if place.sandbox.name == "s3":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", place.sandbox.endpoint)
    url = f"keystow://a.txt::{place.sandbox.url}/archive.tar.gz"
    with place.asks(place.look, "GET", "GET", most=1 << 17), fsspec.open(url) as file:
        assert file.read() == b"1\n"


@pytest.mark.slow
def test_pandas_reads_a_table(place, source, tmp_path, forgotten):
    import pandas as pd

    result = written(publish(source, place("archive")), tmp_path / "result.json")
    with place.asks("GET", most=1 << 17):
        table = pd.read_csv(f"keystow://tables/007.csv::{result}", header=None)
    assert table.to_dict("list") == {0: [7]}


def test_a_prefix(place, source, tmp_path):
    """A request for each file, or two or three of a large one, and one for the manifest; nothing is listed."""
    published = publish(source, place("files/"), archive=False)
    with place.asks(*["GET"] * (1 + len(NODES) + 1), perhaps=1):
        assert fetch(published, tmp_path / "back").verified
    assert seen(tmp_path / "back", times="file") == seen(source, times="file")
    with place.asks("GET", "GET"):
        assert verify(published, members=["score.txt"]).members == 1


def test_a_prefix_takes_a_request_for_each_file_and_one(place, source):
    (source / "large.bin").unlink()
    writes = "POST" if place.sandbox.name == "gcs" else "PUT"
    with place.asks(*[writes] * len(NODES)):
        publish(source, place("small/"), archive=False)
    with place.asks(place.look, "GET"), pytest.raises(AlreadyPublishedError):
        publish(source, place("small/"), archive=False, if_exists="error")


def test_prefixes_that_differ(place, source):
    one = publish(source, place("one/"), archive=False)
    change(source)
    other = publish(source, place("other/"), archive=False)
    with place.asks("GET", "GET"):
        assert [(each.name, each.what) for each in agree([one, other]).differences] == [("score.txt", "content")]


def test_an_object_of_a_prefix_that_was_changed_is_named(place, source, tmp_path):
    published = publish(source, place("changed/"), archive=False)
    with place.opened() as store:
        store.write("changed/score.txt", [b"24\n"])
        store.write("changed/other", [b""])
    if place.keeps_versions:
        assert fetch(published, tmp_path / "back").verified
        return
    with pytest.raises(VerificationError, match=r"changed/score\.txt"):
        fetch(published, tmp_path / "back")
