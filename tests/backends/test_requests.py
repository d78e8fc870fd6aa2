"""Signed requests: what is signed, connections that are kept, that die, and that are cut; answers that lack a part."""

import contextlib
import datetime as dt
import fcntl
import logging
import random
import select
import socket
import ssl
import struct
import termios
import threading
import time
from concurrent.futures import CancelledError
from queue import SimpleQueue

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, UnauthorizedSSOTokenError
from children import forked
from hypothesis import given
from hypothesis import strategies as st
from tls import secured

from keystow.backends import (
    AccessDeniedError,
    CredentialsError,
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
    open_store,
)
from keystow.backends.options import ObjectOptions
from keystow.backends.s3.bucket import Bucket
from keystow.backends.s3.exchange import _Response
from keystow.backends.s3.failures import proxy_variable
from keystow.backends.s3.place import Place, frozen_keys
from keystow.backends.s3.requests import Request, form
from keystow.backends.s3.signature import signed
from keystow.backends.s3.signed import Signed
from keystow.backends.s3.upload import Upload
from keystow.backends.sending import continuing, repeating
from keystow.backends.sending.in_flight import in_thread
from keystow.backends.sending.limits import bounds
from keystow.backends.sending.lines import LEAST
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import LOOPBACK, FaultProxy, Moto, free_ports
from keystow.testing.servers.proxy import Loopback, QuietHandler

PART = part_size(1)
KEYS = {"access_key_id": "id", "secret_access_key": "secret", "token": "token"}
HEAD = Request("head_object", "key")


class Server(Loopback):
    """Answers as ``behave``, a function of a handler's, does; counts connections."""

    def __init__(self, behave):
        methods = {f"do_{method}": behave for method in ("GET", "HEAD", "PUT", "POST", "DELETE")}
        self.connections = []
        super().__init__(type("Handler", (QuietHandler,), methods))

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)


def good(handler):
    """Reads the body, answers, and keeps the connection."""
    handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.send_header("ETag", '"e"')
    handler.end_headers()


class Only:
    """The carriers of a bucket that has one."""

    def __init__(self, url, keys, ca_file):
        self.endpoint, self.region = url, "us-east-1"
        self.carrier = Signed("bucket", f"{url}/bucket", Place(url, self.region, False, ca_file, lambda: keys, ""))

    def carrier_of(self, operation):
        return self.carrier

    def close(self):
        self.carrier.close()


@contextlib.contextmanager
def requests_to(url, keys=KEYS, ca_file=None):
    with contextlib.closing(Bucket("bucket", Only(url, keys, ca_file), bounds())) as bucket:
        yield bucket


# -- what is signed

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
VALUE = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), max_size=20)


@given(key=TEXT, version=TEXT, metadata=st.dictionaries(st.from_regex(r"[A-Za-z0-9.-]{1,9}", fullmatch=True), VALUE))
def test_what_is_signed_is_what_botocore_would_sign(key, version, metadata):
    metadata = {name.lower(): value for name, value in metadata.items()}
    params = {"VersionId": version, "Metadata": metadata, "ContentType": "text/x  y", "IfNoneMatch": "*"}
    asked = form(Request("put_object", key, params, b"body"))
    sha256 = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
    moment = dt.datetime.now(dt.UTC).replace(microsecond=0)
    sent = signed(asked, "host.example:9000", sha256, KEYS, "eu-west-1", now=moment.timestamp())
    theirs = AWSRequest("PUT", f"http://host.example:9000{asked.path}?{asked.query}", dict(asked.headers), b"body")
    theirs.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
    signer = S3SigV4Auth(Credentials("id", "secret", "token"), "s3", "eu-west-1")
    theirs.headers["X-Amz-Date"] = theirs.context["timestamp"]
    theirs.headers["X-Amz-Security-Token"] = "token"
    theirs.headers["X-Amz-Content-SHA256"] = sha256
    canonical = signer.canonical_request(theirs)
    signature = signer.signature(signer.string_to_sign(theirs, canonical), theirs)
    assert sent["Authorization"].rpartition("Signature=")[2] == signature


# -- connections


def test_a_connection_is_used_again():
    with Server(good) as server, requests_to(server.url) as requests:
        for _ in range(3):
            assert requests.asked(HEAD).etag == '"e"'
        assert len(server.connections) == 1


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(monkeypatch):
    monkeypatch.setattr(repeating, "PAUSES", ())
    with Server(good) as server, requests_to(server.url) as requests:
        requests.asked(HEAD)
        server.connections[0].shutdown(socket.SHUT_RDWR)
        assert requests.asked(HEAD).etag == '"e"'
        assert len(server.connections) == 2


