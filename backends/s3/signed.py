"""The carrier of signed requests, each on a connection that is kept, and that another thread may cut.

Strategy: each request goes out once, to nobody else and through no proxy. Connections are opened ahead where several
requests are to come, and none is used again of which it is not sure that nothing more comes.
"""

import functools
import hashlib
import http.client
import logging
import os
import socket
import ssl
import time
import weakref
from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from keystow.backends.answers import MOST
from keystow.backends.errors import CredentialsError, StoreUnavailableError, raise_alone
from keystow.backends.sending.continuing import begun
from keystow.backends.sending.forks import Alive, tell_in_children
from keystow.backends.sending.in_flight import in_thread
from keystow.backends.sending.limits import CONNECT
from keystow.backends.sending.lines import Line

from .answers import strange
from .exchange import Exchange
from .failures import unanswered
from .place import Place
from .requests import Answer, Form, Request, form
from .signature import signed

_log = logging.getLogger("keystow")


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
            exchange = Exchange(connection, asked, line)
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

    def _whole(self, exchange: Exchange) -> bytes:
        """The body of an answer; of one that is longer than S3's are, no more than is needed to tell."""
        try:
            return exchange.whole(MOST + 1)
        finally:
            self._keep(exchange)

    def _content(self, exchange: Exchange, request: Request, line: Line) -> Generator[bytes, None, None]:
        try:
            yield b""
            while piece := exchange.piece():
                yield piece
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise_alone(self._failed(error, request, line, arrived=True))
        finally:
            self._keep(exchange)

    def _keep(self, exchange: Exchange) -> None:
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
