"""Runs a Python program with cProfile in each of its threads: profiled.py REPORT PROGRAM ARGUMENTS…

Functions are counted in CPU seconds, so that one that waits costs nothing. What has not returned at the end is not
counted, nor is a thread for which Python refuses a further profiler.
"""

import contextlib
import cProfile
import json
import runpy
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType

Row = tuple[float, int, str]
"""A function's own seconds, its calls, its name and place."""


def rows(profiles: Iterable[cProfile.Profile]) -> list[Row]:
    """The functions of all profiles together, the costliest first."""
    own: defaultdict[str, float] = defaultdict(float)
    calls: Counter[str] = Counter()
    for profile in profiles:
        for entry in profile.getstats():
            name = _named(entry.code)
            own[name] += entry.inlinetime
            calls[name] += entry.callcount
    return sorted(((taken, calls[name], name) for name, taken in own.items()), reverse=True)


def _named(code: CodeType | str) -> str:
    """A function with its file and the folder of that; one that is built in with what Python calls it."""
    if isinstance(code, str):
        return code
    return f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_firstlineno}({code.co_name})"


def main(report: str, program: str) -> None:
    """Runs the program as its own main program, and writes the report."""
    profiles: list[cProfile.Profile] = []
    in_thread = threading.Thread.run

    def profiled(call: Callable[[], object]) -> None:
        profile = cProfile.Profile(time.thread_time)
        try:
            profile.enable()
        except ValueError:
            call()
            return
        profiles.append(profile)
        try:
            call()
        finally:
            profile.disable()

    threading.Thread.run = lambda self: profiled(lambda: in_thread(self))  # type: ignore[method-assign]
    with contextlib.suppress(SystemExit):
        profiled(lambda: runpy.run_path(program, run_name="__main__"))
    with open(report, "w", encoding="utf-8") as file:
        json.dump(rows(profiles), file)


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    main(sys.argv.pop(0), sys.argv[0])
