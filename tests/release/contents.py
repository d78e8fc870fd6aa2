"""What is in the two files: each file that git knows of in the packages, what pyproject.toml adds, and nothing else."""

import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import PurePosixPath

from .building import ROOT, Built, Flaw, tracked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
NAME = f"{PROJECT['project']['name']}-{PROJECT['project']['version']}"
PACKAGES = {
    "publisher": "keystow",
    "keys": "keystow/keys",
    "archive": "keystow/archive",
    "backends": "keystow/backends",
}
"""The folders at the top, and what they are called in a wheel; the folders below them follow."""
DIST_INFO = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE")
EGG_INFO = ("PKG-INFO", "SOURCES.txt", "dependency_links.txt", "entry_points.txt", "requires.txt", "top_level.txt")
BESIDES = ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "README.md", "SECURITY.md", "pyproject.toml")


def sources() -> set[str]:
    """The names in the repository of what is installed as packages."""
    return {name for name in tracked() if name.partition("/")[0] in PACKAGES}


def shared() -> dict[str, str]:
    """The names of the completions and the manual page in the repository, each with where it is in a wheel."""
    files = PROJECT["tool"]["setuptools"]["data-files"]
    return {
        name: f"{NAME}.data/data/{folder}/{PurePosixPath(name).name}"
        for folder, names in files.items()
        for name in names
    }


def wheel_names() -> dict[str, str]:
    """What a wheel has of the repository's files, each with its name there."""
    modules = {name: "/".join((PACKAGES[name.partition("/")[0]], name.partition("/")[2])) for name in sources()}
    return modules | shared()


def check_wheel(built: Built) -> int:
    """How many files it has. Raises ``Flaw`` for one that is missing, of which nothing is known, or which differs."""
    wanted = wheel_names()
    info = {f"{NAME}.dist-info/{name}" for name in DIST_INFO}
    with zipfile.ZipFile(built.wheel) as wheel:
        _compare("wheel", set(wheel.namelist()), {*wanted.values(), *info})
        changed = [name for name, inside in wanted.items() if wheel.read(inside) != (ROOT / name).read_bytes()]
    if changed:
        raise Flaw(f"in the wheel not as in the repository: {', '.join(changed)}")
    return len(wanted) + len(info)


def check_sdist(built: Built) -> int:
    """How many files it has. Raises ``Flaw`` for one that is missing, or of which nothing is known."""
    wanted = {*sources(), *shared(), *BESIDES, "PKG-INFO", "setup.cfg", *(f"keystow.egg-info/{n}" for n in EGG_INFO)}
    with tarfile.open(built.sdist) as archive:
        names = {member.name for member in archive if not member.isdir()}
    _compare("sdist", names, {f"{NAME}/{name}" for name in wanted})
    return len(wanted)


def _compare(kind: str, found: set[str], wanted: set[str]) -> None:
    if wanted - found:
        raise Flaw(f"missing in the {kind}: {', '.join(sorted(wanted - found))}")
    if found - wanted:
        raise Flaw(f"not to be in the {kind}: {', '.join(sorted(found - wanted))}")


def metadata(built: Built) -> Message:
    """What the wheel says of itself."""
    with zipfile.ZipFile(built.wheel) as wheel:
        return message_from_bytes(wheel.read(f"{NAME}.dist-info/METADATA"))


def extras(built: Built) -> list[str]:
    """The extras, as the wheel has them."""
    return list(metadata(built).get_all("Provides-Extra", []))
