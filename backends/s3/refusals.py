"""What an answer that refuses means: the error to raise, read from its status, its headers and its body alone.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

from keystow.backends.endpoints import region_of
from keystow.backends.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from keystow.backends.sending.repeating import UNAVAILABLE

from .answers import NOT_S3, STRANGE, is_error, strangers
from .requests import Answer

_REGION = r"[A-Za-z0-9_-]{1,60}"
_MOST_SAID = 300
"""Characters of what a server says that are told."""
_HOST = r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?"

_CREDENTIALS = "check the credentials that are in use, and the clock of this machine"
_ERRORS: dict[str, tuple[type[StoreError], str]] = {
    "NoSuchBucket": (BucketNotFoundError, "create the bucket, or correct its name, endpoint or region"),
    "InvalidBucketName": (BucketNotFoundError, "correct the bucket's name"),
    "NoSuchKey": (NotFoundError, ""),
    "NoSuchVersion": (NotFoundError, ""),
    "KeyTooLongError": (InvalidKeyError, "shorten the key"),
    "NoSuchUpload": (ConflictError, "the upload was ended by somebody else; publish again"),
    "404": (NotFoundError, ""),
    "AccessDenied": (AccessDeniedError, ""),
    "403": (AccessDeniedError, ""),
    "InvalidAccessKeyId": (CredentialsError, _CREDENTIALS),
    "SignatureDoesNotMatch": (CredentialsError, _CREDENTIALS),
    "InvalidToken": (CredentialsError, _CREDENTIALS),
    "ExpiredToken": (CredentialsError, "renew the credentials"),
    "TokenRefreshRequired": (CredentialsError, "renew the credentials"),
    "RequestTimeTooSkewed": (CredentialsError, "set the clock of this machine"),
    "PreconditionFailed": (AlreadyExistsError, ""),
    "412": (AlreadyExistsError, ""),
    "ConditionalRequestConflict": (ConflictError, "publish again"),
    "OperationAborted": (ConflictError, "publish again"),
    "409": (ConflictError, "publish again"),
    "PermanentRedirect": (StoreError, "the bucket is in another region: set its region"),
    "AuthorizationHeaderMalformed": (StoreError, "the bucket may be in another region: set its region"),
    "IllegalLocationConstraintException": (StoreError, "the bucket is in another region: set its region"),
    **dict.fromkeys(
        (
            "SlowDown",
            "ServiceUnavailable",
            "InternalError",
            "RequestTimeout",
            "TooManyRequests",
            *map(str, sorted(UNAVAILABLE)),
        ),
        (StoreUnavailableError, "try again later"),
    ),
}
_REPLACED = (ConflictError, "read it again")
_ERRORS_IN = {("get_object", "PreconditionFailed"): _REPLACED, ("get_object", "412"): _REPLACED}
"""What else a code says of one operation."""
ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301", "307"}
"""What is said of a bucket that is in another region."""
_SKEWED = "RequestTimeTooSkewed"
_LASTING = {"NoSuchUpload", "PreconditionFailed", "412"}
"""Conflicts that stay."""
_NEEDS = {
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "delete_object": "s3:DeleteObject",
    "head_bucket": "s3:ListBucket",
    "get_bucket_versioning": "s3:GetBucketVersioning",
}
_OF_BUCKETS = {"s3:ListBucket", "s3:GetBucketVersioning"}
_BUCKET_REGION = "x-amz-bucket-region"


class _Told(NamedTuple):
    code: str
    message: str
    request_id: str
    endpoint: str


def refused(answer: Answer, operation: str, bucket: str, key: str, endpoint: str | None) -> StoreError:
    """The error for an answer that refused ``operation`` (as botocore writes it).

    A redirect is a refusal too, as none is followed: the answer's ``Location`` says where it leads. S3 may also answer
    "200 OK", and tell of a failure in the body ("CompleteMultipartUpload", of the S3 API).
    """
    status = str(answer.status if answer.status >= 300 else HTTPStatus.INTERNAL_SERVER_ERROR.value)
    told = _told(answer, endpoint)
    code = told.code or status
    kind, hint = _ERRORS_IN.get((operation, code)) or _ERRORS.get(code) or _ERRORS.get(status) or (StoreError, "")
    said = told.message
    if status.startswith("3"):
        leads = _host(answer.headers.get("location") or f"//{told.endpoint}")
        said = f"a redirect{f' to {leads}' if leads else ''}, which is not followed"
        hint = hint or "set the endpoint to it, or the region, if the bucket is there"
    if code in ELSEWHERE and (region := bucket_region(answer)):
        instead = "; or set the endpoint to where the redirect leads" if status.startswith("3") else ""
        hint = f"the bucket is in {region}: {_there(region, endpoint)}{instead}"
    if code == _SKEWED:
        hint = _clock(answer.headers) or hint
    if kind is AccessDeniedError:
        need = _NEEDS.get(operation, operation)
        resource = bucket if need in _OF_BUCKETS else f"{bucket}/*"
        hint = f"allow {need} on arn:aws:s3:::{resource}, or use other credentials"
    what = "already exists" if kind is AlreadyExistsError else ": ".join(filter(None, (code, said)))
    if (kind, hint) == _REPLACED:
        what = "it was replaced while it was read"
    if STRANGE in said:
        what, hint = f"{code}: {said}", NOT_S3
    found = kind(f"s3://{bucket}/{key}: {what}", code=code, request_id=told.request_id, hint=hint)
    found.retry_after = retry_after(answer.headers)
    if isinstance(found, ConflictError):
        found.passes = code not in _LASTING
    return found


def _there(region: str, endpoint: str | None) -> str:
    """How to have requests go to ``region``."""
    if region_of(endpoint):
        return f"name the endpoint of {region}, or none"
    return f"write opt=region={region} behind the key, or, where none is written, set AWS_REGION={region}"


def _clock(headers: Mapping[str, str]) -> str:
    """How far our clock is from the server's, and what to do; nothing where the server does not tell the time."""
    from keystow.backends.reaching import SET_CLOCK, ahead_of, differs

    ahead = ahead_of(headers, datetime.now(UTC).timestamp())
    return "" if ahead is None else f"this machine's clock is {differs(ahead)}: {SET_CLOCK}"


