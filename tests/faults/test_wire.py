"""The proxy does to each byte what its fault says, and nothing to any other."""

import contextlib
import random
import re
import socket
import socketserver
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystow.testing.faults import EVENTS, OPERATIONS, PLACES, FaultyWire, WireFault, drawn
from keystow.testing.servers.proxy import Loopback

HEAD = b"PUT /bucket/key HTTP/1.1\r\nHost: h\r\nX-Odd:  kept  \r\nContent-Length: 10\r\n\r\n"
BODY = b"0123456789"
ANSWER_HEAD = b'HTTP/1.1 200 Fine\r\nETag: "e"\r\nContent-Length: 12\r\n\r\n'
ANSWER_BODY = b"abcdefghijkl"
WHOLE = ANSWER_HEAD + ANSWER_BODY


class Recorder(Loopback):
    """Keeps the bytes of each connection, and answers each whole request; ``hung_up`` counts connections that ended."""

    def __init__(self):
        self.came = []
        self.answers = 0
        self.answer = WHOLE
        super().__init__(_Recording)


class _Recording(socketserver.StreamRequestHandler):
    def handle(self):
        index = len(self.server.came)
        self.server.came.append(b"")
        whole = 0
        try:
            while piece := self.request.recv(1 << 16):
                self.server.came[index] += piece
                requests = self.server.came[index].count(BODY)
                for _ in range(requests - whole):
                    self.server.answers += 1
                    self.request.sendall(self.server.answer)
                whole = requests
        except OSError:
            return


@pytest.fixture
def server():
    with Recorder() as running:
        yield running


@pytest.fixture
def client_of():
    """Makes a client of a proxy."""
    with contextlib.ExitStack() as ending:
        yield lambda wire: ending.enter_context(Client(wire))


class Client:
    """A connection that tells what came, and how it ended."""

    def __init__(self, wire):
        self.socket = socket.create_connection(wire.server_address, timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, request=HEAD + BODY):
        self.socket.sendall(request)

    def until(self, size):
        came = b""
        while len(came) < size and (piece := self.socket.recv(size - len(came))):
            came += piece
        return came

    def ending(self):
        """All that comes, and ``"FIN"`` or ``"RST"``."""
        came = b""
        try:
            while piece := self.socket.recv(1 << 16):
                came += piece
        except ConnectionResetError:
            return came, "RST"
        return came, "FIN"


def wired(server, fault, **options):
    return FaultyWire(server.url, WireFault.parse(fault), **options)


