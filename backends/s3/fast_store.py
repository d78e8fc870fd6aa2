"""Writing to S3 through obstore.

Strategy: what fits one part is one request of obstore's. More is a multipart upload beside it, because obstore's own
have parts that do not grow, cannot be cancelled, hide an abort that was refused, and cannot be made create-only.
"""

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from concurrent.futures import CancelledError
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from keystow.backends.contract import Capabilities, Stat, Store, Written
from keystow.backends.fast import CLIENT, Cloud, FastStore, Late, interruptible, is_kept
from keystow.backends.sending.digest import Digest
from keystow.backends.sending.parts import begun, part_size, parts
from keystow.backends.sending.repeating import retried
from keystow.backends.sending.settling import MARK, decided

if TYPE_CHECKING:
    from .signed import Requests

_WRITING: dict[str, Any] = {"timeout": timedelta(minutes=15)}
_ONCE: dict[str, Any] = {"max_retries": 0}
_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEADERS = frozenset(
    {"content-type", "content-disposition", "content-encoding", "content-language", "cache-control", "storage-class"}
)


class FastS3Store(FastStore):
    """One bucket of S3, or of what speaks its protocol.

    ``verified`` says whether the store is asked to verify checksums on arrival. ``open_requests`` gives the way to it
    beside obstore, or ``None`` where the fsspec engine has to do what obstore does not.
    """

    def __init__(
        self,
        cloud: Cloud,
        rest: Late[Store],
        *,
        name: str,
        region: str,
        conditions: bool,
        verified: bool,
        open_requests: "Callable[[], Requests | None]",
    ) -> None:
        super().__init__(cloud, rest)
        self.region = region
        self._name = name
        self._capabilities = Capabilities(if_absent=conditions, versions=True, presign=True, metadata=True)
        self._verified = verified
        self._requests = Late(open_requests)
        self._writer = cloud.connect(CLIENT | _WRITING, _ONCE)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Written:
        promised = self.capabilities.if_absent or not if_absent
        described = _is_header(content_type or "") and all(map(_is_metadata, (metadata or {}).items()))
        if promised and described and is_kept(key):
            head, chunks = begun(chunks, lambda size: size > part_size(1))
            if sum(map(len, head)) <= part_size(1):
                return self._single(key, head, content_type, metadata or {}, if_absent=if_absent)
            if requests := self._requests():
                from .signed_operations import MultipartBucket
                from .upload import Upload

                bucket = MultipartBucket(self._name, requests, checksums=self._verified)
                digest = Digest(chunks)
                answer = Upload(bucket, key, if_absent, content_type, dict(metadata or {})).in_parts(parts(digest))
                return self._written(digest, answer, answer.get("ChecksumSHA256"))
        return super().write(key, chunks, if_absent=if_absent, content_type=content_type, metadata=metadata)

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        if not is_kept(key):
            return super().stat(key, version_id=version_id)
        found = self._head(key, version_id).meta
        return Stat(key, found["size"], found["e_tag"], found["version"], found["last_modified"])

    def list(self, prefix: str = "") -> Iterator[Stat]:
        from .signed_listing import listed

        requests = self._requests() if _is_text(prefix) else None
        return super().list(prefix) if requests is None else listed(requests, prefix)

    def close(self) -> None:
        super().close()
        if requests := self._requests.made:
            requests.close()

    def _head(self, key: str, version_id: str | None = None) -> Any:
        import obstore

        options = {"head": True} | ({"version": version_id} if version_id is not None else {})
        with self.errors(key, "head_object"):
            found = interruptible(lambda _: obstore.get(self._reader, key, options=options))
        self.check(found.meta, key)
        return found

    def _single(
        self,
        key: str,
        head: MutableSequence[bytes],
        content_type: str | None,
        metadata: Mapping[str, str],
        *,
        if_absent: bool,
    ) -> Written:
        import obstore

        digest = Digest(head)
        body = b"".join(digest)
        head.clear()
        mark = uuid.uuid4().hex if if_absent else ""
        attributes = {
            **metadata,
            **({"Content-Type": content_type} if content_type else {}),
            **({MARK: mark} if mark else {}),
        }
        mode: Literal["create", "overwrite"] = "create" if if_absent else "overwrite"

        def put(ending: threading.Event) -> Any:
            def once() -> Any:
                if ending.is_set():
                    raise CancelledError
                with self.errors(key, "put_object"):
                    told = obstore.put(self._writer, key, body, attributes=attributes, mode=mode, use_multipart=False)
                self.check(told, key)
                return told

            if not if_absent:
                return retried(once)
            return decided(once, lambda: self._found(key, mark), f"{self.cloud.url}/{key}")

        answer = interruptible(put)
        said = {"ETag": answer["e_tag"], "VersionId": answer["version"], "confirmed": answer.get("confirmed")}
        # obstore does not tell the checksum that it sent, and that S3 took.
        return self._written(digest, said, digest.base64() if self._verified else None)

    def _found(self, key: str, mark: str) -> Any:
        """The answer for our own object, if it is ours that stands under the key."""
        found = self._head(key)
        return found.meta | {"confirmed": "stat"} if found.attributes.get(MARK) == mark else None

    def _written(self, digest: Digest, answer: Mapping[str, Any], checksum: str | None) -> Written:
        return Written(
            digest.size,
            digest.hexdigest(),
            etag=answer.get("ETag"),
            version_id=answer.get("VersionId"),
            confirmed=answer.get("confirmed") or ("checksum" if self._verified else "response"),
            checksum=checksum,
        )


def _is_metadata(item: tuple[str, str]) -> bool:
    """Whether obstore takes this for metadata, and sends it as it is."""
    name, value = item
    return _NAME.fullmatch(name) is not None and name.lower() not in _HEADERS and _is_header(value)


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _is_text(text: str) -> bool:
    """Whether UTF-8 has all of its characters."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
