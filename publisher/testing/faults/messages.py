"""HTTP messages as bytes: where a head ends, how far a body goes, and how either is cut in two or made shorter."""

import http.client
import io
import itertools
import time
from collections.abc import Iterable, Iterator

from keystow.testing.servers.proxy import PIECE, Framed

DROPS = 64
"""How many bytes of a trickle come one by one; the rest comes at once."""


class HttpMessage(Framed):
    """One message as it comes: its ``head`` in bytes, then its body in pieces."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self.rfile = source
        first = self._line()
        rest = b"".join(itertools.takewhile(lambda line: line != b"\r\n", iter(self._line, None))) + b"\r\n"
        self.head = first + rest
        self.words = first.decode("latin-1").split()
        self.headers = http.client.parse_headers(io.BytesIO(rest))
        self.ends_connection = "close" in self.headers.get("Connection", "").lower()

    def length(self) -> int | None:
        """The body's announced length in bytes, ``None`` where it is not announced."""
        announced = self.headers.get("Content-Length")
        return int(announced) if announced and "Transfer-Encoding" not in self.headers else None

    def asked(self) -> Iterator[bytes]:
        """The body of a request, as it is on the wire."""
        return self._body()

    def answered(self, method: str) -> Iterator[bytes]:
        """The body of an answer (RFC 9112, section 6.3), as it is on the wire."""
        if method == "HEAD" or self.words[1] in {"204", "304"}:
            return iter(())
        if "Transfer-Encoding" in self.headers or "Content-Length" in self.headers:
            return self._body()
        self.ends_connection = True
        return iter(lambda: self.rfile.read1(PIECE), b"")


def split(pieces: Iterable[bytes], byte: int) -> tuple[Iterator[bytes], Iterator[bytes]]:
    """The first ``byte`` bytes, and those behind them, which are to be read after them.

    >>> [b"".join(part) for part in split([b"ab", b"cd"], 3)]
    [b'abc', b'd']
    """
    source = iter(pieces)
    rest: list[bytes] = []

    def before() -> Iterator[bytes]:
        left = byte
        while left and (piece := next(source, b"")):
            rest.append(piece[left:])
            yield piece[:left]
            left -= len(piece[:left])

    def behind() -> Iterator[bytes]:
        yield from filter(None, rest)
        yield from source

    return before(), behind()


def trickled(pieces: Iterator[bytes], seconds: float) -> Iterator[bytes]:
    """The same bytes, the first ``DROPS`` of them one by one, ``seconds`` apart."""
    drops, rest = split(pieces, DROPS)
    for piece in drops:
        for drop in piece:
            time.sleep(seconds)
            yield bytes([drop])
    yield from rest


def content_of(chunked: bytes) -> bytes:
    """What is in a chunked body (RFC 9112, section 7.1)."""
    content = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        content, chunked = content + chunked[:length], chunked[length + 2 :]
    return content


def announcing(answer: HttpMessage, length: int) -> bytes:
    """The head of an answer whose body has this length."""
    first, *lines = answer.head.split(b"\r\n")[:-2]
    framing = (b"content-length:", b"transfer-encoding:")
    kept = [line for line in lines if not line.lower().startswith(framing)]
    return b"\r\n".join([first, *kept, b"Content-Length: %d" % length, b"", b""])
