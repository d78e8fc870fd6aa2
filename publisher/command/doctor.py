"""``keystow doctor``: why a publish fails, or would."""

from . import typed
from .claimed import given_trust, take_trust
from .context import given_context, take_context
from .destination import given_destinations, take_destination
from .written import take_opening

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.doctor import Finding

USAGE = "[DESTINATION]"
DESCRIPTION = (
    "Find out what stands between here and DESTINATION: what is set and where, whether the store answers and takes "
    "what it is asked, and what to do where it does not. Nothing is written without --write-probe."
)
EXAMPLES = {
    "why a publish fails, or would": "keystow doctor 's3://my-bucket/results/{jobID}/{date}' --job-id abc123",
    "which promises the endpoint keeps, for a program": (
        "keystow doctor 's3://my-bucket/results/{jobID}/{date}' --job-id abc123 --write-probe --output json"
    ),
}
_PROBE = "write some small objects beside the key, and 8 MB, to see which promises the store keeps; they are removed"
_OUTPUT = "a table (default), or a line of JSON for each finding (docs/doctor.md)"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    take_destination(parser, "?")
    parser.add_argument("--write-probe", action="store_true", help=_PROBE)
    parser.add_argument("--output", choices=("table", "json"), default="table", help=_OUTPUT)
    take_context(parser.add_argument_group("the key, and what it names"))
    take_trust(parser.add_argument_group("what the author of a job file may ask for"))
    asking = parser.add_argument_group("who asks, and for how long")
    typed.take_timeout(asking)
    take_opening(asking)
    parser.set_defaults(prints=True)


def run(options: "argparse.Namespace") -> int:
    """Prints a line for each finding, once it is known, and tells whether anything failed."""
    from functools import partial

    from keystow.doctor import diagnose

    from .wording import row_of

    given = {name: getattr(options, name) for name in ("raw", "write_probe", "timeout", "profile", "requester_pays")}
    given |= given_trust(options) | {"context": given_context(options), "archive": False if options.plain else None}
    made = partial(diagnose, **given)
    (findings,) = given_destinations([options.destination] if options.destination else [], options.spec, made)
    line = _as_json if options.output == "json" else row_of
    status = 0
    for finding in findings:
        print(line(finding), flush=True)
        status = status or int(finding.outcome == "failed")
    return status


def _as_json(finding: "Finding") -> str:
    import json

    from .wording import as_options

    told = {"name": finding.name, "outcome": finding.outcome, "found": finding.found}
    return json.dumps(told | {"advice": as_options(finding.advice)})
