"""One write of one key to Google Cloud Storage (https://cloud.google.com/storage/docs/uploads-downloads).

Strategy: what fits one part goes in one multipart request; more goes in a resumable session, whose precondition is
checked when it begins and when it ends, and which needs no permission but to create objects. Pieces of a session go one
after the other, and grow (``session.py``); the next is produced meanwhile. Every write carries an id of its own, and
the request that makes the object appear is settled by it (``sending/settling.py``).
"""

import base64
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from functools import partial
from typing import Any
from urllib.parse import urlencode

from keystow.backends.answers import Stored
from keystow.backends.contract import Arrived
from keystow.backends.errors import StoreError
from keystow.backends.options import ObjectOptions
from keystow.backends.sending.in_flight import Cancel, Told, in_flight
from keystow.backends.sending.pace import Pace
from keystow.backends.sending.repeating import retried, retried_on_loop
from keystow.backends.sending.settling import MARK, decided, write_id

from . import answers
from .client import Bucket, Request
from .session import Piece, Session, piece_size

_ENDED = frozenset({"404", "410", "499"})
"""What a session is answered that is over (499 to its cancellation)."""
_UNFINISHED = "the unfinished upload could not be ended; it expires in a week"


class Upload:
    """One write of one key."""

    def __init__(self, bucket: Bucket, key: str, if_absent: bool, options: ObjectOptions) -> None:
        self._bucket = bucket
        self._key = key
        self._id = write_id()
        self._query = ({"ifGenerationMatch": "0"} if if_absent else {}) | (
            {"kmsKeyName": options.kms_key} if options.kms_key else {}
        )
        self._resource = described(options) | {"name": key, "metadata": {**options.metadata, MARK: self._id}}
        self._content_type = options.content_type or "application/octet-stream"

    def single(self, body: bytes, _: str) -> Stored:
        """One request with the resource and the content (RFC 2387); the server verifies the checksum."""
        boundary = secrets.token_hex(16)
        checksum = _Checksum().add(body).text()
        resource = json.dumps(self._resource | {"crc32c": checksum})
        content = b"\r\n".join(
            [
                f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{resource}".encode(),
                f"--{boundary}\r\nContent-Type: {self._content_type}\r\n\r\n".encode() + body,
                f"--{boundary}--\r\n".encode(),
            ]
        )
        request = self._request({"uploadType": "multipart"}, f"multipart/related; boundary={boundary}", content)
        made = partial(self._bucket.told, request, answers.made, self._key, len(body), checksum)
        return self._decided(made, len(body), checksum)

    def in_parts(self, pieces: Iterator[bytes], arrived: Arrived | None = None) -> Stored:
        """A session, ended with a checksum."""
        query = {"uploadType": "resumable", "name": self._key}
        begin = self._request(query, "application/json; charset=UTF-8", json.dumps(self._resource).encode())
        begin = begin._replace(headers={**begin.headers, "X-Upload-Content-Type": self._content_type})
        begun = retried(partial(self._bucket.call, begin), patience=self._bucket.bounds.patience)
        url = self._bucket.session(begun, self._key)
        session = Session(self._bucket, self._key, url, self._content_type)
        try:
            return self._send(session, pieces, arrived)
        except BaseException as error:
            try:
                session.end(self._bucket.bounds.brief)
            except StoreError as failure:
                if failure.code not in _ENDED:
                    error.add_note(f"{_UNFINISHED} ({failure.code or failure})")
            except BaseException as interrupt:
                interrupt.add_note(_UNFINISHED)
                raise
            raise

    def _send(self, session: Session, pieces: Iterator[bytes], arrived: Arrived | None) -> Stored:
        """Sends each piece while the next is produced; the last one, which may be empty, when the others are taken."""
        checksum = _Checksum()
        offset = 0
        last = b""

        def full() -> Iterator[bytes]:
            nonlocal last
            for number, piece in enumerate(pieces, 1):
                if len(piece) < piece_size(number, self._bucket.bounds.budget.held):
                    last = piece
                else:
                    yield piece

        def send(_: int, piece: bytes, told: Told[None]) -> Cancel:
            nonlocal offset
            checksum.add(piece)
            taken = Piece(session, piece, offset).taken
            offset += len(piece)
            return self._bucket.loop.begin(retried_on_loop(taken, patience=self._bucket.bounds.patience), told)

        in_flight(full(), send, pace=Pace(1, 1), arrived=arrived)
        total, of_all = offset + len(last), checksum.add(last).text()
        end = Piece(session, last, offset, total, of_all)
        return self._decided(lambda: self._bucket.loop.run(end.made()), total, of_all)

    def _request(self, query: Mapping[str, str], content_type: str, body: bytes) -> Request:
        url = f"{self._bucket.upload_url}?{urlencode({**query, **self._query})}"
        return Request(
            "POST", url, self._key, {"Content-Type": content_type} | self._bucket.keyed, body, asked="upload"
        )

    def _decided(self, call: Callable[[], Stored], size: int, checksum: str) -> Stored:
        where = self._bucket.where(self._key)
        return decided(call, partial(self._find, size, checksum), where, self._bucket.bounds)

    def _find(self, size: int, checksum: str) -> Stored | None:
        """What is said of our object; ``None`` if another one stands there."""
        url = self._bucket.object_url(self._key)
        look = Request("GET", url, self._key, self._bucket.keyed, seconds=self._bucket.bounds.brief)
        return self._bucket.told(look, answers.ours, self._key, size, checksum, self._id)


def described(options: ObjectOptions) -> dict[str, Any]:
    """What is said of an object beside its name and metadata (https://cloud.google.com/storage/docs/json_api/v1/objects).

    >>> described(ObjectOptions(storage_class="NEARLINE"))
    {'storageClass': 'NEARLINE'}
    """
    given: dict[str, Any] = {
        "contentType": options.content_type,
        "cacheControl": options.cache_control,
        "contentDisposition": options.content_disposition,
        "storageClass": options.storage_class,
        "temporaryHold": options.legal_hold,
    }
    if options.retain_until is not None:
        mode = "Locked" if options.lock_mode == "compliance" else "Unlocked"
        given["retention"] = {"mode": mode, "retainUntilTime": options.retain_until.astimezone(UTC).isoformat()}
    return {name: value for name, value in given.items() if value}


class _Checksum:
    """CRC-32C of what was added, as Google writes it: base64 of four bytes, big-endian."""

    def __init__(self) -> None:
        self._value = 0

    def add(self, data: bytes) -> "_Checksum":
        import google_crc32c

        self._value = google_crc32c.extend(self._value, data)
        return self

    def text(self) -> str:
        return base64.b64encode(self._value.to_bytes(4, "big")).decode()
