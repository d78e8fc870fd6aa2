"""HTTP connections that are watched: one that brings next to nothing is cut, whatever it is waited for.

A timeout of a socket runs anew with each byte, so another thread looks at the clock.
"""

import contextlib
import http.client
import itertools
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from .backends.sending.heads import WholeLines, check_lengths, is_interim
from .backends.sending.limits import LEAST


class Watch:
    """Cuts a connection that brings, or takes, less than ``LEAST`` bytes in ``seconds`` of waiting for it.

    ``has_begun`` says that something was sent, and ``is_refused`` that no more of it is taken, of which the other side
    may have said why.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._line: socket.socket | None = None
        self._waited = 0.0
        self._came = 0
        self._since: float | None = None
        self._ended = threading.Event()
        self.is_cut = False
        self.has_begun = self.is_refused = False
        threading.Thread(target=self._run, name="keystow-watch", daemon=True).start()

    def holds(self, connection: socket.socket) -> None:
        """``connection`` is the one to cut."""
        before, self._line = self._line, connection.dup()
        if before is not None:
            before.close()
        if self.is_cut:
            self.cut()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Within this, time counts."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            began, self._since = self._since, None
            self._waited += time.monotonic() - began

    def came(self, size: int) -> None:
        """``size`` bytes were brought, or taken."""
        self._came += size
        if self._came >= LEAST:
            self._came, self._waited = 0, 0.0

    @property
    def reason(self) -> str:
        """Why it was cut."""
        return f"it brought less than {LEAST} bytes in {self._seconds:.3g} s"

    def check(self) -> None:
        """Raises ``TimeoutError`` once it is cut."""
        if self.is_cut:
            raise TimeoutError(self.reason)

    def end(self) -> None:
        """Looks no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            waited, since = self._waited, self._since  # in this order, or what has just been added would count twice
            if since is not None and waited + time.monotonic() - since > self._seconds:
                self.cut()
        if self._line is not None:
            self._line.close()

    def cut(self) -> None:
        """Cuts it now."""
        self.is_cut = True
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)


class _Answer(http.client.HTTPResponse):
    """An answer whose head is whole and the final one, or an error."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  as http.client has it
        super().__init__(*arguments, **named)
        self.fp = WholeLines(self.fp.detach())
        self._interim = itertools.count()

    def begin(self) -> None:
        """Reads the head."""
        super().begin()
        check_lengths(self.headers.get_all("Content-Length", ()))

    def _read_status(self) -> tuple[str, int, str]:
        version, status, reason = super()._read_status()  # type: ignore[misc]  # after 100, it reads another one
        return version, http.client.CONTINUE if is_interim(status, next(self._interim)) else status, reason


class _Heard(http.client.HTTPConnection):
    """A connection whose answer is read even if not all of the request was taken."""

    response_class = _Answer
    watch: Watch
    _tunnel_host: str | None

    def send(self, data: Any) -> None:  # noqa: ANN401  as http.client has it
        """Sends it, or notes that it is not taken."""
        if self.sock is None:
            self.connect()
        if not self._tunnel_host or isinstance(self.sock, ssl.SSLSocket):  # and it is not for a proxy alone
            self.watch.has_begun = True
        try:
            super().send(data)
        except (BrokenPipeError, ConnectionResetError):
            self.watch.is_refused = True


class Http(urllib.request.HTTPHandler):
    """Opens HTTP under a watch."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """The answer to ``request``."""

        class Watched(_Heard):
            watch = self._watch

            def connect(self) -> None:
                super().connect()
                self.watch.holds(self.sock)
                self.sock.settimeout(None)  # from here on, the watch is the one to look at the clock

        return self.do_open(Watched, request)


def tls() -> ssl.SSLContext:
    """What TLS is held to; to make it takes many times as long as a connection to a server that is near."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Https(urllib.request.HTTPSHandler):
    """Opens HTTPS under a watch, held to the ``context``, which several may share."""

    def __init__(self, watch: Watch, context: Callable[[], ssl.SSLContext] = tls) -> None:
        super().__init__()
        self._watch, self._context = watch, context

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """The answer to ``request``."""
        host = urlsplit(request.full_url).hostname
        context = self._context()

        class Watched(_Heard, http.client.HTTPSConnection):
            watch = self._watch

            def connect(self) -> None:
                http.client.HTTPConnection.connect(self)  # TLS is begun once the connection can be cut
                self.watch.holds(self.sock)
                self.sock.settimeout(None)
                self.sock = context.wrap_socket(self.sock, server_hostname=host)

        return self.do_open(Watched, request, context=context)
