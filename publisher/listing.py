"""What was published to a destination: its template turned round.

Strategy: only the prefixes are read that the template and the filters leave, and of each published thing a few numbers
are held until all have come, as no store has them in the order of time.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo

from . import surroundings
from .archive.manifest import NAME
from .backends import Credentials, ObjectOptions, Stat, Store, UnsupportedError
from .ending import held
from .errors import SpecError
from .keys import Key, MatchTooCostlyError, Template
from .keys.listing import Listing, Reading
from .keys.template import template_of_any_labels
from .publishing import Destination, located, spec_of
from .result import PublishedResult
from .spec import PublisherSpec
from .stored import Access

_FIRST = datetime.min.replace(tzinfo=UTC)
_NO_LABELS: Mapping[str, str] = {}
_log = logging.getLogger("keystow")


@dataclass(frozen=True, slots=True)
class Listed:
    """Something that was published: an archive, a raw file, or the objects under a prefix.

    ``result`` is what ``fetch`` takes; it has no checksum, as no listing tells one. ``size`` is in bytes, over all
    ``objects``, ``modified`` is when the last of them was written, ``None`` where the store does not say. ``fields``
    are the values of the template's fields, dates and numbers as they stand in the key. ``at`` is the instant that its
    date and time give, or the first of the day, the hour, … that they give; without any, it is ``modified``. Instants
    are in UTC. ``manifest`` says whether a prefix has its manifest, which is none of the ``objects``; without it, the
    prefix was cut off, is under way, or was published so. Of one object it is ``None``.
    """

    result: PublishedResult
    size: int
    objects: int
    modified: datetime | None
    at: datetime | None
    fields: Mapping[str, str] = field(hash=False)
    manifest: bool | None = None

    @property
    def key(self) -> str:
        """The object's key, or the prefix, which ends with ``/``."""
        return self.result.key

    @property
    def url(self) -> str:
        """Its name for people: ``s3://bucket/key``."""
        return self.result.url

    @property
    def encoding(self) -> str:
        """``"gzip"`` for an archive, ``"plain"`` for a prefix, ``"raw"`` for one file as it is."""
        return self.result.encoding


def list_published(
    destination: str | Mapping[str, object] | PublisherSpec,
    *,
    job_id: str | None = None,
    execution_id: str | None = None,
    node_id: str | None = None,
    partition_index: int | None = None,
    partition_count: int | None = None,
    labels: Mapping[str, str] = _NO_LABELS,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: tzinfo = UTC,
    store: Store | None = None,
    archive: bool | None = None,
    raw: bool = False,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    requester_pays: bool | str | None = None,
) -> Iterator[Listed]:
    """What was published to ``destination``, for whatever values of its fields, the newest last.

    The ids, the partition and ``labels`` are what a field has to be. ``since`` and ``until`` are aware datetimes: what
    was published at ``since`` or later, and before ``until``. A key that gives no more than a day is taken for all of
    that day. ``timezone`` is where the keys' dates and times were read off. Every field that is no built-in one is
    taken for a label.

    A key is listed if ``publish`` gives it for some context, and the listing is of one encoding, as ``archive`` and
    ``raw`` say it, or else the destination: archives, the objects under a prefix, which are one thing, or raw files.
    Others that lie beside them are left out. Where values side by side can be read in several ways, earlier ones are
    short. What several versions of an object are is one thing, the current one.

    No more of the store is read than lies under the text of the template up to the first field whose value is not
    given. For a date that follows it, from the year on to ever smaller parts (``{date}``, ``{date:%Y/%m/%d}``), that
    is narrowed to the prefixes of ``since`` to ``until``, 64 at most. What lies under them is read whole, names alone,
    as a listing cannot step over the files of a prefix: put the fields by which you look for things first. All of it
    is read before the first is given; a few hundred bytes are held for each.

    ``store``, ``allow``, ``allow_endpoints``, ``timeout``, ``credentials``, ``profile`` and ``requester_pays`` are
    those of ``publish``. Raises ``ValueError`` (``SpecError``, ``TemplateError``, …) for a call that is wrong, before
    anything is read; while it is read ``StoreError``, and ``UnsupportedError`` for ``since`` or ``until`` where neither
    the key nor the store tells a time.

    >>> import io
    >>> from keystow import Context, publish
    >>> for job in ("a", "b"):
    ...     _ = publish(io.BytesIO(b"42"), "memory://listed/{jobID}/score.txt", Context(job_id=job), raw=True)
    >>> [(each.key, each.size, each.fields) for each in list_published("memory://listed/{jobID}/score.txt", raw=True)]
    [('a/score.txt', 2, {'jobID': 'a'}), ('b/score.txt', 2, {'jobID': 'b'})]
    """
    trusted = surroundings.trust(allow, allow_endpoints)
    access = Access(timeout, credentials, profile, requester_pays=requester_pays)
    access.check(store, SpecError)
    spec = replace(spec_of(destination), options=ObjectOptions())  # nothing is written
    to = Destination(spec, archive=archive, raw=raw, trust=trusted, access=access)
    to.access.check(store, SpecError)
    given = {
        "executionID": execution_id,
        "jobID": job_id,
        "nodeID": node_id,
        "partitionIndex": partition_index,
        "partitionCount": partition_count,
    }
    known = {name: value for name, value in given.items() if value is not None}
    template = template_of_any_labels(to.spec.key, labels)
    _check_fields(template, [*known, *labels])
    listing = Listing(template, to.encoding, known=known | dict(labels), rules=to.spec.rules, zone=timezone)
    return _listed(to, listing, _Window(since, until), store)