def settled(server, condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, server.came
        time.sleep(0.005)


def test_without_a_fault_every_byte_goes_on_and_the_connection_is_kept(server, client_of):
    with FaultyWire(server.url) as wire:
        client = client_of(wire)
        for _ in range(3):
            client.ask()
            assert client.until(len(WHOLE)) == WHOLE
        assert server.came == [HEAD + BODY] * 3
        assert [(one.operation, one.method, one.target, one.fault, one.status) for one in wire.passed] == [
            ("put", "PUT", "/bucket/key", "", 200)
        ] * 3


@pytest.mark.parametrize("ending", ["cut", "reset"])
@pytest.mark.parametrize(
    ("place", "up", "down"),
    [
        ("head", b"", b""),
        ("head+7", HEAD[:7], b""),
        ("head+9999", HEAD, b""),
        ("body", HEAD, b""),
        ("body+3", HEAD + BODY[:3], b""),
        ("body+9999", HEAD + BODY, b""),
        ("answer-head", HEAD + BODY, b""),
        ("answer-head+5", HEAD + BODY, WHOLE[:5]),
        ("answer-head+9999", HEAD + BODY, ANSWER_HEAD),
        ("answer-body", HEAD + BODY, ANSWER_HEAD),
        ("answer-body+4", HEAD + BODY, ANSWER_HEAD + b"abcd"),
        ("answer-body+9999", HEAD + BODY, WHOLE),
    ],
)
def test_cut_and_reset_end_both_connections_there(server, client_of, ending, place, up, down):
    with wired(server, f"{ending}:{place}") as wire:
        client = client_of(wire)
        client.ask()
        came, how = client.ending()
        assert how == {"cut": "FIN", "reset": "RST"}[ending]
        assert came == down or (ending == "reset" and down.startswith(came))  # RST may overtake what was sent
        if ending == "reset" and up != HEAD + BODY:
            assert up.startswith(b"".join(server.came))
        else:
            settled(server, lambda: b"".join(server.came) == up)
        assert wire.passed[0].fault == f"{ending}:{place}"


@pytest.mark.parametrize(
    ("fault", "up", "down"),
    [
        ("flip:body+2", HEAD + b"0133456789", WHOLE),
        ("flip:body+99", HEAD + b"0123456788", WHOLE),
        ("flip:answer-body", HEAD + BODY, ANSWER_HEAD + b"`bcdefghijkl"),
        ("flip:answer-body+99", HEAD + BODY, ANSWER_HEAD + b"abcdefghijkm"),
    ],
)
def test_flip_changes_one_bit(server, client_of, fault, up, down):
    with wired(server, fault) as wire:
        client = client_of(wire)
        client.ask()
        settled(server, lambda: b"".join(server.came) == up)
        if up == HEAD + BODY:
            assert client.until(len(WHOLE)) == down
        assert wire.passed[0].fault == fault


def test_a_byte_that_is_not_there_is_not_flipped(server, client_of):
    server.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    with wired(server, "flip:answer-body") as wire:
        client = client_of(wire)
        client.ask()
        assert client.until(len(server.answer)) == server.answer
        assert wire.passed[0].fault == ""


@pytest.mark.parametrize("place", PLACES["delay"])
@pytest.mark.parametrize("kind", ["delay", "trickle"])
def test_delay_and_trickle_change_nothing(server, client_of, kind, place):
    with wired(server, f"{kind}:{place}+2,seconds=0.001") as wire:
        client = client_of(wire)
        client.ask()
        assert client.until(len(WHOLE)) == WHOLE
        assert server.came == [HEAD + BODY]
        assert wire.passed[0].fault


@pytest.mark.parametrize(
    ("place", "up", "down"),
    [("body+3", HEAD + BODY[:3], b""), ("answer-head", HEAD + BODY, b""), ("answer-body+4", HEAD + BODY, WHOLE[:-8])],
)
def test_a_stall_lasts_until_its_seconds_are_over_or_the_proxy_stops(server, client_of, place, up, down):
    with wired(server, f"stall:{place}") as wire:
        client = client_of(wire)
        client.ask()
        assert client.until(len(down)) == down
        settled(server, lambda: b"".join(server.came) == up)
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(60)
        wire.stop()
        assert client.ending()[0] == b""
    with wired(server, f"stall:{place},seconds=0.01") as wire:
        client = client_of(wire)
        client.ask()
        assert client.ending()[1] == "RST"


def test_who_stalls_does_not_read(server, client_of):
    request = HEAD.replace(b" 10\r", b" 99999999\r")
    with wired(server, "stall:body") as wire:
        client = client_of(wire)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.ask(request + bytes(99999999))
        settled(server, lambda: b"".join(server.came) == request)


@pytest.mark.parametrize("place", ["head", "answer-head"])
@pytest.mark.parametrize("status", [503, 429, 408, 200])
def test_the_proxy_answers_itself_before_or_after_the_server_acted(server, client_of, status, place):
    with wired(server, f"answer:{place},status={status},said=html,retry_after=7") as wire:
        client = client_of(wire)
        client.ask()
        page = b"<html><body>It works!</body></html>"
        came = b""
        while not came.endswith(page):
            came += client.until(1)
        assert re.match(rb"HTTP/1.1 %d \w" % status, came)
        assert b"\r\nRetry-After: 7\r\n" in came
        assert server.answers == (place == "answer-head")
        assert (wire.passed[0].status, bool(wire.passed[0].fault)) == (status, True)
        client.ask()
        assert client.until(len(WHOLE)) == WHOLE


def test_an_answer_is_made_shorter_and_says_so(server, client_of):
    with wired(server, "shorten:answer-body+5") as wire:
        client = client_of(wire)
        client.ask()
        shorter = ANSWER_HEAD.replace(b" 12\r", b" 5\r") + b"abcde"
        assert client.until(len(shorter)) == shorter
        client.ask()
        assert client.until(len(WHOLE)) == WHOLE


def test_a_chunked_answer_is_made_shorter_in_its_content(server, client_of):
    server.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n"
    with wired(server, "shorten:answer-body+4,times=2") as wire:
        client = client_of(wire)
        client.ask()
        shorter = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
        assert client.until(len(shorter)) == shorter
        server.answer = WHOLE.replace(b" 12\r", b" 4\r")[:-8]
        client.ask()
        assert client.until(len(server.answer)) == server.answer
        assert [bool(one.fault) for one in wire.passed] == [True, False]


def test_a_request_is_replayed_and_answered_once(server, client_of):
    with wired(server, "replay:answer-head") as wire:
        client = client_of(wire)
        client.ask()
        assert client.until(len(WHOLE)) == WHOLE
        assert server.came == [HEAD + BODY] * 2
        client.ask()
        assert client.until(len(WHOLE)) == WHOLE
        assert len(server.came) == 3


@pytest.mark.parametrize(
    ("which", "hit"),
    [
        ("nth=2", [False, True, False, False]),
        ("nth=2,times=2", [False, True, True, False]),
        ("nth=3,times=0", [False, False, True, True]),
        ("on=put", [True, False, False, False]),
        ("on=PUT,nth=4", [False, False, False, True]),
        ("on=get,times=0", [False] * 4),
    ],
)
def test_the_requests_that_it_happens_to(server, client_of, which, hit):
    with wired(server, f"delay:head,{which}") as wire:
        client = client_of(wire)
        for _ in hit:
            client.ask()
            client.until(len(WHOLE))
        assert [bool(one.fault) for one in wire.passed] == hit


def test_events_are_done_by_others_and_must_be_given(server, client_of):
    done = threading.Event()
    with wired(server, "pause:answer-head,seconds=0.5", events={"pause": lambda fault: done.set()}) as wire:
        client = client_of(wire)
        client.ask()
        assert client.until(len(WHOLE)) == WHOLE
        assert done.is_set()
    for kind in EVENTS:
        with pytest.raises(ValueError, match=kind):
            wired(server, f"{kind}:head")


def test_a_client_that_waits_for_leave_to_send_gets_it(server, client_of):
    with FaultyWire(server.url) as wire:
        client = client_of(wire)
        client.ask(HEAD[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert client.until(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.ask(BODY)
        assert client.until(len(WHOLE)) == WHOLE


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n1;x=y\r\nf\r\n0\r\nTrailer: t\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_answers_of_every_framing_are_passed_on(server, client_of, answer):
    server.answer = answer
    with FaultyWire(server.url) as wire:
        client = client_of(wire)
        for _ in range(2):
            client.ask()
            assert client.until(len(answer)) == answer


def test_nothing_is_under_way_once_it_has_stopped(server, client_of):
    with wired(server, "stall:answer-body") as wire:
        client_of(wire).ask()
        settled(server, lambda: server.answers)
    assert not wire._open


@given(st.integers(0, 10_000))
def test_a_fault_is_printed_and_parsed_and_drawn_from_its_seed(seed):
    fault = drawn(random.Random(seed), OPERATIONS, list(PLACES))
    assert WireFault.parse(str(fault)) == fault
    assert " " not in str(fault)
    assert drawn(random.Random(seed), OPERATIONS, list(PLACES)) == fault


@pytest.mark.parametrize(
    "text",
    [
        "", "cut", "cut:", "nothing:head", "flip:head", "cut:head,nth=0", "cut:head+-1", "cut:head,what=1",
        "cut:head,nth=x", "answer:head", "cut:head,status=503", "answer:head,status=503,said=what",
        "stall:head,seconds=-1",
    ],
)  # fmt: skip
def test_what_is_no_fault_is_refused(text):
    with pytest.raises(ValueError, match=r"fault|literal"):
        WireFault.parse(text)
