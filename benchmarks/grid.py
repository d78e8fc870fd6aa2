"""What the grid of blocks costs, and what of an archive stays the same bytes when a hundredth of its files changes."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from benchmarks.bench import Bench
from benchmarks.markdown import table
from benchmarks.section import Section
from keystow.archive import Entry, Tree, gzip, scan, tar
from keystow.archive.gzip import LEVEL, pieces
from keystow.archive.tar import tar_in_blocks
from keystow.archive.tree import order

_PART = 100
_SEED = 20230926
_LINE = b"one line more\n"

Grid = Callable[[Tree], Iterable[bytes]]


def kept(bench: Bench) -> list[Section]:
    """Our grid beside blocks of 1 MiB wherever they fall: the size, and the share that is kept."""
    sources = {"real files": bench.data.tree, "files that nothing compresses": bench.data.files}
    rows = [row for name, source in sources.items() for row in _rows(name, scan(source))]
    head = ["tree", "blocks", "how many", "bytes", *(f"1 % {what}" for what in _CHANGES)]
    note = (
        "The share of the compressed bytes that stand in the archive before, too, in blocks that are equal; "
        "the files are chosen at random, and what is changed has a line more at its beginning."
    )
    return [Section("what a change leaves as it is", f"{table(head, rows)}\n\n{note}")]


def _rows(name: str, tree: Tree) -> Iterator[list[str]]:
    for grid, made in _GRIDS.items():
        before = _blocks(made(tree))
        known = {block for block, _ in before}
        shares = []
        for change in _CHANGES.values():
            after = _blocks(made(change(tree, random.Random(_SEED))))
            same = sum(length for block, length in after if block in known)
            shares.append(f"{same / _size(after):.0%}")
        yield [name, grid, str(len(before)), str(_size(before)), *shares]


def _blocks(compressed: Iterable[bytes]) -> list[tuple[bytes, int]]:
    return [(hashlib.sha256(block).digest(), len(block)) for block in compressed]


def _size(blocks: Iterable[tuple[bytes, int]]) -> int:
    return sum(length for _, length in blocks)


def _ours(tree: Tree) -> Iterator[bytes]:
    chunks, lengths = tar_in_blocks(tree)
    return (piece.data for piece in pieces(chunks, lengths, level=LEVEL, threads=2))


def _chosen(tree: Tree, chance: random.Random) -> list[Entry]:
    return chance.sample(tree.files, max(1, len(tree.files) // _PART))


def _added(tree: Tree, chance: random.Random) -> Tree:
    copies = {f"{entry.name}.new": entry for entry in _chosen(tree, chance)}
    entries = [*tree.entries, *(replace(entry, name=name) for name, entry in copies.items())]
    ordered = tuple(sorted(entries, key=lambda entry: order(entry.name)))
    return Tree(ordered, lambda entry: tree.read(copies.get(entry.name, entry)))


def _removed(tree: Tree, chance: random.Random) -> Tree:
    gone = set(_chosen(tree, chance))
    return replace(tree, entries=tuple(entry for entry in tree.entries if entry not in gone))


def _changed(tree: Tree, chance: random.Random) -> Tree:
    before = {entry.name: entry for entry in _chosen(tree, chance)}

    def read(entry: Entry) -> Iterator[bytes]:
        return chain([_LINE], tree.read(before[entry.name])) if entry.name in before else tree.read(entry)

    grown = (replace(entry, size=entry.size + len(_LINE)) if entry.name in before else entry for entry in tree.entries)
    return Tree(tuple(grown), read)


_GRIDS: Mapping[str, Grid] = {"by members": _ours, "of 1 MiB": lambda tree: gzip(tar(tree))}
_CHANGES: Mapping[str, Callable[[Tree, random.Random], Tree]] = {
    "added": _added,
    "removed": _removed,
    "changed": _changed,
}
