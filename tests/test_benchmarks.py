"""The benchmarks can produce their numbers; what the numbers are is not asserted."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_races_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rounds", "1", "--files", "200"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for job in ("expand one key", "match one key", "scan, pack and hash a tree"):
        assert f"| {job} | min | median | ratio to ours |" in done.stdout
    assert "gzip -6" in done.stdout
