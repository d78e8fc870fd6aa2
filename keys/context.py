"""The values that one run hands to a template."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

_IDS = {"executionID": "execution_id", "jobID": "job_id", "nodeID": "node_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The ids, the instant and the labels of one run; what is not known is left out.

    ``at`` is an aware ``datetime``: the one instant behind both the date and the time, read in its own time
    zone; the same instant in another zone makes another context. ``labels`` is copied. Raises ``ValueError`` for a
    naive ``at`` and ``TypeError`` for a value that is not text.

    >>> from datetime import UTC, datetime
    >>> Context(job_id="abc123", at=datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)).value("jobID")
    'abc123'
    """

    job_id: str | None = None
    execution_id: str | None = None
    node_id: str | None = None
    at: datetime | None = field(default=None, compare=False)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    wall: tuple[datetime, timedelta | None] | None = field(init=False, repr=False)
    """What the clock on the wall says at ``at``, and how far it is from UTC."""
    rendered: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What templates have made of these values, by placeholder: each is checked and formatted once."""

    def __post_init__(self) -> None:
        labels = dict(self.labels)
        object.__setattr__(self, "labels", MappingProxyType(labels))
        if self.at is not None and self.at.utcoffset() is None:
            raise ValueError(
                f"the context's instant {self.at!r} has no time zone, so its date depends on where it is read: "
                "give an aware datetime, such as datetime.now(UTC)"
            )
        wall = None if self.at is None else (self.at.replace(tzinfo=None), self.at.utcoffset())
        object.__setattr__(self, "wall", wall)
        ids = (("job_id", self.job_id), ("execution_id", self.execution_id), ("node_id", self.node_id))
        for name, value in (*ids, *labels.items()):
            if value is not None and not isinstance(value, str):
                raise TypeError(f"the value of {name} is {value!r}: give it as text")

    def value(self, name: str) -> str | None:
        """The text for the field ``name`` of a template (``jobID``, a label), or ``None`` if it is not known."""
        attribute = _IDS.get(name)
        if attribute is None:
            return self.labels.get(name)
        text: str | None = getattr(self, attribute)
        return text

    def __reduce__(self) -> tuple[Callable[[], "Context"], tuple[()]]:
        given = {name: getattr(self, name) for name in ("job_id", "execution_id", "node_id", "at")}
        return functools.partial(Context, **given, labels=dict(self.labels)), ()
