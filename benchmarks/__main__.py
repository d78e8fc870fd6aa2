"""``make bench``: ours beside its peers, on this machine, as ratios."""

import argparse
import tempfile
from pathlib import Path

from benchmarks import keys, packing
from benchmarks.data import real_tree


def main() -> None:
    """Runs every race and prints its table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant that count")
    parser.add_argument("--files", type=int, default=6_000, help="files in the tree")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tree = real_tree(Path(directory) / "tree", options.files)
        files = [path.stat().st_size for path in tree.rglob("*") if path.is_file()]
        print(f"tree: {len(files)} files, {sum(files) / 1e6:.0f} MB; {options.rounds} interleaved rounds\n")
        for race in [*keys.races(), *packing.races(tree)]:
            print(race.run(options.rounds).table(), end="\n\n", flush=True)
        print(packing.sizes(tree))


if __name__ == "__main__":
    main()
