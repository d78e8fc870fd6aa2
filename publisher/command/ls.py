"""``keystow ls``: what was published to a destination, or the members of one published thing."""

import os
from datetime import UTC, datetime, timedelta

from . import typed
from .claimed import given_limits, given_results, given_trust, take_checksum, take_limits, take_select, take_trust
from .context import given_labels, take_encoding
from .destination import given_destinations, take_destination
from .failures import each_of
from .loading import uncollected
from .members import LIMITS, as_row, given_members, take_index, tell_unproven
from .streams import note
from .written import take_access

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from keystow.archive import Entry
    from keystow.listing import Listed
    from keystow.result import PublishedResult

USAGE = "[DESTINATION|RESULT|URL] [GLOB ...]"
DESCRIPTION = (
    "List what was published to DESTINATION, the newest last. Each field of its key may have any value, unless an "
    "option says which. Of a RESULT, list the members of the archive, or the files of the prefix, or those that a GLOB "
    "matches: of a file with published results, - for stdin, a URL, or a name, s3://bucket/key.tar.gz or s3://bucket/run/."
)
EXAMPLES = {
    "what was published to a destination": "keystow ls 's3://my-bucket/results/{jobID}/{date}'",
    "what one job published in the last week, for a program": (
        "keystow ls 's3://my-bucket/results/{jobID}/{date}' --job-id abc123 --since 7d --output json"
    ),
    "the members of what publish printed": "keystow ls published.yaml --long",
    "those of an archive by its name that a pattern matches": (
        "keystow ls s3://my-bucket/of-help/abc123.tar.gz '*.json'"
    ),
}
_FIELDS: "dict[str, tuple[str, Any, str]]" = {
    "job_id": ("ID", str, "jobID"),
    "execution_id": ("ID", str, "executionID"),
    "node_id": ("ID", str, "nodeID"),
    "partition_index": ("N", typed.number, "partitionIndex"),
    "partition_count": ("N", typed.number, "partitionCount"),
}
"""By the names of ``list_published``'s keywords."""
_PLAIN = "list what was published as files under a prefix, each prefix as one"
_RAW = "list what was published as it is"
_SINCE = "only what was published then or later: 2026-11-28, 2026-11-28T14:05, or so long ago: 7d, 12h"
_UNTIL = "only what was published before; as --since"
_ZONE = "the zone of --since, --until and the dates in keys; default: UTC"
_OUTPUT = "a table (default), or a line of JSON for each (docs/listing.md, docs/members.md)"
_ALSO = ". Or a RESULT: a file, -, a URL, or a name without {fields} that ends in .tar.gz or /"
_GLOB = "of a RESULT: the members that these patterns match, as --include does (keystow help patterns)"
_LONG = "of a RESULT: mode, size, time and target of each member, too"
_WHOLE = (".tar.gz", ".tgz", "/")
"""How the name of an archive, or of a prefix, ends."""
_OF_RESULTS = {"glob": "GLOB", "long": "--long", "index": "--index", "select": "--select", "sha256": "--sha256"}
_OF_RESULTS |= {"customer_key": "--customer-key"} | {f"max_{name}": f"--max-{name}" for name in LIMITS}
_AHEAD = timedelta(days=1)
"""By so much the clock of who published may be ahead, or his time zone."""


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_destination(parser, "?", "DESTINATION|RESULT|URL", _ALSO)
    parser.add_argument("glob", metavar="GLOB", nargs="*", help=_GLOB)
    parser.add_argument("--long", "-l", action="store_true", help=_LONG)
    take_index(parser)
    take_select(parser)
    parser.add_argument("--output", choices=("table", "json"), default="table", help=_OUTPUT)
    looked_for = parser.add_argument_group("what is looked for")
    take_encoding(looked_for, _PLAIN, _RAW)
    for name, (metavar, of, field) in _FIELDS.items():
        looked_for.add_argument(
            f"--{name.replace('_', '-')}", metavar=metavar, type=of, help=f"what {{{field}}} has to be"
        )
    looked_for.add_argument(
        "--label", metavar="NAME=VALUE", type=typed.label, action="append", default=[], help="what {NAME} has to be"
    )
    looked_for.add_argument("--since", metavar="TIME", type=typed.moment, help=_SINCE)
    looked_for.add_argument("--until", metavar="TIME", type=typed.moment, help=_UNTIL)
    looked_for.add_argument("--timezone", metavar="ZONE", type=typed.zone, default=UTC, help=_ZONE)
    trusted = parser.add_argument_group("what the author of a job file, or of a result, may ask for")
    take_checksum(trusted)
    take_trust(trusted)
    take_limits(trusted, *LIMITS)
    asking = parser.add_argument_group("who asks, and for how long")
    typed.take_timeout(asking)
    take_access(asking)
    parser.set_defaults(prints=True, read="destination", repeated="glob")


def run(options: "argparse.Namespace") -> int:
    """Prints a line for each thing that was published, or for each member of one."""
    if _is_result(options):
        return _list_members(options)
    return _list_published(options)


