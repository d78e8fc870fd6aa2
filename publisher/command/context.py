"""The options from which a key is made: what the fields of its template stand for, and whether it names an archive."""

from datetime import UTC

from . import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.keys import Context

_PLAIN = "publish files under a prefix, not an archive"
_RAW = "publish one file, or - (stdin), as it is, as this key"


def take_context(group: "argparse._ActionsContainer", *, typed_alone: bool = False) -> None:
    """Declares the options that ``given_context`` reads, or ``typed_context`` alone, and ``--plain`` and ``--raw``."""

    def text(field: str, default: str) -> str:
        return f"for {field}" if typed_alone else f"for {field}; default: {default}"

    take_encoding(group)
    for name, field in (("job", "{jobID}"), ("execution", "{executionID}"), ("node", "{nodeID}")):
        default = f"BACALHAU_{name.upper()}_ID" + ", if set" * (name == "node")
        group.add_argument(f"--{name}-id", metavar="ID", help=text(field, default))
    for name in ("index", "count"):
        fields = f"{{partition{name.title()}}}, or {{partition{name.title()}:04}}"
        about = text(fields, f"BACALHAU_PARTITION_{name.upper()}")
        group.add_argument(f"--partition-{name}", metavar="N", type=typed.number, help=about)
    group.add_argument(
        "--label", metavar="NAME=VALUE", type=typed.label, action="append", default=[], help="for {NAME}"
    )
    about = "the instant of {date}, {time}" + "; default: now" * (not typed_alone)
    group.add_argument("--at", metavar="ISO-TIME", type=typed.instant, help=about)
    group.add_argument("--timezone", metavar="ZONE", type=typed.zone, help="the zone of --at and now; default: UTC")


def take_encoding(group: "argparse._ActionsContainer", plain: str = _PLAIN, raw: str = _RAW) -> None:
    """Declares ``--plain`` and ``--raw``, with a word of help for each."""
    encoding = group.add_mutually_exclusive_group()
    encoding.add_argument("--plain", action="store_true", help=plain)
    encoding.add_argument("--raw", action="store_true", help=raw)


def given_labels(options: "argparse.Namespace") -> "dict[str, str]":
    """The values of ``--label``, by their names. Raises ``ValueError``."""
    labels = dict(options.label)
    if len(labels) < len(options.label):
        raise ValueError("a --label is given twice: give each NAME once")
    return labels


def given_context(options: "argparse.Namespace") -> "Context":
    """What was typed, the running job's ids where nothing was, and one instant. Raises ``ValueError``."""
    from keystow.keys import Context
    from keystow.surroundings import job_context, with_instant

    typed, job = typed_context(options), job_context()
    names = ("job_id", "execution_id", "node_id", "partition_index", "partition_count")
    values = {name: getattr(job if getattr(typed, name) is None else typed, name) for name in names}
    return with_instant(Context(**values, at=typed.at, labels=typed.labels), options.timezone or UTC)


def typed_context(options: "argparse.Namespace") -> "Context":
    """What was typed, and nothing else. Raises ``ValueError``."""
    from keystow.keys import Context

    zone = options.timezone or UTC
    at = options.at
    if at is not None:
        try:
            at = at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(options.timezone or at.tzinfo)
        except OverflowError:
            raise ValueError(f"--at {at.isoformat()} is outside of the years 1 to 9999 in {zone}") from None
    return Context(
        job_id=options.job_id,
        execution_id=options.execution_id,
        node_id=options.node_id,
        at=at,
        partition_index=options.partition_index,
        partition_count=options.partition_count,
        labels=given_labels(options),
    )
