"""Listing a bucket of S3's beside obstore, which changes keys in its listings: signed and sent with botocore's parts.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from .contract import Stat
from .errors import StoreError, StoreUnavailableError
from .fast import Refusal, refusal
from .settling import retried

_SECONDS = (10, 60)


class Listing:
    """The objects of the bucket at ``url``, asked for with what ``credentials`` gives (as obstore wants it)."""

    def __init__(
        self,
        url: str,
        region: str,
        ca_file: str | None,
        credentials: Callable[[], Mapping[str, Any]],
        refused: Callable[[Refusal, str, str], StoreError],
    ) -> None:
        from botocore.httpsession import URLLib3Session
        from botocore.utils import get_environ_proxies

        self._url = url
        self._region = region
        self._credentials = credentials
        self._refused = refused
        options: dict[str, Any] = {"verify": ca_file or True, "proxies": get_environ_proxies(url), "timeout": _SECONDS}
        self._session = URLLib3Session(**options)

    def objects(self, prefix: str) -> Iterator[Stat]:
        """Those whose keys start with ``prefix``, in S3's order, page by page."""
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        while True:
            page = retried(lambda: self._page(query, prefix))
            encoded = page.findtext("{*}EncodingType") == "url"
            for found in page.iterfind("{*}Contents"):
                yield _stat(found, encoded=encoded)
            following = page.findtext("{*}NextContinuationToken")
            if page.findtext("{*}IsTruncated") != "true" or not following:
                return
            query["continuation-token"] = following

    def _page(self, query: Mapping[str, str], prefix: str) -> ET.Element:
        try:
            return ET.fromstring(self._answer(query, prefix))  # noqa: S314  from a store that we trust
        except ET.ParseError:
            hint = "check the endpoint and the network"
            raise StoreUnavailableError(f"{self._url}: the answer is no listing", hint=hint) from None

    def _answer(self, query: Mapping[str, str], prefix: str) -> bytes:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from botocore.exceptions import ConnectionError as NoConnectionError
        from botocore.exceptions import HTTPClientError

        keys = self._credentials()
        request = AWSRequest("GET", self._url, params=query)
        signer = Credentials(keys["access_key_id"], keys["secret_access_key"], keys["token"])
        S3SigV4Auth(signer, "s3", self._region).add_auth(request)
        try:
            answer = self._session.send(request.prepare())
        except (NoConnectionError, HTTPClientError) as error:
            said = str(error).split("?", 1)[0].rstrip(".")
            raise StoreUnavailableError(f"{self._url}: {said}", hint="check the endpoint and the network") from None
        if answer.status_code != 200:
            raise self._refused(refusal(str(answer.status_code), answer.text), prefix, "list_objects_v2")
        content: bytes = answer.content
        return content

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


def _stat(found: ET.Element, *, encoded: bool) -> Stat:
    modified = found.findtext("{*}LastModified")
    key = found.findtext("{*}Key", "")
    return Stat(
        unquote_plus(key) if encoded else key,
        int(found.findtext("{*}Size", "0")),
        found.findtext("{*}ETag"),
        modified=datetime.fromisoformat(modified) if modified else None,
    )
