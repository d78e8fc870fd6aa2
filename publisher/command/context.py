"""The options from which a key is made: what the fields of its template stand for, and whether it names an archive."""

from datetime import UTC

from . import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from keystow.keys import Context

_PLAIN = "publish files under a prefix, not an archive"
_RAW = "publish one file, or - (stdin), as it is, as this key"
_PARTITION = "for {{partition{0}}}, or {{partition{0}:04}}; default: BACALHAU_PARTITION_{1}"


def take_context(parser: "argparse.ArgumentParser") -> None:
    """Declares the options that ``given_context`` reads, and ``--plain`` and ``--raw``."""
    take_encoding(parser)
    parser.add_argument("--job-id", metavar="ID", help="for {jobID}; default: BACALHAU_JOB_ID")
    parser.add_argument("--execution-id", metavar="ID", help="for {executionID}; default: BACALHAU_EXECUTION_ID")
    parser.add_argument("--node-id", metavar="ID", help="for {nodeID}; default: BACALHAU_NODE_ID, if set")
    parser.add_argument("--partition-index", metavar="N", type=typed.number, help=_PARTITION.format("Index", "INDEX"))
    parser.add_argument("--partition-count", metavar="N", type=typed.number, help=_PARTITION.format("Count", "COUNT"))
    parser.add_argument(
        "--label", metavar="NAME=VALUE", type=typed.label, action="append", default=[], help="for {NAME}"
    )
    parser.add_argument(
        "--at", metavar="ISO-TIME", type=typed.instant, help="the instant of {date}, {time}; default: now"
    )
    parser.add_argument("--timezone", metavar="ZONE", type=typed.zone, help="the zone of --at and now; default: UTC")


def take_encoding(parser: "argparse.ArgumentParser", plain: str = _PLAIN, raw: str = _RAW) -> None:
    """Declares ``--plain`` and ``--raw``, with a word of help for each."""
    encoding = parser.add_mutually_exclusive_group()
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

    job = job_context()
    zone = options.timezone or UTC
    at = options.at
    if at is not None:
        try:
            at = at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(options.timezone or at.tzinfo)
        except OverflowError:
            raise ValueError(f"--at {at.isoformat()} is outside of the years 1 to 9999 in {zone}") from None
    context = Context(
        job_id=options.job_id if options.job_id is not None else job.job_id,
        execution_id=options.execution_id if options.execution_id is not None else job.execution_id,
        node_id=options.node_id if options.node_id is not None else job.node_id,
        at=at,
        partition_index=options.partition_index if options.partition_index is not None else job.partition_index,
        partition_count=options.partition_count if options.partition_count is not None else job.partition_count,
        labels=given_labels(options),
    )
    return with_instant(context, zone)
