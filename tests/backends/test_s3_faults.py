"""What becomes of S3's requests under faults: ended, repeated, gone on with, settled; the same whoever carries them."""

import contextlib
import hashlib
import itertools
import re
import signal
import socket
import threading
import time
import uuid

import pytest
from lying import Liar, Lie

from keystow.backends import (
    AlreadyExistsError,
    ConflictError,
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
    open_store,
)
from keystow.backends.s3 import upload
from keystow.backends.s3.failures import unanswered
from keystow.backends.s3.refusals import refused, retry_after
from keystow.backends.s3.requests import Answer
from keystow.backends.sending import limits, lines, repeating, settling
from keystow.backends.sending.parts import HELD, part_size
from keystow.backends.sending.ranges import RANGE
from keystow.testing.servers import COMPUTE_NODE_POLICY, FaultProxy, free_ports
from keystow.testing.servers.proxy import Loopback, ProxyHandler, QuietHandler

pytestmark = pytest.mark.slow

PART = part_size(1)
LARGE = 2 * PART + 1
TRIES = 4
FOUND = {"ETag": '"e"', "Last-Modified": "Tue, 24 Nov 2026 17:46:20 GMT"}
KINDS = pytest.mark.parametrize("size", [100, LARGE], ids=["put", "multipart"])
MODES = pytest.mark.parametrize("if_absent", [False, True], ids=["replace", "if absent"])
OPERATIONS = {
    "read": lambda store: list(store.read("key")),
    "list": lambda store: list(store.list("k")),
    "stat": lambda store: store.stat("key"),
    "put": lambda store: store.write("key", [b"x"]),
    "a large put": lambda store: store.write("key", [bytes(PART)]),
    "multipart": lambda store: store.write("key", iter([bytes(PART), b"x"])),
    "delete": lambda store: store.delete("key"),
}
EACH = pytest.mark.parametrize("operation", OPERATIONS)


@pytest.fixture(params=["fsspec", "obstore"])
def engine(request):
    return request.param


@pytest.fixture
def quick(monkeypatch):
    """No pauses."""
    monkeypatch.setattr(repeating, "PAUSES", (0.0,) * (TRIES - 1))
    monkeypatch.setattr(settling, "_CONFLICT_PAUSES", (0.0,) * 3)


@pytest.fixture
def impatient(quick, monkeypatch):
    """A single try, and little patience with what stands still."""
    monkeypatch.setattr(repeating, "PAUSES", ())
    for module, name in ((limits, "SECONDS"), (limits, "BRIEF"), (upload, "_ABORT_SECONDS")):
        monkeypatch.setattr(module, name, 0.5)
    monkeypatch.setattr(lines, "_TICK", 0.05)


@pytest.fixture
def opened(monkeypatch, engine):
    """Opens a store at a URL, with keys that need not be right."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
    with contextlib.ExitStack() as stack:
        yield lambda url: stack.enter_context(
            contextlib.closing(open_store("s3://bucket", endpoint=url, engine=engine))
        )


@pytest.fixture
def proxy(seaweed):
    with FaultProxy(seaweed.endpoint) as running:
        yield running


@pytest.fixture
def real(login, seaweed, versioned_bucket, proxy, engine):
    """A store of the administrator's, behind the proxy."""
    login(seaweed)
    store = open_store(f"s3://{versioned_bucket}", endpoint=proxy.url, engine=engine)
    with contextlib.closing(store):
        yield store


@pytest.fixture
def key():
    return f"faults/{uuid.uuid4().hex}"


