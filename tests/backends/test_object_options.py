"""How an object is written: what each option becomes in each cloud, as the wire shows it, or why it is refused."""

import base64
import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import os
import pickle
import subprocess
import sys
import urllib.parse
import urllib.request
import uuid
from email.message import Message
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lying import Liar, Lie
from other_clouds import crc32c_of
from tls import secured

from keystow.backends import AccessDeniedError, ObjectOptions, StoreError, UnsupportedError, open_store, texts
from keystow.backends.options import TABLE, CustomerKey, Instead, customer_key_for, refused
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import FaultProxy, Moto

pytestmark = pytest.mark.slow

UNTIL = dt.datetime(2030, 1, 31, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
GIVEN = {
    "encryption": {"encryption": "AES256"},
    "kms_key": {"kms_key": "projects/p/locations/l/keyRings/r/cryptoKeys/k"},
    "encryption_context": {"encryption_context": {"project": "apollo"}, "kms_key": "results"},
    "encryption_scope": {"encryption_scope": "results"},
    "storage_class": {"storage_class": "STANDARD_IA"},
    "tags": {"tags": {"a b": "c/d", "e": ""}},
    "metadata": {"metadata": {"job": "j1"}},
    "content_type": {"content_type": "text/x-results"},
    "cache_control": {"cache_control": "no-store"},
    "content_disposition": {"content_disposition": 'attachment; filename="r.txt"'},
    "lock_mode": {"lock_mode": "governance", "retain_until": UNTIL},
    "retain_until": {"lock_mode": "compliance", "retain_until": UNTIL},
    "legal_hold": {"legal_hold": True},
}
SMALL = [b"small"]
LARGE = [bytes(1 << 20)] * (2 * part_size(1) >> 20) + [b"the end"]
SIZES = pytest.mark.parametrize("body", [SMALL, LARGE], ids=["whole", "in parts"])
ENGINES = pytest.mark.parametrize("engine", ["auto", "fsspec"])
KEY = bytes(range(32))
KEY_TEXT, KEY_MD5 = base64.b64encode(KEY).decode(), base64.b64encode(hashlib.md5(KEY).digest()).decode()
KEY_SHA256 = base64.b64encode(hashlib.sha256(KEY).digest()).decode()


def taken_by(kind):
    return [name for name in GIVEN if not isinstance(getattr(TABLE[name], kind), Instead)]


def refused_by(kind):
    return [name for name in GIVEN if isinstance(getattr(TABLE[name], kind), Instead)]


@pytest.fixture(autouse=True)
def accounts(monkeypatch, clean_environment):
    monkeypatch.setattr(texts, "_secrets", {})  # the many keys of these tests would be looked for in all others'
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "CLIENT_ID", "ANON"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY_TEXT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "somebodys-secret-key")


# -- the table


def test_none_is_left_to_the_bucket() -> None:
    assert ObjectOptions(tags=None, metadata=None, encryption_context=None) == ObjectOptions()


def test_every_option_has_a_row() -> None:
    fields = {field.name for field in dataclasses.fields(ObjectOptions)}
    assert fields == set(GIVEN)
    assert set(TABLE) == fields | {"customer_key", "requester_pays"}


@pytest.mark.parametrize("kind", ["s3", "gs", "az"])
@pytest.mark.parametrize("name", TABLE)
def test_a_cell_says_what_it_becomes_or_what_to_do_instead(name, kind) -> None:
    cell, refusal = getattr(TABLE[name], kind), refused([name], kind)
    if isinstance(cell, Instead):
        assert refusal == f"{name}: {cell.why}"
    else:
        assert cell
        assert refusal is None


@pytest.mark.parametrize("name", GIVEN)
@pytest.mark.parametrize("url", ["memory://options", "file:///nowhere", "data://text/plain,x"])
def test_what_is_no_cloud_has_none(name, url) -> None:
    store = open_store(url)
    with pytest.raises(UnsupportedError, match="only S3, Google Cloud Storage and Azure have it"):
        store.write("key", iter(never()), options=ObjectOptions(**GIVEN[name]))


def never():
    yield pytest.fail("the content was asked for")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in ("s3", "gs", "az") for name in refused_by(kind)])
