"""Races: several ways of doing one job on the same data, run in turns, compared by their medians."""

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Race:
    """A job and its contestants, ours first; each call gives the seconds that one run took."""

    job: str
    contestants: Mapping[str, Callable[[], float]]

    def run(self, rounds: int) -> "Outcome":
        """Runs every contestant once per round, in turn, after one round that does not count."""
        seconds: dict[str, list[float]] = {name: [] for name in self.contestants}
        for counted in [False] + [True] * rounds:
            for name, contestant in self.contestants.items():
                took = contestant()
                if counted:
                    seconds[name].append(took)
        return Outcome(self.job, seconds)


@dataclass(frozen=True)
class Outcome:
    """The seconds of every run, by contestant, ours first."""

    job: str
    seconds: Mapping[str, Sequence[float]]

    def table(self) -> str:
        """As Markdown: minimum, median, and the median in units of ours."""
        ours = statistics.median(next(iter(self.seconds.values())))
        rows = [f"| {self.job} | min | median | ratio to ours |", "|---|---|---|---|"]
        for name, runs in self.seconds.items():
            median = statistics.median(runs)
            rows.append(f"| {name} | {_scaled(min(runs))} | {_scaled(median)} | {median / ours:.2f} |")
        return "\n".join(rows)


def whole_process(command: str, directory: Path) -> float:
    """The seconds that a shell command takes, from start to exit. Raises if it fails."""
    start = time.perf_counter()
    subprocess.run(["/bin/sh", "-c", command], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _scaled(seconds: float) -> str:
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
