"""The carrier of signed requests: urllib3, on connections that another thread may cut.

Strategy: each request goes out once, to nobody else and through no proxy. A body goes in blocks, so that a server that
stops taking it is noticed; urllib3 keeps the connections.
"""

import hashlib
import socket
import ssl
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from keystow.backends.answers import MOST
from keystow.backends.errors import CredentialsError, StoreUnavailableError, raise_alone
from keystow.backends.sending.lines import LEAST, Line

from .answers import strange
from .failures import unanswered
from .place import Place
from .requests import Answer, Form, Request, form
from .signature import signed

_CONNECT_SECONDS = 10
_SECONDS = 60
"""How long nothing may come, or be taken; whatever else it is that a line waits for."""
_PIECE = 1 << 20
_KEPT = 64
_under_way = threading.local()
"""The ``line`` of the request that this thread makes, and whether it ``began``: before, it came to nobody."""


class _Cut:
    """What a connection has to do for its line; urllib3 chooses the connection."""

    sock: Any
    timeout: Any

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        _under_way.line.ends(partial(_shut, self.sock))
        self.timeout = _SECONDS  # to send in, too: urllib3 has that for connecting until here
        _under_way.began = True
        super().request(*args, **options)  # type: ignore[misc]


class _Connection(_Cut, HTTPConnection):
    pass


class _SecureConnection(_Cut, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class Signed:
    """The way to the bucket at ``url``.

    Trusted are the certificates of the place's ``ca_file``; without it, those that fsspec's client trusts, and the
    system's.
    """

    def __init__(self, bucket: str, url: str, where: Place) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port)
        usual = {"http": 80, "https": 443}[parts.scheme]
        name = parts.netloc.rpartition("@")[2].lower()
        self._host = name.removesuffix(f":{usual}")
        self._path = parts.path.rstrip("/")
        self._bucket, self._endpoint, self._region = bucket, where.endpoint, where.region
        self._credentials = where.credentials
        self._tls = _trusting(where.ca_file) if parts.scheme == "https" else None
        self._pool = self._connected()

    def send(self, request: Request, line: Line) -> Answer:
        """The answer to one try. Raises ``StoreUnavailableError`` if there is none."""
        plain = form(request)
        asked = plain._replace(path=self._path + plain.path)
        keys = self._credentials()
        if not all(key.isascii() and key.isprintable() for key in keys.values() if isinstance(key, str)):
            hint = "correct the keys and the session token"
            raise CredentialsError("the AWS credentials hold characters that no request can", hint=hint)
        sha256 = request.sha256 or hashlib.sha256(asked.body).hexdigest()
        asked = asked._replace(headers=signed(asked, self._host, sha256, keys, self._region))
        _under_way.line, _under_way.began = line, False
        try:
            line.check()
            answer = self._answer(self._exchanged(asked, line), request, line)
        except (OSError, HTTPError, ValueError) as error:
            raise_alone(self._failed(error, request, line, arrived=_under_way.began))
        if len(answer.body) > MOST:
            raise strange(f"s3://{self._bucket}/{request.key}", self._endpoint)
        return answer

    def close(self) -> None:
        """Closes the connections that are kept; urllib3 does, if this is forgotten."""
        self._pool.close()

    def _connected(self) -> HTTPConnectionPool:
        host, port = self._address
        if self._tls is None:
            return _Pool(host, port, maxsize=_KEPT)
        return _SecurePool(host, port, maxsize=_KEPT, ssl_context=self._tls)

    def _exchanged(self, asked: Form, line: Line) -> BaseHTTPResponse:
        body = asked.body
        length = {"Content-Length": str(len(body))} if body or asked.method in {"PUT", "POST"} else {}
        return self._pool.urlopen(
            asked.method,
            f"{asked.path}?{asked.query}" if asked.query else asked.path,
            body=_blocks(body, line) if body else None,
            headers={**asked.headers, **length, "User-Agent": "keystow"},
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=Timeout(connect=_CONNECT_SECONDS, read=_SECONDS),
            preload_content=False,
            decode_content=False,
        )

    def _answer(self, response: BaseHTTPResponse, request: Request, line: Line) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            line.check()  # a head that was cut short may look like a whole one
            if request.operation == "get_object" and response.status < 300:
                return Answer(response.status, headers, content=self._content(response, request, line))
            body = _small(response)
            line.check()
        except BaseException:
            response.close()
            raise
        line.rests()
        return Answer(response.status, headers, body)

    def _content(self, response: BaseHTTPResponse, request: Request, line: Line) -> Generator[bytes, None, None]:
        try:
            while piece := _read(response, line):
                yield piece
            line.check()
        except (OSError, HTTPError, ValueError) as error:
            raise_alone(self._failed(error, request, line, arrived=True))
        finally:
            line.rests()
            response.close()
            response.release_conn()

    def _failed(self, error: Exception, request: Request, line: Line, *, arrived: bool) -> StoreUnavailableError:
        """What became of a try that ended so. Raises ``CancelledError`` if the line is cut."""
        line.rests()
        said = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        told = _reason(error) or said
        try:
            line.check()
        except TimeoutError as late:
            said = told = str(late)
        stale, self._pool = self._pool, self._connected()
        stale.close()  # its connections may be as dead as this one was
        where = f"s3://{self._bucket}/{request.key}"
        return unanswered(where, self._endpoint, said, told, arrived=arrived)


def _blocks(body: bytes, line: Line) -> Iterator[bytes]:
    for start in range(0, len(body), LEAST):
        yield body[start : start + LEAST]
        line.moved()


def _small(response: BaseHTTPResponse) -> bytes:
    """The body of an answer; of one that is longer than S3's are, no more than is needed to tell."""
    body = response.read(MOST + 1)
    if len(body) > MOST:
        response.close()
    elif response.length_remaining:
        response.close()
        raise HTTPError("the answer broke off")
    response.release_conn()
    return body


def _read(response: BaseHTTPResponse, line: Line) -> bytes:
    """The next piece of an object."""
    pieces = []
    size = 0
    while size < _PIECE and (block := response.read(LEAST)):
        line.moved()
        pieces.append(block)
        size += len(block)
    return b"".join(pieces)


def _reason(error: BaseException) -> str:
    """What is fit to be told of urllib3's errors, which hold objects, one in another."""
    found: Any = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror and not isinstance(found, ssl.SSLError):
            return str(found.strerror)
        inner = [one for one in getattr(found, "args", ()) if isinstance(one, BaseException)]
        found = inner[-1] if inner else found.__cause__ or found.__context__
    return ""


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        # The method of a TLS socket would take TLS off it, and the rest would be sent in the open.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is None:
        from botocore.httpsession import get_cert_path

        context.load_verify_locations(get_cert_path(True))
    return context
