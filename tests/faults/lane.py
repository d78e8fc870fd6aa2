"""One store with one engine and a server of its own: runs a case, and has it judged."""

import contextlib
import gzip
import hashlib
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keystow import PublishedResult
from keystow.archive import pack, scan
from keystow.archive.manifest import NAME, Item, written_manifest
from keystow.backends.sending.limits import SECONDS
from keystow.stored import listing_checksum
from keystow.testing import Sandbox
from keystow.testing.faults import FaultyWire, GoogleGaps, Passed, WireFault, client_events, server_events
from keystow.testing.servers import Azurite, FakeGCS, SeaweedFS

from .case import Case
from .oracle import Holdings, Outcome, Seen, Standing, azure_holdings, google_holdings, judge, s3_holdings
from .playing import Job, play

BOUND = 2 * SECONDS
"""Seconds after which a client that has not ended hangs, and is killed; one try may stand still for half of that."""
_SERVERS: dict[str, tuple[Any, Any]] = {
    "s3": (SeaweedFS, s3_holdings),
    "gs": (FakeGCS, google_holdings),
    "az": (Azurite, azure_holdings),
}
_OLD = b"what stood there before"
SIZES = {
    "small": {"score.txt": 40, "a/b.bin": 3000, "empty": 0},
    "large": {"one.bin": 12 << 20, "a/two.bin": 7 << 20},
    "prefix": {f"{name}/{index}.bin": 3000 * index for name in "ab" for index in range(1, 5)},
}
"""Bytes of each file that is published; nothing of them can be compressed."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["__main__", "keystow.command", "keystow.publishing", "keystow.fetching", "s3fs", "gcsfs", "adlfs", "obstore"]
)
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # read when gcsfs is imported


class Verdict(NamedTuple):
    """What became of a case: the client's outcome, the promises broken, and the requests that the fault happened to."""

    case: Case
    outcome: Outcome
    broken: list[str]
    fired: int

    def __str__(self) -> str:
        how = "broken" if self.broken else "held"
        return f"{how} {self.outcome.kind} {self.outcome.seconds:.1f} s, {self.fired} fired: {self.case}"


class _Sources(NamedTuple):
    """What is published: a directory, its files, and the bytes of its archive."""

    directory: Path
    files: Mapping[str, bytes]
    archive: bytes


class Lane(contextlib.ExitStack):
    """A running server for ``store``, and the clients that ``engine`` carries; a context manager.

    ``elsewhere``, if it is set, is the endpoint that clients are given in place of the proxy's.
    """

    def __init__(self, store: str, engine: str, directory: Path) -> None:
        super().__init__()
        self.store, self.engine, self._directory = store, engine, directory
        self._count = 0
        self.elsewhere = ""
        kind, holdings = _SERVERS[store]
        self.server = self.enter_context(kind(directory / "server"))
        self._buckets = {
            versioned: (bucket := self.server.make_bucket(**given), holdings(self.server, bucket))
            for versioned, given in ((False, {}), (True, {} if store == "az" else {"versioned": True}))
        }
        self.bucket, self.holdings = self._buckets[False]
        self.endpoint = self.server.endpoint
        if store == "gs":
            self.endpoint = self.enter_context(GoogleGaps(self.endpoint)).url
        self._sources = {what: _made(directory / what, sizes) for what, sizes in SIZES.items()}

    def run(self, case: Case, player: "Callable[[Lane, Job, list[int]], Outcome] | None" = None) -> Verdict:
        """Plays the case and judges it; ``player`` stands in for the client's process."""
        self._count += 1
        self.bucket, self.holdings = self._buckets[case.versioned]
        key = f"case-{self._count}/{case.what}" + ("/" if case.what in {"prefix", "list"} else ".tar.gz")
        source = self._sources[case.what if case.what in SIZES else "prefix" if case.mode == "list" else "small"]
        ours = _keys(key, source)
        self._prepare(case, ours)
        before = self.holdings.under(f"case-{self._count}/")
        pid: list[int] = [0]
        signalled: list[float] = []
        with self._wire(case, pid, signalled) as wire:
            job = self._job(case, self.elsewhere or wire.url, key, source)
            outcome = (player or played)(self, job, pid)
            ended = time.monotonic()
        time.sleep(0.1)  # what the server was sent last, it may be at work on
        after = self.holdings.under(f"case-{self._count}/")
        manifest = Standing()
        if after.pop(key + NAME, None):
            older = {"older": _older(ours)} if case.published else {}
            manifest = _standing(self.holdings, key, {"ours": ours, **older})
        before.pop(key + NAME, None)
        seen = Seen(
            before,
            after,
            {name: hashlib.sha256(body).hexdigest() for name, body in ours.items()},
            _reported(source, archive=not key.endswith("/")),
            outcome,
            _tree(job.target),
            {name: hashlib.sha256(body).hexdigest() for name, body in source.files.items()},
            tuple(sorted(found.name for found in job.target.parent.iterdir() if found != job.target)),
            ended - signalled[0] if signalled and ended > signalled[0] else None,
            manifest,
        )
        return Verdict(case, outcome, judge(case, seen), _fired(case, wire.passed))

    def _prepare(self, case: Case, ours: Mapping[str, bytes]) -> None:
        prefix = f"case-{self._count}/prefix/"
        if case.published:
            older = _older(ours)
            versions = {key: self.holdings.put(key, body) for key, body in older.items()}
            items = (_item(key[len(prefix) :], body, versions[key]) for key, body in older.items())
            self.holdings.put(prefix + NAME, written_manifest(items))
            return
        for index, (key, body) in enumerate(ours.items()):
            if not case.publishes:
                self.holdings.put(key, body)
            elif case.taken and index % 2 == 0:
                self.holdings.put(key, _OLD)
        if _has_manifest(case):
            self.holdings.put(prefix + NAME, _manifest(self._sources["prefix"]))

    def _wire(self, case: Case, pid: list[int], signalled: list[float]) -> FaultyWire:
        """The proxy; where a client is sent a signal, its request is stuck from then on for half of the seeds."""
        faults = [case.fault] if isinstance(case.fault, WireFault) else []

        def noted(send: Callable[[WireFault], object]) -> Callable[[WireFault], object]:
            def event(fault: WireFault) -> None:
                signalled.append(time.monotonic() + fault.seconds)
                send(fault)
                if case.seed % 4 < 2:
                    wire.released.wait()

            return event

        signals = {name: noted(send) for name, send in client_events(lambda: pid[0]).items()}
        wire = FaultyWire(self.endpoint, *faults, events={**server_events(self.server), **signals})
        return wire

    def _job(self, case: Case, url: str, key: str, source: _Sources) -> Job:
        place = Sandbox(
            self.store,
            f"{self.store}://{self.bucket}",
            url if self.store == "s3" else None,
            self.server.environment(url),
        )
        archive = not key.endswith("/")
        result = PublishedResult(
            self.store, self.bucket, key, place.endpoint, checksum_sha256=_reported(source, archive=archive),
            encoding="gzip" if archive else "plain",
            index_sha256=hashlib.sha256(_manifest(source)).hexdigest() if _has_manifest(case) else None,
        )  # fmt: skip
        target = self._directory / f"get-{self._count}" / "target"
        target.parent.mkdir()
        if case.seed % 2:
            target.mkdir()
        file = self._directory / f"result-{self._count}.json"
        file.write_text(json.dumps({"PublishedResult": result.to_mapping()}))
        return Job(case, place, key, source.directory, file, target)


