"""Expanding and matching a key."""

import re
import timeit
from collections.abc import Callable
from datetime import UTC, datetime

import jinja2

from benchmarks.race import Race
from keystow import Context, Template

TEXT = "results/{jobID}/{executionID}/{nodeID}/{date}/{time}/"
VALUES = {"jobID": "j-6f1e", "executionID": "e-0b21", "nodeID": "n-9c", "date": "20230926", "time": "140530"}
AT = datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)
KEY = TEXT.format_map(VALUES)
LOOPS = 20_000


def _each(call: Callable[[], object]) -> Callable[[], float]:
    return lambda: timeit.timeit(call, number=LOOPS) / LOOPS


def _context() -> Context:
    return Context(job_id="j-6f1e", execution_id="e-0b21", node_id="n-9c", at=AT)


def _replaced() -> str:
    key = TEXT
    for name, value in VALUES.items():
        key = key.replace(f"{{{name}}}", value)
    return key


def races() -> list[Race]:
    """The races on keys; every contestant gives the same key, or the same values."""
    template, context = Template(TEXT), _context()
    jinja = jinja2.Environment(autoescape=False).from_string(re.sub(r"\{(\w+)\}", r"{{ \1 }}", TEXT))
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", TEXT))
    expanding: dict[str, Callable[[], object]] = {
        "keystow, reused context": lambda: template.expand(context),
        "keystow, new context": lambda: template.expand(_context()),
        "str.format_map": lambda: TEXT.format_map(VALUES),
        "five str.replace": _replaced,
        "Jinja": lambda: jinja.render(VALUES),
    }
    for name, call in expanding.items():
        if call() != KEY:
            raise AssertionError(f"{name} gives {call()!r}")
    matching: dict[str, Callable[[], object]] = {
        "keystow": lambda: template.match(KEY),
        "re.fullmatch, groupdict": lambda: (found := pattern.fullmatch(KEY)) and found.groupdict(),
    }
    for name, call in matching.items():
        if call() != VALUES:
            raise AssertionError(f"{name} gives {call()!r}")
    return [
        Race("expand one key", {name: _each(call) for name, call in expanding.items()}),
        Race("match one key", {name: _each(call) for name, call in matching.items()}),
    ]
