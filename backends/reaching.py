"""Whether a server is reached, and what it says to somebody whom it does not know.

Strategy: one request without credentials, sent as the carriers would send it, through the same proxy and with the same
trust; each way in which that can fail has a row, with what to do.
"""

import base64
import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from .findings import Finding

_PORTS = {"http": 80, "https": 443}
_MOST = 1 << 16
_NOBODY: dict[str, str] = {}
_SKEW = 15 * 60
"""Seconds by which the clocks may differ (S3's "RequestTimeTooSkewed", of its API's error codes)."""
_NOTICED = 60
SET_CLOCK = "set the clock of this machine: have chrony or another NTP client keep it (chronyc makestep)"


class Proxy(NamedTuple):
    """The proxy on the way, and the ``variable`` that names it; its URL may hold a password."""

    variable: str
    url: str

    def __repr__(self) -> str:
        return f"Proxy({self.variable!r})"


def through(proxy: Proxy | None) -> str:
    """How the server was reached, in words.

    >>> through(Proxy("HTTPS_PROXY", "http://proxy.example.com:3128"))
    'through the proxy of HTTPS_PROXY'
    """
    return "without a proxy" if proxy is None else f"through the proxy of {proxy.variable}"


def past(variable: str) -> str:
    """What to do about a proxy that leads nowhere."""
    return f"correct {variable}, unset it, or name the endpoint's host in NO_PROXY"


class Heard(NamedTuple):
    """What was answered, the headers' names in lower case; ``moment`` is when by our clock, a POSIX timestamp.

    Of the body there is the beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    moment: float


class UnreachedError(Exception):
    """Nobody answered; ``found`` says how that showed, and ``advice`` what to do."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found, advice)
        self.found, self.advice = found, advice


def reached(
    url: str, *, tls: ssl.SSLContext | None = None, proxy: Proxy | None = None, seconds: float = 10.0
) -> tuple[Heard | None, Finding]:
    """The answer to ``GET url`` without credentials, and whether there is one."""
    try:
        return _hear(url, tls, proxy, seconds), Finding("reachable", "ok", through(proxy))
    except UnreachedError as error:
        return None, Finding("reachable", "failed", error.found, error.advice)
    except ValueError as error:
        return None, Finding.of("reachable", error)


def _hear(url: str, tls: ssl.SSLContext | None, proxy: Proxy | None, seconds: float) -> Heard:
    """The answer to ``GET url`` without credentials.

    Raises ``UnreachedError``, and ``ValueError`` for a variable that names no proxy.
    """
    connection, target, headers = _way(url, tls, proxy, seconds)
    try:
        before = time.time()
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        after = time.time()
        body = response.read1(_MOST)
        said = {name.lower(): value for name, value in response.getheaders()}
        return Heard(response.status, said, body, (before + after) / 2)
    except (OSError, http.client.HTTPException) as error:
        raise _unreached(error, url, proxy, seconds) from None
    finally:
        connection.close()


def _way(
    url: str, tls: ssl.SSLContext | None, proxy: Proxy | None, seconds: float
) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """The connection, not open yet; what is asked for on it, and the headers."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    headers = {"User-Agent": "keystow", "Accept-Encoding": "identity"}
    secure = None if parts.scheme == "http" else tls or ssl.create_default_context()
    first, authority = ((host, port), _NOBODY) if proxy is None else _proxy_of(proxy)
    connection = (
        http.client.HTTPConnection(*first, timeout=seconds)
        if secure is None
        else http.client.HTTPSConnection(*first, timeout=seconds, context=secure)
    )
    if proxy is None:
        return connection, target, headers
    if secure is None:
        return connection, f"http://{parts.netloc}{target}", headers | authority
    connection.set_tunnel(host, port, authority)
    return connection, target, headers


def _proxy_of(proxy: Proxy) -> tuple[tuple[str, int], dict[str, str]]:
    """The proxy's host and port, and the header that lets us in."""
    try:
        parts = urlsplit(proxy.url if "://" in proxy.url else f"http://{proxy.url}")
        place = (parts.hostname or "", parts.port or 80)
    except ValueError:
        place = ("", 0)
    if not place[0]:
        raise ValueError(f"{proxy.variable} is no URL of a proxy: write one such as http://proxy.example.com:3128")
    if parts.username is None:
        return place, {}
    known = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return place, {"Proxy-Authorization": f"Basic {base64.b64encode(known).decode()}"}


