"""Peak memory while the input grows a hundredfold, and of one large file that is far away."""

import shutil
from collections.abc import Callable, Iterator, Sequence

from benchmarks import jobs
from benchmarks.bench import Bench
from benchmarks.data import sparse_files
from benchmarks.distance import FAR, away, named
from benchmarks.markdown import seconds, size, table
from benchmarks.race import Run
from benchmarks.section import Section, Verdict
from benchmarks.workplace import ours, s3_at

_MOST = 150_000_000
_FLAT = 1.5
_STEPS = (100, 10, 1)
_SPARE = 2_000_000_000
_FILES = 10
_FAR_STEPS = (4, 1)
_FAR_HEAD = ("one plain file", "bytes", "peak", "seconds", "CPU own", "CPU server")
_HEAD = ("publish to S3", "bytes", "engine", "peak", "seconds", "CPU own", "CPU server")

Measure = Callable[[Bench, int], Iterator[tuple[str, Run]]]


def peak(bench: Bench) -> list[Section]:
    """An archive of sparse files, which costs work and hardly any disk; and a stream that nothing compresses."""
    jobs: dict[str, Measure] = {"an archive of sparse files": _sparse, "an incompressible stream": _stream}
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    splits: list[str] = []
    for job, measure in jobs.items():
        peaks: dict[str, list[int]] = {}
        for total in (0, *(bench.sizes.memory_bytes // step for step in _STEPS[-bench.sizes.memory_steps :])):
            if lack := measure is _stream and _lack(bench, total):
                print(f"{job}, {size(total)}: left out: {lack}", flush=True)
                rows.append([job, size(total), f"left out: {lack}", "", "", "", ""])
                continue
            for name, run in measure(bench, total):
                peaks.setdefault(name, []).append(run.memory or 0)
                rows.append([job, size(total), name, size(run.memory or 0), seconds(run.wall), *_processors(run)])
        for name, (empty, *filled) in peaks.items():
            verdicts += _verdicts(job, name, filled)
            splits.append(f"- {job}, {name}: {size(empty)} before any data, {size(max(filled) - empty)} of buffers")
    explanation = "\n".join(["Where the memory goes, at most:\n", *splits])
    return [Section("peak memory", table(_HEAD, rows), verdicts, explanation=explanation)]


def far(bench: Bench) -> list[Section]:
    """One large file as it is, published and fetched from afar, where much is under way at a time."""
    rows: list[list[str]] = []
    peaks: dict[str, list[int]] = {"publish": [], "fetch": []}
    with away(bench, FAR) as endpoint:
        for total in filter(
            None, (*(bench.sizes.far_memory_bytes // step for step in _FAR_STEPS), bench.sizes.most_bytes)
        ):
            if lack := _lack(bench, 2 * total):
                rows.append(["", size(total), f"left out: {lack}", "", "", ""])
                continue
            source = sparse_files(bench.place.directory / "sparse", 1, total)
            for job, made in zip(peaks, (jobs.publish_file(source), jobs.fetch_file(source)), strict=True):
                with made.at(bench, s3_at(endpoint), named(FAR)) as ready:
                    run = ready.contestant()()
                peaks[job].append(run.memory or 0)
                rows.append([job, size(total), size(run.memory or 0), seconds(run.wall), *_processors(run)])
            shutil.rmtree(source)
    verdicts = [
        verdict
        for job, found in peaks.items()
        if len(found) > 1
        for verdict in _verdicts(f"{job} one plain file {named(FAR)}", "keystow", found)
    ]
    return [Section(f"peak memory of one plain file {named(FAR)}", table(_FAR_HEAD, rows), verdicts)]


def _processors(run: Run) -> tuple[str, str]:
    return f"{run.cpu or 0:.2f} s", f"{run.server or 0:.2f} s"


def _verdicts(job: str, name: str, peaks: Sequence[int]) -> Iterator[Verdict]:
    """Little, and no more for a hundred times the input; the peaks in between are shown too."""
    least, most = min(peaks), max(peaks)
    shown = ", ".join(map(size, peaks))
    yield Verdict(f"peak memory, {job}", "a bound", f"under {size(_MOST)}", shown, most < _MOST, name)
    flat = f"flat: at most {_FLAT} times as much"
    yield Verdict(f"peak memory, {job}", "other sizes", flat, f"{most / least:.2f} times", most / least <= _FLAT, name)


def _sparse(bench: Bench, total: int) -> Iterator[tuple[str, Run]]:
    source = sparse_files(bench.place.directory / "sparse", _FILES, total)
    for name, command in ours("keystow publish sparse s3://$BUCKET/object").items():
        with bench.place.bucket() as bucket:
            yield name, bench.place.run(command, BUCKET=bucket)
    shutil.rmtree(source)


def _stream(bench: Bench, total: int) -> Iterator[tuple[str, Run]]:
    for name, command in ours(f"python stream.py s3://$BUCKET object {total}").items():
        with bench.place.bucket() as bucket:
            yield name, bench.place.run(command, BUCKET=bucket)


def _lack(bench: Bench, total: int) -> str:
    """Why a stream of ``total`` bytes cannot be stored; empty if it can."""
    free = shutil.disk_usage(bench.place.directory).free
    return "" if free > total + _SPARE else f"the disk has {size(free)} left"
