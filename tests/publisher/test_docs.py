"""The examples in the docstrings run, and say what they say."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import keystow

MODULES = [found.name for found in pkgutil.walk_packages(keystow.__path__, "keystow.") if "__main__" not in found.name]
WITH_EXAMPLES = {"keystow.keys.naming", "keystow.archive.tree", "keystow.backends.sending.parts", "keystow.spec"}


@pytest.mark.parametrize("name", ["keystow", *MODULES])
def test_the_examples_of(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted or name not in WITH_EXAMPLES


def test_every_module_is_found():
    assert set(MODULES) >= WITH_EXAMPLES | {"keystow.command", "keystow.backends.s3.store"}


def test_the_page_on_security_names_tests_that_there_are():
    tests = Path(__file__).parent.parent
    files = {path.stem: path.read_text("utf-8") for path in tests.rglob("test_*.py")}
    defined = set(re.findall(r"def (test_\w+)\(", "".join(files.values()))) | set(files)
    named = set(re.findall(r"`(test_\w+)`", (tests.parent / "SECURITY.md").read_text("utf-8")))
    assert len(named) > 50
    assert named <= defined
