"""A ticket: issued where the credentials are, it lets one object be published where there are none."""

import datetime as dt
import hashlib
import io
import json
import os
import pickle
import random
import re
import socket
import urllib.parse
from dataclasses import replace

import pytest
from commands import complaint, keystow
from holding import everything
from hypothesis import example, given
from hypothesis import strategies as st
from lying import Liar, Lie
from other_clouds import service_account

from keystow import (
    AlreadyExistsError,
    Context,
    PublishedResult,
    S3Credentials,
    SpecError,
    Ticket,
    TicketError,
    UnknownOutcomeError,
    fetch,
    issue_ticket,
    open_store,
    publish_with_ticket,
    verify,
)
from keystow.backends import AccessDeniedError, NotFoundError, StoreError, StoreUnavailableError, UnsupportedError
from keystow.backends.permits import Permit, SignedRequest, parts_for
from keystow.backends.sending import repeating
from keystow.testing.faults import GoogleGaps
from keystow.testing.servers import Azurite, FakeGCS, FaultProxy

pytestmark = pytest.mark.slow

PART = 8 << 20
SERVICE_ACCOUNT = "keystow@tests.iam.gserviceaccount.com"


@pytest.fixture(autouse=True)
def nobody(monkeypatch, clean_environment):
    """No credentials of any cloud's in the environment; whoever issues a ticket gives his."""
    monkeypatch.setattr(repeating, "PAUSES", (0, 0, 0))
    for name in list(os.environ):
        if name.startswith(("AZURE_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(name)


@pytest.fixture
def issued(seaweed, bucket, request):
    """Issues a ticket for an object of this test's own."""
    keys = S3Credentials(seaweed.access_key, seaweed.secret_key)
    prefix = f"tickets/{random.getrandbits(64):x}"

    def issue(key="{jobID}", *, endpoint=seaweed.endpoint, credentials=keys, **options):
        to = f"s3://{bucket}/{prefix}/{key},opt=endpoint={endpoint}"
        given = {"expires": 600} | options
        return issue_ticket(to, Context(job_id="j1"), credentials=credentials, **given)

    return issue


@pytest.fixture
def looked(seaweed, bucket, login):
    """The bucket, as its owner sees it."""
    keys = S3Credentials(seaweed.access_key, seaweed.secret_key)
    store = open_store(f"s3://{bucket}", endpoint=seaweed.endpoint, credentials=keys)
    yield store
    store.close()


def whole(store, key):
    return b"".join(store.read(key))


def told(ticket):
    """The ticket as who has the file sees it."""
    return Ticket.from_json(ticket.to_json())


def changed(ticket, change):
    """A ticket with something else in it."""
    said = json.loads(ticket.to_json())
    change(said["KeystowTicket"])
    return json.dumps(said)


# -- what it lets one do


def test_a_directory_is_published_without_credentials(issued, small, login, seaweed, tmp_path):
    ticket = told(issued())
    with pytest.raises(Exception, match="credential"):
        open_store(f"s3://{ticket.result.bucket}", endpoint=seaweed.endpoint).stat("k")
    published = publish_with_ticket(small, ticket)
    assert published.key.endswith("/j1.tar.gz")
    digests = ("checksum_sha256", "tar_sha256", "index_sha256")
    assert (
        replace(ticket.result, size=published.size, **{name: getattr(published, name) for name in digests}) == published
    )
    assert all(getattr(published, name) for name in digests)
    login(seaweed)
    assert verify(published).sha256 == published.checksum_sha256
    fetch(published, tmp_path / "got")
    assert (tmp_path / "got" / "score.txt").read_bytes() == b"42\n"


def test_a_file_is_published_as_it_is(issued, small, looked):
    ticket = told(issued("score.txt", raw=True))
    published = publish_with_ticket(small / "score.txt", ticket)
    assert (published.encoding, published.checksum_sha256.hex) == ("raw", hashlib.sha256(b"42\n").hexdigest())
    assert whole(looked, published.key) == b"42\n"


@pytest.mark.parametrize("size", [0, 1, PART, 3 * PART + 1])
def test_a_stream_of_any_length(issued, looked, size):
    data = random.Random(size).randbytes(size)
    published = publish_with_ticket(io.BytesIO(data), told(issued("exact.bin", raw=True)))
    assert whole(looked, published.key) == data


def test_what_is_said_of_the_object_is_the_issuers(issued, looked, seaweed, bucket):
    ticket = issued("aä.txt", raw=True, metadata={"project": "apollo"}, cache_control="no-cache")
    published = publish_with_ticket(io.BytesIO(b"x"), told(ticket))
    head = seaweed.client().head_object(Bucket=bucket, Key=published.key)
    assert (head["Metadata"]["project"], head["CacheControl"], head["ContentType"]) == (
        "apollo",
        "no-cache",
        "text/plain",
    )


def test_nothing_is_replaced(issued, looked):
    ticket = issued("once.txt", raw=True)
    looked.write(ticket.result.key, [b"there"])
    with pytest.raises(AlreadyExistsError, match="there is an object of that name"):
        publish_with_ticket(io.BytesIO(b"mine"), told(ticket))
    assert whole(looked, ticket.result.key) == b"there"


def test_it_is_used_once(issued, looked):
    ticket = told(issued("once.txt", raw=True))
    publish_with_ticket(io.BytesIO(b"first"), ticket)
    with pytest.raises(AlreadyExistsError):
        publish_with_ticket(io.BytesIO(b"second"), ticket)
    assert whole(looked, ticket.result.key) == b"first"


def test_the_condition_is_signed(issued, looked):
    """Who leaves the header out is not let in."""
    ticket = issued("once.txt", raw=True)
    bare = changed(ticket, lambda said: said["Put"]["Headers"].pop("If-None-Match"))
    with pytest.raises(AccessDeniedError, match="the ticket has ended, was changed, or its issuer may not write there"):
        publish_with_ticket(io.BytesIO(b"mine"), Ticket.from_json(bare))
    with pytest.raises(NotFoundError):
        looked.stat(ticket.result.key)


# -- in parts


@pytest.fixture
def small_single(monkeypatch):
    """Parts are sent for what is more than 8 MiB, not 5 GiB."""
    from keystow.backends.s3.store import S3Store

    monkeypatch.setattr(S3Store, "largest_permitted", PART)


@pytest.mark.parametrize("size", [0, 1, PART, 2 * PART, 3 * PART + 1])
def test_in_parts(issued, looked, small_single, size):
    data = random.Random(size).randbytes(size)
    arrived = []
    ticket = told(issued("large.bin", raw=True, max_size=3 * PART + 1))
    published = publish_with_ticket(io.BytesIO(data), ticket, progress=lambda done, total: arrived.append(done))
    assert len(ticket.permit.way.parts) == parts_for(3 * PART + 1) == 4
    assert whole(looked, published.key) == data
    assert published.checksum_sha256.hex == hashlib.sha256(data).hexdigest()
    assert arrived[-1] == size


def uploads(seaweed, bucket, key):
    found = seaweed.client().list_multipart_uploads(Bucket=bucket, Prefix=key)
    return [upload["Key"] for upload in found.get("Uploads", ()) if upload["Key"] == key]


def test_parts_replace_nothing(issued, looked, seaweed, bucket, small_single):
    ticket = told(issued("large.bin", raw=True, max_size=3 * PART))
    looked.write(ticket.result.key, [b"there"])
    assert uploads(seaweed, bucket, ticket.result.key)
    with pytest.raises(AlreadyExistsError):
        publish_with_ticket(io.BytesIO(bytes(2 * PART)), ticket)
    assert whole(looked, ticket.result.key) == b"there"
    assert not uploads(seaweed, bucket, ticket.result.key)


def test_the_condition_of_parts_is_signed(issued, looked, small_single):
    ticket = issued("large.bin", raw=True, max_size=2 * PART)
    bare = changed(ticket, lambda said: said["Complete"]["Headers"].pop("If-None-Match"))
    with pytest.raises(AccessDeniedError, match="the ticket has ended, was changed"):
        publish_with_ticket(io.BytesIO(bytes(2 * PART)), Ticket.from_json(bare))
    with pytest.raises(NotFoundError):
        looked.stat(ticket.result.key)


def test_what_cannot_be_signed_leaves_no_upload(issued, seaweed, bucket, small_single, monkeypatch):
    from keystow.backends.s3.store import S3Store

    def sign(self, operation, *_):
        raise KeyboardInterrupt if operation == "upload_part" else AssertionError

    monkeypatch.setattr(S3Store, "_request", sign)
    key = f"unsigned-{random.getrandbits(64):x}"
    with pytest.raises(KeyboardInterrupt):
        issued(key, raw=True, max_size=2 * PART)
    found = seaweed.client().list_multipart_uploads(Bucket=bucket)
    assert not [upload for upload in found.get("Uploads", ()) if key in upload["Key"]]


def test_more_than_s3_holds_is_refused(issued, small_single):
    issued("large.bin", raw=True, max_size=100 * PART)
    with pytest.raises(UnsupportedError, match="over 5 TiB"):
        issued("large.bin", raw=True, max_size=(5 << 40) + 1)


def test_a_part_is_sent_again(issued, looked, seaweed, small_single):
    data = random.Random(5).randbytes(2 * PART)
    with FaultProxy(seaweed.endpoint) as proxy:
        ticket = told(issued("large.bin", raw=True, max_size=2 * PART, endpoint=proxy.url))
        proxy.lose_answer(lambda method, path: method == "PUT" and "partNumber=2" in path)
        published = publish_with_ticket(io.BytesIO(data), ticket)
    assert whole(looked, published.key) == data


def test_what_cannot_be_read_ends_the_parts(issued, looked, seaweed, bucket, small_single):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > PART:
                raise OSError("the disk is gone")
            return super().read(size)

    ticket = told(issued("large.bin", raw=True, max_size=4 * PART))
    with pytest.raises(OSError, match="the disk is gone"):
        publish_with_ticket(Broken(bytes(3 * PART)), ticket)
    assert not uploads(seaweed, bucket, ticket.result.key)


def test_of_more_than_the_parts_nothing_is_left(issued, looked, seaweed, bucket, small_single):
    ticket = told(issued("large.bin", raw=True, max_size=2 * PART))
    with pytest.raises(TicketError, match="16777216 bytes at most"):
        publish_with_ticket(io.BytesIO(bytes(2 * PART + 1)), ticket)
    with pytest.raises(NotFoundError):
        looked.stat(ticket.result.key)
    assert not uploads(seaweed, bucket, ticket.result.key)
    with pytest.raises(NotFoundError, match="used up by a try"):
        publish_with_ticket(io.BytesIO(bytes(PART)), ticket)


# -- what it is bound to


def test_it_may_be_for_one_content(issued, looked, seaweed):
    """The store itself refuses another one, whatever the ticket's file says."""
    ticket = issued("bound.txt", raw=True, sha256=hashlib.sha256(b"this").hexdigest())
    assert ticket.is_bound
    with pytest.raises(TicketError, match="the ticket is for content whose SHA-256 is"):
        publish_with_ticket(io.BytesIO(b"that"), told(ticket))
    loosened = changed(ticket, lambda said: said["PublishedResult"]["Params"].pop("ChecksumSHA256"))
    with pytest.raises(StoreError):
        publish_with_ticket(io.BytesIO(b"that"), Ticket.from_json(loosened))
    with pytest.raises(NotFoundError):
        looked.stat(ticket.result.key)
    publish_with_ticket(io.BytesIO(b"this"), told(ticket))
    assert whole(looked, ticket.result.key) == b"this"
    with pytest.raises(AlreadyExistsError) as caught:
        publish_with_ticket(io.BytesIO(b"this"), told(ticket))
    assert caught.value.kind == "already_exists"


def test_more_than_its_size_is_not_sent(issued, seaweed):
    with FaultProxy(seaweed.endpoint) as proxy:
        ticket = told(issued("small.bin", raw=True, max_size=10, endpoint=proxy.url))
        before = len(proxy.requests)
        with pytest.raises(TicketError, match="10 bytes at most, and there are more"):
            publish_with_ticket(io.BytesIO(bytes(11)), ticket)
        assert len(proxy.requests) == before
        publish_with_ticket(io.BytesIO(bytes(10)), ticket)


# -- when it ends


def test_it_says_when_it_ends(issued):
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    ticket = issued(expires=dt.timedelta(minutes=10))
    assert before <= ticket.expires - dt.timedelta(minutes=10) <= dt.datetime.now(dt.UTC)
    assert told(ticket).expires == ticket.expires


def test_it_ends_with_the_credentials(issued, seaweed):
    end = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=30)
    keys = S3Credentials(seaweed.access_key, seaweed.secret_key, expires_at=end)
    ticket = issued(credentials=lambda: keys, expires=dt.timedelta(days=7))
    assert end - dt.timedelta(seconds=3) <= ticket.expires <= end


@pytest.mark.parametrize("expires", [0, -1, 8 * 86400])
def test_an_impossible_end_is_refused(issued, expires):
    with pytest.raises(ValueError, match="7 days"):
        issued(expires=expires)


def test_one_that_has_ended_is_refused_before_anything_is_read(issued):
    old = changed(issued(), lambda said: said.update(Expires="2020-01-01T00:00:00+00:00"))
    with pytest.raises(TicketError, match="the ticket ended at 2020-01-01 00:00:00 UTC: ask who issued it"):
        publish_with_ticket("/nowhere", Ticket.from_json(old))


def test_one_that_has_ended_is_refused_by_the_store(issued, looked):
    """Also where this machine's clock, or the file, says otherwise."""
    ticket = issued("late.txt", raw=True, expires=1)
    later = changed(ticket, lambda said: said.update(Expires="2100-01-01T00:00:00+00:00"))
    end = ticket.expires + dt.timedelta(seconds=1)
    while dt.datetime.now(dt.UTC) < end:
        pass
    with pytest.raises(AccessDeniedError, match="the ticket has ended"):
        publish_with_ticket(io.BytesIO(b"late"), Ticket.from_json(later))


def test_a_large_body_does_not_drown_the_refusal(issued):
    """A server that answers before it has taken all is heard."""
    ticket = issued("large.bin", raw=True)
    wrong = changed(ticket, lambda said: said["Put"].update(URL=said["Put"]["URL"][:-4] + "0000"))
    with pytest.raises(AccessDeniedError, match="the ticket has ended, was changed"):
        publish_with_ticket(io.BytesIO(bytes(40 << 20)), Ticket.from_json(wrong))


# -- what is not in the hands of either


def test_what_is_for_this_machine_stays_on_it(issued, looked, monkeypatch):
    """A proxy would read it, and its own 127.0.0.1 is another one."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    ticket = told(issued("near.txt", raw=True))
    publish_with_ticket(io.BytesIO(b"near"), ticket)
    assert whole(looked, ticket.result.key) == b"near"


def test_a_proxy_that_does_not_lead_there_had_nothing(monkeypatch, tmp_path):
    """So it is known that nothing was written."""
    with Liar(lambda asked: Lie(403)) as liar:
        monkeypatch.setenv("HTTPS_PROXY", liar.url)
        request = SignedRequest("PUT", "https://bucket.example/k?X-Amz-Signature=a", {"If-None-Match": "*"})
        result = PublishedResult("s3", "bucket", "k", encoding="raw")
        ticket = Ticket(result, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), Permit(100, request))
        with pytest.raises(StoreUnavailableError) as caught:
            publish_with_ticket(io.BytesIO(b"x"), ticket)
    assert type(caught.value) is StoreUnavailableError


def test_an_answer_that_is_lost(issued, seaweed):
    """Nobody may look by a ticket, so what stands there afterwards is not claimed to be ours, nor somebody else's."""
    with FaultProxy(seaweed.endpoint) as proxy:
        ticket = told(issued("lost.txt", raw=True, endpoint=proxy.url))
        proxy.lose_answer(lambda method, _: method == "PUT")
        with pytest.raises(UnknownOutcomeError, match="the answer to the upload was lost"):
            publish_with_ticket(io.BytesIO(b"mine"), ticket)


def test_a_request_that_never_arrived_is_made_again(issued, seaweed, looked):
    with FaultProxy(seaweed.endpoint) as proxy:
        ticket = told(issued("again.txt", raw=True, endpoint=proxy.url))
        proxy.answer(lambda method, _: method == "PUT", 503)
        published = publish_with_ticket(io.BytesIO(b"mine"), ticket)
    assert whole(looked, published.key) == b"mine"


# -- a ticket of a stranger


def strange(url, headers=None, method="PUT", **said):
    """What a stranger might have written."""
    request = {"Method": method, "URL": url, "Headers": {"If-None-Match": "*"} if headers is None else headers}
    place = {"Type": "s3", "Params": {"Bucket": "b", "Key": "k.txt", "Encoding": "raw", "Region": "us-east-1"}}
    usual = {
        "Version": 1,
        "Expires": "2100-01-01T00:00:00+00:00",
        "MaxSize": 100 << 20,
        "PublishedResult": place,
        "Put": request,
    }
    return json.dumps({"KeystowTicket": usual | said})


def _place(kind, **params):
    return {"Type": kind, "Params": {"Bucket": "bucket", **params}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is no ticket"),
        ("[1]", "it is no ticket"),
        ("[" * 100_000, "it is no ticket"),
        ("{}", "it is no ticket"),
        ('{"KeystowTicket": {"Version": 2}}', "a ticket of version '2', and 1 is read here"),
        (strange("http://objects.example/b/k?X-Amz-Signature=MARKED"), "which is called without TLS"),
        (strange("file:///etc/passwd"), "a URL that is none"),
        (strange("https://user:MARKED@objects.example/"), "a URL that is none"),
        (strange("https://objects.example/", {"Authorization": "Bearer x"}), "missing, or was changed"),
        (strange("https://objects.example/", {"Host": "other.example"}), "missing, or was changed"),
        (strange("https://objects.example/", {"Content-Type": "a\r\nX: y"}), "missing, or was changed"),
        (strange("https://objects.example/", {"Content-Length": "1"}), "missing, or was changed"),
        (strange("https://objects.example/", {"Cookie": "1"}), "missing, or was changed"),
        (strange("https://objects.example/", method="GET"), "missing, or was changed"),
        (strange("https://objects.example/", MaxSize=True), "missing, or was changed"),
        (strange("https://objects.example/", Expires="soon"), "missing, or was changed"),
        (strange("https://objects.example/", Put=None), "missing, or was changed"),
        (strange("https://objects.example/", PublishedResult=_place("memory", Key="k")), "missing, or was changed"),
        (strange("https://objects.example/", PublishedResult=_place("s3", Key="k/", Encoding="plain")),
         "missing, or was changed"),
    ],
)  # fmt: skip
def test_what_is_no_ticket_is_refused_as_it_is_read(text, said) -> None:
    with pytest.raises(TicketError, match=said) as caught:
        Ticket.from_json(text)
    assert "MARKED" not in everything(caught.value)


