"""Listing a bucket of S3's beside obstore, which changes keys in its listings.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from .contract import Stat
from .fast_requests import Answer, Request, Requests


def listed(requests: Requests, prefix: str) -> Iterator[Stat]:
    """The objects whose keys start with ``prefix``, in S3's order, page by page."""
    query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
    while True:
        page = requests.send(Request("list_objects_v2", "GET", query=query), Answer.xml)
        encoded = page.findtext("{*}EncodingType") == "url"
        for found in page.iterfind("{*}Contents"):
            yield _stat(found, encoded=encoded)
        following = page.findtext("{*}NextContinuationToken")
        if page.findtext("{*}IsTruncated") != "true" or not following:
            return
        query["continuation-token"] = following


def _stat(found: ET.Element, *, encoded: bool) -> Stat:
    said = {child.tag.rpartition("}")[2]: child.text or "" for child in found}
    key, modified = said.get("Key", ""), said.get("LastModified")
    return Stat(
        unquote_plus(key) if encoded else key,
        int(said.get("Size", "0")),
        said.get("ETag"),
        modified=datetime.fromisoformat(modified) if modified else None,
    )
