"""``python -m share.picture FILE`` draws a session at a terminal, for README.

Strategy: what is drawn is what happened. Each command is typed in a shell, in a directory with the results of
``examples/job.py``, and what it prints is drawn below it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from xml.etree import ElementTree as ET

SESSION = (
    """keystow publish results "file://$PWD/{jobID}/{date}" --job-id abc123 --at 2026-03-21 > published.yaml""",
    "keystow verify published.yaml",
    "printf X | dd of=abc123/20260321.tar.gz bs=1 seek=1000 conv=notrunc status=none  # one byte",
    'keystow verify published.yaml; echo "exit status $?"',
)

_JOB = Path(__file__).parent.parent / "examples" / "job.py"
_COLUMNS = 104
_CHARACTER, _LINE, _EDGE = 7.8, 19, 18
_STYLE = """
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #b8c7c2; white-space: pre }
.screen { fill: #10201c }
.typed { fill: #f2f7f5 }
.prompt { fill: #3fb68b }
.failed { fill: #ff9d8a }
"""


def played() -> list[tuple[str, str]]:
    """Each command of the session, and what it printed."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([sys.executable, _JOB, Path(directory, "results")], check=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        said = {"env": os.environ | {"PATH": path, "SOURCE_DATE_EPOCH": "0"}, "cwd": directory, "text": True}
        printed = (
            subprocess.run(["/bin/sh", "-c", f"exec 2>&1; {typed}"], stdout=subprocess.PIPE, check=False, **said).stdout
            for typed in SESSION
        )
        return [(typed, text.replace(directory, "/data")) for typed, text in zip(SESSION, printed, strict=True)]


def drawn(session: list[tuple[str, str]]) -> str:
    """The picture."""
    lines = list(_lines(session))
    width, height = round(_COLUMNS * _CHARACTER + 2 * _EDGE), len(lines) * _LINE + 2 * _EDGE
    size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
    image = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
    ET.SubElement(image, "title").text = "A session with keystow: publish, verify, and verify after a byte was changed"
    ET.SubElement(image, "style").text = _STYLE
    ET.SubElement(image, "rect", {"class": "screen", "width": str(width), "height": str(height), "rx": "8"})
    for number, (kind, text) in enumerate(lines):
        place = {"x": str(_EDGE), "y": str(_EDGE + number * _LINE + 14)}
        stretched = {"textLength": f"{len(text) * _CHARACTER:.1f}", "lengthAdjust": "spacingAndGlyphs"}
        line = ET.SubElement(image, "text", {"class": kind, **place, **(stretched if text else {})})
        if kind == "typed" and text.startswith("$ "):
            prompt = ET.SubElement(line, "tspan", {"class": "prompt"})
            prompt.text, prompt.tail = "$ ", text.removeprefix("$ ")
        else:
            line.text = text
    return ET.tostring(image, encoding="unicode") + "\n"


def _lines(session: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What a terminal of so many columns shows, each line with its kind."""
    for number, (typed, printed) in enumerate(session):
        if number:
            yield "shown", ""
        for line in wrap(f"$ {typed}", _COLUMNS, subsequent_indent="    ", break_on_hyphens=False):
            yield "typed", line
        failed = "exit status" in printed
        for text in printed.splitlines():
            for line in wrap(text, _COLUMNS, break_on_hyphens=False):
                yield "failed" if failed else "shown", line


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn(played()), "utf-8")