def test_what_a_cloud_does_not_have_is_refused_before_anything_is_sent(kind, name) -> None:
    with (
        Liar(lambda _: Lie(500)) as liar,
        contextlib.closing(open_store(f"{kind}://bucket", endpoint=liar.url)) as store,
    ):
        with pytest.raises(UnsupportedError, match=f"^({'|'.join(GIVEN[name])}): "):
            store.write("key", never(), options=ObjectOptions(**GIVEN[name]))
        assert liar.asked == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"encryption": "rot13"}, "AES256, aws:kms or aws:kms:dsse"),
        ({"encryption": "AES256", "kms_key": "k"}, "use aws:kms"),
        ({"encryption": "AES256", "encryption_context": {"a": "b"}}, "use aws:kms"),
        ({"lock_mode": "governance"}, "give both"),
        ({"retain_until": UNTIL}, "give both"),
        ({"lock_mode": "strict", "retain_until": UNTIL}, "governance or compliance"),
        ({"lock_mode": "governance", "retain_until": dt.datetime(2030, 1, 1)}, "has no zone"),  # noqa: DTZ001
        ({"tags": {str(number): "" for number in range(11)}}, "10 at most"),
        ({"tags": {"a&b": ""}}, "the tag 'a&b'"),
        ({"tags": {"a" * 129: ""}}, "128 of them"),
        ({"tags": {"a": "b" * 257}}, "256 in the value"),
        ({"metadata": {"": "x"}}, "the metadata ''"),
        ({"metadata": {"a": "b\nc"}}, "printable"),
        ({"metadata": {"Owner": "a", "owner": "b"}}, "differ in case alone"),
        ({"metadata": {"Keystow-Write": "a"}}, "keystow's own"),
        ({"tags": {"a": 1}}, "no mapping of texts"),
        ({"kms_key": 5}, "kms_key=5 is no text"),
        ({"lock_mode": "governance", "retain_until": "2030-01-01"}, "is no time"),
        ({"storage_class": ""}, "storage_class=''"),
        ({"cache_control": "a\r\nb: c"}, "cannot stand in a header"),
        ({"content_disposition": " x"}, "without spaces around it"),
    ],
)
def test_what_no_cloud_takes_is_refused_when_it_is_said(given, says) -> None:
    with pytest.raises(ValueError, match=says):
        ObjectOptions(**given)


def opened(url, endpoint, **options):
    return contextlib.closing(open_store(url, endpoint=endpoint, **options))


# -- S3


@pytest.fixture
def s3(seaweed, login, monkeypatch):
    """A recording proxy before the server, and what opens a store behind it."""
    login(seaweed)
    with FaultProxy(seaweed.endpoint) as proxy, contextlib.ExitStack() as stack:

        def opened(bucket, **options):
            return proxy, stack.enter_context(
                contextlib.closing(open_store(f"s3://{bucket}", endpoint=proxy.url, **options))
            )

        yield opened


@pytest.fixture(scope="module")
def moto():
    with Moto() as running:
        yield running


@pytest.fixture(scope="module")
def lockable(seaweed):
    name = f"locked-{uuid.uuid4().hex[:8]}"
    seaweed.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


EXPECTED = {
    "encryption": "AES256",
    "kms_key": GIVEN["kms_key"]["kms_key"],
    "encryption_context": base64.b64encode(b'{"project": "apollo"}').decode(),
    "storage_class": "STANDARD_IA",
    "tags": "a+b=c%2Fd&e=",
    "content_type": "text/x-results",
    "cache_control": "no-store",
    "content_disposition": 'attachment; filename="r.txt"',
    "lock_mode": "GOVERNANCE",
    "retain_until": "2030-01-31T10:00:00Z",
    "legal_hold": "ON",
}


@pytest.mark.server
@ENGINES
@SIZES
@pytest.mark.parametrize("name", taken_by("s3"))
def test_what_it_becomes_in_s3_and_what_the_server_keeps(s3, seaweed, bucket, lockable, name, body, engine) -> None:
    where = lockable if name in {"lock_mode", "retain_until", "legal_hold"} else bucket
    proxy, store = s3(where, engine=engine)
    key = uuid.uuid4().hex
    store.write(key, body, options=ObjectOptions(**GIVEN[name]))
    first = proxy.requests[0].headers
    if name == "metadata":
        assert first["x-amz-meta-job"] == "j1"
    else:
        assert first[TABLE[name].s3.lower()] == EXPECTED[name]
    if name in {"kms_key", "encryption_context"}:
        assert first["x-amz-server-side-encryption"] == "aws:kms"
    assert b"".join(store.read(key)) == b"".join(body)
    kept = seaweed.client().head_object(Bucket=where, Key=key)
    assert kept_as_given(name, kept, seaweed, where, key)


