"""Where the time of our own command goes, for the aims that were not met."""

import cProfile
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from benchmarks.markdown import seconds, table
from benchmarks.programs.profiled import Row, rows
from benchmarks.workplace import Command, Workplace

_LINES = 12
_REPORT = "profile.json"
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| +(\S+)")


def explained(
    place: Workplace, command: Command, stage: Callable[[], AbstractContextManager[Mapping[str, str]]]
) -> str:
    """What `explained_functions` says of a command that is a Python program, and the modules that it imports."""
    functions = explained_functions(place, command, stage)
    with stage() as variables:
        imports = explained_imports(place, command, **variables)
    return f"{functions}\n\n{imports}"


def explained_functions(
    place: Workplace, command: Command, stage: Callable[[], AbstractContextManager[Mapping[str, str]]]
) -> str:
    """The functions of a command that is a Python program, by the CPU seconds that each had itself."""
    with stage() as variables:
        run = place.run(_under(f"profiled.py {_REPORT}", command), **variables)
    functions = json.loads((place.directory / _REPORT).read_text("utf-8"))
    seen = sum(own for own, *_ in functions)
    told = (
        f"Under a profiler it took {run.wall:.2f} s and {run.cpu:.2f} CPU seconds of its own. The profiler sees "
        f"{seen:.2f} of them, those in Python's functions and in what they call in their own thread:"
    )
    return f"{told}\n\n{_functions(functions)}"


def explained_call(call: Callable[[], object]) -> str:
    """The same of a call within this process."""
    profile = cProfile.Profile()
    profile.runcall(call)
    return _functions(rows([profile]))


def explained_imports(place: Workplace, command: Command, **variables: str) -> str:
    """The modules that a command imports, by the time that each took itself."""
    printed = place.output(_under("-X importtime", command, " 2>&1"), **variables)
    modules = sorted(((int(own), int(nested), name) for own, nested, name in _IMPORT.findall(printed)), reverse=True)
    total = sum(own for own, *_ in modules) / 1e3
    told = f"`-X importtime`, which slows them down, counts {len(modules)} modules and {total:.1f} ms; the longest:"
    shown = [[f"`{name}`", f"{own / 1e3:.2f} ms", f"{nested / 1e3:.2f} ms"] for own, nested, name in modules[:_LINES]]
    return f"{told}\n\n{table(['module', 'own', 'with what it imports'], shown)}"


def _under(options: str, command: Command, rest: str = "") -> Command:
    """The command's Python program, run with further options."""
    program = re.sub(r"^keystow ", '"$(command -v keystow)" ', command.text.removeprefix("python "))
    return Command(f"python {options} {program}{rest}", command.installed)


def _functions(found: Sequence[Row]) -> str:
    shown = [[f"`{name}`", seconds(own), f"{calls}"] for own, calls, name in found[:_LINES]]
    return table(["function", "own", "calls"], shown)
