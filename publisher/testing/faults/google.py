"""What fake-gcs-server lacks of Google Cloud Storage, supplied in front of it. ``GAPS`` is all of it.

Strategy: a session is kept here until its last piece has come, and then goes to the server as one insertion, whose
precondition the server does enforce; so does every checksum that the client sent. The rest goes through.
"""

import base64
import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from keystow.testing.servers.proxy import FaultProxy, ProxyHandler

from .operations import operation

GAPS = (
    ("a crc32c that is wrong", "it stores the object", "refused with 400"),
    ("a precondition on a session", "it is not looked at", "412 when the last piece has come"),
    ("a status query on an unfinished session", "it makes an object of what has come", "308 and how much has come"),
    ("a status query on a finished session", "404", "the object, as when it was made"),
    ("a piece that was there before", "it is added once more", "not added (an offset is heeded)"),
    ("the end of a session", "it can be written to further", "499"),
    ("the condition of a signed PUT", "it is not looked at", "412"),
    ("the bounds of a signed PUT's length", "they are not looked at", "400"),
    ("the answer to a signed PUT", "it names neither ETag nor generation", "it names both"),
)
"""Case, what fake-gcs-server does, and what is done here, as Google does.

https://cloud.google.com/storage/docs/performing-resumable-uploads,
https://cloud.google.com/storage/docs/xml-api/reference-headers
"""
_METADATA = "x-goog-meta-"
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Session:
    """One resumable upload: what has come, and what became of it."""

    def __init__(self, resource: dict[str, Any], query: str) -> None:
        self.resource = resource
        self.query = query
        self.content = bytearray()
        self.ended: Reply | None = None
        self.lock = threading.Lock()


class GoogleGaps(FaultProxy):
    """In front of a ``FakeGCS``'s endpoint; ``url`` is what a client, or a ``FaultyWire``, takes for Google.

    It holds each object that is being uploaded in memory. Needs google-crc32c, which comes with the extra gcs.
    """

    def __init__(self, upstream: str) -> None:
        self.sessions: dict[str, Session] = {}
        super().__init__(upstream)
        self.RequestHandlerClass = _Google


