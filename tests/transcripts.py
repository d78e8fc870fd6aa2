"""A page whose ``console`` blocks are one session in a shell: what was typed is played, and what came is compared.

Strategy: the page is the script, too. A line that begins with ``$ `` is typed, those with ``> `` behind it go on, and
all else in a block is what was printed. What differs each time (ports, the home, moments, signatures) stands on the
page in one fixed form, and is put back before it is typed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.DOTALL | re.MULTILINE)
_HOME = "/home/ada"
_NOON = "2026-03-21"
_END = "\036"
_SECONDS = 120
_DIFFERS = (
    (r"X-Amz-Date=\d{8}T\d{6}Z", "X-Amz-Date=20260321T120000Z"),
    (r"(X-Amz-Credential=[^%&]+%2F)\d{8}(?=%2F)", r"\g<1>20260321"),
    (r"(X-Amz-Signature=)[0-9a-f]{64}", r"\1…"),
    (r"\b3(?:59|60)\d s\b", "3600 s"),
    (r"(?<=retrying in )\d+\.\d s", "0.5 s"),
    (r"(?<= tries )(?:in \d+ s|within a second)(?=\))", "in 3 s"),
    (r"(?<=keystow-probe-)[0-9a-f]{16}", "0123456789abcdef"),
    (r"(?<=\(request )[^)]+", "…"),
    (r"within a minute of the server's", "the same as the server's"),  # where an answer took a while
    (r"(?<=VersionID: ')\d{16}(?=')", "1774094400000000"),
)
"""What is different each time, and what stands for it."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)([ T])\d\d:\d\d:\d\d(?:\.\d+)?")


class Scene(NamedTuple):
    """What a session finds: variables, beside a home of its own, and by what is there how the page has it."""

    environment: Mapping[str, str]
    shown: Mapping[str, str] = {}


def played(page: str, scene: Scene, home: Path) -> str:
    """``page``, with what its commands print now. They run in ``home``, with no variables but the scene's."""
    stands = {**scene.shown, str(home): _HOME}
    typed = [command for block in _BLOCK.findall(page) for command in commands(block)]
    came = iter(_ran([_replaced(command, {new: old for old, new in stands.items()}) for command in typed], scene, home))
    outputs = (_fixed(_replaced(output, stands)) for output in came)
    return _BLOCK.sub(lambda found: "".join(_told(commands(found[1]), outputs)), page)


def commands(block: str) -> list[str]:
    """What is typed in a block.

    >>> commands("$ echo a\\n> b\\na\\nb\\n$ true\\n")
    ['echo a\\nb', 'true']
    """
    found: list[list[str]] = []
    for line, before in zip(block.splitlines(), ["", *block.splitlines()], strict=False):
        if line.startswith("$ "):
            found.append([line[2:]])
        elif line.startswith("> ") and before.startswith(("$ ", "> ")):
            found[-1].append(line[2:])
    return ["\n".join(lines) for lines in found]


def _ran(typed: list[str], scene: Scene, home: Path) -> list[str]:
    """What one shell prints for each command; ``$?`` is the status of the one before."""
    steps = (f"(exit $status)\n{command}\nstatus=$?\nprintf '\\036'\n" for command in typed)
    path = os.pathsep.join([os.path.dirname(sys.executable), str(ROOT / ".venv/peers/bin"), "/usr/bin", "/bin"])
    environment = {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", "TERM": "dumb", "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        ["/bin/sh", "-c", "status=0\n" + "".join(steps)],
        cwd=home,
        env={**environment, **scene.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )
    *outputs, rest = done.stdout.split(_END)
    assert (len(outputs), rest) == (len(typed), ""), done.stdout
    return outputs


def _told(typed: list[str], outputs: Iterator[str]) -> Iterator[str]:
    for command in typed:
        first, *others = command.split("\n")
        output = next(outputs)
        yield f"$ {first}\n" + "".join(f"> {line}\n" for line in others)
        yield output if output.endswith("\n") or not output else f"{output}\n"


def _replaced(text: str, stands: Mapping[str, str]) -> str:
    for old, new in stands.items():
        text = text.replace(old, new)
    return text


def _fixed(output: str) -> str:
    for pattern, stands in _DIFFERS:
        output = re.sub(pattern, stands, output)
    return _MOMENT.sub(_moment, output)


def _moment(found: re.Match[str]) -> str:
    """A moment of today is one of the page's; another one is somebody's choice."""
    day = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    is_now = abs(datetime.now(UTC) - day) < timedelta(days=2)
    return f"{_NOON}{found[2]}12:00:00" if is_now else found[0]
