"""Reading a pre-signed URL, which needs no credentials and no client of any cloud.

Strategy: whoever made the URL chooses the server, so the server is held to what it announces: a body is as long as it
says, a redirect stays with TLS and among the servers that are allowed, and a connection that brings next to nothing is
cut by a thread that watches it. A body that breaks off goes on where it broke, if it is still the same (RFC 9110,
sections 13.1.5 and 14).
"""

import contextlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import IO, NamedTuple
from urllib.parse import urljoin, urlsplit

from .archive import LimitExceededError
from .backends import AccessDeniedError, NotFoundError, StoreError, StoreUnavailableError
from .backends.endpoints import origin
from .backends.sending.repeating import retried
from .errors import ResultError
from .watched import Http, Https, Watch

_CHUNK = 1 << 20
_CONNECT_SECONDS = 10
_MOST_REDIRECTS = 5
_MOST_BREAKS = 8
"""How often a body may break off without another ``_ENOUGH`` bytes of it."""
_ENOUGH = 64 << 20
_HINT = "check the address and the network"
_DENIED = (
    "the URL has expired, or its signer may not read the object, or not the version that it names: ask for a new URL, "
    "or for one that pins no version"
)
_URL = re.compile(r"\s*https?:", re.IGNORECASE)
_SOUND = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_PLACE = re.compile(r"[A-Za-z0-9._:\[\]-]+")
_NOWHERE = "it leads on to an address that is none"
_CODE = re.compile(rb"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,300})</Message>")
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


def is_url(text: str) -> bool:
    """Whether ``text`` is meant as something that is downloaded."""
    return _URL.match(text) is not None


class Download:
    """The content at ``url``, once, in pieces; at most ``most`` bytes of it, by ``Limits`` if it is ``limited``.

    ``admit`` is asked before each server is called, and raises for one that may not be. ``address`` is where the
    content comes from, without its query, which holds the signature: after a redirect, another place than was asked.

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
    ) -> None:
        self._url = url.strip()
        self._most = most
        self._limited = limited
        self._admit = admit
        self.address = without_query(self._url)
        admit(self._url)

    def __iter__(self) -> Generator[bytes, None, None]:
        body = self._opened(0, None)
        done = sound = breaks = 0
        while True:
            try:
                with contextlib.closing(body.pieces()) as pieces:
                    for chunk in pieces:
                        done += len(chunk)
                        if self._most is not None and done > self._most:
                            raise self._too_long(f"more than the {self._most} bytes that may be fetched came")
                        yield chunk
            except StoreUnavailableError:
                sound, breaks = (done, 0) if done - sound >= _ENOUGH else (sound, breaks + 1)
                if body.announced.etag is None or breaks > _MOST_BREAKS:
                    raise
            else:
                return
            body = retried(partial(self._opened, done, body))

    def _opened(self, start: int, before: "_Body | None") -> "_Body":
        """The body from ``start`` on, of the same content as ``before``."""
        watch = Watch()
        request = urllib.request.Request(self._url)  # noqa: S310  without_query admits http and https only
        if before is not None:
            request.add_header("Range", f"bytes={start}-")
            request.add_header("If-Range", before.announced.etag or "")
        handlers = (Http(watch), Https(watch), _Redirects(self._admit))
        try:
            with self._errors(watch), watch.waiting():
                answer = urllib.request.build_opener(*handlers).open(request, timeout=_CONNECT_SECONDS)
        except BaseException:
            watch.end()
            raise
        try:
            with self._errors(watch):
                watch.check()  # a head that was cut looks whole
            body = _Body(answer, watch, self._announced(answer, start, before), self)
            self.address = without_query(answer.url)
        except BaseException:
            watch.end()
            answer.close()
            raise
        return body

    def _announced(self, answer: http.client.HTTPResponse, start: int, before: "_Body | None") -> "_Announced":
        etag = answer.headers.get("ETag")
        etag = etag if etag and not etag.startswith("W/") else None
        if before is not None:
            if origin(answer.url) != origin(self.address):
                raise StoreError(f"{self.address}: it goes on at another server: fetch it again")
            ranged = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status != 206 or etag != before.announced.etag or not ranged or int(ranged[1]) != start:
                raise StoreError(f"{self.address}: it changed, or cannot be read on where it broke off: fetch it again")
            if before.announced.end not in {None, int(ranged[3])}:
                raise StoreError(f"{self.address}: it has another length than before: fetch it again")
            return _Announced(start, int(ranged[3]), etag)
        if answer.status != 200:
            raise StoreUnavailableError(f"{self.address}: HTTP {answer.status} is no answer to this", hint=_HINT)
        if answer.length is not None and self._most is not None and answer.length > self._most:
            raise self._too_long(f"{answer.length} bytes, and {self._most} may be fetched")
        return _Announced(0, answer.length, etag)

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
            failure = StoreUnavailableError(f"{self.address}: {reason}", hint=_HINT)
        else:
            return
        try:
            raise failure from None
        finally:
            failure.__context__ = None  # it holds the URL


class _Announced(NamedTuple):
    """What an answer says of its body: where it starts and ends in the content, and the content's strong ETag."""

    start: int
    end: int | None
    etag: str | None


class _Body(NamedTuple):
    """An answer whose body is still to be read."""

    answer: http.client.HTTPResponse
    watch: Watch
    announced: _Announced
    download: Download

    def pieces(self) -> Generator[bytes, None, None]:
        """The bytes of the body."""
        start, end, _ = self.announced
        left = None if end is None else end - start
        try:
            while left is None or left > 0:
                with self.download._errors(self.watch), self.watch.waiting():  # noqa: SLF001
                    chunk = self.answer.read1(_CHUNK if left is None else min(left, _CHUNK))
                    self.watch.came(len(chunk))
                    if not chunk:
                        self.watch.check()
                if not chunk:
                    break
                yield chunk
                left = None if left is None else left - len(chunk)
            if left:
                raise StoreUnavailableError(f"{self.download.address}: the answer was cut short", hint="fetch again")
        finally:
            self.watch.end()
            self.answer.close()


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
    code = _CODE.search(body)
    said = _MESSAGE.search(body)
    what = (
        ": ".join(part[1].decode("utf-8", "replace").rstrip(".") for part in (code, said) if part)
        or f"HTTP {error.code}"
    )
    message = f"{shown}: {what}"
    if error.code == 403:
        return AccessDeniedError(message, code="403", hint=_DENIED)
    if error.code == 404:
        return NotFoundError(message, code="404")
    if error.code >= 500 or error.code in {408, 429}:
        return StoreUnavailableError(message, code=str(error.code), hint="fetch again later")
    return StoreError(message, code=str(error.code))


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
