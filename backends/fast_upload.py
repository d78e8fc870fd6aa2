"""Writing to S3 through obstore.

Strategy: what fits one part is one request. More goes to the fsspec engine, unless ``at_most`` says that it may be
handed to obstore as a stream: its parts do not grow, and it cannot be cancelled. Create-only writes of more than one
part always go there: obstore's conditional put is one request with all bytes in memory.
"""

import itertools
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Literal

from .contract import Capabilities, Stat, Store, Written
from .digest import Digest
from .errors import NotFoundError, StoreError, StoreUnavailableError
from .fast import CLIENT, RETRIES, Cloud, FastStore, interruptible, is_kept
from .fast_listing import Listing
from .parts import MIB, MOST_PARTS, part_size
from .settling import MARK, decided, found, retried

_LARGEST_PART = 32 * MIB
_IN_FLIGHT = 8
_GRACE = 5
"""Seconds that an interrupted upload is given to remove its parts."""
_WRITING: dict[str, Any] = {"timeout": timedelta(minutes=15)}
_ONCE: dict[str, Any] = {"max_retries": 0}
_LEFT = "parts that were sent may be left, or the object may yet appear; a lifecycle rule can remove unfinished uploads"
_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEADERS = frozenset(
    {"content-type", "content-disposition", "content-encoding", "content-language", "cache-control", "storage-class"}
)


class FastS3Store(FastStore):
    """One bucket of S3, or of what speaks its protocol.

    ``verified`` says whether the store is asked to verify checksums on arrival. ``at_most`` is the most bytes that any
    one write will have, if obstore is to write what has more than one part.
    """

    def __init__(
        self,
        cloud: Cloud,
        rest: Callable[[], Store],
        *,
        region: str,
        conditions: bool,
        verified: bool,
        at_most: int | None,
        open_listing: Callable[[], Listing],
    ) -> None:
        super().__init__(cloud, rest)
        self.region = region
        self._capabilities = Capabilities(if_absent=conditions, versions=True, presign=True, metadata=True)
        self._confirmed: Literal["checksum", "response"] = "checksum" if verified else "response"
        self._part = None if at_most is None else _part_for(at_most)
        self._open_listing = open_listing
        self._listing: Listing | None = None
        self._writer = cloud.connect(CLIENT | _WRITING, RETRIES)
        self._writer_once = cloud.connect(CLIENT | _WRITING, _ONCE)

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
            head, chunks = _begun(iter(chunks), part_size(1))
            attributes = dict(metadata or {}) | ({"Content-Type": content_type} if content_type else {})
            if sum(map(len, head)) <= part_size(1):
                return self._single(key, head, attributes, if_absent=if_absent)
            if self._part is not None and not if_absent:
                return self._stream_in(key, chunks, attributes, self._part)
        return super().write(key, chunks, if_absent=if_absent, content_type=content_type, metadata=metadata)

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        if not is_kept(key):
            return super().stat(key, version_id=version_id)
        found = self._head(key, version_id).meta
        return Stat(key, found["size"], found["e_tag"], found["version"], found["last_modified"])

    def list(self, prefix: str = "") -> Iterator[Stat]:
        if find_spec("botocore") is None or not _is_text(prefix):
            return super().list(prefix)
        with self._opening:
            if self._listing is None:
                self._listing = self._open_listing()
        return self._listing.objects(prefix)

    def close(self) -> None:
        super().close()
        if self._listing is not None:
            self._listing.close()

    def _head(self, key: str, version_id: str | None = None) -> Any:
        import obstore

        options = {"head": True} | ({"version": version_id} if version_id is not None else {})
        with self.errors(key, "head_object"):
            return interruptible(lambda _: obstore.get(self._reader, key, options=options))

    def _single(self, key: str, head: Sequence[bytes], attributes: dict[str, str], *, if_absent: bool) -> Written:
        digest = Digest(head)
        body = b"".join(digest)

        mark = uuid.uuid4().hex if if_absent else ""
        marked = attributes | ({MARK: mark} if if_absent else {})

        def put(ending: threading.Event) -> Any:
            def once() -> Any:
                if ending.is_set():
                    raise CancelledError
                mode = "create" if if_absent else "overwrite"
                return self._put(self._writer_once, key, body, marked, mode=mode, use_multipart=False)

            if not if_absent:
                return retried(once)
            return decided(once, lambda: self._found(key, mark), f"{self.cloud.url}/{key}")

        return self._written(digest, interruptible(put))

    def _stream_in(self, key: str, chunks: Iterator[bytes], attributes: dict[str, str], part: int) -> Written:
        digest = Digest(chunks)
        mark = uuid.uuid4().hex
        marked = attributes | {MARK: mark}
        options = {"use_multipart": True, "chunk_size": part, "max_concurrency": _IN_FLIGHT}

        def put(ending: threading.Event) -> Any:
            watched = _Watched(digest, ending, part * MOST_PARTS)
            try:
                return self._put(self._writer, key, iter(watched), marked, **options)
            except StoreError as error:
                if watched.raised is None:
                    return self._settled(key, mark, error)
            raise watched.raised

        return self._written(digest, interruptible(put, grace=_GRACE, otherwise=_LEFT))

    def _settled(self, key: str, mark: str, error: StoreError) -> Any:
        """The answer for a stream that ended with ``error``, if it was stored in spite of it."""
        where = f"{self.cloud.url}/{key}"
        answer = found(lambda: self._found(key, mark), where, error) if error.code == "NoSuchUpload" else None
        if answer is None:
            if isinstance(error, StoreUnavailableError):
                error.add_note(_LEFT)
            raise error
        return answer

    def _put(self, writer: Any, key: str, body: Any, attributes: dict[str, str], **options: Any) -> Any:
        import obstore

        with self.errors(key, "put_object"):
            return obstore.put(writer, key, body, attributes=attributes, **options)

    def _found(self, key: str, mark: str) -> Any:
        """The answer for our own object, if it is ours that stands under the key."""
        try:
            found = self._head(key)
        except NotFoundError:
            return None
        return found.meta | {"confirmed": "stat"} if found.attributes.get(MARK) == mark else None

    def _written(self, digest: Digest, answer: Mapping[str, Any]) -> Written:
        return Written(
            digest.size,
            digest.hexdigest(),
            etag=answer["e_tag"],
            version_id=answer["version"],
            confirmed=answer.get("confirmed", self._confirmed),
        )


