"""``keystow publish``: a directory to one or several destinations."""

import os
import re
import sys
from functools import partial

from . import typed
from .claimed import take_trust
from .context import given_context, take_context
from .failures import complain, status_of
from .output import FORMS, check_form, print_result
from .streams import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from keystow.publishing import Plan
    from keystow.result import PublishedResult

DESCRIPTION = "Publish SOURCE as one .tar.gz, or with --plain as files under a prefix, and print the published result."
_DESTINATION = "s3://bucket/results/{jobID}, file:///directory/{jobID}; may end in ,opt=endpoint=URL,opt=region=NAME"
_IF_EXISTS = "what becomes of an object that is there: replace (default), error (exit status 3), or skip"
_SYMLINKS = "keep those that stay inside (default), follow, skip them all, or take any as an error"
_SPECIAL = "what becomes of sockets, FIFOs and devices: error (default), or skip them"
_OUTPUT = "form of the result; bacalhau-input: as InputSources of a Bacalhau job, at /inputs"
_MOST_SECONDS = 1 << 63  # as many as keystow.archive restores


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("source", metavar="SOURCE", help="the directory or file to publish")
    parser.add_argument("destination", metavar="DESTINATION", nargs="*", help=_DESTINATION)
    parser.add_argument("--spec", metavar="FILE", help="a YAML file that holds a Publisher, instead of DESTINATION")
    take_context(parser)
    parser.add_argument("--if-exists", choices=("replace", "error", "skip"), default="replace", help=_IF_EXISTS)
    parser.add_argument("--symlinks", choices=("inside", "follow", "skip", "error"), default="inside", help=_SYMLINKS)
    parser.add_argument("--special", choices=("error", "skip"), default="error", help=_SPECIAL)
    parser.add_argument("--dry-run", action="store_true", help="say what would be published; open no store")
    parser.add_argument("--output", choices=FORMS, default="yaml", help=_OUTPUT)
    take_trust(parser)
    typed.take_timeout(parser)
    parser.set_defaults(prints=True, repeated="destination")


def run(options: "argparse.Namespace") -> int:
    """Publishes to each destination, also after one that failed, and prints each result."""
    from keystow.publishing import plan
    from keystow.surroundings import trust

    context = given_context(options)
    archive = False if options.plain else None
    trusted = trust(options.allow, options.allow_endpoint)
    planned_for = partial(plan, context=context, archive=archive, trust=trusted, timeout=options.timeout)
    plans = list(map(planned_for, _destinations(options)))
    check_form(options.output, (planned.result() for planned in plans))
    mtime = _source_date_epoch()
    for planned in plans:
        _note(planned)
    status = printed = 0
    for planned in plans:
        try:
            result = _published(options, planned, mtime)
        except Exception as error:
            failed = status_of(error)
            if not failed or len(plans) == 1:
                raise
            complain(error)
            status = status or failed
            continue
        print_result(result, options.output, printed)
        printed += 1
    return status


def _published(options: "argparse.Namespace", planned: "Plan", mtime: int | None) -> "PublishedResult":
    """What was published to one destination, or would be without ``--dry-run``; it is said, too."""
    from keystow.publishing import carry_out, scanned

    from .wording import counted

    tree = scanned(options.source, planned, options.symlinks, options.special)
    for name in tree.skipped:
        say(f"left out: {name}")
    foreseen = planned.result()
    what = f"{counted(len(tree.files), 'file')} of {counted(tree.size, 'byte')}"
    if options.dry_run:
        say(f"dry run: {what} would be published to {foreseen.url}")
        return foreseen
    progress = _Progress() if sys.stderr.isatty() else None
    result = carry_out(planned, tree, if_exists=options.if_exists, mtime=mtime, progress=progress)
    if result.checksum_sha256 is None:
        left = "already there, and left as it is" if planned.archive else "some files were there, and left as they are"
        say(f"{left}: {foreseen.url}")
    else:
        say(f"published {what} to {foreseen.url}")
        if planned.spec.type == "memory":
            say("note: memory:// is this process's own, and is gone now: file:///directory stays")
    return result


def _destinations(options: "argparse.Namespace") -> "Sequence[str | Mapping[str, object]]":
    from keystow.errors import SpecError

    if bool(options.destination) is bool(options.spec):
        raise SpecError("give a DESTINATION, such as s3://bucket/results/{jobID}, or --spec FILE: one of them")
    if not options.spec:
        return list(options.destination)
    from keystow.yaml_files import load_mapping_file

    return [dict(load_mapping_file(options.spec, SpecError, "is no file: give the YAML file of a publisher or a job"))]


def _source_date_epoch() -> int | None:
    """https://reproducible-builds.org/specs/source-date-epoch: whole seconds since 1970."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) >= _MOST_SECONDS:
        raise ValueError(f"SOURCE_DATE_EPOCH is {text!r}: set it to whole seconds since 1970, or unset it")
    return int(text)


def _note(planned: "Plan") -> None:
    """Says what may not be what was meant."""
    if planned.archive and planned.key.endswith("/.tar.gz"):
        say(f"note: the key ends with '/', so the archive is named '.tar.gz': {planned.key}")
    if planned.archive and planned.key.endswith(".tgz.tar.gz"):
        say(f"note: an archive's key ends with .tar.gz, which is added to .tgz: {planned.key}")


class _Progress:
    """A line on stderr that is written over as the source is read."""

    def __init__(self) -> None:
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // max(total, 1)
        if percent != self._shown:
            self._shown = percent
            end = "\r" if percent < 100 else "\n"
            print(f"keystow: {percent:3} % of {total} bytes", end=end, file=sys.stderr, flush=True)
