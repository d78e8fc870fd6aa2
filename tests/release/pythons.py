"""The Pythons on this machine, and which of the wanted ones are not."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

WANTED = ("3.11", "3.12", "3.13", "3.14", "3.13t", "3.14t")
"""What a release is tried with; ``t`` is free-threaded."""
_PROGRAM = re.compile(r"python3\.\d+t?")
_QUESTION = """
import json, platform, sys, sysconfig
free = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
major, minor, *_ = sys.version_info
print(json.dumps([f"{major}.{minor}{free}", platform.python_version(), sys.executable, major, minor]))
"""


class Python(NamedTuple):
    """An interpreter."""

    name: str  # "3.14t"
    version: str  # "3.14.2"
    program: str


def folders() -> Iterator[Path]:
    """Where interpreters are: on PATH, where pyenv and uv put theirs, and what ``make pythons`` unpacked."""
    yield from (Path(folder) for folder in os.get_exec_path())
    yield from Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin")
    data = os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share")
    yield from Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path(data) / "uv/python")).glob("*/bin")
    yield from Path(sys.prefix).glob("pythons/*/usr/bin")


def found(places: Iterable[Path]) -> dict[str, Python]:
    """The first of each name among 3.11 and later that answers, the lowest first."""
    pythons: dict[str, tuple[int, Python]] = {}
    for place in places:
        for program in sorted(place.glob("python3.*")):
            if _PROGRAM.fullmatch(program.name) and (answer := _asked(program)):
                minor, python = answer
                if minor >= 11:
                    pythons.setdefault(python.name, (minor, python))
    return {python.name: python for _, python in sorted(pythons.values())}


def _asked(program: Path) -> tuple[int, Python] | None:
    """What it says of itself; nothing for what cannot be started, as a version manager's stand-in."""
    try:
        done = subprocess.run(
            [program, "-I", "-c", _QUESTION], capture_output=True, encoding="utf-8", cwd="/", timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    name, version, executable, _, minor = json.loads(done.stdout)
    return minor, Python(name, version, executable)


def missing(pythons: Iterable[str], wanted: Iterable[str] = WANTED) -> list[str]:
    """Those that are wanted and not there."""
    there = set(pythons)
    return [name for name in wanted if name not in there]