def _unreached(error: Exception, url: str, proxy: Proxy | None, seconds: float) -> UnreachedError:
    parts = urlsplit(url)
    at = f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"
    if proxy is not None:
        (host, port), _ = _proxy_of(proxy)
        mend = past(proxy.variable)
        through = f"the proxy {host}:{port}, which {proxy.variable} names,"
        if isinstance(error, OSError) and str(error).startswith("Tunnel connection failed"):
            return UnreachedError(f"{through} does not lead to {at}: {str(error).partition(': ')[2]}", mend)
    for kind, found, advice in _FAILURES:
        if isinstance(error, kind):
            if proxy is not None and not issubclass(kind, ssl.SSLError):
                return UnreachedError(found.format(at=through, host=host, seconds=seconds, error=error), mend)
            told = found.format(at=at, host=parts.hostname, seconds=seconds, error=error)
            detail = getattr(error, "verify_message", "")
            return UnreachedError(f"{told}: {detail}" if detail else told, advice)
    raise error


_FAILURES: tuple[tuple[type[Exception], str, str], ...] = (
    (
        socket.gaierror,
        "no address is known for the host {host}",
        "correct the endpoint's host name, or this machine's name service (DNS)",
    ),
    (
        ssl.SSLCertVerificationError,
        "the certificate of {at} is not trusted",
        "name the file of its authority in AWS_CA_BUNDLE, if it is one of your own",
    ),
    (ssl.SSLError, "{at} does not speak TLS", "write the endpoint with http://, or with another port"),
    (
        TimeoutError,
        "{at} did not answer within {seconds:.0f} s",
        "see whether a firewall stands between, or a proxy is needed (HTTPS_PROXY)",
    ),
    (
        ConnectionRefusedError,
        "{at} refuses connections",
        "start the server, or correct the endpoint's host and port",
    ),
    (
        ConnectionError,
        "{at} broke the connection off",
        "correct the endpoint's port, or write https://; see the server's log",
    ),
    (http.client.HTTPException, "{at} answered what is no HTTP", "correct the endpoint's port, or write https://"),
    (OSError, "{at} cannot be reached ({error.strerror})", "check the network of this machine, and the endpoint"),
)
"""What can happen on the way, the more definite first: how it is told, and what to do."""


def clock(heard: Heard) -> Finding:
    """How far this machine's clock is from the server's, as the server's ``Date`` tells it."""
    ahead = ahead_of(heard.headers, heard.moment)
    if ahead is None:
        return Finding("clock", "unknown", "the server does not tell the time")
    told = differs(ahead)
    if abs(ahead) > _SKEW:
        return Finding("clock", "failed", f"{told}; S3 refuses what differs by more than {_SKEW} s", SET_CLOCK)
    if abs(ahead) > _NOTICED:
        return Finding("clock", "ok", told, SET_CLOCK)
    return Finding("clock", "ok", "within a minute of the server's" if abs(ahead) > 2 else "the same as the server's")


def ahead_of(headers: Mapping[str, str], moment: float) -> float | None:
    """The seconds by which this machine's clock is ahead of the server's, whose answer came at ``moment`` by ours.

    >>> ahead_of({"date": "Thu, 01 Jan 1970 01:00:00 GMT"}, 0.5)
    -3600.0
    """
    try:
        there = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError):
        return None
    return moment - there.replace(tzinfo=there.tzinfo or UTC).timestamp() - 0.5  # Date is cut to whole seconds


def differs(ahead: float) -> str:
    """That in words.

    >>> differs(-3600.0)
    "3600 s behind the server's"
    """
    return f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the server's"
