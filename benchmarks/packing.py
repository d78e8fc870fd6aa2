"""Scanning, packing and hashing a tree: whole processes, from start to exit."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.race import Race, whole_process

OURS = """
import hashlib, sys
from keystow.archive import pack, scan
digest = hashlib.sha256()
for chunk in pack(scan(sys.argv[1])):
    digest.update(chunk)
print(digest.hexdigest())
"""
TARFILE = """
import hashlib, sys, tarfile
class Sink:
    digest = hashlib.sha256()
    def write(self, data):
        self.digest.update(data)
        return len(data)
with tarfile.open(fileobj=Sink(), mode="w:gz") as archive:
    archive.add(sys.argv[1], arcname=".")
print(Sink.digest.hexdigest())
"""
SIZE = """
import sys
from keystow.archive import pack, scan
print(sum(map(len, pack(scan(sys.argv[1])))))
"""


def _python(program: str, tree: Path) -> str:
    return f"{sys.executable} -c '{program}' {tree}"


def races(tree: Path) -> list[Race]:
    """One race: ours against the archivers that people use."""
    commands = {
        "keystow": _python(OURS, tree),
        "tar, igzip -2 -T 2": f"tar c -C {tree} . | igzip -2 -T 2 | sha256sum",
        "tar, pigz -p 2": f"tar c -C {tree} . | pigz -p 2 | sha256sum",
        "tar, gzip": f"tar c -C {tree} . | gzip | sha256sum",
        "tarfile w:gz": _python(TARFILE, tree),
    }
    contestants: dict[str, Callable[[], float]] = {
        name: partial(whole_process, command, tree) for name, command in commands.items()
    }
    return [Race("scan, pack and hash a tree", contestants)]


def sizes(tree: Path) -> str:
    """How large the archive is, in units of what ``gzip -6`` makes."""

    def measured(command: str) -> int:
        return int(subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True).stdout)

    ours, theirs = measured(_python(SIZE, tree)), measured(f"tar c -C {tree} . | gzip -6 | wc -c")
    return f"archive: {ours} bytes, gzip -6: {theirs} bytes, ratio {ours / theirs:.3f}"
