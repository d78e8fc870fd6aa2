"""One write to S3: a single PutObject for what fits one part, a multipart upload for more.

Every write carries an id of its own in the object's metadata (``keystow-write``), which tells our object from somebody
else's when an answer was lost (``sending/settling.py``).
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError
from functools import partial
from typing import Any, NamedTuple

from keystow.backends.answers import Stored
from keystow.backends.contract import Arrived
from keystow.backends.errors import ConflictError, NotFoundError, StoreError, StoreUnavailableError
from keystow.backends.options import ObjectOptions
from keystow.backends.sending.in_flight import Cancel, Told, in_flight, in_thread
from keystow.backends.sending.lines import Line
from keystow.backends.sending.parts import FEW, MOST_PARTS
from keystow.backends.sending.repeating import retried
from keystow.backends.sending.settling import MARK, decided, write_id

from .answers import Begun, Found
from .bucket import Bucket
from .checks import Checks
from .options import described
from .requests import Request

_ABORT_SECONDS = 5.0
_INTERRUPTED_SECONDS = 1.5
"""For the abort of whoever was interrupted, who is waiting."""
_UNFINISHED = "a lifecycle rule of the bucket can remove unfinished uploads"

_log = logging.getLogger("keystow")


class _Part(NamedTuple):
    """A part that was sent: how the upload's completion names it, and whether the store verified it."""

    described: Mapping[str, Any]
    is_checked: bool


class Upload:
    """One write of one key: its parameters, and the way to find out what became of it."""

    def __init__(self, bucket: Bucket, key: str, if_absent: bool, options: ObjectOptions) -> None:
        self._bucket = bucket
        self._key = key
        self._id = write_id()
        self._condition = {"IfNoneMatch": "*"} if if_absent else {}
        self._described = described(options) | {"Metadata": {**options.metadata, MARK: self._id}}

    def single(self, body: bytes, sha256: str) -> Stored:
        """PutObject."""
        params = self._condition | self._described
        return self._decided(lambda line: self._sent("put_object", params, body, sha256, line)[0])

    def in_parts(self, pieces: Iterable[bytes], arrived: Arrived | None = None) -> Stored:
        """UploadPart for each piece, some under way at once, and CompleteMultipartUpload."""
        self._bucket.ready("upload_part", min(self._bucket.pace.number, FEW) - 1)  # what begins it takes one more
        upload = {"UploadId": self._begun().upload_id}
        try:
            sent = in_flight(
                pieces,
                partial(self._under_way, upload),
                pace=self._bucket.pace,
                budget=self._bucket.bounds.budget,
                arrived=arrived,
            )
            params = upload | {"MultipartUpload": {"Parts": [part.described for part in sent]}} | self._condition
            complete = Request("complete_multipart_upload", self._key, params)
            stored = self._decided(partial(self._bucket.once, complete), self._bucket.bounds.completion)
        except BaseException as error:
            abort(self._bucket, self._key, upload, error)
            raise
        if stored.confirmed == "response" and all(part.is_checked for part in sent):
            return stored._replace(confirmed="checksum")
        return stored

    def _begun(self) -> Begun:
        """The upload, for which the store was asked once, or again where no answer came."""
        lost = False

        def begin(line: Line, algorithm: Mapping[str, str]) -> Any:
            nonlocal lost
            try:
                request = Request("create_multipart_upload", self._key, {**self._described, **algorithm})
                return self._bucket.once(request, line)
            except StoreUnavailableError as error:
                lost = lost or error.may_have_arrived
                raise

        with self._bucket.lines.line() as line:
            try:
                verified = partial(self._bucket.verification.begun, partial(begin, line))
                found: Begun = retried(verified, patience=self._bucket.bounds.patience)
            except BaseException as error:
                if lost or not isinstance(error, StoreError):
                    error.add_note(f"an upload without parts may have been begun and left behind; {_UNFINISHED}")
                raise
        if lost:
            where = self._bucket.where(self._key)
            _log.warning("%s: an upload without parts may have been left behind; %s", where, _UNFINISHED)
        return found

    def _under_way(self, upload: Mapping[str, str], number: int, piece: bytes, told: Told[_Part]) -> Cancel:
        if number > MOST_PARTS:
            raise StoreError(f"{self._bucket.where(self._key)}: an object of over 5 TiB cannot be stored")

        line = self._bucket.lines.line()

        def work() -> _Part:
            params = {**upload, "PartNumber": number}
            with line:
                sha256 = hashlib.sha256(piece).hexdigest()
                send = partial(self._sent, "upload_part", params, piece, sha256, line)
                stored, checks = retried(send, patience=self._bucket.bounds.patience)
            checksum = {name: value for name, value in checks.items() if name == "ChecksumSHA256"}
            described = {"PartNumber": number, "ETag": stored.etag} | checksum
            return _Part(described, stored.confirmed == "checksum")

        try:
            in_thread(work, told)
        except BaseException:
            line.cut()
            raise
        return line.cut

    def _sent(
        self, operation: str, params: Mapping[str, Any], body: bytes, sha256: str, line: Line
    ) -> tuple[Stored, Mapping[str, str]]:
        """What the store says of ``body``, and what went along to verify it."""
        went: Mapping[str, str] = {}

        def send(checks: Checks) -> Any:
            nonlocal went
            went = checks.params(body, sha256)
            return self._bucket.once(Request(operation, self._key, {**params, **went}, body, sha256), line)

        return self._bucket.verification.stored(send), went

    def _decided(self, send: Callable[[Line], Stored], seconds: float | None = None) -> Stored:
        """What comes of the request that makes the object appear."""
        with self._bucket.lines.line(seconds) as line:
            where = self._bucket.where(self._key)
            return decided(lambda: send(line), self._found, where, self._bucket.bounds)

    def _found(self) -> Stored | None:
        """Our own object, if it is ours that stands under the key."""
        look = Request("head_object", self._key)
        with self._bucket.lines.line(self._bucket.bounds.brief) as line:
            found: Found = self._bucket.once(look, line)
        if found.metadata.get(MARK) != self._id:
            return None
        return Stored(found.etag, found.version_id, confirmed="stat")


def abort(bucket: Bucket, key: str, upload: Mapping[str, str], error: BaseException) -> None:
    """Has the store forget the parts, within a bound; what could not be done is told in a note."""
    is_waited_for = isinstance(error, CancelledError) or not isinstance(error, Exception)
    seconds = _INTERRUPTED_SECONDS if is_waited_for else _ABORT_SECONDS
    try:
        bucket.asked(Request("abort_multipart_upload", key, upload), seconds=seconds, patience=seconds / 2)
    except (NotFoundError, ConflictError):
        return
    except BaseException as failure:
        said = getattr(failure, "code", "") or str(failure) or type(failure).__name__
        error.add_note(f"the parts sent so far could not be removed ({said}); {_UNFINISHED}")
        if isinstance(error, Exception) and not isinstance(failure, Exception):
            failure.add_note(error.__notes__[-1])
            raise
