"""Multipart uploads to S3 beside obstore: the requests that ``s3_upload`` makes.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html and its neighbours
"""

import threading
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any
from xml.sax.saxutils import escape

from .answers import NEEDED, ROOTS
from .signed import Answer, Line, Request, Requests

_METHODS = {
    "create_multipart_upload": "POST",
    "upload_part": "PUT",
    "complete_multipart_upload": "POST",
    "abort_multipart_upload": "DELETE",
    "head_object": "HEAD",
}
_QUERY = {"UploadId": "uploadId", "PartNumber": "partNumber"}
_HEADERS = {
    "ContentType": "Content-Type",
    "ChecksumAlgorithm": "x-amz-checksum-algorithm",
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "IfNoneMatch": "If-None-Match",
}
_METADATA = "x-amz-meta-"
_IN_XML = ("ETag", "UploadId", "ChecksumSHA256")


class MultipartBucket:
    """One bucket, for ``Upload``. ``checksums`` says whether the store is asked to verify SHA-256 on arrival."""

    def __init__(self, name: str, requests: Requests, *, checksums: bool) -> None:
        self.name = name
        self.checksums = checksums
        self._requests = requests

    def call(self, operation: str, key: str, **params: Any) -> dict[str, Any]:
        """The answer to one request on ``key``."""
        under_way = self.submit(operation, key, **params)
        try:
            return under_way.result()
        finally:
            under_way.cancel()

    def submit(self, operation: str, key: str, **params: Any) -> "Future[dict[str, Any]]":
        """One request under way; it ends when it is cancelled."""
        return _UnderWay(self._requests, _request(operation, key, params))


class _UnderWay(Future[dict[str, Any]]):
    def __init__(self, requests: Requests, request: Request) -> None:
        super().__init__()
        self._line = Line()
        self.set_running_or_notify_cancel()
        try:
            threading.Thread(target=self._run, args=(requests, request), name="keystow-part", daemon=True).start()
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> bool:
        self._line.cut()
        return False

    def _run(self, requests: Requests, request: Request) -> None:
        try:
            self.set_result(requests.send(request, partial(_understood, request.operation), self._line))
        except CancelledError:
            self.set_exception(CancelledError())  # the one that was raised would hold the body
        except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
            self.set_exception(error)
        finally:
            del self, request


def _request(operation: str, key: str, params: Mapping[str, Any]) -> Request:
    query = {"uploads": ""} if operation == "create_multipart_upload" else {}
    query |= {name: str(params[given]) for given, name in _QUERY.items() if given in params}
    headers = {name: params[given] for given, name in _HEADERS.items() if given in params}
    headers |= {f"{_METADATA}{name}": value for name, value in params.get("Metadata", {}).items()}
    body = _listed(params["MultipartUpload"]["Parts"]) if "MultipartUpload" in params else params.get("Body", b"")
    return Request(operation, _METHODS[operation], key, query, headers, body)


def _listed(parts: list[Mapping[str, Any]]) -> bytes:
    described = (
        "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in sorted(part.items())) for part in parts
    )
    each = "".join(f"<Part>{part}</Part>" for part in described)
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{namespace}">{each}</CompleteMultipartUpload>'.encode()


def _understood(operation: str, answer: Answer) -> dict[str, Any]:
    """What ``Upload`` reads, under botocore's names; what the store did not say is not there."""
    found = {"ETag": answer.headers.get("ETag"), "VersionId": answer.headers.get("x-amz-version-id")}
    if operation in ROOTS:
        said = answer.xml(ROOTS[operation])
        found |= {name: said.findtext(f"{{*}}{name}") or found.get(name) for name in _IN_XML}
    if operation in NEEDED and not found.get(NEEDED[operation]):
        raise answer.not_understood()
    metadata = {
        name.lower().removeprefix(_METADATA): value
        for name, value in answer.headers.items()
        if name.lower().startswith(_METADATA)
    }
    return {name: value for name, value in found.items() if value} | {"Metadata": metadata}
