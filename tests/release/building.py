"""The two files of a release, built of what git knows of as it stands, and the same bytes wherever that is done.

setuptools takes the time of the members of a wheel from ``SOURCE_DATE_EPOCH`` and their modes from the files, which the
umask changes. A source distribution has the time at which it was built in it; so it is packed again by
``keystow.archive``, with one time for everything.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from keystow.archive import pack, scan

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


class Flaw(Exception):  # noqa: N818  it is the release's, and no error of this program
    """What keeps the release from going out."""


class Built(NamedTuple):
    """A release."""

    sdist: Path
    wheel: Path


def ran(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """What a program printed. Raises ``Flaw`` with all of it where its exit status is not 0."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        umask=0o022,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        said = [Path(command[0]).name, *(str(word) for word in command[1:])]
        raise Flaw(f"{' '.join(said)}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def tracked() -> list[str]:
    """The names of the files that git knows of."""
    return [name for name in ran("git", "ls-files", "-z").split("\0") if name and (ROOT / name).exists()]


def committed_at() -> str:
    """The time of the last commit, in seconds since 1970."""
    return ran("git", "log", "-1", "--format=%ct").strip()


def export(directory: Path) -> Path:
    """A copy of the files that git knows of, with git's modes: no other file gets into a release."""
    for name in tracked():
        copy = directory / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy)
        copy.chmod(0o755 if os.access(ROOT / name, os.X_OK) else 0o644)
    return directory


def build(work: Path) -> Built:
    """A source distribution of what git knows of, and of that a wheel, both in ``work / "dist"``."""
    made = setuptools("sdist", export(work / "tree"), work / "made")
    sdist = packed_again(made, work)
    return Built(sdist, wheel_of(sdist, work / "unpacked", work / "dist"))


def packed_again(made: Path, work: Path) -> Path:
    """The same source distribution, with the time of the last commit on everything in it."""
    shutil.unpack_archive(made, work / "again", filter="data")
    sdist = work / "dist" / made.name
    sdist.parent.mkdir()
    with sdist.open("wb") as file:
        file.writelines(pack(scan(work / "again"), mtime=int(committed_at())))
    return sdist


def wheel_of(sdist: Path, unpacked: Path, into: Path) -> Path:
    """A wheel as an installer makes it of the source distribution."""
    shutil.unpack_archive(sdist, unpacked, filter="data")
    (directory,) = unpacked.iterdir()
    return setuptools("wheel", directory, into)


def setuptools(kind: str, tree: Path, into: Path) -> Path:
    """A ``"wheel"`` or an ``"sdist"``, built by the setuptools that constraints.txt names."""
    before = set(into.glob("*"))
    ran(
        *(UV, "build", "--quiet", f"--{kind}", "--no-build-isolation", "--no-create-gitignore"),
        *("--python", sys.executable, "--out-dir", into, tree),
        SOURCE_DATE_EPOCH=committed_at(),
    )
    (built,) = set(into.glob("*")) - before
    return built
