"""What answers of Google's and Azure's say, and what would be none of theirs: pure functions, as tables."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystow.backends import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from keystow.backends.answers import Stored
from keystow.backends.azure import answers as azure
from keystow.backends.gcs import answers as google
from keystow.backends.gcs.answers import Answer
from keystow.backends.sending.repeating import UNAVAILABLE
from keystow.backends.sending.settling import MARK

BASE = "https://storage.googleapis.com"
NONE = (ValueError, TypeError)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)
NAMES = [
    "kind",
    "name",
    "size",
    "crc32c",
    "generation",
    "updated",
    "etag",
    "items",
    "nextPageToken",
    "metadata",
    "error",
]
RESOURCES = st.dictionaries(st.sampled_from(NAMES), JSON | st.sampled_from(["key", "1", "storage#objects"]))


def told(**described):
    return Answer(200, {}, json.dumps(described).encode())


MADE = {"name": "key", "size": "1", "crc32c": "AAAA", "generation": "7"}


# -- Google


@pytest.mark.parametrize(
    ("status", "asked", "kind", "says"),
    [
        (302, "object", StoreError, "redirects to elsewhere"),
        (400, "object", StoreError, "400: why"),
        (401, "object", CredentialsError, "gcloud auth"),
        (403, "upload", AccessDeniedError, "grant the permission"),
        (404, "object", NotFoundError, "404: why"),
        (404, "version", NotFoundError, "replaced or removed"),
        (404, "upload", BucketNotFoundError, "create the bucket"),
        (404, "session", StoreError, "session of the upload is gone"),
        (410, "session", StoreError, "session of the upload is gone"),
        (410, "object", StoreError, "410: why"),
        (409, "upload", ConflictError, "publish again"),
        (412, "session", AlreadyExistsError, "already exists"),
        (416, "object", StoreError, "416: why"),
        *((status, "session", StoreUnavailableError, "try again later") for status in (*UNAVAILABLE, 501, 599)),
    ],
)
def test_what_a_refusal_of_googles_means(status, asked, kind, says) -> None:
    answer = Answer(status, {"Location": "https://elsewhere/x", "x-guploader-uploadid": "id"}, b"why")
    error = google.refused(answer, "gs://b/key", BASE, asked)
    assert type(error) is kind
    assert str(error).startswith("gs://b/key: ")
    assert says in str(error)
    assert (error.code, error.request_id) == (str(status), "id")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no reason was given"),
        (b"Not Found\n", "Not Found"),
        (b'{"error": {"message": "because"}}', "because"),
        (b'{"error": {"message": "<b>"}}', "no reason was given"),
        (b'{"error": {"message": null}}', "None"),
        (b'{"error": "no"}', "no reason was given"),
        (b"{", "no reason was given"),
        (b"[" * 50_000, "["),
        (b"<html>", "no reason was given"),
        (bytes(range(256)), "no reason was given"),
        (b"x" * 5000, "x" * 200),
    ],
)
def test_what_google_says_of_a_refusal(body, said) -> None:
    error = google.refused(Answer(400, {}, body), "gs://b/key", BASE, "object")
    assert str(error).startswith(f"gs://b/key: 400: {said}")
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("name", "other"),
    [
        *(("name", other) for other in ("other", None)),
        *(("size", other) for other in (2, -1, True, None)),
        *(("crc32c", other) for other in ("BBBB", None)),
        *(("generation", other) for other in (None, "", "x", [])),
        ("etag", []),
    ],
)
def test_an_object_that_was_made_is_the_one_that_was_sent(name, other) -> None:
    expected = Stored("e", "7", confirmed="checksum")
    assert google.made(told(**MADE | {"etag": "e"}), "key", 1, "AAAA") == expected
    assert google.made(told(**MADE | {"size": 1, "generation": 7}), "key", 1, "AAAA").version_id == "7"
    with pytest.raises(NONE):
        google.made(told(**MADE | {name: other}), "key", 1, "AAAA")


@pytest.mark.parametrize(
    ("described", "ours"),
    [
        (MADE | {"metadata": {MARK: "id"}}, True),
        (MADE | {"metadata": {MARK: "other"}}, False),
        (MADE | {"metadata": {}}, False),
        (MADE, False),
        (MADE | {"metadata": {MARK: "id"}, "size": "2"}, None),
        (MADE | {"metadata": {MARK: "id"}, "crc32c": "BBBB"}, None),
        (MADE | {"metadata": []}, None),
        (MADE | {"name": "other"}, None),
    ],
)
def test_whose_object_it_is(described, ours) -> None:
    """Nobody's is one that is ours and not what was sent."""
    if ours is None:
        with pytest.raises(NONE):
            google.ours(told(**described), "key", 1, "AAAA", "id")
    else:
        found = google.ours(told(**described), "key", 1, "AAAA", "id")
        assert found == (Stored(None, "7", confirmed="stat") if ours else None)


@pytest.mark.parametrize(
    ("range_", "taken"),
    [
        (None, 0),
        ("bytes=0-0", 1),
        ("bytes=0-262143", 262_144),
        ("", None),
        ("bytes=1-2", None),
        ("0-5", None),
        ("bytes=0-" + "9" * 30, None),
    ],
)
def test_how_far_a_session_is(range_, taken) -> None:
    answer = Answer(308, {} if range_ is None else {"Range": range_}, b"")
    if taken is None:
        with pytest.raises(NONE):
            google.taken(answer)
    else:
        assert google.taken(answer) == taken


