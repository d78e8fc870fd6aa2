"""Starting: a key from the shell, and the import alone."""

from collections.abc import Callable
from functools import partial

from benchmarks.bench import Bench, section
from benchmarks.profiling import explained_imports
from benchmarks.race import Aim, Contestant, Run
from benchmarks.section import Section
from benchmarks.workplace import Command

_PYTHON = "python -c pass"
_IMPORT = "python -c 'import keystow'"


def start(bench: Bench) -> list[Section]:
    """Against an interpreter that does nothing."""
    commands = {
        "keystow key": Command("keystow key 'results/{jobID}/{date}' --job-id abc123", "keystow"),
        _IMPORT: Command(_IMPORT, "keystow"),
        _PYTHON: Command(_PYTHON, "keystow"),
    }
    contestants = {
        name: _median(bench.sizes.starts, partial(bench.place.run_alone, command)) for name, command in commands.items()
    }
    aims = (Aim((_PYTHON,), 1 / 4), Aim((_PYTHON,), 1 / 4, ours=_IMPORT))
    outcome = bench.outcome("start", contestants, aims)
    note = f"Each run is the median of {bench.sizes.starts} starts."
    return [section(outcome, commands, lambda: explained_imports(bench.place, commands["keystow key"]), note=note)]


def _median(times: int, contestant: Contestant) -> Callable[[], Run]:
    def run() -> Run:
        runs = sorted((contestant() for _ in range(times)), key=lambda run: run.wall)
        return runs[len(runs) // 2]

    return run
