"""What ``make lowest`` installs is what pyproject.toml admits as the lowest, and all is installed by its hash."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LISTS = ["constraints.txt", "tests/lowest/pins.txt", "benchmarks/peers.txt", "tests/release/tools.txt"]
PIN = re.compile(r"^([a-z0-9_.-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE)


def pins(file):
    return {name: pinned for name, pinned, _ in PIN.findall((ROOT / file).read_text("utf-8"))}


def numbers(text):
    """The numbers of a version, without the zeros at its end."""
    return re.sub(r"(\.0)+$", "", text)


def test_the_lowest_versions_are_those_of_the_project():
    wanted = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    lowest = dict(one.split(">=") for one in wanted if not one.startswith("keystow["))
    assert len(lowest) > 5
    pinned = pins("tests/lowest/pins.txt")
    assert {name: numbers(pinned[name.lower()]) for name in lowest} == {n: numbers(v) for n, v in lowest.items()}


def test_these_tests_run_with_one_of_the_lists():
    installed = {name: version(name) for name in ("fsspec", "isal", "s3fs", "pyyaml")}
    assert installed in [{name: pins(file)[name] for name in installed} for file in LISTS[:2]]


@pytest.mark.parametrize("file", LISTS)
def test_a_list_holds_pins_with_hashes_and_nothing_else(file):
    text = (ROOT / file).read_text("utf-8")
    assert PIN.search(text)
    assert PIN.sub("", text) == ""
