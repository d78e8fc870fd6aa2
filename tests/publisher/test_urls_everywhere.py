"""What is read by pre-signed URLs, on each kind of store that gives any, by so many requests and no more."""

import hashlib
import json
import urllib.request

import counted_places
import pytest
from archive_strategies import seen
from commands import complaint
from counted_places import NODES, written
from other_clouds import service_account

from keystow import fetch, open_archive, presign, presign_each, publish
from keystow.backends import UnsupportedError

pytestmark = [pytest.mark.server, pytest.mark.slow]

moto, source, any_place = counted_places.moto, counted_places.source, counted_places.place
keystow = counted_places.keystow

signing = pytest.mark.parametrize("any_place", ["keystow_s3", "moto", "keystow_gcs", "keystow_azure"], indirect=True)


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    """The file of a key that signs URLs of Google's, which asks nobody; fake-gcs-server looks at no signature."""
    file = tmp_path_factory.mktemp("google") / "key.json"
    file.write_text(json.dumps(service_account()))
    return file


@pytest.fixture
def place(any_place, signer, monkeypatch):
    """A place, and who signs there."""
    if any_place.sandbox.name == "gcs":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(signer))
    return any_place


def opened_by(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


@pytest.mark.parametrize("any_place", ["keystow_file"], indirect=True)
def test_a_directory_has_no_urls(place, source, keystow, tmp_path):
    for key, signed in (("archive", presign), ("files/", lambda *given, **more: next(presign_each(*given, **more)))):
        published = publish(source, place(key), archive=key == "archive")
        with pytest.raises(UnsupportedError, match="has no URL that others could use"):
            signed(published, expires=60)
        result = written(published, tmp_path / "result.json")
        assert "has no URL that others could use" in complaint(keystow("url", result, "--expires", "1m"), 1)


@signing
def test_a_member_by_a_url(place, source, keystow, tmp_path):
    """Its end, and the range of the member; Azurite knows no end, and is asked how long all is."""
    published = publish(source, place("archive"))
    with place.asks():
        url = presign(published, expires=60)
    assert ("versionId" in url or "generation" in url) == (place.keeps_versions or place.sandbox.name == "gcs")
    few = {"perhaps": 2} if place.sandbox.name == "azure" else {"most": 1 << 17}
    with place.asks("GET", "GET", **few), open_archive(url) as archive:
        assert not archive.verified
        assert archive.open("a.txt").read() == b"1\n"
    with place.asks("GET", "GET", **few):
        ran = keystow("cat", url, "a.txt")
    assert (ran.status, ran.out, "not verified" in ran.err) == (0, "1\n", True)
    with place.asks("GET", "GET", **few):
        fetch(url, tmp_path / "some", members=["/a.txt"])
    assert (tmp_path / "some/a.txt").read_bytes() == b"1\n"
    with place.asks("GET", **few):
        assert len(keystow("ls", url).out.splitlines()) == len(NODES) + 1


@signing
def test_all_of_an_archive_by_a_url(place, source, keystow, tmp_path):
    """By a URL that the command gives."""
    result = written(publish(source, place("archive")), tmp_path / "result.json")
    with place.asks():
        url = keystow("url", result, "--expires", "1m").out.strip()
    with place.asks("GET", perhaps=2):
        fetch(url, tmp_path / "back")
    assert seen(tmp_path / "back") == seen(source)


@signing
def test_each_file_of_a_prefix_by_its_url(place, source, keystow, tmp_path):
    """The manifest is read, and then each is signed without a request, and downloaded by anybody."""
    published = publish(source, place("files/"), archive=False)
    result = written(published, tmp_path / "result.json")
    with place.asks("GET", most=1 << 16):
        urls = dict(presign_each(published, expires=60))
    with place.asks(*["GET"] * len(NODES)):
        assert {name: opened_by(url) for name, url in urls.items()} == NODES
    with place.asks("GET", most=1 << 16):
        ran = keystow("url", result, "--expires", "1m", "--output", "json")
    told = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["name"] for each in told] == sorted(NODES)
    with place.asks(*["GET"] * len(NODES)):
        assert [hashlib.sha256(opened_by(each["url"])).hexdigest() for each in told] == [
            each["sha256"] for each in told
        ]
