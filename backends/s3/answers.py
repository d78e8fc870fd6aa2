"""What an answer of S3's has in it, whichever client reads it: what has it not is somebody else's, or half an answer.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from keystow.backends.answers import natural
from keystow.backends.contract import Stat
from keystow.backends.errors import StoreUnavailableError

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

STRANGE = "the answer is not S3's"
TOO_LONG = "an answer without end"
CHECK = "check the endpoint and the network"
NEEDED = {
    "put_object": "ETag",
    "create_multipart_upload": "UploadId",
    "upload_part": "ETag",
    "complete_multipart_upload": "ETag",
    "get_object": "ETag",
    "head_object": "ETag",
}
"""What the answer to an operation is nothing without, as botocore names it."""
ROOTS = {
    "list_objects_v2": "ListBucketResult",
    "create_multipart_upload": "InitiateMultipartUploadResult",
    "complete_multipart_upload": "CompleteMultipartUploadResult",
}
_MOST_OF_AN_ERROR = 1 << 16
_MOST_TAGS = 200_000
"""A page of 1,000 keys has some 30,000; each costs a hundred times its bytes."""
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:\w{1,80}:)?(\w{1,80})[\s/>]")


def strange(where: str, endpoint: str | None) -> StoreUnavailableError:
    """The error for an answer that S3 would not give."""
    return StoreUnavailableError(f"{where}: {strangers(endpoint)}", hint=CHECK)


def strangers(endpoint: str | None) -> str:
    """What is said of such an answer."""
    return f"{STRANGE} ({endpoint})" if endpoint else STRANGE


def begins(content: bytes, root: str) -> bool:
    """Whether ``content`` is XML whose first element is ``root``, in the encoding that S3 has, and without a DTD.

    Not all who speak S3 write ``Result`` at the end of its name (rclone).
    """
    found = _BEGINNING.match(content)
    return found is not None and found[1].decode().removesuffix("Result") == root.removesuffix("Result")


def is_error(content: bytes) -> bool:
    """Whether ``content`` tells of a failure, as S3 does."""
    return len(content) <= _MOST_OF_AN_ERROR and begins(content, "Error")


def parsed(content: bytes, root: str) -> "ET.Element | None":
    """The XML of ``content``, or ``None`` if it is something else than a ``root``, or not all there."""
    from xml.etree import ElementTree as ET

    if not begins(content, root) or content.count(b"<") > _MOST_TAGS:
        return None
    try:
        return ET.fromstring(content.strip())  # noqa: S314  begins without a DTD
    except ET.ParseError:
        return None


def stat_of(found: Mapping[str, Any]) -> Stat:
    """An object of a listing. Raises ``ValueError`` if anything is missing."""
    key, size, etag, modified = (found.get(name) for name in ("Key", "Size", "ETag", "LastModified"))
    if not key or not etag or size is None:
        raise ValueError("an object without a key, a size or an ETag")
    return Stat(key, natural(size), etag, modified=modified if isinstance(modified, datetime) else None)