def bucket_region(answer: Answer) -> str | None:
    """The region where the bucket is, if the answer tells: AWS does in a header, and of a wrong one in the body, too.

    >>> bucket_region(Answer(301, {"x-amz-bucket-region": "eu-west-1"}))
    'eu-west-1'
    """
    said = answer.headers.get(_BUCKET_REGION, "")
    if not said and is_error(answer.body):
        said = _text(answer.body.decode(errors="replace"), "Region")
    return said if re.fullmatch(_REGION, said) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait for, which it may name as a moment (RFC 9110, section 10.2.3).

    >>> retry_after({"retry-after": "120"})
    120.0
    """
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", said):
        return float(said)
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return None
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds)


def _told(answer: Answer, endpoint: str | None) -> _Told:
    """What the answer says of itself. No page for people is repeated, and no parser reads what a stranger wrote."""
    request_id = answer.headers.get("x-amz-request-id", "")[:_MOST_SAID]
    if not is_error(answer.body):
        phrases = {status.value: status.phrase for status in HTTPStatus}
        said = strangers(endpoint) if answer.body else phrases.get(answer.status, "")
        return _Told("", said, request_id, "")
    text = answer.body.decode(errors="replace")
    code, message, told_id, elsewhere = (_text(text, name) for name in ("Code", "Message", "RequestId", "Endpoint"))
    return _Told(code, message.rstrip("."), told_id or request_id, elsewhere)


def _text(text: str, name: str) -> str:
    from html import unescape

    found = re.search(rf"<(?:\w{{1,80}}:)?{name}>([^<]{{1,{_MOST_SAID}}})", text)
    return unescape(found[1]).strip() if found else ""


def _host(location: str) -> str:
    """The server that ``location`` names, if it names one; of the path and the query nothing: they may hold secrets."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    server = parts.netloc.rpartition("@")[2]
    if not re.fullmatch(_HOST, server):
        return ""
    return f"{parts.scheme}://{server}" if parts.scheme else server
