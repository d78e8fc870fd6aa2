"""How the time grows with the distance: ours, and the peer that was the fastest in the races."""

from collections.abc import Sequence

from benchmarks.bench import Bench
from benchmarks.distance import FAR, WINDOW, Raced, away, named, raced
from benchmarks.markdown import seconds, table
from benchmarks.race import Outcome
from benchmarks.section import Curves, Section
from benchmarks.workplace import s3_at
from keystow.testing.servers import Distance

_ROUND_TRIPS = (0.0, 0.005, 0.02, FAR.round_trip, 0.15)
_ROUNDS = 3


def drawn(bench: Bench) -> list[Section]:
    """The jobs of the races at several distances; those at the distance of the races are the races."""
    found = raced(bench)
    round_trips = _ROUND_TRIPS[-max(2, bench.sizes.round_trips) :]
    outcomes = {trip: _outcomes(bench, found, trip) for trip in round_trips}
    curves = [_curves(number, each, outcomes) for number, each in enumerate(found)]
    head = ["job", "who", *(f"{trip * 1000:g} ms" for trip in round_trips)]
    rows = [
        [each.title, name, *(seconds(taken) for _, taken in line)]
        for each in curves
        for name, line in each.lines.items()
    ]
    body = f"Medians in at most {_ROUNDS} rounds.\n\n{table(head, rows)}\n\n![Time by the round trip](distance.svg)"
    return [Section("time by the round trip", body, curves=curves)]


def _outcomes(bench: Bench, found: Sequence[Raced], round_trip: float) -> list[Outcome]:
    if round_trip == FAR.round_trip:
        return [each.outcome for each in found]
    distance = Distance(round_trip=round_trip, window=WINDOW)
    outcomes = []
    with away(bench, distance) as endpoint:
        for each in found:
            with each.job.at(bench, s3_at(endpoint), named(distance)) as ready:
                outcomes.append(ready.raced([each.outcome.fastest], at_most=_ROUNDS))
    return outcomes


def _curves(number: int, each: Raced, outcomes: dict[float, list[Outcome]]) -> Curves:
    """The lines of one job, ours first."""
    names = (each.outcome.ours, each.outcome.fastest)
    lines = {name: [(trip, made[number].seconds(name)) for trip, made in outcomes.items()] for name in names}
    return Curves(each.job.title, lines)
