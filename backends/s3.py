"""Objects in S3 and in what speaks its protocol.

Strategy: s3fs brings the session, the event loop and the client; the requests are made on that client, because s3fs's
own writers look before they write, publish what an exception cut short, and throw away the version.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from .contract import Capabilities, Stat, Written
from .errors import StoreError
from .s3_client import Bucket
from .s3_upload import Digest, Upload

_CHUNK = 1 << 20
_LONGEST_SIGNATURE = timedelta(days=7)


class S3Store:
    """One bucket. ``endpoint`` is ``None`` for AWS; ``region`` is always known."""

    capabilities = Capabilities(versions=True, presign=True, metadata=True)

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._bucket = Bucket(bucket, endpoint=endpoint, region=region, profile=profile, ca_file=ca_file)

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
        digest = Digest(chunks)
        answer = Upload(self._bucket, key, if_absent, content_type, dict(metadata or {})).write(digest)
        return Written(
            digest.size,
            digest.hexdigest(),
            etag=answer.get("ETag"),
            version_id=answer.get("VersionId"),
            confirmed=answer.get("confirmed") or ("checksum" if self._bucket.checksums else "response"),
        )

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        if stop is not None and stop <= start:
            return
        extra = {"VersionId": version_id} if version_id is not None else {}
        if start or stop is not None:
            extra["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            answer = self._bucket.call("get_object", key, **extra)
        except StoreError as error:
            if error.code in {"InvalidRange", "416"}:
                return
            raise
        body = answer["Body"]
        try:
            with self._bucket.errors("get_object", key):
                while chunk := self._bucket.run(_read(body)):
                    yield chunk
        finally:
            self._bucket.soon(body.close)

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        extra = {"VersionId": version_id} if version_id is not None else {}
        answer = self._bucket.call("head_object", key, **extra)
        return Stat(
            key, answer["ContentLength"], answer.get("ETag"), answer.get("VersionId"), answer.get("LastModified")
        )

    def list(self, prefix: str = "") -> Iterator[Stat]:
        extra: dict[str, str] = {}
        while True:
            page = self._bucket.call("list_objects_v2", None, Prefix=prefix, **extra)
            for found in page.get("Contents", []):
                yield Stat(found["Key"], found["Size"], found.get("ETag"), modified=found.get("LastModified"))
            if not page.get("IsTruncated"):
                return
            extra = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        self._bucket.call("delete_object", key)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        duration = expires if isinstance(expires, timedelta) else timedelta(seconds=expires)
        if not timedelta(seconds=1) <= duration <= _LONGEST_SIGNATURE:
            raise ValueError(f"a signed URL cannot last {duration}: ask for 1 second to 7 days")
        operation = {"GET": "get_object", "PUT": "put_object"}.get(method)
        if operation is None:
            raise ValueError(f"method={method!r} cannot be signed: use GET or PUT")
        if method == "PUT" and version_id is not None:
            raise ValueError("a PUT makes a new version: leave version_id out")
        params = {"Key": key} | ({"VersionId": version_id} if version_id is not None else {})
        return self._bucket.sign(operation, params, int(duration.total_seconds()), method)

    def close(self) -> None:
        self._bucket.close()


async def _read(body: Any) -> bytes:
    pieces = []
    left = _CHUNK
    while left and (piece := await body.read(left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
