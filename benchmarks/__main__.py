"""``make bench``: ours beside its peers, on this machine, as ratios."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks import (
    chart,
    clouds,
    curve,
    distance,
    fetching,
    grid,
    growth,
    keys,
    lines,
    loop,
    many,
    members,
    memory,
    one_stream,
    packing,
    publishing,
    raw,
    report,
    slowdown,
    startup,
)
from benchmarks.bench import Bench
from benchmarks.data import Data, Sizes
from benchmarks.section import Section
from benchmarks.workplace import BEFORE, Workplace
from keystow.testing.servers import SeaweedFS

BENCHMARKS: dict[str, Callable[[Bench], list[Section]]] = {
    "archive": publishing.archive,
    "files": publishing.files,
    "large": publishing.large,
    "fetch-archive": fetching.archive,
    "fetch-files": fetching.files,
    "fetch-stream": one_stream.unpacked,
    "members": members.parts,
    "pack": packing.tree,
    "incompressible": packing.incompressible,
    "grid": grid.kept,
    "loop": loop.small,
    "many": many.workers,
    "many-killed": many.killed,
    "many-memory": many.memory,
    "key": keys.one,
    "keys": keys.many,
    "start": startup.start,
    "memory": memory.peak,
    "growth": growth.files,
    "distance": distance.races,
    "distance-plain": raw.plain,
    "distance-small": distance.small,
    "distance-link": distance.link,
    "distance-slowdown": slowdown.files,
    "distance-curve": curve.drawn,
    "distance-memory": memory.far,
    "distance-clouds": clouds.files,
}
HERE = Path(__file__).parent


def main() -> None:
    """Runs every benchmark, prints its tables, and writes the report and the charts."""
    options = _options()
    sizes = replace(Sizes(), tree_files=options.files, most_bytes=options.most_bytes).divided(options.scale)
    sections = []
    with tempfile.TemporaryDirectory(prefix="keystow-bench-") as temporary:
        directory = Path(temporary)
        with SeaweedFS(directory / "seaweedfs") as server:
            place = Workplace(directory / "work", server)
            bench = Bench(options.rounds, options.warm_up, sizes, Data(place.directory, sizes), place)
            for name in options.only or BENCHMARKS:
                started = time.monotonic()
                made = BENCHMARKS[name](bench)
                for section in made:
                    print(f"{report.heading(section)}\n\n{section.body}\n", flush=True)
                print(f"({name}: {time.monotonic() - started:.0f} s)\n", flush=True)
                sections += made
    print(report.aims(sections))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "RESULTS.md").write_text(report.written(sections, _command(options)), encoding="utf-8")
        chart.draw(sections, options.output / "results.svg")
        lines.draw(sections, options.output / "distance.svg")


def _options() -> argparse.Namespace:
    options = _parser().parse_args()
    whole = not options.only and options.scale == 1 and options.files == Sizes.tree_files
    if options.output is None and whole:
        options.output = HERE
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant that count (5)")
    parser.add_argument("--warm-up", type=int, default=1, help="rounds before those that count (1)")
    parser.add_argument("--files", type=int, default=Sizes.tree_files, help="files in the tree (6000)")
    parser.add_argument("--scale", type=int, default=1, help="divide all sizes by this (1)")
    parser.add_argument(
        "--most-bytes",
        type=int,
        default=Sizes.most_bytes,
        help="a further size of distance-memory, which may take long: 10000000000 (none)",
    )
    parser.add_argument(
        "--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=f"some of {', '.join(BENCHMARKS)}"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="where RESULTS.md and the charts go; only a run in full size of everything writes them unasked",
    )
    return parser


def _command(options: argparse.Namespace) -> str:
    """What makes the same results again: the options that are not as they stand by default."""
    standing = vars(_parser().parse_args([]))
    given = {name: value for name, value in vars(options).items() if value != standing[name] and name != "output"}
    words = [
        f"--{name.replace('_', '-')} {' '.join(value) if name == 'only' else value}" for name, value in given.items()
    ]
    command = " ".join(["python -m benchmarks", *words]) if words else "make bench"
    return f"BEFORE=CHECKOUT {command}" if os.environ.get(BEFORE) else command


if __name__ == "__main__":
    main()