FIELDS = [
    "Version", "Expires", "MaxSize", "PublishedResult", "PublishedResult/Type", "PublishedResult/Params",
    "PublishedResult/Params/Key", "PublishedResult/Params/ChecksumSHA256", "Put", "Put/URL", "Put/Method",
    "Put/Headers", "Put/Headers/x-amz-meta-a", "Parts", "Complete",
]  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=5,
)


@given(field=st.sampled_from(FIELDS), value=ANYTHING)
@example("Expires", "0001-01-01T00:00:00+23:59")
@example("PublishedResult/Params/Key", "\ud800")
@example("Put/URL", "https://objects.example/\ud800")
@example("Put/URL", "https://[::1")
def test_whatever_stands_in_it_it_is_a_ticket_or_none(field, value):
    said = json.loads(strange("https://objects.example/k"))
    inner = said["KeystowTicket"]
    *path, last = field.split("/")
    for name in path:
        inner = inner[name]
    inner[last] = value
    try:
        ticket = Ticket.from_json(json.dumps(said))
    except TicketError:
        return
    assert Ticket.from_json(ticket.to_json()) == ticket
    json.dumps(ticket.result.to_mapping(), ensure_ascii=False).encode()


def test_no_redirect_is_followed(liar):
    other = liar(Lie(200, {"ETag": '"1"'}))
    server = liar(Lie(307, {"Location": f"{other.url}/b/k.txt"}))
    with pytest.raises(StoreError, match="it leads on to another server, and a ticket is for one"):
        publish_with_ticket(io.BytesIO(b"x"), Ticket.from_json(strange(f"{server.url}/b/k.txt?X-Amz-Signature=s")))
    assert not other.asked


