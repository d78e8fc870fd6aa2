"""Endpoints that speak S3 and are not AWS: how they are addressed, whose certificate is trusted, what they lack."""

import contextlib
import time
import urllib.parse

import pytest
from lying import Liar, Lie
from tls import secured

from keystow.backends import S3Credentials, StoreError, StoreUnavailableError, UnsupportedError, open_store
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import FaultProxy, Moto

pytestmark = pytest.mark.server

LARGE = bytes(part_size(1))
KEYS = S3Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.fixture(scope="module")
def moto():
    with Moto() as server:
        yield server


@pytest.fixture
def bucket(moto, monkeypatch):
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    return moto.make_bucket()


def round_trip(store):
    with contextlib.closing(store):
        written = store.write("a/key", [b"some", b"thing"])
        assert b"".join(store.read("a/key")) == b"something"
        assert [found.key for found in store.list()] == ["a/key"]
        assert store.write("a/large", iter([LARGE, b"x"])).size == len(LARGE) + 1
        assert store.stat("a/large").size == len(LARGE) + 1
        store.delete("a/large")
    return written


# -- path and virtual-host style


def test_the_bucket_is_in_the_path(moto, bucket) -> None:
    for options in ({}, {"addressing": "path"}):
        with FaultProxy(moto.endpoint) as proxy:
            round_trip(open_store(f"s3://{bucket}", endpoint=proxy.url, **options))
            assert {urllib.parse.urlsplit(one.path).path.split("/")[1] for one in proxy.requests} == {bucket}
            assert {one.headers["host"] for one in proxy.requests} == {urllib.parse.urlsplit(proxy.url).netloc}


def test_the_bucket_is_in_the_host_name(moto, bucket, monkeypatch) -> None:
    """No resolver knows that name, so an HTTP proxy leads it to moto, which reads the bucket from it."""
    with FaultProxy(moto.endpoint) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        round_trip(open_store(f"s3://{bucket}", endpoint="http://objects.example:9000", addressing="virtual"))
        monkeypatch.delenv("HTTP_PROXY")
        assert {one.headers["host"] for one in proxy.requests} == {f"{bucket}.objects.example:9000"}
        assert {urllib.parse.urlsplit(one.path).path for one in proxy.requests} == {"/a/key", "/a/large", "/"}
    assert moto.client().get_object(Bucket=bucket, Key="a/key")["Body"].read() == b"something"


@pytest.mark.parametrize(
    ("addressing", "address"),
    [
        (None, "http://objects.example/bucket/a/key"),
        ("path", "http://objects.example/bucket/a/key"),
        ("virtual", "http://bucket.objects.example/a/key"),
    ],
)
def test_signed_urls_are_addressed_alike(bucket, addressing, address) -> None:
    store = open_store("s3://bucket", endpoint="http://objects.example", addressing=addressing)
    with contextlib.closing(store):
        assert store.presign("a/key", expires=60).partition("?")[0] == address


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("my-bucket", "https://my-bucket.s3.eu-west-1.amazonaws.com/a/key"),
        ("my.bucket", "https://s3.eu-west-1.amazonaws.com/my.bucket/a/key"),
    ],
)
def test_signed_urls_name_the_region(name, address) -> None:
    """The global host answers for a new bucket with a redirect, and what was signed for it is refused there."""
    with contextlib.closing(open_store(f"s3://{name}", region="eu-west-1", credentials=KEYS)) as store:
        assert store.presign("a/key", expires=60).partition("?")[0] == address


@pytest.mark.parametrize(("region", "signed"), [(None, "us-east-1"), ("eu-north-7", "eu-north-7")])
def test_the_region_is_what_requests_are_signed_for(moto, bucket, region, signed) -> None:
    with FaultProxy(moto.endpoint) as proxy:
        round_trip(open_store(f"s3://{bucket}", endpoint=proxy.url, region=region))
        assert all(f"/{signed}/s3/aws4_request" in one.headers["authorization"] for one in proxy.requests)


