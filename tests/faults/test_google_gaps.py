"""What fake-gcs-server lacks is there behind ``GoogleGaps``: one test for each row of ``GAPS``."""

import http.client
import json
import uuid
from urllib.parse import urlsplit

import pytest
from other_clouds import crc32c_of

from keystow.testing.faults import GoogleGaps
from keystow.testing.servers import FakeGCS

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    with FakeGCS(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="module")
def google(fake):
    with GoogleGaps(fake.endpoint) as running:
        yield running


@pytest.fixture
def bucket(fake):
    return fake.make_bucket()


def ask(google, method, target, body=b"", **headers):
    """Status, headers and body of the answer."""
    place = urlsplit(target)
    client = http.client.HTTPConnection(*google.server_address)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    client.request(method, f"{place.path}?{place.query}", body, sent)
    answer = client.getresponse()
    content = answer.read()
    client.close()
    return answer.status, answer.headers, content


def begun(google, bucket, query=""):
    """A session for ``key``, with metadata."""
    target = f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name=key{query}"
    resource = json.dumps({"name": "key", "metadata": {"a": "b"}, "contentType": "text/x"}).encode()
    status, headers, _ = ask(google, "POST", target, resource, Content_Type="application/json")
    assert status == 200
    assert headers["Location"].startswith(google.url)
    return headers["Location"]


def piece(google, session, span, body=b"", **headers):
    return ask(google, "POST", session, body, Content_Range=f"bytes {span}", **headers)


def insert(google, bucket, content, crc32c, query=""):
    boundary = uuid.uuid4().hex
    resource = json.dumps({"name": "key", "crc32c": crc32c})
    body = (
        f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{resource}\r\n"
        f"--{boundary}\r\nContent-Type: text/plain\r\n\r\n{content}\r\n--{boundary}--\r\n"
    ).encode()
    target = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart{query}"
    return ask(google, "POST", target, body, Content_Type=f"multipart/related; boundary={boundary}")


def stored(google, bucket):
    status, _, content = ask(google, "GET", f"/storage/v1/b/{bucket}/o/key?alt=media")
    return content if status == 200 else None


def test_what_comes_in_pieces_is_stored_as_it_was_described(google, bucket):
    session = begun(google, bucket)
    assert piece(google, session, "0-3/*", b"abcd")[1]["Range"] == "bytes=0-3"
    status, _, content = piece(google, session, "4-5/6", b"ef", X_Goog_Hash=f"crc32c={crc32c_of(b'abcdef')}")
    made = json.loads(content)
    assert (status, made["name"], made["size"], made["metadata"]) == (200, "key", "6", {"a": "b"})
    assert (made["crc32c"], made["contentType"]) == (crc32c_of(b"abcdef"), "text/x")
    assert stored(google, bucket) == b"abcdef"


def test_a_wrong_checksum_is_refused(google, bucket):
    assert insert(google, bucket, "hello", crc32c_of(b"other"))[0] == 400
    session = begun(google, bucket)
    assert piece(google, session, "0-2/3", b"abc", X_Goog_Hash=f"crc32c={crc32c_of(b'x')}")[0] == 400
    assert stored(google, bucket) is None
    assert insert(google, bucket, "hello", crc32c_of(b"hello"))[0] == 200
    assert stored(google, bucket) == b"hello"


def test_a_body_that_was_damaged_on_the_way_is_refused(google, bucket):
    whole = b'--b\r\nContent-Type: application/json\r\n\r\n{"name":"key"}\r\n--b\r\n\r\nhello\r\n--b--\r\n'
    target = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"
    for damaged in (whole.replace(b"{", b"z"), whole.replace(b"--b--", b"--c--"), whole.replace(b"\r\n\r\n", b"")):
        assert ask(google, "POST", target, damaged, Content_Type="multipart/related; boundary=b")[0] == 400
    target = f"/upload/storage/v1/b/{bucket}/o?uploadType=resumable&name=key"
    assert [ask(google, "POST", target, damaged)[0] for damaged in (b"{x", b"3")] == [400, 400]
    assert stored(google, bucket) is None


def test_a_precondition_holds_for_a_session(google, bucket):
    session = begun(google, bucket, "&ifGenerationMatch=0")
    assert insert(google, bucket, "first", None)[0] == 200
    assert piece(google, session, "0-2/3", b"abc")[0] == 412
    assert insert(google, bucket, "third", None, "&ifGenerationMatch=0")[0] == 412
    assert stored(google, bucket) == b"first"


def test_a_status_query_makes_nothing(google, bucket):
    session = begun(google, bucket)
    status, headers, _ = piece(google, session, "*/*")
    assert (status, headers["Range"]) == (308, None)
    piece(google, session, "0-3/*", b"abcd")
    for total in ("*", "6"):
        status, headers, _ = piece(google, session, f"*/{total}")
        assert (status, headers["Range"]) == (308, "bytes=0-3")
    assert stored(google, bucket) is None


def test_a_finished_session_says_so_again(google, bucket):
    session = begun(google, bucket)
    first = piece(google, session, "0-2/3", b"abc")
    again = piece(google, session, "*/3")
    assert (first[0], first[2]) == (again[0], again[2])
    assert stored(google, bucket) == b"abc"


def test_a_piece_that_was_there_is_not_added_again(google, bucket):
    session = begun(google, bucket)
    for _ in range(2):
        assert piece(google, session, "0-3/*", b"abcd")[1]["Range"] == "bytes=0-3"
    assert piece(google, session, "9-9/10", b"x")[0] == 400
    assert piece(google, session, "2-5/6", b"cdef")[0] == 200
    assert stored(google, bucket) == b"abcdef"


def test_a_session_that_was_ended_takes_nothing(google, bucket):
    session = begun(google, bucket)
    assert ask(google, "DELETE", session)[0] == 499
    assert piece(google, session, "0-2/3", b"abc")[0] == 499
    assert piece(google, f"{session}x", "0-2/3", b"abc")[0] == 404
    assert stored(google, bucket) is None


def test_a_bucket_that_is_not_there_has_no_sessions(google):
    assert ask(google, "POST", "/upload/storage/v1/b/none/o?uploadType=resumable&name=key", b"{}")[0] == 404


def put(google, bucket, content, **headers):
    return ask(google, "PUT", f"/{bucket}/key?X-Goog-Algorithm=GOOG4&X-Goog-Signature=0", content, **headers)


def test_a_signed_put_is_under_its_condition_and_its_bounds(google, bucket):
    bounded = {"x_goog_content_length_range": "0,5", "Content_Type": "text/x", "x_goog_meta_a": "b"}
    status, _, body = put(google, bucket, b"longer", **bounded)
    assert (status, b"EntityTooLarge" in body, stored(google, bucket)) == (400, True, None)
    status, headers, _ = put(google, bucket, b"first", x_goog_if_generation_match="0", **bounded)
    assert (status, bool(headers["ETag"]), headers["x-goog-generation"].isdecimal()) == (200, True, True)
    status, _, body = put(google, bucket, b"other", x_goog_if_generation_match="0")
    assert (status, b"PreconditionFailed" in body, stored(google, bucket)) == (412, True, b"first")
