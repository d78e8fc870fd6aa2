"""The clock of this process, and what its environment says of the job, the trust and the machine."""

import os
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, tzinfo

from .keys import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .result import PublishedResult
    from .spec import PublisherSpec
    from .trust import Trust

_ALLOWED = "KEYSTOW_ALLOW_ENDPOINTS"
_MOST_INFLATERS = 4


def job_context() -> Context:
    """The ids and the partition of the running job as Bacalhau hands them to it, without an instant.

    No Bacalhau sets ``BACALHAU_NODE_ID`` (its ``pkg/compute/envvars.go``); who starts a job may. Raises ``ValueError``
    for a partition that is no number.
    """
    return Context(
        job_id=os.environ.get("BACALHAU_JOB_ID"),
        execution_id=os.environ.get("BACALHAU_EXECUTION_ID"),
        node_id=os.environ.get("BACALHAU_NODE_ID"),
        partition_index=_number("BACALHAU_PARTITION_INDEX"),
        partition_count=_number("BACALHAU_PARTITION_COUNT"),
    )


def _number(name: str) -> int | None:
    text = os.environ.get(name)
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,20}", text):
        raise ValueError(f"{name} is {text!r}: set it to a whole number from 0 on, or unset it")
    return int(text)


def with_instant(context: Context, zone: tzinfo = UTC) -> Context:
    """``context`` with the present instant, in ``zone``, unless it has one."""
    if context.at is not None:
        return context
    return Context(
        job_id=context.job_id,
        execution_id=context.execution_id,
        node_id=context.node_id,
        at=datetime.now(zone),
        partition_index=context.partition_index,
        partition_count=context.partition_count,
        labels=context.labels,
    )


def trust(allow: Iterable[str] = (), allow_endpoints: Iterable[str] | None = None) -> "Trust":
    """What the caller allows (types of stores, URLs of servers), and this process's environment with him.

    ``KEYSTOW_ALLOW_ENDPOINTS`` holds URLs with blanks or commas between; with none in it, none is allowed. Raises
    ``ValueError`` for what is no URL of a server.
    """
    from .backends.endpoints import check_endpoint
    from .places import check_type
    from .trust import Trust

    types = (allow,) if isinstance(allow, str) else allow
    given = (allow_endpoints,) if isinstance(allow_endpoints, str) else allow_endpoints
    listed = re.split(r"[\s,]+", os.environ.get(_ALLOWED, "").strip())
    endpoints = {check_endpoint(url, _ALLOWED) for url in listed if url}
    endpoints |= {check_endpoint(url, "allow_endpoints") for url in given or ()}
    return Trust(
        frozenset(check_type(name, ValueError) for name in types),
        frozenset(endpoints) if given is not None or _ALLOWED in os.environ else None,
    )


def configured_endpoints(kind: str, profile: str | None = None) -> Collection[str]:
    """The endpoints of stores of the type ``kind`` that this process's environment holds, and the ``profile`` of AWS's.

    Raises ``ValueError``.
    """
    from .backends.azure import settings as azure
    from .backends.gcs import settings as gcs
    from .backends.s3 import settings as s3

    if kind == "s3":
        return s3.configured_endpoints(os.environ, profile)
    settings = {"gs": gcs, "az": azure}.get(kind)
    return settings.configured_endpoints(os.environ) if settings else ()


def admit_claimed(
    place: "PublisherSpec | PublishedResult",
    *,
    proven: bool | None,
    trust: "Trust",
    error: type[ValueError],
    keyed: bool = False,
    profile: str | None = None,
) -> None:
    """Raises ``error`` for a place that somebody else named, and may not; ``proven`` and ``keyed`` are ``admit``'s.

    With a ``profile``, an endpoint that it configures is one that its credentials are for.
    """
    from .places import host_in
    from .trust import admit

    if place.claimed:
        admit(
            place.type,
            place.endpoint,
            host=host_in(place.type, place.bucket),
            proven=proven,
            trust=trust,
            configured=configured_endpoints(place.type, profile),
            keyed=keyed,
            error=error,
        )


def inflaters() -> int:
    """How many threads inflate blocks: what is made of these is written by one, which keeps up with no more."""
    return min(processors(), _MOST_INFLATERS)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
