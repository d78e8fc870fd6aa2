"""Makes tests/data/indexed.tar.gz, which is read for ever: run it as ``python tests/golden.py FILE``, once.

The archive holds a bit of everything that an index can tell, in pages that are shorter than usual.
"""

import hashlib
import sys
from pathlib import Path
from unittest import mock

from indexed import archive

from keystow.archive import Entry, Tree


def noise(name: str, size: int) -> bytes:
    """Bytes that follow from a name, and do not shrink."""
    made = b""
    while len(made) < size:
        made += hashlib.sha256(b"%s %d" % (name.encode("utf-8", "surrogateescape"), len(made))).digest()
    return made[:size]


CONTENTS = {
    "a": b"hello\n",
    "data/empty": b"",
    "data/noise": noise("noise", 70_000),
    "data/text": b"the same again, " * 6000,
    "deep/" * 30 + "name": b"a name of 154 bytes",
    "run": b"#!/bin/sh\necho run\n",
    "undecodable-\udcff\udc80": b"bytes",
    "x" * 180: b"a name that takes a pax header",
    "z/spaces and\nlines ": noise("lines", 511),
    "z/ä/文件": "ö".encode(),
    **{f"many/{number:03}": noise(f"many {number}", number * 7) for number in range(60)},
}
TIMES = {"a": 0, "run": 1_000_000_000, "data/text": 0o77777777777 + 1, "data/noise": -1}
LINKS = (
    Entry("link", "symlink", mtime=5, target="data/text"),
    Entry("links/far", "symlink", target="../" + "x" * 180),
    Entry("links/ä", "symlink", target="../z/ä"),
    Entry("many/hard", "hardlink", target="data/noise"),
)


def tree() -> Tree:
    """The tree that is in it."""
    entries = {entry.name: entry for entry in (*Tree.of(CONTENTS).entries, Entry("links", "directory"), *LINKS)}
    for name, mtime in TIMES.items():
        entries[name] = Entry(name, "file", len(CONTENTS[name]), mtime, name == "run")
    ordered = sorted(entries.values(), key=lambda entry: entry.name.encode("utf-8", "surrogateescape").split(b"/"))
    return Tree(tuple(ordered), lambda entry: iter([CONTENTS[entry.name]]))


def made() -> bytes:
    """The archive, but for what another release of the compression library may make of it."""
    with mock.patch.multiple("keystow.archive.indexing", _MOST_MEMBERS=20, _MOST_BLOCKS=5):
        return archive(tree(), sizes=[20_000, 512, 10_000, 40_000, 9_000, 9_001] * 9)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(made())
