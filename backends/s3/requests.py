"""A request to S3 and its answer, whoever carries them; and the form that a request has in HTTP.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

METADATA = "x-amz-meta-"
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""What XML has in the place of these; ``xml.sax.saxutils`` has it too, and loads ``urllib.request``."""
_METHODS = {
    "put_object": "PUT",
    "create_multipart_upload": "POST",
    "upload_part": "PUT",
    "complete_multipart_upload": "POST",
    "abort_multipart_upload": "DELETE",
    "get_object": "GET",
    "head_object": "HEAD",
    "list_objects_v2": "GET",
    "delete_object": "DELETE",
    "head_bucket": "HEAD",
    "get_bucket_versioning": "GET",
}
_FIXED = {
    "create_multipart_upload": {"uploads": ""},
    "list_objects_v2": {"list-type": "2"},
    "get_bucket_versioning": {"versioning": ""},
}
_QUERY = {
    "UploadId": "uploadId",
    "PartNumber": "partNumber",
    "VersionId": "versionId",
    "Prefix": "prefix",
    "ContinuationToken": "continuation-token",
    "EncodingType": "encoding-type",
}
_HEADERS = {
    "ContentType": "Content-Type",
    "ContentMD5": "Content-MD5",
    "ChecksumAlgorithm": "x-amz-checksum-algorithm",
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "SSEKMSEncryptionContext": "x-amz-server-side-encryption-context",
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "SSECustomerKeyMD5": "x-amz-server-side-encryption-customer-key-md5",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockRetainUntilDate": "x-amz-object-lock-retain-until-date",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "RequestPayer": "x-amz-request-payer",
    "ChecksumMode": "x-amz-checksum-mode",
    "IfNoneMatch": "If-None-Match",
    "IfMatch": "If-Match",
    "Range": "Range",
}


class Request(NamedTuple):
    """What to ask: an operation of S3's API, and its parameters, as botocore writes both.

    ``sha256`` is that of the ``body``, in hex, where somebody knows it already.
    """

    operation: str
    key: str = ""
    params: Mapping[str, Any] = {}
    body: bytes = b""
    sha256: str | None = None


class Answer(NamedTuple):
    """What was answered, whatever that is. The headers' names are in lower case.

    ``content`` is that of an object, in pieces, in place of a body; it has ``begun``, and to close it ends the answer.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    content: Generator[bytes, None, None] | None = None


class Form(NamedTuple):
    """A request as HTTP has it: ``query`` is encoded, and sorted as it is to be signed."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def form(request: Request) -> Form:
    """The request in HTTP, at the root of its bucket.

    >>> form(Request("upload_part", "a b", {"PartNumber": 1, "UploadId": "u"}))[:3]
    ('PUT', '/a%20b', 'partNumber=1&uploadId=u')
    """
    params = request.params
    query = {_QUERY[given]: str(value) for given, value in params.items() if given in _QUERY}
    query |= _FIXED.get(request.operation, {})
    encoded = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    headers = {_HEADERS[given]: value for given, value in params.items() if given in _HEADERS}
    headers |= {f"{METADATA}{name}": value for name, value in params.get("Metadata", {}).items()}
    return Form(
        _METHODS[request.operation],
        f"/{quote(request.key, safe='/~')}",
        "&".join(f"{name}={value}" for name, value in encoded),
        headers,
        _listed(params["MultipartUpload"]["Parts"]) if "MultipartUpload" in params else request.body,
    )


def _listed(parts: Sequence[Mapping[str, Any]]) -> bytes:
    described = (
        "".join(f"<{name}>{str(value).translate(_ESCAPED)}</{name}>" for name, value in sorted(part.items()))
        for part in parts
    )
    each = "".join(f"<Part>{part}</Part>" for part in described)
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{namespace}">{each}</CompleteMultipartUpload>'.encode()
