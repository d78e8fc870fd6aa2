"""Credentials and a profile that a program gives: for whom everything is asked, and what they do not loosen."""

import asyncio
import base64
import contextlib
import json
import logging
import pickle
import threading
import urllib.parse
import urllib.request

import pytest
from commands import complaint, keystow
from holding import everything
from lying import Liar, Lie

from keystow import (
    PublishedResult,
    Publisher,
    ResultError,
    S3Credentials,
    SpecError,
    afetch,
    apublish,
    averify,
    fetch,
    open_store,
    presign,
    publish,
    verify,
)
from keystow.backends import CredentialsError
from keystow.backends.sending import repeating
from keystow.stored import Access

SECRET = "MARKEDsecret+of/a/program/0001"
TOKEN = "MARKEDtoken+of/a/program/0002=="
KEY = base64.b64encode(b"MARKED key of an account, 32 byte").decode()
CHECKSUM = "0x" + "0" * 64
GIVEN = S3Credentials("AKIAMARKEDIDOFTESTS0", SECRET, TOKEN)


@pytest.fixture(params=["fsspec", "obstore"])
def engine(request):
    return request.param


@pytest.fixture(autouse=True)
def wrong_ones_in_the_environment(monkeypatch, clean_environment):
    monkeypatch.setattr(repeating, "PAUSES", ())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONGWRONGWRONG0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-of-the-tests")
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ours(seaweed):
    return S3Credentials(seaweed.access_key, seaweed.secret_key)


@pytest.fixture
def to(seaweed, bucket, engine, request):
    """A destination of this test's own."""
    return f"s3://{bucket}/{request.node.name}-{{jobID}},opt=endpoint={seaweed.endpoint},opt=engine={engine}"