def kept_as_given(name, kept, seaweed, bucket, key):
    match name:
        case "encryption":
            return kept["ServerSideEncryption"] == "AES256"
        case "kms_key":
            return (kept["ServerSideEncryption"], kept["SSEKMSKeyId"]) == ("aws:kms", GIVEN[name][name])
        case "encryption_context":
            return kept["ServerSideEncryption"] == "aws:kms"
        case "storage_class":
            return kept["StorageClass"] == "STANDARD_IA"
        case "tags":
            found = seaweed.client().get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
            return {tag["Key"]: tag["Value"] for tag in found} == GIVEN[name][name]
        case "metadata":
            return kept["Metadata"]["job"] == "j1"
        case "lock_mode" | "retain_until":
            return (kept["ObjectLockMode"], kept["ObjectLockRetainUntilDate"]) == (
                GIVEN[name]["lock_mode"].upper(),
                UNTIL,
            )
        case "legal_hold":
            return kept["ObjectLockLegalHoldStatus"] == "ON"
    header = {"content_type": "ContentType", "cache_control": "CacheControl"}.get(name, "ContentDisposition")
    return kept[header] == GIVEN[name][name]


@pytest.mark.server
@pytest.mark.parametrize("name", taken_by("s3"))
def test_what_another_server_keeps(monkeypatch, moto, name) -> None:
    where = moto.make_bucket()
    if name in {"lock_mode", "retain_until", "legal_hold"}:
        where += "-locked"
        moto.client().create_bucket(Bucket=where, ObjectLockEnabledForBucket=True)
    for variable, value in moto.environment().items():
        monkeypatch.setenv(variable, value)
    with opened(f"s3://{where}", moto.endpoint) as store:
        store.write("key", SMALL, options=ObjectOptions(**GIVEN[name]))
        assert b"".join(store.read("key")) == b"small"
    assert kept_as_given(name, moto.client().head_object(Bucket=where, Key="key"), moto, where, "key")


@pytest.mark.server
@ENGINES
def test_a_bucket_whose_policy_demands_encryption_takes_what_says_so(s3, seaweed, engine) -> None:
    """In one request: of parts SeaweedFS asks for the header, too, which AWS does not."""
    demanding = seaweed.make_bucket()
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{demanding}/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    seaweed.client().put_bucket_policy(Bucket=demanding, Policy=json.dumps(policy))
    _, store = s3(demanding, engine=engine)
    with pytest.raises(AccessDeniedError):
        store.write("key", SMALL)
    store.write("key", SMALL, options=ObjectOptions(encryption="aws:kms", kms_key="results"))
    assert b"".join(store.read("key")) == b"small"


@pytest.mark.server
@ENGINES
@SIZES
def test_a_customers_key_opens_what_it_closed_and_no_other_does(s3, bucket, body, engine) -> None:
    key = uuid.uuid4().hex
    proxy, store = s3(bucket, engine=engine, customer_key=KEY)
    store.write(key, body)
    assert b"".join(store.read(key)) == b"".join(body)
    assert b"".join(store.read(key, start=1, stop=4)) == b"".join(body)[1:4]
    assert store.stat(key).size == sum(map(len, body))
    assert [found.size for found in store.list(key)] == [sum(map(len, body))]
    for sent in proxy.requests:
        named = "x-amz-server-side-encryption-customer"
        keyed = [sent.headers.get(f"{named}-{end}") for end in ("algorithm", "key", "key-md5")]
        is_listing = "list-type" in sent.path
        assert keyed == ([None] * 3 if is_listing else ["AES256", KEY_TEXT, KEY_MD5]), sent
    for other in ({}, {"customer_key": bytes(32)}):
        with pytest.raises(StoreError) as raised:
            b"".join(s3(bucket, engine=engine, **other)[1].read(key))
        assert KEY_TEXT not in repr(raised.value)


