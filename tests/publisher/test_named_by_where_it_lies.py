"""What was published, named by where it lies, with or without the SHA-256 that it must have."""

from dataclasses import replace

import pytest
from commands import complaint, keystow
from conftest import same_tree

from keystow import Context, PublishedResult, ResultError, VerificationError, fetch, presign, publish, verify

pytestmark = pytest.mark.slow

WRONG = "0" * 64


def reference(result, place):
    return f"{result.url}{place.options}"


@pytest.mark.parametrize("archive", [True, False])
def test_it_is_fetched_and_verified(place, files, tmp_path, archive):
    result = publish(files, place("k-{jobID}"), Context(job_id="1"), archive=archive)
    where = reference(result, place)
    back = fetch(where, tmp_path / "unverified")
    assert not back.verified
    assert back.sha256 == result.checksum_sha256
    assert fetch(where, tmp_path / "verified", sha256=f"0x{result.checksum_sha256}").verified
    assert same_tree(files, tmp_path / "verified")
    assert verify(where, sha256=result.checksum_sha256.base64).sha256 == result.checksum_sha256
    for attempt in (lambda: fetch(where, tmp_path / "wrong", sha256=WRONG), lambda: verify(where, sha256=WRONG)):
        with pytest.raises(VerificationError, match=WRONG):
            attempt()
    assert not (tmp_path / "wrong").exists()
    with pytest.raises(ResultError, match="nothing to verify against: give sha256="):
        verify(where)


@pytest.mark.server
def test_a_url_with_what_it_must_have(s3_place, files, tmp_path):
    result = publish(files, s3_place("k"))
    for name in (reference(result, s3_place), result):
        url = presign(name, expires=60)
        assert fetch(url, tmp_path / f"{name!r}"[:9], sha256=result.checksum_sha256).verified
        with pytest.raises(VerificationError, match="what the store holds under 'the URL' has the SHA-256"):
            fetch(url, tmp_path / "wrong", sha256=WRONG)
    assert not (tmp_path / "wrong").exists()


def test_a_result_that_says_otherwise_is_not_asked_for(memory_place, files, tmp_path):
    result = publish(files, memory_place("k"))
    for attempt in (lambda: fetch(result, tmp_path / "back", sha256=WRONG), lambda: verify(result, sha256=WRONG)):
        with pytest.raises(VerificationError, match=f"the result says that the SHA-256 is .*, and {WRONG} is expected"):
            attempt()
    assert fetch(replace(result, checksum_sha256=None), tmp_path / "back", sha256=result.checksum_sha256).verified
    with pytest.raises(ResultError, match="is no SHA-256"):
        verify(result, sha256="abc")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("s3://b/a/{b},c.tar.gz", ("s3", "b", "a/{b},c.tar.gz", None, None, "gzip")),
        ("s3://b/a/,opt=region=eu-1", ("s3", "b", "a/", None, "eu-1", "plain")),
        ("gcs://b/k,opt=endpoint=http://127.0.0.1:1", ("gs", "b", "k", "http://127.0.0.1:1", None, "gzip")),
        ("file:///a/b/c.tar.gz", ("file", "/a/b", "c.tar.gz", None, None, "gzip")),
        ("az://place/a/b", ("az", "place", "a/b", None, None, "gzip")),
    ],
)
def test_what_is_read(text, parts):
    found = PublishedResult.parse(text)
    assert (found.type, found.bucket, found.key, found.endpoint, found.region, found.encoding) == parts
    assert not found.claimed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s3://bucket", "names no key"),
        ("s3://bucket/k,opt=engine=fsspec", "names an engine"),
        ("s3://bucket/k,opt=regoin=x", "did you mean region"),
        ("nowhere://bucket/k", "there is no"),
    ],
)
def test_what_is_none(text, says):
    for read in (PublishedResult.parse, verify):
        with pytest.raises(ResultError, match=says):
            read(text)


def test_the_command_says_that_it_was_not_verified(file_place, small, tmp_path):
    result = publish(small, file_place("k"))
    got = keystow("get", result.url, tmp_path / "back")
    assert got.status == 0, got
    assert got.err.startswith("keystow: not verified: ")
    checked = keystow("get", result.url, tmp_path / "again", "--sha256", result.checksum_sha256)
    assert "not verified" not in checked.err
    assert keystow("verify", result.url, "--sha256", result.checksum_sha256).status == 0
    assert complaint(keystow("verify", result.url), 2).endswith("nothing to verify against: give --sha256")
    assert WRONG in complaint(keystow("verify", result.url, "--sha256", WRONG), 4)
    assert complaint(keystow("get", result.url, tmp_path / "wrong", "--sha256", WRONG), 4)
    assert complaint(keystow("verify", result.url, "--sha256", "abc"), 2).startswith("'abc' is no SHA-256")
    assert not (tmp_path / "wrong").exists()


def test_where_servers_are_listed_a_reference_is_judged(file_place, files, tmp_path):
    result = publish(files, file_place("k"))
    listed = {"allow_endpoints": {"https://ours.example.com"}}
    for text in (
        "gs://bucket/k,opt=endpoint=https://evil.example.com",
        "s3://bucket/k,opt=endpoint=https://evil.example.com",
        "sftp://evil.example.com/directory/k",
        result.url,
    ):
        with pytest.raises(ResultError):
            fetch(text, tmp_path / "back", **listed)
        with pytest.raises(ResultError):
            presign(text, expires=60, **listed)
        ran = keystow("get", text, tmp_path / "back", KEYSTOW_ALLOW_ENDPOINTS="https://ours.example.com")
        assert complaint(ran, 2)
    assert verify(result.url, sha256=result.checksum_sha256, **listed).objects == 1