def _is_result(options: "argparse.Namespace") -> bool:
    """Whether members of one thing are asked for. Raises ``SpecError`` for options that do not go with what is."""
    from keystow.errors import SpecError
    from keystow.trust import is_url

    named: str | None = options.destination
    place = (named or "").partition(",opt=")[0]
    is_whole = "{" not in place and place.endswith(_WHOLE) and not options.plain and not options.raw
    is_result = named is not None and ("://" not in named or is_url(named) or is_whole)
    if named is not None and named != "-" and "://" not in named and not os.path.exists(named):
        advice = "write the one that was published to, as s3://bucket/{jobID}, or the file of a result"
        raise SpecError(f"{named!r} is no DESTINATION: {advice}")
    if is_result:
        names = (*_FIELDS, "label", "since", "until", "plain", "raw", "spec")
        if wrong := [f"--{name.replace('_', '-')}" for name in names if _is_given(getattr(options, name))]:
            raise SpecError(f"{named!r} is a result, whose members are listed: leave {' and '.join(wrong)} out")
    elif wrong := [words for name, words in _OF_RESULTS.items() if _is_given(getattr(options, name, None))]:
        what = "a file, -, a URL, s3://bucket/key.tar.gz or s3://bucket/run/"
        raise SpecError(f"{' and '.join(wrong)}: what for? It goes with a RESULT, which is {what}")
    return is_result


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value != []


def _list_members(options: "argparse.Namespace") -> int:
    def work(result: "str | PublishedResult") -> None:
        from keystow.archive.selection import Choice
        from keystow.members import list_members

        choice = Choice(options.glob) if options.glob else None
        with given_members(options, result) as source:
            for entry in list_members(source, choice, given_limits(options)):
                print(_member_as_json(entry) if options.output == "json" else as_row(entry, is_long=options.long))
            tell_unproven(source)

    return each_of(given_results(options, options.destination), work)


def _member_as_json(entry: "Entry") -> str:
    import json
    from dataclasses import asdict

    return json.dumps({name: value for name, value in asdict(entry).items() if name != "origin"})


def _list_published(options: "argparse.Namespace") -> int:
    from functools import partial

    with uncollected():
        from keystow.listing import list_published

    given = {name: getattr(options, name) for name in (*_FIELDS, "timezone", "timeout", "profile", "requester_pays")}
    given |= given_trust(options) | _window(options)
    archive = False if options.plain else None
    made = partial(list_published, archive=archive, raw=options.raw, labels=given_labels(options), **given)
    destinations = [] if options.destination is None else [options.destination]
    (things,) = given_destinations(destinations, options.spec, made)
    line = _as_json if options.output == "json" else _as_row
    is_empty, is_bare = True, False
    for thing in things:
        print(line(thing))
        is_empty, is_bare = False, is_bare or thing.manifest is False
    if is_empty:
        others = "" if options.plain or options.raw else "; --plain and --raw list what is no archive"
        note(f"nothing was found{others}")
    if is_bare and options.output != "json":
        note("! stands where there is no manifest: it was cut off, is under way, or was published without one")
    return 0


def _window(options: "argparse.Namespace") -> "dict[str, datetime]":
    """``since`` and ``until``, as far as they were typed. What was published in the last days is not in the future."""
    now = datetime.now(UTC)
    window = {name: getattr(options, name) for name in ("since", "until")}
    if isinstance(window["since"], timedelta) and window["until"] is None:
        window["until"] = now + _AHEAD
    return {name: _instant(name, at, now, options.timezone) for name, at in window.items() if at is not None}


def _instant(name: str, at: "Any", now: datetime, zone: "Any") -> datetime:  # noqa: ANN401
    try:
        if isinstance(at, timedelta):
            return now - at
        found: datetime = at.replace(tzinfo=zone) if at.tzinfo is None else at
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"--{name} is outside of the years 1 to 9999") from None


def _as_row(thing: "Listed") -> str:
    from keystow.backends.texts import presentable

    from .wording import counted, sized

    at = "-" if thing.at is None else _written(thing.at.replace(microsecond=0))
    mark = "!" if thing.manifest is False else " "
    return f"{at:<20}  {sized(thing.size):>8}  {counted(thing.objects, 'object'):>14}{mark} {presentable(thing.url)}"


def _as_json(thing: "Listed") -> str:
    import json

    return json.dumps(
        {
            "key": thing.key,
            "url": thing.url,
            "encoding": thing.encoding,
            "size": thing.size,
            "objects": thing.objects,
            "manifest": thing.manifest,
            "modified": thing.modified and _written(thing.modified),
            "at": thing.at and _written(thing.at),
            "fields": thing.fields,
            "PublishedResult": thing.result.to_mapping(),
        }
    )


def _written(at: datetime) -> str:
    """ISO 8601, in UTC."""
    return at.isoformat().replace("+00:00", "Z")
