"""``keystow key``: the key that publish would use."""

import re

from .context import given_context, take_context
from .output import print_json, take_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

USAGE = "TEMPLATE"
DESCRIPTION = "Print a key as publish would use it."
_LOCATED = "[A-Za-z][A-Za-z0-9+.-]*://"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("template", metavar="TEMPLATE", help="such as results/{jobID}/{date}, or a DESTINATION")
    take_output(parser)
    take_context(parser.add_argument_group("the key, and what it names"))
    parser.set_defaults(prints=True, requests=False)


def run(options: "argparse.Namespace") -> int:
    """Prints the key of a template, or of a destination."""
    key = _key(options)
    if options.output == "json":
        print_json(key=key)
    else:
        print(key)
    return 0


def _key(options: "argparse.Namespace") -> str:
    from keystow.keys import object_key

    if re.match(_LOCATED, options.template):
        from keystow.publishing import Destination

        to = Destination(options.template, archive=False if options.plain else None, raw=options.raw)
        return to.foreseen(given_context(options)).key
    if not options.template:
        raise ValueError("the template is empty: write one, such as results/{jobID}")
    return object_key(options.template, given_context(options), archive=not options.plain, raw=options.raw)


EXAMPLES = {
    "the key of a template": "keystow key 'results/{jobID}/{date:%Y/%m/%d}' --job-id abc123 --at 2026-03-21",
    "with a label, of files under a prefix": "keystow key 'results/{team}/{partitionIndex:04}' --label team=blue "
    "--partition-index 7 --plain",
}
