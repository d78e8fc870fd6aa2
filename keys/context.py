"""The values that one run hands to a template."""

import functools
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

_ARGUMENTS = {"executionID": "execution_id", "jobID": "job_id", "nodeID": "node_id"}
_NO_LABELS: Mapping[str, str] = MappingProxyType({})


class Context:
    """The ids, the instant and the labels of one run; what is not known is left out.

    It is frozen. ``at`` is an aware ``datetime``: the one instant behind both the date and the time, read in its own
    time zone; the same instant in another zone makes another context. ``labels`` is copied. Raises ``ValueError`` for
    a naive ``at`` and ``TypeError`` for a value that is not text.

    >>> from datetime import UTC, datetime
    >>> Context(job_id="abc123", at=datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)).value("jobID")
    'abc123'
    """

    # No dataclass: the module of that name takes longer to load than all of keystow.keys.
    __slots__ = ("_at", "_ids", "_labels", "rendered")

    rendered: dict[str, str]
    """The text of the parts of the templates met so far, so that each value is checked and formatted once."""

    def __init__(
        self,
        *,
        job_id: str | None = None,
        execution_id: str | None = None,
        node_id: str | None = None,
        at: datetime | None = None,
        labels: Mapping[str, str] = _NO_LABELS,
    ) -> None:
        if at is not None and at.utcoffset() is None:
            raise ValueError(
                f"the context's instant {at!r} has no time zone, so its date depends on where it is read: "
                "give an aware datetime, such as datetime.now(UTC)"
            )
        self._ids = {"job_id": job_id, "execution_id": execution_id, "node_id": node_id}
        self._at = at
        self._labels = MappingProxyType(dict(labels))
        self.rendered = {}
        for texts in (self._ids, self._labels):
            for name, value in texts.items():
                if value is not None and not isinstance(value, str):
                    raise TypeError(f"the value of {name} is {value!r}: give it as text")

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
    def labels(self) -> Mapping[str, str]:
        """The texts for further fields, by name; read-only."""
        return self._labels

    def value(self, name: str) -> str | None:
        """The text for the field ``name`` of a template (``jobID``, a label), or ``None`` if it is not known."""
        argument = _ARGUMENTS.get(name)
        return self._labels.get(name) if argument is None else self._ids[argument]

    def _compared(self) -> tuple[object, ...]:
        """What tells contexts apart beside the labels; of the instant, what the clock on the wall says."""
        at = self._at
        return (*self._ids.values(), None if at is None else (at.replace(tzinfo=None), at.utcoffset()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return NotImplemented
        return self._compared() == other._compared() and self._labels == other._labels

    def __hash__(self) -> int:
        return hash(self._compared())

    def __repr__(self) -> str:
        ids = "".join(f"{name}={value!r}, " for name, value in self._ids.items())
        return f"Context({ids}at={self._at!r}, labels={dict(self._labels)!r})"

    def __reduce__(self) -> tuple[Callable[[], "Context"], tuple[()]]:
        return functools.partial(Context, **self._ids, at=self._at, labels=dict(self._labels)), ()
