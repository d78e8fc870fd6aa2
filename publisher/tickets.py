"""A ticket: what lets one object be published where there are no credentials. It is a secret, and good for a while.

Strategy: whoever has credentials has the requests signed that write the object, and they go into the ticket, with
what will have been published. Whoever has the ticket sends what he has by these requests, and by nothing else
(``ticket_store``). A ticket may come from anybody: it names the servers that are called, so it is held to HTTPS, and to
headers that say nothing of who sends them.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, Self, Unpack
from urllib.parse import urljoin

from . import surroundings
from .archive.scan import Special, Symlinks
from .backends import Credentials, Store, expiry_of
from .backends.cloud import CloudStore
from .backends.endpoints import is_loopback, origin
from .backends.errors import raise_alone
from .backends.permits import InParts, Permit, SignedRequest, requests_of
from .backends.texts import keep_secret
from .checksum import Checksum
from .download import without_query
from .errors import ResultError, SpecError, TicketError
from .keys import Context
from .progress import Progress, told_by
from .publishing import Destination, Manner, Source, content_type_of, located, published, selected
from .result import PublishedResult
from .spec import PublisherSpec
from .stored import Access, Opened
from .surroundings import job_context, with_instant
from .ticket_store import TicketStore
from .trust import Trust, admit_url
from .writing import Writing

WRAPPER = "KeystowTicket"
VERSION = 1
"""Of the form of a ticket."""
MOST_BYTES = 32 << 20
"""What is longer is not read: 10,000 parts, each with a session's token, take as much."""
_HEADERS = re.compile(
    "if-none-match|content-type|cache-control|content-disposition"
    "|x-amz-(?:server-side-encryption|storage-class|tagging|object-lock|meta|checksum|request-payer)[a-z0-9_.-]*"
    "|x-goog-(?:if-generation-match|content-length-range|content-sha256|storage-class|encryption-kms-key-name)"
    "|x-goog-meta-[a-z0-9_.-]+"
    "|x-ms-(?:blob-type|version|blob-content-type|blob-cache-control|blob-content-disposition|access-tier)"
    "|x-ms-encryption-scope|x-ms-meta-[a-z0-9_.-]+",
    re.IGNORECASE,
)
_LONGEST_HEADER = 8192
_METHODS = {"PUT", "POST", "DELETE"}
_ASK = "ask who issued it for another one"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What lets one object be published until ``expires``, an aware datetime in UTC.

    ``result`` is what will have been published, as far as that is known: with a checksum, if the ticket is for that
    content alone. ``max_size`` is in bytes.
    """

    result: PublishedResult
    expires: datetime
    permit: Permit = field(repr=False)

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
            raise TicketError(f"it is longer than the {MOST_BYTES >> 20} MiB of a ticket: give what keystow ticket wrote")
        try:
            found = json.loads(text)
            said = found[WRAPPER]
            version = said["Version"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise_alone(TicketError("it is no ticket: give what keystow ticket wrote"))
        if version != VERSION:
            raise TicketError(f"it is a ticket of version {str(version)[:20]!r}, and {VERSION} is read here: {_ASK}")
        try:
            return cls._read(said)
        except TicketError:
            raise
        except ResultError as error:
            problem = str(error)
        except (ValueError, LookupError, TypeError, AttributeError):
            problem = "something in it is missing, or was changed"
        raise_alone(TicketError(f"the ticket cannot be used ({problem}): {_ASK}"))

    @classmethod
    def _read(cls, said: Mapping[str, Any]) -> Self:
        result = PublishedResult.from_mapping(said["PublishedResult"])
        expires = datetime.fromisoformat(said["Expires"]).astimezone(UTC)
        checksum = result.checksum_sha256
        sha256 = None if checksum is None else checksum.hex
        most = said["MaxSize"]
        if not isinstance(most, int) or most < 0 or result.encoding == "plain":
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
        if not _HEADERS.fullmatch(name) or len(value) > _LONGEST_HEADER or not (value.isascii() and value.isprintable()):
            raise ValueError
    _check_url(url)
    return SignedRequest(method, url, headers)


def _check_url(url: str) -> None:
    """Raises ``TicketError`` for what is no URL, and for one that would be called in the open."""
    query = url.partition("?")[2]
    keep_secret(query.rpartition("ignature=")[2].partition("&")[0] or query.rpartition("sig=")[2].partition("&")[0])
    try:
        shown = without_query(url)
    except ResultError:
        raise_alone(TicketError(f"the ticket names a URL that is none: {_ASK}"))
    if not _is_safe(url):
        raise TicketError(f"the ticket is for {shown}, which is called without TLS: {_ASK}, for an https endpoint")


def issue_ticket(
    destination: str | Mapping[str, object] | PublisherSpec,
    context: Context | None = None,
    *,
    expires: timedelta | float,
    archive: bool | None = None,
    raw: bool = False,
    max_size: int | None = None,
    sha256: str | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    requester_pays: bool | str | None = None,
    **writing: Unpack[Writing],
) -> Ticket:
    """What lets somebody without credentials publish one object to ``destination``, until ``expires`` is over.

    It creates the object, and never replaces one. ``expires`` is a timedelta, or seconds, up to 7 days; the ticket ends
    sooner where the credentials do that sign it, as ``ticket.expires`` says, if that is known.

    ``max_size`` is the most bytes that may be published. Without it, that is what one request takes: 5 GiB with S3,
    5,000 MiB with Azure, 5 TiB with Google. For more, with S3, a multipart upload is begun now, and ends when the
    ticket is used; of one that is not used, a lifecycle rule clears what is left (``keystow.lifecycle``).

    ``sha256`` binds the ticket to one content: S3 and Google refuse another one then, and ``ticket.is_bound`` says so.

    The other keywords are ``keystow.publish``'s. Raises ``SpecError`` for a destination whose object cannot be named
    beforehand, as with the files under a prefix, or that is no cloud's; ``UnsupportedError`` for what cannot be signed.
    """
    try:
        bound = None if sha256 is None else Checksum(sha256)
    except ResultError as error:
        raise SpecError(f"sha256: {error}") from None
    if max_size is not None and max_size < 1:
        raise SpecError(f"max_size={max_size} lets nothing be published: give a number of bytes")
    trusted = surroundings.trust(allow, allow_endpoints)
    access = Access(timeout, credentials, profile, requester_pays=requester_pays)
    to = Destination(destination, archive=archive, raw=raw, trust=trusted, access=access, writing=writing)
    if to.encoding == "plain":
        raise SpecError(
            "a ticket is for one object, and the names of the files under a prefix are not known before they are "
            "published: leave archive=False out, or issue a ticket for each file, with raw=True"
        )
    foreseen = to.foreseen(with_instant(job_context() if context is None else context))
    options = to.spec.options
    if options.content_type is None:
        kind = "application/gzip" if to.encoding == "gzip" else content_type_of(foreseen.key)
        options = replace(options, content_type=kind)
    with closing(to.store()) as store:
        if not isinstance(store, CloudStore):
            raise SpecError(f"there are no tickets for {to.spec.type}: publish to s3, gs or az")
        result = replace(located(foreseen, store), checksum_sha256=bound)
        _check_way(result.endpoint)
        asked = datetime.now(UTC).replace(microsecond=0)
        permit = store.permit(
            result.key, expires=expires, most=max_size, sha256=None if bound is None else bound.hex, options=options
        )
    duration = expires if isinstance(expires, timedelta) else timedelta(seconds=expires)
    ends = [end for request in requests_of(permit) if (end := expiry_of(request.url)) is not None]
    return Ticket(result, min([*ends, asked + duration]), permit)


def _check_way(endpoint: str | None) -> None:
    if endpoint is not None and not _is_safe(endpoint):
        raise SpecError(f"the endpoint {endpoint!r} is called without TLS, and a ticket would go there in the open")


def _is_safe(url: str) -> bool:
    return origin(url)[0] == "https" or is_loopback(url)


class Ticketed(Destination):
    """Where a ticket lets somebody publish. ``trust`` says which servers it may name.

    Raises ``TicketError`` for a ticket that has ended.
    """

    def __init__(self, ticket: Ticket, *, trust: Trust, timeout: timedelta | float | None = None) -> None:
        place = ticket.result
        key = place.key.replace("{", "{{").replace("}", "}}")
        spec = PublisherSpec(place.type, place.bucket, key, place.endpoint, place.region, place.encoding)
        super().__init__(spec, access=Access(timeout))
        if datetime.now(UTC) >= ticket.expires:
            raise TicketError(f"the ticket ended at {ticket.expires:%Y-%m-%d %H:%M:%S} UTC: {_ASK}")
        for url in {urljoin(request.url, "/"): request.url for request in requests_of(ticket.permit)}.values():
            admit_url(url, trust=trust, error=TicketError)
        self._ticket = ticket

    def foreseen(self, context: Context) -> PublishedResult:
        """What will have been published, whatever the ``context``."""
        return self._ticket.result

    def store(self) -> Store:
        """What writes the one object, and does nothing else."""
        return TicketStore(self._ticket.permit, self._ticket.result.url, timeout=self.access.timeout)


def publish_with_ticket(
    source: Source,
    ticket: Ticket,
    *,
    symlinks: Symlinks = "inside",
    special: Special = "error",
    mtime: int | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    level: int | None = None,
    progress: Progress | None = None,
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
) -> PublishedResult:
    """Publishes ``source`` as ``ticket`` allows it, with no credentials, and returns what was published.

    The ticket says whether that is an archive or one file (or stream) as it is, and where to; nothing is replaced there
    (``AlreadyExistsError``). What goes in one request is laid into a temporary file first, as its length is announced;
    what goes in parts is not, and a ticket for parts is used up by a try.

    ``allow_endpoints`` are the only servers that are called, if they are given (default: ``KEYSTOW_ALLOW_ENDPOINTS``).
    The other keywords are ``keystow.publish``'s. Raises ``TicketError`` for a ticket that is over, or not for this
    content, and before anything is sent; ``AccessDeniedError`` where the store does not accept it.
    """
    told = told_by(progress, SpecError)
    manner = Manner("error", symlinks, special, mtime, level, selected(include, exclude))
    to = Ticketed(ticket, trust=surroundings.trust(allow_endpoints=allow_endpoints), timeout=timeout)
    with closing(Opened(to.store)) as opened:
        return published(source, to, opened, Context(), to.fitted(manner), told=told)
