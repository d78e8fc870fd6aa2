"""``keystow publish``: a directory, a file or standard input to one or several destinations."""

import os
import sys
from functools import partial

from . import typed
from .by_ticket import given_way, take_ticket
from .claimed import take_trust
from .context import given_context, take_context
from .destination import given_destinations, take_destination
from .failures import each_of
from .loading import uncollected
from .manner import given_manner, take_manner
from .output import FORMS, Printed, check_form
from .progress import shown, shown_each
from .rehearsal import check, tell_needed
from .streams import note, warn
from .written import given_access, given_writing, take_access, take_writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from keystow.archive import Tree
    from keystow.backends.sending.in_flight import Outcome
    from keystow.keys import Context
    from keystow.manner import Manner
    from keystow.progress import Moved
    from keystow.publishing import Destination
    from keystow.result import PublishedResult
    from keystow.sending import Sent
    from keystow.several import Way

USAGE = "SOURCE [DESTINATION ...]"
DESCRIPTION = (
    "Publish SOURCE as one .tar.gz, with --plain as files under a prefix, or with --raw one file as it is, "
    "and print the published result."
)
EXAMPLES = {
    "a directory as one archive, and its result into a file": (
        "keystow publish results 's3://my-bucket/results/{jobID}/{date}' --job-id abc123 --result published.yaml"
    ),
    "the files themselves under a prefix, without temporary ones": (
        "keystow publish results 's3://my-bucket/files/{jobID}/' --job-id abc123 --plain --exclude '*.tmp' "
        "--result files.yaml"
    ),
    "what would be published, under which key, and whether anything is missing for that": (
        "keystow publish results 's3://my-bucket/once/{jobID}' --job-id abc123 --dry-run --check --output key"
    ),
    "what a pipe brings, unless it is there": (
        "tar -cf - results | keystow publish - s3://my-bucket/exact/results.tar --raw --if-exists skip"
    ),
}
_OUTPUT = "form of the result; bacalhau-input: as InputSources of a Bacalhau job, at /inputs"
_REQUIRE = "how many of several DESTINATIONs have to be published to, for exit status 0; default: all"
_DRY_RUN = "say what would be published, and which permissions that needs; open no store"
_CHECK = "with --dry-run: ask the store what is missing, and write nothing; exit status 1 if something is"
_STDIN = "-"
_OTHER_ARCHIVES = (".tgz", ".zip", ".tar", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z")


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("source", metavar="SOURCE", help="the directory or file to publish; with --raw also - (stdin)")
    take_destination(parser, "*")
    take_ticket(parser)
    parser.add_argument("--require", metavar="all|any|N", type=_require, default="all", help=_REQUIRE)
    parser.add_argument("--dry-run", action="store_true", help=_DRY_RUN)
    parser.add_argument("--check", action="store_true", help=_CHECK)
    parser.add_argument("--output", choices=FORMS, default="yaml", help=_OUTPUT)
    parser.add_argument(
        "--result", dest="file", metavar="FILE", help="write the result to FILE, whole or not at all, and not to stdout"
    )
    take_context(parser.add_argument_group("the key, and what it names"))
    take_manner(parser.add_argument_group("what goes along, and what is there"))
    take_trust(parser.add_argument_group("what the author of a job file may ask for"))
    asking = parser.add_argument_group("who asks, for how long, and how much at once")
    typed.take_timeout(asking)
    typed.take_budget(asking)
    take_access(asking)
    take_writing(parser)
    parser.set_defaults(prints=True, repeated="destination", read="source")


def _require(text: str) -> str | int:
    return text if text in {"all", "any"} else typed.number(text)


def run(options: "argparse.Namespace") -> int:
    """Publishes to each destination, also where another one fails, and prints each result."""
    with uncollected():
        from keystow.several import required

    if options.check and not options.dry_run:
        options.refuse("--check is for a dry run: add --dry-run, or see keystow doctor")
    manner = given_manner(options)
    context = given_context(options) if options.ticket is None else None
    ways = [given_way(options, manner)] if context is None else _ways(options, context, manner)
    check_form(options.output, [way.foreseen for way in ways])
    wanted = required(options.require, len(ways))
    if options.source == _STDIN:
        _check_stdin([way.to for way in ways])
    elif options.file:
        _check_outside(options.source, options.file)
    printed = Printed(options.output, None if options.dry_run else options.file)
    if context is not None:
        for way in ways:
            _warn(way.to, way.foreseen, context, manner.if_exists)
    if len(ways) > 1 and not options.dry_run:
        return _published_to_each(options, ways, printed, wanted)
    return each_of(ways, lambda way: printed.add(_published(options, way)))


def _ways(options: "argparse.Namespace", context: "Context", manner: "Manner") -> "list[Way]":
    """Where each destination leads."""
    from keystow.backends.sending.budget import Budget
    from keystow.publishing import Destination
    from keystow.several import Way
    from keystow.stored import Access
    from keystow.surroundings import trust

    archive = False if options.plain else None
    trusted = trust(options.allow, options.allow_endpoint)
    access = Access(options.timeout, **given_access(options), budget=Budget(options.concurrency, options.memory))
    made = partial(
        Destination,
        archive=archive,
        raw=options.raw,
        trust=trusted,
        access=access,
        writing=given_writing(options),
    )
    destinations = given_destinations(options.destination, options.spec, made)
    return [Way(to, to.foreseen(context), to.fitted(manner)) for to in destinations]


def _check_stdin(destinations: "Sequence[Destination]") -> None:
    from keystow.errors import SpecError

    if any(to.encoding != "raw" for to in destinations):
        raise SpecError("- is standard input, which can only be published as it is: give --raw (./- is a file)")
    if sys.stdin.isatty():
        raise SpecError("standard input is a terminal: give it a pipe or a file, as in COMMAND | keystow publish -")


def _check_outside(source: str, path: str) -> None:
    """The next run would publish the result of this one."""
    from keystow.errors import SpecError
    from keystow.publishing import lies_in

    if lies_in(os.path.realpath(path), os.path.realpath(source)):
        raise SpecError(f"--result {path!r} lies in the source {source!r}: name a file elsewhere")


def _published(options: "argparse.Namespace", way: "Way") -> "PublishedResult":
    """What was published to one destination, or would be without ``--dry-run``; it is said, too."""
    from contextlib import closing

    from keystow.publishing import sent
    from keystow.stored import Opened

    to, foreseen, manner, _ = way
    if options.source == _STDIN:
        return _published_stdin(options, way)
    tree = to.scanned(options.source, foreseen, manner)
    what = _described(options, tree)
    if options.dry_run:
        return _rehearsed(options, way, what)
    with closing(Opened(to.store)) as opened, shown(options, foreseen.url) as told:
        done = sent(tree, foreseen, opened, manner, told=told and told.tell)
    _tell(what, done, len(tree.files) if to.encoding == "plain" else 1)
    return done.result


def _rehearsed(options: "argparse.Namespace", way: "Way", what: str) -> "PublishedResult":
    """What would be published. Raises ``StoreError`` for what ``--check`` finds missing."""
    manifest = ", and then a manifest of them," if way.manner.manifest else ""
    note(f"dry run: {what}{manifest} would be published to {way.foreseen.url}")
    if options.ticket is None:
        tell_needed(way)
    if options.check:
        check(way)
    return way.foreseen


def _published_to_each(options: "argparse.Namespace", ways: "Sequence[Way]", printed: Printed, wanted: int) -> int:
    """Publishes to all of the destinations at once; the status is 0 if ``wanted`` of them have it."""
    from keystow.several import scanned_each, sent_each

    is_stdin = options.source == _STDIN
    trees = scanned_each(sys.stdin.buffer if is_stdin else options.source, ways)
    what = "standard input" if is_stdin else _described(options, trees[0])
    came: dict[int, Outcome[Sent]] = {}

    printed_of = set()

    def work(number: int) -> None:
        done = came[number].result()
        printed.add(done.result)
        printed_of.add(number)
        _tell(what, done, len(trees[number].files) if ways[number].to.encoding == "plain" else 1)

    try:
        with shown_each(options, [way.foreseen.url for way in ways]) as told:
            ways = [way._replace(told=each and each.tell) for way, each in zip(ways, told, strict=True)]
            came.update(sent_each(trees, ways))
    except BaseException:
        for number in sorted(number for number, ended in came.items() if ended.error is None):
            work(number)
        raise
    status = each_of(sorted(came), work)
    return status if len(printed_of) < wanted else 0


def _described(options: "argparse.Namespace", tree: "Tree") -> str:
    """What is published, in words; what is left out of it, or is not there, is said."""
    from .wording import counted

    for name in tree.skipped + (tree.excluded if options.verbose else ()):
        note(f"left out: {name}")
    if tree.excluded and not options.verbose:
        note(f"left out by the patterns: {counted(len(tree.excluded), 'name')} (--verbose says which)")
    if not tree.files:
        warn(f"there is no file in {options.source!r}, and so none in what is published")
    return f"{counted(len(tree.files), 'file')} of {counted(tree.size, 'byte')}"


def _published_stdin(options: "argparse.Namespace", way: "Way") -> "PublishedResult":
    """``_published``, of standard input, which a dry run does not read."""
    from contextlib import closing

    from keystow.publishing import sent
    from keystow.stored import Opened

    from .wording import counted

    to, foreseen, manner, _ = way
    if options.dry_run:
        return _rehearsed(options, way, "standard input")
    read = 0

    def tell(moved: "Moved") -> None:
        nonlocal read
        read = moved.done
        if told is not None:
            told.tell(moved)

    with closing(Opened(to.store)) as opened, shown(options, foreseen.url) as told:
        done = sent(to.scanned(sys.stdin.buffer, foreseen, manner), foreseen, opened, manner, told=tell)
    _tell(f"standard input of {counted(read, 'byte')}", done, 1)
    return done.result


def _tell(what: str, done: "Sent", objects: int) -> None:
    """Says what came of publishing ``what``, as so many ``objects``."""
    from .wording import counted

    result, there = done
    if result.checksum_sha256 is None:
        left = "already there, and left as it is" if objects == 1 else "some files were there, and left as they are"
        note(f"{left}, not compared, as that was not possible: {result.url}")
    elif there == objects:
        note(f"already there, with the same content: {result.url}")
    else:
        some = f" ({counted(there, 'file')} of it already there, with the same content)" if there else ""
        note(f"published {what} to {result.url}{some}")


def _warn(to: "Destination", foreseen: "PublishedResult", context: "Context", if_exists: str) -> None:
    """Says what may not be what was meant, before anything is sent."""
    key, archive = foreseen.key, foreseen.encoding == "gzip"
    if archive and key.endswith("/.tar.gz"):
        warn(f"the key ends with '/', so the archive is named '.tar.gz': {key}")
    for ending in _OTHER_ARCHIVES:
        if archive and key.endswith(f"{ending}.tar.gz"):
            warn(f"an archive's key ends with .tar.gz, which is added to {ending}: {key}")
    if foreseen.type == "memory":
        warn("memory:// is this process's own, and is gone when it ends: file:///directory stays")
    if if_exists == "replace" and context.execution_id is not None and not to.tells_executions_apart(context):
        warn(
            f"another execution of the job replaces what this one publishes: {key} (put {{executionID}} into the key, "
            "or choose --if-exists error)"
        )
