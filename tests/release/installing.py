"""The wheel in empty environments: with each extra and without, and with the newest of each dependency."""

import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .building import ROOT, UV, Flaw, ran
from .pythons import Python

SMOKE = Path(__file__).with_name("smoke.py")
PYTEST = "pytest"
"""No extra, but what others have beside the wheel: the plugin must not be in their way."""
TESTED = ("fsspec", "isal", "PyYAML", "s3fs", "gcsfs", "adlfs", "distributed", "rich")
_NODE = Path(sys.prefix) / "azurite/node_modules/.bin"


@contextmanager
def environment(python: Python, *requirements: str) -> Iterator[Path]:
    """An empty environment into which these are installed, nothing being built: its folder of programs."""
    with tempfile.TemporaryDirectory(prefix="keystow-release-") as directory:
        programs = Path(directory) / "bin"
        ran(UV, "venv", "--quiet", "--python", python.program, directory)
        install = ("pip", "install", "--quiet", "--only-binary", ":all:", "--python", programs / "python")
        ran(UV, *install, *requirements)
        yield programs


def smoke(python: Python, wheel: Path, extra: str, version: str) -> str:
    """What a job said of this Python, where there is nothing but the wheel and one extra (``""``: none)."""
    requirements = [str(wheel), PYTEST] if extra == PYTEST else [f"{wheel}[{extra}]" if extra else str(wheel)]
    with environment(python, *requirements) as programs, tempfile.TemporaryDirectory() as empty:
        return ran(programs / "python", "-I", SMOKE, version, extra, cwd=Path(empty), **_bare()).strip()


def newest(python: Python, wheel: Path) -> str:
    """The tests of ``make lowest`` with the newest of each dependency: pytest's last line, and what was installed.

    Their servers are those of this environment, as there.
    """
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["lowest"]
    with environment(python, f"{wheel}[all,testing]", *groups) as programs:
        path = os.pathsep.join([str(Path(sys.prefix) / "bin"), str(_NODE), os.environ["PATH"]])
        chosen = ("tests/lowest", "--ignore", "tests/lowest/test_pins.py")
        said = ran(programs / "pytest", "-q", *chosen, PATH=path)
        versions = ran(UV, "pip", "freeze", "--python", programs / "python").splitlines()
    names = {name.lower() for name in TESTED}
    return f"{said.splitlines()[-1]} with {', '.join(line for line in versions if line.partition('==')[0] in names)}"


def tried(python: Python, wheel: Path, extras: list[str], version: str) -> tuple[list[str], list[str]]:
    """The extras with which a job was done, and what kept it from being done with the others."""
    done, flaws = [], []
    for extra in ("", *extras, PYTEST):
        try:
            smoke(python, wheel, extra, version)
        except Flaw as flaw:
            flaws.append(f"{python.name} with {extra or 'no extra'}: {flaw}")
        else:
            done.append(extra or "no extra")
    return done, flaws


def _bare() -> dict[str, str]:
    """Nothing of whoever runs this that a job would heed, and no look beyond this machine for a role."""
    settings = {name: "" for name in os.environ if name.startswith(("AWS_", "KEYSTOW_", "BACALHAU_"))}
    return settings | {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": "", "TERM": "dumb"}
