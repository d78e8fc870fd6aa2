"""Expanding and matching keys, one again and again and many of them, within this process."""

import re
import time
import timeit
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

import jinja2

from benchmarks.bench import Bench, section
from benchmarks.profiling import explained_call
from benchmarks.race import Aim, Contestant, Run
from benchmarks.section import Section
from keystow import Context, Template

TEXT = "results/{jobID}/{executionID}/{nodeID}/{date}/{time}/"
VALUES = {"jobID": "j-6f1e", "executionID": "e-0b21", "nodeID": "n-9c", "date": "20230926", "time": "140530"}
AT = datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)
KEY = TEXT.format_map(VALUES)

_NO_AIM = "so there is no aim here; the ratios say what that costs."
_EXPANDING = f"None of the others checks a value before it becomes part of a key, {_NO_AIM}"
_MATCHING = f"The regular expression checks no value that it finds, {_NO_AIM}"

_template = Template(TEXT)
_pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", TEXT))
_jinja = jinja2.Environment(autoescape=False).from_string(re.sub(r"\{(\w+)\}", r"{{ \1 }}", TEXT))


def one(bench: Bench) -> list[Section]:
    """One key, again and again."""
    loops, context = bench.sizes.loops, _context()
    expanding: dict[str, Callable[[], object]] = {
        "keystow, reused context": lambda: _template.expand(context),
        "keystow, new context": lambda: _template.expand(_context()),
        "str.format_map": lambda: TEXT.format_map(VALUES),
        "five str.replace": lambda: _replaced(VALUES),
        "Jinja": lambda: _jinja.render(VALUES),
    }
    matching: dict[str, Callable[[], object]] = {
        "keystow": lambda: _template.match(KEY),
        "re.fullmatch, groupdict": lambda: _matched(KEY),
    }
    _expect_all(KEY, expanding)
    _expect_all(VALUES, matching)
    aims = (Aim(("str.format_map",)), Aim(("str.format_map",), 1 / 0.6, stretch=True))

    def again() -> None:
        for _ in range(loops):
            _template.expand(context)

    return [
        section(
            bench.outcome("expand one key", {name: _each(call, loops) for name, call in expanding.items()}, aims),
            explain=lambda: explained_call(again),
            charted=True,
        ),
        section(
            bench.outcome("match one key", {name: _each(call, loops) for name, call in matching.items()}),
            note=_MATCHING,
            charted=True,
        ),
    ]


def many(bench: Bench) -> list[Section]:
    """Many keys, each with a job id of its own."""
    jobs = [f"j-{number:07x}" for number in range(bench.sizes.keys)]
    bound = _template.bind(**{name: value for name, value in VALUES.items() if name != "jobID"})
    expanding: dict[str, Callable[[str], object]] = {
        "keystow, new context": lambda job: _template.expand(_context(job)),
        "keystow, bind once, new context": lambda job: bound.expand(Context(job_id=job)),
        "str.format_map": lambda job: TEXT.format_map({**VALUES, "jobID": job}),
        "five str.replace": lambda job: _replaced({**VALUES, "jobID": job}),
        "Jinja": lambda job: _jinja.render({**VALUES, "jobID": job}),
    }
    keys = [TEXT.format_map({**VALUES, "jobID": job}) for job in jobs]
    matching: dict[str, Callable[[str], object]] = {"keystow": _template.match, "re.fullmatch, groupdict": _matched}
    _expect_all(keys[-1], {name: partial(call, jobs[-1]) for name, call in expanding.items()})
    _expect_all({**VALUES, "jobID": jobs[-1]}, {name: partial(call, keys[-1]) for name, call in matching.items()})
    return [
        section(
            bench.outcome(f"expand {len(jobs)} keys", {n: _over(call, jobs) for n, call in expanding.items()}),
            note=_EXPANDING,
        ),
        section(
            bench.outcome(f"match {len(keys)} keys", {n: _over(call, keys) for n, call in matching.items()}),
            note=_MATCHING,
        ),
    ]


def _context(job: str = VALUES["jobID"]) -> Context:
    return Context(job_id=job, execution_id="e-0b21", node_id="n-9c", at=AT)


def _replaced(values: Mapping[str, str]) -> str:
    key = TEXT
    for name, value in values.items():
        key = key.replace(f"{{{name}}}", value)
    return key


def _matched(key: str) -> dict[str, str] | None:
    found = _pattern.fullmatch(key)
    return found and found.groupdict()


def _expect_all(expected: object, calls: Mapping[str, Callable[[], object]]) -> None:
    for name, call in calls.items():
        if (given := call()) != expected:
            raise AssertionError(f"{name} gives {given!r}")


def _each(call: Callable[[], object], loops: int) -> Contestant:
    return lambda: Run(timeit.timeit(call, number=loops) / loops)


def _over(call: Callable[[str], object], items: Iterable[str]) -> Contestant:
    def run() -> Run:
        start = time.perf_counter()
        deque(map(call, items), maxlen=0)
        return Run(time.perf_counter() - start)

    return run