def test_nothing_of_the_users_is_sent(liar, monkeypatch, tmp_path):
    """No credentials that the environment or a file of the user's holds, and no cookie."""
    (tmp_path / ".netrc").write_text("default login MARKED password MARKED\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.setenv(name, "MARKED")
    server = liar(Lie(200, {"ETag": '"1"', "Set-Cookie": "a=MARKED"}))
    ticket = Ticket.from_json(strange(f"{server.url}/b/k.txt?X-Amz-Signature=s"))
    publish_with_ticket(io.BytesIO(b"x"), ticket)
    publish_with_ticket(io.BytesIO(b"x"), ticket)
    for asked in server.asked:
        assert set(asked.headers) == {
            *("host", "connection", "user-agent", "accept-encoding", "content-length", "content-md5", "content-type"),
            "if-none-match",
        }
        assert "MARKED" not in repr(asked)


def test_servers_that_are_not_allowed_are_not_called(liar, monkeypatch):
    server = liar(Lie(200, {"ETag": '"1"'}))
    ticket = Ticket.from_json(strange(f"{server.url}/b/k.txt?X-Amz-Signature=s"))
    with pytest.raises(TicketError, match="is not called, as it is none of those that are allowed"):
        publish_with_ticket(io.BytesIO(b"x"), ticket, allow_endpoints={"https://objects.example"})
    monkeypatch.setenv("KEYSTOW_ALLOW_ENDPOINTS", "https://objects.example")
    with pytest.raises(TicketError, match="is not called"):
        publish_with_ticket(io.BytesIO(b"x"), ticket)
    assert not server.asked
    publish_with_ticket(io.BytesIO(b"x"), ticket, allow_endpoints={server.url})


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (Lie(200), StoreUnavailableError),
        (Lie(200, body=b"<html>"), StoreUnavailableError),
        (Lie(500), StoreUnavailableError),
        (Lie(204, {"ETag": "\x1b[2J"}), None),
        (Lie(403, body=b"<Error><Code>\x1b[2J</Code></Error>"), AccessDeniedError),
        (Lie(404, body=b"<Error><Code>NoSuchBucket</Code></Error>"), NotFoundError),
        (Lie(418), StoreError),
        (Lie(412), AlreadyExistsError),
        (Lie(409, body=b"<Error><Code>BlobAlreadyExists</Code></Error>"), AlreadyExistsError),
        (Lie(raw=b'HTTP/1.1 200 OK\r\nETag: "e"\r\nx-amz-version-id: L4kq'), UnknownOutcomeError),
        (Lie(raw=b'HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'), None),
    ],
)
def test_any_answer_is_one_of_the_errors_or_none(liar, lie, error):
    ticket = Ticket.from_json(strange(f"{liar(lie).url}/b/k.txt?X-Amz-Signature=MARKED"))
    if error is None:
        publish_with_ticket(io.BytesIO(b"x"), ticket)
        return
    with pytest.raises(error) as caught:
        publish_with_ticket(io.BytesIO(b"x"), ticket)
    assert "MARKED" not in everything(caught.value)
    assert "\x1b" not in str(caught.value)


