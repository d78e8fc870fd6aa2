"""Any server of this machine at a distance: a process between it and its clients that lets every byte take its time.

It is a process of its own, so that what it does is not done by the interpreter that is tested or measured. A shell has
it by ``python -m keystow.testing.servers.relay http://127.0.0.1:8333 --round-trip 0.05``: the first line that it prints
is the URL for the clients, and it ends with its input.
"""

import argparse
import contextlib
import math
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_HOST = "127.0.0.1"
_PORTS = {"http": 80, "https": 443}
_DESCRIPTION = "Puts a server at a distance: prints the URL to be used in its place, and ends with its input."


@dataclass(frozen=True, slots=True)
class Distance:
    """How far away a server is. Raises ``ValueError`` for what is no distance.

    The defaults are those of a region on the same continent. One connection carries ``window / round_trip`` bytes per
    second at most, here 84 MB/s.
    """

    round_trip: float = 0.05
    """In seconds: what a byte takes to the server and an answer takes back. A connection takes one before any byte."""
    window: int | None = 4 << 20
    """How many bytes of a connection may be under way in one direction, unacknowledged. None: as many as are sent."""
    rate: float | None = None
    """Bytes per second that all connections share, in each direction. None: without limit."""

    def __post_init__(self) -> None:
        if not 0 <= self.round_trip < math.inf:
            raise ValueError(f"a round trip of {self.round_trip} s: give seconds, 0 or more")
        if self.window is not None and self.window < 1:
            raise ValueError(f"a window of {self.window} bytes carries nothing: give 1 or more, or None")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"a rate of {self.rate} bytes per second: give more than 0, or None")


class Relay:
    """A server's endpoint at a ``distance``, on Linux: in the ``with`` block, or from ``start()`` to ``close()``.

    It moves bytes and reads none: clients that speak TLS, sign the Host header or keep connections do so through it.
    Each connection has its own window and delay, ends as the other side ends it, half a round trip later, and shares
    the rate with the others in turns. A server that is not there resets the connections. No packet is lost, and a
    connection has its whole window at once, without TCP's slow start. Connections for which it may not have the files
    open wait until others have ended.

    Raises ``ValueError`` for what is no endpoint.
    """

    def __init__(self, endpoint: str, distance: Distance = Distance()) -> None:
        _parts(endpoint)
        self.endpoint, self.distance = endpoint, distance
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""
        self._asked, self._counted = 0, (0, 0, 0)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The endpoint for the clients: the server's scheme, and a port of this machine. There is none before start."""
        if not self._url:
            raise RuntimeError("this relay was not started")
        return self._url

    @property
    def pid(self) -> int:
        """The process id, for who wants to know what it costs. There is none before start."""
        if self._process is None:
            raise RuntimeError("this relay is not running")
        return self._process.pid

    @property
    def carried(self) -> tuple[int, int]:
        """How many bytes have arrived at the server, and how many have arrived from it."""
        _, there, back = self._count()
        return there, back

    @property
    def connections(self) -> int:
        """How many connections it has accepted."""
        return self._count()[0]

    def start(self) -> None:
        """Start the process and wait until it listens; ``RuntimeError`` if it does not, or is running already."""
        if self._process is not None:
            raise RuntimeError("this relay is already running")
        if sys.platform != "linux":
            raise RuntimeError(f"a relay needs Linux, whose kernel holds the bytes for it; this is {sys.platform}")
        far = self.distance
        limits = [f"--round-trip={far.round_trip}", f"--window={far.window or 0}", f"--rate={far.rate or 0}"]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, *limits, self.endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # what a terminal sends to the tests does not reach it
        )
        try:
            self._url = self._next_line(self._process)
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        """End the process, and with it all connections; harmless when it is not running."""
        if self._process is not None:
            with contextlib.suppress(RuntimeError):
                self._count()
            self._end()

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                with process:
                    process.kill()

    def _count(self) -> tuple[int, int, int]:
        """Connections, bytes to the server, bytes from it: as they are now, or as they were when it was closed."""
        with self._lock:
            if self._process is not None:
                assert self._process.stdin is not None
                self._asked += 1
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.write(b"%d\n" % self._asked)
                answer: list[int] = []
                while len(answer) != 4 or answer[0] != self._asked:  # what answers one that was interrupted
                    answer = [int(word) for word in self._next_line(self._process).split()]
                _, connections, there, back = answer
                self._counted = connections, there, back
            return self._counted

    @staticmethod
    def _next_line(process: subprocess.Popen[bytes]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"the relay has ended with {process.wait()}; its last words are among this process's own"
            )
        return line.decode().strip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Relay until the input ends. A line of it is answered by its own words, connections, bytes there, bytes back."""
    usual = Distance()
    parser = argparse.ArgumentParser(prog="python -m keystow.testing.servers.relay", description=_DESCRIPTION)
    parser.add_argument("endpoint", help="the server's, such as http://127.0.0.1:8333")
    parser.add_argument("--round-trip", type=float, default=usual.round_trip, help="in seconds (%(default)s)")
    parser.add_argument("--window", type=int, default=usual.window, help="in bytes (%(default)s); 0: no limit")
    parser.add_argument("--rate", type=float, default=0, help="in bytes per second (%(default)s); 0: no limit")
    given = parser.parse_args(arguments)
    try:
        scheme, host, port = _parts(given.endpoint)
        far = Distance(given.round_trip, given.window or None, given.rate or None)
    except ValueError as error:
        parser.error(str(error))

    import resource

    from .link import Passage

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    passage = Passage(_HOST, (host, port), round_trip=far.round_trip, window=far.window, rate=far.rate, files=most)
    _say(f"{scheme}://{_HOST}:{passage.port}")
    with contextlib.suppress(KeyboardInterrupt):
        passage.run(sys.stdin.fileno(), lambda line: _say(*line.decode(errors="replace").split(), *passage.counts()))


def _say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


def _parts(endpoint: str) -> tuple[str, str, int]:
    """The scheme, the host and the port of an endpoint. Raises ``ValueError``."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(endpoint)
        if parts.scheme in _PORTS and parts.hostname:
            return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
    raise ValueError(f"{endpoint!r} is no endpoint: write a URL such as http://127.0.0.1:8333")


if __name__ == "__main__":
    main()
