"""``keystow get``: what was published, back into a directory."""

from . import typed
from .claimed import LIMITS, RESULT, given_limits, given_result, given_trust, take_checksum, take_limits, take_trust
from .streams import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Fetch what was published, and verify it."


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("result", metavar="RESULT|URL", help=f"{RESULT}, - for stdin, or a URL")
    parser.add_argument("directory", metavar="DIRECTORY", help="a new or empty directory")
    take_checksum(parser)
    take_trust(parser)
    take_limits(parser, *LIMITS)
    typed.take_timeout(parser)


def run(options: "argparse.Namespace") -> int:
    """Fetches, and says what and from where."""
    from keystow.fetching import fetch

    from .wording import counted

    given = {"limits": given_limits(options), "timeout": options.timeout, **given_trust(options)}
    fetched = fetch(given_result(options), options.directory, sha256=options.sha256, **given)
    for name in fetched.cleared:
        say(f"removed what an earlier run, which was killed, had left: {name}")
    if not fetched.verified:
        say("not verified: a URL, or a result without ChecksumSHA256, holds nothing to compare with (--sha256 does)")
    what = f"{counted(fetched.members, 'member')} of {counted(fetched.bytes, 'byte')}"
    origin = f" from {fetched.address}" if fetched.address else ""
    say(f"fetched {what}{origin} into {fetched.directory}")
    return 0
