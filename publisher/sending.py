"""One object, sent as the manner says, and what came of it."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .archive import Proof, SourceError
from .backends import AlreadyExistsError, Stat, Store, StoreError, Written
from .backends.sending.digest import PartsDigest
from .checksum import Checksum
from .manner import Manner
from .progress import Share
from .result import PublishedResult
from .standing import Standing, check_same, compared
from .stored import AlreadyPublishedError

if TYPE_CHECKING:
    from mimetypes import MimeTypes

_log = logging.getLogger("keystow")


class Sent(NamedTuple):
    """What was published, and how many of its objects had been there before and were left as they are."""

    result: PublishedResult
    there: int


def publish_object(
    store: Store, result: PublishedResult, chunks: Iterator[bytes], content_type: str, manner: Manner, *, share: Share
) -> Sent:
    """One object. Raises ``AlreadyExistsError`` for one that is there, as ``manner`` says."""
    if manner.if_exists == "replace":
        written = write_object(store, result.key, chunks, content_type, manner, share=share)
        return Sent(_whole(result, written, written.sha256, share.proof), 0)
    ours = PartsDigest(chunks)
    try:
        written = write_object(store, result.key, ours, content_type, manner, share=share)
        return Sent(_whole(result, written, written.sha256, share.proof), 0)
    except AlreadyExistsError as error:
        standing = _looked_at(store, result.key, ours, manner)
        if standing is not None and standing.is_same:
            result = _whole(result, standing.found, ours.hexdigest(), share.proof)
        if manner.if_exists == "skip":
            check_same(standing, error)
            return Sent(result, 1)
        if result.checksum_sha256 is None:
            raise
        raise recognised(error, result) from None


def recognised(error: AlreadyExistsError, result: PublishedResult) -> AlreadyPublishedError:
    """``error``, where what is there is the very ``result``."""
    same = f"{error}, with the content that would have been published (SHA-256 {result.checksum_sha256})"
    found = AlreadyPublishedError(same)
    vars(found).update(vars(error), result=result)
    return found


def _looked_at(store: Store, key: str, ours: PartsDigest, manner: Manner) -> Standing | None:
    """``compared``; where whoever is refused an object that is there learns no more by it, what fails says nothing."""
    try:
        return compared(store, key, ours)
    except (StoreError, SourceError) as failure:
        if manner.if_exists == "skip":
            raise
        _log.debug("what stands under %r could not be compared: %s", key, failure)
        return None


def write_object(
    store: Store, key: str, chunks: Iterable[bytes], content_type: str, manner: Manner, *, share: Share
) -> Written:
    """What the store says of the write; one that knows of no options is told of none, nor of what it does not tell."""
    options: dict[str, Any] = {} if manner.options is None else {"options": manner.options}
    if share.is_watched and store.capabilities.arrivals:
        options["arrived"] = share.arrived
    return store.write(key, chunks, if_absent=manner.if_exists != "replace", content_type=content_type, **options)


def _whole(result: PublishedResult, found: Written | Stat, sha256: str, proof: Proof | None) -> PublishedResult:
    """The result of an object that is there, whole, with what proves parts of it if it is an archive."""
    return replace(
        result,
        version_id=found.version_id,
        checksum_sha256=Checksum(sha256),
        store_checksum=found.checksum,
        size=found.size,
        tar_sha256=None if proof is None else Checksum(proof.tar_sha256),
        index_sha256=None if proof is None or proof.index_sha256 is None else Checksum(proof.index_sha256),
    )


@cache
def _types() -> "MimeTypes":
    """Those that Python knows, and no others that this machine has."""
    from mimetypes import MimeTypes

    return MimeTypes(filenames=())


def content_type_of(name: str) -> str:
    """The type of a file, by its name."""
    kind, encoding = _types().guess_type(name, strict=True)
    if encoding is not None:
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}.get(encoding, "application/octet-stream")
    return kind or "application/octet-stream"
