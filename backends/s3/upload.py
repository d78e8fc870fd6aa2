"""One write to S3: a single PutObject for what fits one part, a multipart upload for more.

A conditional or multipart write carries an id of its own in the object's metadata (``keystow-write``). When the answer
to it was lost and a retry finds the key taken, that id tells our object from somebody else's.
"""

import base64
import hashlib
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, Protocol

from keystow.backends.errors import AlreadyExistsError, ConflictError, NotFoundError, StoreError, UnknownOutcomeError
from keystow.backends.sending.digest import Digest
from keystow.backends.sending.in_flight import in_flight
from keystow.backends.sending.parts import MOST_PARTS, alone, parts
from keystow.backends.sending.settling import MARK

_CONFLICT_PAUSES = (0.1, 0.4, 1.6)


class Bucket(Protocol):
    """The way to one bucket; parameters and answers are botocore's.

    ``checksums`` says whether the store is asked to verify SHA-256 on arrival.
    """

    name: str
    checksums: bool

    def call(self, operation: str, key: str, **params: Any) -> dict[str, Any]:
        """The answer to one request on ``key``."""

    def submit(self, operation: str, key: str, **params: Any) -> "Future[dict[str, Any]]":
        """One request under way, which ends when it is cancelled."""


class Upload:
    """One write of one key: its parameters, and what to make of a lost or contradicting answer."""

    def __init__(
        self, bucket: Bucket, key: str, if_absent: bool, content_type: str | None, metadata: dict[str, str]
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._condition = {"IfNoneMatch": "*"} if if_absent else {}
        self._metadata = metadata
        self._described = {"ContentType": content_type} if content_type else {}
        self._id = uuid.uuid4().hex

    def write(self, digest: Digest) -> dict[str, Any]:
        """The store's answer to the request that made the object appear."""
        only, pieces = alone(parts(digest))
        return self.in_parts(pieces) if only is None else self._put(only, digest)

    def in_parts(self, pieces: Iterable[bytes]) -> dict[str, Any]:
        """The same for what has more than one part."""
        algorithm = {"ChecksumAlgorithm": "SHA256"} if self._bucket.checksums else {}
        begun = self._bucket.call(
            "create_multipart_upload",
            self._key,
            Metadata=self._metadata | {MARK: self._id},
            **self._described,
            **algorithm,
        )
        try:
            sent = self._send(pieces, begun["UploadId"])
            params = {"UploadId": begun["UploadId"], "MultipartUpload": {"Parts": sent}, **self._condition}
            return self._decisive("complete_multipart_upload", params)
        except BaseException as error:
            self._abort(begun["UploadId"], error)
            raise

    def _put(self, body: bytes, digest: Digest) -> dict[str, Any]:
        metadata = self._metadata | ({MARK: self._id} if self._condition else {})
        params: dict[str, Any] = {"Body": body, **self._condition, **self._described}
        if metadata:
            params["Metadata"] = metadata
        if self._bucket.checksums:
            params["ChecksumSHA256"] = digest.base64()
        return self._decisive("put_object", params)

    def _send(self, pieces: Iterable[bytes], upload_id: str) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = []

        def send(number: int, piece: bytes) -> "Future[dict[str, Any]]":
            if number > MOST_PARTS:
                raise StoreError(f"s3://{self._bucket.name}/{self._key}: an object of over 5 TiB cannot be stored")
            checksum = {}
            if self._bucket.checksums:
                checksum["ChecksumSHA256"] = base64.b64encode(hashlib.sha256(piece).digest()).decode()
            described.append({"PartNumber": number} | checksum)
            return self._bucket.submit(
                "upload_part", self._key, UploadId=upload_id, PartNumber=number, Body=piece, **checksum
            )

        answers = in_flight(pieces, send)
        return [part | {"ETag": answer["ETag"]} for part, answer in zip(described, answers, strict=True)]

    def _abort(self, upload_id: str, error: BaseException) -> None:
        try:
            self._bucket.call("abort_multipart_upload", self._key, UploadId=upload_id)
        except StoreError as failure:
            if not isinstance(failure, NotFoundError | ConflictError):
                error.add_note(
                    f"the parts sent so far could not be removed ({failure.code or failure}); "
                    "a lifecycle rule of the bucket can remove unfinished uploads"
                )

    def _decisive(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """The request that makes the object appear, retried over conflicts, with a lost answer cleared up."""
        lost = False
        pauses = iter(_CONFLICT_PAUSES)
        while True:
            try:
                return self._bucket.call(operation, self._key, **params)
            except StoreError as error:
                lost = lost or error.tries > 1
                if lost and (isinstance(error, AlreadyExistsError) or error.code == "NoSuchUpload"):
                    return self._settled(error)
                pause = next(pauses, None)
                if not isinstance(error, ConflictError) or error.code == "NoSuchUpload" or pause is None:
                    raise
            time.sleep(pause)

    def _settled(self, error: StoreError) -> dict[str, Any]:
        """Our own object's answer, if it is ours that stands under the key; else ``error``."""
        try:
            found = self._bucket.call("head_object", self._key)
        except NotFoundError:
            raise error from None
        except StoreError as failure:
            raise UnknownOutcomeError(
                f"s3://{self._bucket.name}/{self._key}: the answer to the upload was lost, and whether the object "
                f"that now stands there is ours could not be read ({failure.code})",
                hint="fetch the object and compare, or publish again under another key",
            ) from error
        if found.get("Metadata", {}).get(MARK) != self._id:
            raise error
        return found | {"confirmed": "stat"}
