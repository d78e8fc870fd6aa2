"""The clock and the environment of this process: read here, and nowhere else."""

import os
from datetime import UTC, datetime, tzinfo

from .keys import Context


def job_context() -> Context:
    """The ids of the running job as Bacalhau hands them to it, without an instant."""
    return Context(
        job_id=os.environ.get("BACALHAU_JOB_ID"),
        execution_id=os.environ.get("BACALHAU_EXECUTION_ID"),
        node_id=os.environ.get("BACALHAU_NODE_ID"),
    )


def with_instant(context: Context, zone: tzinfo = UTC) -> Context:
    """``context`` with the present instant, in ``zone``, unless it has one."""
    if context.at is not None:
        return context
    return Context(
        job_id=context.job_id,
        execution_id=context.execution_id,
        node_id=context.node_id,
        at=datetime.now(zone),
        labels=context.labels,
    )


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
