"""``keystow url``: an address from which anybody can fetch what was published."""

import argparse

from . import typed
from .claimed import given_results, given_trust, take_result, take_trust
from .failures import each_of
from .written import given_access, take_access

DESCRIPTION = "Print a pre-signed URL of a published archive or raw file."


def take_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what the command takes."""
    take_result(parser)
    take_trust(parser)
    take_access(parser)
    parser.add_argument("--expires", type=typed.duration, required=True, metavar="1h", help="90s, 30m, 12h, 7d at most")
    parser.add_argument(
        "--pin-version",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="name the published version (needs s3:GetObjectVersion)",
    )
    parser.set_defaults(prints=True)


def run(options: argparse.Namespace) -> int:
    """Prints the URL."""
    from keystow.fetching import presign

    given = {"expires": options.expires, "pin_version": options.pin_version}
    given |= given_trust(options) | given_access(options)
    return each_of(given_results(options), lambda result: print(presign(result, **given)))
