"""What the bench found, as a page: cases by kind of fault, promises that were broken, and times."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .lane import Verdict

_KINDS = ("done", "failed", "exists", "unknown", "interrupted", "raw", "hung")


def report(judged: Sequence[Verdict], measured: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """The page, in Markdown."""
    fired = sum(verdict.fired for verdict in judged)
    broken = [verdict for verdict in judged if verdict.broken]
    parts = [
        "# Under faults",
        f"{len(judged)} cases, in which {fired} faults happened; {len(broken)} cases broke a promise.",
        *_outcomes(judged),
        *_kinds(judged),
        "## Promises that were broken" if broken else "No promise was broken.",
        "\n".join(_broken(broken)),
        *_times(measured),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _lane(verdict: Verdict) -> str:
    return f"{verdict.case.store}, {verdict.case.engine}"


def _outcomes(judged: Sequence[Verdict]) -> list[str]:
    lanes = dict.fromkeys(map(_lane, judged))
    counts = Counter((_lane(verdict), verdict.outcome.kind) for verdict in judged)
    faults = Counter[str]()
    for verdict in judged:
        faults[_lane(verdict)] += verdict.fired
    rows = [[lane, faults[lane], *(counts[lane, kind] for kind in _KINDS)] for lane in lanes]
    return ["## What the client was told", _table(["store, engine", "faults", *_KINDS], rows)]


def _kinds(judged: Sequence[Verdict]) -> list[str]:
    """Of each kind of fault, how many cases met it, and how many of these were done all the same."""
    lanes = list(dict.fromkeys(map(_lane, judged)))
    met = [verdict for verdict in judged if verdict.fired]
    cases = Counter((verdict.case.fault.label, _lane(verdict)) for verdict in met)
    done = Counter((verdict.case.fault.label, _lane(verdict)) for verdict in met if verdict.outcome.kind == "done")
    labels = sorted({label for label, _ in cases})
    rows = [
        [label, *(f"{cases[label, lane]} ({done[label, lane]})" if cases[label, lane] else "" for lane in lanes)]
        for label in labels
    ]
    return ["## Cases that met a fault (and were done all the same)", _table(["fault", *lanes], rows)]


def _broken(broken: Iterable[Verdict]) -> list[str]:
    return [
        f"- `{verdict.case}`\n  {'; '.join(' '.join(words.split()) for words in verdict.broken)}" for verdict in broken
    ]


def _times(measured: Mapping[tuple[str, str], Mapping[str, str]]) -> list[str]:
    if not measured:
        return []
    names = list(dict.fromkeys(name for row in measured.values() for name in row))
    rows = [[name, *(row.get(name, "") for row in measured.values())] for name in names]
    return ["## Seconds until a fault that lasts is told", _table(["fault", *map(", ".join, measured)], rows)]


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
