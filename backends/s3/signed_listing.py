"""Listing a bucket of S3's beside obstore, which changes keys in its listings.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from keystow.backends.answers import Pages
from keystow.backends.contract import Stat

from .answers import ROOTS, stat_of
from .signed import Answer, Request, Requests


def listed(requests: Requests, prefix: str) -> Iterator[Stat]:
    """The objects whose keys start with ``prefix``, in S3's order, page by page."""
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    token: str | None = None
    pages = Pages()
    while True:
        page = Request("list_objects_v2", "GET", query=query | ({"continuation-token": token} if token else {}))
        found, token = requests.send(page, partial(_understood, pages))
        yield from found
        if not token:
            return


def _understood(pages: Pages, answer: Answer) -> tuple[list[Stat], str | None]:
    """The objects of a page, and the next page's token, if there is one."""
    page = answer.xml(ROOTS["list_objects_v2"])
    encoded = page.findtext("{*}EncodingType") == "url"
    try:
        found = [_stat(listed, encoded=encoded) for listed in page.iterfind("{*}Contents")]
        if page.findtext("{*}IsTruncated") != "true":
            return found, None
        return found, pages.after(page.findtext("{*}NextContinuationToken"), objects=len(found))
    except ValueError:
        raise answer.not_understood() from None


def _stat(found: ET.Element, *, encoded: bool) -> Stat:
    said: dict[str, Any] = {child.tag.rpartition("}")[2]: child.text or "" for child in found}
    if encoded:
        said["Key"] = unquote_plus(said.get("Key", ""))
    if modified := said.get("LastModified"):
        said["LastModified"] = datetime.fromisoformat(modified)
    return stat_of(said)
