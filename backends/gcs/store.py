"""Objects in Google Cloud Storage, over its JSON API (https://cloud.google.com/storage/docs/json_api): its requests."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from keystow.backends.answers import Pages
from keystow.backends.arguments import range_header
from keystow.backends.cloud import CloudStore
from keystow.backends.contract import Stat
from keystow.backends.errors import CredentialsError, InvalidKeyError, UnsupportedError
from keystow.backends.options import CustomerKey, ObjectOptions
from keystow.backends.permits import GIB, Permit, SignedRequest, Terms, headers_of
from keystow.backends.sending.budget import USUAL, Budget
from keystow.backends.sending.continuing import Content
from keystow.backends.sending.limits import bounds
from keystow.backends.sending.repeating import retried
from keystow.backends.texts import guard_logs

from . import answers
from .client import Bucket, Request
from .session import piece_size
from .settings import CREDENTIALS
from .upload import Upload

_PAGE = 1000
_HEADERS = {
    "content_type": "Content-Type",
    "cache_control": "Cache-Control",
    "content_disposition": "Content-Disposition",
    "storage_class": "x-goog-storage-class",
    "kms_key": "x-goog-encryption-kms-key-name",
}
"""Of the XML API, in which a signed URL speaks (https://cloud.google.com/storage/docs/xml-api/reference-headers)."""

Answer = TypeVar("Answer")


class GCSStore(CloudStore):
    """One bucket. Versions are generations (https://cloud.google.com/storage/docs/object-versioning).

    ``requester_pays`` is the project that does.
    """

    kind = "gs"
    largest_permitted = 5 * 1024 * GIB

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        timeout: float | None = None,
        budget: Budget = USUAL,
        credentials: Any = None,
        customer_key: CustomerKey | None = None,
        requester_pays: str | None = None,
    ) -> None:
        super().__init__(f"gs://{bucket}", bounds(timeout, budget), keyed=customer_key is not None)
        self._bucket = Bucket(
            bucket,
            endpoint=endpoint,
            bounds=self._bounds,
            given=credentials,
            customer_key=customer_key,
            paying=requester_pays,
        )
        self._signing: Any = None

    @property
    def endpoint(self) -> str | None:
        """The endpoint's URL; ``None`` for Google's own."""
        return self._bucket.endpoint

    def _part_size(self, number: int) -> int:
        return piece_size(number, self.budget.held)

    def _upload(self, key: str, if_absent: bool, options: ObjectOptions) -> Upload:
        return Upload(self._bucket, key, if_absent, options)

    def _content(self, key: str, version_id: str | None, stop: int | None, start: int, tag: str | None) -> Content:
        """As it is stored, which may be compressed; what goes on is of the generation ``tag``."""
        generation = tag or version_id
        headers = {"Accept-Encoding": "gzip"} | self._bucket.keyed
        if (ranged := range_header(start, stop)) is not None:
            headers["Range"] = ranged
        request = self._about(key, generation, alt="media")._replace(headers=headers)
        return self._bucket.content(request, answers.content, start, stop, generation)

    def _tag(self, found: Stat) -> str | None:
        return found.version_id

    def _about(self, key: str, generation: str | None, **query: str) -> Request:
        """A GET of an object's resource."""
        if generation is not None:
            query["generation"] = generation
        url = f"{self._bucket.object_url(key)}?{urlencode(query)}" if query else self._bucket.object_url(key)
        return Request("GET", url, key, self._bucket.keyed, asked="object" if generation is None else "version")

    def _found(self, key: str, version_id: str | None) -> Stat:
        return self._asked(self._about(key, version_id), answers.described, key)

    def _page(self, prefix: str, token: str | None, pages: Pages) -> tuple[Sequence[Stat], str | None]:
        query = {
            "prefix": prefix,
            "maxResults": str(_PAGE),
            "fields": "kind,items(name,size,etag,generation,updated),nextPageToken",
        } | ({"pageToken": token} if token else {})
        request = Request("GET", f"{self._bucket.objects_url}?{urlencode(query)}", prefix)
        objects, following = self._asked(request, answers.page)
        if not following:
            return objects, None
        return objects, self._bucket.understood(prefix, partial(pages.after, objects=len(objects)), following)

    def _deleted(self, key: str) -> None:
        self._asked(Request("DELETE", self._bucket.object_url(key), key), answers.deleted)

    def _signed(self, key: str, seconds: int, method: str, version_id: str | None) -> str:
        return self._url(key, seconds, method, self._bucket.keyed, version_id)

    def _permitted(self, key: str, terms: Terms) -> Permit:
        """The condition, the limit of the length and the checksum are headers, which the signature covers."""
        most = self._most(terms)
        headers = headers_of(terms.options, _HEADERS, "x-goog-meta-", self._bucket.where(key))
        headers |= {"x-goog-if-generation-match": "0", "x-goog-content-length-range": f"0,{most}"}
        if terms.sha256 is not None:
            headers["x-goog-content-sha256"] = terms.sha256
        url = self._url(key, terms.seconds, "PUT", headers)
        return Permit(most, SignedRequest("PUT", url, headers), terms.sha256, is_bound=terms.sha256 is not None)

    def _url(
        self, key: str, seconds: int, method: str, headers: Mapping[str, str], version_id: str | None = None
    ) -> str:
        url: str = (
            self._signing_client()
            .bucket(self._bucket.name)
            .blob(key)
            .generate_signed_url(
                version="v4",
                method=method,
                generation=version_id,
                expiration=timedelta(seconds=seconds),
                api_access_endpoint=self._bucket.base,
                query_parameters={"userProject": self._bucket.paying} if self._bucket.paying else None,
                headers=dict(headers) or None,
            )
        )
        return url

    def _signing_client(self) -> Any:
        """Google's client, which is made once: that takes as long as many signatures."""
        if self._signing is None:
            from google.cloud import storage

            guard_logs("google")
            self._signing = storage.Client(project="keystow", credentials=self._signer())
        return self._signing

    def _signer(self) -> Any:
        from google.auth.credentials import Signing
        from google.oauth2.service_account import Credentials

        given = self._bucket.given
        credentials = self._bucket.credentials if given is None else given
        file = os.environ.get(CREDENTIALS) if given is None else None
        if not isinstance(credentials, Signing) and file:
            try:
                credentials = Credentials.from_service_account_file(file)
            except (OSError, ValueError) as error:
                raise CredentialsError(f"{CREDENTIALS}: {file!r} is no service account's key file: {error}") from None
        if not isinstance(credentials, Signing):
            what = f"set {CREDENTIALS} to a service account's key file" if given is None else "give a service account's"
            raise UnsupportedError(f"{self._bucket.where('')}: these credentials cannot sign URLs: {what}")
        return credentials

    def _asked(self, request: Request, understand: Callable[..., Answer], *more: Any) -> Answer:
        """What the answer says, asked for again while the store is unavailable."""
        told = partial(self._bucket.told, request, understand, *more)
        return retried(told, patience=self._bounds.patience)

    def close(self) -> None:
        self._bucket.close()
        if self._signing is not None:
            self._signing.close()

    def _check(self, key: str) -> None:
        """https://cloud.google.com/storage/docs/objects#naming; emulators take what the cloud refuses."""
        try:
            encoded = key.encode()
        except UnicodeEncodeError:
            raise InvalidKeyError(f"a key must be UTF-8, and {key!r} is not") from None
        if not 1 <= len(encoded) <= 1024 or key in {".", ".."} or not {"\r", "\n"}.isdisjoint(key):
            raise InvalidKeyError(
                f"Google Cloud Storage cannot hold the key {key[:80]!r}: it takes 1 to 1,024 bytes without line breaks"
            )
