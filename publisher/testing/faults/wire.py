"""A proxy on loopback between a client and a real server, which passes every byte on, but for one fault.

Strategy: bytes, not messages. A head goes on as it came, a body in the pieces in which it came, connections are kept,
so that a client meets what a network does to it. Each of the four parts of an exchange is split where the fault is to
happen: what is before goes on, then the fault happens, then what is behind goes on as the fault leaves it.
"""

import contextlib
import http.client
import itertools
import os
import socket
import socketserver
import struct
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from keystow.testing.servers.process import LOOPBACK
from keystow.testing.servers.proxy import PIECE, Loopback

from .fault import EVENTS, SAID, WireFault
from .messages import HttpMessage, announcing, content_of, split, trickled
from .operations import operation

_BUFFER = 1 << 16
"""What the kernel takes of a request that nobody reads, in bytes, as far as it heeds that."""
_LINGER = 5.0
"""Seconds for which a connection that was cut still takes what the client is sending: else it would be reset."""

Event = Callable[[WireFault], object]


@dataclass
class Passed:
    """One request that came by, and what became of it: ``fault`` is the one that happened, as text, else empty.

    ``status`` is what the server answered, or the proxy in its place; ``None`` where there was no answer.
    """

    operation: str
    method: str
    target: str
    fault: str = ""
    status: int | None = None


class _EndedError(Exception):
    """The fault has ended both connections."""


class FaultyWire(Loopback):
    """In front of ``upstream``, a server's endpoint: a client's endpoint is ``url``. ``passed`` are the requests.

    Each of ``faults`` counts the requests that it is on; the first that is due happens. ``events`` does what the wire
    cannot: a fault of the kind ``"pause"`` calls ``events["pause"](fault)``, and the exchange goes on.

    >>> from keystow.testing.faults import FaultyWire, WireFault
    >>> with FaultyWire("http://127.0.0.1:8333", WireFault.parse("reset:body+1000,on=put")) as wire:
    ...     wire.url != wire.upstream
    True
    """

    def __init__(self, upstream: str, *faults: WireFault, events: Mapping[str, Event] | None = None) -> None:
        if missing := {fault.kind for fault in faults} & EVENTS - {*(events or {})}:
            raise ValueError(f"the wire cannot do {missing.pop()!r} itself: say in events what does it")
        target = urllib.parse.urlsplit(upstream)
        self.upstream = upstream
        self.address = (target.hostname or LOOPBACK, target.port or 80)
        self.events = dict(events or {})
        self.passed: list[Passed] = []
        self.released = threading.Event()
        self._faults = faults
        self._counts: Counter[WireFault] = Counter()
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(_Connection)

    def server_bind(self) -> None:
        """Binds, with a small buffer for each connection, so that one soon notices that nobody reads."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        super().server_bind()

    def stop(self) -> None:
        """Stop listening, end what is stalled, and wait until nothing is under way any more."""
        super().stop()
        self.released.set()
        with self._changed:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout=30)

    def enter(self, request: HttpMessage) -> tuple[Passed, WireFault | None]:
        """Counts a request, and gives the fault that is due."""
        method, target = request.words[:2]
        passed = Passed(operation(method, target), method, target)
        with self._changed:
            self.passed.append(passed)
            on = [fault for fault in self._faults if fault.on in {"", passed.operation, method}]
            self._counts.update(on)
            return passed, next((fault for fault in on if fault.happens(self._counts[fault])), None)

    @contextlib.contextmanager
    def watching(self, connection: socket.socket) -> Iterator[socket.socket]:
        """While a connection is in use: ``stop`` ends it."""
        with self._changed:
            self._open.add(connection)
        try:
            if self.released.is_set():
                raise _EndedError
            yield connection
        finally:
            with self._changed:
                self._open.discard(connection)
                self._changed.notify_all()


class _Connection(socketserver.StreamRequestHandler):
    """One connection of a client's, with one exchange after another."""

    server: FaultyWire
    disable_nagle_algorithm = True

    def handle(self) -> None:
        ended = contextlib.suppress(OSError, ValueError, http.client.HTTPException, _EndedError)
        with ended, self.server.watching(self.connection):
            while self._goes_on():
                pass

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def _goes_on(self) -> bool:
        """Passes one exchange on; says whether the client may send another request."""
        request = HttpMessage(self.rfile)
        exchange = _Exchange(self.server, self.connection, request)
        return exchange.carried_out() and not request.ends_connection


