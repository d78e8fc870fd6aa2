"""What Azure's answers say (https://learn.microsoft.com/rest/api/storageservices), as pure functions of them.

Strategy: what its SDK made of an answer is checked before any of it is believed. What Azure would not say raises
``ValueError``; what it says in refusal becomes the store's error.
"""

from typing import Any

from keystow.backends.answers import Stored
from keystow.backends.contract import Stat
from keystow.backends.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
)
from keystow.backends.sending.repeating import UNAVAILABLE

from .settings import HINT

NOT_AZURES = "the answer is not Azure's"
MARK = "keystow_write"
"""The metadata's name for the id of a write (``sending/settling.py``); Azure's names take no hyphen."""
_TAKEN = "another writer wrote the same key at the same time: publish again"
_REFUSALS: dict[str, tuple[type[StoreError], str]] = {
    "BlobAlreadyExists": (AlreadyExistsError, ""),
    "ConditionNotMet": (AlreadyExistsError, ""),
    "412": (AlreadyExistsError, ""),
    "ContainerNotFound": (BucketNotFoundError, "create the container, or correct its name"),
    "InvalidResourceName": (BucketNotFoundError, "correct the container's name"),
    "BlobNotFound": (NotFoundError, ""),
    "404": (NotFoundError, ""),
    "InvalidBlockList": (ConflictError, _TAKEN),
    "AuthenticationFailed": (CredentialsError, HINT),
    "AuthorizationFailure": (CredentialsError, HINT),
    "401": (CredentialsError, HINT),
    "403": (AccessDeniedError, "allow it to these credentials (Storage Blob Data Contributor), or use others"),
}


class BrokenError(Exception):
    """An answer that broke off, under a name that the SDK does not know: it would ask again by itself."""


def refused(where: str, status: int, code: str, reason: str, request_id: str) -> StoreError:
    """The error for an answer that refused; ``code`` is Azure's, ``reason`` stands in the status line."""
    kind, hint = _REFUSALS.get(code) or _REFUSALS.get(str(status)) or (StoreError, "")
    if status in UNAVAILABLE or status >= 500:
        kind, hint = StoreUnavailableError, "try again later"
    what = "already exists" if kind is AlreadyExistsError else f"{status}: {code or reason.strip()}"
    error = kind(f"{where}: {what}", code=code or str(status), request_id=request_id, hint=hint)
    if isinstance(error, ConflictError):
        error.passes = False  # the blocks are gone
    return error


def stat(found: Any) -> Stat:
    """What Azure says of a blob."""
    if not (isinstance(found.name, str) and isinstance(found.size, int) and found.size >= 0 and found.etag):
        raise ValueError("no blob")
    return Stat(found.name, found.size, bare(found.etag), found.version_id, found.last_modified)


def made(answer: dict[str, Any]) -> Stored:
    """What Azure says of a blob that it made."""
    if not answer.get("etag"):
        raise ValueError("no blob")
    return Stored(bare(answer["etag"]), answer.get("version_id"), confirmed="checksum")


def ours(found: Any, size: int, mark: str) -> Stored | None:
    """What is said of the blob of the write whose id is ``mark``, of ``size`` bytes; ``None`` for another blob."""
    described = stat(found)
    if (found.metadata or {}).get(MARK) != mark:
        return None
    if described.size != size:
        raise ValueError("another size")
    return Stored(described.etag, described.version_id, confirmed="stat")


def bare(etag: str | None) -> str | None:
    """An ETag without the quotes that some answers put around it."""
    return etag.strip('"') if etag else None
