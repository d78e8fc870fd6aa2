"""Reading a pre-signed URL, which needs no credentials and no client of any cloud.

Strategy: whoever made the URL chooses the server, so the server is held to what it announces: a body is as long as it
says, a redirect stays with TLS and among the servers that are allowed, and a connection that brings next to nothing is
cut by a thread that watches it. Where that server is far, a large body is asked for in ranges, side by side, each on a
connection of its own, and all of it is the same or an error (RFC 9110, sections 13.1.1 and 14): what is asked for at
once, what is repeated, and how often, is decided where it is for all stores (``backends/sending``).
"""

import contextlib
import http.client
import math
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import IO, NamedTuple
from urllib.parse import urljoin, urlsplit

from .archive import LimitExceededError
from .backends import (
    AccessDeniedError,
    ConflictError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
    expiry_of,
)
from .backends.endpoints import origin
from .backends.opening import timeout_for
from .backends.sending.budget import USUAL, Budget
from .backends.sending.continuing import Content, begun
from .backends.sending.limits import bounds
from .backends.sending.ranges import in_ranges, pace
from .backends.sending.repeating import UNAVAILABLE, retried, retry_after
from .errors import ResultError
from .trust import is_url
from .watched import Http, Https, Watch, tls

_CHUNK = 1 << 20
_MOST_REDIRECTS = 5
HINT = "check the address and the network"
_DENIED = (
    "the URL has expired, or its signer may not read the object, or not the version that it names: ask for a new URL, "
    "or for one that pins no version"
)
_SOUND = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_PLACE = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_NOWHERE = "it leads on to an address that is none"
_CODE = re.compile(rb"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<\r\n]{1,300})")
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_CHANGED = "it changed, or cannot be read on where it broke off: fetch it again"
_NO_RANGE = {"206", "416"}
"""What the first range was answered with, where that is no use: the object is empty, or the server knows no size, or
gives less than was asked for."""