@pytest.mark.server
@ENGINES
def test_the_url_of_what_a_customers_key_closed_wants_the_key(s3, bucket, engine) -> None:
    key = uuid.uuid4().hex
    _, store = s3(bucket, engine=engine, customer_key=KEY_TEXT)
    store.write(key, [b"content"])
    url = store.presign(key, expires=60)
    assert KEY_TEXT not in urllib.parse.unquote(url)
    named = "x-amz-server-side-encryption-customer"
    headers = {f"{named}-algorithm": "AES256", f"{named}-key": KEY_TEXT, f"{named}-key-MD5": KEY_MD5}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        assert answer.read() == b"content"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url)


@pytest.mark.server
@ENGINES
@SIZES
def test_who_asks_pays_for_every_request_and_says_so_in_a_url(s3, bucket, body, engine) -> None:
    key = uuid.uuid4().hex
    proxy, store = s3(bucket, engine=engine, requester_pays=True)
    store.write(key, body)
    b"".join(store.read(key))
    store.stat(key)
    list(store.list(key))
    url = store.presign(key, expires=60)
    store.delete(key)
    assert {sent.headers.get("x-amz-request-payer") for sent in proxy.requests} == {"requester"}
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    assert (asked["x-amz-request-payer"], asked["X-Amz-SignedHeaders"]) == (["requester"], ["host"])


def test_without_an_option_nothing_is_said_of_it() -> None:
    described = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    with Liar(lambda _: Lie(200, {"ETag": '"e"'}, described)) as liar:
        store = open_store("s3://bucket", endpoint=liar.url)
        with contextlib.suppress(StoreError):
            store.write("key", LARGE)
        with contextlib.suppress(StoreError):
            store.write("key", SMALL)
    said = {name for asked in liar.asked for name in asked.headers}
    options = {row.s3.lower() for row in TABLE.values() if not isinstance(row.s3, Instead)}
    assert said & options == set()


# -- Google


def google(asked):
    """What Google answers to a write: the object, as it was described."""
    if "uploadType=multipart" in asked.path:
        parts = BytesParser().parsebytes(
            b"Content-Type: " + asked.headers["content-type"].encode() + b"\r\n\r\n" + asked.body
        )
        described, content = parts.get_payload()
        return said_of(json.loads(described.get_payload()), content.get_payload(decode=True))
    if "uploadType=resumable" in asked.path:
        return Lie(200, {"Location": f"http://{asked.headers['host']}/session?upload_id=u"})
    size = int(asked.headers["content-range"].rpartition("/")[2])
    return said_of({"name": "key"}, asked.body, size, asked.headers["x-goog-hash"].removeprefix("crc32c="))


def said_of(resource, content, size=None, checksum=None):
    found = {"size": str(size or len(content)), "crc32c": checksum or crc32c_of(content), "generation": "1"}
    return Lie(200, {}, json.dumps(resource | found).encode())


def resource_of(asked):
    """What a write said of its object."""
    if "uploadType=resumable" in asked.path:
        return json.loads(asked.body)
    message: Message = BytesParser().parsebytes(
        b"Content-Type: " + asked.headers["content-type"].encode() + b"\r\n\r\n" + asked.body
    )
    return json.loads(message.get_payload()[0].get_payload())


GOOGLES = {
    "storage_class": "STANDARD_IA",
    "metadata": "j1",
    "content_type": "text/x-results",
    "cache_control": "no-store",
    "content_disposition": 'attachment; filename="r.txt"',
    "lock_mode": "Unlocked",
    "retain_until": "2030-01-31T10:00:00+00:00",
    "legal_hold": True,
}


@SIZES
@pytest.mark.parametrize("name", taken_by("gs"))
def test_what_it_becomes_in_google(name, body) -> None:
    piece = [b"".join(body)[: part_size(1) + 1]] if body is LARGE else body
    with Liar(google_in_pieces if body is LARGE else google) as liar, opened("gs://bucket", liar.url) as store:
        store.write("key", piece, options=ObjectOptions(**GIVEN[name]))
    first = liar.asked[0]
    if name == "kms_key":
        assert urllib.parse.parse_qs(urllib.parse.urlsplit(first.path).query)["kmsKeyName"] == [GIVEN[name][name]]
        return
    found = resource_of(first)
    if name == "metadata":
        found = {"metadata": found["metadata"]["job"]}
    for step in TABLE[name].gs.split("."):
        found = found[step]
    assert found == GOOGLES[name]


