"""An archive that is read in parts, from afar, beside those who read all of it; and what of it is index."""

import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.bench import Bench, Check, Stage, Variables, section
from benchmarks.data import random_files
from benchmarks.distance import FAR, away, named
from benchmarks.fetching import standing
from benchmarks.job import peers
from benchmarks.jobs import counted
from benchmarks.markdown import seconds, size, table
from benchmarks.profiling import explained_functions
from benchmarks.publishing import KEY
from benchmarks.race import Aim, Outcome
from benchmarks.section import Section, Verdict
from benchmarks.workplace import BEFORE_YAML, YAML, Command, ours, s3_at
from keystow.archive import Entry, Tree, pack, scan
from keystow.archive.index import open_index
from keystow.testing.servers import Distance, FaultProxy, Relay

_DIRECTORIES = 10
_DIRECTORY = str(_DIRECTORIES // 2)
_PLACE = 5 / 9
"""Where among all files the one stands that is read alone."""
_RESULT = f"result{YAML}"
_ALL = f"s5cmd cat -c 16 -p 4 s3://$BUCKET/{KEY}"
_REQUESTS, _BYTES, _SECONDS, _SHARE = 3, 1_000_000, 0.5, 0.01
_NOTE = (
    "Requests and bytes were counted at a proxy, in a run apart from those that were timed; with the bytes are the "
    "heads of the answers."
)
_KINDS = {"do not shrink": bytes(range(256)), "shrink to a quarter": b"0" * 128 + b"1" * 64 + b"2" * 64}
"""What stands for each random byte of the files, in the archives of which the index is looked at."""
_LARGER = 10
_YEAR = 365 * 24 * 3600
_SEED = 20230926
_ROUNDS = 3


@dataclass(frozen=True)
class _Asked:
    """What a run asked for: how many requests, and the bytes of the answers."""

    requests: int
    bytes: int


@dataclass(frozen=True)
class _Archive:
    """What was published of ``source``, ``bytes`` that ``stage`` leads to, and an endpoint that is far."""

    bench: Bench
    source: Path
    stage: Stage
    bytes: int
    endpoint: str

    @property
    def title(self) -> str:
        return f"an archive of {counted(self.source)}, {named(FAR)}"

    def at(self, endpoint: str) -> Stage:
        """Gives each run what leads it there by this endpoint."""
        place = self.bench.place

        @contextmanager
        def stage() -> Iterator[Variables]:
            with self.stage() as variables:
                for ending in (YAML, BEFORE_YAML):
                    found = place.directory / f"{variables['BUCKET']}{ending}"
                    if found.exists():
                        result = found.read_text("utf-8").replace(place.server.endpoint, endpoint)
                        (place.directory / f"result{ending}").write_text(result, "utf-8")
                yield {**variables, **s3_at(endpoint)}

        return stage

    def raced(self, job: str, mine: Mapping[str, Command], theirs: Mapping[str, Command], check: Check) -> "_Raced":
        """The race from afar, and what ours and the fastest of the others asked for."""
        commands = {**mine, **theirs}
        stage = self.at(self.endpoint)
        contestants = {name: self.bench.contestant(command, stage, check) for name, command in commands.items()}
        outcome = self.bench.outcome(job, contestants, [Aim(tuple(theirs))], at_most=_ROUNDS)
        asked = self._asked({name: commands[name] for name in (*mine, outcome.fastest)})
        return _Raced(self, commands, outcome, asked)

    def _asked(self, commands: Mapping[str, Command]) -> dict[str, _Asked]:
        place = self.bench.place
        found = {}
        with FaultProxy(place.server.endpoint) as proxy, Relay(proxy.url, Distance(0, None)) as relay:
            for name, command in commands.items():
                requests, (_, came) = len(proxy.requests), relay.carried
                with self.at(relay.url)() as variables:
                    place.run(command, **variables)
                found[name] = _Asked(len(proxy.requests) - requests, relay.carried[1] - came)
        return found


@dataclass(frozen=True)
class _Raced:
    """A race, and what some of those who ran asked for."""

    archive: _Archive
    commands: Mapping[str, Command]
    outcome: Outcome
    asked: Mapping[str, _Asked]

    def verdict(self, aim: str, measured: str, *, met: bool, name: str | None = None) -> Verdict:
        """An aim that is no race."""
        return Verdict(self.outcome.job, "a bound", aim, measured, met, name or self.outcome.ours)

    def section(self, verdicts: Sequence[Verdict] = ()) -> Section:
        """All of it, with further verdicts."""
        archive = self.archive
        rows = [
            [name, str(asked.requests), size(asked.bytes), f"{asked.bytes / archive.bytes:.3%}"]
            for name, asked in self.asked.items()
        ]
        head = ["contestant", "requests", "bytes that came", f"of the {size(archive.bytes)}"]
        ours = self.commands[self.outcome.ours]
        return section(
            self.outcome,
            self.commands,
            lambda: explained_functions(archive.bench.place, ours, archive.at(archive.endpoint)),
            note=f"{table(head, rows)}\n\n{_NOTE}",
            charted=True,
            further=verdicts,
        )


def parts(bench: Bench) -> list[Section]:
    """One file, the names of all, a tenth of them; and of archives of several kinds, how much is index."""
    place = bench.place
    source = place.directory / "members"
    for number in range(_DIRECTORIES):
        files = max(1, bench.sizes.members // _DIRECTORIES)
        random_files(source / str(number), files, bench.sizes.file_bytes, seed=number)
    published = "keystow publish members s3://$BUCKET/object"
    try:
        with standing(bench, source, published, place.bucket) as (stage, _), away(bench, FAR) as endpoint:
            with stage() as variables:
                stored = place.objects(variables["BUCKET"])[KEY]
            archive = _Archive(bench, source, stage, stored, endpoint)
            return [_one(archive), _names(archive), _tenth(archive), _indexes(bench)]
    finally:
        shutil.rmtree(source)


def _one(archive: _Archive) -> Section:
    files = sorted(path for path in archive.source.rglob("*") if path.is_file())
    path = files[int(len(files) * _PLACE)]
    name = path.relative_to(archive.source)
    found = archive.bench.place.directory / "out" / "found"

    def check(_: Variables) -> None:
        _expect(found.read_bytes(), path.read_bytes())

    mine = {
        **ours(f"keystow cat {_RESULT} {name} > out/found", by_fsspec=False),
        "open_archive": Command(f"python member.py {_RESULT} {name} > out/found", "keystow"),
    }
    theirs = {
        "s5cmd cat, tar xzO": f"{_ALL} | tar xzO {name} > out/found",
        "s5cmd cat, igzip, tar xO": f"{_ALL} | igzip -dc | tar xO {name} > out/found",
        "s5cmd, igzip, tar --occurrence": f"{_ALL} | igzip -dc | tar xO --occurrence {name} > out/found",
    }
    job = f"read a file of {size(path.stat().st_size)} of {archive.title}"
    race = archive.raced(job, mine, peers(theirs), check)
    verdicts = []
    for who in mine:
        asked, taken = race.asked[who], race.outcome.seconds(who)
        few = asked.requests <= _REQUESTS and asked.bytes <= _BYTES
        measured = f"{asked.requests} requests, {size(asked.bytes)}"
        verdicts += [
            race.verdict(f"at most {_REQUESTS} requests and {size(_BYTES)}", measured, met=few, name=who),
            race.verdict(f"under {seconds(_SECONDS)}", race.outcome.spread(who), met=taken < _SECONDS, name=who),
        ]
    return race.section(verdicts)


def _names(archive: _Archive) -> Section:
    expected = sorted(entry.name for entry in scan(archive.source).entries)
    names = archive.bench.place.directory / "out" / "names"

    def check(_: Variables) -> None:
        _expect(sorted(line.rstrip("/") for line in names.read_text("utf-8").splitlines()), expected)

    mine = ours(f"keystow ls {_RESULT} > out/names", by_fsspec=False)
    theirs = {
        "s5cmd cat, tar tz": f"{_ALL} | tar tz > out/names",
        "s5cmd cat, igzip, tar t": f"{_ALL} | igzip -dc | tar t > out/names",
    }
    race = archive.raced(f"list {archive.title}", mine, peers(theirs), check)
    share = race.asked[race.outcome.ours].bytes / archive.bytes
    return race.section([race.verdict(f"under {_SHARE:.0%} of its bytes", f"{share:.2%}", met=share < _SHARE)])


def _tenth(archive: _Archive) -> Section:
    out = archive.bench.place.directory / "out"

    def check(_: Variables) -> None:
        _expect([path.name for path in out.iterdir()], [_DIRECTORY])
        difference = ["diff", "-r", archive.source / _DIRECTORY, out / _DIRECTORY]
        subprocess.run(difference, check=True, stdout=subprocess.DEVNULL)

    mine = ours(f"keystow get {_RESULT} out --member '{_DIRECTORY}/**'", by_fsspec=False)
    theirs = {
        "s5cmd cat, tar xz": f"{_ALL} | tar xz -C out {_DIRECTORY}",
        "s5cmd cat, igzip, tar x": f"{_ALL} | igzip -dc | tar x -C out {_DIRECTORY}",
    }
    return archive.raced(f"fetch a tenth of {archive.title}", mine, peers(theirs), check).section()


def _indexes(bench: Bench) -> Section:
    found = scan(bench.data.tree).files
    rows, verdicts = [], []
    for each, files in ((bench.sizes.file_bytes, found), (bench.sizes.file_bytes * _LARGER, found[::_LARGER])):
        for kind, letters in _KINDS.items():
            archive = b"".join(pack(_like(files, each, letters)))
            index = _index_of(archive)
            what, share = f"files of some {size(each)} that {kind}", index / len(archive)
            each_one = f"{index / len(files):.1f}"
            rows.append([what, str(len(files)), size(len(archive)), str(index), each_one, f"{share:.2%}"])
            aim = f"under {_SHARE:.0%} of the archive"
            verdicts.append(Verdict(f"the index of {what}", "a bound", aim, f"{share:.2%}", share < _SHARE))
    head = ["files", "how many", "the archive", "bytes of its index", "for each file", "share"]
    note = "They have the names of real files, times of a whole year, and sizes from a half of that to three halves."
    return Section("how much of an archive is its index", f"{table(head, rows)}\n\n{note}", verdicts)


def _like(files: Sequence[Entry], each: int, letters: bytes) -> Tree:
    """A tree with the names of ``files``, of about ``each`` bytes, which are random ``letters``."""
    chance = random.Random(_SEED)
    sizes, times = range(each // 2, each * 3 // 2), range(_YEAR)
    entries = (replace(entry, size=chance.choice(sizes), mtime=chance.choice(times)) for entry in files)
    return Tree(tuple(entries), lambda entry: iter([chance.randbytes(entry.size).translate(letters)]))


def _index_of(archive: bytes) -> int:
    """The bytes of an archive behind its last block."""
    index = open_index(lambda start, stop: archive[start:stop], len(archive))
    assert index is not None
    return len(archive) - max(block.stop for block in index.all_blocks())


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"there came {str(found)[:500]}, and it should be {str(expected)[:500]}")