def test_no_server_there(monkeypatch):
    ticket = Ticket.from_json(strange("https://127.0.0.1:9/b/k.txt?X-Amz-Signature=MARKED"))
    with pytest.raises(StoreUnavailableError, match="check the address and the network") as caught:
        publish_with_ticket(io.BytesIO(b"x"), ticket)
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert "MARKED" not in everything(caught.value)


def test_a_server_that_takes_nothing():
    """It is waited for, and not for long."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"http://127.0.0.1:{server.getsockname()[1]}/b/k.txt"
        ticket = Ticket.from_json(strange(f"{place}?X-Amz-Signature=MARKED"))
        with pytest.raises(UnknownOutcomeError, match=r"less than 1024 bytes in 0\.4 s"):
            publish_with_ticket(io.BytesIO(bytes(32 << 20)), ticket, timeout=1)


# -- a secret


def test_it_is_a_secret(issued):
    ticket = issued()
    signature = urllib.parse.parse_qs(urllib.parse.urlsplit(ticket.permit.way.url).query)["X-Amz-Signature"][0]
    assert signature in ticket.to_json()
    assert "Signature" not in repr(ticket)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(ticket)


def test_its_signature_is_masked_wherever_it_stands(liar):
    from keystow.backends.texts import presentable

    signature = "0123456789abcdef0123456789abcdef"
    Ticket.from_json(strange(f"https://objects.example/k?X-Amz-Signature={signature}&x-id=PutObject"))
    assert signature not in presentable(f"the server says {signature}")


# -- what no ticket can be for


def test_files_under_a_prefix_are_not_named_beforehand(issued):
    with pytest.raises(SpecError, match="the names of the files under a prefix are not known before"):
        issued("files/", archive=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_size": 0}, "max_size=0 lets nothing be published"),
        ({"sha256": "abc"}, "sha256: "),
    ],
)
def test_what_is_wrong_with_the_call(issued, given, said):
    with pytest.raises(SpecError, match=said):
        issued(**given)


def test_s3_verifies_no_checksum_of_many_parts(issued):
    with pytest.raises(UnsupportedError, match="S3 verifies a SHA-256 of what goes in one request"):
        issued(max_size=6 << 30, sha256="0" * 64)


@pytest.mark.parametrize("to", ["file:///tmp/{jobID}", "memory://bucket/{jobID}"])
def test_where_there_are_no_urls(to):
    with pytest.raises(SpecError, match="there are no tickets for"):
        issue_ticket(to, Context(job_id="j1"), expires=60)


def test_none_is_issued_for_an_endpoint_without_tls():
    with pytest.raises(SpecError, match="is called without TLS"):
        issue_ticket("s3://b/k,opt=endpoint=http://objects.example", expires=60, credentials=S3Credentials("a", "b"))


# -- Google


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    """With what fake-gcs-server lacks; it looks at no signature."""
    with FakeGCS(tmp_path_factory.mktemp("gcs")) as server, GoogleGaps(server.endpoint) as whole:
        yield server, whole.url


@pytest.fixture
def signer():
    from google.oauth2.service_account import Credentials

    return Credentials.from_service_account_info(service_account(SERVICE_ACCOUNT))


@pytest.mark.server
def test_google(google, signer, small, tmp_path, monkeypatch):
    server, endpoint = google
    to = f"gs://{server.make_bucket()}/tickets/{{jobID}},opt=endpoint={endpoint}"
    ticket = issue_ticket(
        to,
        Context(job_id="j1"),
        expires=600,
        credentials=signer,
        max_size=1 << 20,
        sha256="0" * 64,
        metadata={"a": "b"},
    )
    way = ticket.permit.way
    assert way.headers == {
        "Content-Type": "application/gzip",
        "x-goog-meta-a": "b",
        "x-goog-if-generation-match": "0",
        "x-goog-content-length-range": "0,1048576",
        "x-goog-content-sha256": "0" * 64,
    }
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(way.url).query)
    assert {"host", *map(str.lower, way.headers)} == set(query["X-Goog-SignedHeaders"][0].split(";"))
    assert query["X-Goog-Expires"] == ["600"]

    ticket = issue_ticket(to, Context(job_id="j1"), expires=600, credentials=signer)
    published = publish_with_ticket(small, Ticket.from_json(ticket.to_json()))
    assert published.version_id
    with pytest.raises(AlreadyExistsError):
        publish_with_ticket(small, ticket)
    for name, value in server.environment(endpoint).items():
        monkeypatch.setenv(name, value)
    fetch(published, tmp_path / "got")
    assert (tmp_path / "got" / "score.txt").read_bytes() == b"42\n"


@pytest.mark.server
def test_google_takes_no_more_in_a_ticket(google, signer):
    to = f"gs://bucket/k,opt=endpoint={google[1]}"
    with pytest.raises(UnsupportedError, match="a ticket writes up to 5497558138880 bytes"):
        issue_ticket(to, expires=600, credentials=signer, max_size=6 << 40)
    with pytest.raises(UnsupportedError, match="a ticket cannot say legal_hold"):
        issue_ticket(to, expires=600, credentials=signer, legal_hold=True)
    with pytest.raises(UnsupportedError, match="is not printable ASCII"):
        issue_ticket(to, expires=600, credentials=signer, metadata={"a": "ä"})


# -- Azure


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def in_azure(azurite, monkeypatch):
    """Issues a ticket for a container of its own, and then there are no credentials any more."""
    container = azurite.make_container()

    def issue(key="{jobID}", **options):
        with monkeypatch.context() as patch:
            for name, value in azurite.environment().items():
                patch.setenv(name, value)
            return issue_ticket(f"az://{container}/{key}", Context(job_id="j1"), expires=600, **options)

    return issue


@pytest.mark.server
def test_azure(in_azure, azurite, small, tmp_path, monkeypatch):
    ticket = in_azure(metadata={"a": "b"})
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(ticket.permit.way.url).query)["sp"] == ["c"]
    published = publish_with_ticket(small, Ticket.from_json(ticket.to_json()))
    with pytest.raises(AlreadyExistsError):
        publish_with_ticket(small, ticket)
    for name, value in azurite.environment().items():
        monkeypatch.setenv(name, value)
    fetch(published, tmp_path / "got")
    assert (tmp_path / "got" / "score.txt").read_bytes() == b"42\n"


@pytest.mark.server
def test_azure_lets_nobody_replace_by_it(in_azure, azurite, monkeypatch):
    """Not even who leaves the condition out: the signature is for creating alone."""
    ticket = in_azure("once.txt", raw=True)
    published = publish_with_ticket(io.BytesIO(b"first"), ticket)
    bare = changed(ticket, lambda said: said["Put"]["Headers"].pop("If-None-Match"))
    with pytest.raises(StoreError):
        publish_with_ticket(io.BytesIO(b"second"), Ticket.from_json(bare))
    for name, value in azurite.environment().items():
        monkeypatch.setenv(name, value)
    assert verify(published).sha256 == published.checksum_sha256


@pytest.mark.server
def test_azure_binds_no_content(in_azure):
    """So the ticket's own check is all there is, and it says so."""
    ticket = in_azure("bound.txt", raw=True, sha256=hashlib.sha256(b"this").hexdigest())
    assert not ticket.is_bound
    with pytest.raises(TicketError, match="the ticket is for content whose SHA-256 is"):
        publish_with_ticket(io.BytesIO(b"that"), Ticket.from_json(ticket.to_json()))


