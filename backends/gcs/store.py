"""Objects in Google Cloud Storage, over its JSON API (https://cloud.google.com/storage/docs/json_api).

Strategy: what fits one part goes in one multipart request; more goes in a resumable session, whose precondition is
checked when it begins and when it ends, and which needs no permission but to create objects. Pieces of a session go one
after the other, the next produced meanwhile; a piece whose answer was lost is looked for and never sent twice.
"""

import asyncio
import base64
import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from keystow.backends.answers import MOST, Bounded, Pages, announced
from keystow.backends.arguments import is_empty, range_header, signature_seconds
from keystow.backends.contract import Capabilities, Stat, Written
from keystow.backends.errors import (
    ConflictError,
    CredentialsError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
)
from keystow.backends.loop import following
from keystow.backends.sending.digest import Digest
from keystow.backends.sending.parts import alone, parts
from keystow.backends.sending.repeating import PAUSES, retried
from keystow.backends.sending.settling import MARK, decided
from keystow.backends.texts import guard_logs

from .client import Answer, Bucket
from .settings import CREDENTIALS

_CHUNK = 1 << 20
_PAGE = 1000
_SIZE = re.compile(r"[0-9]{1,18}")
_TAKEN = re.compile(r"bytes=0-([0-9]{1,18})")


class GCSStore:
    """One bucket. Versions are generations (https://cloud.google.com/storage/docs/object-versioning)."""

    capabilities = Capabilities(versions=True, presign=True, metadata=True)

    def __init__(self, bucket: str, *, endpoint: str | None = None) -> None:
        self._bucket = Bucket(bucket, endpoint=endpoint)

    @property
    def client(self) -> Bucket:
        """The connection."""
        return self._bucket

    @property
    def endpoint(self) -> str | None:
        """The endpoint's URL; ``None`` for Google's own."""
        return self._bucket.endpoint

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Written:
        _check(key)
        digest = Digest(chunks)
        only, pieces = alone(parts(digest))
        upload = _Upload(self._bucket, key, if_absent, content_type, metadata or {})
        resource = upload.resumable(pieces) if only is None else upload.single(only)
        return Written(
            digest.size,
            digest.hexdigest(),
            etag=resource.get("etag"),
            version_id=resource.get("generation"),
            confirmed=resource.get("confirmed", "checksum"),
        )

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        _check(key)
        if is_empty(start, stop):
            self.stat(key, version_id=version_id)
            return
        query = {"alt": "media"} | ({"generation": version_id} if version_id is not None else {})
        url = f"{self._bucket.object_url(key)}?{urlencode(query)}"
        content = self._content(url, key, start, stop)
        try:
            while chunk := self._bucket.loop.run(self._bucket.sound(key, following(content))):
                yield chunk
        finally:
            self._bucket.loop.run(content.aclose())

    async def _content(self, url: str, key: str, start: int, stop: int | None) -> Any:
        """The bytes of the object as they are stored, which may be compressed, and no more than were announced."""
        ranged = range_header(start, stop)
        headers = {"Accept-Encoding": "gzip"} | ({"Range": ranged} if ranged else {})
        async with self._bucket.response("GET", url, headers=headers) as response:
            if response.status == 416 and ranged:
                return
            if response.status >= 300:
                body = await Bounded(response.content, MOST).read()
                raise self._bucket.refused(Answer(response.status, response.headers, body), key)
            said = response.headers
            length = said.get("Content-Length") or (None if ranged else said.get("X-Goog-Stored-Content-Length"))
            try:
                left = announced(response.status, length, said.get("Content-Range"), start, stop)
            except ValueError:
                raise self._bucket.not_understood(key) from None
            content = Bounded(response.content, left)
            while chunk := await content.read(_CHUNK):
                left -= len(chunk)
                yield chunk
            if left:
                raise StoreUnavailableError(f"{self._bucket.where(key)}: the answer was cut short")

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        _check(key)
        query = f"?{urlencode({'generation': version_id})}" if version_id is not None else ""
        url = f"{self._bucket.object_url(key)}{query}"
        return retried(partial(self._stat, url, key))

    def _stat(self, url: str, key: str) -> Stat:
        found = self._bucket.resource(self._bucket.call("GET", url, key=key), key)
        try:
            return _stat(found, key)
        except (ValueError, TypeError):
            raise self._bucket.not_understood(key) from None

    def list(self, prefix: str = "") -> Iterator[Stat]:
        query: dict[str, str | int] = {
            "prefix": prefix,
            "maxResults": _PAGE,
            "fields": "kind,items(name,size,etag,generation,updated),nextPageToken",
        }
        pages = Pages()
        while True:
            url = f"{self._bucket.objects_url}?{urlencode(query)}"
            found, token = retried(partial(self._page, url, prefix))
            yield from found
            if not token:
                return
            try:
                query["pageToken"] = pages.after(token, objects=len(found))
            except ValueError:
                raise self._bucket.not_understood(prefix) from None

    def _page(self, url: str, prefix: str) -> tuple[Sequence[Stat], str]:
        """The objects of a page of the listing, and the next page's token, empty if there is none."""
        page = self._bucket.resource(self._bucket.call("GET", url, key=prefix), prefix)
        items, token = page.get("items", []), page.get("nextPageToken", "")
        if page.get("kind") != "storage#objects" or not isinstance(token, str):
            raise self._bucket.not_understood(prefix)
        try:
            return [_stat(resource) for resource in items], token
        except (ValueError, TypeError, AttributeError):
            raise self._bucket.not_understood(prefix) from None

    def delete(self, key: str) -> None:
        _check(key)
        try:
            answer = retried(lambda: self._bucket.call("DELETE", self._bucket.object_url(key), key=key))
        except NotFoundError:
            return
        if answer.body.strip() not in {b"", b"null"}:
            raise self._bucket.not_understood(key)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        _check(key)
        seconds = signature_seconds(expires, method, version_id)
        from google.cloud import storage

        guard_logs("google")
        credentials = self._signer()
        client = storage.Client(project="keystow", credentials=credentials)
        try:
            url: str = (
                client.bucket(self._bucket.name)
                .blob(key)
                .generate_signed_url(
                    version="v4",
                    method=method,
                    generation=version_id,
                    expiration=timedelta(seconds=seconds),
                    api_access_endpoint=self._bucket.base,
                )
            )
        finally:
            client.close()
        return url

    def _signer(self) -> Any:
        from google.auth.credentials import Signing
        from google.oauth2.service_account import Credentials

        credentials = self._bucket.credentials
        file = os.environ.get(CREDENTIALS)
        if not isinstance(credentials, Signing) and file:
            try:
                credentials = Credentials.from_service_account_file(file)
            except (OSError, ValueError) as error:
                raise CredentialsError(f"{CREDENTIALS}: {file!r} is no service account's key file: {error}") from None
        if not isinstance(credentials, Signing):
            raise UnsupportedError(
                f"{self._bucket.where('')}: these credentials cannot sign URLs: "
                f"set {CREDENTIALS} to a service account's key file"
            )
        return credentials

    def close(self) -> None:
        self._bucket.close()


