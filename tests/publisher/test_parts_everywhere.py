"""What is read of an archive, and of a prefix, on each kind of store: the same, by so many requests and no more."""

import contextlib
import hashlib
import os
import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from archive_strategies import OLD, lay, seen

from keystow import AlreadyPublishedError, Checksum, VerificationError, agree, fetch, open_archive, publish, verify
from keystow.indexed import source_of
from keystow.members import index_of
from keystow.testing import Sandbox
from keystow.testing.faults import GoogleGaps
from keystow.testing.servers import FaultProxy, Moto

NODES = {f"tables/{number:03}.csv": b"%d\n" % number for number in range(30)}
NODES |= {"a.txt": b"1\n", "large.bin": os.urandom(9 << 20), "score.txt": b"42\n"}

pytestmark = pytest.mark.server


@pytest.fixture
def moto(monkeypatch):
    """A bucket of moto's that keeps versions."""
    with Moto() as server:
        client = server.client()
        client.create_bucket(Bucket="versions")
        client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield Sandbox("s3", "s3://versions", server.endpoint, server.environment())


@pytest.fixture(params=["keystow_file", "keystow_s3", "moto", "keystow_gcs", "keystow_azure"])
def place(request, monkeypatch):
    """A bucket, and the proxy in front of its server; in front of a directory is none."""
    found = request.getfixturevalue(request.param)
    if found.endpoint is None:
        yield Place(found, None)
        return
    here = "{0.scheme}://{0.netloc}".format(urlsplit(found.endpoint))
    with contextlib.ExitStack() as stack:
        gaps = stack.enter_context(GoogleGaps(here)).url if request.param == "keystow_gcs" else here
        proxy = stack.enter_context(FaultProxy(gaps))
        environment = {name: value.replace(here, proxy.url) for name, value in found.environment.items()}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        endpoint = found.endpoint.replace(here, proxy.url)
        yield Place(replace(found, endpoint=endpoint, environment=environment), proxy)


class Place:
    """Somewhere to publish to, where what is asked is counted."""

    def __init__(self, sandbox, proxy):
        self.sandbox, self._proxy = sandbox, proxy
        self.keeps_versions = sandbox.url == "s3://versions"

    def __call__(self, key):
        return self.sandbox.destination(key)

    @contextlib.contextmanager
    def asks(self, *methods, perhaps=0, most=None):
        """Within this, only these methods are asked, so often and no more; the last of them ``perhaps`` again.

        ``most`` are the bytes that all of them ask for, each for a range.
        """
        before = len(self._proxy.requests) if self._proxy else 0
        yield
        if self._proxy:
            asked = Counter(each.method for each in self._proxy.requests[before:] if "/token" not in each.path)
            more = asked - Counter(methods)
            assert not Counter(methods) - asked, asked
            assert not more or (more.keys() == {methods[-1]} and more.total() <= perhaps), asked
            if most is not None:
                assert sum(map(length, self._proxy.requests[before:])) <= most


def length(asked):
    """The bytes of the range that a request asks for."""
    if "/token" in asked.path:
        return 0
    start, stop = re.search(r"bytes=(\d+)-(\d+)$", asked.headers.get("x-ms-range") or asked.headers["range"]).groups()
    return int(stop) + 1 - int(start)


@pytest.fixture
def source(tmp_path):
    """30 small files, one of three ranges, and two more, of which one is far from the end of an archive."""
    return Path(lay(tmp_path / "source", NODES))


def test_members_of_an_archive(place, source, tmp_path):
    """The end of the object, and the range where the member lies, if that is not near the end."""
    published = publish(source, place("archive"))
    with place.asks("GET", "GET", most=1 << 20), open_archive(published) as archive:
        assert archive.verified
        assert set(archive) == {*NODES, "tables"}
        assert archive.open("a.txt").read() == b"1\n"
    with place.asks("GET", most=1 << 16), open_archive(published) as archive:
        assert archive.open("score.txt").read() == b"42\n"
    with place.asks("GET", "GET", most=1 << 20):
        assert fetch(published, tmp_path / "some", members=["/a.txt"]).verified
    assert (tmp_path / "some/a.txt").read_bytes() == b"1\n"
    with place.asks("GET", "GET"):
        assert verify(published, members=["a.txt"]).size == 2


def test_an_archive_of_another_program(place, source, tmp_path):
    """Once to make its index, as it inflates only from its start; then its end, and what lies before the member."""
    made = subprocess.run(["tar", "-C", source, "-cz", "."], capture_output=True, check=True).stdout
    own = publish(source, place("own"))
    with contextlib.closing(place.sandbox.open()) as store:
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
    look = "GET" if place.sandbox.name == "gcs" else "HEAD"
    with place.asks(look, "GET", "GET"):
        assert fetch(result, tmp_path / "some", members=[f"/{first}"], index=index).verified
    assert (tmp_path / "some" / first).read_bytes() == NODES[first]
    with open_archive(result, index=index) as archive:
        assert {name: archive.open(name).read() for name in archive if name in NODES} == NODES


def test_archives_that_differ(place, source):
    one = publish(source, place("one"))
    (source / "score.txt").write_bytes(b"43\n")
    os.utime(source / "score.txt", (OLD, OLD))
    other = publish(source, place("other"))
    with place.asks():
        assert not agree([one, other], differences=0).agreed
    with place.asks("GET", "GET"):
        assert [(each.name, each.what) for each in agree([one, other]).differences] == [("score.txt", "content")]


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
    look = "GET" if place.sandbox.name == "gcs" else "HEAD"
    with place.asks(look, "GET"), pytest.raises(AlreadyPublishedError):
        publish(source, place("small/"), archive=False, if_exists="error")


def test_prefixes_that_differ(place, source):
    one = publish(source, place("one/"), archive=False)
    (source / "score.txt").write_bytes(b"43\n")
    other = publish(source, place("other/"), archive=False)
    with place.asks("GET", "GET"):
        assert [(each.name, each.what) for each in agree([one, other]).differences] == [("score.txt", "content")]


def test_an_object_of_a_prefix_that_was_changed_is_named(place, source, tmp_path):
    published = publish(source, place("changed/"), archive=False)
    with contextlib.closing(place.sandbox.open()) as store:
        store.write("changed/score.txt", [b"24\n"])
        store.write("changed/other", [b""])
    if place.keeps_versions:
        assert fetch(published, tmp_path / "back").verified
        return
    with pytest.raises(VerificationError, match=r"changed/score\.txt"):
        fetch(published, tmp_path / "back")
