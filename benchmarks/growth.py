"""How the cost of an archive grows with the number of files."""

import math
import shutil
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.bench import Bench, Variables
from benchmarks.data import small_files
from benchmarks.markdown import seconds, table
from benchmarks.profiling import explained
from benchmarks.race import Contestant, Outcome, Run
from benchmarks.section import Section, Verdict
from benchmarks.workplace import Command

_STEPS = (1000, 100, 10, 1)
_LINEAR = 1.1
_STANDS_OUT = 1.1


def files(bench: Bench) -> list[Section]:
    """Archives of ever more small files, into a local directory: what it costs is our own work."""
    counts = [0, *sorted({max(1, bench.sizes.growth_files // step) for step in _STEPS})]
    for count in counts:
        small_files(bench.place.directory / _name(count), count)

    @contextmanager
    def grown() -> Iterator[Variables]:
        target = bench.place.directory / "grown"
        target.mkdir()
        try:
            yield {}
        finally:
            shutil.rmtree(target)

    def contestant(count: int) -> Contestant:
        def run() -> Run:
            with grown():
                return bench.place.run_alone(_command(count))

        return run

    outcome = bench.outcome("archive small files", {_name(count): contestant(count) for count in counts})
    least = {count: min(run.wall for run in outcome.runs[_name(count)]) for count in counts}
    exponent = exponent_of(least)
    verdict = Verdict(
        "archive small files",
        "fewer of them",
        f"linear: exponent at most {_LINEAR}",
        f"{exponent:.2f}",
        exponent <= _LINEAR,
    )
    explanation = "" if verdict.met else explained(bench.place, _command(counts[-1]), grown)
    for count in counts:
        shutil.rmtree(bench.place.directory / _name(count))
    body = f"{_table(outcome, counts, least)}\n\n{_fit(least, exponent)}\n\n- keystow: `{_command(counts[-1]).text}`"
    return [Section("growth with the number of files", body, [verdict], explanation=explanation)]


def _name(count: int) -> str:
    return f"small-{count}"


def _command(count: int) -> Command:
    return Command(f"keystow publish {_name(count)} file://$PWD/grown/object", "keystow")


def _table(outcome: Outcome, counts: list[int], least: Mapping[int, float]) -> str:
    nothing = least[0]
    rows = []
    for count in counts:
        runs = outcome.runs[_name(count)]
        each = seconds(max(0.0, least[count] - nothing) / count) if count else ""
        cpu = statistics.median(run.cpu or 0 for run in runs)
        rows.append([str(count), seconds(least[count]), seconds(outcome.seconds(_name(count))), each, f"{cpu:.2f} s"])
    return table(["files of 1 kB", "min", "median", "per file, beyond that of no file", "CPU own"], rows)


def _fit(least: Mapping[int, float], exponent: float) -> str:
    slope, start = statistics.linear_regression(list(least), list(least.values()))
    return (
        f"By least squares over the minima, {seconds(max(0.0, start))} and {seconds(max(0.0, slope))} for each file; "
        f"what is beyond the time of no file grows with the power {exponent:.2f} of their number."
    )


def exponent_of(least: Mapping[int, float]) -> float:
    """The slope of the logarithms of what is beyond the time of no file.

    A point that does not stand out from that time by a tenth would be noise, and is left out. Not a number where too
    few points are left.
    """
    nothing = least[0]
    points = [
        (math.log(count), math.log(took - nothing)) for count, took in least.items() if took > _STANDS_OUT * nothing
    ]
    if len(points) < 2:
        return math.nan
    return statistics.linear_regression(*zip(*points, strict=True)).slope