def played(_: Lane, job: Job, pid: list[int], bound: float = BOUND) -> Outcome:
    """The outcome that a process of its own tells."""
    answers, told = _processes.Pipe(duplex=False)
    process = _processes.Process(target=play, args=(job, told), daemon=True)
    process.start()
    pid[0] = process.pid or 0
    told.close()
    try:
        answers.poll(30)
        answers.recv()
        return answers.recv() if answers.poll(bound) else Outcome("hung", seconds=bound)
    except EOFError:
        process.join(5)
        return Outcome("raw", told=f"the process ended with {process.exitcode}, and said nothing")
    finally:
        process.kill()
        process.join()
        answers.close()


def _made(directory: Path, sizes: Mapping[str, int]) -> _Sources:
    chance = random.Random(directory.name)
    files = {name: chance.randbytes(size) for name, size in sizes.items()}
    for name, body in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(body)
    return _Sources(directory, files, b"".join(pack(scan(directory))))


def _keys(key: str, source: _Sources) -> dict[str, bytes]:
    if key.endswith("/"):
        return {key + name: body for name, body in sorted(source.files.items())}
    return {key: source.archive}


def _has_manifest(case: Case) -> bool:
    """Whether the prefix that is read has one: not that of every third seed, as versions before had none."""
    return not case.publishes and case.what == "prefix" and case.seed % 3 > 0


def _manifest(source: _Sources) -> bytes:
    return written_manifest(_item(name, body) for name, body in source.files.items())


def _item(name: str, body: bytes, version: str | None = None) -> Item:
    return Item(name, len(body), hashlib.sha256(body).hexdigest(), version_id=version)


def _older(ours: Mapping[str, bytes]) -> dict[str, bytes]:
    """What was published before: half of the files were others."""
    return {key: body if index % 2 else _OLD for index, (key, body) in enumerate(ours.items())}


def _standing(holdings: Holdings, prefix: str, known: Mapping[str, Mapping[str, bytes]]) -> Standing:
    """Which of the ``known`` publications the manifest lists, and how many of its files are not there."""
    head, *lines = map(json.loads, gzip.decompress(holdings.get(prefix + NAME, None)).splitlines())
    listed = {prefix + line["name"]: (line["size"], line["sha256"]) for line in lines}
    whose = [name for name, files in known.items() if listed == {key: _summed(body) for key, body in files.items()}]
    if not whose or head["files"] != len(lines):
        return Standing("other")
    there = holdings.names(prefix)
    found = {
        key: _summed(holdings.get(key, line.get("version")))
        for line in lines
        if (key := prefix + line["name"]) in there
    }
    return Standing(whose[0], sum(found.get(key) != said for key, said in listed.items()))


def _summed(body: bytes) -> tuple[int, str]:
    return len(body), hashlib.sha256(body).hexdigest()


def _reported(source: _Sources, *, archive: bool) -> str:
    """The SHA-256 that a success reports."""
    if archive:
        return hashlib.sha256(source.archive).hexdigest()
    return listing_checksum({name: hashlib.sha256(body).hexdigest() for name, body in source.files.items()}).hex


def _tree(directory: Path) -> dict[str, str] | None:
    files = [path for path in directory.rglob("*") if path.is_file()] if directory.is_dir() else []
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files} or None


def _fired(case: Case, passed: list[Passed]) -> int:
    """The requests that the fault happened to; a limit is there from the beginning."""
    return 1 if case.by_limit else sum(bool(one.fault) for one in passed)
