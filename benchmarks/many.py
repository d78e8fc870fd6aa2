"""Many small results by several workers: how fast, in how much memory, and what is left when workers are killed."""

import multiprocessing
import os
import signal
from collections import Counter

from benchmarks.bench import Bench, section
from benchmarks.loop import environment, small_result
from benchmarks.markdown import seconds, size, table
from benchmarks.race import Contestant, Run
from benchmarks.section import Section, Verdict
from benchmarks.workplace import Command
from keystow import Context, publish_many

_WORKERS = (1, 2, 4)
_KILLS = 4
_KEYS = 100
_FLAT = 1.1
_MOST_SECONDS = 600.0


def workers(bench: Bench) -> list[Section]:
    """The same publications by one process, by several, and by threads."""
    small_result(bench)
    count = max(bench.sizes.many // 5, 1)
    job = f"python many.py small s3://$BUCKET/{{jobID}} {count} {count}"
    commands = {_counted(number): Command(f"{job} {number}", "keystow", _MOST_SECONDS) for number in _WORKERS}
    commands["8 threads"] = Command(job, "keystow", _MOST_SECONDS)

    def run(name: str) -> Contestant:
        def running() -> Run:
            with bench.place.bucket() as bucket:
                measured = bench.place.run(commands[name], BUCKET=bucket)
                stored = len(bench.place.objects(bucket))
            if stored != count:
                raise AssertionError(f"{stored} of {count} are there")
            return measured

        return running

    outcome = bench.outcome(f"publish {count} small results to S3 by workers", {name: run(name) for name in commands})
    rates = (f"{name}: {count / outcome.seconds(name):,.0f} a second" for name in commands)
    return [section(outcome, commands, note=f"{'; '.join(rates)}.")]


def killed(bench: Bench) -> list[Section]:
    """Workers that are killed on the way: each publication is in the store once."""
    source, count = small_result(bench), bench.sizes.many
    with environment(bench):
        bucket = bench.place.server.make_bucket(versioned=True)
        jobs = ((source, f"s3://{bucket}/{{jobID}}", Context(job_id=str(number))) for number in range(count))
        errors = kills = 0
        for number, outcome in enumerate(publish_many(jobs, processes=2, if_exists="error"), 1):
            errors += outcome.error is not None
            if number % max(1, count // _KILLS) == 0 and (standing := multiprocessing.active_children()):
                os.kill(standing[0].pid or 0, signal.SIGKILL)
                kills += 1
    pages = bench.place.client.get_paginator("list_object_versions").paginate(Bucket=bucket)
    versions = Counter(each["Key"] for page in pages for each in page.get("Versions", []))
    once = sum(times == 1 for times in versions.values())
    rows = [[str(count), str(kills), str(errors), str(once), str(len(versions) - once)]]
    verdict = Verdict(
        "publish to S3 while workers are killed",
        f"{kills} kills",
        "each in the store, and once",
        f"{once} of {count}",
        once == count == len(versions),
    )
    body = table(["publications", "workers killed", "errors", "in the store once", "more than once"], rows)
    return [Section("many small results to S3 while workers are killed", body, [verdict])]


def memory(bench: Bench) -> list[Section]:
    """Ten times as many publications, on the same few keys."""
    small_result(bench)
    counts = [bench.sizes.many, 10 * bench.sizes.many]
    job = "python many.py small memory://bucket/{jobID}"
    runs = {
        count: bench.place.run_alone(Command(f"{job} {count} {_KEYS}", "keystow", _MOST_SECONDS)) for count in counts
    }
    peaks = [run.memory or 0 for run in runs.values()]
    rows = [[str(count), size(run.memory or 0), seconds(run.wall)] for count, run in runs.items()]
    verdict = Verdict(
        "peak memory of many publications",
        "a tenth of them",
        f"flat: at most {_FLAT} times as much",
        f"{peaks[1] / peaks[0]:.2f} times",
        peaks[1] / peaks[0] <= _FLAT,
    )
    return [Section("memory of many publications", table(["publications", "peak", "seconds"], rows), [verdict])]


def _counted(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
