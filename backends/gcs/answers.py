"""What Google's answers say (https://cloud.google.com/storage/docs/json_api), as pure functions of them.

Strategy: an answer is checked to be what that operation answers before any of it is believed. What Google would not say
raises ``ValueError`` or ``TypeError``; what it says in refusal becomes the store's error.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple

from keystow.backends.answers import Announced, Stored, announced, redirect
from keystow.backends.contract import Stat
from keystow.backends.endpoints import is_provider, origin
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
from keystow.backends.sending.settling import MARK

from .settings import CREDENTIALS

CREDENTIALS_HINT = f"run gcloud auth application-default login, or set {CREDENTIALS}"
Asked = Literal["object", "version", "upload", "session"]
"""What a request is about: an object or a bucket's objects, a version of one, a new object, an upload's session."""
_GONE = "the session of the upload is gone: publish again"
_REFUSALS: dict[int | tuple[int, Asked], tuple[type[StoreError], str]] = {
    401: (CredentialsError, CREDENTIALS_HINT),
    403: (AccessDeniedError, "grant the permission that it names, or use other credentials"),
    404: (NotFoundError, ""),
    (404, "version"): (NotFoundError, "that version was replaced or removed, and the bucket does not keep old ones"),
    (404, "upload"): (BucketNotFoundError, "create the bucket, or correct its name"),
    (404, "session"): (StoreError, _GONE),
    409: (ConflictError, "publish again"),
    (410, "session"): (StoreError, _GONE),
    412: (AlreadyExistsError, ""),
}
_MOST_SAID = 1 << 16
_NUMBER = re.compile(r"[0-9]{1,18}")
_TAKEN = re.compile(r"bytes=0-([0-9]{1,18})")


class Answer(NamedTuple):
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_unfinished(self) -> bool:
        """Whether an upload session awaits more, which is no redirect ("308 Resume Incomplete")."""
        return self.status == 308 and "Location" not in self.headers


def refused(answer: Answer, where: str, base: str, asked: Asked) -> StoreError:
    """The error for an answer from ``base`` that refused, or leads elsewhere."""
    status = answer.status
    kind, hint = _REFUSALS.get((status, asked)) or _REFUSALS.get(status) or (StoreError, "")
    if status in UNAVAILABLE or status >= 500:
        kind, hint = StoreUnavailableError, "try again later"
    said = "already exists" if kind is AlreadyExistsError else f"{status}: {_message(answer.body)}"
    if status < 400:
        said = f"{status}: {redirect(answer.headers.get('Location', ''), base)}"
    return kind(
        f"{where}: {said}", code=str(status), request_id=answer.headers.get("x-guploader-uploadid", ""), hint=hint
    )


def _message(body: bytes) -> str:
    """What Google says of a refusal, as JSON or as a line of text; no bytes, and no page of somebody else's."""
    text = body[:_MOST_SAID].decode("utf-8", "replace").strip()
    try:
        text = str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError, RecursionError):
        text = "" if text.startswith("{") else text[:200]
    return text[:1000] if text and {"<", "\ufffd"}.isdisjoint(text) else "no reason was given"


def resource(answer: Answer) -> dict[str, Any]:
    """The JSON that describes what was asked for."""
    try:
        loaded = json.loads(answer.body)
    except RecursionError:
        loaded = None
    if answer.status >= 300 or not isinstance(loaded, dict):
        raise ValueError("no resource")
    return loaded


def deleted(answer: Answer) -> None:
    """Raises for what does not say that something is gone."""
    if answer.body.strip() not in {b"", b"null"}:
        raise ValueError("no deletion")


def described(answer: Answer, key: str) -> Stat:
    """What an answer says of the object ``key``."""
    return stat(resource(answer), key)


def stat(found: Any, key: str | None = None) -> Stat:
    """What a resource says of an object: of ``key``, or of any."""
    if not isinstance(found, dict):
        raise TypeError("no object")
    name, size = found.get("name"), str(found.get("size"))
    etag, generation, modified = (found.get(name) for name in ("etag", "generation", "updated"))
    if not isinstance(name, str) or key not in {None, name} or not _NUMBER.fullmatch(size):
        raise ValueError("no object")
    if not all(isinstance(text, str | None) for text in (etag, generation, modified)):
        raise ValueError("no text")
    return Stat(name, int(size), etag, generation, datetime.fromisoformat(modified) if modified else None)


def made(answer: Answer, key: str, size: int, checksum: str) -> Stored:
    """What is said of an object, if it is the one that was sent: of that ``size`` in bytes, and that CRC-32C."""
    found = resource(answer)
    said, generation = (found.get("name"), str(found.get("size")), found.get("crc32c")), str(found.get("generation"))
    if said != (key, str(size), checksum) or not _NUMBER.fullmatch(generation):
        raise ValueError("another object")
    etag = found.get("etag")
    if not isinstance(etag, str | None):
        raise TypeError("no text")
    return Stored(etag, generation, confirmed="checksum")


def ours(answer: Answer, key: str, size: int, checksum: str, mark: str) -> Stored | None:
    """What is said of the object of the write whose id is ``mark``; ``None`` for another object of that ``key``."""
    found = resource(answer)
    metadata = found.get("metadata", {})
    if found.get("name") != key or not isinstance(metadata, dict):
        raise ValueError("another object")
    if metadata.get(MARK) != mark:
        return None
    return made(answer, key, size, checksum)._replace(confirmed="stat")


def page(answer: Answer) -> tuple[list[Stat], str]:
    """The objects of a page of a listing, and the next page's token, empty if there is none."""
    found = resource(answer)
    items, token = found.get("items", []), found.get("nextPageToken", "")
    if found.get("kind") != "storage#objects" or not isinstance(token, str):
        raise ValueError("no page")
    return [stat(each) for each in items], token


def content(answer: Answer, start: int, stop: int | None, generation: str | None) -> tuple[Announced, str]:
    """The content that an answer promises, and of which generation: of the one that was named, if it was."""
    said = answer.headers
    length = said.get("Content-Length")
    if not length and not start and answer.status == 200 and "Content-Range" not in said:
        length = said.get("X-Goog-Stored-Content-Length")
    found = said.get("X-Goog-Generation")
    if not found or generation not in {None, found}:
        raise ValueError("no generation, or another one")
    return announced(answer.status, length, said.get("Content-Range"), start, stop), found


def session(answer: Answer, base: str) -> tuple[str, bool]:
    """The URL of the upload session that an answer begins, and whether that is where requests to ``base`` may go."""
    url = answer.headers.get("Location", "")
    if not url:
        raise ValueError("no session")
    try:
        return url, origin(url) == origin(base) or (is_provider("gs", base) and is_provider("gs", url))
    except ValueError:
        return url, False


def taken(answer: Answer) -> int:
    """How many bytes of a session have been taken."""
    held = answer.headers.get("Range")
    if held is None:
        return 0
    found = _TAKEN.fullmatch(held)
    if found is None:
        raise ValueError("no range")
    return int(found[1]) + 1
