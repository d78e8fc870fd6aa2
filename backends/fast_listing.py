"""Listing a bucket of S3's beside obstore, which changes keys in its listings.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from .contract import Stat
from .fast_requests import Answer, Request, Requests


def listed(requests: Requests, prefix: str) -> Iterator[Stat]:
    """The objects whose keys start with ``prefix``, in S3's order, page by page."""
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    token: str | None = None
    while True:
        page = Request("list_objects_v2", "GET", query=query | ({"continuation-token": token} if token else {}))
        found, token = requests.send(page, partial(_understood, token))
        yield from found
        if not token:
            return


def _understood(token: str | None, answer: Answer) -> tuple[list[Stat], str | None]:
    """The objects of the page after ``token``, and the next page's token, if there is one."""
    page = answer.xml()
    following = None
    if page.findtext("{*}IsTruncated") == "true":
        following = page.findtext("{*}NextContinuationToken")
        if not following or following == token:
            raise answer.not_understood()
    encoded = page.findtext("{*}EncodingType") == "url"
    try:
        return [_stat(found, encoded=encoded) for found in page.iterfind("{*}Contents")], following
    except ValueError:
        raise answer.not_understood() from None


def _stat(found: ET.Element, *, encoded: bool) -> Stat:
    said = {child.tag.rpartition("}")[2]: child.text or "" for child in found}
    key, modified = said.get("Key", ""), said.get("LastModified")
    return Stat(
        unquote_plus(key) if encoded else key,
        int(said.get("Size", "0")),
        said.get("ETag"),
        modified=datetime.fromisoformat(modified) if modified else None,
    )
