"""``keystow agree``: whether several executions published the same, and if not, which members differ."""

from . import typed
from .claimed import given_results, given_trust, take_trust
from .failures import complain
from .loading import uncollected
from .streams import note
from .written import given_access, take_access

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.agreement import Agreement

USAGE = "RESULT ..."
DESCRIPTION = (
    "Compare the digests of what several executions published, each time a RESULT, and say which agree. Nothing is "
    "downloaded: where results hold TarSHA256, nothing is read at all, and of archives that differ their indexes."
)
EXAMPLES = {
    "whether what publish printed is what lies there by its name": (
        "keystow agree published.yaml s3://my-bucket/of-help/abc123.tar.gz"
    ),
    "whether at least two of all results agree, one of which a pipe brings, for a program": (
        "keystow publish results s3://my-bucket/of-help/again | keystow agree - published.yaml --quorum 2 --output json"
    ),
}
_RESULT = "a file with published results, - for stdin; or an archive by its name, s3://bucket/key.tar.gz"
_QUORUM = "how many have to agree for exit status 0, and no others with each other; default: all"
_DIFFERENCES = "name so many members that differ, of each group; 0 reads no index for that. Default: 10"


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("result", metavar="RESULT", nargs="+", help=_RESULT)
    parser.add_argument("--quorum", metavar="N", type=typed.number, help=_QUORUM)
    parser.add_argument("--differences", metavar="N", type=typed.number, default=10, help=_DIFFERENCES)
    parser.add_argument(
        "--output", choices=("text", "json"), default="text", help="text (default), or a line of JSON (docs/agree.md)"
    )
    take_trust(parser.add_argument_group("what a result of others may be"))
    asking = parser.add_argument_group("who asks, for how long, and how much at once")
    typed.take_timeout(asking)
    typed.take_budget(asking)
    take_access(asking)
    parser.set_defaults(prints=True, read="result", repeated="result", select=None)


def run(options: "argparse.Namespace") -> int:
    """Prints which results agree. If fewer do than have to, prints what differs, and gives 4."""
    with uncollected():
        from keystow.agreement import agree
        from keystow.errors import VerificationError

    results = [result for argument in options.result for result in given_results(options, argument)]
    given = {name: getattr(options, name) for name in ("quorum", "differences", "timeout", "concurrency", "memory")}
    agreement = agree(results, **given, **given_trust(options), **given_access(options))
    print(_as_json(agreement) if options.output == "json" else _as_text(agreement), flush=True)
    if agreement.agreed:
        group = agreement.groups[0]
        note(f"{len(group.results)} of {len(results)} agree, SHA-256 {group.sha256}")
        return 0
    if agreement.differences and all(each.what == "time" for each in agreement.differences):
        note("times alone differ in what the indexes tell: publish with SOURCE_DATE_EPOCH, for the same times each run")
    error = VerificationError(_lack(agreement))
    for text in agreement.notes:
        error.add_note(text)
    complain(error)
    return 4


def _lack(agreement: "Agreement") -> str:
    most = len(agreement.groups[0].results)
    count = sum(len(group.results) for group in agreement.groups)
    if most >= agreement.quorum:
        return f"of {count} results, two groups have the {agreement.quorum} that have to agree, and differ"
    what = "all are different" if most == 1 else f"{most} agree"
    return f"of {count} results, {what}, and {agreement.quorum} have to agree"


def _as_text(agreement: "Agreement") -> str:
    """A line for each digest, and below it its results, and the members that differ."""
    from keystow.backends.texts import escaped, presentable

    from .wording import counted

    lines = []
    for group in agreement.groups:
        lines.append(f"{group.sha256}  {counted(len(group.results), 'result')}")
        for number, result in zip(group.numbers, group.results, strict=True):
            lines.append(f"  {number:>5}    {presentable(result.url)}")
        differing = [each for each in agreement.differences if each.sha256 == group.sha256]
        lines += [f"  {each.what:<9}{escaped(each.name)}" for each in differing]
    return "\n".join(lines)


def _as_json(agreement: "Agreement") -> str:
    import json

    return json.dumps(
        {
            "agreed": agreement.agreed,
            "quorum": agreement.quorum,
            "groups": [
                {
                    "sha256": group.sha256,
                    "numbers": group.numbers,
                    "results": [{"PublishedResult": result.to_mapping()} for result in group.results],
                }
                for group in agreement.groups
            ],
            "differences": [
                {"name": each.name, "what": each.what, "sha256": each.sha256} for each in agreement.differences
            ],
            "notes": agreement.notes,
        }
    )