def test_no_kept_connection_is_trusted_after_one_was_dead():
    """After a network has gone and come back, all of them are as dead."""
    barrier = threading.Barrier(6, timeout=60)
    silent = threading.Event()

    def behave(handler):
        if silent.is_set() and handler.request in first:
            handler.request.close()
            handler.close_connection = True
        else:
            if not silent.is_set():
                barrier.wait()
            good(handler)

    with Server(behave) as server, requests_to(server.url) as requests:
        threads = [threading.Thread(target=requests.asked, args=(HEAD,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first = list(server.connections)
        assert len(first) == 6
        silent.set()
        assert requests.asked(HEAD).etag == '"e"'
        assert len(server.connections) == 7


@pytest.fixture
def secure(certificates):
    """Gives a server behind TLS that behaves so, and what asks it."""
    with contextlib.ExitStack() as until:

        def given(behave, newest=ssl.TLSVersion.TLSv1_3):
            server = until.enter_context(secured(Server(behave), certificates, newest))
            return server, until.enter_context(requests_to(server.url, ca_file=str(certificates / "ca.pem")))

        yield given


def sessions(seen):
    """Answers once on each connection, and notes whether that was made with the session of another one."""

    def behave(handler):
        seen.append(handler.request.session_reused)
        handler.reply(200, b"", {"ETag": '"e"'})

    return behave


VERSIONS = pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
def test_over_tls_a_connection_is_used_again_too(secure, newest):
    server, requests = secure(good, newest)
    for _ in range(5):
        assert requests.asked(HEAD).etag == '"e"'
    assert len(server.connections) == 1


@VERSIONS
def test_over_tls_one_that_the_server_closed_meanwhile_is_not(secure, newest):
    server, requests = secure(good, newest)
    requests.asked(HEAD)
    server.connections[0].shutdown(socket.SHUT_RDWR)
    assert requests.asked(HEAD).etag == '"e"'
    assert len(server.connections) == 2


@VERSIONS
def test_another_handshake_takes_the_session_of_an_earlier_one(secure, newest):
    seen = []
    _, requests = secure(sessions(seen), newest)
    for _ in range(3):
        requests.asked(HEAD)
    assert seen == [False, True, True]


def test_a_server_that_does_not_know_the_session_is_checked_as_any_other(
    secure, certificates, other_certificates, monkeypatch
):
    """It has other keys, and the next session is its own; then it has a certificate that is not trusted."""
    monkeypatch.setattr(repeating, "PAUSES", ())
    seen = []
    server, requests = secure(sessions(seen))
    accept = Loopback.get_request.__get__(server)
    for _ in range(2):
        requests.asked(HEAD)
    server.get_request = accept
    secured(server, certificates)
    for _ in range(2):
        requests.asked(HEAD)
    assert seen == [False, True, False, True]
    server.get_request = accept
    secured(server, other_certificates)
    with pytest.raises(StoreUnavailableError, match="certificate is not trusted"):
        requests.asked(HEAD)
    assert len(seen) == 4


def test_a_session_does_not_outlive_the_certificate(secure):
    seen = []
    _, requests = secure(sessions(seen))
    requests.asked(HEAD)
    signed = requests._carriers.carrier
    assert time.time() < signed._session.until < time.time() + 86_401
    signed._session = signed._session._replace(until=time.time())
    for _ in range(2):
        requests.asked(HEAD)
    assert seen == [False, False, True]


def test_the_name_in_the_certificate_has_to_be_the_hosts(secure, certificates, monkeypatch):
    monkeypatch.setattr(repeating, "PAUSES", ())
    server, requests = secure(good)
    requests.asked(HEAD)
    other = server.url.replace(LOOPBACK, "localhost")
    with (
        requests_to(other, ca_file=str(certificates / "ca.pem")) as theirs,
        pytest.raises(StoreUnavailableError, match="certificate"),
    ):
        theirs.asked(HEAD)


def test_a_process_that_was_forked_begins_without_a_session(secure):
    seen = []
    _, requests = secure(sessions(seen))
    requests.asked(HEAD)
    assert forked(lambda: requests.asked(HEAD).etag)() == '"e"'
    requests.asked(HEAD)
    assert seen == [False, False, True]


def test_a_connection_is_not_closed_by_a_ticket(secure):
    server, requests = secure(good)
    signed = requests._carriers.carrier
    signed.ready(1)
    until = time.monotonic() + 60
    while not signed._idle and time.monotonic() < until:
        time.sleep(0.01)
    assert select.select([signed._idle[0]], [], [], 60)[0], "there is no ticket"
    assert requests.asked(HEAD).etag == '"e"'
    assert len(server.connections) == 1


@pytest.mark.parametrize("is_secure", [False, True])
def test_the_connections_for_parts_are_opened_while_the_upload_begins(secure, is_secure):
    open_ones = []

    def behave(handler):
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        body = b""
        if handler.command == "POST" and "uploads" in handler.path:
            idle, connections = requests._carriers.carrier._idle, handler.server.connections
            until = time.monotonic() + 60
            while len(idle) < 2 or len(connections) != len(idle) + 1:
                assert time.monotonic() < until
                time.sleep(0.01)
            open_ones.append(len(connections))
            body = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        elif handler.command == "POST":
            body = b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", '"e"')
        handler.end_headers()
        handler.wfile.write(body)

    with contextlib.ExitStack() as until:
        if is_secure:
            server, requests = secure(behave)
        else:
            server = until.enter_context(Server(behave))
            requests = until.enter_context(requests_to(server.url))
        requests.pace.number = 128  # as where more memory is allowed: an upload may still have few parts
        upload = Upload(requests, "key", if_absent=False, options=ObjectOptions())
        assert upload.in_parts([bytes(PART)] * 4).etag == "e"
        assert open_ones[0] >= 3
        assert len(server.connections) <= 5  # a part may need one before the last of them is open


@pytest.mark.parametrize("wrong", [5, ["text/plain"]])
def test_a_content_type_that_is_no_text_is_refused(monkeypatch, wrong):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with (
        contextlib.closing(open_store("s3://bucket", endpoint=f"http://{LOOPBACK}:9")) as store,
        pytest.raises(StoreError, match=r"content_type=.* is no text: give a text"),
    ):
        store.write("key", [b""], content_type=wrong)


def test_a_connection_that_cannot_be_opened_ahead_is_told_by_who_needs_it(monkeypatch, caplog):
    monkeypatch.setattr(repeating, "PAUSES", ())
    caplog.set_level(logging.DEBUG, "keystow")
    [port] = free_ports(1)
    with requests_to(f"http://{LOOPBACK}:{port}") as requests:
        requests._carriers.carrier.ready(2)
        until = time.monotonic() + 60
        while len(caplog.messages) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert all("no connection was opened ahead" in message for message in caplog.messages)
        with pytest.raises(StoreUnavailableError, match="refused"):
            requests.asked(HEAD)
        caplog.clear()
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        requests._carriers.carrier.ready(2)
        assert len(caplog.messages) == 1


def no_thread(_):
    raise RuntimeError("can't start new thread")


def test_a_connection_that_was_opened_ahead_of_the_end_is_closed():
    with socket.create_server((LOOPBACK, 0)) as server:
        server.settimeout(60)
        with requests_to(f"http://{LOOPBACK}:{server.getsockname()[1]}") as requests:
            signed = requests._carriers.carrier
        signed.ready(1)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(60)
            assert connection.recv(1) == b""


def test_a_refusal_is_read_though_the_body_was_not_taken():
    def behave(handler):
        handler.reply(403, b"<Error><Code>AccessDenied</Code></Error>")
        handler.wfile.flush()
        handler.request.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        handler.close_connection = True

    with Server(behave) as server, requests_to(server.url) as requests, pytest.raises(AccessDeniedError):
        requests.asked(Request("upload_part", "key", {"PartNumber": 1}, bytes(16 * PART)))


def resets(handler):
    """Resets the connection once all that was sent has come."""
    while any(fcntl.ioctl(handler.request, termios.TIOCOUTQ, bytes(4))):
        time.sleep(0.01)
    handler.close_connection = True
    handler.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.request.close()
    handler.rfile.close()


def announced(handler, content):
    """Answers a request for ``content``, but for the body, and gives where that begins."""
    start = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
    handler.send_response(206)
    handler.send_header("ETag", '"e"')
    handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.send_header("Content-Length", str(len(content) - start))
    handler.end_headers()
    return start


@pytest.mark.parametrize("is_reset", [False, True])
def test_what_came_before_it_broke_off_is_not_asked_for_again(monkeypatch, is_reset):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    content, came = b"x" * 300_000, 200_000
    starts = []

    def behave(handler):
        start = announced(handler, content)
        starts.append(start)
        is_first = len(starts) == 1
        handler.wfile.write(content[start : came if is_first else None])
        handler.close_connection = True
        if is_first and is_reset:
            resets(handler)

    with Server(behave) as server, contextlib.closing(open_store("s3://bucket", endpoint=server.url)) as store:
        assert b"".join(store.read("key")) == content
    assert starts[0] == 0
    assert came - LEAST < starts[1] <= came
    assert len(starts) == 2


def test_nothing_is_read_behind_what_an_interrupted_read_had_taken(monkeypatch):
    """A handler of a signal may raise within a read, and the connection is as good as before."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(repeating, "PAUSES", (0.0,))
    content = random.Random(0).randbytes(300_000)
    reads = iter(range(1, 10))
    readinto = _Response.readinto

    def interrupted(response, view):
        came = readinto(response, view)
        if next(reads, 0) == 2:
            raise TimeoutError("the alarm")
        return came

    monkeypatch.setattr(_Response, "readinto", interrupted)
    with (
        Server(lambda handler: handler.wfile.write(content[announced(handler, content) :])) as server,
        contextlib.closing(open_store("s3://bucket", endpoint=server.url)) as store,
    ):
        assert b"".join(store.read("key")) == content


def test_what_broke_an_answer_off_is_told(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(repeating, "PAUSES", ())
    monkeypatch.setattr(continuing, "MOST_BREAKS", 0)

    def behave(handler):
        handler.wfile.write(bytes(300_000)[announced(handler, bytes(400_000)) :])
        resets(handler)

    with (
        Server(behave) as server,
        contextlib.closing(open_store("s3://bucket", endpoint=server.url)) as store,
        pytest.raises(StoreUnavailableError, match="Connection reset by peer"),
    ):
        list(store.read("key"))


def test_a_line_that_is_cut_ends_an_answer_that_does_not_come():
    arrived = threading.Event()
    released = threading.Event()

    def behave(handler):
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.flush()
        arrived.set()
        released.wait()

    with Server(behave) as server, requests_to(server.url) as requests:
        part = Request("upload_part", "key", {"UploadId": "u", "PartNumber": 1}, b"x")
        line, told = requests.lines.line(), SimpleQueue()

        def work():
            with line:
                return requests.once(part, line)

        in_thread(work, told.put)
        assert arrived.wait(60)
        time.sleep(0.1)
        line.cut()
        cancelled = told.get(timeout=60).error
        assert type(cancelled) is CancelledError
        assert cancelled.__context__ is None, "it would hold the body"
        released.set()
        assert len(server.connections) == 1


def test_a_line_that_is_cut_sends_nothing_any_more():
    with Server(good) as server, requests_to(server.url) as requests:
        with requests.lines.line() as line:
            line.cut()
            with pytest.raises(CancelledError):
                requests.once(HEAD, line)
        assert server.connections == []


def test_an_answer_that_lacks_what_it_is_for(monkeypatch):
    def behave(handler):
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.reply(200, b"<X/>" if handler.command == "POST" else b"")

    monkeypatch.setattr(repeating, "PAUSES", (0.0,) * 3)
    with Server(behave) as server, requests_to(server.url) as requests:
        with pytest.raises(StoreUnavailableError, match="the answer is not S3's") as failed:
            requests.asked(Request("create_multipart_upload", "key"))
        assert failed.value.tries == 4
        assert len(server.connections) == 4


@pytest.mark.parametrize("odd", ["line\n", "ä", "\u2028"])
def test_credentials_that_no_header_can_hold_are_not_told(odd):
    with requests_to("http://127.0.0.1:9", KEYS | {"token": f"topsecret{odd}"}) as requests:
        with pytest.raises(CredentialsError) as refusal:
            requests.asked(HEAD)
        assert "topsecret" not in str(refusal.value)


@pytest.mark.parametrize(
    "failure",
    [
        UnauthorizedSSOTokenError(),
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole"),
        FileNotFoundError(2, "No such file or directory", "/token"),
        ValueError("no JSON"),
    ],
)
def test_credentials_that_cannot_be_renewed(failure):
    class Expired:
        def get_frozen_credentials(self):
            raise failure

    with pytest.raises(CredentialsError, match="renew the credentials"):
        frozen_keys(Expired())


def test_credentials_that_fsspecs_client_cannot_renew(monkeypatch):
    """A file that is not there is no object that is not there."""

    class Expired:
        async def get_frozen_credentials(self):
            raise FileNotFoundError(2, "No such file or directory", "/token")

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    store = open_store("s3://bucket", endpoint="http://127.0.0.1:9", engine="fsspec")
    store._bucket._carriers.client()._credentials = Expired()
    with contextlib.closing(store):
        for attempt in (lambda: store.stat("key"), lambda: store.presign("key", expires=60)):
            with pytest.raises(CredentialsError, match=r"/token.*renew the credentials"):
                attempt()


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, None),
        ({"NO_PROXY": "other.example"}, None),
        ({"HTTP_PROXY": "http://proxy:1"}, None),
        ({"HTTPS_PROXY": "http://proxy:1"}, "HTTPS_PROXY"),
        ({"https_proxy": "http://proxy:1", "ALL_PROXY": "http://proxy:2"}, "https_proxy"),
        ({"ALL_PROXY": "http://proxy:1"}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "objects.example"}, None),
    ],
)
def test_whether_there_is_a_proxy(monkeypatch, variables, named):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_variable("https://objects.example") == named


@pytest.mark.server
def test_parts_on_aws_with_the_bucket_in_the_host_name_and_a_session_token(monkeypatch):
    """AWS's own names lead to moto."""
    found = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **options: found(LOOPBACK, *more, **options))
    with Moto() as moto, FaultProxy(moto.endpoint) as proxy:
        bucket, port = moto.make_bucket(), proxy.url.rpartition(":")[2]
        for name, value in (moto.environment() | {"AWS_SESSION_TOKEN": "session"}).items():
            monkeypatch.setenv(name, value)
        endpoint = f"http://s3.eu-west-1.amazonaws.com:{port}"
        store = open_store(f"s3://{bucket}", endpoint=endpoint, addressing="virtual", engine="obstore")
        with contextlib.closing(store):
            written = store.write("a b/ö+", iter([bytes(PART), b"x"]))
            assert [(found.key, found.size) for found in store.list("a b/ö")] == [("a b/ö+", PART + 1)]
        assert written.confirmed == "checksum"
        assert {one.headers["host"] for one in proxy.requests} == {f"{bucket}.s3.eu-west-1.amazonaws.com:{port}"}
        assert {one.headers["x-amz-security-token"] for one in proxy.requests} == {"session"}
        assert all("x-amz-security-token" in one.headers["authorization"] for one in proxy.requests)
        assert all("/eu-west-1/s3/" in one.headers["authorization"] for one in proxy.requests)
        parts = [one.headers for one in proxy.requests if one.method == "PUT"]
        assert all({"x-amz-checksum-sha256", "x-amz-content-sha256"} <= set(headers) for headers in parts)
        assert moto.client().head_object(Bucket=bucket, Key="a b/ö+")["ContentLength"] == PART + 1


@pytest.mark.server
def test_what_is_left_unclosed_is_closed(seaweed, bucket, login):
    """A warning of an unclosed socket would be an error here."""
    login(seaweed)
    store = open_store(f"s3://{bucket}", endpoint=seaweed.endpoint, engine="obstore")
    assert list(store.list("none/")) == []
    del store


HEADS = {
    "no colon": b"HTTP/1.1 200 OK\r\nETag\r\n\r\n",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nETag : e\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nETag: e\r\n  more: e\r\n\r\n",
    "too many lines": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
    "a long line": b"HTTP/1.1 200 OK\r\nETag: " + b"e" * (1 << 16) + b"\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\nETag: e\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: e\r\ncontent-length: 6\r\n\r\n",
}


@pytest.mark.parametrize("head", list(HEADS.values()), ids=list(HEADS))
def test_a_head_that_is_none_is_no_answer(monkeypatch, head):
    monkeypatch.setattr(repeating, "PAUSES", ())
    with (
        Server(lambda handler: handler.wfile.write(head)) as server,
        requests_to(server.url) as requests,
        pytest.raises(StoreUnavailableError),
    ):
        requests.asked(Request("head_object", "key"))


def test_a_head_of_a_hundred_lines_is_read_also_if_its_length_is_there_twice():
    head = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nETAG:e \r\n"
        + b"Content-Length: 5\r\n" * 2
        + b"A: b\r\n" * 97
        + b"\r\n"
    )
    with Server(lambda handler: handler.wfile.write(head)) as server, requests_to(server.url) as requests:
        found = requests.asked(Request("head_object", "key"))
    assert (found.etag, found.size) == ("e", 5)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("size", [1000, 7], ids=["at once", "in pieces"])
def test_an_answer_is_read_however_its_head_comes(end, size):
    body = b"1\n\r\n2"
    sent = end.join([b"HTTP/1.1 100 Continue", b"", b"HTTP/1.1 200 OK", b"ETag: e", b"Content-Length: 5", b"", body])

    def answer(handler):
        for start in range(0, len(sent), size):
            handler.wfile.write(sent[start : start + size])
            time.sleep(0.001)

    with Server(answer) as server, requests_to(server.url) as requests:
        assert requests.asked(Request("get_object", "key"), lambda found: b"".join(found.content)) == body


def test_a_head_that_was_cut_short_is_none_wherever_it_was_cut(monkeypatch):
    """A version that lacks its end looks like one, and so do a length and a status."""
    monkeypatch.setattr(repeating, "PAUSES", (0.0,))
    head = b'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: "e"\r\nx-amz-version-id: L4kqdtlcpXroDTDmJ\r\n\r\n'
    answers = []

    def answer(handler):
        sent = answers.pop()
        handler.close_connection = sent != head
        handler.wfile.write(sent)

    with Server(answer) as server, requests_to(server.url) as requests:
        for end in range(len(head)):
            answers[:] = [head, head[:end]]
            found = requests.asked(HEAD)
            assert (found.size, found.etag, found.version_id) == (1234, '"e"', "L4kqdtlcpXroDTDmJ"), head[:end]
            assert not answers


def test_a_write_whose_answer_broke_off_has_no_version(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(repeating, "PAUSES", ())

    def answer(handler):
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nx-amz-version-id: L4kq')
        handler.close_connection = True

    with (
        Server(answer) as server,
        contextlib.closing(open_store("s3://bucket", endpoint=server.url)) as store,
        pytest.raises(UnknownOutcomeError),
    ):
        store.write("key", [b"x"], if_absent=True)


# -- what comes before an answer, and behind it


@pytest.mark.parametrize("pause", [0.0, 0.05], ids=["at once", "later"])
@pytest.mark.parametrize("interim", ["102 Processing", "103 Early Hints", "199 Whatever"])
def test_the_answer_is_the_one_after_those_that_come_before_it(interim, pause):
    def answer(handler):
        key = handler.path.rpartition("/")[2]
        handler.wfile.write(f"HTTP/1.1 {interim}\r\nETag: none\r\nContent-Length: 9\r\n\r\n".encode())
        time.sleep(pause)
        handler.wfile.write(f"HTTP/1.1 200 OK\r\nETag: {key}\r\nContent-Length: 0\r\n\r\n".encode())

    with Server(answer) as server, requests_to(server.url) as requests:
        assert [requests.asked(Request("head_object", key)).etag for key in "abc"] == ["a", "b", "c"]
        assert len(server.connections) == 1


@pytest.mark.parametrize("times", [1, 1000])
def test_another_protocol_or_answers_without_end_are_none(monkeypatch, times):
    monkeypatch.setattr(repeating, "PAUSES", ())
    interim = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" if times == 1 else b"HTTP/1.1 103 Early Hints\r\n\r\n"
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: e\r\n\r\n"

    def answer(handler):
        with contextlib.suppress(OSError):
            handler.wfile.write((interim * times if len(server.connections) == 1 else b"") + final)

    with Server(answer) as server, requests_to(server.url) as requests:
        with pytest.raises(StoreUnavailableError):
            requests.asked(HEAD)
        assert requests.asked(HEAD).etag == "e"
        assert len(server.connections) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nETag: e\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nETag: e\r\n\r\n",
    ],
    ids=["a length", "chunked", "no content"],
)
@pytest.mark.parametrize("more", [b"", b"\r\n", b"HTTP/1.1 200 OK\r\nETag: f\r\nContent-Length: 0\r\n\r\n"])
def test_a_connection_on_which_more_came_than_the_answer_is_not_used_again(answer, more):
    with (
        Server(lambda handler: handler.wfile.write(answer + more)) as server,
        requests_to(server.url) as requests,
    ):
        for _ in range(2):
            requests.asked(Request("delete_object", "key"))
        assert len(server.connections) == (2 if more else 1)
