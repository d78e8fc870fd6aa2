"""The options about what somebody else wrote: a result, what it may name, and how much of this machine it may take."""

import argparse
import sys

from . import typed
from .loading import uncollected

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
_SHA256 = "what it must have, where that is known from elsewhere"
_ALLOW = "a type of store that a result or job may name, beside s3, gs, az and what a checksum proves; again for more"
_ALLOW_ENDPOINT = "a server that a result or job may name; then no other is called. Default: KEYSTOW_ALLOW_ENDPOINTS"


def take_result(parser: argparse.ArgumentParser, metavar: str = "RESULT", also: str = "or - for stdin") -> None:
    """Declares what ``given_results`` reads."""
    parser.add_argument("result", metavar=metavar, help=f"a file with published results, {also}; or s3://bucket/key")
    parser.set_defaults(read="result")
    take_select(parser)


def take_select(parser: argparse.ArgumentParser) -> None:
    """Declares ``--select``."""
    parser.add_argument("--select", metavar="N", type=typed.number, help="the N-th of several results; without, all")


def take_checksum(group: argparse._ActionsContainer) -> None:
    """Declares ``--sha256``."""
    group.add_argument("--sha256", metavar="HEX", help=_SHA256)


def take_trust(group: argparse._ActionsContainer) -> None:
    """Declares the options that ``given_trust`` reads."""
    group.add_argument("--allow", metavar="TYPE", action="append", default=[], help=_ALLOW)
    group.add_argument("--allow-endpoint", metavar="URL", action="append", help=_ALLOW_ENDPOINT)


def take_limits(group: argparse._ActionsContainer, *names: str) -> None:
    """Declares the options that ``given_limits`` reads, those of ``names`` alone."""
    for name in names:
        of, what = LIMITS[name]
        group.add_argument(f"--max-{name}", metavar="N|none", type=of, default=argparse.SUPPRESS, help=what)


def given_results(options: argparse.Namespace, argument: str | None = None) -> "list[str | PublishedResult]":
    """What a file or stdin holds, a URL, or where a result lies; or that of ``--select``. Raises ``ResultError``.

    It is what ``take_result`` declares, or else the ``argument``.
    """
    with uncollected():
        from keystow.errors import ResultError
        from keystow.reading import is_reference, read_results
        from keystow.result import PublishedResult
        from keystow.trust import is_url
        from keystow.yaml_files import MOST_BYTES, load_mappings

    argument = options.result if argument is None else argument
    found: list[str | PublishedResult] = []
    if argument == "-":
        text = sys.stdin.buffer.read(MOST_BYTES + 1)
        found += map(PublishedResult.from_mapping, load_mappings(text, "standard input", ResultError))
    elif is_url(argument) or is_reference(argument):
        found.append(argument)
    else:
        found += read_results(argument)
    chosen: int | None = options.select
    if chosen is None:
        return found
    if not 1 <= chosen <= len(found):
        raise ResultError(f"there is no result {chosen} in {argument!r}, which has {len(found)}: count them from 1")
    return [found[chosen - 1]]


def given_trust(options: argparse.Namespace) -> "dict[str, Any]":
    """What ``fetch``, ``verify`` and ``presign`` take of whom to trust."""
    return {"allow": options.allow, "allow_endpoints": options.allow_endpoint}


def given_limits(options: argparse.Namespace) -> "Limits":
    """The default limits, but for what was typed."""
    from keystow.archive import Limits

    given = vars(options)
    return Limits(**{name: given[f"max_{name}"] for name in LIMITS if f"max_{name}" in given})