def content(size):
    return (hashlib.shake_256(b"faults").digest(1 << 12) * (size // (1 << 12) + 1))[:size]


def is_kind(method, marker):
    return lambda asked, path: asked == method and marker in path


is_part = is_kind("PUT", "partNumber")
is_begin = is_kind("POST", "uploads")
is_abort = is_kind("DELETE", "uploadId")


def decides(method, path):
    return (method == "PUT" and "partNumber" not in path) or (method == "POST" and "uploadId" in path)


def notes(error):
    return "\n".join(getattr(error, "__notes__", []))


# -- nothing hangs: each of these would never end


def _waits(handler):
    handler.server.released.wait()
    handler.close_connection = True


class Deaf(Loopback):
    """Takes connections, and reads nothing of what comes."""

    def __init__(self):
        self.released = threading.Event()
        super().__init__(type("Handler", (QuietHandler,), {"handle_one_request": _waits}))

    def stop(self):
        self.released.set()
        super().stop()


@EACH
def test_a_server_that_takes_nothing_and_says_nothing(opened, impatient, operation):
    with Deaf() as server, pytest.raises(StoreUnavailableError, match="nothing moved") as failed:
        OPERATIONS[operation](opened(server.url))
    assert server.url in str(failed.value)


def trickle(*beginning):
    yield from beginning
    for _ in range(600):
        time.sleep(0.1)
        yield b" "


def trickled():
    answer = Lie(headers=FOUND | {"Content-Length": "600"}, body=None)
    return Liar(lambda asked: answer._replace(body=trickle(b"<ListBucketResult>")))


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each != "stat"])
def test_an_answer_that_comes_byte_by_byte(opened, impatient, operation):
    with trickled() as liar, pytest.raises(StoreUnavailableError, match="nothing moved"):
        OPERATIONS[operation](opened(liar.url))


def test_an_answer_without_a_body_is_whole_with_its_head(opened):
    with trickled() as liar:
        assert opened(liar.url).stat("key").size == 600


@EACH
def test_a_head_that_comes_byte_by_byte(opened, impatient, operation):
    def handle(handler):
        handler.raw_requestline = handler.rfile.readline(1 << 16)
        handler.parse_request()
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.close_connection = True
        with contextlib.suppress(OSError):
            for piece in trickle(b"HTTP/1.1 200 OK\r\nX-Pad: "):
                handler.wfile.write(piece)

    with (
        Loopback(type("Handler", (QuietHandler,), {"handle_one_request": handle})) as server,
        pytest.raises(StoreUnavailableError, match="nothing moved"),
    ):
        OPERATIONS[operation](opened(server.url))


@pytest.mark.parametrize("operation", ["read", "stat", "put"])
def test_a_try_that_hung_is_followed_by_a_sound_one(opened, quick, monkeypatch, operation):
    monkeypatch.setattr(limits, "SECONDS", 3.0)
    monkeypatch.setattr(lines, "_TICK", 0.05)
    silent, released = itertools.count(), threading.Event()

    def answer(asked):
        if next(silent) == 0:
            released.wait()
        return Lie(headers=FOUND, body=b"" if asked.method == "PUT" else b"found")

    with Liar(answer) as liar:
        OPERATIONS[operation](opened(liar.url))
        released.set()
        assert len(liar.asked) == 2


def test_an_object_that_comes_slowly_is_no_hang(opened, quick, monkeypatch):
    """Much longer in all than nothing may move, and never that long without anything."""
    monkeypatch.setattr(limits, "SECONDS", 2.5)
    monkeypatch.setattr(lines, "_TICK", 0.05)
    pieces = 50

    def slowly():
        for _ in range(pieces):
            time.sleep(0.1)
            yield bytes(lines.LEAST)

    size = pieces * lines.LEAST
    with Liar(lambda asked: Lie(headers=FOUND | {"Content-Length": str(size)}, body=slowly())) as liar:
        assert sum(map(len, opened(liar.url).read("key"))) == size
        assert len(liar.asked) == 1


def test_closing_a_store_ends_what_hangs_in_other_threads(opened):
    with Deaf() as server:
        store = opened(server.url)
        failures = []

        def write():
            try:
                store.write("key", [b"x"])
            except BaseException as error:  # noqa: BLE001  it is looked at below
                failures.append(error)

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(store._bucket.lines._lines) < 3:
            time.sleep(0.01)
        time.sleep(0.2)
        store.close()
        for thread in threads:
            thread.join(30)
    assert len(failures) == 3


# -- an interrupt


def interrupted_at(proxy, *moments):
    """Presses Ctrl-C in the main thread whenever the next of such requests is under way."""
    me = threading.main_thread().ident

    def press():
        for matches in moments:
            while not any(matches(one.method, one.path) for one in proxy.requests):
                time.sleep(0.01)
            time.sleep(0.2)
            signal.pthread_kill(me, signal.SIGINT)

    hand = threading.Thread(target=press)
    hand.start()
    return hand


