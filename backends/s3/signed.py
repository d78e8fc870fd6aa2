"""Requests to S3 beside obstore: signed by botocore's signer, on connections that another thread may cut."""

import contextlib
import http.client
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from email.message import Message
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from keystow.backends.answers import MOST
from keystow.backends.errors import CredentialsError, StoreError, StoreUnavailableError, raise_alone
from keystow.backends.fast import Cloud, refusal
from keystow.backends.sending.repeating import retried

from .answers import is_error, parsed, strange

_CONNECT_SECONDS = 10
_SECONDS = 60
_BLOCK = 1 << 20

Result = TypeVar("Result")


class Line:
    """The connection of one request, which another thread may cut."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    @contextlib.contextmanager
    def over(self, connection: http.client.HTTPConnection) -> Iterator[None]:
        """Within this, ``connection`` is cut with the line. Raises ``CancelledError`` once it is."""
        with self._lock:
            self._socket = connection.sock
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._socket = None

    def check(self) -> None:
        """Raises ``CancelledError`` once the line is cut."""
        if self._is_cut:
            raise CancelledError

    def cut(self) -> None:
        """Ends the request, and all further tries."""
        with self._lock:
            self._is_cut = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # The method of a TLS socket would take TLS off it, and the rest would be sent in the open.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Request(NamedTuple):
    """What to ask; ``operation`` is its name in S3's API, as botocore writes it."""

    operation: str
    method: str
    key: str = ""
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(NamedTuple):
    """What was answered, with a status below 300; ``where`` is what was asked for."""

    where: str
    endpoint: str | None
    headers: Message
    content: bytes

    def xml(self, root: str) -> ET.Element:
        """The content. Raises ``StoreUnavailableError`` if it is something else than a ``root``, or not all there."""
        found = parsed(self.content, root)
        if found is None:
            raise self.not_understood()
        return found

    def not_understood(self) -> StoreUnavailableError:
        """The error for an answer that S3 would not give."""
        return strange(self.where, self.endpoint)


class Requests:
    """The way to the bucket of ``cloud`` at ``url``, for who ``credentials`` gives (as obstore wants them).

    Trusted are the certificates of ``ca_file``; without it, those that obstore and fsspec's client trust, which are the
    system's and botocore's. No proxy is used.
    """

    def __init__(
        self,
        url: str,
        region: str,
        ca_file: str | None,
        credentials: Callable[[], Mapping[str, Any]],
        cloud: Cloud,
    ) -> None:
        self._url = url.rstrip("/")
        self._region = region
        self._credentials = credentials
        self._cloud = cloud
        self._tls = _trusting(ca_file) if url.startswith("https:") else None
        self._idle: list[http.client.HTTPConnection] = []
        self._finished = weakref.finalize(self, _close, self._idle)

    def send(self, request: Request, understood: Callable[[Answer], Result], line: Line | None = None) -> Result:
        """The answer, ``understood``, and asked for again while the store is unavailable."""
        return retried(lambda: understood(self._once(request, line or Line())))

    def close(self) -> None:
        """Closes the connections; if this is forgotten, it is done when nobody can use them any more."""
        self._finished()

    def _once(self, request: Request, line: Line) -> Answer:
        where = f"{self._cloud.url}/{request.key}"
        query = urlencode(request.query, quote_via=quote)
        url = f"{self._url}/{quote(request.key, safe='/~')}{'?' if query else ''}{query}"
        try:
            line.check()
            return self._exchanged(request, where, url, line)
        except (OSError, http.client.HTTPException) as error:
            line.check()
            if isinstance(error, StoreError):
                raise
            _close(self._idle)  # which may be as dead as this one was
            said = f"{type(error).__name__}: {error}" if isinstance(error, http.client.HTTPException) else str(error)
            raise_alone(self._cloud.unanswered(where, self._cloud.endpoint, said or type(error).__name__, ""))

    def _exchanged(self, request: Request, where: str, url: str, line: Line) -> Answer:
        headers = {**self._signed(request, url), "User-Agent": "keystow"}
        connection = self._kept() or self._connected()
        try:
            with line.over(connection):
                whole = _sent(connection, request, url, headers)
                answer, content = _received(connection)
        except BaseException:
            connection.close()
            raise
        if whole and not answer.will_close and len(content) <= MOST:
            self._idle.append(connection)
            if not self._finished.alive:
                _close(self._idle)
        else:
            connection.close()
        if len(content) > MOST:
            raise strange(where, self._cloud.endpoint)
        # S3 may answer "200 OK", and tell of a failure in the body ("CompleteMultipartUpload", of the S3 API).
        told_in_body = is_error(content)
        if answer.status < 300 and not told_in_body:
            return Answer(where, self._cloud.endpoint, answer.headers, content)
        status = 500 if answer.status < 300 else answer.status
        told = refusal(str(status), content.decode(errors="replace") if told_in_body else "")
        told = told._replace(
            message=told.message if told_in_body else content[:80].decode(errors="replace"),
            request_id=told.request_id or answer.headers.get("x-amz-request-id", ""),
            location=answer.headers.get("Location", ""),
        )
        raise self._cloud.refused(told, request.key, request.operation)

    def _kept(self) -> http.client.HTTPConnection | None:
        """A connection that the server has not closed since it was used."""
        from urllib3.util import wait_for_read

        with contextlib.suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if not wait_for_read(connection.sock, timeout=0):
                    return connection
                connection.close()
        return None

    def _connected(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._url)
        host, seconds = parts.hostname or "", _CONNECT_SECONDS
        connection = (
            http.client.HTTPSConnection(host, parts.port or 443, timeout=seconds, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(host, parts.port or 80, timeout=seconds)
        )
        connection.connect()
        connection.sock.settimeout(_SECONDS)
        return connection

    def _signed(self, request: Request, url: str) -> Mapping[str, str]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        keys = self._credentials()
        if not all(key.isascii() and key.isprintable() for key in keys.values() if isinstance(key, str)):
            hint = "correct the keys and the session token"
            raise CredentialsError("the AWS credentials hold characters that no request can", hint=hint)
        signed = AWSRequest(request.method, url, headers=dict(request.headers), data=request.body)
        signer = Credentials(keys["access_key_id"], keys["secret_access_key"], keys["token"])
        S3SigV4Auth(signer, "s3", self._region).add_auth(signed)
        return dict(signed.headers)


def _close(connections: list[http.client.HTTPConnection]) -> None:
    with contextlib.suppress(IndexError):
        while True:
            connections.pop().close()


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is None:
        from botocore.httpsession import get_cert_path

        context.load_verify_locations(get_cert_path(True))
    return context


def _received(connection: http.client.HTTPConnection) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer, and its body; of one that is longer than S3's are, no more than is needed to tell."""
    try:
        with contextlib.closing(connection.getresponse()) as answer:
            content = answer.read(MOST + 1)
            if answer.length and len(content) <= MOST:
                raise http.client.IncompleteRead(content, answer.length)
            return answer, content
    except ValueError as error:
        raise http.client.HTTPException(f"BadStatusLine: {error}") from None


def _sent(connection: http.client.HTTPConnection, request: Request, url: str, headers: Mapping[str, str]) -> bool:
    """Whether the server took all of the request; if not, it may have said why.

    The body goes in blocks, each with the connection's time limit, which Python has for all that is sent at once.
    """
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    view = memoryview(request.body)
    blocks = (view[start : start + _BLOCK] for start in range(0, len(view), _BLOCK))
    length = {"Content-Length": str(len(view))} if view else {}
    try:
        connection.request(request.method, target, blocks if view else None, {**headers, **length})
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True
