"""``keystow url``: an address from which anybody can fetch what was published, or one of each of its files."""

import argparse
from datetime import UTC, datetime

from . import typed
from .claimed import given_results, given_trust, take_result, take_trust
from .failures import each_of
from .members import given_files, tell_unproven
from .output import print_json, take_output
from .streams import note
from .written import given_access, take_access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from keystow.result import PublishedResult

USAGE = "--expires 1h RESULT"
DESCRIPTION = (
    "Print a pre-signed URL of a published archive or raw file, or one of each file under a published prefix, and say "
    "on stderr until when it opens that."
)


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
    """Prints the URL, or URLs."""
    from keystow.fetching import presign

    from .wording import until

    given = {"expires": options.expires, "pin_version": options.pin_version}
    given |= given_trust(options) | given_access(options)

    def work(result: "str | PublishedResult") -> None:
        from keystow.reading import is_prefix

        signed_from = datetime.now(UTC).replace(microsecond=0)
        if is_prefix(result):
            _print_each(options, result, signed_from)
            return
        url = presign(result, **given)
        end, ends_sooner = _printed(options, url, signed_from)
        note(until("the URL", end, url, ends_sooner=ends_sooner))

    return each_of(given_results(options), work)


def _print_each(options: argparse.Namespace, result: "str | PublishedResult", signed_from: datetime) -> None:
    """Prints the URL of each file of a prefix, in the order of its manifest."""
    from .wording import counted, until

    first, count = None, 0
    with given_files(options, result) as files:
        for item, url in files.urls(expires=options.expires, pin_version=options.pin_version):
            printed = _printed(options, url, signed_from, name=item.name, size=item.size, sha256=item.sha256)
            first, count = first or (url, printed), count + 1
        tell_unproven(files)
    if first is not None:
        url, (end, ends_sooner) = first
        note(until(f"the first of {counted(count, 'URL')}", end, url, ends_sooner=ends_sooner))


def _printed(options: argparse.Namespace, url: str, signed_from: datetime, **told: object) -> tuple[datetime, bool]:
    """When a URL ends, which is printed, and whether that is sooner than was asked for."""
    from keystow.backends import expiry_of

    asked = signed_from + options.expires
    end = expiry_of(url) or asked
    if options.output == "json":
        print_json(**told, url=url, expires=end.isoformat())
    else:
        print(url)
    return end, end < asked


EXAMPLES = {
    "a URL for an hour": "keystow url published.yaml --expires 1h",
    "one of each file under a prefix": "keystow url files.yaml --expires 1h",
    "of the object by its name, for a week": "keystow url s3://my-bucket/exact/results.tar --expires 7d",
}