class _Watched:
    """Chunks on their way into obstore. ``raised`` is what they raised themselves, whatever obstore makes of it."""

    def __init__(self, chunks: Digest, ending: threading.Event, most: int) -> None:
        self._chunks = chunks
        self._ending = ending
        self._most = most
        self.raised: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._chunks:
                self._check()
                yield chunk
        except BaseException as error:
            self.raised = error
            raise

    def _check(self) -> None:
        if self._ending.is_set():
            raise CancelledError
        if self._chunks.size > self._most:
            raise StoreError(
                f"the object is larger than was announced, and than {self._most >> 30} GiB",
                hint="write it with engine='fsspec'",
            )


def _begun(chunks: Iterator[bytes], size: int) -> tuple[list[bytes], Iterator[bytes]]:
    """The first chunks, of more than ``size`` bytes if there are as many; and all chunks."""
    head: list[bytes] = []
    have = 0
    for chunk in chunks:
        head.append(chunk)
        have += len(chunk)
        if have > size:
            break
    return head, itertools.chain(head, chunks)


def _part_for(most: int) -> int | None:
    """The size of the parts of an object of at most ``most`` bytes; ``None`` if they would be too large to hold."""
    size = max(part_size(1), -(-most // (MOST_PARTS * MIB)) * MIB)
    return size if size <= _LARGEST_PART else None


def _is_metadata(item: tuple[str, str]) -> bool:
    """Whether obstore takes this for metadata, and sends it as it is."""
    name, value = item
    return _NAME.fullmatch(name) is not None and name.lower() not in _HEADERS and _is_header(value)


def _is_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _is_text(text: str) -> bool:
    """Whether UTF-8 has all of its characters."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
