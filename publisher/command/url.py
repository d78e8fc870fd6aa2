"""``keystow url``: an address from which anybody can fetch what was published."""

import argparse
from datetime import UTC, datetime

from . import typed
from .claimed import given_results, given_trust, take_result, take_trust
from .failures import each_of
from .output import print_json, take_output
from .streams import note
from .written import given_access, take_access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from keystow.result import PublishedResult

USAGE = "--expires 1h RESULT"
DESCRIPTION = "Print a pre-signed URL of a published archive or raw file, and say on stderr until when it opens that."


def take_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    take_result(parser)
    parser.add_argument("--expires", type=typed.duration, required=True, metavar="1h", help="90s, 30m, 12h, 7d at most")
    parser.add_argument(
        "--pin-version",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="name the published version (needs s3:GetObjectVersion)",
    )
    take_output(parser)
    take_trust(parser.add_argument_group("what a result of others may be"))
    take_access(parser.add_argument_group("who asks"))
    parser.set_defaults(prints=True)


def run(options: argparse.Namespace) -> int:
    """Prints the URL."""
    from keystow.backends import expiry_of
    from keystow.fetching import presign

    from .wording import until

    given = {"expires": options.expires, "pin_version": options.pin_version}
    given |= given_trust(options) | given_access(options)

    def work(result: "str | PublishedResult") -> None:
        signed_from = datetime.now(UTC).replace(microsecond=0)
        url = presign(result, **given)
        asked = signed_from + options.expires
        end = expiry_of(url) or asked
        if options.output == "json":
            print_json(url=url, expires=end.isoformat())
        else:
            print(url)
        note(until("the URL", end, url, ends_sooner=end < asked))

    return each_of(given_results(options), work)


EXAMPLES = {
    "a URL for an hour": "keystow url published.yaml --expires 1h",
    "of the object by its name, for a week": "keystow url s3://my-bucket/exact/results.tar --expires 7d",
}
