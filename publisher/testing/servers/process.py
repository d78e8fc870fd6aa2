"""One server process: its ports, its log, its directory, and how it is started, watched and ended.

A server listens on the loopback address only, writes only below the directory handed in, and sees none of the
machine's environment but ``PATH``. It is ready when it has done its work once, not when its port is open; a start
that fails raises with the end of the server's log, and leaves no process behind. Nor does a test process that is
killed: beside each server a shell reads from a pipe that only the test process holds, and ends the server with it.
"""

import atexit
import contextlib
import errno
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

LOOPBACK = "127.0.0.1"

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Requests that no proxy of the machine's sees."""

_KEEPER = ("/bin/sh", "-c", 'read -r _; kill -s KILL -- "-$1"', "keeper")
"""Waits for the end of its input and then ends a process group, the id of which is its argument."""

_reserved: dict[int, int] = {}
"""The file descriptors that keep ports from other processes."""


class Server(ABC):
    """One process that serves on loopback, on as many ports as ``PORTS`` has names.

    It starts when it is made, ends with ``stop()`` or the ``with`` block, and in any case with the interpreter, however
    that ends.
    """

    PORTS: ClassVar[tuple[str, ...]] = ("http",)
    """What its ports are for; the first is the one that clients use."""
    START_SECONDS: ClassVar[float] = 60.0
    STOP_SECONDS: ClassVar[float] = 1.0

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / f"{self._name()}.log"
        self.ports = dict(zip(self.PORTS, free_ports(len(self.PORTS)), strict=True))
        weakref.finalize(self, _give_back, list(self.ports.values()))
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._prepare()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @classmethod
    @abstractmethod
    def installed(cls) -> bool:
        """Whether all that it takes to start one is on this machine."""

    @property
    def port(self) -> int:
        """The port that clients use."""
        return self.ports[self.PORTS[0]]

    @property
    def endpoint(self) -> str:
        """Where the server answers HTTP."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id, for tests that pause or watch the server."""
        if self._process is None:
            raise RuntimeError(f"this {self._name()} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it does its work; ``RuntimeError`` with the log's tail if it does not."""
        if self._process is not None:
            raise RuntimeError(f"this {self._name()} is already running")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.directory,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.directory), **self._settings()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._keeper = subprocess.Popen(
            [*_KEEPER, str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what a terminal sends to the tests does not reach it
        )
        atexit.register(self.kill)
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the process to end, and end it after a bound; harmless when it is not running."""
        self._end(self.STOP_SECONDS)

    def kill(self) -> None:
        """End the process at once, as a crash would; harmless when it is not running."""
        self._end(0)

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same ports; what was held in memory is gone."""
        self.stop()
        self.start()

    def log_tail(self, lines: int = 40) -> str:
        """The end of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _end(self, seconds: float) -> None:
        """End the process and what it started; it is asked first when there are seconds to wait."""
        process, self._process = self._process, None
        if process is None:
            return
        self._dismiss_keeper()
        children = _descendants(process.pid)
        if seconds:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        process.kill()
        process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._clean_up()
        atexit.unregister(self.kill)

    def _dismiss_keeper(self) -> None:
        """Before the server has ended, as its process id may be another's afterwards."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            with keeper:
                keeper.kill()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.START_SECONDS
        refusal: Exception | None = None
        while time.monotonic() < deadline and process.poll() is None:
            try:
                return self._probe()
            except OSError as error:
                refusal = error
            time.sleep(0.02)
        ending = "did not answer" if process.poll() is None else f"ended with {process.returncode}"
        raise RuntimeError(f"{self._name()} {ending} (last: {refusal}); {self.log} ends with:\n{self.log_tail()}")

    @classmethod
    def _name(cls) -> str:
        return cls.__name__.lower()

    # -- what a server adds

    def _prepare(self) -> None:  # noqa: B027
        """Whatever the process needs before it starts for the first time."""

    def _settings(self) -> Mapping[str, str]:
        """Variables for the process, which sees none of the machine's but PATH."""
        return {}

    @abstractmethod
    def _command(self) -> list[str]:
        """The program and its arguments; ``RuntimeError`` where the program is not installed."""

    @abstractmethod
    def _probe(self) -> None:
        """Raise an ``OSError`` unless the server does its work."""

    def _clean_up(self) -> None:  # noqa: B027
        """Remove what the process leaves behind outside its directory."""


def free_ports(count: int) -> list[int]:
    """Ports that are free now, outside of the range that the kernel hands to outgoing connections if there are others.

    So no connection takes one while the server is starting, or is stopped before a restart; and on Linux no other
    process is given one by this function as long as this process lives, or the server that has it.
    """
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        candidates = _candidates()
        while len(ports) < count:
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((LOOPBACK, random.choice(candidates)))
                _reserve(probe.getsockname()[1])
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                ports.append(probe.getsockname()[1])
    return ports


def _candidates() -> list[int]:
    try:
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        first, last = 32_768, 65_535
    every = range(10_000, 65_536)
    return [port for port in every if not first <= port <= last] or list(every)


def _reserve(port: int) -> None:
    """Take an abstract socket's name for the port; ``EADDRINUSE`` if another process has it."""
    if sys.platform == "linux":
        with socket.socket(socket.AF_UNIX) as name:
            name.bind(f"\0keystow-port-{port}")
            _reserved[port] = name.detach()


def _give_back(ports: list[int]) -> None:
    for port in ports:
        descriptor = _reserved.pop(port, None)
        if descriptor is not None:
            os.close(descriptor)


def find_program(name: str, *elsewhere: str) -> str | None:
    """The path of a program: beside Python, in another usual place, or on PATH."""
    usual = [str(Path(sys.executable).with_name(name)), *elsewhere]
    return next((found for path in (*usual, name) if (found := shutil.which(path))), None)


def program(name: str, package: str, *elsewhere: str) -> str:
    """The path of a program; ``RuntimeError`` that says how to install it where it is missing."""
    found = find_program(name, *elsewhere)
    if found is None:
        raise RuntimeError(f"{name} is not installed: {package}")
    return found


def has_modules(*names: str) -> bool:
    """Whether all of these can be imported; of a dotted name the packages above it are."""
    try:
        return all(importlib.util.find_spec(name) for name in names)
    except ModuleNotFoundError:
        return False


def request(method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> bytes:
    """What the server answers; an ``OSError`` where it does not, or refuses."""
    asked = urllib.request.Request(url, body, dict(headers or {}), method=method)
    with _DIRECT.open(asked, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def unique(kind: str) -> str:
    """A name that nobody else has, and that every store takes for a bucket."""
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def _descendants(pid: int) -> list[int]:
    """The ids of the processes that this one started, and of those that they started."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [further for child in children for further in _descendants(child)]
