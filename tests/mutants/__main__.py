"""Mutation testing of the code that checks: ``make mutants``, or ``make mutants MODULES="keys/values.py …"``.

Each mutant of ``making`` is shown to the tests of its folder that run its lines (``running``), with hypothesis drawing
the same few examples each time; the module as it is comes first, and has to survive. The report goes to
``.mutants/report.md``. It fails where fewer than 95 % are killed, or one survives that is not in ``accepted.toml``.
"""

import functools
import multiprocessing
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .judging import Judged, Verdict, accepted, check_unchanged, judge, report
from .making import Mutant, mutants
from .running import ROOT, Watched, load_libraries, watch

MODULES = (
    "keys/values.py", "keys/rules.py", "keys/naming.py", "keys/context.py", "keys/fields.py", "keys/instants.py",
    "keys/numbers.py", "keys/reading.py", "keys/template.py",
    "archive/checked.py", "archive/leftovers.py", "archive/limits.py", "archive/links.py", "archive/partial.py",
    "archive/removal.py", "archive/scan.py", "archive/tree.py", "archive/unpack.py", "archive/untar.py",
    "archive/writing.py",
    "backends/answers.py", "backends/endpoints.py", "backends/texts.py",
    "publisher/checksum.py", "publisher/params.py", "publisher/places.py", "publisher/result.py", "publisher/trust.py",
)  # fmt: skip
"""What is checked here: each decides on what a stranger wrote."""
PROCESSES = 2
REPORT = ROOT / ".mutants" / "report.md"


def package_name(module: str) -> str:
    """What ``keys/values.py`` is imported as, by the map in pyproject.toml."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-dir"]
    path = Path(module)
    (package,) = [name for name, folder in packages.items() if folder == str(path.parent)]
    return f"{package}.{path.stem}"


def main(modules: list[str]) -> int:
    """The exit status."""
    load_libraries()
    chosen = modules or MODULES
    folders = {Path(module).parts[0] for module in chosen}
    watched = {folder: watch(folder, [m for m in chosen if Path(m).parts[0] == folder]) for folder in folders}
    judged = []
    for module in chosen:
        made = mutants(module, (ROOT / module).read_text("utf-8"))
        judged += _judged(module, made, watched[Path(module).parts[0]])
    verdict = Verdict(judged, accepted())
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(report(verdict), "utf-8")
    print(f"{verdict.killed():.1%} killed, {len(verdict.survivors)} survive unlisted: {REPORT.relative_to(ROOT)}")
    return 0 if verdict else 1


def _judged(module: str, made: list[Mutant], watched: Watched) -> list[Judged]:
    """What became of each, once the tests have passed side by side on the module as it is."""
    work = functools.partial(judge, package_name=package_name(module), watched=watched)
    unchanged = Mutant(module, "", range(0), "", "", (ROOT / module).read_text("utf-8"))
    out = []
    # its processes are no daemons, which could not start any themselves, as some tests do
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("fork")) as pool:
        check_unchanged(pool.map(work, [unchanged] * PROCESSES))
        for judged in pool.map(work, made):
            out.append(judged)
            if len(out) % 50 == 0 or len(out) == len(made):
                print(f"{module}: {len(out)} of {len(made)}", flush=True)
    return out


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