class Download:
    """The content at ``url``, once, in pieces; at most ``most`` bytes of it, by ``Limits`` if it is ``limited``.

    ``admit`` is asked before each server is called, and raises for one that may not be. ``address`` is where the
    content comes from, without its query, which holds the signature: after a redirect, another place than was asked.
    ``timeout`` is ``open_store``'s, and the ``budget`` bounds what is under way at once.

    Raises ``ResultError`` for what is no URL; while it is read, ``StoreError`` and ``LimitExceededError``. No message
    repeats the query.
    """

    def __init__(
        self,
        url: str,
        *,
        most: int | None = None,
        limited: bool = False,
        admit: Callable[[str], None] = lambda _: None,
        timeout: timedelta | float | None = None,
        budget: Budget = USUAL,
    ) -> None:
        self._url = url.strip()
        self._most = most
        self._limited = limited
        self._admit = admit
        self._bounds = bounds(timeout_for(timeout), budget)
        self._end: int | None = None
        self._tag: str | None = None
        self._tls = cache(tls)
        self._last = self._url
        self.address = without_query(self._url)
        admit(self._url)

    @property
    def length(self) -> int | None:
        """The bytes of all of it, once the first came, if the server says so."""
        return self._end

    def __iter__(self) -> Generator[bytes, None, None]:
        if self._url.lower().startswith("https:"):
            self._tls()  # it takes a while, in which nothing is learnt of how far the server is
        content = in_ranges(
            self._opened,
            pace=pace(self._bounds.budget),
            patience=self._bounds.patience,
            until=_half_of_life(self._url),
            held=self._bounds.budget.held,
        )
        done = 0
        with contextlib.closing(content):
            for chunk in content:
                done += len(chunk)
                if self._most is not None and done > self._most:
                    raise self._too_long(f"more than the {self._most} bytes that may be fetched came")
                yield chunk

    def _opened(self, start: int, stop: int | None, tag: str | None) -> Content:
        """The content from ``start`` up to ``stop``, or the end; with a ``tag``, that of it alone.

        What goes on is asked for where the first answer came from, and from the URL on if that has expired.
        """
        if tag is not None and self._last != self._url:
            with contextlib.suppress(AccessDeniedError):
                return self._answered(self._last, start, stop, tag)
        try:
            return self._answered(self._url, start, stop, tag)
        except StoreError as error:
            if tag is not None or stop is None or error.code not in _NO_RANGE:
                raise
        return self._answered(self._url, 0, None, None)

    def end(self, most: int) -> bytes | None:
        """The last ``most`` bytes, or all of fewer, by one answer; ``None`` if this server gives no such thing.

        ``length`` is known then, if the server says it. It is what ``part`` reads on of.
        """
        try:
            return self._part(f"-{most}", partial(self._ended, most))
        except UnsupportedError as error:
            if error.code == "206" and self._end is None:  # its range made no sense; that of the first byte may tell
                with contextlib.suppress(StoreError):  # then all is read, and whatever is wrong is told
                    self.part(0, 1)
        except ConflictError as error:
            if error.code != "416":  # there is nothing in it
                raise
        return None

    def part(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to ``stop``, or the end, of the same content each time.

        Raises ``UnsupportedError`` if the server gives no parts, ``ConflictError`` if it is another content by now.
        """
        return self._part(f"{start}-{stop - 1}", partial(self._parted, start, stop))

    def _part(self, span: str, announced: "Callable[[http.client.HTTPResponse], _Announced]") -> bytes:
        def asked() -> bytes:
            if self._last != self._url:
                with contextlib.suppress(AccessDeniedError):
                    return read(self._last)
            return read(self._url)

        def read(url: str) -> bytes:
            with contextlib.closing(self._asked(url, span, self._tag, announced).pieces) as pieces:
                return b"".join(pieces)

        return retried(asked, patience=self._bounds.patience)

    def _ended(self, most: int, answer: http.client.HTTPResponse) -> "_Announced":
        """What is said by an answer to a request for the last bytes."""
        ranged = _range(answer)
        self._last, self.address = answer.url, without_query(answer.url)
        if ranged is not None or answer.status == 200:
            self._tag, self._end = _strong(answer), ranged.size if ranged else answer.length
        is_whole = answer.status == 200 and answer.length is not None and answer.length <= most
        is_end = ranged is not None and ranged.stop == ranged.size and ranged.start == max(0, ranged.size - most)
        if not is_whole and not is_end:
            raise UnsupportedError(f"{self.address}: its last bytes alone are not to be had", code=str(answer.status))
        return _Announced(self._tag, ranged.stop - ranged.start if ranged else answer.length, self._end)

    def _parted(self, start: int, stop: int, answer: http.client.HTTPResponse) -> "_Announced":
        """What is said by an answer to a request for a part."""
        self._check_server(answer)
        ranged = _range(answer)
        if ranged is None or ranged.start != start:
            raise UnsupportedError(f"{self.address}: HTTP {answer.status} is no part of it: fetch all of it")
        tag = _strong(answer)
        if self._end not in {None, ranged.size} or (self._tag is not None and tag != self._tag):
            raise ConflictError(f"{self.address}: {_CHANGED}")
        self._last, self._tag, self._end = answer.url, tag, ranged.size
        return _Announced(tag, min(stop, ranged.stop) - start, ranged.size)

    def _check_server(self, answer: http.client.HTTPResponse) -> None:
        if origin(answer.url) != origin(self.address):
            raise StoreError(f"{self.address}: it goes on at another server: fetch it again")

    def _answered(self, url: str, start: int, stop: int | None, tag: str | None) -> Content:
        span = f"{start}-{'' if stop is None else stop - 1}" if tag is not None or stop is not None else None

        def announced(answer: http.client.HTTPResponse) -> _Announced:
            return self._continued(answer, start, stop, tag) if tag else self._announced(answer, stop)

        return self._asked(url, span, tag, announced)

    def _asked(
        self,
        url: str,
        span: str | None,
        tag: str | None,
        announced: "Callable[[http.client.HTTPResponse], _Announced]",
    ) -> Content:
        """The content that ``url`` answers with, of which ``announced`` gives what is said, or raises."""
        try:
            watch = Watch(self._bounds.still)
        except RuntimeError as error:  # there is no room for another thread
            raise StoreUnavailableError(f"{self.address}: {error}", hint="fetch again later") from None
        request = urllib.request.Request(url)  # noqa: S310  without_query admits http and https only
        if span is not None:
            request.add_header("Range", f"bytes={span}")
        if tag is not None:
            request.add_header("If-Match", tag)
        handlers = (Http(watch), Https(watch, self._tls), _Redirects(self._admit))
        try:
            with self._errors(watch), watch.waiting():
                answer = urllib.request.build_opener(*handlers).open(request, timeout=self._bounds.connect)
        except BaseException:
            watch.end()
            raise
        try:
            said = announced(answer)
        except BaseException:
            watch.end()
            answer.close()
            raise
        return Content(begun(self._pieces(answer, watch, said.length)), *said)

    def _announced(self, answer: http.client.HTTPResponse, stop: int | None) -> "_Announced":
        """What is said by the first answer, to a request for all up to ``stop``; from here on that is what holds."""
        ranged = _range(answer)
        if answer.status == 200:
            length = size = answer.length
        elif stop is not None and ranged and ranged.start == 0 and ranged.stop >= min(stop, ranged.size):
            length, size = min(stop, ranged.size), ranged.size
        else:
            said = f"{self.address}: HTTP {answer.status} is no answer to this"
            raise StoreUnavailableError(said, code=str(answer.status), hint=HINT)
        self._last, self.address, self._end = answer.url, without_query(answer.url), size
        if size is not None and self._most is not None and size > self._most:
            raise self._too_long(f"{size} bytes, and {self._most} may be fetched")
        return _Announced(_strong(answer), length, size)

    def _continued(self, answer: http.client.HTTPResponse, start: int, stop: int | None, tag: str) -> "_Announced":
        """What is said by another answer. Raises ``StoreError`` if it is not of the same content as the first."""
        self._check_server(answer)
        ranged = _range(answer)
        if _strong(answer) != tag or not ranged or ranged.start != start:
            raise ConflictError(f"{self.address}: {_CHANGED}")
        if self._end not in {None, ranged.size}:
            raise ConflictError(f"{self.address}: it has another length than before: fetch it again")
        self._last, self._end = answer.url, ranged.size
        end = ranged.size if stop is None else min(stop, ranged.size)
        return _Announced(tag, end - start, ranged.size)

    def _pieces(self, answer: http.client.HTTPResponse, watch: Watch, left: int | None) -> Generator[bytes, None, None]:
        """The bytes of a body, of which ``left`` are to come, if that is known."""
        process = os.getpid()
        try:
            yield b""
            while left is None or left > 0:
                if process != os.getpid():
                    raise StoreUnavailableError(f"{self.address}: it is read by the process that this was forked off")
                with self._errors(watch), watch.waiting():
                    chunk = answer.read1(_CHUNK if left is None else min(left, _CHUNK))
                    watch.came(len(chunk))
                    if not chunk:
                        watch.check()
                if not chunk:
                    break
                yield chunk
                left = None if left is None else left - len(chunk)
            if left:
                raise StoreUnavailableError(f"{self.address}: the answer was cut short", hint="fetch again")
        finally:
            if process == os.getpid():  # else nobody watches, and may have been forked off with a lock
                watch.end()
            answer.close()

    def _too_long(self, said: str) -> StoreError | LimitExceededError:
        if self._limited:
            return LimitExceededError(f"{self.address}: {said}: raise Limits(bytes=…)", "bytes")
        return StoreError(f"{self.address}: {said}")

    @contextlib.contextmanager
    def _errors(self, watch: Watch) -> Iterator[None]:
        failure: StoreError
        try:
            yield
        except StoreError:
            raise
        except urllib.error.HTTPError as error:
            with watch.waiting(), contextlib.closing(error):
                failure = _refused(error, self.address)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            if isinstance(error, ResultError):
                raise
            reason = getattr(error, "reason", error)
            if isinstance(error, http.client.InvalidURL):
                reason = "it leads to an address that is none"
            if watch.is_cut:
                reason = watch.reason
            failure = StoreUnavailableError(f"{self.address}: {reason}", hint=HINT)
        else:
            return
        try:
            raise failure from None
        finally:
            failure.__context__ = None  # it holds the URL


class _Announced(NamedTuple):
    """What an answer says of its content, as ``Content`` has it."""

    tag: str | None
    length: int | None
    size: int | None


class _Range(NamedTuple):
    """Bytes of a body that has ``size``."""

    start: int
    stop: int
    size: int


def _range(answer: http.client.HTTPResponse) -> _Range | None:
    """Of what the ``answer`` is, if it is a part, and says so in a way that makes sense."""
    said = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if answer.status != 206 or not said:
        return None
    start, last, size = map(int, said.groups())
    return _Range(start, last + 1, size) if start <= last < size else None


def _strong(answer: http.client.HTTPResponse) -> str | None:
    etag = answer.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else None


def _half_of_life(url: str) -> float:
    """The time, by ``time.monotonic()``, when half of what is left of a URL's life is over.

    A stream that has begun by the end of it goes on, and another request would be refused.
    """
    end = expiry_of(url)
    left = math.inf if end is None else (end - datetime.now(UTC)).total_seconds()
    return time.monotonic() + left / 2


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = _MOST_REDIRECTS

    def __init__(self, admit: Callable[[str], None]) -> None:
        self._admit = admit

    def redirect_request(  # noqa: PLR0917  as urllib has it
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        fp.close()  # or all of its body, however long, would be read
        try:
            shown = without_query(newurl)
        except ResultError:
            raise StoreError(f"{without_query(req.full_url)}: {_NOWHERE}") from None
        if req.full_url.lower().startswith("https:") and not newurl.lower().startswith("https:"):
            raise StoreError(f"{without_query(req.full_url)}: it leads on to {shown}, without TLS: ask for another URL")
        self._admit(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refused(error: urllib.error.HTTPError, shown: str) -> StoreError:
    if error.code in {301, 302, 303, 307, 308}:
        location = error.headers.get("Location")
        why = f"it leads on more than {_MOST_REDIRECTS} times, or in a circle"
        if location is None:
            why = "it leads on, and does not say where"
        elif not is_url(urljoin(shown, location)):
            why = _NOWHERE
        return StoreError(f"{shown}: {why}", code=str(error.code))
    body = error.read(1 << 16)
    message = f"{shown}: {': '.join(filter(None, code_and_message(body))) or f'HTTP {error.code}'}"
    if error.code == 403:
        return AccessDeniedError(message, code="403", hint=_DENIED)
    if error.code == 404:
        return NotFoundError(message, code="404")
    if error.code in {412, 416}:
        return ConflictError(f"{shown}: {_CHANGED}", code=str(error.code))
    if error.code >= 500 or error.code in UNAVAILABLE:
        unavailable = StoreUnavailableError(message, code=str(error.code), hint="fetch again later")
        unavailable.retry_after = retry_after(error.headers.get("Retry-After"), time.time())
        return unavailable
    return StoreError(message, code=str(error.code))


def code_and_message(body: bytes) -> tuple[str, str]:
    """What a store's refusal says, each empty where it says none.

    >>> code_and_message(b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>")
    ('AccessDenied', 'Access Denied')
    """
    code, message = (
        found[1].decode("utf-8", "replace").rstrip(".") if (found := part.search(body)) else ""
        for part in (_CODE, _MESSAGE)
    )
    return code, message


def without_query(url: str) -> str:
    """``url`` for people. Raises ``ResultError`` if it is none."""
    try:
        parts = urlsplit(url)
        sound = bool(_SOUND.fullmatch(url) and parts.hostname and parts.port != 0 and _PLACE.fullmatch(parts.netloc))
    except ValueError:
        sound = False
    if not sound:
        raise ResultError("the URL is none that can be fetched: give it as it was printed, whole and in quotes")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
