"""Issuing a ticket where the credentials are, and publishing by it where they are not."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Unpack
from urllib.parse import urljoin

from . import surroundings
from .archive.scan import Special, Symlinks
from .backends import Credentials, Store, expiry_of
from .backends.cloud import CloudStore
from .backends.sending.budget import Budget
from .checksum import Checksum
from .errors import ResultError, SpecError, TicketError
from .keys import Context
from .manner import Manner, selected
from .progress import Progress, told_by
from .publishing import Destination, Source, located, published
from .result import PublishedResult
from .sending import content_type_of
from .spec import PublisherSpec
from .stored import PLAIN_ACCESS, Access, Opened
from .surroundings import job_context, with_instant
from .ticket import ASK, Ticket, is_safe
from .ticket_store import TicketStore
from .trust import Trust, admit_url
from .writing import Writing


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
    ends = [end for request in permit.requests if (end := expiry_of(request.url)) is not None]
    return Ticket(result, min([*ends, asked + duration]), permit)


def _check_way(endpoint: str | None) -> None:
    if endpoint is not None and not is_safe(endpoint):
        raise SpecError(f"the endpoint {endpoint!r} is called without TLS, and a ticket would go there in the open")


class Ticketed(Destination):
    """Where a ticket lets somebody publish. ``trust`` says which servers it may name.

    Raises ``TicketError`` for a ticket that has ended.
    """

    def __init__(self, ticket: Ticket, *, trust: Trust, access: Access = PLAIN_ACCESS) -> None:
        place = ticket.result
        key = place.key.replace("{", "{{").replace("}", "}}")
        spec = PublisherSpec(place.type, place.bucket, key, place.endpoint, place.region, place.encoding)
        super().__init__(spec, access=access)
        if datetime.now(UTC) >= ticket.expires:
            raise TicketError(f"the ticket ended at {ticket.expires:%Y-%m-%d %H:%M:%S} UTC: {ASK}")
        for url in {urljoin(request.url, "/"): request.url for request in ticket.permit.requests}.values():
            admit_url(url, trust=trust, error=TicketError)
        self._ticket = ticket

    def foreseen(self, context: Context) -> PublishedResult:  # noqa: ARG002
        """What will have been published, whatever the ``context``; a checksum is not known before it is."""
        return replace(self._ticket.result, checksum_sha256=None)

    def store(self) -> Store:
        """What writes the one object, and does nothing else."""
        access, ticket = self.access, self._ticket
        return TicketStore(ticket.permit, ticket.result.url, timeout=access.timeout, budget=access.budget)


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
    concurrency: int | None = None,
    memory: int | None = None,
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
    access = Access(timeout, budget=Budget(concurrency, memory))
    to = Ticketed(ticket, trust=surroundings.trust(allow_endpoints=allow_endpoints), access=access)
    with closing(Opened(to.store)) as opened:
        return published(source, to, opened, Context(), to.fitted(manner), told=told)
