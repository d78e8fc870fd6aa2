"""What a benchmark hands to the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """An aim, and whether it was met."""

    job: str
    against: str
    aim: str
    measured: str
    met: bool
    ours: str = "keystow"


@dataclass(frozen=True)
class Bar:
    """A contestant, and how many times as long as ours it takes."""

    name: str
    ratio: float


@dataclass(frozen=True)
class Curves:
    """A job's seconds by the seconds of a round trip: for each contestant, ours first."""

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def paragraphs(texts: Iterable[str]) -> str:
    """Those of the texts that are not empty, one below the other."""
    return "\n\n".join(filter(None, texts))


@dataclass(frozen=True)
class Section:
    """One job: its tables in Markdown, its aims, its bars and curves for the charts if it has any.

    ``explanation`` says where the time goes; it is there when an aim was not met.
    """

    title: str
    body: str
    verdicts: Sequence[Verdict] = ()
    bars: Sequence[Bar] = ()
    curves: Sequence[Curves] = ()
    explanation: str = ""
