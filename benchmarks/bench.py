"""What every benchmark is given, and the one way in which commands race."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.data import Data, Sizes
from benchmarks.profiling import explained
from benchmarks.race import Aim, Contestant, Outcome, Race, Run
from benchmarks.section import Section, Verdict, paragraphs
from benchmarks.workplace import Command, Workplace

Variables = Mapping[str, str]
Stage = Callable[[], AbstractContextManager[Variables]]
"""Gives a run a place of its own, and the variables that name it."""
Check = Callable[[Variables], None]
"""Raises if the job was not done."""


@dataclass(frozen=True)
class Bench:
    """The rounds, the sizes, the data, and the place where commands run."""

    rounds: int
    warm_up: int
    sizes: Sizes
    data: Data
    place: Workplace

    def outcome(
        self,
        job: str,
        contestants: Mapping[str, Contestant],
        aims: Sequence[Aim] = (),
        *,
        at_most: int | None = None,
    ) -> Outcome:
        """The outcome of a race in as many rounds as were asked for, or in fewer."""
        rounds = self.rounds if at_most is None else min(at_most, self.rounds)
        return Race(job, contestants, aims).run(rounds, self.warm_up)

    def contestant(self, command: Command, stage: Stage, check: Check) -> Contestant:
        """A whole process that talks to the server; ``check`` is asked once, outside of what is measured."""
        checked = False

        def run() -> Run:
            nonlocal checked
            with stage() as variables:
                measured = self.place.run(command, **variables)
                if not checked:
                    check(variables)
                    checked = True
            return measured

        return run

    def race(
        self, job: str, commands: Mapping[str, Command], stage: Stage, check: Check, aims: Sequence[Aim]
    ) -> Section:
        """Races whole processes that talk to the server."""
        contestants = {name: self.contestant(command, stage, check) for name, command in commands.items()}
        outcome = self.outcome(job, contestants, aims)
        return section(outcome, commands, lambda: explained(self.place, commands[outcome.ours], stage), charted=True)


def section(
    outcome: Outcome,
    commands: Mapping[str, Command] | None = None,
    explain: Callable[[], str] | None = None,
    *,
    note: str = "",
    charted: bool = False,
    further: Sequence[Verdict] = (),
) -> Section:
    """The section of one race, with ``further`` aims; ``explain`` is asked where the time goes if one was not met."""
    verdicts = [*outcome.verdicts(), *further]
    unmet = explain is not None and not all(verdict.met for verdict in verdicts)
    listed = "\n".join(f"- {name}: `{command.text}`" for name, command in (commands or {}).items())
    return Section(
        title=outcome.job,
        body=paragraphs((outcome.table(), note, listed)),
        verdicts=verdicts,
        bars=outcome.bars() if charted else (),
        explanation="\n\n".join((outcome.split(), explain())) if unmet and explain is not None else "",
    )
