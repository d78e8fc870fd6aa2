"""A server that lies: it answers anything to anything, without end if it is told so, and counts what it got rid of."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from keystow.testing.servers.proxy import Loopback, QuietHandler

PIECE = bytes(1 << 16)
MOST = 64 << 20
"""Bytes after which an endless body ends all the same; what takes so many has taken them without bound."""


class Asked(NamedTuple):
    """One request; ``headers`` by lower-case name."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Lie(NamedTuple):
    """One answer. The length of a ``body`` of bytes is announced, unless the headers announce another.

    A body of pieces is sent as it is, and ends with the connection. If there are ``raw`` bytes, nothing else is sent.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes | Iterable[bytes] = b""
    raw: bytes | None = None


class Liar(Loopback):
    """Answers each request as ``answer`` says; ``asked`` are the requests, and ``sent`` the bytes of all bodies."""

    def __init__(self, answer: Callable[[Asked], Lie]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.sent = 0
        super().__init__(_Lying)


def endless(*beginning: bytes) -> Iterator[bytes]:
    """A body that begins so, and does not end."""
    yield from beginning
    yield from itertools.repeat(PIECE, MOST // len(PIECE))


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """``pieces`` in chunks (RFC 9112, section 7.1)."""
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


class _Lying(QuietHandler):
    server: Liar

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(1 << 16)
        self.close_connection = True
        if self.raw_requestline and self.parse_request():
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.asked.append(Asked(self.command, self.requestline.split()[1], headers, body))
            self._lie(self.server.answer(self.server.asked[-1]))

    def _lie(self, lie: Lie) -> None:
        if lie.raw is not None:
            self.wfile.write(lie.raw)
            return
        announced = {name.lower() for name in lie.headers}
        self.send_response_only(lie.status)
        for name, value in lie.headers.items():
            self.send_header(name, value)
        if isinstance(lie.body, bytes) and not announced & {"content-length", "transfer-encoding"}:
            self.send_header("Content-Length", str(len(lie.body)))
        self.send_header("Connection", "close")
        try:
            self.end_headers()
            if self.command != "HEAD":
                for piece in [lie.body] if isinstance(lie.body, bytes) else lie.body:
                    self.wfile.write(piece)
                    self.server.sent += len(piece)
        except OSError:  # who was lied to has hung up
            self.close_connection = True


def parted(asked: Asked, data: bytes, etag: str = '"1"', *, suffix: bool = True) -> Lie:
    """An honest server's answer, which may know no last bytes, as Azure's."""
    span = asked.headers.get("range", "").removeprefix("bytes=")
    if asked.headers.get("if-match", etag) != etag:
        return Lie(412)
    if not span or (span.startswith("-") and not suffix):
        return Lie(200, {"ETag": etag, "Content-Length": str(len(data))}, [data])
    first, _, last = span.partition("-")
    start = int(first) if first else max(0, len(data) - int(last))
    stop = min(len(data), int(last) + 1) if first and last else len(data)
    return Lie(206, {"ETag": etag, "Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}, data[start:stop])