@pytest.fixture
def sigint():
    """Where the suite runs in the background of a shell, it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.server
@pytest.mark.parametrize(
    "moments", [(is_part,), (is_part, is_abort)], ids=["no answer to the abort", "interrupted again"]
)
def test_what_an_interrupt_leaves_is_told(real, proxy, key, sigint, moments, monkeypatch):
    if is_abort in moments:
        monkeypatch.setattr(upload, "_INTERRUPTED_SECONDS", 60.0)  # it is not over before the second one comes
    proxy.hang(is_part, nth=None)
    proxy.hang(is_abort, nth=None)
    hand = interrupted_at(proxy, *moments)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        real.write(key, [content(LARGE)])
    hand.join()
    assert "could not be removed" in notes(interrupted.value)
    assert "lifecycle rule" in notes(interrupted.value)


@pytest.mark.server
def test_the_first_failure_ends_the_others_and_nothing_more_is_sent(real, proxy, key):
    """Parts 1, 3 and 4 hang: whoever waited for them would wait for their time to be over."""
    proxy.answer(lambda method, path: is_part(method, path) and "partNumber=2" in path, 403, nth=None)
    proxy.hang(is_part, nth=None)
    with pytest.raises(StoreError) as failed:
        real.write(key, [content(PART)] * 20)
    assert failed.value.code == "403"
    sent = [one.path for one in proxy.requests if is_part(one.method, one.path)]
    assert {int(re.search(r"partNumber=(\d+)", path)[1]) for path in sent} <= set(range(1, HELD // PART + 2))


# -- one rule for repeating


@pytest.mark.server
@pytest.mark.parametrize("status", sorted(repeating.UNAVAILABLE))
@pytest.mark.parametrize("operation", ["read", "range", "list", "stat", "put", "delete"])
def test_what_passes_is_tried_again(real, proxy, key, quick, operation, status):
    real.write(key, [b"0123456789"])
    asked = {
        "read": lambda: b"".join(real.read(key)),
        "range": lambda: b"".join(real.read(key, start=2, stop=5)),
        "list": lambda: [found.size for found in real.list(key)],
        "stat": lambda: real.stat(key).size,
        "put": lambda: real.write(key, [b"x"]).size,
        "delete": lambda: real.delete(key),
    }
    proxy.clear()
    for nth in (1, 2):
        proxy.answer(lambda method, path: True, status, nth=nth)
    answers = {"read": b"0123456789", "range": b"234", "list": [10], "stat": 10, "put": 1, "delete": None}
    assert asked[operation]() == answers[operation]
    assert [one.status for one in proxy.requests][:2] == [status, status]
    assert len(proxy.requests) == 3


@EACH
def test_how_often_it_was_tried_is_told(opened, quick, operation):
    with Liar(lambda asked: Lie(503)) as liar, pytest.raises(StoreUnavailableError, match=r"\(4 tries"):
        OPERATIONS[operation](opened(liar.url))
    assert len([asked for asked in liar.asked if asked.method != "HEAD" or operation == "stat"]) == TRIES


@pytest.mark.parametrize("seconds", ["3600", "Fri, 24 Nov 2062 17:46:20 GMT"])
def test_who_asks_for_more_time_than_there_is_gets_no_other_try(opened, quick, seconds):
    with Liar(lambda asked: Lie(503, {"Retry-After": seconds})) as liar, pytest.raises(StoreUnavailableError):
        opened(liar.url).stat("key")
    assert len(liar.asked) == 1


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7.0), ("0", 0.0), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("9" * 40, None),
     ("Tue, 24 Nov 2020 17:46:20 GMT", 0.0), ("Tue, 99 Nov 2020 17:46:20 GMT", None)],
)  # fmt: skip
def test_how_long_to_wait(said, seconds):
    assert retry_after({"retry-after": said}) == seconds


# -- content goes on where it broke


class Breaking(ProxyHandler):
    """Sends a part of an object, and hangs up."""

    left = 0
    counting = threading.Lock()

    def _breaks(self, response):
        is_long = int(response.getheader("Content-Length", 0)) > 3 << 20
        with Breaking.counting:
            breaks = self.command == "GET" and is_long and Breaking.left > 0
            Breaking.left -= breaks
        return breaks

    def _relay(self, response):
        if not self._breaks(response):
            super()._relay(response)
            return
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in {"connection", "transfer-encoding"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.read()[: 3 << 20])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.server
@pytest.mark.parametrize("near", [0.0, 60.0])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (5, None), (5, LARGE - 5)])
def test_content_goes_on_where_it_broke(real, proxy, key, quick, start, stop, near, monkeypatch):
    """In ranges side by side; and in one stream, from the second range on."""
    monkeypatch.setattr("keystow.backends.cloud.NEAR", near)
    real.write(key, [content(LARGE)])
    proxy.RequestHandlerClass, Breaking.left = Breaking, 3
    proxy.clear()
    assert b"".join(real.read(key, start=start, stop=stop)) == content(LARGE)[start:stop]
    assert Breaking.left == 0
    asked = [one.headers for one in proxy.requests]
    ranges = len(range(start, LARGE if stop is None else stop, RANGE))
    assert len(asked) == 3 + (2 if near else ranges)
    assert len({headers.get("if-match") for headers in asked[1:]}) == 1
    assert asked[1]["if-match"] == real.stat(key).etag


@pytest.mark.server
@pytest.mark.parametrize("near", [0.0, 60.0])
def test_an_object_that_was_replaced_meanwhile_is_no_mixture(real, proxy, key, quick, near, monkeypatch):
    """In ranges side by side, all of the old one may have come by then."""
    monkeypatch.setattr("keystow.backends.cloud.NEAR", near)
    real.write(key, [content(LARGE)])
    proxy.RequestHandlerClass, Breaking.left = Breaking, 1
    pieces = real.read(key)
    taken = [next(pieces)]
    real.write(key, [content(LARGE)[::-1]])
    with (
        pytest.raises(ConflictError, match="replaced while it was read") if near else contextlib.suppress(ConflictError)
    ):
        taken.extend(pieces)
        assert len(b"".join(taken)) == LARGE
    assert content(LARGE).startswith(b"".join(taken))


# -- success, failure, or nobody knows


@pytest.mark.server
@KINDS
@MODES
def test_every_answer_is_lost_and_the_object_is_ours(real, proxy, key, quick, size, if_absent):
    proxy.lose_answer(decides, nth=None)
    written = real.write(key, [content(size)], if_absent=if_absent)
    assert written.confirmed == "stat"
    assert written.version_id == real.stat(key).version_id
    assert b"".join(real.read(key)) == content(size)


@pytest.mark.server
@KINDS
@MODES
@pytest.mark.parametrize("status", [503, 403])
def test_an_answer_is_lost_and_then_refused(real, proxy, key, quick, size, if_absent, status):
    proxy.lose_answer(decides)
    for nth in range(2, TRIES + 1):
        proxy.answer(decides, status, nth=nth)
    assert real.write(key, [content(size)], if_absent=if_absent).confirmed == "stat"


@pytest.mark.server
@KINDS
@MODES
def test_every_answer_is_lost_and_nobody_may_look(
    login, seaweed, versioned_bucket, proxy, key, quick, engine, size, if_absent
):
    login(seaweed.user(COMPUTE_NODE_POLICY(versioned_bucket)))
    proxy.lose_answer(decides, nth=None)
    store = open_store(f"s3://{versioned_bucket}", endpoint=proxy.url, engine=engine)
    with contextlib.closing(store), pytest.raises(UnknownOutcomeError, match=key):
        store.write(key, [content(size)], if_absent=if_absent)


@pytest.mark.server
@MODES
def test_an_object_that_a_stranger_answers_for_is_not_foreign(real, proxy, key, quick, if_absent):
    """A HEAD without an ETag says nothing of our object."""
    proxy.lose_answer(decides)
    proxy.answer(decides, 412 if if_absent else 503, nth=2)
    proxy.answer(decides, 503, nth=None)
    proxy.answer(lambda method, path: method == "HEAD", 200, nth=None)
    with pytest.raises(UnknownOutcomeError):
        real.write(key, [b"ours"], if_absent=if_absent)


@pytest.mark.server
def test_a_request_that_came_twice_is_ours(real, proxy, key, quick):
    """A middlebox sent it again, and gives us the second answer."""

    class Twice(ProxyHandler):
        def _forward(self, fault):
            if decides(self.command, self.target):
                body = b"".join(self._body())
                self._body = lambda: iter([body])
                relay, self._relay = self._relay, lambda response: response.read()
                super()._forward(None)
                self._relay = relay
            super()._forward(fault)

    proxy.RequestHandlerClass = Twice
    written = real.write(key, [b"ours"], if_absent=True)
    assert written.confirmed == "stat"
    assert b"".join(real.read(key)) == b"ours"


@pytest.mark.server
def test_somebody_elses_object_stays_somebody_elses(real, key):
    real.write(key, [b"theirs"])
    with pytest.raises(AlreadyExistsError):
        real.write(key, [b"ours"], if_absent=True)


@pytest.mark.server
@pytest.mark.parametrize("ends", ["well", "badly"])
def test_an_upload_whose_beginning_was_lost_is_told(real, proxy, key, quick, caplog, seaweed, versioned_bucket, ends):
    proxy.lose_answer(is_begin)
    if ends == "badly":
        for nth in range(2, TRIES + 1):
            proxy.answer(is_begin, 503, nth=nth)
        with pytest.raises(StoreUnavailableError) as failed:
            real.write(key, [content(LARGE)])
        told = notes(failed.value)
    else:
        real.write(key, [content(LARGE)])
        told = caplog.text
    assert "without parts" in told
    assert "lifecycle rule" in told
    left = seaweed.client().list_multipart_uploads(Bucket=versioned_bucket, Prefix=key).get("Uploads", [])
    assert len(left) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "nobody.invalid"], ids=["refused", "no such name"])
@pytest.mark.parametrize("size", [1, PART + 1], ids=["put", "multipart"])
def test_what_surely_came_to_nobody_is_a_failure(opened, quick, host, size):
    [port] = free_ports(1)
    with pytest.raises(StoreUnavailableError) as failed:
        opened(f"http://{host}:{port}").write("key", [bytes(size)])
    assert not isinstance(failed.value, UnknownOutcomeError)
    assert not failed.value.may_have_arrived
    assert notes(failed.value) == ""


def test_a_tls_server_that_is_none_is_a_failure(opened, quick):
    with Liar(lambda asked: Lie()) as liar, pytest.raises(StoreUnavailableError) as failed:
        opened(liar.url.replace("http:", "https:")).write("key", [b"x"])
    assert not failed.value.may_have_arrived


def test_a_connection_that_is_reset_may_have_brought_it(opened, impatient):
    """And it is not said that there was no connection."""

    class Resets(Liar):
        def finish_request(self, request, client_address):
            request.recv(1)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with Resets(lambda asked: Lie()) as liar, pytest.raises(UnknownOutcomeError) as failed:
        opened(liar.url).write("key", [bytes(PART - 1)])
    assert "Could not connect" not in str(failed.value)
    assert str(failed.value).count("s3://bucket/key") <= 2


# -- what answers mean, as a table


@pytest.mark.parametrize(
    ("status", "code", "operation", "kind", "passes"),
    [
        *((status, "", "put_object", StoreUnavailableError, None) for status in sorted(repeating.UNAVAILABLE)),
        (400, "RequestTimeout", "put_object", StoreUnavailableError, None),
        (200, "InternalError", "complete_multipart_upload", StoreUnavailableError, None),
        (200, "Unheard", "complete_multipart_upload", StoreUnavailableError, None),
        (404, "NoSuchUpload", "complete_multipart_upload", ConflictError, False),
        (409, "OperationAborted", "put_object", ConflictError, True),
        (412, "", "get_object", ConflictError, False),
        (412, "PreconditionFailed", "get_object", ConflictError, False),
        (412, "", "put_object", AlreadyExistsError, None),
    ],
)
def test_what_a_refusal_means(status, code, operation, kind, passes):
    body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
    error = refused(Answer(status, {"retry-after": "3"}, body), operation, "b", "k", None)
    assert type(error) is kind
    assert error.retry_after == 3.0
    assert getattr(error, "passes", None) == passes


@pytest.mark.parametrize("page", [b"<html>mine</html>", b"{}", b"\0"])
@pytest.mark.parametrize("status", [200, 403, 503])
def test_no_page_is_ever_repeated(page, status):
    error = refused(Answer(status, {}, page), "put_object", "b", "k", "http://e")
    assert "mine" not in str(error)
    assert "the answer is not S3's (http://e)" in str(error)


def test_a_proxy_that_is_not_there_is_what_is_to_be_mended(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    dead = unanswered("s3://b/k", "https://e.example.com", 'Failed to connect to proxy URL: "…": Connection refused')
    slow = unanswered("s3://b/k", "https://e.example.com", "Read timeout")
    assert dead.hint == "correct HTTPS_PROXY, unset it, or name the endpoint's host in NO_PROXY"
    assert slow.hint == "check the proxy that HTTPS_PROXY names, the endpoint and the network"
