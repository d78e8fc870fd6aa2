"""Builds a release into ``dist``, looks at it from all sides, and says what keeps it from going out.

The two files, twice the same bytes; what is in them, and what they say of themselves; what the changelog will say; then
the wheel in empty environments of every Python on this machine. A Python that is wanted and not here is counted, and a
flaw where the classifiers name it. What a Python that they do not name cannot do is told, and is no flaw.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .building import ROOT, Built, Flaw, build, ran, setuptools
from .contents import PROJECT, check_sdist, check_wheel, extras, metadata
from .installing import newest, tried
from .pythons import WANTED, Python, folders, found, missing

DIST = ROOT / "dist"
TOOLS = Path(sys.prefix) / "release" / "bin"
VERSION = PROJECT["project"]["version"]
_CLASSIFIER = "Programming Language :: Python :: "
CLAIMED = [
    named.removeprefix(_CLASSIFIER)
    for named in PROJECT["project"]["classifiers"]
    if named.startswith(f"{_CLASSIFIER}3.")
]


def main() -> int:
    """The exit status."""
    with tempfile.TemporaryDirectory(prefix="keystow-release-") as directory:
        try:
            built = twice(Path(directory))
        except Flaw as flaw:
            return end([str(flaw)])
    flaws = [
        *step("built", lambda: f"{tree()}, twice the same bytes: {', '.join(path.name for path in built)}"),
        *step("wheel", lambda: f"{check_wheel(built)} files, those of the repository and no others"),
        *step("sdist", lambda: f"{check_sdist(built)} files, those of the repository and no others"),
        *step("metadata", lambda: described(built)),
        *step("changelog", changelog),
    ]
    pythons = found(folders())
    for python in pythons.values():
        cannot = on(python, built)
        flaws += cannot if python.name in CLAIMED else []
    absent = missing(pythons)
    say(
        "Pythons",
        f"{len(pythons)} tried; of {len(WANTED)} wanted {len(absent)} not here: {', '.join(absent) or 'none'}",
    )
    return end([*flaws, *broken_claims(absent)])


def twice(work: Path) -> Built:
    """Builds in two places, and a wheel of the tree itself, and keeps the first in ``dist``."""
    first, second = build(work / "one"), build(work / "two" / "further away")
    direct = setuptools("wheel", work / "one" / "tree", work / "direct")
    for one, other in [*zip(first, second, strict=True), (first.wheel, direct)]:
        if one.read_bytes() != other.read_bytes():
            raise Flaw(f"{one.name} is not the same bytes when it is built again")
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.copytree(first.wheel.parent, DIST)
    return Built(DIST / first.sdist.name, DIST / first.wheel.name)


def tree() -> str:
    """Which commit was built, and whether that is all."""
    commit = ran("git", "rev-parse", "--short", "HEAD").strip()
    changed = len(ran("git", "status", "--porcelain").splitlines())
    return f"{commit} and {changed} changes that are not committed" if changed else commit


def described(built: Built) -> str:
    """What the files say of themselves, once twine and check-wheel-contents find nothing wrong with it."""
    ran(TOOLS / "twine", "check", "--strict", *built)
    ran(TOOLS / "check-wheel-contents", built.wheel)
    said = metadata(built)
    if said["Version"] != VERSION:
        raise Flaw(f"the wheel's version is {said['Version']}")
    return f"{said['Name']} {said['Version']} for Python {said['Requires-Python']}, extras {', '.join(extras(built))}"


def changelog() -> str:
    """What the fragments will be in it. Raises ``Flaw`` for one of an unknown type."""
    return ran(Path(sys.prefix) / "bin" / "towncrier", "build", "--draft", "--version", VERSION).partition("\n\n")[2]


def on(python: Python, built: Built) -> list[str]:
    """What cannot be done with a Python."""
    done, flaws = tried(python, built.wheel, extras(built), VERSION)
    say(f"Python {python.name}", f"{python.version}, a job with {', '.join(done) or 'nothing'}")
    if flaws:
        say("", f"and not with {len(flaws)} more")
    return flaws + step("", lambda: newest(python, built.wheel))


def broken_claims(absent: list[str]) -> list[str]:
    """The Pythons that the classifiers name, among those that are not here."""
    return [
        f"the classifiers name Python {name}, which is not here: install it (make pythons gets 3.14)"
        for name in absent
        if name in CLAIMED
    ]


def step(of: str, look: Callable[[], str]) -> list[str]:
    """Says what was found, or that it is a flaw, which is given."""
    try:
        say(of, look())
    except Flaw as flaw:
        say(of, str(flaw).splitlines()[0])
        return [str(flaw)]
    return []


def say(of: str, what: str) -> None:
    print(f"{of:12} {what}", flush=True)


def end(flaws: list[str]) -> int:
    """The exit status, once the flaws are told."""
    print("\n".join(["", *flaws, f"{len(flaws)} flaws: nothing to go out" if flaws else "ready to go out: dist"]))
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
