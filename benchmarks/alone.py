"""An archive, fetched in ranges and hashed by a thread of its own, beside one that is one stream from end to end.

The latter is how archives were fetched before: nothing is asked for while something else comes, and who reads, hashes.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.bench import Bench, Stage, Variables
from benchmarks.distance import FAR, away, named, summary
from benchmarks.fetching import GET, standing
from benchmarks.jobs import counted
from benchmarks.profiling import explained
from benchmarks.race import Aim, Outcome
from benchmarks.section import Section, paragraphs
from benchmarks.workplace import Command, ours, s3_at

_STREAM = "one stream"
_COMMAND = Command('python alone.py "$URL" $BUCKET.yaml out', "keystow")
_SIGNED = Command("keystow url $BUCKET.yaml --expires 6h", "keystow")
_FACTOR = 1.5


def unpacked(bench: Bench) -> list[Section]:
    """Large files that shrink and that do not, and many small ones, from near and from far."""
    outcomes, explanations = [], []
    for source in (bench.data.tables, bench.data.far, bench.data.tree):
        for where, place in ((named(FAR), away(bench, FAR)), ("on loopback", nullcontext(bench.place.server.endpoint))):
            with place as endpoint:
                outcome, explanation = _raced(bench, source, where, s3_at(endpoint))
                outcomes.append(outcome)
                explanations.append(explanation)
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts()]
    note = f"`{GET}`, beside `{_COMMAND.text}` (benchmarks/programs). Both compare the SHA-256 of all of the archive."
    body = f"{note}\n\n{summary(outcomes)}"
    title = "archives, fetched side by side, and as one stream"
    return [Section(title, body, verdicts, explanation=paragraphs(explanations))]


def _raced(bench: Bench, source: Path, where: str, variables: Variables) -> tuple[Outcome, str]:
    commands = {**ours(GET, by_fsspec=False), _STREAM: _COMMAND}
    published = f"keystow publish {source.name} s3://$BUCKET/object"
    with standing(bench, source, published, bench.place.bucket, variables) as (stage, check):
        signed = _signed(bench, stage)
        contestants = {name: bench.contestant(command, signed, check) for name, command in commands.items()}
        job = f"fetch and unpack an archive of {counted(source)}, {where}"
        outcome = bench.outcome(job, contestants, [Aim((_STREAM,), _FACTOR)])
        if all(verdict.met for verdict in outcome.verdicts()):
            return outcome, ""
        place, command = bench.place, commands[outcome.ours]
        return outcome, f"**{job}**\n\n{outcome.split()}\n\n{explained(place, command, signed)}"


def _signed(bench: Bench, stage: Stage) -> Stage:
    """``stage``, with a URL of what stands there."""
    with stage() as variables:
        url = bench.place.output(_SIGNED, **variables).strip()

    @contextmanager
    def with_url() -> Iterator[Variables]:
        with stage() as variables:
            yield {**variables, "URL": url}

    return with_url
