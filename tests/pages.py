"""The pages for people, and how their blocks of code are carried out."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if path.parent.name != "sessions"
}


def blocks(text, language):
    return [code for found, code in all_blocks(text) if found == language]


def all_blocks(text):
    """Each block's language and what stands in it, in order."""
    return re.findall(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def carry_out(command):
    """What ``sh`` prints, which has to end well."""
    done = subprocess.run(["/bin/sh", "-euxc", command], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def type_in(session):
    """Types what stands behind each prompt, and compares what the terminal shows; ``…`` stands for anything."""
    for typed, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
        done = subprocess.run(
            ["/bin/sh", "-c", typed],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        pattern = ".*".join(map(re.escape, shown.split("…")))
        assert re.fullmatch(pattern, done.stdout, re.DOTALL), f"$ {typed}\n{done.stdout}"


def run_program(program):
    """Runs it; what is said behind a ``print`` is what that prints."""
    Path("program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    printed = iter(done.stdout.splitlines())
    for said in re.findall(r"print\(.*\)  # (.*)", program):
        assert said in printed, (said, done.stdout)


def parses(program):
    ast.parse(program)
