"""The example project works for a user who copies it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "scheduler"
KINDS = ["memory", "file", "s3", "gcs", "azure"]


@pytest.mark.server
def test_the_scheduler_runs_on_every_kind_of_store(tmp_path):
    project = shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.findall(r"::(\w+)(?:\[(\w+)\])? PASSED", done.stdout)
    tests = re.findall(
        r"^(@pytest.mark.keystow_stores\n)?def (test_\w+)", (EXAMPLE / "test_scheduler.py").read_text(), re.MULTILINE
    )
    assert sorted(passed) == sorted((name, kind) for marked, name in tests for kind in (KINDS if marked else [""]))
    assert len(passed) > len(tests)
