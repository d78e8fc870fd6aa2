"""The files of a published prefix, by its manifest: listed, and each signed for others."""

import hashlib
import urllib.request
from contextlib import closing

import pytest
from archive_strategies import OLD, Program, lay
from other_clouds import service_account

from keystow import (
    Publisher,
    ResultError,
    VerificationError,
    list_files,
    open_store,
    presign,
    presign_each,
    publish,
)
from keystow.archive import Item, LimitExceededError, Limits
from keystow.archive.manifest import NAME, written_manifest
from keystow.backends import NotFoundError
from keystow.testing.servers import Azurite, FakeGCS, Moto

FILES = {"a.csv": b"1,2\n", "run.sh": Program(b"#!/bin/sh\n"), "sub/b.csv": b"", "z ü?#%.bin": bytes(range(256)) * 40}


@pytest.fixture
def source(tmp_path):
    """Four files, of which one is a program, and one is empty."""
    return lay(tmp_path / "source", FILES)


@pytest.fixture
def store():
    """A store whose every object a test may change."""
    with closing(open_store("memory://files")) as opened:
        for found in list(opened.list()):
            opened.delete(found.key)
        yield opened


def plain(source, store, **options):
    return publish(source, "memory://files/run", store=store, archive=False, **options)


def test_the_files_are_those_that_were_published(place, source):
    published = publish(source, place("listed"), archive=False)
    found = list(list_files(published))
    assert [item.name for item in found] == sorted(FILES)
    assert {item.name: item.size for item in found} == {name: len(content) for name, content in FILES.items()}
    assert [item.sha256 for item in found] == [hashlib.sha256(FILES[item.name]).hexdigest() for item in found]
    assert [item.name for item in found if item.executable] == ["run.sh"]
    assert {item.mtime for item in found} == {OLD}


def test_nothing_but_the_manifest_is_read(source, store):
    published = plain(source, store)
    for found in list(store.list("run/")):
        if not found.key.endswith(NAME):
            store.delete(found.key)
    assert [item.name for item in list_files(published, store=store)] == sorted(FILES)


def test_another_manifest_is_not_what_was_published(source, store):
    published = plain(source, store)
    store.write(f"run/{NAME}", [written_manifest([Item("elsewhere", 0, "0" * 64)])])
    with pytest.raises(VerificationError, match="is not what was published"):
        list(list_files(published, store=store))
    with pytest.raises(ResultError, match="there is no manifest of what was published"):
        list(list_files("memory://files/run/", store=store, sha256=published.checksum_sha256.hex))
    assert [item.name for item in list_files("memory://files/run/", store=store)] == ["elsewhere"]


@pytest.mark.parametrize("each", [list_files, lambda *given, **how: presign_each(*given, expires=60, **how)])
def test_what_has_no_manifest(source, store, tmp_path, each):
    """What is wrong with the call is told before anything is read."""
    with pytest.raises(ResultError, match=r"is an archive, which has no manifest: open_archive\(result\) lists it"):
        each("memory://files/run.tar.gz", store=store)
    with pytest.raises(ResultError, match="is one file as it is"):
        each("memory://files/run,opt=encoding=raw", store=store)
    with pytest.raises(ResultError, match="leave profile= out"):
        each("memory://files/run/", store=store, profile="someone")
    with pytest.raises(NotFoundError, match="nothing was published"):
        next(each("memory://files/run/", store=store))
    with pytest.raises(ResultError, match="there is no manifest"):
        next(each(plain(source, store, manifest=False), store=store))


def test_what_a_stranger_names_is_admitted_as_ever():
    there = {"Type": "file", "Params": {"Bucket": "/there", "Key": "run/", "Encoding": "plain"}}
    with pytest.raises(ResultError, match=r"allow=\{'file'\}"):
        next(list_files(there))
    elsewhere = "s3://bucket/run/,opt=endpoint=https://elsewhere.example"
    with pytest.raises(ResultError, match="allow_endpoints"):
        next(presign_each(elsewhere, expires=60, allow_endpoints=["https://here.example"]))


def test_limits_hold(source, store):
    published = plain(source, store)
    with pytest.raises(LimitExceededError, match="more than 3 members"):
        list(list_files(published, store=store, limits=Limits(members=3)))


def opened_by(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


@pytest.fixture
def seaweed_to(seaweed, bucket, login):
    """Where to, and who signs, if not whom the environment names."""
    login(seaweed)
    return f"s3://{bucket}/urls,opt=endpoint={seaweed.endpoint}", None


@pytest.fixture
def moto_to(monkeypatch):
    with Moto() as server:
        set_all(monkeypatch, server.environment())
        yield f"s3://{server.make_bucket()}/urls,opt=endpoint={server.endpoint}", None


@pytest.fixture
def azure_to(tmp_path, monkeypatch):
    with Azurite(tmp_path / "azurite") as server:
        set_all(monkeypatch, server.environment())
        yield f"az://{server.make_container()}/urls", None


@pytest.fixture
def google_to(tmp_path, monkeypatch):
    """It looks at no signature."""
    from google.oauth2.service_account import Credentials

    with FakeGCS(tmp_path / "gcs") as server:
        set_all(monkeypatch, server.environment())
        yield (
            f"gs://{server.make_bucket(versioned=True)}/urls",
            Credentials.from_service_account_info(service_account()),
        )


def set_all(monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("cloud", ["seaweed", "moto", "azure", "google"])
def test_each_has_a_url_that_opens_it(request, source, cloud):
    to, signer = request.getfixturevalue(f"{cloud}_to")
    published = publish(source, to, archive=False)
    urls = list(presign_each(published, expires=60, credentials=signer))
    assert [name for name, _ in urls] == sorted(FILES)
    assert {name: opened_by(url) for name, url in urls} == FILES
    with Publisher(to, archive=False, credentials=signer) as publisher:
        assert [name for name, _ in publisher.presign_each(published, expires=60)] == sorted(FILES)


@pytest.mark.server
def test_each_names_the_version_that_was_published(seaweed, versioned_bucket, login, source, tmp_path):
    login(seaweed)
    to = f"s3://{versioned_bucket}/urls,opt=endpoint={seaweed.endpoint}"
    published = publish(source, to, archive=False)
    (tmp_path / "source/a.csv").write_bytes(b"3,4\n")
    again = publish(source, to, archive=False)
    assert again.version_id != published.version_id
    assert opened_by(dict(presign_each(published, expires=60))["a.csv"]) == b"1,2\n"
    assert opened_by(dict(presign_each(again, expires=60))["a.csv"]) == b"3,4\n"
    unpinned = dict(presign_each(published, expires=60, pin_version=False))
    assert "versionId" not in unpinned["a.csv"]
    assert opened_by(unpinned["a.csv"]) == b"3,4\n"


def test_one_url_is_of_one_object(source, store):
    with pytest.raises(ResultError, match="presign_each gives one for each file"):
        presign(plain(source, store), store=store, expires=60)
