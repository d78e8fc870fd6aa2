"""A store that writes the one object of a ticket, by requests that were signed beforehand, and does nothing else.

Strategy: it needs no credentials and no client of any cloud, and sends none of the user's. No redirect is followed: a
signed request is for one server. What goes in one request is laid down first, in memory or in a temporary file, as its
length has to be announced, and with its MD5, which the server verifies; what goes in parts is held part by part. How
often a request is made again, and what a lost answer means, is decided where it is for all stores
(``backends/sending``); nobody may look at what stands there by a ticket, so a write whose answer was lost, and that
finds an object, is one whose outcome is not known.
"""

import base64
import contextlib
import hashlib
import http.client
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from datetime import timedelta
from functools import partial
from typing import IO, NamedTuple, NoReturn

from .backends import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
    Written,
)
from .backends.answers import MOST, Stored
from .backends.contract import Arrived, Capabilities
from .backends.errors import raise_alone
from .backends.opening import timeout_for
from .backends.permits import InParts, Permit, SignedRequest
from .backends.s3.answers import completed, is_error
from .backends.s3.requests import Answer, Request, form
from .backends.sending.budget import USUAL, Budget
from .backends.sending.digest import Digest
from .backends.sending.in_flight import Cancel, Told, in_flight, in_thread, parts_pace
from .backends.sending.limits import bounds
from .backends.sending.parts import alone, part_size, parts
from .backends.sending.repeating import UNAVAILABLE, retried, retry_after
from .backends.sending.settling import decided
from .download import HINT, code_and_message, without_query
from .errors import TicketError
from .watched import Http, Https, Watch

_BLOCK = 1 << 16
_ANY_TYPE = "application/octet-stream"
"""Without one, urllib would say that a form is sent."""
_INTERRUPTED_SECONDS = 1.5
"""For the end of an upload whose sender was interrupted, and is waiting."""
_DENIED = "the ticket has ended, was changed, or its issuer may not write there: ask for another one"
_VERSIONS = ("x-amz-version-id", "x-goog-generation", "x-ms-version-id")
_UNFINISHED = "a lifecycle rule of the bucket can remove unfinished uploads"


_NO_OVERWRITE = ("UnauthorizedBlobOverwrite", "AuthorizationPermissionMismatch")
"""What Azure, and Azurite, say to a signature that lets a blob be created, where there is one."""


class _Refusal(NamedTuple):
    """What an answer with one of these statuses, or of a store's codes, means."""

    error: type[StoreError]
    statuses: Collection[int] = ()
    codes: Collection[str] = ()
    hint: str = ""
    said: str = ""


_REFUSALS = (
    _Refusal(
        AlreadyExistsError,
        {412},
        {"PreconditionFailed", "ConditionNotMet", "BlobAlreadyExists", *_NO_OVERWRITE},
        "a ticket never replaces one: ask for another one",
        "there is an object of that name",
    ),
    _Refusal(ConflictError, codes={"ConditionalRequestConflict", "OperationAborted"}),
    _Refusal(StoreUnavailableError, UNAVAILABLE, {"InternalError", "SlowDown", "ServerBusy", "OperationTimedOut"}),
    _Refusal(AccessDeniedError, {401, 403}, {"ExpiredToken", "AuthenticationFailed"}, _DENIED),
    _Refusal(BucketNotFoundError, codes={"NoSuchBucket", "ContainerNotFound"}),
    _Refusal(NotFoundError, codes={"NoSuchUpload"}, hint="a ticket for parts is used up by a try: ask for another one"),
    _Refusal(NotFoundError, {404}),
    _Refusal(StoreError, range(300, 400), said="it leads on to another server, and a ticket is for one"),
    _Refusal(StoreError, range(1000)),
)
"""Of the rows that apply, the first counts."""