@pytest.fixture
def profile(seaweed, tmp_path, monkeypatch):
    """The name of a profile that has the right keys, in files of AWS's."""
    (tmp_path / "config").write_text(f"[profile lab]\nregion = eu-north-1\nendpoint_url = {seaweed.endpoint}\n")
    keys = f"aws_access_key_id = {seaweed.access_key}\naws_secret_access_key = {seaweed.secret_key}\n"
    (tmp_path / "credentials").write_text(f"[lab]\n{keys}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return "lab"


def read(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def goes_round(source, destination, directory, **who):
    """What was published is fetched, verified and signed by the same one."""
    published = publish(source, destination, **who)
    assert fetch(published, directory / "fetched", **who).verified
    assert verify(published, **who).sha256 == published.checksum_sha256
    assert read(presign(published, expires=60, **who))[:2] == b"\x1f\x8b"
    with Publisher(destination, **who) as publisher:
        again = publisher.publish(source)
        assert publisher.fetch(again, directory / "again").verified
        assert publisher.verify(again).sha256 == published.checksum_sha256
        assert read(publisher.presign(again, expires=60))[:2] == b"\x1f\x8b"
    return published


async def goes_round_awaited(source, destination, directory, **who):
    published = await apublish(source, destination, **who)
    assert (await afetch(published, directory / "awaited", **who)).verified
    assert (await averify(published, **who)).sha256 == published.checksum_sha256


def test_credentials_are_those_of_each_call(small, to, ours, tmp_path) -> None:
    to = to.replace("-{jobID}", "")
    with pytest.raises(CredentialsError):
        publish(small, to)
    goes_round(small, to, tmp_path, credentials=ours)
    asyncio.run(goes_round_awaited(small, to, tmp_path, credentials=ours))


def test_so_is_a_profile(small, to, profile, tmp_path) -> None:
    to = to.replace("-{jobID}", "")
    goes_round(small, to, tmp_path, profile=profile)
    asyncio.run(goes_round_awaited(small, to, tmp_path, profile=profile))


def test_the_region_and_the_endpoint_may_be_the_profiles(small, bucket, engine, profile, seaweed) -> None:
    published = publish(small, f"s3://{bucket}/of-a-profile,opt=engine={engine}", profile=profile)
    assert (published.endpoint, published.region) == (seaweed.endpoint, "eu-north-1")


def test_a_url_is_signed_by_whom_the_call_names(engine, to, bucket, seaweed) -> None:
    result = PublishedResult(type="s3", bucket=bucket, key="a.tar.gz", endpoint=seaweed.endpoint)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(presign(result, expires=60, credentials=GIVEN)).query)
    assert query["X-Amz-Credential"][0].startswith("AKIAMARKEDIDOFTESTS0/")


def test_one_provider_serves_all_threads_of_a_prefix(files, to, ours, tmp_path) -> None:
    for number in range(50):
        (files / f"{number}.txt").write_text(str(number))
    asking, asked = threading.Lock(), []

    def give():
        assert asking.acquire(blocking=False)
        try:
            asked.append(1)
            return ours
        finally:
            asking.release()

    with Publisher(to.replace("-{jobID}", "/"), archive=False, credentials=give) as publisher:
        published = publisher.publish(files)
        assert publisher.fetch(published, tmp_path / "back").verified
    assert len(asked) == 1


# -- what is refused


def calls(directory):
    """Each way in, with all that it needs but the store and who asks."""
    result = PublishedResult.from_mapping(_result("memory"))
    return {
        "publish": lambda **who: publish(directory / "absent", "memory://bucket/key", **who),
        "Publisher": lambda **who: Publisher("memory://bucket/key", **who),
        "fetch": lambda **who: fetch(result, directory / "out", **who),
        "verify": lambda **who: verify(result, **who),
        "presign": lambda **who: presign(result, expires=60, **who),
    }


def _result(kind, endpoint=None):
    found = {"Bucket": "bucket", "Key": "key.tar.gz", "ChecksumSHA256": CHECKSUM}
    return {"Type": kind, "Params": found | ({"Endpoint": endpoint} if endpoint else {})}


@pytest.mark.parametrize("call", ["publish", "Publisher", "fetch", "verify", "presign"])
@pytest.mark.parametrize("who", [{"credentials": GIVEN}, {"profile": "lab"}], ids=["credentials", "profile"])
def test_a_store_that_is_open_has_its_own(tmp_path, call, who) -> None:
    says = f"store= is open already: leave {next(iter(who))}= out"
    store = open_store("memory://bucket")
    with contextlib.closing(store), pytest.raises((SpecError, ResultError), match=says):
        calls(tmp_path)[call](store=store, **who)


@pytest.mark.parametrize("call", ["publish", "Publisher", "fetch", "verify", "presign"])
@pytest.mark.parametrize(
    ("who", "says"),
    [({"credentials": GIVEN}, "memory:// takes no credentials"), ({"profile": "lab"}, "memory:// has no profiles")],
    ids=["credentials", "profile"],
)
def test_who_is_not_for_this_store_is_told_before_anything_is_read(tmp_path, call, who, says) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        calls(tmp_path)[call](**who)
    assert "MARKED" not in everything(refused.value)


@pytest.mark.parametrize("who", [{"credentials": GIVEN}, {"profile": "lab"}], ids=["credentials", "profile"])
def test_a_url_is_signed_already(tmp_path, who) -> None:
    with pytest.raises(ResultError, match="a URL is signed already"):
        fetch("http://127.0.0.1:9/a.tar.gz?X-Amz-Signature=0", tmp_path / "out", **who)


# -- what a stranger's result does not get


@pytest.fixture
def stranger():
    with Liar(lambda asked: Lie(403)) as server:
        yield server


def strangers(kind, url):
    """How a result that names ``url`` may come in."""
    result = _result(kind, url)
    return [
        lambda **who: verify(result, **who),
        lambda **who: fetch(result, "out", **who),
        lambda **who: presign(result, expires=60, **who),
        lambda **who: publish(".", {"Type": kind, "Params": {"Bucket": "bucket", "Key": "k", "Endpoint": url}}, **who),
    ]


class Token:
    def get_token(self, *scopes, **options):
        raise AssertionError("nobody was to be asked")


def of_the_clouds():
    from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
    from google.oauth2.credentials import Credentials

    sas = "sv=2024-11-04&se=2099-01-01T00:00:00Z&sig=MARKED"
    azures = (Token(), AzureNamedKeyCredential("mine", KEY), AzureSasCredential(sas))
    return [("gs", Credentials(TOKEN)), *(("az", given) for given in azures)]


@pytest.mark.parametrize(
    "url", ["https://evil.example.com/mine", "http://storage.googleapis.com", "https://10.0.0.1/mine"]
)
def test_what_works_elsewhere_goes_to_no_stranger(url) -> None:
    for kind, given in of_the_clouds():
        for come in strangers(kind, url):
            with pytest.raises((ResultError, SpecError), match="is not called on somebody's word") as refused:
                come(credentials=given)
            assert "MARKED" not in everything(refused.value)


def test_no_token_goes_out_on_this_machine_without_tls(stranger, tmp_path) -> None:
    for kind, given in of_the_clouds()[:2]:
        with pytest.raises((OSError, ValueError)):
            verify(_result(kind, f"{stranger.url}/mine"), credentials=given)
    assert [asked for asked in stranger.asked if "authorization" in asked.headers] == []


@pytest.mark.parametrize("where", ["variable", "profile", "default profile"])
def test_keys_of_a_configured_server_go_to_no_other(stranger, engine, tmp_path, monkeypatch, where) -> None:
    """The stranger is not on this machine, by its name at least."""
    monkeypatch.setenv("KEYSTOW_ENGINE", engine)
    elsewhere = "http://evil.example.com"
    section, who = "default", {"credentials": GIVEN}
    if where == "variable":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio.example.com")
    else:
        if where == "profile":
            section, who = "profile lab", {"profile": "lab"}
        keys = f"aws_access_key_id = id\naws_secret_access_key = {SECRET}\nendpoint_url = http://minio.example.com\n"
        (tmp_path / "config").write_text(f"[{section}]\n{keys}")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for come in strangers("s3", elsewhere):
        with pytest.raises((ResultError, SpecError), match="is not called on somebody's word"):
            come(**who)
    with Publisher("s3://bucket/key", **who) as publisher:
        for come in (publisher.verify, lambda result: publisher.fetch(result, tmp_path / "out")):
            with pytest.raises(ResultError, match="is not called on somebody's word"):
                come(_result("s3", elsewhere))


def test_a_list_holds_for_credentials_in_code(stranger, engine, monkeypatch) -> None:
    monkeypatch.setenv("KEYSTOW_ENGINE", engine)
    for come in strangers("s3", stranger.url):
        with pytest.raises((ResultError, SpecError), match="none of those that are allowed"):
            come(credentials=GIVEN, allow_endpoints=["http://minio.example.com"])
    assert stranger.asked == []


def test_what_goes_to_a_stranger_of_s3s_is_signed_for_him_and_holds_no_key(stranger, engine, monkeypatch) -> None:
    monkeypatch.setenv("KEYSTOW_ENGINE", engine)
    with pytest.raises(OSError, match="403"):
        verify(_result("s3", stranger.url), credentials=GIVEN)
    [asked] = stranger.asked
    assert "host;" in asked.headers["authorization"]
    assert SECRET not in f"{asked.path} {asked.headers}"


# -- who sees them


def test_nothing_that_comes_back_holds_them(small, to, ours, seaweed, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    to = to.replace("-{jobID}", "")
    with Publisher(to, credentials=ours) as publisher:
        published = publisher.publish(small)
        url = publisher.presign(published, expires=60)
        shown = [repr(publisher), repr(vars(publisher)), repr(vars(publisher._to))]
    shown += [repr(published), json.dumps(published.to_mapping()), pickle.dumps(published).decode("latin-1"), url]
    shown += [f"{record.getMessage()} {record.exc_text} {record.__dict__}" for record in caplog.records]
    assert not any(seaweed.secret_key in text for text in shown)
    assert seaweed.access_key not in "".join(shown[3:6])


def test_access_shows_and_hands_on_nothing() -> None:
    access = Access(30, GIVEN, None)
    assert (
        repr(access)
        == f"{access}"
        == "Access(timeout=30, profile=None, requester_pays=None, budget=Budget(concurrency=None, memory=None))"
    )
    with pytest.raises(TypeError, match="neither pickled nor copied"):
        pickle.dumps(access)


# -- the command


def test_a_profile_is_typed(small, tmp_path, to, profile, engine) -> None:
    to = to.replace("-{jobID}", "")
    file = tmp_path / "result.yaml"
    assert complaint(keystow("publish", small, to), 1)
    ran = keystow("publish", small, to, "--profile", profile, "--result", file)
    assert ran.status == 0, ran.err
    assert keystow("verify", file, "--profile", profile).status == 0
    assert keystow("get", file, tmp_path / "out", "--profile", profile).status == 0
    assert (tmp_path / "out" / "score.txt").read_text() == "42\n"
    ran = keystow("url", file, "--expires", "1m", "--profile", profile)
    assert read(ran.out.strip())[:2] == b"\x1f\x8b"


def test_a_profile_that_is_typed_for_another_store(small, tmp_path) -> None:
    said = complaint(keystow("publish", small, f"file://{tmp_path}/out/key", "--profile", "lab"), 2)
    assert "file:// has no profiles, which are AWS's: leave --profile out" in said
    said = complaint(keystow("get", "http://127.0.0.1:9/a.tar.gz", tmp_path / "new", "--profile", "lab"), 2)
    assert "a URL is signed already" in said
