"""The options about what somebody else wrote: a result, what it may name, and how much of this machine it may take."""

import argparse
import sys

from . import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from keystow.archive import Limits
    from keystow.result import PublishedResult

LIMITS = {
    "members": (typed.limit, "the most files, directories and links to take"),
    "bytes": (typed.size, "the most bytes of content to take, such as 20GB"),
    "ratio": (typed.limit, "how many times its compressed size an archive may take on the disk"),
    "depth": (typed.limit, "how many directories deep a name may lie"),
    "names": (typed.size, "the most bytes of names to take, which are held in memory"),
}
"""The fields of ``Limits``, each with what reads it and its help."""
RESULT = "a file with a published result, or where one lies (s3://bucket/key)"
_SHA256 = "what it must have, where that is known from elsewhere"
_ALLOW = "a type of store that a result or job may name, beside s3, gs, az and what a checksum proves; again for more"
_ALLOW_ENDPOINT = "a server that a result or job may name; then no other is called. Default: KEYSTOW_ALLOW_ENDPOINTS"


def take_result(parser: argparse.ArgumentParser) -> None:
    """Declares the argument that ``given_result`` reads."""
    parser.add_argument("result", metavar="RESULT", help=f"{RESULT}, or - for stdin")


def take_checksum(parser: argparse.ArgumentParser) -> None:
    """Declares ``--sha256``."""
    parser.add_argument("--sha256", metavar="HEX", help=_SHA256)


def take_trust(parser: argparse.ArgumentParser) -> None:
    """Declares the options that ``given_trust`` reads."""
    parser.add_argument("--allow", metavar="TYPE", action="append", default=[], help=_ALLOW)
    parser.add_argument("--allow-endpoint", metavar="URL", action="append", help=_ALLOW_ENDPOINT)


def take_limits(parser: argparse.ArgumentParser, *names: str) -> None:
    """Declares the options that ``given_limits`` reads, those of ``names`` alone."""
    for name in names:
        of, what = LIMITS[name]
        parser.add_argument(f"--max-{name}", metavar="N|none", type=of, default=argparse.SUPPRESS, help=what)


def given_result(options: argparse.Namespace) -> "str | PublishedResult":
    """The path or URL of a result, or the result that stdin holds. Raises ``ResultError``."""
    argument: str = options.result
    if argument != "-":
        return argument
    from keystow.errors import ResultError
    from keystow.result import PublishedResult
    from keystow.yaml_files import MOST_BYTES, load_mapping

    text = sys.stdin.buffer.read(MOST_BYTES + 1)
    return PublishedResult.from_mapping(load_mapping(text, "standard input", ResultError))


def given_trust(options: argparse.Namespace) -> "dict[str, Any]":
    """What ``fetch``, ``verify`` and ``presign`` take of whom to trust."""
    return {"allow": options.allow, "allow_endpoints": options.allow_endpoint}


def given_limits(options: argparse.Namespace) -> "Limits":
    """The default limits, but for what was typed."""
    from keystow.archive import Limits

    given = vars(options)
    return Limits(**{name: given[f"max_{name}"] for name in LIMITS if f"max_{name}" in given})