class TicketStore:
    """Writes the object at ``where``, as the ``permit`` allows it; ``timeout`` is ``open_store``'s.

    The content has to be what the permit is for: else ``TicketError``, and nothing is written.
    """

    capabilities = Capabilities(arrivals=True)

    def __init__(
        self, permit: Permit, where: str, *, timeout: timedelta | float | None = None, budget: Budget = USUAL
    ) -> None:
        self._permit, self._where = permit, where
        self._bounds = bounds(timeout_for(timeout), budget)
        self._lines: set[_Line] = set()

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        arrived: Arrived | None = None,
        **_: object,
    ) -> Written:
        """Stores the bytes of ``chunks``, as the issuer has said. Raises ``UnsupportedError`` without ``if_absent``."""
        if not if_absent:
            raise UnsupportedError(f"{self._where}: a ticket creates one object, and never replaces one")
        digest = Digest(chunks)
        way = self._permit.way
        stored = self._in_parts(way, key, digest, arrived) if isinstance(way, InParts) else self._single(way, digest)
        return Written(digest.size, digest.hexdigest(), **stored._asdict())

    def _refused_to_look(self, *_: object, **__: object) -> NoReturn:
        raise UnsupportedError(f"{self._where}: a ticket lets nobody look at what is there")

    read = stat = list = delete = presign = _refused_to_look

    def close(self) -> None:
        """Ends what is under way."""
        for line in tuple(self._lines):
            line.cut()

    def _single(self, asked: SignedRequest, digest: Digest) -> Stored:
        md5 = hashlib.md5(usedforsecurity=False)
        with tempfile.SpooledTemporaryFile(max_size=part_size(1)) as file:
            for chunk in self._allowed(digest):
                md5.update(chunk)
                file.write(chunk)
            self._check(digest)
            headers = _headers(digest.size, md5.digest())

            with self._line() as line:

                def send() -> Stored:
                    file.seek(0)
                    return self._stored(self._answer(asked, headers, _blocks(file), line))

                return decided(send, self._refused_to_look, self._where, self._bounds)

    def _in_parts(self, way: InParts, key: str, digest: Digest, arrived: Arrived | None) -> Stored:
        try:
            only, pieces = alone(parts(self._allowed(digest)))
            sent = in_flight(
                pieces if only is None else iter([only]),
                partial(self._under_way, way),
                pace=parts_pace(self._bounds.budget),
                budget=self._bounds.budget,
                arrived=arrived,
            )
            self._check(digest)
            listed = [{"PartNumber": number, "ETag": stored.etag} for number, stored in enumerate(sent, 1)]
            params = {"MultipartUpload": {"Parts": listed}}
            body = form(Request("complete_multipart_upload", key, params)).body
            headers = _headers(len(body), hashlib.md5(body, usedforsecurity=False).digest())
            headers["Content-Type"] = "application/xml"

            with self._line(self._bounds.completion) as line:
                complete = partial(self._answer, way.complete, headers, [body], line)
                return decided(lambda: self._completed(complete()), self._refused_to_look, self._where, self._bounds)
        except BaseException as error:
            self._abort(way.abort, error)
            raise

    def _under_way(self, way: InParts, number: int, piece: bytes, told: Told[Stored]) -> Cancel:
        if number > len(way.parts):
            raise self._too_long()
        asked, line = way.parts[number - 1], _Line(self._bounds.still)
        headers = _headers(len(piece), hashlib.md5(piece, usedforsecurity=False).digest())

        def send() -> Stored:
            blocks = (piece[start : start + _BLOCK] for start in range(0, len(piece), _BLOCK))
            return self._stored(self._answer(asked, headers, blocks, line))

        in_thread(partial(retried, send, patience=self._bounds.patience), told)
        return line.cut

    def _abort(self, asked: SignedRequest, error: BaseException) -> None:
        """Has the store forget the parts, once; what could not be done is told in a note."""
        is_waited_for = isinstance(error, CancelledError) or not isinstance(error, Exception)
        line = _Line(_INTERRUPTED_SECONDS if is_waited_for else self._bounds.brief)
        try:
            self._answer(asked, {}, None, line)
        except NotFoundError:
            return
        except (StoreError, CancelledError) as failure:
            error.add_note(f"the parts sent so far could not be removed ({failure}); {_UNFINISHED}")

    def _allowed(self, digest: Digest) -> Iterator[bytes]:
        for chunk in digest:
            if digest.size > self._permit.most:
                raise self._too_long()
            yield chunk

    def _too_long(self) -> TicketError:
        return TicketError(
            f"{self._where}: the ticket is for {self._permit.most} bytes at most, and there are more: "
            "ask for one with a larger max_size"
        )

    def _check(self, digest: Digest) -> None:
        sha256 = self._permit.sha256
        if sha256 is not None and digest.hexdigest() != sha256:
            raise TicketError(
                f"{self._where}: the ticket is for content whose SHA-256 is {sha256}, and this has "
                f"{digest.hexdigest()}: ask for another ticket"
            )

    @contextlib.contextmanager
    def _line(self, seconds: float | None = None) -> Iterator["_Line"]:
        """What the request is carried on that makes the object appear; parts are ended by who waits for them."""
        line = _Line(self._bounds.still if seconds is None else seconds)
        self._lines.add(line)
        try:
            yield line
        finally:
            self._lines.discard(line)

    def _stored(self, answer: Answer) -> Stored:
        etag = answer.headers.get("etag")
        if not etag:
            raise self._strange()
        version = next(filter(None, map(answer.headers.get, _VERSIONS)), None)
        return Stored(etag, version, answer.headers.get("x-amz-checksum-sha256"), confirmed="checksum")

    def _completed(self, answer: Answer) -> Stored:
        if is_error(answer.body):
            raise self._refused(answer)
        try:
            return completed(answer)
        except (ValueError, TypeError):
            raise self._strange() from None

    def _strange(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self._where}: the answer is none of a store's", hint=HINT)

    def _answer(
        self, asked: SignedRequest, headers: Mapping[str, str], content: Iterable[bytes] | None, line: "_Line"
    ) -> Answer:
        """The answer to one try. Raises for what is refused, and where none came."""
        try:
            answer = line.answer(asked, headers, content, self._bounds.connect)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            line.check()
            reason = line.reason or (error.reason if isinstance(error, urllib.error.URLError) else error)
            failure = StoreUnavailableError(f"{without_query(asked.url)}: {reason}", hint=HINT)
            failure.may_have_arrived = line.has_begun
            raise_alone(failure)
        if answer.status >= 300:
            raise self._refused(answer)
        return answer

    def _refused(self, answer: Answer) -> StoreError:
        """What an answer means that is no success."""
        code, said = code_and_message(answer.body)
        known = code or str(answer.status)
        row = next(row for row in _REFUSALS if answer.status in row.statuses or code in row.codes)
        told = row.said or ": ".join(filter(None, (code, said))) or f"HTTP {known}"
        failure = row.error(f"{self._where}: {told}", code=known, hint=row.hint)
        failure.retry_after = retry_after(answer.headers.get("retry-after"), time.time())
        return failure


