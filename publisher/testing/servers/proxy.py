"""An HTTP proxy on loopback that passes everything on, and fails on order."""

import contextlib
import http.client
import socketserver
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase

from .process import LOOPBACK

PIECE = 1 << 16
"""How much of a body is held in memory while it is passed on."""

Predicate = Callable[[str, str], bool]
"""Says of a request's method, and its path with the query, whether it is meant."""


class Loopback(socketserver.ThreadingTCPServer):
    """A threaded server on a free loopback port, serving from the moment it is made."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__((LOOPBACK, 0), handler)
        self.url = f"http://{LOOPBACK}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()

    def __exit__(self, *_: object) -> None:
        self.stop()


class QuietHandler(BaseHTTPRequestHandler):
    """HTTP/1.1 with one request per connection, and nothing printed."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer, and close the connection after it."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Framed:
    """One HTTP message that is being read: its ``headers`` are known, its body comes from ``rfile``."""

    rfile: BufferedIOBase
    headers: Message

    def _body(self) -> Iterator[bytes]:
        """The body's bytes as they are on the wire, chunk sizes and trailers included."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunked_body()
        return self._exactly(int(self.headers.get("Content-Length", 0)))

    def _chunked_body(self) -> Iterator[bytes]:
        while size := int((line := self._line()).split(b";")[0], 16):
            yield line
            yield from self._exactly(size)
            yield self._line()
        yield line
        while (line := self._line()).strip():
            yield line
        yield line

    def _line(self) -> bytes:
        if not (line := self.rfile.readline(PIECE)):
            raise ConnectionResetError("the other side hung up in the middle of a message")
        return line

    def _exactly(self, size: int) -> Iterator[bytes]:
        while size:
            if not (piece := self.rfile.read1(min(size, PIECE))):
                raise ConnectionResetError("the other side hung up in the middle of a message")
            size -= len(piece)
            yield piece


@dataclass(frozen=True)
class Exchange:
    """One request that came to the proxy, and what became of it."""

    method: str
    path: str
    status: int | None
    """What was answered: by the server, even where the answer was then lost, or in its place."""
    fault: str | None
    headers: Mapping[str, str] = field(repr=False)
    """The request's headers, by lower-case name."""


@dataclass
class _Fault:
    """What is to be done to the n-th request that matches, or to each when ``nth`` is None."""

    name: str
    matches: Predicate
    nth: int | None
    answer: tuple[int, bytes, Mapping[str, str]] = (500, b"", {})
    seen: int = 0

    def claims(self, method: str, path: str) -> bool:
        if not self.matches(method, path):
            return False
        self.seen += 1
        return self.nth is None or self.seen == self.nth


class FaultProxy(Loopback):
    """An HTTP proxy in front of one endpoint, that passes everything on and fails as it is told to.

    The Host header goes through as the client sent it, because the client signed it. A client's
    endpoint is ``url``. Each connection carries one request.
    """

    def __init__(self, upstream: str) -> None:
        target = urllib.parse.urlsplit(upstream)
        self.upstream = (target.hostname or LOOPBACK, target.port or 80)
        self.requests: list[Exchange] = []
        self._faults: list[_Fault] = []
        self._queues: list[tuple[Predicate, threading.Lock]] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        super().__init__(ProxyHandler)

    def lose_answer(self, matches: Predicate, nth: int | None = 1) -> None:
        """Have the server do what is asked, then close the connection without telling the client."""
        self._add(_Fault("lose answer", matches, nth))

    def drop(self, matches: Predicate, nth: int | None = 1) -> None:
        """Close the connection when the request's headers are read; the server hears nothing."""
        self._add(_Fault("drop", matches, nth))

    def hang(self, matches: Predicate, nth: int | None = 1) -> None:
        """Take in the whole request and never answer, until ``stop``; the server hears nothing."""
        self._add(_Fault("hang", matches, nth))

    def answer(
        self,
        matches: Predicate,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        nth: int | None = 1,
    ) -> None:
        """Give this answer in place of the server's; the server hears nothing."""
        self._add(_Fault("answer", matches, nth, (status, body, headers or {})))

    def one_at_a_time(self, matches: Predicate) -> None:
        """Let the server have the next of these requests only when it has answered the one before."""
        self._queues.append((matches, threading.Lock()))

    def clear(self) -> None:
        """Forget the requests seen and the faults asked for."""
        with self._lock:
            self.requests.clear()
            self._faults.clear()

    def stop(self) -> None:
        """Stop listening, and let go of hanging requests."""
        self._released.set()
        super().stop()

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def fault_for(self, method: str, path: str) -> _Fault | None:
        """The first fault that claims this request; every fault counts it."""
        with self._lock:
            claims = [fault for fault in self._faults if fault.claims(method, path)]
        return claims[0] if claims else None

    @contextlib.contextmanager
    def turn(self, method: str, path: str) -> Iterator[None]:
        """The time during which the server may have this request."""
        with contextlib.ExitStack() as turns:
            for matches, lock in self._queues:
                if matches(method, path):
                    turns.enter_context(lock)
            yield

    def wait_for_release(self) -> None:
        """Wait until the proxy stops."""
        self._released.wait()


class ProxyHandler(Framed, QuietHandler):
    """One connection of a client's: one request, passed on or failed."""

    server: FaultProxy

    def handle_one_request(self) -> None:
        """Serve one request of any method; a side that hangs up ends it."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.raw_requestline = self.rfile.readline(PIECE + 1)
            if self.raw_requestline and self.parse_request():
                self._serve()
        self.close_connection = True

    def _serve(self) -> None:
        self.target = self.requestline.split()[1]  # self.path has its leading slashes merged
        fault = self.server.fault_for(self.command, self.target)
        match fault.name if fault else None:
            case "drop":
                self._record(None, fault)
            case "hang":
                self._record(None, fault)
                self._read_all()
                self.server.wait_for_release()
            case "answer":
                assert fault is not None
                self._read_all()
                self._record(fault.answer[0], fault)
                self.reply(*fault.answer)
            case _:
                self._forward(fault)

    def _record(self, status: int | None, fault: _Fault | None) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        name = fault.name if fault else None
        self.server.requests.append(Exchange(self.command, self.target, status, name, headers))

    def _forward(self, fault: _Fault | None) -> None:
        """Pass the request on, and the answer back unless the fault is to lose it."""
        upstream = http.client.HTTPConnection(*self.server.upstream)
        with contextlib.closing(upstream), self.server.turn(self.command, self.target):
            try:
                response = self._ask(upstream)
                if fault:
                    response.read()
            except (OSError, http.client.HTTPException):
                self._record(None, fault)
                raise
            self._record(response.status, fault)
            if fault is None:
                self._relay(response)

    def _ask(self, upstream: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """Send the request; a server may answer, and hang up, before it has read all of it."""
        upstream.putrequest(self.command, self.target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("connection", "expect"):
                upstream.putheader(name, value)
        upstream.putheader("Connection", "close")
        upstream.endheaders()
        listening = True
        for piece in self._body():
            if listening:
                try:
                    upstream.send(piece)
                except (BrokenPipeError, ConnectionResetError):
                    listening = False
        return upstream.getresponse()

    def _relay(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := response.read(PIECE):
            self.wfile.write(piece)

    def _read_all(self) -> None:
        for _ in self._body():
            pass