class _Upload:
    """One write of one key."""

    def __init__(
        self, bucket: Bucket, key: str, if_absent: bool, content_type: str | None, metadata: Mapping[str, str]
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._id = uuid.uuid4().hex
        self._query = {"ifGenerationMatch": "0"} if if_absent else {}
        mark = {MARK: self._id} if if_absent else {}
        self._resource: dict[str, Any] = {"name": key, "metadata": {**metadata, **mark}}
        if content_type:
            self._resource["contentType"] = content_type
        self._content_type = content_type or "application/octet-stream"

    def single(self, body: bytes) -> dict[str, Any]:
        """One request with the resource and the content (RFC 2387); the server verifies the checksum."""
        boundary = uuid.uuid4().hex
        checksum = _Checksum().add(body).text()
        resource = json.dumps(self._resource | {"crc32c": checksum})
        content = b"\r\n".join(
            [
                f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{resource}".encode(),
                f"--{boundary}\r\nContent-Type: {self._content_type}\r\n\r\n".encode() + body,
                f"--{boundary}--\r\n".encode(),
            ]
        )
        url = f"{self._bucket.upload_url}?{urlencode({'uploadType': 'multipart'} | self._query)}"
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        return decided(
            lambda: self._made(
                self._bucket.call("POST", url, key=self._key, headers=headers, body=content), len(body), checksum
            ),
            self._find,
            self._bucket.where(self._key),
        )

    def _made(self, answer: Answer, size: int, checksum: str) -> dict[str, Any]:
        """The object that the answer describes. Raises ``StoreUnavailableError`` if it is not the one that was sent."""
        made = self._bucket.resource(answer, self._key)
        if (made.get("name"), str(made.get("size")), made.get("crc32c")) != (self._key, str(size), checksum):
            raise self._bucket.not_understood(self._key)
        return made

    def resumable(self, pieces: Iterator[bytes]) -> dict[str, Any]:
        """A session (https://cloud.google.com/storage/docs/resumable-uploads), ended with a checksum."""
        session = self._begin()
        try:
            return self._send(session, pieces)
        except BaseException as error:
            try:
                self._bucket.call("DELETE", session, key=self._key)
            except StoreError as failure:
                if failure.code not in {"404", "410", "499"}:
                    error.add_note(f"the unfinished upload could not be ended ({failure.code}); it expires in a week")
            raise

    def _begin(self) -> str:
        url = f"{self._bucket.upload_url}?{urlencode({'uploadType': 'resumable', 'name': self._key} | self._query)}"
        headers = {"Content-Type": "application/json; charset=UTF-8", "X-Upload-Content-Type": self._content_type}
        body = json.dumps(self._resource).encode()
        answer = retried(lambda: self._bucket.call("POST", url, key=self._key, headers=headers, body=body))
        return self._bucket.session(answer, self._key)

    def _send(self, session: str, pieces: Iterator[bytes]) -> dict[str, Any]:
        checksum = _Checksum()
        offset = 0
        running = None
        upcoming = next(pieces, None)
        while upcoming is not None:
            piece, upcoming = upcoming, next(pieces, None)
            checksum.add(piece)
            end = offset + len(piece)
            if running is not None:
                running.result()
            total = None if upcoming is not None else end
            running = self._bucket.loop.submit(
                self._deliver(session, piece, offset, total, checksum.text() if total is not None else None)
            )
            offset = end
        if running is None:
            raise AssertionError("a session is begun for two pieces or more")
        try:
            resource = running.result()
        except BaseException:
            running.cancel()
            raise
        if resource is None:
            raise StoreError(f"{self._bucket.where(self._key)}: the session did not end with its last piece")
        return resource

    async def _deliver(
        self, session: str, piece: bytes, offset: int, total: int | None, checksum: str | None
    ) -> dict[str, Any] | None:
        """Has the session take ``piece``, within a bound of tries; gives the object that the last one makes."""
        pauses = iter(PAUSES)
        view = memoryview(piece)
        sent = 0
        lost = False
        while True:
            try:
                if lost:
                    answer = await self._ask(session, total)
                else:
                    answer = await self._put(session, bytes(view[sent:]), offset + sent, total, checksum)
                if not answer.is_unfinished:
                    if total is None or checksum is None:
                        raise self._bucket.not_understood(self._key)
                    return self._made(answer, total, checksum)
                sent = self._progress(self._taken(answer) - offset, sent, len(piece), idle=lost)
                if sent == len(piece) and total is None:
                    return None
                lost = False
            except StoreUnavailableError:
                pause = next(pauses, None)
                if pause is None:
                    raise
                lost = True
                await asyncio.sleep(pause)

    def _progress(self, taken: int, before: int, size: int, *, idle: bool) -> int:
        """``taken`` of the piece's ``size`` bytes. A request that is not ``idle`` must add to it."""
        if not before <= taken <= size:
            raise ConflictError(f"{self._bucket.where(self._key)}: the upload was changed by somebody else")
        if taken == before and not idle:
            raise StoreUnavailableError(f"{self._bucket.where(self._key)}: the upload makes no progress")
        return taken

    async def _put(self, session: str, data: bytes, start: int, total: int | None, checksum: str | None) -> Answer:
        end = "*" if total is None else str(total)
        span = f"{start}-{start + len(data) - 1}" if data else "*"
        headers = {"Content-Range": f"bytes {span}/{end}", "Content-Type": self._content_type}
        if checksum is not None:
            headers["X-Goog-Hash"] = f"crc32c={checksum}"
        return await self._bucket.request("POST", session, key=self._key, headers=headers, body=data)

    async def _ask(self, session: str, total: int | None) -> Answer:
        headers = {"Content-Range": f"bytes */{'*' if total is None else total}"}
        return await self._bucket.request("POST", session, key=self._key, headers=headers)

    def _taken(self, answer: Answer) -> int:
        """How many bytes of the session have been taken, by its ``Range`` header."""
        held = answer.headers.get("Range")
        found = _TAKEN.fullmatch(held or "bytes=0-0")
        if found is None:
            raise self._bucket.not_understood(self._key)
        return int(found[1]) + 1 if held else 0

    def _find(self) -> dict[str, Any] | None:
        answer = self._bucket.call("GET", self._bucket.object_url(self._key), key=self._key)
        found = self._bucket.resource(answer, self._key)
        metadata = found.get("metadata", {})
        if found.get("name") != self._key or not isinstance(metadata, dict):
            raise self._bucket.not_understood(self._key)
        return found | {"confirmed": "stat"} if metadata.get(MARK) == self._id else None


class _Checksum:
    """CRC-32C of what was added, as Google writes it: base64 of four bytes, big-endian."""

    def __init__(self) -> None:
        self._value = 0

    def add(self, data: bytes) -> "_Checksum":
        import google_crc32c

        self._value = google_crc32c.extend(self._value, data)
        return self

    def text(self) -> str:
        return base64.b64encode(self._value.to_bytes(4, "big")).decode()


def _stat(resource: Mapping[str, Any], key: str | None = None) -> Stat:
    """What Google says of an object, ``key`` or any. Raises ``ValueError`` or ``TypeError`` for what it would not."""
    name, size, modified = resource.get("name"), resource.get("size"), resource.get("updated")
    if not isinstance(name, str) or key not in {None, name} or not _SIZE.fullmatch(str(size)):
        raise ValueError(resource)
    return Stat(
        name,
        int(str(size)),
        resource.get("etag"),
        resource.get("generation"),
        datetime.fromisoformat(modified) if modified else None,
    )


def _check(key: str) -> None:
    """https://cloud.google.com/storage/docs/objects#naming; emulators take what the cloud refuses."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise InvalidKeyError(f"a key must be UTF-8, and {key!r} is not") from None
    if not 1 <= len(encoded) <= 1024 or key in {".", ".."} or not {"\r", "\n"}.isdisjoint(key):
        raise InvalidKeyError(
            f"Google Cloud Storage cannot hold the key {key[:80]!r}: it takes 1 to 1,024 bytes without line breaks"
        )
