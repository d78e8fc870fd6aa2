"""Whether a test sees a mutant, and what all of them together say."""

import enum
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .making import Mutant
from .running import NOT_SEEN, TEST_SECONDS, Watched, run_with

ACCEPTED = Path(__file__).with_name("accepted.toml")
LEAST_KILLED = 0.95
GRACE_SECONDS = 60.0
MOST_TIMES = 4
"""A run is ended after the grace and this many times of what its tests took without a mutant."""
NO_TEST_RAN = 5
_MOST_KILLERS = 8
_killers: dict[str, list[str]] = {}
"""By module, the tests that failed last."""

Name = tuple[str, str, str, str]


class Fate(enum.StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"


class Judged(NamedTuple):
    """A mutant and its fate."""

    mutant: Mutant
    fate: Fate
    by: str = ""
    """The test that failed, where pytest named it."""


def judge(mutant: Mutant, package_name: str, watched: Watched) -> Judged:
    """Runs the tests that run the mutant's lines, and if none fails, the others that run its module.

    The second look is for what runs once for several tests: a cache, a fixture. Before both, those have their turn that
    killed the last mutants of the module, as they may kill this one soon.
    """
    first = watched.of(mutant.module, mutant.lines)
    killers = _killers.setdefault(mutant.module, [])
    likely = [test for test in killers if test in first]
    others = [test for test in watched.all_of(mutant.module) if test not in first]
    for tests in filter(None, (likely, [test for test in first if test not in likely], others)):
        seconds = GRACE_SECONDS + MOST_TIMES * sum(watched.seconds[test] for test in tests)
        ended = run_with(package_name, mutant.source, tests, seconds)
        if ended.status is None:
            return Judged(mutant, Fate.TIMEOUT)
        if ended.status in {NO_TEST_RAN, NOT_SEEN}:
            raise RuntimeError(f"nothing was shown to the tests of {mutant.name}:\n{ended.output}")
        if ended.status:
            killer = failed_test(ended.output, tests)
            if killer:
                killers[:] = [killer, *(test for test in killers if test != killer)][:_MOST_KILLERS]
            timed_out = f"Timeout (>{TEST_SECONDS}" in ended.output
            return Judged(mutant, Fate.TIMEOUT if timed_out else Fate.KILLED, killer)
    return Judged(mutant, Fate.SURVIVED)


def failed_test(output: str, tests: Iterable[str]) -> str:
    """Which of ``tests`` failed, by pytest's summary; empty where it names none."""
    summaries = [line for line in output.splitlines() if line.startswith("FAILED ")]
    named = [test for test in tests for line in summaries if test in line]
    return max(named, key=len, default="")


def check_unchanged(unchanged: Iterable[Judged]) -> None:
    """``RuntimeError`` where a test fails that was shown the module as it is: each mutant would be killed by it."""
    for mutant, fate, by in unchanged:
        if fate is not Fate.SURVIVED:
            raise RuntimeError(f"{mutant.module} is {fate} without a change, by {by or 'no test that pytest names'}")


def accepted() -> dict[Name, str]:
    """The mutants that may survive, each with the reason."""
    listed = tomllib.loads(ACCEPTED.read_text("utf-8")).get("survivor", [])
    return {(one["module"], one["scope"], one["was"], one["becomes"]): one["why"] for one in listed}


class Verdict(NamedTuple):
    """What a run found."""

    judged: Sequence[Judged]
    accepted: Mapping[Name, str]

    @property
    def survivors(self) -> list[Mutant]:
        """Those that survived without being accepted."""
        return [mutant for mutant, fate, _ in self.judged if fate is Fate.SURVIVED and mutant.name not in self.accepted]

    @property
    def outdated(self) -> list[Name]:
        """Those that are accepted and did not survive, or are no mutants any more."""
        survived = {mutant.name for mutant, fate, _ in self.judged if fate is Fate.SURVIVED}
        modules = {mutant.module for mutant, *_ in self.judged}
        return [name for name in self.accepted if name[0] in modules and name not in survived]

    def killed(self, module: str | None = None) -> float:
        """The part that was killed, of those that can be: what is accepted as ``equivalent: …`` cannot."""
        counts = self.counts(module)
        possible = sum(counts.values()) - counts["equivalent"]
        return (counts["killed"] + counts["timeout"]) / possible if possible else 1.0

    def counts(self, module: str | None = None) -> dict[str, int]:
        """How many there are of each fate, in a module or in all."""
        counts = dict.fromkeys([*map(str, Fate), "equivalent"], 0)
        for mutant, fate, _ in self.judged:
            if module in {None, mutant.module}:
                equivalent = fate is Fate.SURVIVED and self.accepted.get(mutant.name, "").startswith("equivalent:")
                counts["equivalent" if equivalent else str(fate)] += 1
        return counts

    def __bool__(self) -> bool:
        return self.killed() >= LEAST_KILLED and not self.survivors


def report(verdict: Verdict) -> str:
    """The verdict as Markdown: a table of modules, and the survivors as differences."""
    modules: Collection[str] = dict.fromkeys(mutant.module for mutant, *_ in verdict.judged)
    rows = [_row(module, verdict.counts(module), verdict.killed(module)) for module in modules]
    lines = [
        "| module | mutants | killed | by timeout | equivalent | survived | of those that can be killed |",
        "|---|---|---|---|---|---|---|",
        *rows,
        _row("all", verdict.counts(), verdict.killed()),
    ]
    for mutant in verdict.survivors:
        lines += ["", f"{mutant.module}:{mutant.lines.start} {mutant.scope}", "```diff", *_diff(mutant.name), "```"]
    killers = {mutant.name: by for mutant, _, by in verdict.judged}
    for name in verdict.outdated:
        by = f", killed by {killers[name]}" if killers.get(name) else ""
        lines += [
            "",
            f"{name[0]} {name[1]}: accepted, but it does not survive (any more){by}",
            "```diff",
            *_diff(name),
            "```",
        ]
    return "\n".join(lines) + "\n"


def _row(module: str, counts: Mapping[str, int], killed: float) -> str:
    cells = (sum(counts.values()), counts["killed"], counts["timeout"], counts["equivalent"], counts["survived"])
    return f"| {module} | {' | '.join(map(str, cells))} | {killed:.1%} |"


def _diff(name: Name) -> Iterable[str]:
    return [*(f"-{line}" for line in name[2].splitlines()), *(f"+{line}" for line in name[3].splitlines())]
