"""Listing a bucket of S3's beside obstore, which changes keys in its listings.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from .contract import Stat
from .fast_requests import Answer, Request, Requests
from .s3_answers import ROOTS, next_page, stat_of


def listed(requests: Requests, prefix: str) -> Iterator[Stat]:
    """The objects whose keys start with ``prefix``, in S3's order, page by page."""
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    token: str | None = None
    seen: set[str] = set()
    while True:
        page = Request("list_objects_v2", "GET", query=query | ({"continuation-token": token} if token else {}))
        found, token = requests.send(page, partial(_understood, frozenset(seen)))
        yield from found
        if not token:
            return
        seen.add(token)


def _understood(seen: AbstractSet[str], answer: Answer) -> tuple[list[Stat], str | None]:
    """The objects of a page, and the next page's token, if there is one, which none was before."""
    page = answer.xml(ROOTS["list_objects_v2"])
    encoded = page.findtext("{*}EncodingType") == "url"
    try:
        following = None
        if page.findtext("{*}IsTruncated") == "true":
            following = next_page(page.findtext("{*}NextContinuationToken"), seen)
        return [_stat(found, encoded=encoded) for found in page.iterfind("{*}Contents")], following
    except ValueError:
        raise answer.not_understood() from None


def _stat(found: ET.Element, *, encoded: bool) -> Stat:
    said: dict[str, Any] = {child.tag.rpartition("}")[2]: child.text or "" for child in found}
    if encoded:
        said["Key"] = unquote_plus(said.get("Key", ""))
    if modified := said.get("LastModified"):
        said["LastModified"] = datetime.fromisoformat(modified)
    return stat_of(said)
