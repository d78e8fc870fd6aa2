"""A ticket: issued where the credentials are, it lets one object be published where there are none, and nothing else."""

import datetime as dt
import hashlib
import io
import json
import os
import pickle
import random
import urllib.parse

import pytest
from holding import everything
from lying import Liar, Lie

from keystow import (
    AlreadyExistsError,
    Context,
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
from keystow.backends.permits import parts_for
from keystow.backends.sending import repeating
from keystow.testing.servers import Azurite, FakeGCS, FaultProxy

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
    assert published == ticket.result.__class__(
        **{name: getattr(published, name) for name in published.__slots__ if name != "claimed"}
    )
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
    ticket = (
        issued("a {b}ä.txt", raw=True, metadata={"project": "apollo"}, cache_control="no-cache")
        if False
        else issued("aä.txt", raw=True, metadata={"project": "apollo"}, cache_control="no-cache")
    )
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
    keys = S3Credentials(seaweed.access_key, seaweed.secret_key, expires=end)
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
