"""A job that is done at a store, wherever that is: what we run, what the peers run, and what stands ready for it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, Check, Stage, Variables
from benchmarks.profiling import explained_functions
from benchmarks.race import Aim, Contestant, Outcome
from benchmarks.section import Verdict
from benchmarks.workplace import Command, ours

_MOST_SECONDS = 300.0

Staged = Callable[[Bench, Variables], AbstractContextManager[tuple[Stage, Check]]]
"""Within this the job can be done at the store that the variables name, in these stages, and is checked so."""


@dataclass(frozen=True)
class Job:
    """One job; ``ours`` is our command."""

    title: str
    source: Path
    ours: str
    peers: Mapping[str, Command]
    staged: Staged

    @property
    def commands(self) -> dict[str, Command]:
        """All contestants, ours first."""
        return {**ours(self.ours, by_fsspec=False, most_seconds=_MOST_SECONDS), **self.peers}

    @contextmanager
    def at(self, bench: Bench, variables: Variables, where: str) -> Iterator["Ready"]:
        """Within this, the job can be done at the store that the variables name, and which is somewhere."""
        with self.staged(bench, variables) as (stage, check):
            yield Ready(self, f"{self.title}, {where}", bench, stage, check)


@dataclass(frozen=True)
class Ready:
    """A job that can be done now, and what it is called there."""

    job: Job
    title: str
    bench: Bench
    stage: Stage
    check: Check

    def contestant(self, name: str = "keystow") -> Contestant:
        """One of those who do it."""
        return self.bench.contestant(self.job.commands[name], self.stage, self.check)

    def raced(self, among: Collection[str] = (), *, at_most: int | None = None, factor: float = 1) -> Outcome:
        """The outcome of a race of all, or of ours among the peers named.

        The fastest peer is not to be faster, or is to take ``factor`` times as long.
        """
        names = [name for name in self.job.commands if not among or name not in self.job.peers or name in among]
        aim = Aim(tuple(name for name in names if name in self.job.peers), factor)
        return self.bench.outcome(self.title, {n: self.contestant(n) for n in names}, [aim], at_most=at_most)

    def explained(self, outcome: Outcome, verdicts: Sequence[Verdict]) -> str:
        """Where the time of ours went in a race, if one of its aims was not met."""
        if all(verdict.met for verdict in verdicts):
            return ""
        functions = explained_functions(self.bench.place, self.job.commands[outcome.ours], self.stage)
        return f"**{outcome.job}**\n\n{outcome.split()}\n\n{functions}"


def peers(commands: Mapping[str, str], installed: str = "peers") -> dict[str, Command]:
    """Those who are to be beaten, with what they run."""
    return {name: Command(text, installed, _MOST_SECONDS) for name, text in commands.items()}