class _Google(ProxyHandler):
    server: FaultProxy

    def _serve(self) -> None:
        self.target = self.requestline.split()[1]
        served = {"put": self._insert, "begin": self._begin, "part": self._session, "abort": self._session}
        is_upload = self.target.startswith("/upload/")
        serve = served.get(operation(self.command, self.target)) if is_upload else self._of_a_signed_put()
        if serve is None:
            return super()._serve()
        reply = serve(b"".join(self._body()))
        self.reply(reply.status, reply.body, {"Content-Type": "application/json", **reply.headers})
        return None

    def _insert(self, body: bytes) -> Reply:
        return self._inserted(self.target, self.headers["Content-Type"], body)

    def _inserted(self, target: str, content_type: str, body: bytes) -> Reply:
        """What the server answers to an insertion (RFC 2387), if its checksum is right."""
        try:
            described, content = _related(content_type, body)
        except (ValueError, IndexError):
            return _refusal(400, "The body is no multipart/related of a resource and a content.")
        said = described.get("crc32c")
        if said not in {None, _crc32c(content)}:
            return _refusal(400, f"Provided CRC32C {said!r} doesn't match calculated CRC32C {_crc32c(content)!r}.")
        return self._asked("POST", target, body, {"Content-Type": content_type})

    def _of_a_signed_put(self) -> Callable[[bytes], Reply] | None:
        return self._put if self.command == "PUT" and "X-Goog-Signature=" in self.target else None

    def _put(self, content: bytes) -> Reply:
        """The XML API's PUT of an object, whose URL is signed."""
        bucket, _, key = urlsplit(self.target).path.lstrip("/").partition("/")
        low, _, high = self.headers.get("x-goog-content-length-range", f"0,{len(content)}").partition(",")
        if not int(low) <= len(content) <= int(high):
            return _xml_refusal(400, "EntityTooLarge")
        metadata = {
            name.lower().removeprefix(_METADATA): value
            for name, value in self.headers.items()
            if name.lower().startswith(_METADATA)
        }
        resource = {"name": unquote(key), "metadata": metadata, "contentType": self.headers["Content-Type"]}
        generation = self.headers.get("x-goog-if-generation-match")
        condition = f"&ifGenerationMatch={generation}" if generation else ""
        reply = self._composed(f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart{condition}", resource, content)
        if reply.status == 412:
            return _xml_refusal(412, "PreconditionFailed")
        made = json.loads(reply.body)
        known = {"ETag": made.get("etag"), "x-goog-generation": made.get("generation")}
        return Reply(reply.status, headers={name: str(value) for name, value in known.items() if value})

    def _begin(self, body: bytes) -> Reply:
        """A new session in a bucket that there is."""
        asked = urlsplit(self.target)
        reply = self._asked("GET", asked.path.removeprefix("/upload").removesuffix("/o"))
        if reply.status != 200:
            return reply
        try:
            resource = dict(json.loads(body or b"{}"))
        except (ValueError, TypeError):
            return _refusal(400, "The body is no resource.")
        session = uuid.uuid4().hex
        self._sessions[session] = Session(resource, self.target)
        where = f"http://{self.headers['Host']}{asked.path}?uploadType=resumable&upload_id={session}"
        return Reply(200, headers={"Location": where})

    def _session(self, body: bytes) -> Reply:
        session = self._sessions.get(parse_qs(urlsplit(self.target).query)["upload_id"][0])
        if session is None:
            return _refusal(404, "No such upload session.")
        with session.lock:
            if session.ended is None and self.command == "DELETE":
                session.ended = _refusal(499, "Client Closed Request")
            return session.ended or self._taken(session, body)

    def _taken(self, session: Session, body: bytes) -> Reply:
        """The answer to a piece, or to a question how much has come."""
        spans = _RANGE.fullmatch(self.headers.get("Content-Range", f"bytes 0-0/{len(body)}"))
        if spans is None:
            return _refusal(400, "Invalid Content-Range.")
        start = len(session.content) if spans[1] is None else int(spans[1])
        if start > len(session.content):
            return _refusal(400, "The piece begins behind what has come.")
        session.content += body[len(session.content) - start :]
        if spans[2] == str(len(session.content)):
            reply = self._made(session)
            session.ended = reply if reply.status < 500 else None
            return reply
        held = {"Range": f"bytes=0-{len(session.content) - 1}"} if session.content else {}
        return Reply(308, headers=held)

    def _made(self, session: Session) -> Reply:
        """The whole object, inserted under the session's condition."""
        resource = session.resource
        said = self.headers.get("X-Goog-Hash", "").removeprefix("crc32c=")
        query = session.query.replace("uploadType=resumable", "uploadType=multipart")
        return self._composed(query, resource | ({"crc32c": said} if said else {}), bytes(session.content))

    def _composed(self, target: str, resource: Mapping[str, Any], content: bytes) -> Reply:
        """What the server answers to the insertion of what is described so."""
        boundary = uuid.uuid4().hex
        kind = resource.get("contentType") or "application/octet-stream"
        parts = (b"application/json", json.dumps(resource).encode()), (kind.encode(), content)
        body = b"".join(b"--%b\r\nContent-Type: %b\r\n\r\n%b\r\n" % (boundary.encode(), of, part) for of, part in parts)
        return self._inserted(
            target, f"multipart/related; boundary={boundary}", body + b"--%b--\r\n" % boundary.encode()
        )

    @property
    def _sessions(self) -> dict[str, Session]:
        assert isinstance(self.server, GoogleGaps)
        return self.server.sessions

    def _asked(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        from http.client import HTTPConnection

        upstream = HTTPConnection(*self.server.upstream)
        try:
            upstream.request(method, target, body, {"Host": self.headers.get("Host", ""), **(headers or {})})
            answer = upstream.getresponse()
            return Reply(answer.status, answer.read())
        finally:
            upstream.close()


def _related(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The resource and the content of a multipart/related body."""
    boundary = message_from_bytes(f"Content-Type: {content_type}\n\n".encode()).get_boundary() or ""
    _, first, second = body.split(b"--%b" % boundary.encode(), 2)
    second = second[: second.rindex(b"\r\n--%b--" % boundary.encode())]
    described: dict[str, Any] = json.loads(first.split(b"\r\n\r\n", 1)[1])
    return described, second.split(b"\r\n\r\n", 1)[1]


def _crc32c(content: bytes) -> str:
    import google_crc32c

    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def _xml_refusal(status: int, code: str) -> Reply:
    return Reply(status, f"<Error><Code>{code}</Code></Error>".encode(), {"Content-Type": "application/xml"})


def _refusal(status: int, message: str) -> Reply:
    return Reply(status, json.dumps({"error": {"code": status, "message": message}}).encode())