class _Exchange:
    """One request and its answer."""

    def __init__(self, server: FaultyWire, client: socket.socket, request: HttpMessage) -> None:
        self._server = server
        self._client = client
        self._request = request
        self._passed, self._fault = server.enter(request)
        self._upstream: socket.socket | None = None
        self._ending = contextlib.ExitStack()
        self._sent: list[bytes] = []

    def carried_out(self) -> bool:
        """Whether the connection can be used again."""
        if self._is_due("answer", "head"):
            self._expected()
            for _ in self._request.asked():
                pass
            return self._answer_itself()
        with self._ending:
            answer = self._ask()
            if self._is_due("answer", "answer-head"):
                for _ in answer.answered(self._passed.method):
                    pass
                return self._answer_itself()
            if self._is_due("replay", "answer-head"):
                self._passed.fault = str(self._fault)
                self._connect()
                self._send(b"".join(self._sent))
                answer = self._answer()
            return self._relay(answer)

    def _is_due(self, kind: str, place: str) -> bool:
        return self._fault is not None and (self._fault.kind, self._fault.place) == (kind, place)

    # -- up

    def _ask(self) -> HttpMessage:
        self._connect()
        self._through("head", [self._request.head], len(self._request.head), self._send)
        self._expected()
        self._through("body", self._request.asked(), self._request.length(), self._send)
        answer = self._answer()
        self._passed.status = int(answer.words[1])
        return answer

    def _connect(self) -> None:
        made = self._ending.enter_context(socket.create_connection(self._server.address))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._upstream = self._ending.enter_context(self._server.watching(made))
        self._source = self._ending.enter_context(made.makefile("rb"))
        self._listening = True

    def _send(self, piece: bytes) -> None:
        """A server may answer, and hang up, before it has read all of a request."""
        assert self._upstream is not None
        if self._fault is not None and self._fault.kind == "replay":
            self._sent.append(piece)
        if self._listening:
            try:
                self._upstream.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                self._listening = False

    def _expected(self) -> None:
        """RFC 9110, section 10.1.1: who asks first is told to go on; the server's own word for it is left out."""
        if self._request.headers.get("Expect", "").lower() == "100-continue":
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _answer(self) -> HttpMessage:
        while (answer := HttpMessage(self._source)).words[1].startswith("1"):
            pass
        return answer

    # -- down

    def _relay(self, answer: HttpMessage) -> bool:
        body, head, length = answer.answered(self._passed.method), answer.head, answer.length()
        if self._is_due("shorten", "answer-body") and self._fault is not None:
            came = b"".join(body)
            whole = came if length is not None else content_of(came)
            body = iter([came])
            if self._fault.byte < len(whole):
                body, head = iter([whole[: self._fault.byte]]), announcing(answer, self._fault.byte)
                self._passed.fault = str(self._fault)
        self._through("answer-head", [head], len(head), self._client.sendall)
        self._through("answer-body", body, length, self._client.sendall)
        return not answer.ends_connection

    def _answer_itself(self) -> bool:
        assert self._fault is not None
        self._passed.fault, self._passed.status = str(self._fault), self._fault.status
        content_type, said = SAID[self._fault.said]
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(len(said)),
            "Retry-After": self._fault.retry_after,
        }
        lines = [f"{name}: {value}\r\n" for name, value in headers.items() if value]
        phrase = http.client.responses[self._fault.status]
        body = "" if self._passed.method == "HEAD" else said
        self._client.sendall(f"HTTP/1.1 {self._fault.status} {phrase}\r\n{''.join(lines)}\r\n{body}".encode())
        return True

    # -- the fault

    def _through(
        self, place: str, pieces: Iterable[bytes], length: int | None, send: Callable[[bytes], object]
    ) -> None:
        """Sends ``pieces``, and lets the fault happen if it belongs to this place."""
        fault = self._fault
        if fault is None or fault.place != place or fault.kind in {"answer", "replay", "shorten"}:
            for piece in pieces:
                send(piece)
            return
        last = length if fault.kind != "flip" or not length else length - 1
        before, behind = split(pieces, fault.byte if last is None else min(fault.byte, last))
        for piece in before:
            send(piece)
        for piece in self._happen(fault, behind):
            send(piece)

    def _happen(self, fault: WireFault, behind: Iterator[bytes]) -> Iterator[bytes]:
        """Does what the fault is, and gives the bytes behind it as it leaves them."""
        if fault.kind == "flip" and not (first := next(behind, b"")):
            return iter(())
        self._passed.fault = str(fault)
        match fault.kind:
            case "flip":
                return itertools.chain([bytes([first[0] ^ 1]) + first[1:]], behind)
            case "trickle":
                return trickled(behind, fault.seconds)
            case "delay":
                self._server.released.wait(fault.seconds)
            case "stall":
                self._server.released.wait(fault.seconds or None)
                self._reset()
            case "reset":
                self._reset()
            case "cut":
                self._cut()
            case event:
                self._server.events[event](fault)
        return behind

    def _reset(self) -> None:
        for each in filter(None, (self._upstream, self._client)):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(each.detach())  # close() would wait for whoever reads from it as a file
        raise _EndedError

    def _cut(self) -> None:
        if self._upstream is not None:
            os.close(self._upstream.detach())
        self._client.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER
        self._client.settimeout(_LINGER)
        while time.monotonic() < deadline and self._client.recv(PIECE):
            pass
        raise _EndedError
