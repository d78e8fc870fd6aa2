"""An archive that ``keystow get`` fetches, beside one that is one stream from end to end.

That is how it was fetched before: nothing is asked for while something else comes, and who reads it, hashes it.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench, Check, Stage, Variables
from benchmarks.distance import FAR, away, named, summary, through
from benchmarks.fetching import GET, standing
from benchmarks.job import Job, peers
from benchmarks.jobs import counted
from benchmarks.section import Section, paragraphs
from benchmarks.workplace import RESULT, Command, s3_at

_STREAM = peers({"one stream": f'python one_stream.py "$URL" {RESULT} out'}, "keystow")
_SIGNED = Command(f"keystow url {RESULT} --expires 6h", "keystow")
_FAR, _NEAR = 1.5, 0.8
_NOTE = (
    "`{}`, beside `{}` (benchmarks/programs), which is no whole command, and starts sooner. Both compare the SHA-256 "
    "of all of the archive."
)


def unpacked(bench: Bench) -> list[Section]:
    """Large files that shrink and that do not, and many small ones, from far and from near."""
    outcomes, explanations = [], []
    for source in (bench.data.tables, bench.data.far, bench.data.tree):
        job = Job(f"fetch and unpack an archive of {counted(source)}", source, GET, _STREAM, partial(_standing, source))
        near = nullcontext(bench.place.server.endpoint)
        for place, where, factor in ((away(bench, FAR), named(FAR), _FAR), (near, "on loopback", _NEAR)):
            with place as endpoint, job.at(bench, s3_at(endpoint), where) as ready:
                outcome = ready.raced(factor=factor)
                outcomes.append(outcome)
                explanations.append(ready.explained(outcome, outcome.verdicts()))
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts()]
    note = _NOTE.format(GET, *(command.text for command in _STREAM.values()))
    body = f"{note} {through(FAR)}\n\n{summary(outcomes)}"
    return [Section("archives, and archives as one stream", body, verdicts, explanation=paragraphs(explanations))]


@contextmanager
def _standing(source: Path, bench: Bench, variables: Variables) -> Iterator[tuple[Stage, Check]]:
    """An archive of ``source`` that stands at the store, with a URL of it."""
    published = f"keystow publish {source.name} s3://$BUCKET/object"
    with standing(bench, source, published, bench.place.bucket, variables) as (stage, check):
        with stage() as given:
            url = bench.place.output(_SIGNED, **given).strip()

        @contextmanager
        def signed() -> Iterator[Variables]:
            with stage() as given:
                yield {**given, "URL": url}

        yield signed, check
