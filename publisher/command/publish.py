"""``keystow publish``: a directory to one or several destinations."""

import os
import sys
from functools import partial

from . import typed
from .claimed import take_trust
from .context import given_context, take_context
from .failures import each_of
from .manner import given_manner, take_manner
from .output import FORMS, Printed, check_form
from .streams import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from keystow.publishing import Destination, Manner
    from keystow.result import PublishedResult

DESCRIPTION = "Publish SOURCE as one .tar.gz, or with --plain as files under a prefix, and print the published result."
_USUAL = "KEYSTOW_DESTINATION"
_DESTINATION = (
    "s3://bucket/results/{jobID}, file:///directory/{jobID}; may end in ,opt=endpoint=URL,opt=region=NAME. "
    f"Default: {_USUAL}"
)
_OUTPUT = "form of the result; bacalhau-input: as InputSources of a Bacalhau job, at /inputs"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("source", metavar="SOURCE", help="the directory or file to publish")
    parser.add_argument("destination", metavar="DESTINATION", nargs="*", help=_DESTINATION)
    parser.add_argument("--spec", metavar="FILE", help="a YAML file that holds a Publisher, instead of DESTINATION")
    take_context(parser)
    take_manner(parser)
    parser.add_argument("--verbose", action="store_true", help="name what the patterns leave out")
    parser.add_argument("--dry-run", action="store_true", help="say what would be published; open no store")
    parser.add_argument("--output", choices=FORMS, default="yaml", help=_OUTPUT)
    parser.add_argument(
        "--result", dest="file", metavar="FILE", help="write the result to FILE, whole or not at all, and not to stdout"
    )
    take_trust(parser)
    typed.take_timeout(parser)
    parser.set_defaults(prints=True, repeated="destination")


def run(options: "argparse.Namespace") -> int:
    """Publishes to each destination, also after one that failed, and prints each result."""
    from keystow.publishing import Destination
    from keystow.stored import Access
    from keystow.surroundings import trust

    context = given_context(options)
    archive = False if options.plain else None
    trusted = trust(options.allow, options.allow_endpoint)
    made = partial(Destination, archive=archive, trust=trusted, access=Access(options.timeout))
    destinations = _destinations(options, made)
    results = [to.foreseen(context) for to in destinations]
    check_form(options.output, results)
    manner = given_manner(options)
    for to in destinations:
        to.check(manner)
    if options.file:
        _check_outside(options.source, options.file)
    printed = Printed(options.output, None if options.dry_run else options.file)
    for foreseen in results:
        _note(foreseen)

    def work(one: "tuple[Destination, PublishedResult]") -> None:
        printed.add(_published(options, *one, manner))

    return each_of(list(zip(destinations, results, strict=True)), work)


def _check_outside(source: str, path: str) -> None:
    """The next run would publish the result of this one."""
    from keystow.errors import SpecError
    from keystow.publishing import lies_in

    if lies_in(os.path.realpath(path), os.path.realpath(source)):
        raise SpecError(f"--result {path!r} lies in the source {source!r}: name a file elsewhere")


def _published(
    options: "argparse.Namespace", to: "Destination", foreseen: "PublishedResult", manner: "Manner"
) -> "PublishedResult":
    """What was published to one destination, or would be without ``--dry-run``; it is said, too."""
    from contextlib import closing

    from keystow.publishing import sent
    from keystow.stored import Opened

    from .wording import counted

    tree = to.scanned(options.source, foreseen, manner)
    for name in tree.skipped + (tree.excluded if options.verbose else ()):
        say(f"left out: {name}")
    if tree.excluded and not options.verbose:
        say(f"left out by the patterns: {counted(len(tree.excluded), 'name')} (--verbose says which)")
    what = f"{counted(len(tree.files), 'file')} of {counted(tree.size, 'byte')}"
    if options.dry_run:
        say(f"dry run: {what} would be published to {foreseen.url}")
        return foreseen
    progress = _Progress() if sys.stderr.isatty() else None
    with closing(Opened(to.store)) as opened:
        result = sent(tree, foreseen, opened, manner, progress)
    if result.checksum_sha256 is None:
        left = "already there, and left as it is" if to.archive else "some files were there, and left as they are"
        say(f"{left}: {foreseen.url}")
    else:
        say(f"published {what} to {foreseen.url}")
        if result.type == "memory":
            say("note: memory:// is this process's own, and is gone now: file:///directory stays")
    return result


def _destinations(
    options: "argparse.Namespace", made: "Callable[[str | Mapping[str, object]], Destination]"
) -> "list[Destination]":
    from keystow.errors import SpecError

    if options.destination and options.spec is not None:
        raise SpecError("give a DESTINATION, such as s3://bucket/results/{jobID}, or --spec FILE: one of them")
    if options.destination:
        return list(map(made, options.destination))
    if options.spec is not None:
        from keystow.yaml_files import load_mapping_file

        absent = "is no file: give the YAML file of a publisher or a job"
        return [made(dict(load_mapping_file(options.spec, SpecError, absent)))]
    usual = os.environ.get(_USUAL)
    if not usual:
        raise SpecError(f"give a DESTINATION, such as s3://bucket/results/{{jobID}}, or --spec FILE, or set {_USUAL}")
    try:
        return [made(usual)]
    except SpecError as error:
        raise SpecError(f"{_USUAL}: {error}") from None


def _note(foreseen: "PublishedResult") -> None:
    """Says what may not be what was meant."""
    key, archive = foreseen.key, foreseen.encoding == "gzip"
    if archive and key.endswith("/.tar.gz"):
        say(f"note: the key ends with '/', so the archive is named '.tar.gz': {key}")
    if archive and key.endswith(".tgz.tar.gz"):
        say(f"note: an archive's key ends with .tar.gz, which is added to .tgz: {key}")


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
