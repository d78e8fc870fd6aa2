"""The clouds that fsspec's clients carry requests to, from afar: ours beside the client itself, and rclone."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks import jobs
from benchmarks.bench import Bench, Check, Stage, Variables
from benchmarks.distance import FAR, away, named
from benchmarks.fetching import GET, standing
from benchmarks.job import Job, Staged, peers
from benchmarks.markdown import table
from benchmarks.publishing import PREFIX, into_bucket, laid_out
from benchmarks.race import Outcome
from benchmarks.section import Section
from benchmarks.workplace import Command, s3_at
from keystow.testing.servers import Azurite, FakeGCS

_ROUNDS = 3
_FILES = "python fsspec_files.py"
_RCLONE = {
    "RCLONE_TRANSFERS": "128",
    "RCLONE_CHECKERS": "128",
    "RCLONE_USE_SERVER_MODTIME": "true",
    "RCLONE_MULTI_THREAD_STREAMS": "16",
    "RCLONE_MULTI_THREAD_CUTOFF": "16M",
    "RCLONE_MULTI_THREAD_CHUNK_SIZE": "4M",
}
"""As many requests at a time as it gains from."""

Emulator = TypeVar("Emulator", FakeGCS, Azurite)


@dataclass(frozen=True)
class Cloud:
    """A cloud, its fsspec client, and what a bucket is there; the variables are for all who use it."""

    name: str
    protocol: str
    client: str
    variables: Mapping[str, str]
    bucket: Callable[[], AbstractContextManager[str]]
    pid: int


def files(bench: Bench) -> list[Section]:
    """One file of some size, and some small ones if they are several."""
    outcomes: list[Outcome] = []
    sources = [bench.data.cloud, *([bench.data.few] if bench.sizes.few_files > 1 else [])]
    for opened in (_s3, partial(_emulated, FakeGCS, _google), partial(_emulated, Azurite, _azure)):
        with opened(bench) as cloud, bench.place.beside(cloud.pid):
            for job in _jobs(cloud, sources):
                with job.at(bench, cloud.variables, f"{cloud.name}, {named(FAR)}") as ready:
                    outcomes.append(ready.raced(at_most=_ROUNDS))
    verdicts = [verdict for outcome in outcomes for verdict in outcome.verdicts()]
    note = (
        "All requests are carried by the clients of fsspec's packages, also those to S3. The others are these clients "
        "by themselves, and rclone with as many requests at a time as it gains from."
    )
    head = ["job", "who", "median", "ratio to ours"]
    rows = [
        [outcome.job, name, outcome.spread(name), f"{outcome.ratio(name):.2f}"]
        for outcome in outcomes
        for name in outcome.runs
    ]
    return [Section(f"clouds {named(FAR)}", f"{note}\n\n{table(head, rows)}", verdicts)]


@contextmanager
def _s3(bench: Bench) -> Iterator[Cloud]:
    rclone = {
        "RCLONE_CONFIG_PEER_NO_CHECK_BUCKET": "true",
        "RCLONE_CONFIG_PEER_NO_HEAD": "true",
        "RCLONE_CONFIG_PEER_UPLOAD_CONCURRENCY": "16",
    }
    with away(bench, FAR) as endpoint:
        variables = {"KEYSTOW_ENGINE": "fsspec", **s3_at(endpoint), **_RCLONE, **rclone}
        yield Cloud("S3, engine fsspec", "s3", "s3fs", variables, bench.place.bucket, bench.place.server.pid)


@contextmanager
def _emulated(emulator: type[Emulator], cloud: Callable[[Emulator, str], Cloud], bench: Bench) -> Iterator[Cloud]:
    """The cloud whose ``emulator`` runs meanwhile, with the endpoint at which it is far."""
    with (
        tempfile.TemporaryDirectory() as directory,
        emulator(Path(directory)) as server,
        away(bench, FAR, server.endpoint) as endpoint,
    ):
        yield cloud(server, endpoint)


def _google(server: FakeGCS, endpoint: str) -> Cloud:
    rclone = {
        "RCLONE_CONFIG_PEER_TYPE": "google cloud storage",
        "RCLONE_CONFIG_PEER_ENV_AUTH": "false",
        "RCLONE_CONFIG_PEER_ANONYMOUS": "true",
        "RCLONE_CONFIG_PEER_ENDPOINT": f"{endpoint}/storage/v1/",
        "RCLONE_CONFIG_PEER_NO_CHECK_BUCKET": "true",
    }
    variables = {**server.environment(endpoint), **_RCLONE, **rclone}
    return Cloud("Google", "gs", "gcsfs", variables, lambda: nullcontext(server.make_bucket()), server.pid)


def _azure(server: Azurite, endpoint: str) -> Cloud:
    rclone = {
        "RCLONE_CONFIG_PEER_TYPE": "azureblob",
        "RCLONE_CONFIG_PEER_ENV_AUTH": "false",
        "RCLONE_CONFIG_PEER_ACCOUNT": server.account_name,
        "RCLONE_CONFIG_PEER_KEY": server.account_key,
        "RCLONE_CONFIG_PEER_ENDPOINT": f"{endpoint}/{server.account_name}",
        "RCLONE_CONFIG_PEER_NO_CHECK_CONTAINER": "true",
    }
    variables = {**server.environment(endpoint), **_RCLONE, **rclone}
    return Cloud("Azure", "az", "adlfs", variables, lambda: nullcontext(server.make_container()), server.pid)


def _jobs(cloud: Cloud, sources: Sequence[Path]) -> Iterator[Job]:
    for source in sources:
        counted = jobs.counted(source)
        published = f"keystow publish {source.name} {cloud.protocol}://$BUCKET/{PREFIX} --plain"
        yield Job(
            f"publish {counted}",
            source,
            published,
            {
                **peers({cloud.client: f"{_FILES} put {cloud.protocol} {source.name}/ $BUCKET/{PREFIX}"}, "keystow"),
                **peers({"rclone copy": f"rclone copy {source.name} peer:$BUCKET/{PREFIX}"}),
            },
            _publishing(cloud, source),
        )
        yield Job(
            f"fetch {counted}",
            source,
            GET,
            {
                **peers({cloud.client: f"{_FILES} get {cloud.protocol} $BUCKET/{PREFIX} out/"}, "keystow"),
                **peers({"rclone copy": f"rclone copy peer:$BUCKET/{PREFIX} out"}),
            },
            _fetching(cloud, source, published),
        )


def _publishing(cloud: Cloud, source: Path) -> Staged:
    def staged(bench: Bench, variables: Variables) -> AbstractContextManager[tuple[Stage, Check]]:
        def objects(bucket: str) -> dict[str, int]:
            listed = Command(f"{_FILES} list {cloud.protocol} $BUCKET", "keystow")
            found: dict[str, int] = json.loads(bench.place.output(listed, **{**variables, "BUCKET": bucket}))
            return found

        return nullcontext((into_bucket(cloud.bucket, variables), laid_out(objects, source)))

    return staged


def _fetching(cloud: Cloud, source: Path, published: str) -> Staged:
    return lambda bench, variables: standing(bench, source, published, cloud.bucket, variables)
