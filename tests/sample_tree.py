"""A small tree with a bit of everything: what an archive is made of whose members are read."""

import os

from keystow.archive import Entry, Tree
from keystow.archive.tree import order

PLOT = bytes(os.urandom(1 << 19)) * 7  # some MB in several blocks
FILES = {
    "a/first.csv": b"a,b\n1,2\n",
    "a/plots/large.png": PLOT,
    "a/plots/small.png": b"small",
    "empty": b"",
    "score.txt": b"42",
}


def tree_of(files, *others):
    tree = Tree.of(files, mtime=1_700_000_000)
    entries = sorted((*tree.entries, *others), key=lambda entry: order(entry.name))
    return Tree(tuple(entries), tree.read)


TREE = tree_of(
    FILES,
    Entry("hard", "hardlink", target="a/plots/small.png"),
    Entry("soft", "symlink", target="a/first.csv"),
)
