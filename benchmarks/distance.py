"""S3 from afar: through a relay that holds back what passes, as distance does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from benchmarks import jobs
from benchmarks.bench import Bench
from benchmarks.data import content_size
from benchmarks.job import Job
from benchmarks.markdown import seconds, size, table
from benchmarks.race import Outcome
from benchmarks.section import Section, Verdict, paragraphs
from benchmarks.workplace import s3_at
from keystow.testing.servers import Distance, Relay

WINDOW = 4 << 20
FAR = Distance(round_trip=0.05, window=WINDOW)
NARROW = Distance(round_trip=0.05, window=WINDOW, rate=12.5e6)
AT_ONCE = 128
"""The requests that are under way together where nothing but the distance costs time."""
_ALLOWED = 1.5
_FILLED = 0.95


@dataclass(frozen=True)
class Raced:
    """A job that was raced, and where the time of ours goes if it was not the fastest."""

    job: Job
    outcome: Outcome
    explanation: str


@contextmanager
def away(bench: Bench, distance: Distance, endpoint: str | None = None) -> Iterator[str]:
    """The endpoint of the races' server, or of another, at a distance; what the relay does counts as the server's."""
    with Relay(endpoint or bench.place.server.endpoint, distance) as relay, bench.place.beside(relay.pid):
        yield relay.url


def named(distance: Distance) -> str:
    """A distance in words."""
    return f"{distance.round_trip * 1000:g} ms away"


def races(bench: Bench) -> list[Section]:
    """What is published and fetched, against the fastest that are known."""
    found = raced(bench)
    verdicts = [verdict for each in found for verdict in each.outcome.verdicts()]
    body = f"{through(FAR)}\n\n{summary([each.outcome for each in found])}\n\n{_commands(found)}"
    explanation = paragraphs(each.explanation for each in found)
    return [Section(f"S3 {named(FAR)}", body, verdicts, explanation=explanation)]


@cache
def raced(bench: Bench) -> Sequence[Raced]:
    """The races; they are run once, and also tell which peer is the fastest at a job."""
    with away(bench, FAR) as endpoint:
        return [_raced(bench, job, endpoint) for job in jobs.eight(bench)]


def _raced(bench: Bench, job: Job, endpoint: str) -> Raced:
    with job.at(bench, s3_at(endpoint), named(FAR)) as ready:
        outcome = ready.raced()
        return Raced(job, outcome, ready.explained(outcome, outcome.verdicts()))


def summary(outcomes: Sequence[Outcome]) -> str:
    """A line for each race: ours, the fastest of the others, and how many times as long that takes."""
    others = dict.fromkeys(name for outcome in outcomes for name in outcome.runs if _is_also_ours(outcome, name))
    head = ["job", "keystow", *others, "fastest peer", "which", "ratio"]
    return table(head, (_line(outcome, list(others)) for outcome in outcomes))


def _line(outcome: Outcome, others: Sequence[str]) -> list[str]:
    return [
        outcome.job,
        outcome.spread(outcome.ours),
        *(f"{outcome.spread(name)}: {outcome.ratio(name):.2f} times as long as keystow" for name in others),
        outcome.spread(outcome.fastest),
        outcome.fastest,
        f"{outcome.ratio(outcome.fastest):.2f}",
    ]


def _is_also_ours(outcome: Outcome, name: str) -> bool:
    return name.startswith("keystow") and name != outcome.ours


def through(distance: Distance) -> str:
    """What stands between a client and a server that is so far."""
    link = "" if distance.rate is None else f", and {size(distance.rate)} a second each way in all"
    return (
        f"Between the client and the server is a relay with a round trip of {distance.round_trip * 1000:g} ms, and a "
        f"window of {WINDOW >> 20} MiB for each connection and direction{link}. What it does counts as the "
        "server's."
    )


def _commands(found: Sequence[Raced]) -> str:
    """What each contestant runs, by the jobs."""
    lines = []
    for each in found:
        lines.append(f"- {each.job.title}")
        lines += [f"    - {name}: `{command.text}`" for name, command in each.job.commands.items()]
    return "\n".join(lines)


def small(bench: Bench) -> list[Section]:
    """Many small files, beside what the distance alone costs and what they cost on loopback."""
    rows, verdicts = [], []
    source = bench.data.files
    alone = FAR.round_trip * content_size(source)[0] / AT_ONCE
    with away(bench, FAR) as endpoint:
        for job in (jobs.publish_files(source), jobs.fetch_files(source)):
            outcome = _far_and_near(bench, job, endpoint)
            bound = alone + outcome.seconds(_NEAR)
            taken = outcome.seconds(outcome.ours) / bound
            each = [run.wall / bound for run in outcome.runs[outcome.ours]]
            rows.append([job.title, *map(outcome.spread, outcome.runs), seconds(bound), f"{taken:.2f}"])
            verdicts.append(
                Verdict(
                    outcome.job,
                    f"the round trips of {AT_ONCE} at a time, and loopback",
                    f"at most {_ALLOWED} times as long",
                    f"{taken:.2f} times ({min(each):.2f} to {max(each):.2f})",
                    round(taken, 2) <= _ALLOWED,
                )
            )
    note = (
        f"The bound is the time on loopback, and {seconds(alone)}: a round trip for each file, of which {AT_ONCE} are "
        "under way at a time."
    )
    head = ["job", named(FAR), "on loopback", "bound", "times the bound"]
    return [Section(f"small files {named(FAR)}", f"{note}\n\n{table(head, rows)}", verdicts)]


_NEAR = "keystow, on loopback"


def _far_and_near(bench: Bench, job: Job, endpoint: str) -> Outcome:
    with (
        job.at(bench, s3_at(endpoint), named(FAR)) as far,
        job.at(bench, s3_at(bench.place.server.endpoint), "on loopback") as near,
    ):
        return bench.outcome(far.title, {"keystow": far.contestant(), _NEAR: near.contestant()})


def link(bench: Bench) -> list[Section]:
    """A link that is narrow: how much of it is filled, from the start of the command to its end."""
    rate = NARROW.rate or 0
    alone = bench.sizes.far_bytes / rate
    rows, verdicts, explanations = [], [], []
    with away(bench, NARROW) as endpoint:
        for job in jobs.of_one_file(bench.data.far):
            with job.at(bench, s3_at(endpoint), f"over {size(rate)} a second") as ready:
                outcome = ready.raced(list(job.peers)[:1])
                filled = alone / outcome.seconds(outcome.ours)
                each = [alone / run.wall for run in outcome.runs[outcome.ours]]
                measured = f"{filled:.1%} ({min(each):.1%} to {max(each):.1%})"
                met = round(filled, 3) >= _FILLED
                verdicts.append(Verdict(outcome.job, "the link", f"{_FILLED:.0%} of it", measured, met))
                explanations.append(ready.explained(outcome, verdicts[-1:]))
            theirs = [outcome.fastest, f"{alone / outcome.seconds(outcome.fastest):.1%}"]
            rows.append([job.title, seconds(alone), outcome.spread(outcome.ours), measured, *theirs])
    head = ["job", "the bytes alone", "keystow", "of the link", "a peer", "of the link"]
    body = f"{through(NARROW)}\n\n{table(head, rows)}"
    return [Section(f"a link of {size(rate)} a second", body, verdicts, explanation=paragraphs(explanations))]
