"""The example project works for a user who runs it in a clone, and for one who copies it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "scheduler"
KINDS = ["memory", "file", "s3", "gcs", "azure"]


def pytest_in(project, *options):
    """As the program, which puts no directory on the path, where ``python -m pytest`` would put this one."""
    done = subprocess.run(
        [Path(sys.executable).with_name("pytest"), *options, "-p", "no:cacheprovider"],
        cwd=project,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "configfile: pyproject.toml" in done.stdout
    return done


@pytest.mark.server
def test_the_scheduler_runs_on_every_kind_of_store():
    done = pytest_in(EXAMPLE, "-v")
    passed = re.findall(r"::(\w+)(?:\[(\w+)\])? PASSED", done.stdout)
    tests = re.findall(
        r"^(@pytest.mark.keystow_stores\n)?def (test_\w+)", (EXAMPLE / "test_scheduler.py").read_text(), re.MULTILINE
    )
    assert sorted(passed) == sorted((name, kind) for marked, name in tests for kind in (KINDS if marked else [""]))
    assert len(passed) > len(tests)


def test_it_runs_where_it_was_copied_to(tmp_path):
    project = shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    assert "2 passed" in pytest_in(project, "-k", "lost_answer or stays_away").stdout
