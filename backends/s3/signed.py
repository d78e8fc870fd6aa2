"""The carrier of signed requests: ``http.client``, on kept connections that another thread may cut.

Strategy: each request goes out once, to nobody else and through no proxy. A body goes in blocks, so that a server that
stops taking it is noticed, and the head of a request goes with the first of them: one packet for a small object.

It is not urllib3, as that costs 11 % of publishing 2,000 files of 10 kB under a prefix: for each, it takes 0.28 ms of
processor time, of 0.9 ms with the server's, and ``http.client`` takes 0.19 (SeaweedFS, 2 cores); and 30 ms to load.
"""

import functools
import hashlib
import http.client
import io
import itertools
import logging
import os
import re
import socket
import ssl
import time
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from keystow.backends.answers import MOST
from keystow.backends.errors import CredentialsError, StoreUnavailableError, raise_alone
from keystow.backends.sending.continuing import begun
from keystow.backends.sending.forks import Alive, tell_in_children
from keystow.backends.sending.heads import WholeLines, check_lengths, is_interim
from keystow.backends.sending.in_flight import in_thread
from keystow.backends.sending.limits import CONNECT
from keystow.backends.sending.lines import LEAST, Line
from keystow.backends.sending.parts import roomy

from .answers import strange
from .failures import unanswered
from .place import Place
from .requests import Answer, Form, Request, form
from .signature import signed

_log = logging.getLogger("keystow")
_PIECE = 1 << 20
_ROOM = 1 << 14
"""What is read at once if it is there: a small object along with its head."""
_LONGEST_LINE = 1 << 16
_MOST_HEADERS = 100
"""Both as ``http.client`` has them."""
_STATUS = re.compile(r"HTTP/1\.([0-9]) +([1-9][0-9]{2})(?:\s|$)")


class _Source(io.RawIOBase):
    """What a connection brings, until it ``is_over``: from then on, there is nothing yet."""

    is_over = False

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, room: Any) -> int | None:
        """The bytes that were put into ``room``, 0 at the end."""
        return None if self.is_over else self._connection.recv_into(room)


class _Stream(WholeLines):
    """One answer; ``has_more`` says, once it is closed, that something came behind it."""

    has_more = False

    def __init__(self, connection: socket.socket) -> None:
        self._source = _Source(connection)
        super().__init__(self._source, _ROOM)

    def close(self) -> None:
        """Reads no more."""
        if not self.closed:
            self._source.is_over = True
            self.has_more = bool(self.peek())
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer whose head ``email`` does not read, which would take a quarter of a small request's processor time."""

    said: dict[str, str]
    """The headers, with names in lower case."""

    def __init__(self, connection: socket.socket, method: str) -> None:
        self.stream = _Stream(connection)
        made = SimpleNamespace(makefile=lambda _: self.stream)
        super().__init__(made, method=method)  # type: ignore[arg-type]  # it asks no more

    def begin(self) -> None:
        """Reads the head (RFC 9112, sections 4 and 6). Raises ``HTTPException`` for what is none."""
        for before in itertools.count():
            first, *lines = _head(self.fp)
            version, status = _status(first)
            if not is_interim(status, before):
                break
        self.said = _headers(lines)
        self.code = self.status = status
        self.version = version
        self.headers = self.msg = self.said  # type: ignore[assignment]  # of which it only asks for names in lower case
        self.chunked = self.said.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        length = self.said.get("content-length", "")
        self.length = int(length) if length.isascii() and length.isdecimal() and not self.chunked else None
        if status in {204, 304} or self._method == "HEAD":  # type: ignore[attr-defined]
            self.length = 0
        self.will_close = self._check_close() or (self.length is None and not self.chunked)  # type: ignore[attr-defined]


def _head(stream: io.BufferedReader) -> list[str]:
    """The lines of a head, at once if it has all come, without the blank one that ends it; there is one at least."""
    came = stream.peek()
    end = came.find(b"\n\r\n") + 1
    is_there = end and b"\n\n" not in came[:end]
    head = stream.read(end + 2)[:end] if is_there else b"".join(_one_by_one(stream))
    return head.decode("latin-1").removesuffix("\n").split("\n")