def google_in_pieces(asked):
    """A session takes each piece but the last."""
    total = asked.headers.get("content-range", "/").rpartition("/")[2]
    if total == "*":
        end = asked.headers["content-range"].removeprefix("bytes ").partition("/")[0].rpartition("-")[2]
        return Lie(308, {"Range": f"bytes=0-{end}"})
    return google(asked)


@SIZES
def test_googles_customer_key_goes_with_the_object_and_its_session(body) -> None:
    piece = [b"".join(body)[: part_size(1) + 1]] if body is LARGE else body
    with (
        Liar(google_in_pieces if body is LARGE else google) as liar,
        opened("gs://bucket", liar.url, customer_key=KEY) as store,
    ):
        store.write("key", piece)
        liar.answer = lambda _: Lie(200, {"X-Goog-Generation": "1"}, b"content")
        assert b"".join(store.read("key")) == b"content"
        liar.answer = lambda _: said_of({"name": "key"}, b"content")
        store.stat("key")
        of_the_object = len(liar.asked)
        liar.answer = lambda _: Lie(200, {}, b'{"kind": "storage#objects"}')
        list(store.list())
    for number, asked in enumerate(liar.asked):
        keyed = [asked.headers.get(f"x-goog-encryption-{end}") for end in ("algorithm", "key", "key-sha256")]
        assert keyed == (["AES256", KEY_TEXT, KEY_SHA256] if number < of_the_object else [None] * 3), asked.path


def test_with_google_a_project_pays_for_every_request() -> None:
    with Liar(google) as liar, opened("gs://bucket", liar.url, requester_pays="my-project") as store:
        store.write("key", SMALL)
        liar.answer = lambda _: Lie(200, {"X-Goog-Generation": "1"}, b"content")
        b"".join(store.read("key"))
        liar.answer = lambda _: said_of({"name": "key"}, b"content")
        store.stat("key")
        liar.answer = lambda _: Lie(200, {}, b'{"kind": "storage#objects"}')
        list(store.list())
        liar.answer = lambda _: Lie(204)
        store.delete("key")
    paying = [urllib.parse.parse_qs(urllib.parse.urlsplit(asked.path).query)["userProject"] for asked in liar.asked]
    assert paying == [["my-project"]] * 5


# -- Azure


def azure(asked):
    """What Azure answers to a write."""
    return Lie(201, {"ETag": '"0x1"', "x-ms-request-id": "r", "Last-Modified": "Sun, 29 Nov 2026 00:00:00 GMT"})


AZURES = {
    "encryption_scope": "results",
    "storage_class": "Cool",
    "tags": "a%20b=c%2Fd&e=",
    "metadata": "j1",
    "content_type": "text/x-results",
    "cache_control": "no-store",
    "content_disposition": 'attachment; filename="r.txt"',
    "lock_mode": "Unlocked",
    "retain_until": "Thu, 31 Jan 2030 10:00:00 GMT",
    "legal_hold": "true",
}


@SIZES
@pytest.mark.parametrize("name", taken_by("az"))
def test_what_it_becomes_in_azure(name, body) -> None:
    given = {"storage_class": "cool"} if name == "storage_class" else GIVEN[name]
    with Liar(azure) as liar, opened("az://container", f"{liar.url}/account") as store:
        store.write("key", body, options=ObjectOptions(**given))
    header = TABLE[name].az.replace("*", "job")
    assert liar.asked[-1].headers[header].lower() == AZURES[name].lower()
    blocks = [asked for asked in liar.asked if "comp=block&" in f"{asked.path}&"]
    assert bool(blocks) == (body is LARGE)
    if name == "encryption_scope":
        assert {asked.headers.get(header) for asked in liar.asked} == {"results"}