# -- the command


@pytest.fixture
def by_command(seaweed, bucket, login, monkeypatch, tmp_path):
    """Issues a ticket into a file, as who has the credentials, who then are gone."""
    login(seaweed)
    monkeypatch.chdir(tmp_path)
    to = f"s3://{bucket}/by-command-{random.getrandbits(64):x}/{{jobID}},opt=endpoint={seaweed.endpoint}"

    def issue(*options, file="ticket.json", expires="1h"):
        ran = keystow("ticket", to, "--job-id", "j1", "--expires", expires, "--file", file, *options)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        return ran

    return issue


def test_by_the_command(by_command, small, login, seaweed, tmp_path):
    ran = by_command()
    assert (ran.status, ran.out) == (0, "")
    assert re.fullmatch(
        r"keystow: the ticket ends at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; it is for an archive of up to "
        r"5368709120 bytes as s3://\S+/j1\.tar\.gz\n",
        ran.err,
    )
    assert (tmp_path / "ticket.json").stat().st_mode & 0o777 == 0o600
    ran = keystow("publish", small, "--ticket", "ticket.json", "--result", "published.yaml")
    assert (ran.status, ran.out) == (0, "")
    assert "published 5 files of" in ran.err
    again = keystow("publish", small, "--ticket", "ticket.json")
    assert "there is an object of that name" in complaint(again, 3)
    login(seaweed)
    assert keystow("verify", "published.yaml").status == 0
    assert keystow("get", "published.yaml", "got").status == 0
    assert (tmp_path / "got" / "score.txt").read_bytes() == b"42\n"


