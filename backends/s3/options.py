"""What S3's API calls the options of an object, and what goes with every request to a bucket.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any, NamedTuple
from urllib.parse import urlencode

from keystow.backends.options import CustomerKey, ObjectOptions

from .requests import Request

_KEYED = {
    "put_object",
    "create_multipart_upload",
    "upload_part",
    "complete_multipart_upload",
    "get_object",
    "head_object",
}
"""The operations that a customer's key goes with."""


def described(options: ObjectOptions) -> dict[str, Any]:
    """The parameters of the request that begins an object.

    >>> described(ObjectOptions(kms_key="alias/results"))["ServerSideEncryption"]
    'aws:kms'
    """
    implied = "aws:kms" if options.kms_key or options.encryption_context else None
    given = {
        "ContentType": options.content_type,
        "CacheControl": options.cache_control,
        "ContentDisposition": options.content_disposition,
        "ServerSideEncryption": options.encryption or implied,
        "SSEKMSKeyId": options.kms_key,
        "SSEKMSEncryptionContext": _context(options.encryption_context),
        "StorageClass": options.storage_class,
        "Tagging": urlencode(options.tags),
        "ObjectLockMode": options.lock_mode.upper() if options.lock_mode else None,
        "ObjectLockRetainUntilDate": None
        if options.retain_until is None
        else options.retain_until.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "ObjectLockLegalHoldStatus": "ON" if options.legal_hold else None,
    }
    return {name: value for name, value in given.items() if value}


def _context(pairs: Mapping[str, str]) -> str | None:
    return base64.b64encode(json.dumps(pairs, sort_keys=True).encode()).decode() if pairs else None


class Terms(NamedTuple):
    """What goes with every request that takes it: a customer's key, and that who asks pays."""

    customer_key: CustomerKey | None = None
    requester_pays: bool = False

    def params(self, operation: str) -> dict[str, str]:
        """The parameters of a request for ``operation``."""
        found = {"RequestPayer": "requester"} if self.requester_pays else {}
        key = self.customer_key
        if key is not None and operation in _KEYED:
            found |= {
                "SSECustomerAlgorithm": "AES256",
                "SSECustomerKey": key.text,
                "SSECustomerKeyMD5": key.md5,
            }
        return found

    def on(self, request: Request) -> Request:
        """``request``, with what goes with it."""
        added = self.params(request.operation)
        return request._replace(params={**request.params, **added}) if added else request


PLAIN = Terms()
