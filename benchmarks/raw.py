"""What raw connections carry: requests that are signed before, with nothing packed, hashed, or written to a disk."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import jobs
from benchmarks.bench import Bench
from benchmarks.distance import FAR, away, named
from benchmarks.job import Job, Ready
from benchmarks.markdown import size, table
from benchmarks.race import Aim, Contestant, Outcome, Run
from benchmarks.section import Section, paragraphs
from benchmarks.workplace import Command, s3_at

_CONNECTIONS = 16
_RAW = f"{_CONNECTIONS} raw connections"
_PLAN = "plan.json"
_ENOUGH = 0.9
_BUSY = 0.9
_SECONDS = 3600


S3Client: TypeAlias = Any
"""botocore's client has no types."""


@dataclass(frozen=True)
class Request:
    """A request of ``programs/raw.py``."""

    method: str
    url: str
    start: int
    stop: int
    file: str = ""


Requests = Callable[[str], Iterator[Request]]
"""The requests that do a job with a bucket."""


def plain(bench: Bench) -> list[Section]:
    """One file, as it is: how much of what raw connections carry is left when keystow has hashed it and put it down."""
    source = bench.data.large
    total = size(bench.sizes.large_bytes)
    with away(bench, FAR) as endpoint:
        client = bench.place.server.client(endpoint=endpoint)
        raced = [
            _raced(
                bench, jobs.publish_file(source), endpoint, lambda bucket: puts(client, bucket, source, _CONNECTIONS)
            ),
            _raced(bench, jobs.fetch_file(source), endpoint, lambda bucket: gets(client, bucket, _CONNECTIONS)),
        ]
    outcomes = [outcome for outcome, _ in raced]
    head = ["job", "who", "median", "a second", "CPU own", "CPU server", "of all processors"]
    rows = [_row(bench, outcome, name) for outcome in outcomes for name in outcome.runs]
    notes = "\n".join(filter(None, map(_limit, outcomes)))
    explanation = paragraphs(each for _, each in raced)
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts()]
    body = paragraphs((table(head, rows), notes))
    return [Section(f"one plain file of {total} {named(FAR)}", body, verdicts, explanation=explanation)]


def _raced(bench: Bench, job: Job, endpoint: str, requests: Requests) -> tuple[Outcome, str]:
    """The outcome, and where the time of ours goes if it was not fast enough."""
    with job.at(bench, s3_at(endpoint), named(FAR)) as ready:
        contestants = {"keystow": ready.contestant(), _RAW: connected(ready, requests, _CONNECTIONS)}
        outcome = bench.outcome(ready.title, contestants, [Aim((_RAW,), _ENOUGH)])
        return outcome, ready.explained(outcome, outcome.verdicts())


def _row(bench: Bench, outcome: Outcome, name: str) -> list[str]:
    rate = size(bench.sizes.large_bytes / outcome.seconds(name))
    own, server = (f"{each:.2f} s" for each in outcome.processors(name))
    return [outcome.job, name, outcome.spread(name), rate, own, server, f"{outcome.busy(name):.0%}"]


def _limit(outcome: Outcome) -> str:
    """What was in the way, where it was the processors."""
    busy = min(map(outcome.busy, outcome.runs))
    if busy < _BUSY:
        return ""
    return f"- {outcome.job}: the processors are the limit; {busy:.0%} of their time and more was used by both."


def connected(ready: Ready, requests: Requests, connections: int) -> Contestant:
    """A process that does the same job by requests of its own; each is signed before, and has to be answered."""
    place = ready.bench.place
    command = Command(f"python -I -S raw.py {_PLAN} {connections}", "keystow")

    def run() -> Run:
        with ready.stage() as variables:
            plan = [asdict(request) for request in requests(variables["BUCKET"])]
            (place.directory / _PLAN).write_text(json.dumps(plan), encoding="utf-8")
            return place.run(command, **variables)

    return run


def gets(client: S3Client, bucket: str, pieces: int) -> Iterator[Request]:
    """Requests that fetch all objects, each in so many pieces."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for found in (found for page in pages for found in page.get("Contents", [])):
        url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": found["Key"]}, _SECONDS)
        for start, stop in _pieces(found["Size"], pieces):
            yield Request("GET", url, start, stop)


def puts(client: S3Client, bucket: str, source: Path, pieces: int) -> Iterator[Request]:
    """Requests that send all files of a directory, each in so many parts; what is sent in parts is left in parts."""
    for path in (path for path in source.rglob("*") if path.is_file()):
        place = {"Bucket": bucket, "Key": str(path.relative_to(source))}
        if pieces > 1:
            place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]
        for number, (start, stop) in enumerate(_pieces(path.stat().st_size, pieces), 1):
            part = {**place, "PartNumber": number} if pieces > 1 else place
            url = client.generate_presigned_url("upload_part" if pieces > 1 else "put_object", part, _SECONDS)
            yield Request("PUT", url, start, stop, str(path))


def _pieces(total: int, count: int) -> Iterator[tuple[int, int]]:
    return ((total * number // count, total * (number + 1) // count) for number in range(count))