def test_what_a_pipe_brings(by_command):
    assert by_command("--raw").status == 0
    ran = keystow("publish", "-", "--ticket", "ticket.json", "--output", "json", stdin="42")
    assert json.loads(ran.out)["PublishedResult"]["Params"]["Encoding"] == "raw"


def test_a_pipe_is_no_archive(by_command):
    by_command()
    ran = keystow("publish", "-", "--ticket", "ticket.json", stdin="42")
    assert "the ticket is for an archive: ask for one that is issued with --raw" in complaint(ran, 2)


def test_a_dry_run_says_where_it_would_go(by_command, small):
    by_command()
    ran = keystow("publish", small, "--ticket", "ticket.json", "--dry-run", "--output", "key")
    assert (ran.status, ran.out.endswith("/j1.tar.gz\n")) == (0, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["file:///tmp/x"], "leave DESTINATION out"),
        (["--job-id", "j2"], "leave --job-id out"),
        (["--plain"], "leave --plain out"),
        (["--storage-class", "COLD"], "leave --storage-class out"),
        (["--profile", "lab"], "leave --profile out"),
        (["--partition-index", "0"], "leave --partition-index out"),
        (["--if-exists", "replace"], "leave --if-exists replace out"),
        (["--if-exists", "skip"], "leave --if-exists skip out"),
    ],
)
def test_the_ticket_alone_says_where_and_as_what(small, tmp_path, options, said):
    (tmp_path / "t.json").write_text(strange("https://objects.example/b/k.txt"))
    ran = keystow("publish", small, *options, "--ticket", tmp_path / "t.json")
    assert said in complaint(ran, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read (No such file or directory): name the file of a ticket"),
        ("{}", "it is no ticket: give what keystow ticket wrote"),
        (strange("https://objects.example/", Expires="2020-01-01T00:00:00+00:00"), "the ticket ended at 2020-01-01"),
    ],
)
def test_one_line_says_what_is_wrong_with_a_ticket(small, tmp_path, text, said):
    if text is not None:
        (tmp_path / "t.json").write_text(text)
    assert said in complaint(keystow("publish", small, "--ticket", tmp_path / "t.json"), 2)