# -- a certificate of one's own


@pytest.fixture
def secure(moto, certificates):
    """Moto behind TLS."""
    with FaultProxy(moto.endpoint) as proxy:
        yield secured(proxy, certificates)


@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
def test_a_ca_file_lets_us_in(secure, bucket, certificates, engine) -> None:
    round_trip(open_store(f"s3://{bucket}", endpoint=secure.url, ca_file=str(certificates / "ca.pem"), engine=engine))


@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
def test_a_ca_bundle_from_the_environment_lets_us_in(secure, bucket, certificates, monkeypatch, engine) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "ca.pem"))
    round_trip(open_store(f"s3://{bucket}", endpoint=secure.url, engine=engine))


@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
def test_a_certificate_that_nobody_vouches_for_is_refused(secure, bucket, monkeypatch, engine) -> None:
    monkeypatch.setattr(repeating, "PAUSES", ())
    store = open_store(f"s3://{bucket}", endpoint=secure.url, engine=engine)
    with contextlib.closing(store):
        for content in ([b"x"], [LARGE, b"x"]):
            with pytest.raises(StoreUnavailableError, match=r"certificate is not trusted.*AWS_CA_BUNDLE") as refused:
                store.write("key", content)
            assert str(refused.value).startswith(f"s3://{bucket}/key: ")


@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
def test_tls_is_never_left(bucket, certificates, engine) -> None:
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(Liar(lambda asked: Lie(headers={"ETag": "e"}, body=b"in the open")))
        liar = stack.enter_context(Liar(lambda asked: Lie(307, {"Location": f"{other.url}/there"})))
        endpoint = secured(liar, certificates).url
        store = open_store("s3://bucket", endpoint=endpoint, ca_file=str(certificates / "ca.pem"), engine=engine)
        stack.enter_context(contextlib.closing(store))
        for attempt in (
            lambda: list(store.read("key")),
            lambda: list(store.list()),
            lambda: store.stat("key"),
            lambda: store.write("key", [b"x"]),
            lambda: store.write("key", [LARGE, b"x"]),
            lambda: store.delete("key"),
        ):
            with pytest.raises(StoreError):
                attempt()
        assert len(liar.asked) >= 6
        assert other.asked == []


@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
def test_a_part_over_tls_ends_when_it_is_waited_for_in_vain(moto, secure, bucket, certificates, engine) -> None:
    """The server has the part and does not answer, and then there is no more to come."""
    secure.hang(lambda method, path: "partNumber=1" in path)
    failure = ValueError("of the chunks")

    def chunks():
        yield from (LARGE, LARGE)
        while not any(one.fault == "hang" for one in secure.requests):
            time.sleep(0.01)
        raise failure

    store = open_store(f"s3://{bucket}", endpoint=secure.url, ca_file=str(certificates / "ca.pem"), engine=engine)
    with contextlib.closing(store), pytest.raises(ValueError, match="of the chunks") as raised:
        store.write("key", chunks())
    assert raised.value is failure
    assert not moto.client().list_multipart_uploads(Bucket=bucket).get("Uploads")


# -- what they lack


def test_a_bucket_without_versions(moto, bucket) -> None:
    with FaultProxy(moto.endpoint) as proxy:
        store = open_store(f"s3://{bucket}", endpoint=proxy.url)
        assert round_trip(store).version_id is None
    parts = [one.headers for one in proxy.requests if one.method == "PUT"]
    assert all("content-md5" in headers for headers in parts), "moto says no SHA-256 again"


def test_an_endpoint_that_ignores_conditions_is_sent_none(moto, bucket) -> None:
    with FaultProxy(moto.endpoint) as proxy:
        store = open_store(f"s3://{bucket}", endpoint=proxy.url, conditions=False)
        with contextlib.closing(store), pytest.raises(UnsupportedError, match=f"s3://{bucket}"):
            store.write("key", [b"x"], if_absent=True)
        assert proxy.requests == []
