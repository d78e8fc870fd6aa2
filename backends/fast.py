"""The obstore engine: what its client does as the contract says goes through it (https://developmentseed.org/obstore).

Strategy: the rest goes to the store of the fsspec engine. Here that is everything but reading: obstore's writes to
Google and Azure carry no checksum to be verified on arrival, its listings change keys, and it signs no versions.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from .arguments import is_empty
from .contract import Capabilities, Stat, Store, Written
from .errors import CredentialsError, StoreError, StoreUnavailableError, raise_alone

_CHUNK = 1 << 20
RETRIES: dict[str, Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}
CLIENT: dict[str, Any] = {"connect_timeout": timedelta(seconds=10), "allow_invalid_certificates": False}
_READING: dict[str, Any] = {"timeout": timedelta(days=7), "read_timeout": timedelta(seconds=60)}
_NOT_KEPT = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|[\x00-\x1f\x7f\\\ud800-\udfff]")
_STATUS = re.compile(r"status code: (\d{3})[^:<]{0,100}:?\s*(\ufeff?(?:<\?xml[^>]{0,200}>\s*)?<Error[\s>])?")
_CODE = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]{1,300})")
_REASON = re.compile(r'(?:message|error): "([^"]{1,200})"')
_REQUEST = re.compile(r"<RequestId>([^<]{1,100})</RequestId>")

_SIGNS = {
    "InvalidCertificate": "the server's certificate is not trusted",
    "InvalidContentType": "the server does not speak TLS there",
    "IncompleteMessage": "the connection was closed before an answer came",
    "TimedOut": "no answer came in time",
}
"""What hides in obstore's debugging text."""
TOO_LONG = "the server sent more than it had announced"
NO_ETAG = "the answer names no ETag"
_NEVER = threading.Event()

Result = TypeVar("Result")
Made_co = TypeVar("Made_co", covariant=True)


class Refusal(NamedTuple):
    """What a server's answer said, as far as it said it; ``location`` is where a redirect leads."""

    status: str
    code: str
    message: str
    request_id: str
    location: str = ""


def _unanswered(where: str, endpoint: str | None, said: str, told: str = "") -> StoreUnavailableError:
    at = f" ({endpoint})" if endpoint else ""
    return StoreUnavailableError(f"{where}: {told or said}{at}", hint="check the endpoint and the network")


@dataclass(frozen=True, slots=True)
class Cloud:
    """What the engine has to know of one bucket.

    ``connect`` takes obstore's ``client_options`` and ``retry_config``; ``refused`` makes the error of a refusal, for a
    key and an operation of S3's; ``unanswered`` that for a request without an answer that makes sense, from where it
    went, the endpoint, what obstore says of it, and what of that may be told.
    """

    url: str
    endpoint: str | None
    connect: Callable[[Mapping[str, Any], Mapping[str, Any]], Any]
    refused: Callable[[Refusal, str, str], StoreError]
    unanswered: Callable[[str, str | None, str, str], StoreError] = _unanswered


