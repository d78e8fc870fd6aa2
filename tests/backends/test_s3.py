"""S3 alone: what is requested and what is not, answers that get lost, servers that fail, and what is sent to AWS."""

import base64
import contextlib
import hashlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from metadata import InstanceMetadata, SilentMetadata
from moto.server import ThreadedMotoServer

from keystow.backends import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    Store,
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
    open_store,
)
from keystow.backends.sending import repeating, settling
from keystow.backends.sending.digest import PartsDigest
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import (
    COMPUTE_NODE_POLICY,
    REQUESTER_POLICY,
    Credentials,
    FaultProxy,
    SeaweedFS,
    free_ports,
)
from keystow.testing.servers.proxy import ProxyHandler

pytestmark = pytest.mark.server

PART = part_size(1)
LARGE = 2 * PART + 1
KINDS = pytest.mark.parametrize("size", [100, LARGE], ids=["put", "multipart"])


def content(size: int, seed: bytes = b"keystow") -> bytes:
    return (hashlib.shake_256(seed).digest(1 << 12) * (size // (1 << 12) + 1))[:size]


def chunked(data: bytes) -> Iterator[bytes]:
    return (data[start : start + 1_000_003] for start in range(0, len(data), 1_000_003))


def fetched(store: Store, key: str, **options: object) -> bytes:
    return b"".join(store.read(key, **options))


def told(error: BaseException) -> str:
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def is_put(method: str, path: str) -> bool:
    return method == "PUT" and "partNumber" not in path


def is_begin(method: str, path: str) -> bool:
    return method == "POST" and path.endswith(("?uploads", "?uploads="))


def is_part(method: str, path: str) -> bool:
    return method == "PUT" and "partNumber" in path


def is_complete(method: str, path: str) -> bool:
    return method == "POST" and "uploadId=" in path


def is_abort(method: str, path: str) -> bool:
    return method == "DELETE" and "uploadId=" in path


def decides(method: str, path: str) -> bool:
    """Whether this request makes the object appear."""
    return is_put(method, path) or is_complete(method, path)


def kinds_of(proxy: FaultProxy) -> list[str]:
    """What was requested, in words."""
    known: dict[str, Callable[[str, str], bool]] = {
        "put": is_put,
        "begin": is_begin,
        "part": is_part,
        "complete": is_complete,
        "abort": is_abort,
    }
    return [
        next((name for name, matches in known.items() if matches(one.method, one.path)), one.method)
        for one in proxy.requests
    ]


@pytest.fixture(autouse=True)
def hurried(monkeypatch) -> None:
    monkeypatch.setattr(repeating, "PAUSES", (0.01,) * len(repeating.PAUSES))
    monkeypatch.setattr(settling, "_CONFLICT_PAUSES", (0.01,) * 3)


@pytest.fixture
def key() -> str:
    return f"dir/{uuid.uuid4().hex}"


@pytest.fixture
def proxy(seaweed: SeaweedFS) -> Iterator[FaultProxy]:
    with FaultProxy(seaweed.endpoint) as running:
        yield running


@pytest.fixture(params=["fsspec", "obstore"])
def engine(request) -> str:
    return request.param


@pytest.fixture
def opened(login, engine) -> Iterator[Callable[..., Store]]:
    """Opens stores as somebody, and closes them at the end."""
    with contextlib.ExitStack() as stack:

        def connect(bucket: str, who: Credentials | SeaweedFS | None = None, **options: str) -> Store:
            if who is not None:
                login(who)
            store = open_store(f"s3://{bucket}", engine=engine, **options)
            return stack.enter_context(contextlib.closing(store))

        yield connect


@pytest.fixture
def store(opened, proxy, versioned_bucket, seaweed) -> Store:
    """The administrator's store, behind the proxy."""
    return opened(versioned_bucket, seaweed, endpoint=proxy.url)


@pytest.fixture
def checking_store(opened, proxy, versioned_bucket, seaweed, monkeypatch) -> Store:
    """The same, which takes the proxy for AWS, and asks it to verify checksums."""
    monkeypatch.setattr("keystow.backends.s3.bucket.is_aws", lambda endpoint: True)
    return opened(versioned_bucket, seaweed, endpoint=proxy.url)


@pytest.fixture(scope="module")
def publisher(seaweed: SeaweedFS, versioned_bucket: str) -> Credentials:
    """May put objects, and nothing else."""
    return seaweed.user(COMPUTE_NODE_POLICY(versioned_bucket))


@pytest.fixture(scope="module")
def requester(seaweed: SeaweedFS, versioned_bucket: str) -> Credentials:
    """May get objects, and nothing else."""
    return seaweed.user(REQUESTER_POLICY(versioned_bucket))


@pytest.fixture
def unfinished(seaweed, versioned_bucket) -> Callable[[str], bool]:
    """Whether parts of an upload of a key are left."""

    def look(key: str) -> bool:
        found = seaweed.client().list_multipart_uploads(Bucket=versioned_bucket, Prefix=key)
        return bool(found.get("Uploads"))

    return look


# -- what is requested


@pytest.mark.parametrize("if_absent", [False, True])
def test_who_may_only_put_can_publish(opened, proxy, publisher, versioned_bucket, seaweed, key, if_absent) -> None:
    store = opened(versioned_bucket, publisher, endpoint=proxy.url)
    small = store.write(f"{key}/small", [b"x"], if_absent=if_absent)
    assert kinds_of(proxy) == ["put"]
    proxy.clear()
    large = store.write(f"{key}/large", chunked(content(LARGE)), if_absent=if_absent)
    assert sorted(kinds_of(proxy)) == ["begin", "complete", "part", "part", "part"]
    assert {one.status for one in proxy.requests} == {200}
    admin = opened(versioned_bucket, seaweed, endpoint=seaweed.endpoint)
    assert fetched(admin, f"{key}/small", version_id=small.version_id) == b"x"
    assert fetched(admin, f"{key}/large", version_id=large.version_id) == content(LARGE)


def test_who_may_only_put_is_refused_the_rest(opened, publisher, versioned_bucket, seaweed, key) -> None:
    store = opened(versioned_bucket, publisher, endpoint=seaweed.endpoint)
    store.write(key, [b"x"])
    for attempt, permission in (
        (lambda: fetched(store, key), "s3:GetObject"),
        (lambda: store.delete(key), "s3:DeleteObject"),
        (lambda: list(store.list()), "s3:ListBucket"),
    ):
        with pytest.raises(AccessDeniedError) as refused:
            attempt()
        assert isinstance(refused.value, PermissionError)
        assert permission in refused.value.hint
        assert refused.value.hint in str(refused.value)
        assert refused.value.code == "AccessDenied"
        assert publisher.secret_key not in told(refused.value)


@KINDS
def test_who_may_only_get_cannot_publish(opened, requester, versioned_bucket, seaweed, key, size) -> None:
    store = opened(versioned_bucket, requester, endpoint=seaweed.endpoint)
    with pytest.raises(AccessDeniedError, match="s3:PutObject"):
        store.write(key, [content(size)])


def test_a_type_and_metadata_arrive(opened, versioned_bucket, seaweed, key) -> None:
    store = opened(versioned_bucket, seaweed, endpoint=seaweed.endpoint)
    for size, if_absent in itertools.product((3, LARGE), (False, True)):
        name = f"{key}/{size}/{if_absent}"
        store.write(
            name, [content(size)], if_absent=if_absent, content_type="text/x-test", metadata={"job-id": "j-1", "n": "2"}
        )
        head = seaweed.client().head_object(Bucket=versioned_bucket, Key=name)
        assert head["ContentType"] == "text/x-test"
        assert {"job-id": "j-1", "n": "2"}.items() <= head["Metadata"].items()


def test_metadata_that_no_header_can_hold(opened, versioned_bucket, seaweed, key) -> None:
    store = opened(versioned_bucket, seaweed, endpoint=seaweed.endpoint)
    with pytest.raises(StoreError, match="ASCII"):
        store.write(key, [b"x"], metadata={"name": "ä"})


def test_parts_go_up_together_and_while_others_are_made(opened, versioned_bucket, seaweed, key) -> None:
    sent = threading.Event()
    pair = threading.Barrier(2, timeout=60)

    class Pairs(FaultProxy):
        """Holds a part back until another one is there too."""

        @contextlib.contextmanager
        def turn(self, method: str, path: str) -> Iterator[None]:
            if is_part(method, path):
                pair.wait()
                sent.set()
            yield

    def chunks() -> Iterator[bytes]:
        yield content(3 * PART)
        assert sent.wait(60), "nothing was sent while there was more to come"
        yield content(PART)

    with Pairs(seaweed.endpoint) as proxy:
        store = opened(versioned_bucket, seaweed, endpoint=proxy.url)
        assert store.write(key, chunks()).size == 4 * PART
    assert not pair.broken
    assert fetched(opened(versioned_bucket, endpoint=seaweed.endpoint), key) == content(3 * PART) + content(PART)


# -- answers that get lost


@KINDS
def test_a_lost_answer_to_our_own_object_is_no_refusal(store, proxy, key, size, unfinished) -> None:
    proxy.lose_answer(decides)
    written = store.write(key, [content(size)], if_absent=True)
    assert written.confirmed == "stat"
    assert written.sha256 == hashlib.sha256(content(size)).hexdigest()
    stat = store.stat(key)
    assert (written.version_id, written.etag) == (stat.version_id, stat.etag)
    assert fetched(store, key, version_id=written.version_id) == content(size)
    assert not unfinished(key)


@KINDS
def test_a_lost_answer_does_not_take_somebody_elses_object_for_ours(store, proxy, key, size, unfinished) -> None:
    theirs = store.write(key, [b"theirs"], if_absent=True)
    proxy.lose_answer(decides)
    with pytest.raises(AlreadyExistsError):
        store.write(key, [content(size)], if_absent=True)
    assert store.stat(key).version_id == theirs.version_id
    assert not unfinished(key)


@KINDS
def test_a_lost_answer_that_nobody_may_clear_up(opened, proxy, publisher, versioned_bucket, key, size) -> None:
    store = opened(versioned_bucket, publisher, endpoint=proxy.url)
    proxy.lose_answer(decides)
    with pytest.raises(UnknownOutcomeError) as unknown:
        store.write(key, [content(size)], if_absent=True)
    assert isinstance(unknown.value, ConnectionError)
    assert unknown.value.hint
    assert publisher.secret_key not in told(unknown.value)


@KINDS
def test_a_lost_answer_to_an_overwrite(store, proxy, key, size, unfinished) -> None:
    store.write(key, [b"old"])
    proxy.lose_answer(decides)
    written = store.write(key, [content(size)])
    assert written.version_id == store.stat(key).version_id
    assert fetched(store, key) == content(size)
    assert not unfinished(key)


def test_a_lost_part_is_sent_again(store, proxy, key) -> None:
    proxy.lose_answer(is_part)
    proxy.drop(is_part, nth=2)
    store.write(key, [content(LARGE)])
    assert kinds_of(proxy).count("part") == 5
    assert fetched(store, key) == content(LARGE)


# -- answers that refuse


def canned(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>said so</Message><RequestId>r-1</RequestId></Error>".encode()


@KINDS
def test_a_conflict_is_tried_again(store, proxy, key, size) -> None:
    for nth in (1, 2):
        proxy.answer(decides, 409, canned("ConditionalRequestConflict"), nth=nth)
    written = store.write(key, [content(size)], if_absent=True)
    assert written.confirmed == "checksum"
    assert written.version_id == store.stat(key).version_id


@KINDS
def test_a_conflict_that_stays_is_told(store, proxy, key, size, unfinished) -> None:
    proxy.answer(decides, 409, canned("ConditionalRequestConflict"), nth=None)
    with pytest.raises(ConflictError, match="publish again") as refused:
        store.write(key, [content(size)], if_absent=True)
    assert refused.value.code == "ConditionalRequestConflict"
    assert len([kind for kind in kinds_of(proxy) if kind in {"put", "complete"}]) == 4
    assert list(store.list(key)) == []
    assert not unfinished(key)


@KINDS
@pytest.mark.parametrize("body", [b"", canned("PreconditionFailed")], ids=["bare", "with a code"])
def test_a_precondition_that_fails(store, proxy, key, size, body, unfinished) -> None:
    """It is looked at once whose object it is: somebody on the way may have sent ours twice."""
    proxy.answer(decides, 412, body)
    with pytest.raises(AlreadyExistsError):
        store.write(key, [content(size)], if_absent=True)
    assert kinds_of(proxy).count("HEAD") == 1
    assert not unfinished(key)


@KINDS
def test_a_server_that_asks_for_patience_gets_it(store, proxy, key, size) -> None:
    proxy.answer(decides, 503, canned("SlowDown"))
    assert store.write(key, [content(size)], if_absent=True).version_id == store.stat(key).version_id


def test_a_server_that_stays_busy(store, proxy, key) -> None:
    proxy.answer(is_put, 503, canned("SlowDown"), nth=None)
    with pytest.raises(StoreUnavailableError) as refused:
        store.write(key, [b"x"])
    assert isinstance(refused.value, ConnectionError)
    assert refused.value.code == "SlowDown"
    assert "try again later" in refused.value.hint


def test_an_error_within_a_success_is_an_error(store, proxy, key, unfinished) -> None:
    """CompleteMultipartUpload may answer 200 and fail in the body: the S3 API's own words."""
    proxy.answer(is_complete, 200, b'<?xml version="1.0"?>\n' + canned("InternalError"), nth=None)
    with pytest.raises(StoreUnavailableError):
        store.write(key, [content(LARGE)])
    assert list(store.list(key)) == []
    assert not unfinished(key)


def test_an_answer_of_which_half_is_missing_is_asked_for_again(store, proxy, key, unfinished) -> None:
    proxy.answer(is_complete, 200, b"<CompleteMultipartUploadResult><ETag>")
    store.write(key, [content(LARGE)])
    assert fetched(store, key) == content(LARGE)
    assert not unfinished(key)


def test_the_request_id_is_told(store, proxy, key) -> None:
    proxy.answer(is_put, 400, canned("EntityTooLarge"), {"x-amz-request-id": "REQ-7"})
    with pytest.raises(StoreError, match="EntityTooLarge: said so") as refused:
        store.write(key, [b"x"])
    assert refused.value.request_id in {"REQ-7", "r-1"}
    assert refused.value.request_id in str(refused.value)


@pytest.mark.parametrize("refused", [is_begin, is_part, is_complete])
def test_a_refusal_at_any_step_leaves_nothing(store, proxy, key, refused, unfinished) -> None:
    store.write(key, [b"old"])
    proxy.answer(refused, 403, canned("AccessDenied"))
    with pytest.raises(AccessDeniedError, match="s3:PutObject"):
        store.write(key, chunked(content(6 * PART)))
    assert fetched(store, key) == b"old"
    assert not unfinished(key)


def test_an_abort_that_is_refused_hides_nothing(store, proxy, key, unfinished, seaweed) -> None:
    proxy.answer(is_abort, 403, canned("AccessDenied"), nth=None)
    failure = ValueError("of the chunks")

    def chunks() -> Iterator[bytes]:
        yield content(LARGE)
        raise failure

    with pytest.raises(ValueError, match="of the chunks") as raised:
        store.write(key, chunks())
    assert raised.value is failure
    [note] = raised.value.__notes__
    assert "AccessDenied" in note
    assert "lifecycle rule" in note
    assert seaweed.secret_key not in note
    assert unfinished(key)


def test_an_upload_that_somebody_else_ended(store, proxy, key, seaweed, versioned_bucket) -> None:
    def chunks() -> Iterator[bytes]:
        yield content(LARGE)
        [upload] = seaweed.client().list_multipart_uploads(Bucket=versioned_bucket, Prefix=key)["Uploads"]
        seaweed.client().abort_multipart_upload(Bucket=versioned_bucket, Key=key, UploadId=upload["UploadId"])
        yield content(PART)

    with pytest.raises(ConflictError):
        store.write(key, chunks())
    assert list(store.list(key)) == []


@pytest.mark.parametrize("matches", [is_put, is_part, is_complete])
def test_an_interrupt_while_a_request_is_under_way(store, proxy, key, matches, unfinished) -> None:
    """Ctrl-C, in the main thread, at the moment the server has the request and has not answered it."""
    store.write(key, [b"old"])
    proxy.clear()
    proxy.hang(matches, nth=1)
    me = threading.main_thread().ident

    def interrupt() -> None:
        while not any(matches(one.method, one.path) for one in proxy.requests):
            time.sleep(0.01)
        time.sleep(0.3)
        signal.pthread_kill(me, signal.SIGINT)

    hand = threading.Thread(target=interrupt)
    hand.start()
    with pytest.raises(KeyboardInterrupt):
        store.write(key, [content(100 if matches is is_put else LARGE)])
    hand.join()
    assert fetched(store, key) == b"old"
    assert not unfinished(key)


def test_an_interrupt_ends_the_part_that_is_waited_for(opened, seaweed, versioned_bucket, key, unfinished) -> None:
    """The abort would miss a part that arrives after it."""
    waiting, go_on = threading.Event(), threading.Event()

    class HoldsFirst(FaultProxy):
        """Hands the server the first part only when it is told to go on."""

        @contextlib.contextmanager
        def turn(self, method: str, path: str) -> Iterator[None]:
            if "partNumber=1&" in f"{path}&" and not waiting.is_set():
                waiting.set()
                go_on.wait(60)
            yield

    me = threading.main_thread().ident

    def interrupt() -> None:
        waiting.wait(60)
        time.sleep(0.3)
        signal.pthread_kill(me, signal.SIGINT)

    with HoldsFirst(seaweed.endpoint) as proxy:
        store = opened(versioned_bucket, seaweed, endpoint=proxy.url)
        hand = threading.Thread(target=interrupt)
        hand.start()
        with pytest.raises(KeyboardInterrupt):
            store.write(key, [content(LARGE)])
        hand.join()
        go_on.set()
        deadline = time.monotonic() + 60
        while kinds_of(proxy).count("part") < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        [first] = [one for one in proxy.requests if "partNumber=1&" in f"{one.path}&"]
    assert first.status is None
    assert not unfinished(key)


# -- servers that fail


def test_a_server_that_is_not_there(opened, seaweed, key) -> None:
    [port] = free_ports(1)
    store = opened("bucket", seaweed, endpoint=f"http://127.0.0.1:{port}")
    with pytest.raises(StoreUnavailableError) as refused:
        store.write(key, [b"x"])
    assert isinstance(refused.value, ConnectionError)
    assert str(port) in str(refused.value)
    assert "endpoint" in refused.value.hint
    assert seaweed.secret_key not in told(refused.value)


def test_a_server_that_breaks_off_an_object(store, proxy, key, seaweed) -> None:
    class Halves(ProxyHandler):
        def _relay(self, response) -> None:
            self.send_response_only(200)
            self.send_header("Content-Length", response.headers["Content-Length"])
            self.end_headers()
            self.wfile.write(response.read()[:1000])

    store.write(key, [content(5000)])
    proxy.RequestHandlerClass = Halves
    with pytest.raises(StoreUnavailableError):
        fetched(store, key)


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle(opened, tmp_path, key) -> None:
    with SeaweedFS(tmp_path / "server") as server:
        bucket = server.make_bucket()
        store = opened(bucket, server, endpoint=server.endpoint)
        store.write(key, [b"old"])

        def chunks() -> Iterator[bytes]:
            yield content(3 * PART)
            server.kill()
            yield content(3 * PART)

        with pytest.raises(StoreUnavailableError) as failed:
            store.write(key, chunks())
        assert "lifecycle rule" in told(failed.value)
        server.start()
        assert fetched(store, key) == b"old"
        assert [stat.key for stat in store.list()] == [key]


class Corrupts(ProxyHandler):
    def _exactly(self, size: int) -> Iterator[bytes]:
        for piece in super()._exactly(size):
            yield piece if not size or b"<" in piece[:1] else bytes([piece[0] ^ 1]) + piece[1:]


@KINDS
def test_a_byte_that_changes_on_the_way_is_noticed(checking_store, proxy, key, size, unfinished) -> None:
    """Over plain HTTP the signature covers the body; a checksum is what AWS is asked for as well."""
    store = checking_store
    store.write(key, [b"old"])
    proxy.RequestHandlerClass = Corrupts
    with pytest.raises(StoreError):
        store.write(key, [content(size)])
    assert fetched(store, key) == b"old"
    assert not unfinished(key)


# -- who and where


def test_a_bucket_that_does_not_exist(opened, seaweed, key) -> None:
    store = opened(f"absent-{uuid.uuid4().hex[:8]}", seaweed, endpoint=seaweed.endpoint)
    for attempt in (
        lambda: store.write(key, [b"x"]),
        lambda: store.write(key, [content(LARGE)]),
        store.list().__next__,
    ):
        with pytest.raises(BucketNotFoundError) as refused:
            attempt()
        assert isinstance(refused.value, FileNotFoundError)
        assert refused.value.code == "NoSuchBucket"
        assert "create the bucket" in refused.value.hint


@pytest.mark.parametrize(
    ("access", "secret", "code"),
    [(None, "wrong-secret", "SignatureDoesNotMatch"), ("AKIAWRONG", "wrong-secret", "InvalidAccessKeyId")],
)
def test_keys_that_are_not_accepted(opened, seaweed, bucket, key, access, secret, code) -> None:
    store = opened(bucket, Credentials(access or seaweed.access_key, secret), endpoint=seaweed.endpoint)
    with pytest.raises(CredentialsError) as refused:
        store.write(key, [b"x"])
    assert isinstance(refused.value, PermissionError)
    assert refused.value.code == code
    assert refused.value.hint
    assert secret not in told(refused.value)


@pytest.mark.parametrize(
    ("endpoint", "region", "is_aws"),
    [
        (None, None, True),
        ("https://s3.us-west-2.amazonaws.com", "us-west-2", True),
        ("https://s3-us-west-2.amazonaws.com", "us-west-2", True),
        ("https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1", True),
        ("https://s3-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", True),
        ("https://s3-fips.dualstack.us-east-1.amazonaws.com", "us-east-1", True),
        ("https://bucket.s3.eu-central-1.amazonaws.com", "eu-central-1", True),
        ("https://S3.EU-CENTRAL-1.AMAZONAWS.COM:443/", "eu-central-1", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", True),
        ("https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-2.vpce.amazonaws.com", "us-east-2", True),
        ("https://s3.amazonaws.com", "us-east-1", True),
        ("https://bucket.s3.amazonaws.com", "us-east-1", True),
        ("https://s3-accelerate.amazonaws.com", None, True),
        ("http://evil-amazonaws.com", None, False),
        ("http://s3.us-west-2.amazonaws.com.evil.example", None, False),
        ("http://s3.us-west-2.evil-amazonaws.com", None, False),
        ("http://127.0.0.1:9000/s3.us-west-2.amazonaws.com", None, False),
        ("http://minio", None, False),
    ],
)
def test_what_an_endpoint_says(endpoint, region, is_aws) -> None:
    from keystow.backends import endpoints

    assert endpoints.region_of(endpoint) == region
    assert endpoints.is_aws(endpoint) == is_aws


PROFILES = "[profile lab]\nregion = eu-north-1\n"


@pytest.mark.parametrize(
    ("options", "environment", "region"),
    [
        ({}, {}, "us-east-1"),
        ({}, {"AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-3"),
        ({}, {"AWS_REGION": "eu-west-2"}, "eu-west-2"),
        ({}, {"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-3"}, "eu-west-2"),
        ({}, {"AWS_PROFILE": "lab"}, "eu-north-1"),
        ({"profile": "lab"}, {}, "eu-north-1"),
        ({}, {"AWS_REGION": "eu-west-2", "AWS_PROFILE": "lab"}, "eu-west-2"),
        ({"endpoint": "https://s3.us-west-2.amazonaws.com"}, {"AWS_REGION": "eu-west-2"}, "us-west-2"),
        ({"endpoint": "https://s3.us-west-2.amazonaws.com", "region": "sa-east-1"}, {}, "sa-east-1"),
        ({"endpoint": "http://127.0.0.1:9"}, {"AWS_REGION": "eu-west-2"}, "eu-west-2"),
    ],
)
def test_where_the_region_comes_from(opened, monkeypatch, tmp_path, options, environment, region) -> None:
    (tmp_path / "config").write_text(PROFILES)
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert opened("bucket", Credentials("a", "b"), **options).region == region


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_the_endpoint_may_come_from_the_environment(opened, monkeypatch, seaweed, bucket, key, variable) -> None:
    monkeypatch.setenv(variable, seaweed.endpoint)
    store = opened(bucket, seaweed)
    assert store.endpoint == seaweed.endpoint
    store.write(key, [b"x"])
    assert fetched(store, key) == b"x"


def _profile(name: str, who: Credentials) -> str:
    return f"[{name}]\naws_access_key_id = {who.access_key}\naws_secret_access_key = {who.secret_key}\n"


@pytest.mark.parametrize(
    ("section", "variables", "options"),
    [
        ("default", {}, {}),
        ("lab", {"AWS_PROFILE": "lab"}, {}),
        ("lab", {}, {"profile": "lab"}),
        ("lab", {"AWS_ACCESS_KEY_ID": "wrong", "AWS_SECRET_ACCESS_KEY": "wrong"}, {"profile": "lab"}),
    ],
    ids=["default profile", "AWS_PROFILE", "profile=", "profile= over the environment"],
)
def test_credentials_from_the_file(
    opened, monkeypatch, tmp_path, seaweed, bucket, key, section, variables, options
) -> None:
    (tmp_path / ".aws").mkdir()
    admin = Credentials(seaweed.access_key, seaweed.secret_key)
    (tmp_path / ".aws" / "credentials").write_text(_profile("other", Credentials("x", "y")) + _profile(section, admin))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    store = opened(bucket, endpoint=seaweed.endpoint, **options)
    store.write(key, [b"x"])
    assert fetched(store, key) == b"x"


def test_credentials_of_an_instance_role(opened, monkeypatch, seaweed, bucket, key) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "60")  # a busy machine may take longer than is usual to wait
    with InstanceMetadata(Credentials(seaweed.access_key, seaweed.secret_key)) as metadata:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        store = opened(bucket, endpoint=seaweed.endpoint)
        store.write(key, [b"x"])
        assert metadata.count == 3
    assert fetched(store, key) == b"x"


def test_no_credentials_anywhere(seaweed, bucket) -> None:
    with pytest.raises(CredentialsError, match="AWS_ACCESS_KEY_ID"):
        open_store(f"s3://{bucket}", endpoint=seaweed.endpoint)


def test_half_a_pair_of_keys(monkeypatch, seaweed, bucket) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY"):
        open_store(f"s3://{bucket}", endpoint=seaweed.endpoint)


def test_a_profile_that_does_not_exist(seaweed, bucket) -> None:
    with pytest.raises(CredentialsError, match="nobody"):
        open_store(f"s3://{bucket}", endpoint=seaweed.endpoint, profile="nobody")


SILENT_START = """
import time
from keystow.backends import CredentialsError, open_store
begun = time.monotonic()
try:
    open_store("s3://bucket", endpoint="http://127.0.0.1:9")
except CredentialsError:
    print(time.monotonic() - begun)
"""


def test_a_silent_metadata_service_does_not_hold_up_the_start() -> None:
    """It is asked a few times, for no more than a second each; the bound leaves room for a busy machine."""
    with SilentMetadata() as metadata:
        environment = os.environ | {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}
        del environment["AWS_EC2_METADATA_DISABLED"]
        done = subprocess.run(
            [sys.executable, "-c", SILENT_START],
            env=environment, capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        assert 1 <= metadata.count <= 2
    assert float(done.stdout) < 30


# -- signed URLs


def status_of(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=data, method="GET" if data is None else "PUT")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def test_a_signed_url_lets_anybody_in_for_a_while(opened, seaweed, versioned_bucket, key) -> None:
    store = opened(versioned_bucket, seaweed, endpoint=seaweed.endpoint)
    first = store.write(key, [b"first"])
    short = store.presign(key, expires=1)
    pinned = store.presign(key, expires=timedelta(minutes=1), version_id=first.version_id)
    assert status_of(store.presign(key, expires=60, method="PUT"), b"second") == (200, b"")
    assert status_of(store.presign(key, expires=60)) == (200, b"second")
    assert status_of(pinned) == (200, b"first")
    assert status_of(pinned.split("?")[0])[0] == 403
    assert status_of(store.presign(key, expires=60), b"by the wrong method")[0] == 403
    time.sleep(2.1)
    assert status_of(short)[0] == 403
    assert seaweed.secret_key not in pinned


@pytest.mark.parametrize("key", ["a?versionId=x", "#1", "%2F", "a b+c", "😀"])
def test_a_signed_url_of_an_odd_key(opened, seaweed, bucket, key) -> None:
    store = opened(bucket, seaweed, endpoint=seaweed.endpoint)
    store.write(key, [key.encode()])
    assert status_of(store.presign(key, expires=60)) == (200, key.encode())


def test_signing_asks_nobody(opened, proxy, publisher, versioned_bucket, key) -> None:
    opened(versioned_bucket, publisher, endpoint=proxy.url).presign(key, expires=timedelta(days=7))
    assert proxy.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires": timedelta(days=7, seconds=1)},
        {"expires": 0},
        {"expires": -5},
        {"expires": float("inf")},
        {"expires": float("nan")},
        {"expires": 60, "method": "DELETE"},
        {"expires": 60, "method": "PUT", "version_id": "v"},
    ],
)
def test_what_cannot_be_signed(opened, seaweed, bucket, wrong) -> None:
    with pytest.raises(ValueError, match=r"cannot|leave"):
        opened(bucket, seaweed, endpoint=seaweed.endpoint).presign("key", **wrong)


# -- checksums


def sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


@KINDS
def test_what_an_endpoint_understands_is_found_out_once(store, proxy, key, size) -> None:
    """SeaweedFS says the SHA-256 again, which it has verified; a Content-MD5 is not needed from then on."""
    for attempt in ("first", "second"):
        proxy.clear()
        written = store.write(f"{key}/{attempt}", [content(size)])
        assert written.confirmed == "checksum"
        assert written.checksum == (sha256(content(size)) if size < PART else written.checksum)
        sent = [one.headers for one in proxy.requests if one.method == "PUT"]
        assert all("x-amz-checksum-sha256" in headers for headers in sent)
        assert any("content-md5" in headers for headers in sent) == (attempt == "first")
    fetched(store, key + "/first")


@KINDS
@pytest.mark.parametrize("answered", [400, 501])
@pytest.mark.parametrize("refuses", ["x-amz-checksum-sha256", "content-md5"])
def test_a_checksum_that_an_endpoint_refuses_is_left_out(
    opened, seaweed, versioned_bucket, key, size, refuses, answered, caplog
) -> None:
    headers = {"x-amz-checksum-sha256": ("x-amz-checksum",), "content-md5": ("x-amz-checksum", "content-md5")}

    class Refuses(ProxyHandler):
        def _serve(self) -> None:
            if any(name.lower().startswith(headers[refuses]) for name in self.headers):
                self.target = self.requestline.split()[1]
                self._read_all()
                self._record(answered, None)
                self.reply(answered, canned("NotImplemented" if answered == 501 else "InvalidArgument"))
            else:
                super()._serve()

    with FaultProxy(seaweed.endpoint) as proxy:
        proxy.RequestHandlerClass = Refuses
        store = opened(versioned_bucket, seaweed, endpoint=proxy.url)
        first = store.write(f"{key}/1", [content(size)])
        before = len(proxy.requests)
        second = store.write(f"{key}/2", [content(size)])
        assert {one.status for one in proxy.requests[before:]} == {200}
        assert fetched(store, f"{key}/2") == content(size)
    verified = "checksum" if refuses == "x-amz-checksum-sha256" else "response"
    assert (first.confirmed, second.confirmed) == (verified, verified)
    assert ("refuses checksums" in caplog.text) == (verified == "response")


@KINDS
def test_a_byte_that_changes_on_the_way_to_any_endpoint_is_noticed(store, proxy, key, size, unfinished) -> None:
    store.write(key, [b"old"])
    proxy.RequestHandlerClass = Corrupts
    with pytest.raises(StoreError):
        store.write(key, [content(size)])
    proxy.RequestHandlerClass = ProxyHandler
    assert fetched(store, key) == b"old"
    assert not unfinished(key)


@KINDS
def test_aws_is_asked_to_verify(opened, monkeypatch, seaweed, key, size) -> None:
    """The endpoint is AWS's own name; that an HTTP proxy leads it to moto, the store does not know."""
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    admin = seaweed.client(endpoint=f"http://{host}:{port}")
    admin.create_bucket(Bucket=bucket)
    with FaultProxy(f"http://{host}:{port}") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        store = opened(bucket, seaweed, endpoint="http://s3.us-east-1.amazonaws.com")
        written = store.write(key, [content(size)])
        monkeypatch.delenv("HTTP_PROXY")
        sent = {one.path.partition("partNumber=")[2][:1]: one.headers for one in proxy.requests if one.method == "PUT"}
    assert {one.headers["host"] for one in proxy.requests} == {"s3.us-east-1.amazonaws.com"}
    assert written.confirmed == "checksum"
    parts = (
        {"": content(size)}
        if size < PART
        else {"1": content(PART), "2": content(LARGE)[PART:-1], "3": content(LARGE)[-1:]}
    )
    assert {number: headers["x-amz-checksum-sha256"] for number, headers in sent.items()} == {
        number: sha256(part) for number, part in parts.items()
    }
    body = admin.get_object(Bucket=bucket, Key=key)["Body"].read()
    moto.stop()
    assert body == content(size)


@KINDS
def test_a_checksum_that_was_verified_is_kept(checking_store, seaweed, versioned_bucket, key, size) -> None:
    store = checking_store
    written = store.write(key, [content(size)], if_absent=True)
    assert written.confirmed == "checksum"
    head = seaweed.client().head_object(Bucket=versioned_bucket, Key=key, ChecksumMode="ENABLED")
    if size < PART:
        assert head["ChecksumSHA256"] == sha256(content(size))
    else:
        assert head["ChecksumSHA256"].endswith("-3")
    assert written.checksum == store.stat(key).checksum == head["ChecksumSHA256"]
    digest = PartsDigest([content(size)])
    deque(digest, maxlen=0)
    assert digest.parts_base64() == written.checksum
    assert fetched(store, key) == content(size)


@pytest.mark.parametrize("status", [403, 400, 501])
def test_who_may_not_see_the_checksum_sees_the_rest(store, proxy, key, status) -> None:
    """AWS refuses a HEAD that asks for the checksum of what KMS encrypts to whoever may not decrypt it.

    Another endpoint may refuse what it does not know.
    """
    store.write(key, [b"42"])
    proxy.answer(lambda method, path: method == "HEAD", status)
    assert store.stat(key).size == 2
    proxy.answer(lambda method, path: method == "HEAD", status, nth=None)
    with pytest.raises(StoreError):
        store.stat(key)


# -- memory

STREAM = """
import sys
from keystow.backends import open_store
piece = bytes(range(256)) * 4096
store = open_store(sys.argv[1], endpoint=sys.argv[2], engine=sys.argv[4])
written = store.write(sys.argv[3], (piece for _ in range(300)))
store.close()
print(written.size, next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_object(login, engine, seaweed, bucket, key) -> None:
    """VmHWM, because the peak that getrusage tells of a child starts from its parent's."""
    login(seaweed)
    done = subprocess.run(
        [sys.executable, "-c", STREAM, f"s3://{bucket}", seaweed.endpoint, key, engine],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    size, peak = map(int, done.stdout.split())
    assert size == 300 << 20
    assert peak < 200 << 10
    assert seaweed.client().head_object(Bucket=bucket, Key=key)["ContentLength"] == size
    seaweed.client().delete_object(Bucket=bucket, Key=key)
