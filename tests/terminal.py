"""The command on a terminal: a pseudo-terminal, and what its screen shows in the end."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from commands import TESTS

SECONDS = 60
_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")
WAITS = """
import os, sys, time

share, go, hidden, *arguments = sys.argv[1:]
for name in filter(None, hidden.split(",")):
    sys.modules[name] = None

from keystow import publishing
from keystow.command import main
from reading import while_read

def hook(done, total):
    while done > float(share) * total and not os.path.exists(go):
        time.sleep(0.01)

publishing.scan = while_read(hook)
status = main(arguments)
print(*[name for name, module in sys.modules.items() if name.startswith("rich") and module])
sys.exit(status)
"""
"""The command, which reads a share of its source and then waits for a file; it prints what it loaded of rich's."""


class Shown(NamedTuple):
    """How a command on a terminal ended: its status, its stdout, and what it wrote on the terminal."""

    status: int
    out: str
    written: str

    @property
    def screen(self) -> list[str]:
        """The lines of the screen, which is as wide as it takes."""
        return screen(self.written)


def on_terminal(
    *command: str | os.PathLike[str],
    when: Callable[[str, subprocess.Popen[bytes]], bool] = lambda *_: True,
    columns: int = 120,
    stdin: int = subprocess.DEVNULL,
    **environment: str,
) -> Shown:
    """Runs ``command`` with a terminal as its stderr; ``when`` is told what was written so far until it says True."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    given: Mapping[str, str] = {"TERM": "xterm-256color", "PYTHONPATH": TESTS, **environment}
    env = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS"}} | given
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=slave, env=env) as process:
        os.close(slave)
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        written, done = "", False
        try:
            while piece := os.read(master, 1 << 16):
                written += piece.decode(errors="replace")
                done = done or when(written, process)
        except OSError:
            pass  # a terminal that nobody holds any more
        out = process.stdout.read().decode() if process.stdout else ""
        timer.cancel()
    os.close(master)
    return Shown(process.returncode, out, written)


def waiting(
    share: float, go: str | os.PathLike[str], *arguments: str | os.PathLike[str], hidden: str = ""
) -> list[str]:
    """The command that waits for the file ``go`` once it has read that ``share``, without the modules ``hidden``."""
    return [sys.executable, "-c", WAITS, str(share), *map(os.fspath, [go, hidden, *arguments])]


def interrupt(_: str, process: "subprocess.Popen[bytes]") -> bool:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)
    return True


def screen(written: str) -> list[str]:
    """What stands on a screen on which that was written. Raises ``ValueError`` for what moves it in other ways."""
    lines = [""]
    row = column = end = 0
    for found in _SEQUENCE.finditer(written):
        if found.start() != end:
            raise ValueError(repr(written[end : found.start()]))
        end = found.end()
        number, kind, control, text = found.groups()
        if control == "\r":
            column = 0
        elif control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text:
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + len(text) :]
            column += len(text)
        elif kind == "K":
            lines[row] = "" if number == "2" else lines[row][:column]
        elif kind == "A":
            row -= int(number or 1)
        elif kind != "m":
            raise ValueError(f"{found.group()!r} is none that it should use")
    return [line.rstrip() for line in lines if line.strip()]
