"""What an answer of S3's must hold, operation by operation: what has it not is somebody else's, or half an answer.

Strategy: a table of pure functions over answers; each gives what its operation is for, or raises ``ValueError``. No
answer is believed before one of them has seen it, whoever carried it.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_plus

from keystow.backends.answers import Announced, Pages, Stored, announced, natural
from keystow.backends.contract import Stat
from keystow.backends.errors import StoreUnavailableError

from .requests import METADATA, Answer

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

STRANGE = "the answer is not S3's"
TOO_LONG = "an answer without end"
CHECK = "check the endpoint and the network"
NOT_S3 = "name the server and the port of the S3 API as the endpoint, not those of its console or a web page"
_MOST_OF_AN_ERROR = 1 << 16
_MOST_TAGS = 200_000
"""A page of 1,000 keys has some 30,000; each costs a hundred times its bytes."""
_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:\w{1,80}:)?(\w{1,80})[\s/>]")
_PAGE = re.compile(rb"\s*<(?:!doctype\s|html|head|body)", re.IGNORECASE)


class Begun(NamedTuple):
    """An upload that has begun."""

    upload_id: str


class Found(NamedTuple):
    """An object that is there; the metadata's names are in lower case. The key is the request's."""

    size: int
    etag: str
    version_id: str | None
    modified: datetime | None
    metadata: Mapping[str, str]
    checksum: str | None


class Opened(NamedTuple):
    """An object's content that has begun to come."""

    announced: Announced
    etag: str


def strange(where: str, endpoint: str | None) -> StoreUnavailableError:
    """The error for an answer that S3 would not give."""
    return StoreUnavailableError(f"{where}: {strangers(endpoint)}", hint=NOT_S3)


def strangers(endpoint: str | None) -> str:
    """What is said of such an answer."""
    return f"{STRANGE} ({endpoint})" if endpoint else STRANGE


def is_error(content: bytes) -> bool:
    """Whether ``content`` tells of a failure, as S3 does."""
    return len(content) <= _MOST_OF_AN_ERROR and _begins(content, "Error")


def stored(answer: Answer) -> Stored:
    """The object or part that was sent."""
    if _PAGE.match(answer.body):
        raise ValueError("a page for people")
    headers = answer.headers
    return Stored(_needed(headers.get("etag")), headers.get("x-amz-version-id"), headers.get("x-amz-checksum-sha256"))


def begun(answer: Answer) -> Begun:
    """The upload that was asked for."""
    said = _parsed(answer.body, "InitiateMultipartUploadResult")
    return Begun(_needed(said.findtext("{*}UploadId")))


def completed(answer: Answer) -> Stored:
    """The object that was put together."""
    said = _parsed(answer.body, "CompleteMultipartUploadResult")
    etag = _needed(said.findtext("{*}ETag") or answer.headers.get("etag"))
    return Stored(etag, answer.headers.get("x-amz-version-id"), said.findtext("{*}ChecksumSHA256"))


def found(answer: Answer) -> Found:
    """The object that was asked after."""
    headers = answer.headers
    modified = headers.get("last-modified")
    metadata = {name.removeprefix(METADATA): value for name, value in headers.items() if name.startswith(METADATA)}
    return Found(
        natural(headers.get("content-length")),
        _needed(headers.get("etag")),
        headers.get("x-amz-version-id"),
        parsedate_to_datetime(modified) if modified else None,
        metadata,
        headers.get("x-amz-checksum-sha256"),
    )


def opened(start: int, stop: int | None, answer: Answer) -> Opened:
    """The content of an object, of which the bytes from ``start`` up to ``stop`` were asked for."""
    headers = answer.headers
    length, said = headers.get("content-length"), headers.get("content-range")
    return Opened(announced(answer.status, length, said, start, stop), _needed(headers.get("etag")))


def listed(pages: Pages, answer: Answer) -> tuple[list[Stat], str | None]:
    """The objects of a page, and the next page's token, if there is one."""
    page = _parsed(answer.body, "ListBucketResult")
    encoded = page.findtext("{*}EncodingType") == "url"
    objects = [_object(each, encoded=encoded) for each in page.iterfind("{*}Contents")]
    if page.findtext("{*}IsTruncated") != "true":
        return objects, None
    return objects, pages.after(page.findtext("{*}NextContinuationToken"), objects=len(objects))


def nothing(answer: Answer) -> None:
    """All that there is to say of what was removed."""
    if _PAGE.match(answer.body):
        raise ValueError("a page for people")


UNDERSTOOD: dict[str, Callable[[Answer], Any]] = {
    "put_object": stored,
    "create_multipart_upload": begun,
    "upload_part": stored,
    "complete_multipart_upload": completed,
    "abort_multipart_upload": nothing,
    "head_object": found,
    "delete_object": nothing,
}
"""What an answer is understood as; ``get_object`` and ``list_objects_v2`` need to be told what was asked for."""


def _begins(content: bytes, root: str) -> bool:
    """Whether ``content`` is XML whose first element is ``root``, in the encoding that S3 has, and without a DTD.

    Not all who speak S3 write ``Result`` at the end of its name (rclone).
    """
    match = _BEGINNING.match(content)
    return match is not None and match[1].decode().removesuffix("Result") == root.removesuffix("Result")


def _parsed(content: bytes, root: str) -> "ET.Element":
    """The XML of ``content``. Raises ``ValueError`` if it is something else than a ``root``, or not all there."""
    from xml.etree import ElementTree as ET

    if not _begins(content, root) or content.count(b"<") > _MOST_TAGS:
        raise ValueError(f"no {root}")
    try:
        return ET.fromstring(content.strip())  # noqa: S314  begins without a DTD
    except (ET.ParseError, LookupError):  # of an encoding that there is not
        raise ValueError(f"half of a {root}") from None


def _needed(said: str | None) -> str:
    if not said:
        raise ValueError("something is missing")
    return said


def _object(described: "ET.Element", *, encoded: bool) -> Stat:
    said = {child.tag.rpartition("}")[2]: child.text or "" for child in described}
    key = unquote_plus(said.get("Key", "")) if encoded else said.get("Key")
    modified = said.get("LastModified")
    return Stat(
        _needed(key),
        natural(said.get("Size")),
        _needed(said.get("ETag")),
        modified=datetime.fromisoformat(modified) if modified else None,
    )
