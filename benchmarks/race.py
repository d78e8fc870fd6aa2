"""Races: several ways of doing one job on the same data, run in turns, compared by their medians."""

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from benchmarks.markdown import seconds, table
from benchmarks.section import Bar, Verdict


@dataclass(frozen=True)
class Run:
    """What one run took: seconds on the wall, CPU seconds of its own processes and of the server, peak bytes."""

    wall: float
    cpu: float | None = None
    server: float | None = None
    memory: int | None = None

    @property
    def idle(self) -> float | None:
        """CPU seconds of this machine's cores that neither of the two had."""
        if self.cpu is None or self.server is None:
            return None
        return max(0.0, self.wall * (os.cpu_count() or 1) - self.cpu - self.server)


Contestant = Callable[[], Run]
Measure = Callable[[Run], float | None]
_own: Measure = attrgetter("cpu")
_server: Measure = attrgetter("server")
_idle: Measure = attrgetter("idle")
_MEASURES = {"CPU own": _own, "CPU server": _server, "CPU idle": _idle}


@dataclass(frozen=True)
class Aim:
    """The best of ``against`` is to take at least ``factor`` times as long as ``ours``, the first unless it is named.

    A factor below 1 allows ours to take longer. ``stretch`` marks a wish beyond the aim.
    """

    against: tuple[str, ...]
    factor: float = 1.0
    ours: str | None = None
    stretch: bool = False


@dataclass(frozen=True)
class Race:
    """A job and its contestants, ours first."""

    job: str
    contestants: Mapping[str, Contestant]
    aims: Sequence[Aim] = ()

    def run(self, rounds: int, warm_up: int = 1) -> "Outcome":
        """Runs every contestant once per round, after ``warm_up`` rounds that do not count.

        Each round begins with another contestant, so that none always runs in the wake of the same one.
        """
        names = list(self.contestants)
        runs: dict[str, list[Run]] = {name: [] for name in names}
        for number in range(warm_up + rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                run = self.contestants[name]()
                if number >= warm_up:
                    runs[name].append(run)
        return Outcome(self.job, runs, self.aims)


@dataclass(frozen=True)
class Outcome:
    """Every run that counted, by contestant, ours first; in the order of the rounds."""

    job: str
    runs: Mapping[str, Sequence[Run]]
    aims: Sequence[Aim] = ()

    @property
    def ours(self) -> str:
        return next(iter(self.runs))

    def median(self, name: str, measure: Measure) -> float | None:
        """The median of one measure over a contestant's runs; ``None`` where it was not taken."""
        taken = [value for value in map(measure, self.runs[name]) if value is not None]
        return statistics.median(taken) if taken else None

    def seconds(self, name: str) -> float:
        """The median of the seconds on the wall."""
        return statistics.median(run.wall for run in self.runs[name])

    def spread(self, name: str) -> str:
        """The median of the seconds, and in brackets the least and the greatest of them."""
        taken = [run.wall for run in self.runs[name]]
        return f"{seconds(self.seconds(name))} ({seconds(min(taken))} to {seconds(max(taken))})"

    def processors(self, name: str) -> tuple[float, float]:
        """The medians of the CPU seconds that a contestant used itself, and the server meanwhile."""
        return self.median(name, _own) or 0, self.median(name, _server) or 0

    def busy(self, name: str) -> float:
        """Which part of this machine's processors was at work while a contestant ran, by the medians."""
        return sum(self.processors(name)) / (self.seconds(name) * (os.cpu_count() or 1))

    @property
    def fastest(self) -> str:
        """The fastest of those that are to be beaten. Raises ``ValueError`` where there are none."""
        return min((name for aim in self.aims for name in aim.against), key=self.seconds)

    def ratio(self, name: str, ours: str | None = None) -> float:
        """How many times as long as ours a contestant takes, by the medians."""
        return self.seconds(name) / self.seconds(ours or self.ours)

    def bars(self) -> list[Bar]:
        """What the chart shows of it."""
        return [Bar(name, self.ratio(name)) for name in self.runs]

    def table(self) -> str:
        """As Markdown: minimum, median, the median in units of ours, and who had the processors."""
        taken = {title: m for title, m in _MEASURES.items() if self.median(self.ours, m) is not None}
        rows = []
        for name, runs in self.runs.items():
            wall = [seconds(min(run.wall for run in runs)), seconds(self.seconds(name)), f"{self.ratio(name):.2f}"]
            rows.append([name, *wall, *(f"{self.median(name, m) or 0:.2f} s" for m in taken.values())])
        return table(["contestant", "min", "median", "ratio to ours", *taken], rows)

    def split(self) -> str:
        """Who had the processors while ours ran, and while those did that were to be beaten."""
        shown = [self.ours, *dict.fromkeys(self._best(aim) for aim in self.aims)]
        return "\n".join(["Where the time goes, by the medians:\n", *(f"- {n}: {self._split(n)}" for n in shown)])

    def _split(self, name: str) -> str:
        text = f"{seconds(self.seconds(name))}"
        own, server, idle = (self.median(name, measure) for measure in (_own, _server, _idle))
        if own is not None:
            text += f"; {own:.2f} CPU seconds of its own"
        if server is not None:
            text += f", {server:.2f} of the server's, {idle:.2f} left to {os.cpu_count()} cores"
        return text

    def _best(self, aim: Aim) -> str:
        return min(aim.against, key=self.seconds)

    def verdicts(self) -> list[Verdict]:
        """Each aim beside what was measured."""
        return [self._verdict(aim) for aim in self.aims]

    def _verdict(self, aim: Aim) -> Verdict:
        ours = aim.ours or self.ours
        best = self._best(aim)
        ratio = self.ratio(best, ours)
        each = [their.wall / our.wall for their, our in zip(self.runs[best], self.runs[ours], strict=True)]
        least, *_, most = sorted(_turned(one, aim) for one in (min(each), max(each)))
        return Verdict(
            job=self.job,
            ours=ours,
            against=best if len(aim.against) == 1 else f"the best of {len(aim.against)}: {best}",
            aim=_wanted(aim.factor) + (" (stretch)" if aim.stretch else ""),
            measured=f"{_turned(ratio, aim):.2f} times ({least:.2f} to {most:.2f})",
            met=round(ratio, 2) >= round(aim.factor, 2),
        )


def _wanted(factor: float) -> str:
    """An aim in words."""
    if factor == 1:
        return "as fast"
    return f"{factor:.3g} times as fast" if factor > 1 else f"at most {1 / factor:.3g} times as long"


def _turned(ratio: float, aim: Aim) -> float:
    """A ratio in the terms of its aim: how much faster ours is, or how much longer it takes."""
    return ratio if aim.factor >= 1 else 1 / ratio
