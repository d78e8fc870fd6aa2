"""What an S3 endpoint and an S3 answer mean, read from their text alone."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

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

from .answers import CHECK, STRANGE

_MOST_SAID = 300
"""Characters of what a server says that are told."""
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")

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
            "429",
            "500",
            "502",
            "503",
            "504",
        ),
        (StoreUnavailableError, "try again later"),
    ),
}
_NEEDS = {
    "put_object": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "delete_object": "s3:DeleteObject",
}


def translated(response: Mapping[str, Any], operation: str, bucket: str, key: str) -> StoreError:
    """The error for an S3 answer that refused ``operation`` (a client's method, such as ``put_object``).

    A redirect is a refusal too, as none is followed: the answer's ``Location`` says where it leads.
    """
    error = response.get("Error", {})
    metadata = response.get("ResponseMetadata", {})
    status = str(metadata.get("HTTPStatusCode", ""))
    code = str(error.get("Code", ""))[:_MOST_SAID] or status
    kind, hint = _ERRORS.get(code) or _ERRORS.get(status) or (StoreError, "")
    said = str(error.get("Message", ""))[:_MOST_SAID].rstrip(".")
    if status.startswith("3"):
        leads = _host(str(metadata.get("HTTPHeaders", {}).get("location") or f"//{error.get('Endpoint', '')}"))
        said = f"a redirect{f' to {leads}' if leads else ''}, which is not followed"
        hint = hint or "set the endpoint to it, or the region, if the bucket is there"
    if kind is AccessDeniedError:
        need = _NEEDS.get(operation, operation)
        resource = bucket if need == "s3:ListBucket" else f"{bucket}/*"
        hint = f"allow {need} on arn:aws:s3:::{resource}, or use other credentials"
    what = "already exists" if kind is AlreadyExistsError else ": ".join(filter(None, (code, said)))
    if STRANGE in said:
        what, hint = f"{code}: {said}", CHECK
    found = kind(
        f"s3://{bucket}/{key}: {what}",
        code=code,
        request_id=str(metadata.get("RequestId") or "")[:_MOST_SAID],
        hint=hint,
    )
    found.tries = 1 + metadata.get("RetryAttempts", 0)
    return found


def _host(location: str) -> str:
    """The server that ``location`` names, if it names one; of the path and the query nothing: they may hold secrets."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    server = parts.netloc.rpartition("@")[2]
    if not _HOST.fullmatch(server):
        return ""
    return f"{parts.scheme}://{server}" if parts.scheme else server