class Late(Generic[Made_co]):
    """What ``make`` gives, asked when it is first needed, until there is something; ``made`` is ``None`` before."""

    def __init__(self, make: Callable[[], Made_co]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.made: Made_co | None = None

    def __call__(self) -> Made_co:
        with self._lock:
            if self.made is None:
                self.made = self._make()
            return self.made


class FastStore:
    """One bucket. ``rest`` is the store of the fsspec engine."""

    def __init__(self, cloud: Cloud, rest: Late[Store]) -> None:
        self.cloud = cloud
        self.endpoint = cloud.endpoint
        self._rest = rest
        self._reader = cloud.connect(CLIENT | _READING, RETRIES)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the fsspec engine."""
        return self._rest().capabilities

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Written:
        return self._rest().write(key, chunks, if_absent=if_absent, content_type=content_type, metadata=metadata)

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        if is_empty(start, stop):
            self.stat(key, version_id=version_id)
            return
        options: dict[str, Any] = {"version": version_id} if version_id is not None else {}
        if start or stop is not None:
            options["range"] = {"offset": start} if stop is None else (start, stop)
        found = self._stream(key, options) if is_kept(key) else None
        if found is None:
            yield from self._rest().read(key, version_id=version_id, start=start, stop=stop)
            return
        stream, left = found
        while True:
            with self.errors(key, "get_object"):
                chunk = interruptible(lambda _: next(stream, b""))
            if not chunk:
                return
            left -= len(chunk)
            if left < 0:
                raise self.cloud.unanswered(f"{self.cloud.url}/{key}", self.endpoint, TOO_LONG, "")
            yield chunk

    def _stream(self, key: str, options: dict[str, Any]) -> tuple[Iterator[bytes], int] | None:
        """The content, and its announced length; ``None`` for a range that obstore and the server see differently."""
        import obstore

        with self.errors(key, "get_object"):
            try:
                found = interruptible(lambda _: obstore.get(self._reader, key, options=options))
            except obstore.exceptions.GenericError as error:
                if "range" in options and _refusal(error).status in {"", "416"}:
                    return None
                raise
            self.check(found.meta, key)
            first, last = found.range
            stream: Iterator[bytes] = found.stream(min_chunk_size=_CHUNK)
            return stream, last - first

    def check(self, said: Mapping[str, Any], key: str) -> None:
        """Raises ``StoreUnavailableError`` for an object without an ETag: all stores have one, and strangers do not."""
        if not said["e_tag"]:
            raise self.cloud.unanswered(f"{self.cloud.url}/{key}", self.endpoint, NO_ETAG, "")

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        return self._rest().stat(key, version_id=version_id)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        return self._rest().list(prefix)

    def delete(self, key: str) -> None:
        self._rest().delete(key)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        return self._rest().presign(key, expires=expires, method=method, version_id=version_id)

    def close(self) -> None:
        if self._rest.made:
            self._rest.made.close()

    @contextlib.contextmanager
    def errors(self, key: str, operation: str) -> Iterator[None]:
        """Within this, obstore's errors become the store's.

        They are not kept as the cause: what they print has the whole request in it.
        """
        import obstore

        where = f"{self.cloud.url}/{key}"
        try:
            with no_panic(where):
                yield
        except StoreError:
            raise
        except (obstore.exceptions.BaseError, OSError, NotImplementedError) as error:
            refusal = _refusal(error)
            if refusal.status:
                raise_alone(self.cloud.refused(refusal, key, operation))
            if isinstance(error, obstore.exceptions.UnauthenticatedError):
                raise_alone(CredentialsError(f"{where}: {refusal.message}", hint="renew the credentials"))
            raise_alone(self.cloud.unanswered(where, self.endpoint, str(error), refusal.message))


@contextlib.contextmanager
def no_panic(where: str) -> Iterator[None]:
    """Within this, a panic of obstore's is an error like others; it is a ``BaseException``, which nobody catches."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        said = str(error).partition("\n")[0]
        raise_alone(StoreError(f"{where}: obstore failed: {said}", hint="use engine=fsspec"))


def interruptible(work: Callable[[threading.Event], Result]) -> Result:
    """What ``work`` gives. obstore does not wake up for a signal, so the main thread waits for another thread.

    When it is interrupted, ``work`` learns it from the event, and is not waited for.
    """
    if threading.current_thread() is not threading.main_thread():
        return work(_NEVER)
    ending = threading.Event()
    answer: Future[Result] = Future()

    def run() -> None:
        try:
            answer.set_result(work(ending))
        except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
            answer.set_exception(error)

    threading.Thread(target=run, name="keystow-obstore", daemon=True).start()
    try:
        return answer.result()
    finally:
        ending.set()


def is_kept(key: str) -> bool:
    """Whether obstore keeps ``key`` as it is: it drops outer slashes, and refuses empty and dotted segments."""
    return _NOT_KEPT.search(key) is None


def _refusal(error: BaseException) -> Refusal:
    """What obstore tells of an answer, or of there being none; the URL, and what is for debugging, is left out."""
    text, _, debug = str(error).partition("\n\nDebug source:")
    status = _STATUS.search(text)
    told = refusal(status[1] if status else "", text if status and status[2] else "")
    if "redirect without LOCATION" in text:
        return Refusal("301", "PermanentRedirect", "", "")
    if told.message:
        return told
    return told._replace(message=": ".join(filter(None, (text.rpartition(" - ")[2].strip(), _reason(debug)))))


def _reason(debug: str) -> str:
    """Why there was no answer, as the system or the resolver says it."""
    for sign, reason in _SIGNS.items():
        if sign in debug:
            return reason
    found = _REASON.search(debug)
    return found[1] if found else ""


def refusal(status: str, body: str) -> Refusal:
    """What an answer with ``status`` says in the XML of its ``body``."""
    from html import unescape

    found = [pattern.search(body) for pattern in (_CODE, _MESSAGE, _REQUEST)]
    return Refusal(status, *(unescape(match[1]) if match else "" for match in found))
