"""``keystow get``: what was published, back into a directory."""

from . import typed
from .claimed import (
    LIMITS,
    given_limits,
    given_results,
    given_trust,
    take_checksum,
    take_limits,
    take_result,
    take_trust,
)
from .failures import each_of
from .members import take_index, take_member, take_no_manifest, take_strict
from .output import print_json, take_output
from .progress import shown
from .streams import note
from .written import given_access, take_access

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from keystow.result import PublishedResult

USAGE = "RESULT|URL DIRECTORY"
DESCRIPTION = "Fetch what was published, and verify it."


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_result(parser, "RESULT|URL", "- for stdin, or a URL")
    parser.add_argument(
        "directory", metavar="DIRECTORY", help="a new or empty directory; of several results each gets one in it"
    )
    take_member(parser)
    take_index(parser)
    take_no_manifest(parser)
    take_strict(parser)
    take_output(parser)
    trusted = parser.add_argument_group("what a result of others may be")
    take_checksum(trusted)
    take_trust(trusted)
    take_limits(trusted, *LIMITS)
    asking = parser.add_argument_group("who asks, for how long, and how much at once")
    typed.take_timeout(asking)
    typed.take_budget(asking)
    take_access(asking)


def run(options: "argparse.Namespace") -> int:
    """Fetches, and says what and from where."""
    results = given_results(options)
    given = {"sha256": options.sha256, "limits": given_limits(options), "timeout": options.timeout}
    given |= {"members": options.member, "index": options.index, "manifest": options.manifest, "strict": options.strict}
    given |= {"concurrency": options.concurrency, "memory": options.memory}
    given |= given_trust(options) | given_access(options)
    places = (
        [options.directory]
        if len(results) == 1
        else map(f"{options.directory}/{{}}".format, range(1, len(results) + 1))
    )
    return each_of(list(zip(results, places, strict=True)), lambda one: _fetched(options, *one, given))


def _fetched(
    options: "argparse.Namespace", result: "str | PublishedResult", directory: str, given: "dict[str, Any]"
) -> None:
    from keystow.fetching import fetch

    from .wording import counted

    with shown(options, directory) as told:
        fetched = fetch(result, directory, progress=told, **given)
    for name in fetched.cleared:
        note(f"removed what an earlier run, which was killed, had left: {name}")
    if not fetched.verified:
        note("not verified: a URL, or a result without ChecksumSHA256, holds nothing to compare with (--sha256 does)")
    what = f"{counted(fetched.members, 'member')} of {counted(fetched.bytes, 'byte')}"
    origin = f" from {fetched.address}" if fetched.address else ""
    note(f"fetched {what}{origin} into {fetched.directory}")
    if options.output == "json":
        print_json(
            directory=fetched.directory,
            members=fetched.members,
            bytes=fetched.bytes,
            sha256=fetched.sha256.hex,
            verified=fetched.verified,
            address=fetched.address,
        )


EXAMPLES = {
    "what publish printed": "keystow get published.yaml fetched",
    "the same from a pipe, with a limit to what it may hold": (
        "cat published.yaml | keystow get - fetched-again --max-bytes 20GB"
    ),
    "members that a pattern matches": "keystow get published.yaml fetched-in-part --member '*.json'",
    "a file by its name": "keystow get s3://my-bucket/exact/results.tar,opt=encoding=raw fetched-tar",
}
