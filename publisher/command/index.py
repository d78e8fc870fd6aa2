"""``keystow index``: the index of a published archive, for other tools."""

import os

from .claimed import given_results, take_result
from .failures import each_of
from .members import given_source, take_asking, tell_unproven
from .output import check_file, print_json, take_output, write_file
from .streams import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.result import PublishedResult

USAGE = "RESULT|URL|ARCHIVE --gzidx FILE"
DESCRIPTION = (
    "Write the index of a published archive in the form that rapidgzip and indexed_gzip read, so that they find a "
    "place in it without reading what lies before. It fits the archive and each copy of it. No more is read than the "
    "archive's own index."
)
EXAMPLES = {
    "for rapidgzip and indexed_gzip, of what publish printed": "keystow index published.yaml --gzidx published.gzidx",
    "of an archive by its name": "keystow index s3://my-bucket/of-help/abc123.tar.gz --gzidx abc123.gzidx",
}
_ARCHIVE = (".tar.gz", ".tgz")
_GZIDX = "write it to FILE, whole or not at all"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_result(parser, "RESULT|URL|ARCHIVE", "- for stdin, a URL, or an archive here, whose name ends in .tar.gz")
    parser.add_argument("--gzidx", metavar="FILE", required=True, help=_GZIDX)
    take_output(parser)
    take_asking(parser)


def run(options: "argparse.Namespace") -> int:
    """Writes the file."""
    from keystow.errors import ResultError

    check_file("--gzidx", options.gzidx)
    results = _results(options)
    if len(results) > 1:
        raise ResultError(f"{options.result!r} holds {len(results)} results, and one file is written: --select one")

    def work(result: "str | PublishedResult") -> None:
        from keystow.members import gzidx_of

        with given_source(options, result) as source:
            written = gzidx_of(source)
            write_file(options.gzidx, [written])
            if options.output == "json":
                print_json(file=options.gzidx, bytes=len(written))
            else:
                note(f"the index is in {options.gzidx!r}")
            tell_unproven(source)

    return each_of(results, work)


def _results(options: "argparse.Namespace") -> "list[str | PublishedResult]":
    named: str = options.result
    if "://" in named or not named.endswith(_ARCHIVE):
        return given_results(options)
    from keystow.result import PublishedResult

    directory, name = os.path.split(os.path.abspath(named))
    return [PublishedResult("file", directory, name)]
