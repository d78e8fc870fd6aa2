"""Objects in S3 and in what speaks its protocol: what one request says, for the contract of a store (``cloud.py``)."""

import base64
import re
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from keystow.backends.answers import Pages
from keystow.backends.arguments import range_header
from keystow.backends.cloud import CloudStore, check_text
from keystow.backends.contract import Stat
from keystow.backends.credentials import Credentials
from keystow.backends.errors import (
    AccessDeniedError,
    InvalidKeyError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
)
from keystow.backends.options import CustomerKey, ObjectOptions, check_way
from keystow.backends.permits import GIB, InParts, Permit, SignedRequest, Terms, parts_for
from keystow.backends.sending.budget import USUAL, Budget
from keystow.backends.sending.continuing import Content
from keystow.backends.sending.limits import bounds

from .answers import Begun, Found, Opened, listed, opened, strange
from .bucket import Bucket
from .carriers import Carriers
from .checks import REFUSALS
from .options import Terms as OpenTerms
from .options import described
from .place import Options
from .provided import Provided
from .requests import Request, form
from .upload import Upload, abort

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What may be the name of a header (RFC 9110, section 5.6.2)."""
_HEADERS = ("content_type", "cache_control", "content_disposition", "kms_key", "storage_class")


class S3Store(CloudStore):
    """One bucket. ``endpoint`` is ``None`` for AWS; ``region`` is always known.

    ``ca_file`` holds the certificates to trust (default: ``AWS_CA_BUNDLE``, then the system's). ``addressing`` puts the
    bucket into the URL's path or its host name; without it, AWS gets the host name and others the path.
    ``conditions=False`` says that the endpoint ignores ``If-None-Match``, as ``probe`` finds out. ``engine="fsspec"``
    has all requests carried by fsspec's client, and any other only those that nothing else can carry (``carriers``).
    ``customer_key`` and ``requester_pays`` are ``open_store``'s.
    """

    kind = "s3"
    largest_permitted = 5 * GIB
    tells_of_absence = False

    def __init__(
        self,
        bucket: str,
        *,
        engine: str = "auto",
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        ca_file: str | None = None,
        addressing: Literal["path", "virtual"] | None = None,
        conditions: bool = True,
        customer_key: CustomerKey | None = None,
        requester_pays: bool = False,
        timeout: float | None = None,
        budget: Budget = USUAL,
        credentials: Credentials | None = None,
    ) -> None:
        super().__init__(f"s3://{bucket}", bounds(timeout, budget), keyed=customer_key is not None)
        self.capabilities = replace(type(self).capabilities, if_absent=conditions)
        given = None if credentials is None else Provided(credentials)
        options = Options(endpoint, region, profile, ca_file, addressing, self._bounds.connect, given)
        carriers = Carriers(bucket, engine, options)
        check_way(carriers.endpoint or "https:", customer_key)
        self._bucket = Bucket(bucket, carriers, self._bounds, OpenTerms(customer_key, requester_pays))

    @property
    def endpoint(self) -> str | None:
        """The endpoint's URL; ``None`` for AWS's own."""
        return self._bucket.endpoint

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self._bucket.region

    def _upload(self, key: str, if_absent: bool, options: ObjectOptions) -> Upload:
        self._check_headers(key, options)
        return Upload(self._bucket, key, if_absent, options)

    def _check_headers(self, key: str, options: ObjectOptions) -> None:
        for name, value in options.metadata.items():
            if not _NAME.fullmatch(name) or not _is_header(value):
                raise StoreError(f"{self._bucket.where(key)}: the metadata {name!r} is not printable ASCII")
        for name in _HEADERS:
            if not _is_header(getattr(options, name) or ""):
                raise StoreError(
                    f"{self._bucket.where(key)}: the {name} {getattr(options, name)!r} is not printable ASCII"
                )

    def _content(self, key: str, version_id: str | None, stop: int | None, start: int, tag: str | None) -> Content:
        given = {"VersionId": version_id, "Range": range_header(start, stop), "IfMatch": tag}
        request = Request("get_object", key, {name: value for name, value in given.items() if value is not None})
        pieces = self._answered(request, start, stop)
        found: Opened = next(pieces)
        return Content(pieces, _strong(found.etag), *found.announced)

    def _answered(self, request: Request, start: int, stop: int | None) -> Generator[Any, None, None]:
        """What is promised, and then the content, which has to have the length that was announced.

        Whoever takes its pieces may take any time for it.
        """
        contents: list[Generator[bytes, None, None]] = []

        def understood(answer: Any) -> Any:
            contents.append(answer.content)
            return opened(start, stop, answer)

        with self._bucket.lines.line() as line:
            found: Opened = self._bucket.once(request, line, understood)
            with closing(contents[0]) as content:
                yield found
                left = found.announced.length
                for piece in content:
                    line.waits()
                    if len(piece) > left:
                        yield piece[:left]
                        raise strange(self._bucket.where(request.key), self.endpoint)
                    left -= len(piece)
                    yield piece
                    if not left:
                        return
                    line.moved()
                if left:
                    at = f" ({self.endpoint})" if self.endpoint else ""
                    raise StoreUnavailableError(f"{self._bucket.where(request.key)}: the content broke off{at}")

    def _tag(self, found: Stat) -> str | None:
        return None if found.etag is None else _strong(_quoted(found.etag))

    def _found(self, key: str, version_id: str | None) -> Stat:
        params = {"VersionId": version_id} if version_id is not None else {}
        try:
            found: Found = self._bucket.asked(Request("head_object", key, params | {"ChecksumMode": "ENABLED"}))
        except StoreError as error:
            # Of what KMS encrypts, S3 tells the checksum to those alone who may decrypt it; others may know of none.
            if not isinstance(error, AccessDeniedError) and error.code not in REFUSALS:
                raise
            found = self._bucket.asked(Request("head_object", key, params))
        return Stat(key, found.size, found.etag, found.version_id, found.modified, found.checksum)

    def _page(self, prefix: str, token: str | None, pages: Pages) -> tuple[Sequence[Stat], str | None]:
        params = {"Prefix": prefix, "EncodingType": "url"} | ({"ContinuationToken": token} if token else {})
        found: tuple[Sequence[Stat], str | None] = self._bucket.asked(
            Request("list_objects_v2", "", params), partial(listed, pages)
        )
        return found

    def _deleted(self, key: str) -> None:
        self._bucket.asked(Request("delete_object", key))

    def _signed(self, key: str, seconds: int, method: str, version_id: str | None) -> str:
        operation = "get_object" if method == "GET" else "put_object"
        params = {"Key": key} | ({"VersionId": version_id} if version_id is not None else {})
        return self._bucket.sign(operation, params, seconds, method)

    def _permitted(self, key: str, terms: Terms) -> Permit:
        """The condition, what is said of the object and the checksum are headers, which the signature covers."""
        self._check_headers(key, terms.options)
        said = described(terms.options) | ({"Metadata": dict(terms.options.metadata)} if terms.options.metadata else {})
        if terms.most is not None and terms.most > self.largest_permitted:
            return self._permitted_in_parts(key, terms, terms.most, said)
        params = said | {"IfNoneMatch": "*"}
        if terms.sha256 is not None:
            params["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(terms.sha256)).decode()
        way = self._request("put_object", key, params, terms.seconds)
        return Permit(self._most(terms), way, terms.sha256, is_bound=terms.sha256 is not None)

    def _permitted_in_parts(self, key: str, terms: Terms, most: int, said: dict[str, Any]) -> Permit:
        if terms.sha256 is not None:
            raise UnsupportedError(
                f"{self._bucket.where(key)}: S3 verifies a SHA-256 of what goes in one request, which is up to "
                f"{self.largest_permitted} bytes: ask for a smaller max_size, or leave sha256 out"
            )
        if most > 5 << 40:
            raise UnsupportedError(f"{self._bucket.where(key)}: an object of over 5 TiB cannot be stored")
        made: Begun = self._bucket.asked(Request("create_multipart_upload", key, said))
        upload = {"UploadId": made.upload_id}
        try:
            parts = [
                self._request("upload_part", key, upload | {"PartNumber": number}, terms.seconds)
                for number in range(1, parts_for(most) + 1)
            ]
            complete = self._request("complete_multipart_upload", key, upload | {"IfNoneMatch": "*"}, terms.seconds)
            return Permit(
                most, InParts(parts, complete, self._request("abort_multipart_upload", key, upload, terms.seconds))
            )
        except BaseException as error:
            abort(self._bucket, key, upload, error)
            raise

    def _request(self, operation: str, key: str, params: dict[str, Any], seconds: int) -> SignedRequest:
        asked = form(Request(operation, key, params))
        url = self._bucket.sign(operation, params | {"Key": key}, seconds, asked.method)
        return SignedRequest(asked.method, url, asked.headers)

    def close(self) -> None:
        self._bucket.close()

    def _check(self, key: str) -> None:
        """Without a key, a request would be one for the whole bucket."""
        if not key:
            raise InvalidKeyError(f"s3://{self._bucket.name}: the key is empty")
        check_text(key)


def _quoted(etag: str) -> str:
    """An ETag as headers have it (RFC 9110, section 8.8.3): in listings, not all who speak S3 write its quotes."""
    return etag if etag.endswith('"') else f'"{etag}"'


def _strong(etag: str) -> str | None:
    return None if etag.startswith("W/") else etag


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()
