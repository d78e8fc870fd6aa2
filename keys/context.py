"""The values that one run hands to a template."""

import functools
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from .numbers import check_number

_IDS = {"executionID": "execution_id", "jobID": "job_id", "nodeID": "node_id"}
NUMBERS = {"partitionIndex": "partition_index", "partitionCount": "partition_count"}
ARGUMENTS = {**_IDS, "date": "at", "time": "at", **NUMBERS}
"""The argument of ``Context`` for each field that is no label."""
_UNKNOWN = (None, None)
_NO_LABELS: Mapping[str, str] = MappingProxyType({})


class Context:
    """The ids, the instant, the partition and the labels of one run; what is not known is left out.

    It is frozen. ``at`` is an aware ``datetime``: the one instant behind both the date and the time, read in its own
    time zone; the same instant in another zone makes another context. ``partition_index`` and ``partition_count`` are
    whole numbers from 0 on: which of how many parts of a job this run is. ``labels`` is copied. Raises ``ValueError``
    for a naive ``at`` or a number below 0, ``TypeError`` for a number that is none and another value that is not text.

    >>> from datetime import UTC, datetime
    >>> Context(job_id="abc123", at=datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)).value("jobID")
    'abc123'
    """

    # No dataclass: the module of that name takes longer to load than all of keystow.keys.
    __slots__ = ("_at", "_ids", "_labels", "_numbers", "rendered")

    rendered: dict[str, str]
    """The text of the parts of the templates met so far, so that each value is checked and formatted once."""

    def __init__(
        self,
        *,
        job_id: str | None = None,
        execution_id: str | None = None,
        node_id: str | None = None,
        at: datetime | None = None,
        partition_index: int | None = None,
        partition_count: int | None = None,
        labels: Mapping[str, str] = _NO_LABELS,
    ) -> None:
        if at is not None and at.utcoffset() is None:
            raise ValueError(
                f"the context's instant {at!r} has no time zone, so its date depends on where it is read: "
                "give an aware datetime, such as datetime.now(UTC)"
            )
        self._ids = {"job_id": job_id, "execution_id": execution_id, "node_id": node_id}
        self._at = at
        self._numbers = (partition_index, partition_count)
        self._labels = MappingProxyType(dict(labels))
        self.rendered = {}
        for texts in (self._ids, self._labels):
            for name, value in texts.items():
                if value is not None and not isinstance(value, str):
                    raise TypeError(f"the value of {name} is {value!r}: give it as text")
        if self._numbers != _UNKNOWN:
            for name, number in zip(NUMBERS.values(), self._numbers, strict=True):
                if number is not None:
                    check_number(name, number)

    @property
    def job_id(self) -> str | None:
        """The text for ``{jobID}``."""
        return self._ids["job_id"]

    @property
    def execution_id(self) -> str | None:
        """The text for ``{executionID}``."""
        return self._ids["execution_id"]

    @property
    def node_id(self) -> str | None:
        """The text for ``{nodeID}``."""
        return self._ids["node_id"]

    @property
    def at(self) -> datetime | None:
        """The instant of ``{date}`` and ``{time}``."""
        return self._at

    @property
    def partition_index(self) -> int | None:
        """The number for ``{partitionIndex}``."""
        return self._numbers[0]

    @property
    def partition_count(self) -> int | None:
        """The number for ``{partitionCount}``."""
        return self._numbers[1]

    @property
    def labels(self) -> Mapping[str, str]:
        """The texts for further fields, by name; read-only."""
        return self._labels

    def value(self, name: str) -> str | None:
        """The text for the field ``name`` of a template (``jobID``, a label), or ``None`` if it is not known."""
        argument = _IDS.get(name)
        return self._labels.get(name) if argument is None else self._ids[argument]

    def number(self, name: str) -> int | None:
        """The number for the field ``name`` of a template (``partitionIndex``), or ``None`` if it is not known."""
        return self.partition_index if name == "partitionIndex" else self.partition_count

    def _compared(self) -> tuple[object, ...]:
        """What tells contexts apart beside the labels; of the instant, what the clock on the wall says."""
        at = self._at
        when = None if at is None else (at.replace(tzinfo=None), at.utcoffset())
        return (*self._ids.values(), when, *self._numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return NotImplemented
        return self._compared() == other._compared() and self._labels == other._labels

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        ids = "".join(f"{name}={value!r}, " for name, value in self._ids.items())
        index, count = self._numbers
        partition = f"partition_index={index!r}, partition_count={count!r}"
        return f"Context({ids}at={self._at!r}, {partition}, labels={dict(self._labels)!r})"

    def __reduce__(self) -> tuple[Callable[[], "Context"], tuple[()]]:
        index, count = self._numbers
        ids, labels = self._ids, dict(self._labels)
        return functools.partial(
            Context, **ids, at=self._at, partition_index=index, partition_count=count, labels=labels
        ), ()