class _Line:
    """What one request is carried on, in all of its tries; ``cut`` ends it, from any thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watch: Watch | None = None
        self._is_cut = self.has_begun = False
        self.reason = ""

    def cut(self) -> None:
        """Ends what is under way, and whatever would follow."""
        self._is_cut = True
        if (watch := self._watch) is not None:
            watch.cut()

    def check(self) -> None:
        """Raises ``CancelledError`` once it is cut."""
        if self._is_cut:
            raise CancelledError

    def answer(
        self, asked: SignedRequest, headers: Mapping[str, str], content: Iterable[bytes] | None, connect: float
    ) -> Answer:
        """The whole answer, whatever it says."""
        watch = self._watch = Watch(self._seconds)
        self.reason = ""
        try:
            self.check()
            sent = {"Content-Type": _ANY_TYPE, **asked.headers, **headers, "User-Agent": "keystow"}
            request = urllib.request.Request(  # noqa: S310  a ticket has https, or http to this machine
                asked.url, None if content is None else _taken(content, watch), sent, method=asked.method
            )
            to_this_machine = [urllib.request.ProxyHandler({})] if request.type == "http" else []
            opener = urllib.request.build_opener(Http(watch), Https(watch), _Nowhere(), *to_this_machine)
            with watch.waiting(), _whatever(opener, request, min(connect, self._seconds)) as answer:
                body = answer.read(MOST)
                watch.check()
                self.check()
                return Answer(answer.status or 0, {name.lower(): value for name, value in answer.headers.items()}, body)
        except BaseException:
            self.reason = watch.reason if watch.is_cut else ""
            raise
        finally:
            self.has_begun = watch.has_begun
            watch.end()


class _Nowhere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: object) -> None:
        """No other request."""


@contextlib.contextmanager
def _whatever(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, connect: float
) -> Iterator[http.client.HTTPResponse | urllib.error.HTTPError]:
    """The answer, also one that refuses."""
    try:
        answer = opener.open(request, timeout=connect)
    except urllib.error.HTTPError as error:
        answer = error
    with contextlib.closing(answer):
        yield answer


def _taken(content: Iterable[bytes], watch: Watch) -> Iterator[bytes]:
    """``content``, as long as it is taken; what was taken is progress."""
    for block in content:
        if watch.is_refused:
            return
        yield block
        watch.came(len(block))


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _headers(size: int, md5: bytes) -> dict[str, str]:
    return {"Content-Length": str(size), "Content-MD5": base64.b64encode(md5).decode()}
