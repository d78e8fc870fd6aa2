"""A ticket: what lets one object be published where there are no credentials, as a document. It is a secret.

Strategy: whoever has credentials has the requests signed that write the object, and they stand in the ticket, with
what will have been published. A ticket may come from anybody, and names the servers that are called: so it is held to
HTTPS, and to headers that say nothing of who sends them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn, Self
from urllib.parse import parse_qs, urlsplit

from .backends.endpoints import is_loopback, origin
from .backends.errors import raise_alone
from .backends.permits import InParts, Permit, SignedRequest
from .backends.texts import keep_secret
from .download import without_query
from .errors import ResultError, TicketError
from .result import PublishedResult

WRAPPER = "KeystowTicket"
VERSION = 1
"""Of the form of a ticket."""
MOST_BYTES = 32 << 20
"""What is longer is not read: 10,000 parts, each with a session's token, take as much."""
_HEADERS = re.compile(
    "if-none-match|content-type|cache-control|content-disposition"
    "|x-amz-(?:server-side-encryption|storage-class|tagging|object-lock|checksum)[a-z0-9-]*"
    "|x-goog-(?:if-generation-match|content-length-range|content-sha256|storage-class|encryption-kms-key-name)"
    "|x-ms-(?:blob-type|version|blob-content-type|blob-cache-control|blob-content-disposition|access-tier)"
    "|x-ms-encryption-scope|x-(?:amz|goog|ms)-meta-[!#$%&'*+.^_`|~0-9a-z-]+",
    re.IGNORECASE,
)
"""What is said of an object, and of what it has to be."""
_LONGEST_HEADER = 8192
_SIGNATURES = ("X-Amz-Signature", "X-Goog-Signature", "sig")
_MASKED = 2
"""Of the others the signatures are masked where a URL stands, and not wherever they do: all would take the room that
there is for secrets."""
_METHODS = {"PUT", "POST", "DELETE"}
_TYPES = {"s3", "gs", "az"}
ASK = "ask who issued it for another one"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What lets one object be published until ``expires``, an aware datetime in UTC.

    ``result`` is what will have been published, as far as that is known: with a checksum, if the ticket is for that
    content alone. ``max_size`` is in bytes.
    """

    result: PublishedResult
    expires: datetime
    permit: Permit = field(repr=False)

    def __post_init__(self) -> None:
        for request in self.permit.requests[-_MASKED:]:
            query = parse_qs(urlsplit(request.url).query)
            keep_secret(*(query[name][0] for name in _SIGNATURES if name in query))

    @property
    def max_size(self) -> int:
        """The most bytes that may be published by it."""
        return self.permit.most

    @property
    def is_bound(self) -> bool:
        """Whether the store itself refuses another content than that of the checksum."""
        return self.permit.is_bound

    def to_json(self) -> str:
        """The ticket as a file holds it; whoever reads that may use it."""
        permit, way = self.permit, self.permit.way
        requests: dict[str, object] = (
            {
                "Parts": [_written(each) for each in way.parts],
                "Complete": _written(way.complete),
                "Abort": _written(way.abort),
            }
            if isinstance(way, InParts)
            else {"Put": _written(way)}
        )
        said: dict[str, object] = {
            "Version": VERSION,
            "Expires": self.expires.isoformat(),
            "MaxSize": permit.most,
            "BoundByStore": permit.is_bound,
            "PublishedResult": self.result.to_mapping(),
        }
        return json.dumps({WRAPPER: said | requests})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Reads what ``to_json`` gives. Raises ``TicketError``, which repeats nothing of a ticket's requests.

        >>> Ticket.from_json("{}")
        Traceback (most recent call last):
            ...
        keystow.errors.TicketError: it is no ticket: give what keystow ticket wrote
        """
        if len(text) > MOST_BYTES:
            raise TicketError(
                f"it is longer than the {MOST_BYTES >> 20} MiB of a ticket: give what keystow ticket wrote"
            )
        try:
            found = json.loads(text)
            said = found[WRAPPER]
            version = said["Version"]
        except (ValueError, LookupError, TypeError, RecursionError):
            version = None
        if version is None:
            raise TicketError("it is no ticket: give what keystow ticket wrote")
        if version != VERSION:
            raise TicketError(f"it is a ticket of version {str(version)[:20]!r}, and {VERSION} is read here: {ASK}")
        try:
            return cls._read(said)
        except TicketError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            problem = str(error) if isinstance(error, ResultError) else "something in it is missing, or was changed"
            raise_alone(TicketError(f"the ticket cannot be used ({problem}): {ASK}"))

    @classmethod
    def _read(cls, said: Mapping[str, Any]) -> Self:
        result = PublishedResult.from_mapping(said["PublishedResult"])
        expires = datetime.fromisoformat(said["Expires"]).astimezone(UTC)
        checksum = result.checksum_sha256
        sha256 = None if checksum is None else checksum.hex
        most = said["MaxSize"]
        if type(most) is not int or most < 0 or result.encoding == "plain" or result.type not in _TYPES:
            raise ValueError
        way = (
            InParts([_read(each) for each in said["Parts"]], _read(said["Complete"]), _read(said["Abort"]))
            if "Parts" in said
            else _read(said["Put"])
        )
        return cls(result, expires, Permit(most, way, sha256, said.get("BoundByStore") is True))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ticket is a secret, and is not pickled: hand on what to_json() gives")


def _written(request: SignedRequest) -> dict[str, object]:
    return {"Method": request.method, "URL": request.url, "Headers": dict(request.headers)}


def _read(said: Mapping[str, Any]) -> SignedRequest:
    method, url, headers = said["Method"], said["URL"], dict(said["Headers"])
    if method not in _METHODS or not isinstance(url, str):
        raise ValueError
    for name, value in headers.items():
        if (
            not _HEADERS.fullmatch(name)
            or len(value) > _LONGEST_HEADER
            or not (value.isascii() and value.isprintable())
        ):
            raise ValueError
    _check_url(url)
    return SignedRequest(method, url, headers)


def _check_url(url: str) -> None:
    """Raises ``TicketError`` for what is no URL, and for one that would be called in the open."""
    try:
        shown = without_query(url)
    except ResultError:
        raise_alone(TicketError(f"the ticket names a URL that is none: {ASK}"))
    if not is_safe(url):
        raise TicketError(f"the ticket is for {shown}, which is called without TLS: {ASK}, for an https endpoint")


def is_safe(url: str) -> bool:
    """Whether what is sent there can be read by nobody on the way."""
    return origin(url)[0] == "https" or is_loopback(url)
