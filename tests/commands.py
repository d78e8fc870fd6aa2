"""The command as its users start it: another process, its exit status and what it printed."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_TOLD = re.compile(
    r"keystow: (?:retrying in \d+\.\d s: .* \([2-4] of 4\)|what goes along looks like secrets: .*|note: .*)$"
)
KEYSTOW = (sys.executable, "-m", "keystow")
UNHURRIED = (
    sys.executable,
    "-c",
    (
        "import sys; from keystow.backends.s3 import upload; upload._INTERRUPTED_SECONDS = 60; "
        "from keystow.command import main; sys.exit(main())"
    ),
)
"""The same, but for an interrupt, after which S3 may take its time to forget the parts: that it does so can be seen."""
TESTS = os.path.dirname(__file__)
"""Where the modules of these tests are, for ``PYTHONPATH``."""


class Ran(NamedTuple):
    """How a process ended."""

    status: int
    out: str
    err: str


def run(
    *command: str | Path,
    stdin: str = "",
    cwd: Path | None = None,
    **environment: str,
) -> Ran:
    """Runs ``command``, with ``environment`` added to this process's, to its end."""
    done = subprocess.run(
        [os.fspath(part) for part in command],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=cwd,
        env=os.environ | environment,
        timeout=240,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def keystow(
    *arguments: str | Path,
    stdin: str = "",
    cwd: Path | None = None,
    **environment: str,
) -> Ran:
    """Runs ``keystow`` with ``arguments``."""
    return run(*KEYSTOW, *arguments, stdin=stdin, cwd=cwd, **environment)


def complaint(ran: Ran, status: int) -> str:
    """The one line with which a call that failed said so, and nothing else but what was told before."""
    assert "Traceback" not in ran.err
    assert ran.status == status, ran
    assert ran.out == ""
    assert ran.err.endswith("\n")
    lines = [line for line in ran.err.splitlines() if not _TOLD.match(line)]
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("keystow: ")
    return lines[0].removeprefix("keystow: ")