@dataclass(frozen=True, slots=True)
class _Window:
    """From ``since`` on, and before ``until``. Raises ``SpecError``."""

    since: datetime | None
    until: datetime | None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            at = getattr(self, name)
            if at is not None and at.utcoffset() is None:
                raise SpecError(f"{name} is {at!r}, which has no time zone: give an aware datetime")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise SpecError(f"since {self.since.isoformat()} is not before until {self.until.isoformat()}: swap them")

    def holds(self, at: datetime | None, key: str) -> bool:
        """Whether what is under ``key``, and was published ``at`` that instant, is in it."""
        if self.since is None and self.until is None:
            return True
        if at is None:
            raise UnsupportedError(f"neither {key!r} nor its store tells when it was published: leave since, until out")
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


def _check_fields(template: Template, names: Collection[str]) -> None:
    """Raises ``SpecError`` for a name by which nothing can be found."""
    for name in names:
        if name not in template.fields:
            known = ", ".join(f"{{{field}}}" for field in template.fields) or "none"
            raise SpecError(
                f"the key {template.text!r} has no field {{{name}}} by which to find anything: "
                f"leave it out, or look by one that it has ({known})"
            )


@dataclass(slots=True)
class _Thing:
    """What is held of a published thing until all are known; ``at`` and ``values`` are what its key says."""

    values: tuple[str, ...]
    at: datetime | None
    size: int = 0
    objects: int = 0
    modified: datetime | None = None
    has_manifest: bool = False

    def add(self, found: Stat, key: str) -> None:
        """One more of the objects of ``key``, or the manifest of them."""
        if found.key == key + NAME:
            self.has_manifest = True
        else:
            self.size += found.size
            self.objects += 1
        if found.modified is not None and (self.modified is None or found.modified > self.modified):
            self.modified = found.modified.astimezone(UTC)


def _listed(to: Destination, listing: Listing, window: _Window, given: Store | None) -> Iterator[Listed]:
    opening = closing(held(to.store(), given=False)) if given is None else nullcontext(held(given, given=True))
    with opening as store:
        names, things = _things(store, listing, window)
        order = sorted(things, key=lambda key: _age(things[key], key))
        place = located(to.result(Key(order[0])), store) if order else None
    for key in order:
        if place is not None:
            thing, result = things.pop(key), replace(place, key=key)
            fields = dict(zip(names, thing.values, strict=True))
            manifest = thing.has_manifest if to.encoding == "plain" else None
            at = thing.at or thing.modified
            yield Listed(result, thing.size, thing.objects, thing.modified, at, fields, manifest)


def _things(store: Store, listing: Listing, window: _Window) -> tuple[list[str], dict[str, _Thing]]:
    """The names of the fields, and what there is, by its key or prefix."""
    names: list[str] = []
    things: dict[str, _Thing] = {}
    other = None
    for prefix in listing.prefixes(since=window.since, until=window.until):
        for found in store.list(prefix):
            key = listing.whole(found.key)
            if key is None or key == other or key.rpartition("/")[2] == NAME:
                continue
            if key not in things:
                reading = _reading(listing, key)
                span = reading and reading.span
                if reading is None or (span is not None and not span.meets(window.since, window.until)):
                    other = key
                    continue
                names = names or [*reading.fields]  # of one template, each key has the same
                things[key] = _Thing(tuple(reading.fields.values()), span.first if span else None)
            things[key].add(found, key)
    return names, {key: thing for key, thing in things.items() if thing.at or window.holds(thing.modified, key)}


def _reading(listing: Listing, key: str) -> Reading | None:
    try:
        return listing.read(key)
    except MatchTooCostlyError as error:
        _log.warning("left out %r: %s", key, error)
        return None


def _age(thing: _Thing, key: str) -> tuple[datetime, datetime, str]:
    return thing.at or thing.modified or _FIRST, thing.modified or _FIRST, key