def test_no_ticket_no_file(small, tmp_path, monkeypatch):
    """Of what cannot be issued nothing is left, nor is a file replaced."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.json").write_text("before")
    ran = keystow("ticket", "s3://b/files/", "--plain", "--expires", "1h", "--file", "t.json")
    assert "the names of the files under a prefix are not known" in complaint(ran, 2)
    assert [path.name for path in tmp_path.iterdir() if path != small] == ["t.json"]
    assert (tmp_path / "t.json").read_text() == "before"
    assert "no file can be made" in complaint(
        keystow("ticket", "s3://b/k", "--expires", "1h", "--file", "no/t.json"), 2
    )


def test_what_is_wrong_is_told_without_the_signature(by_command, small, tmp_path):
    by_command()
    text = (tmp_path / "ticket.json").read_text()
    signature = re.search(r"X-Amz-Signature=(\w+)", text)[1]
    (tmp_path / "ticket.json").write_text(text.replace("X-Amz-Expires=3600", "X-Amz-Expires=7200"))
    for options in ([], ["--debug"], ["--output", "json"]):
        ran = keystow("publish", small, "--ticket", "ticket.json", *options)
        assert ran.status == 1
        assert "the ticket has ended, was changed" in ran.err
        assert signature not in ran.err + ran.out
