"""``keystow cat``: the content of one file of what was published."""

import sys

from .claimed import given_limits, given_results, take_result
from .failures import each_of
from .members import given_members, take_asking, take_index, tell_unproven

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.result import PublishedResult

USAGE = "RESULT|URL MEMBER"
DESCRIPTION = (
    "Print a file of a published archive, or of a prefix. No more of the archive is read than it takes, if that has an "
    "index, and nothing is printed that is not proved by the result."
)
EXAMPLES = {
    "a file of what publish printed": "keystow cat published.yaml summary.json",
    "one under a prefix": "keystow cat files.yaml summary.json",
    "the same of an archive by its name, of which nothing is proved": (
        "keystow cat s3://my-bucket/of-help/abc123.tar.gz summary.json | head -c 100"
    ),
}
_OUTPUT = "text (default), or json: what is said on stderr is a line of JSON each; the content is printed as it is"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_result(parser, "RESULT|URL", "- for stdin, or a URL")
    parser.add_argument("member", metavar="MEMBER", help="the name of a file in it, as keystow ls prints it")
    take_index(parser)
    parser.add_argument("--output", choices=("text", "json"), default="text", help=_OUTPUT)
    take_asking(parser)
    parser.set_defaults(prints=True)


def run(options: "argparse.Namespace") -> int:
    """Prints the content."""

    def work(result: "str | PublishedResult") -> None:
        from keystow.members import read_member

        with given_members(options, result) as source:
            for piece in read_member(source, options.member, given_limits(options)):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            tell_unproven(source)

    return each_of(given_results(options), work)