def _one_by_one(stream: io.BufferedReader) -> Iterator[bytes]:
    for _ in range(_MOST_HEADERS + 2):
        line = stream.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise http.client.LineTooLong("header line")
        if line in {b"\r\n", b"\n"}:
            return
        yield line


@functools.lru_cache
def _status(line: str) -> tuple[int, int]:
    """The version, as ``http.client`` has it, and the status."""
    found = _STATUS.match(line)
    if found is None:
        raise http.client.BadStatusLine(line)
    return 10 if found[1] == "0" else 11, int(found[2])


def _headers(lines: Sequence[str]) -> dict[str, str]:
    if len(lines) > _MOST_HEADERS:
        raise http.client.HTTPException(f"more than {_MOST_HEADERS} headers")
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise http.client.HTTPException("a header line that is none")
        name, value = _name(name), value.strip()
        if name == "content-length":
            check_lengths((value, found.get(name, value)))
        found[name] = value
    return found


@functools.lru_cache
def _name(written: str) -> str:
    if not written.isprintable() or written != written.strip():
        raise http.client.HTTPException("a header line that is none")
    return written.lower()


class _Exchange:
    """One request on one connection, and its answer."""

    def __init__(self, connection: socket.socket, asked: Form, line: Line) -> None:
        self.connection = connection
        self._line = line
        self._broken: OSError | None = None
        self.response = _Response(connection, asked.method)
        try:
            line.ends(partial(_shut, connection))
            self._took_all = self._sent(asked)
            self.response.begin()
        except BaseException:
            self.response.close()
            connection.close()
            raise

    def _sent(self, asked: Form) -> bool:
        """Whether the server took all of the request; if not, it may have said why."""
        target = f"{asked.path}?{asked.query}" if asked.query else asked.path
        lines = [f"{asked.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.headers.items())]
        if not "".join(lines).isprintable():
            raise ValueError("a line break in a header")
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        try:
            body = memoryview(asked.body)
            self.connection.sendall(head + body[:LEAST])
            for start in range(LEAST, len(body), LEAST):
                self._line.moved()
                self.connection.sendall(body[start : start + LEAST])
        except (BrokenPipeError, ConnectionResetError):
            return False
        self._line.moved()
        return True

    def whole(self, most: int) -> bytes:
        """The body; of one that is longer, ``most`` bytes. Raises ``IncompleteRead`` if it ends too early."""
        body = self.response.read(most)
        if len(body) < most:
            self._check_end()
        return body

    def piece(self) -> bytes:
        """The next of the body, up to ``_PIECE`` bytes; nothing at its end. Raises as ``whole`` does.

        What came before it broke off is given first, and then nothing more is read.
        """
        if self._broken is not None:
            raise self._broken
        length = self.response.length
        size = _PIECE if length is None else min(_PIECE, length)
        room = roomy(size)
        filled = 0
        with room.getbuffer() as view:
            try:
                while came := self.response.readinto(view[filled : filled + LEAST]):
                    self._line.moved()
                    filled += came
                    if filled == size:
                        break
            except OSError as error:
                if not filled:
                    raise
                self._broken = error.with_traceback(None)  # it would hold the room
        if not filled:
            self._check_end()
        room.truncate(filled)
        return room.getvalue()

    def _check_end(self) -> None:
        self._line.check()
        if self.response.length:
            raise http.client.IncompleteRead(b"", self.response.length)

    def end(self) -> bool:
        """Whether the connection may be used again."""
        self._line.rests()
        is_over = self.response.isclosed()
        self.response.close()
        if is_over and self._took_all and not self.response.will_close and not self.response.stream.has_more:
            return True
        self.connection.close()
        return False


class _Session(NamedTuple):
    """What shortens another handshake with the same server, ``until`` the certificate that it has shown ends."""

    session: ssl.SSLSession
    until: float


class Signed:
    """The way to the bucket at ``url``.

    Trusted are the certificates of the place's ``ca_file``; without it, those that fsspec's client trusts, and the
    system's.
    """

    def __init__(self, bucket: str, url: str, where: Place) -> None:
        parts = urlsplit(url)
        usual = {"http": 80, "https": 443}[parts.scheme]
        self._server = (parts.hostname or "").encode("ascii")  # text would be taken for IDNA, which takes long to load
        self._port = parts.port or usual
        self._host = parts.netloc.lower().removesuffix(f":{usual}")
        self._path = parts.path.rstrip("/")
        self._bucket, self._endpoint, self._region = bucket, where.endpoint, where.region
        self._credentials = where.credentials
        self._sound: Mapping[str, object] = {}
        self._tls = trusting(where.ca_file) if parts.scheme == "https" else None
        self._session: _Session | None = None
        self._idle: list[socket.socket] = []
        self._connections: Alive[socket.socket] = Alive()
        _dead()
        tell_in_children(self)
        self._finished = weakref.finalize(self, _close, self._idle)

    def forked(self) -> None:
        """This process was forked: it sends and reads nothing more on what it has in common with the other one."""
        for connection in self._connections:
            if connection.fileno() >= 0:
                os.dup2(_dead(), connection.fileno(), inheritable=False)
        self._connections = Alive()
        self._session = None

    def send(self, request: Request, line: Line) -> Answer:
        """The answer to one try. Raises ``StoreUnavailableError`` if there is none."""
        asked = self._signed(request)
        arrived = False
        try:
            connection = self._kept() or self._connected(min(CONNECT, line.seconds))
            arrived = True
            exchange = _Exchange(connection, asked, line)
            self._learn(connection)
            status, headers = exchange.response.status, exchange.response.said
            if request.operation == "get_object" and status < 300:
                return Answer(status, headers, content=begun(self._content(exchange, request, line)))
            body = self._whole(exchange)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise_alone(self._failed(error, request, line, arrived=arrived))
        if len(body) > MOST:
            raise strange(f"s3://{self._bucket}/{request.key}", self._endpoint)
        return Answer(status, headers, body)

    def ready(self, count: int) -> None:
        """Opens connections for ``count`` requests that come soon: within a round trip they are open.

        Nobody waits for them. Where one cannot be opened, the request that needs it will tell why.
        """
        try:
            for _ in range(count - len(self._idle)):
                in_thread(self._opened_ahead, bool)
        except RuntimeError as error:  # there is no room for another thread
            self._log_ahead(error)

    def _opened_ahead(self) -> None:
        try:
            self._rest(self._connected(CONNECT))
        except (OSError, ValueError) as error:
            self._log_ahead(error)

    def _log_ahead(self, error: Exception) -> None:
        _log.debug("s3://%s: no connection was opened ahead: %s", self._bucket, error)

    def close(self) -> None:
        """Closes the connections that are kept; if this is forgotten, it is done when nobody can use them any more."""
        self._finished()

    def _signed(self, request: Request) -> Form:
        plain = form(request)
        keys = self._credentials()
        if keys != self._sound:
            if not all(key.isascii() and key.isprintable() for key in keys.values() if isinstance(key, str)):
                hint = "correct the keys and the session token"
                raise CredentialsError("the AWS credentials hold characters that no request can", hint=hint)
            self._sound = keys
        asked = Form(plain.method, self._path + plain.path, plain.query, plain.headers, plain.body)
        sha256 = request.sha256 or hashlib.sha256(asked.body).hexdigest()
        headers = signed(asked, self._host, sha256, keys, self._region)
        if asked.body or asked.method in {"PUT", "POST"}:
            headers["Content-Length"] = str(len(asked.body))
        headers |= {"User-Agent": "keystow", "Accept-Encoding": "identity"}
        return Form(asked.method, asked.path, asked.query, headers, asked.body)

    def _kept(self) -> socket.socket | None:
        """A connection that the server has not closed since it was used, or opened."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if _is_silent(connection):
                    return connection
                connection.close()
        return None

    def _connected(self, seconds: float) -> socket.socket:
        connection = socket.create_connection((self._server, self._port), seconds)  # type: ignore[arg-type]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            connection = self._secured(self._tls, connection)
        connection.settimeout(None)  # from here on, the line is what ends a wait
        self._connections.add(connection)
        return connection

    def _secured(self, tls: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
        """``connection`` with TLS on it. Raises ``SSLError`` for a certificate that is not trusted, or another host's.

        With the session of an earlier one, its certificate counts, which was checked for the same host.
        """
        known = self._session
        session = known.session if known is not None and time.time() < known.until else None
        secured = tls.wrap_socket(connection, server_hostname=self._server, session=session)
        if not secured.session_reused and self._session is known:
            self._session = None  # it is over, or refused, and the next answer brings another
        return secured

    def _learn(self, connection: socket.socket) -> None:
        """Takes the session of a connection that has answered: its ticket came first (RFC 8446, section 4.6.1)."""
        if self._session is None and isinstance(connection, ssl.SSLSocket):
            session, certificate = connection.session, connection.getpeercert()
            if session is not None and certificate:
                self._session = _Session(session, ssl.cert_time_to_seconds(str(certificate["notAfter"])))

    def _whole(self, exchange: _Exchange) -> bytes:
        """The body of an answer; of one that is longer than S3's are, no more than is needed to tell."""
        try:
            return exchange.whole(MOST + 1)
        finally:
            self._keep(exchange)

    def _content(self, exchange: _Exchange, request: Request, line: Line) -> Generator[bytes, None, None]:
        try:
            yield b""
            while piece := exchange.piece():
                yield piece
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise_alone(self._failed(error, request, line, arrived=True))
        finally:
            self._keep(exchange)

    def _keep(self, exchange: _Exchange) -> None:
        if exchange.end():
            self._rest(exchange.connection)

    def _rest(self, connection: socket.socket) -> None:
        self._idle.append(connection)
        if not self._finished.alive:
            _close(self._idle)

    def _failed(self, error: Exception, request: Request, line: Line, *, arrived: bool) -> StoreUnavailableError:
        """What became of a try that ended so. Raises ``CancelledError`` if the line is cut."""
        line.rests()
        _close(self._idle)  # which may be as dead as this one was
        self._session = None
        said = str(error) if isinstance(error, OSError) else f"BadStatusLine: {type(error).__name__}: {error}"
        told = getattr(error, "strerror", None) or str(error) or type(error).__name__
        try:
            line.check()
        except TimeoutError as late:
            said = told = str(late)
        return unanswered(f"s3://{self._bucket}/{request.key}", self._endpoint, said, told, arrived=arrived)


def _close(connections: list[socket.socket]) -> None:
    with suppress(IndexError):
        while True:
            connections.pop().close()


def _is_silent(connection: socket.socket) -> bool:
    """Whether the other side has sent and closed nothing since it was read; what TLS says of itself is nothing."""
    try:
        if not isinstance(connection, ssl.SSLSocket):
            connection.recv(1, socket.MSG_DONTWAIT)  # one call in place of three, each of which lets others go ahead
            return False
        connection.settimeout(0)
        connection.recv(1)
    except BlockingIOError:
        return True
    except ssl.SSLWantReadError:
        connection.settimeout(None)
        return True
    except OSError:
        return False
    return False


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        # The method of a TLS socket would take TLS off it, and the rest would be sent in the open.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


@functools.cache
def _dead() -> int:
    """The descriptor of a connection that is over: at a fork there may be none left to make one."""
    dead, other = socket.socketpair()
    other.close()
    return dead.detach()


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """What trusts the certificates in ``ca_file``, or else those that fsspec's client trusts, and the system's."""
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is None:
        context.load_verify_locations(_usual_ca_file())
    return context


def _usual_ca_file() -> str:
    """The file that ``botocore.httpsession`` trusts, of which it takes long to ask that itself."""
    try:
        from certifi import where
    except ImportError:
        import botocore

        return os.path.join(os.path.dirname(botocore.__file__), "cacert.pem")
    return where()
