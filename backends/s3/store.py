"""Objects in S3 and in what speaks its protocol.

Strategy: s3fs brings the session, the event loop and the client; the requests are made on that client, because s3fs's
own writers look before they write, publish what an exception cut short, and throw away the version.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal

from keystow.backends.answers import Pages, announced, natural
from keystow.backends.arguments import is_empty, range_header, signature_seconds
from keystow.backends.contract import Capabilities, Stat, Written
from keystow.backends.errors import StoreError, UnsupportedError
from keystow.backends.sending.digest import Digest

from .answers import stat_of
from .client import Bucket
from .upload import Upload

_CHUNK = 1 << 20


class S3Store:
    """One bucket. ``endpoint`` is ``None`` for AWS; ``region`` is always known.

    ``ca_file`` holds the certificates to trust (default: ``AWS_CA_BUNDLE``, then the system's). ``addressing`` puts the
    bucket into the URL's path or its host name; without it, AWS gets the host name and others the path.
    ``conditions=False`` says that the endpoint ignores ``If-None-Match``, as ``probe`` finds out.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        ca_file: str | None = None,
        addressing: Literal["path", "virtual"] | None = None,
        conditions: bool = True,
    ) -> None:
        self.capabilities = Capabilities(if_absent=conditions, versions=True, presign=True, metadata=True)
        self._bucket = Bucket(
            bucket, endpoint=endpoint, region=region, profile=profile, ca_file=ca_file, addressing=addressing
        )

    @property
    def endpoint(self) -> str | None:
        """The endpoint's URL; ``None`` for AWS's own."""
        return self._bucket.endpoint

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self._bucket.region

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Written:
        if if_absent and not self.capabilities.if_absent:
            raise UnsupportedError(
                f"s3://{self._bucket.name}: this endpoint ignores conditions: write unconditionally, under a unique key"
            )
        digest = Digest(chunks)
        answer = Upload(self._bucket, key, if_absent, content_type, dict(metadata or {})).write(digest)
        return Written(
            digest.size,
            digest.hexdigest(),
            etag=answer.get("ETag"),
            version_id=answer.get("VersionId"),
            confirmed=answer.get("confirmed") or ("checksum" if self._bucket.checksums else "response"),
            checksum=answer.get("ChecksumSHA256"),
        )

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        if is_empty(start, stop):
            self.stat(key, version_id=version_id)
            return
        extra = {"VersionId": version_id} if version_id is not None else {}
        if ranged := range_header(start, stop):
            extra["Range"] = ranged
        try:
            answer = self._bucket.call("get_object", key, **extra)
        except StoreError as error:
            if error.code in {"InvalidRange", "416"}:
                return
            raise
        body = answer["Body"]
        try:
            left = self._announced(answer, key, start, stop)
            while chunk := self._bucket.loop.run(self._piece(body, key)):
                left -= len(chunk)
                if left < 0:
                    raise self._bucket.strange(key)
                yield chunk
        finally:
            self._bucket.loop.soon(body.close)

    def _announced(self, answer: Mapping[str, Any], key: str, start: int, stop: int | None) -> int:
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        try:
            return announced(status, answer.get("ContentLength"), answer.get("ContentRange"), start, stop)
        except ValueError:
            raise self._bucket.strange(key) from None

    async def _piece(self, body: Any, key: str) -> bytes:
        pieces = []
        left = _CHUNK
        with self._bucket.errors("get_object", key):
            while left and (piece := await body.read(left)):
                pieces.append(piece)
                left -= len(piece)
        return b"".join(pieces)

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        extra = {"VersionId": version_id} if version_id is not None else {}
        answer = self._bucket.call("head_object", key, **extra)
        try:
            size = natural(answer.get("ContentLength"))
        except ValueError:
            raise self._bucket.strange(key) from None
        return Stat(key, size, answer.get("ETag"), answer.get("VersionId"), answer.get("LastModified"))

    def list(self, prefix: str = "") -> Iterator[Stat]:
        extra: dict[str, str] = {}
        pages = Pages()
        while True:
            page = self._bucket.call("list_objects_v2", None, Prefix=prefix, **extra)
            try:
                objects = [stat_of(found) for found in page.get("Contents", [])]
                going_on = page.get("IsTruncated")
                token = pages.after(page.get("NextContinuationToken"), objects=len(objects)) if going_on else None
            except ValueError:
                raise self._bucket.strange(prefix) from None
            yield from objects
            if token is None:
                return
            extra = {"ContinuationToken": token}

    def delete(self, key: str) -> None:
        self._bucket.call("delete_object", key)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        seconds = signature_seconds(expires, method, version_id)
        operation = "get_object" if method == "GET" else "put_object"
        params = {"Key": key} | ({"VersionId": version_id} if version_id is not None else {})
        return self._bucket.sign(operation, params, seconds, method)

    def close(self) -> None:
        self._bucket.close()
