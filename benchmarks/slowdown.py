"""A server that asks for less: it answers 503 SlowDown to what comes while so many requests are under way."""

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import jobs
from benchmarks.bench import Bench
from benchmarks.data import content_size
from benchmarks.distance import FAR, away
from benchmarks.job import Job
from benchmarks.markdown import table
from benchmarks.race import Aim, Contestant, Outcome, Run
from benchmarks.raw import Requests, connected, gets, puts
from benchmarks.section import Section, paragraphs
from benchmarks.workplace import s3_at

_PROGRAM = Path(__file__).with_name("programs") / "slowdown.py"
LIMIT = 64
_RAW = f"{LIMIT} raw connections"
_ENOUGH = 0.8


class SlowDown:
    """The proxy as a process of its own, in front of ``endpoint``."""

    def __init__(self, endpoint: str) -> None:
        server = urlsplit(endpoint)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _PROGRAM, str(server.hostname), str(server.port), str(LIMIT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.url = f"http://127.0.0.1:{int(self._said())}"

    def counted(self) -> tuple[int, int]:
        """How many requests it passed on and how many it refused since it was asked last."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        passed, refused = self._said().split()
        return int(passed), int(refused)

    def stop(self) -> None:
        """Ends it."""
        with self._process:
            self._process.kill()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def slowed(bench: Bench) -> Iterator[SlowDown]:
    """The proxy in front of the server of the races."""
    proxy = SlowDown(bench.place.server.endpoint)
    try:
        with bench.place.beside(proxy.pid):
            yield proxy
    finally:
        proxy.stop()


def files(bench: Bench) -> list[Section]:
    """Many small files: they all arrive, and not much later than if as many had been sent as are let through."""
    source = bench.data.slowed
    count, _ = content_size(source)
    rows, verdicts, explanations = [], [], []
    with slowed(bench) as proxy, away(bench, FAR, proxy.url) as endpoint:
        client = bench.place.server.client(endpoint=endpoint)
        raced = (
            (jobs.publish_files(source), lambda bucket: puts(client, bucket, source, 1)),
            (jobs.fetch_files(source), lambda bucket: gets(client, bucket, 1)),
        )
        for job, requests in raced:
            outcome, refusals, explanation = _raced(bench, job, endpoint, requests, proxy)
            verdicts += outcome.verdicts()
            explanations.append(explanation)
            for name in outcome.runs:
                passed, refused = (statistics.median(each) for each in zip(*refusals[name], strict=True))
                rate = f"{count / outcome.seconds(name):,.0f} a second"
                rows.append([job.title, name, outcome.spread(name), rate, f"{passed:g}", f"{refused:g}"])
    note = (
        f"A proxy before the server answers 503 SlowDown to each request that comes while {LIMIT} are under way, from "
        f"the head of a request to the end of its answer. {LIMIT} connections that send one request after the other, "
        "signed beforehand, are what it lets through."
    )
    head = ["job", "who", "median", "files", "let through", "refused"]
    title = f"a server that lets {LIMIT} requests through, {FAR.round_trip * 1000:g} ms away"
    return [Section(title, f"{note}\n\n{table(head, rows)}", verdicts, explanation=paragraphs(explanations))]


def _raced(
    bench: Bench, job: Job, endpoint: str, requests: Requests, proxy: SlowDown
) -> tuple[Outcome, dict[str, list[tuple[int, int]]], str]:
    """The outcome; for each run of each contestant what was let through and refused; where the time of ours goes."""
    refusals: dict[str, list[tuple[int, int]]] = {"keystow": [], _RAW: []}

    def counting(name: str, contestant: Contestant) -> Contestant:
        def run() -> Run:
            proxy.counted()
            measured = contestant()
            refusals[name].append(proxy.counted())
            return measured

        return run

    with job.at(bench, s3_at(endpoint), f"{LIMIT} requests at a time") as ready:
        contestants = {"keystow": ready.contestant(), _RAW: connected(ready, requests, LIMIT)}
        counted = {name: counting(name, contestant) for name, contestant in contestants.items()}
        outcome = bench.outcome(ready.title, counted, [Aim((_RAW,), _ENOUGH)])
        return outcome, refusals, ready.explained(outcome, outcome.verdicts())