KEYED_BLOB = """
import contextlib, sys
from keystow.backends import open_store

with contextlib.closing(open_store("az://container", endpoint=sys.argv[1], customer_key=sys.argv[2])) as store:
    store.write("key", [bytes(1 << 20)] * int(sys.argv[3]))
    assert b"".join(store.read("key")) == b"content"
    assert store.stat("key").size == 7
"""


def keyed_azure(asked):
    if asked.method == "PUT":
        return azure(asked)
    found = {"ETag": '"0x1"', "Content-Length": "7", "x-ms-blob-type": "BlockBlob"}
    if asked.method == "HEAD":
        return Lie(200, found)
    return Lie(206, found | {"Content-Range": "bytes 0-6/7"}, b"content")


@pytest.mark.parametrize("mebibytes", [1, 12], ids=["whole", "in parts"])
def test_azures_customer_key_goes_with_the_blob_and_its_blocks(certificates, mebibytes) -> None:
    environment = {**os.environ, "SSL_CERT_FILE": str(certificates / "ca.pem")}
    with secured(Liar(keyed_azure), certificates) as liar:
        call = [sys.executable, "-c", KEYED_BLOB, f"{liar.url}/account", KEY_TEXT, str(mebibytes)]
        subprocess.run(call, env=environment, check=True, timeout=60)
    assert len(liar.asked) > 2
    keyed = {
        tuple(asked.headers.get(f"x-ms-encryption-{end}") for end in ("algorithm", "key", "key-sha256"))
        for asked in liar.asked
    }
    assert keyed == {("AES256", KEY_TEXT, KEY_SHA256)}


def test_azure_has_tiers_of_its_own() -> None:
    with Liar(azure) as liar, opened("az://container", f"{liar.url}/account") as store:
        with pytest.raises(UnsupportedError, match="use Hot, Cool, Cold or Archive"):
            store.write("key", never(), options=ObjectOptions(storage_class="GLACIER"))
        assert liar.asked == []


# -- keys of customers


@pytest.mark.parametrize("kind", ["s3", "gs", "az"])
def test_a_customers_key_does_not_go_out_in_the_open(kind) -> None:
    with pytest.raises(ValueError, match="without TLS, and customer_key would go there in the open: use https"):
        open_store(f"{kind}://bucket", endpoint="http://store.example.com/account", customer_key=KEY)


@pytest.mark.parametrize("url", ["memory://bucket", "file:///nowhere", "az://bucket"])
def test_who_asks_pays_is_refused_where_there_is_no_such_thing(url) -> None:
    with pytest.raises(UnsupportedError, match="requester_pays: "):
        open_store(url, requester_pays=True)


@pytest.mark.parametrize(("url", "pays"), [("gs://bucket", True), ("s3://bucket", "my-project")])
def test_who_pays_is_said_as_the_cloud_asks_it(url, pays) -> None:
    with pytest.raises(ValueError, match="Google"):
        open_store(url, requester_pays=pays)


@pytest.mark.parametrize("url", ["memory://bucket", "file:///nowhere"])
def test_a_customers_key_is_refused_where_nothing_is_encrypted(url) -> None:
    with pytest.raises(UnsupportedError, match="customer_key: only S3, Google Cloud Storage and Azure have it"):
        open_store(url, customer_key=KEY)


@given(key=st.binary(min_size=32, max_size=32))
def test_a_key_is_the_same_as_bytes_and_as_base64_and_shows_in_nothing(key) -> None:
    as_text = base64.b64encode(key).decode()
    one, other = customer_key_for(key), customer_key_for(f"{as_text}\n")
    assert (one.text, one.md5, one.sha256) == (other.text, other.md5, other.sha256)
    assert base64.b64decode(one.text) == key
    assert as_text not in f"{one!r} {one} {vars(StoreError(f'the key is {as_text}'))} {StoreError(as_text)}"
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(one)


@pytest.mark.parametrize(
    "wrong", [b"", b"short", bytes(33), "", "!" * 44, base64.b64encode(bytes(31)).decode(), "ключ"]
)
def test_what_is_no_key_is_refused_without_repeating_it(wrong) -> None:
    with pytest.raises(ValueError, match=r"^customer_key is no key: give 32 bytes, or base64 of them$"):
        open_store("s3://bucket", customer_key=wrong)


def test_a_key_is_made_once() -> None:
    key = CustomerKey(KEY)
    assert customer_key_for(key) is key
