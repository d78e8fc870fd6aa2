"""The fault bench: ``make faults``, or ``make faults SEED=7 CASES=100 STORE=s3 ENGINE=obstore``.

Each store with each engine plays the cases of ``CASES`` seeds, from ``SEED`` on; two at a time. One case again is
``make faults LINE="seed=… store=… engine=… mode=… fault=…"``. ``TIMES=1`` measures how long faults that last are
borne. ``.faults/report.md`` counts what happened, ``.faults/cases.txt`` has each case; the exit status is 1 when a
promise was broken.
"""

import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .case import LANES, Case, drawn_case
from .lane import Lane, Verdict
from .report import report
from .times import times

REPORT = Path(__file__).parents[2] / ".faults" / "report.md"
_AT_ONCE = 2
_GIVEN = {"seed", "cases", "store", "engine", "times"}


def main(words: list[str]) -> int:
    """The exit status."""
    given = dict(word.partition("=")[::2] for word in words)
    if "fault" in given:
        verdict = _replayed(Case.parse(" ".join(words)))
        print(f"{verdict.outcome}\n" + "\n".join(verdict.broken or ["no promise was broken"]))
        return 1 if verdict.broken else 0
    if unknown := given.keys() - _GIVEN:
        print(f"there is no {unknown.pop()!r}: give {', '.join(sorted(_GIVEN))}, or a whole line to replay")
        return 2
    lanes = [
        lane for lane in LANES if given.get("store", lane[0]) == lane[0] and given.get("engine", lane[1]) == lane[1]
    ]
    if not lanes:
        print(f"there is no such store and engine: give one of {', '.join(map(' and '.join, LANES))}")
        return 2
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        judged = [verdict for lane in pool.map(lambda lane: _judged(*lane, given), lanes) for verdict in lane]
        measured = dict(zip(lanes, pool.map(lambda lane: times(*lane), lanes), strict=True)) if "times" in given else {}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(report(judged, measured), "utf-8")
    REPORT.with_name("cases.txt").write_text("".join(f"{verdict}\n" for verdict in judged), "utf-8")
    broken = sum(bool(verdict.broken) for verdict in judged)
    print(f"{len(judged)} cases, {broken} broke a promise: {REPORT.relative_to(Path.cwd())}")
    return 1 if broken else 0


def _judged(store: str, engine: str, given: Mapping[str, str]) -> list[Verdict]:
    first = int(given.get("seed", 1))
    judged = []
    with tempfile.TemporaryDirectory() as directory, Lane(store, engine, Path(directory)) as lane:
        for seed in range(first, first + int(given.get("cases", 100))):
            judged.append(verdict := lane.run(drawn_case(seed, store, engine)))
            for broken in verdict.broken:
                print(f"{verdict.case}\n    {broken}", flush=True)
    return judged


def _replayed(case: Case) -> Verdict:
    with tempfile.TemporaryDirectory() as directory, Lane(case.store, case.engine, Path(directory)) as lane:
        return lane.run(case)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
