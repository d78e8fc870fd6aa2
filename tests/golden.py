"""Makes the files of tests/data itself, which are read for ever: ``python tests/golden.py tests/data`` adds those that
are missing.

``indexed.tar.gz`` holds a bit of everything that an index can tell, in pages that are shorter than usual, and so does
``others.tar.gz``, which Python packed, and keystow made an index of; ``level-2.index`` is that of an archive of 0.1.
"""

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path
from unittest import mock

from indexed import archive

from keystow.archive import Entry, Tree
from keystow.archive.beside import Beside
from keystow.archive.sequential import SequentialBeside


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


def others() -> bytes:
    """What another program packs, in no order and in several formats, in two members of gzip."""
    packed = io.BytesIO()
    with tarfile.open(mode="w", fileobj=packed, errors="surrogateescape") as archive:
        for number, name in enumerate(["", *reversed(CONTENTS)]):
            archive.format = tarfile.PAX_FORMAT if number % 2 else tarfile.GNU_FORMAT
            member = tarfile.TarInfo(f"./{name}")
            member.mtime = -number / 4 if number % 2 else number
            member.type, member.size = (tarfile.REGTYPE, len(CONTENTS[name])) if name else (tarfile.DIRTYPE, 0)
            archive.addfile(member, io.BytesIO(CONTENTS.get(name, b"")))
        link = tarfile.TarInfo("./hard/link")
        link.type, link.linkname = tarfile.LNKTYPE, "./data/noise"
        archive.addfile(link)
    stream = packed.getvalue()
    return b"".join(gzip.compress(part, 6, mtime=0) for part in (stream[:100_000], stream[100_000:]))


def index_of(archive: bytes, kind: type[Beside | SequentialBeside]) -> bytes:
    """The index beside an archive."""
    beside = kind([archive])
    for _, content in beside.members():
        for _ in content:
            pass
    found = beside.finish()
    assert found is not None
    return b"".join(found.pieces)


def main(directory: Path) -> None:
    """Makes what is not there."""
    made_by = {
        "indexed.tar.gz": made,
        "others.tar.gz": others,
        "others.tar.gz.index": lambda: index_of((directory / "others.tar.gz").read_bytes(), SequentialBeside),
        "level-2.index": lambda: index_of((directory / "0.1/objects/level-2.tar.gz").read_bytes(), Beside),
    }
    for name, make in made_by.items():
        if not (directory / name).exists():
            (directory / name).write_bytes(make())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