@pytest.mark.parametrize(
    ("base", "url", "ours"),
    [
        (BASE, f"{BASE}/upload?upload_id=1", True),
        (BASE, "https://storage.googleapis.com:443/upload?upload_id=1", True),
        (BASE, "https://storage.googleapis.com.evil.com/upload", False),
        (BASE, "http://storage.googleapis.com/upload", False),
        (BASE, "//[", False),
        ("http://127.0.0.1:4443", "http://127.0.0.1:4443/x", True),
        ("http://127.0.0.1:4443", "http://127.0.0.1:4444/x", False),
        ("http://127.0.0.1:4443", "", None),
    ],
)
def test_where_a_session_is(base, url, ours) -> None:
    answer = Answer(200, {"Location": url}, b"")
    if ours is None:
        with pytest.raises(NONE):
            google.session(answer, base)
    else:
        assert google.session(answer, base) == (url, ours)


@pytest.mark.parametrize(
    ("status", "headers", "asked", "found"),
    [
        (200, {"Content-Length": "3", "X-Goog-Generation": "7"}, (0, None, None), ((3, 3), "7")),
        (200, {"Content-Length": "3", "X-Goog-Generation": "7"}, (0, None, "7"), ((3, 3), "7")),
        (200, {"X-Goog-Stored-Content-Length": "3", "X-Goog-Generation": "7"}, (0, None, None), ((3, 3), "7")),
        (206, {"Content-Range": "bytes 1-2/9", "X-Goog-Generation": "7"}, (1, 3, "7"), ((2, 9), "7")),
        (206, {"Content-Range": "bytes 1-2/9", "X-Goog-Generation": "8"}, (1, 3, "7"), None),
        (200, {"Content-Length": "3", "X-Goog-Generation": "8"}, (0, None, "7"), None),
        (200, {"Content-Length": "3"}, (0, None, None), None),
        (200, {"Content-Length": "3"}, (0, None, "7"), None),
        (200, {"Content-Length": "3", "X-Goog-Generation": "7"}, (1, None, None), None),
        (200, {"X-Goog-Generation": "7"}, (0, None, None), None),
    ],
)
def test_which_content_an_answer_promises(status, headers, asked, found) -> None:
    if found is None:
        with pytest.raises(NONE):
            google.content(Answer(status, headers, b""), *asked)
    else:
        assert google.content(Answer(status, headers, b""), *asked) == found


@given(JSON | RESOURCES, st.sampled_from([200, 204, 308]))
def test_whatever_comes_as_json(described, status) -> None:
    """It is understood, or is none of Google's: nothing else is raised."""
    answer = Answer(status, {}, json.dumps(described).encode())
    for understand in (
        google.page,
        lambda answer: google.described(answer, "key"),
        lambda answer: google.made(answer, "key", 1, "AAAA"),
        lambda answer: google.ours(answer, "key", 1, "AAAA", "id"),
        google.deleted,
    ):
        try:
            understand(answer)
        except NONE:
            continue
    assert google.refused(answer, "gs://b/key", BASE, "object").code == str(status)


@given(st.binary())
def test_whatever_comes(body) -> None:
    for status in (200, 403):
        with pytest.raises(NONE):
            google.page(Answer(status, {}, body))
    assert google.refused(Answer(403, {}, body), "gs://b/key", BASE, "object").code == "403"


# -- Azure


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (400, "", StoreError, "400: reason"),
        (400, "InvalidBlockList", ConflictError, "another writer"),
        (401, "", CredentialsError, "az login"),
        (403, "", AccessDeniedError, "Storage Blob Data Contributor"),
        (403, "AuthenticationFailed", CredentialsError, "az login"),
        (404, "", NotFoundError, "404: reason"),
        (404, "ContainerNotFound", BucketNotFoundError, "create the container"),
        (409, "BlobAlreadyExists", AlreadyExistsError, "already exists"),
        (412, "", AlreadyExistsError, "already exists"),
        *((status, "ServerBusy", StoreUnavailableError, "try again later") for status in (*UNAVAILABLE, 501, 599)),
    ],
)
def test_what_a_refusal_of_azures_means(status, code, kind, says) -> None:
    error = azure.refused("az://c/key", status, code, "reason ", "id")
    assert type(error) is kind
    assert says in str(error)
    assert (error.code, error.request_id) == (code or str(status), "id")
    assert not getattr(error, "passes", False)


def blob(**changed):
    described = {"name": "key", "size": 1, "etag": '"e"', "version_id": None, "last_modified": None, "metadata": {}}
    return SimpleNamespace(**described | changed)


@pytest.mark.parametrize("changed", [{"name": None}, {"size": -1}, {"size": "1"}, {"etag": ""}, {"etag": None}])
def test_a_blob_is_described(changed) -> None:
    found = azure.stat(blob())
    assert (found.key, found.size, found.etag) == ("key", 1, "e")
    with pytest.raises(NONE):
        azure.stat(blob(**changed))
    with pytest.raises(NONE):
        azure.ours(blob(**changed), 1, "id")


def test_whose_blob_it_is() -> None:
    assert azure.ours(blob(metadata={azure.MARK: "id"}), 1, "id").confirmed == "stat"
    assert azure.ours(blob(metadata={azure.MARK: "other"}), 1, "id") is None
    assert azure.ours(blob(metadata=None), 1, "id") is None
    with pytest.raises(NONE):
        azure.ours(blob(metadata={azure.MARK: "id"}), 2, "id")


def test_a_blob_that_was_made_has_an_etag() -> None:
    assert azure.made({"etag": '"e"', "version_id": "v"}) == Stored("e", "v", confirmed="checksum")
    for answer in ({}, {"etag": ""}, {"etag": None}):
        with pytest.raises(NONE):
            azure.made(answer)
