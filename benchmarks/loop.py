"""Small results, one after the other, on one open store within this process."""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import Bench, section
from benchmarks.race import Aim, Contestant, Run
from benchmarks.section import Section
from keystow import Context, Publisher, Store, open_store

_CONTENT = b"42\n"
_numbers = itertools.count()

Job = Callable[[str], object]


def small(bench: Bench) -> list[Section]:
    """One file of three bytes: published as an archive, and written to the store as it is."""
    source = small_result(bench)
    with environment(bench), bench.place.bucket() as bucket:
        memory = f"memory://{bucket}"
        file = f"file://{bench.place.directory}/stored"
        s3 = f"s3://{bucket}"
        count = bench.sizes.loops
        return [
            _raced(bench, source, "memory", memory, count=count // 10, threads=1),
            _raced(bench, source, "a directory", file, count=count // 50, threads=1),
            _raced(bench, source, "S3", s3, count=count // 100, threads=1),
            _raced(bench, source, "S3", s3, count=count // 25, threads=16),
            _raced(bench, source, "S3, engine fsspec", s3, count=count // 50, threads=16, engine="fsspec"),
        ]


def small_result(bench: Bench) -> Path:
    """A directory ``small`` with one file of three bytes."""
    source = bench.place.directory / "small"
    source.mkdir(exist_ok=True)
    (source / "score.txt").write_bytes(_CONTENT)
    return source


@contextmanager
def environment(bench: Bench) -> Iterator[None]:
    """Within this, S3 is the server of the races."""
    given = {**bench.place.server.environment(), "AWS_ENDPOINT_URL": bench.place.server.endpoint}
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _raced(
    bench: Bench, source: Path, where: str, url: str, *, count: int, threads: int, engine: str | None = None
) -> Section:
    option = f",opt=engine={engine}" if engine else ""

    def publishing() -> Run:
        with Publisher(f"{url}/p/{{jobID}}{option}") as publisher:
            return _timed(lambda job: publisher.publish(source, Context(job_id=job)), count, threads)

    def writing() -> Run:
        store = open_store(url, **({"engine": engine} if engine else {}))
        try:
            return _timed(_writes(store), count, threads)
        finally:
            store.close()

    contestants: dict[str, Contestant] = {"Publisher.publish": publishing, "Store.write": writing}
    of = f"{threads} threads" if threads > 1 else "one thread"
    outcome = bench.outcome(
        f"publish {count} small results to {where}, {of}", contestants, [Aim(("Store.write",), 0.9)]
    )
    rates = (f"{name}: {count / outcome.seconds(name):,.0f} a second" for name in contestants)
    return section(outcome, note=f"{'; '.join(rates)}.")


def _writes(store: Store) -> Job:
    return lambda job: store.write(f"w/{job}", [_CONTENT])


def _timed(job: Job, count: int, threads: int) -> Run:
    names = [f"{next(_numbers)}" for _ in range(max(count, 1))]
    job(names[0])
    start = time.perf_counter()
    if threads == 1:
        for name in names:
            job(name)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(job, names))
    return Run(time.perf_counter() - start)
