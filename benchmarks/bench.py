"""What every benchmark is given, and the one way in which commands race."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.data import Data, Sizes
from benchmarks.profiling import explained
from benchmarks.race import Aim, Contestant, Outcome, Race, Run
from benchmarks.section import Section
from benchmarks.workplace import Command, Workplace

Variables = Mapping[str, str]


@dataclass(frozen=True)
class Bench:
    """The rounds, the sizes, the data, and the place where commands run."""

    rounds: int
    warm_up: int
    sizes: Sizes
    data: Data
    place: Workplace

    def outcome(self, job: str, contestants: Mapping[str, Contestant], aims: Sequence[Aim] = ()) -> Outcome:
        """The outcome of a race in as many rounds as were asked for."""
        return Race(job, contestants, aims).run(self.rounds, self.warm_up)

    def race(
        self,
        job: str,
        commands: Mapping[str, Command],
        stage: Callable[[], AbstractContextManager[Variables]],
        check: Callable[[Variables], None],
        aims: Sequence[Aim],
    ) -> Section:
        """Races whole processes that talk to the server.

        ``stage`` gives each run a place of its own and the variables that name it. ``check`` raises if the job was not
        done; it is asked once of each contestant, outside of what is measured.
        """
        unchecked = set(commands)

        def contestant(name: str) -> Contestant:
            def run() -> Run:
                with stage() as variables:
                    measured = self.place.run(commands[name], **variables)
                    if name in unchecked:
                        check(variables)
                        unchecked.remove(name)
                return measured

            return run

        outcome = self.outcome(job, {name: contestant(name) for name in commands}, aims)
        return section(outcome, commands, lambda: explained(self.place, commands[outcome.ours], stage), charted=True)


def section(
    outcome: Outcome,
    commands: Mapping[str, Command] | None = None,
    explain: Callable[[], str] | None = None,
    *,
    note: str = "",
    charted: bool = False,
) -> Section:
    """The section of one race; ``explain`` is asked where the time goes if an aim was not met."""
    verdicts = outcome.verdicts()
    unmet = explain is not None and not all(verdict.met for verdict in verdicts)
    listed = "\n".join(f"- {name}: `{command.text}`" for name, command in (commands or {}).items())
    return Section(
        title=outcome.job,
        body="\n\n".join(filter(None, (outcome.table(), note, listed))),
        verdicts=verdicts,
        bars=outcome.bars() if charted else (),
        explanation="\n\n".join((outcome.split(), explain())) if unmet and explain is not None else "",
    )
