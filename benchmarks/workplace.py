"""Where the races run: a directory with their data, a server on loopback, and an environment without anything else."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.race import Run
from keystow.testing.servers import SeaweedFS

_LAUNCHER = Path(__file__).with_name("launcher.py")
_PROGRAMS = Path(__file__).with_name("programs")
_QUIET_SECONDS = 0.1
_MOST_SECONDS = 90.0
_MOST_HANGS = 3
"""How often a command may hang before that is a failure."""
IN_ONE_PIECE = "whole"
"""The profile with which awscli fetches an object by one request: to a pipe, several of them wait for each other.

The callback of the first part waits for a place in a queue (``SlidingWindowSemaphore``) for each other part (1.46.3).
"""
BEFORE = "BEFORE"
"""The environment's name for another checkout, which takes part."""
YAML, BEFORE_YAML = ".yaml", ".before.yaml"
"""How the name of a result ends, and one of the checkout before."""
RESULT = f"$BUCKET{YAML}"
"""Where the result of what stands in a bucket is."""
_ROOT = "://$BUCKET/"


@dataclass(frozen=True)
class Command:
    """A shell command; ``installed`` with keystow, with its peers, or in a folder. After so many seconds it hangs."""

    text: str
    installed: str = "peers"
    most_seconds: float = _MOST_SECONDS


def ours(text: str, *, by_fsspec: bool = True, most_seconds: float = _MOST_SECONDS) -> dict[str, Command]:
    """Our contestants: the default engine, fsspec's, and what the checkout ``BEFORE`` of the environment holds.

    That one fetches what it has published itself, as it need not read our result.
    """
    contestants = {"keystow": Command(text, "keystow", most_seconds)}
    if by_fsspec:
        contestants["keystow, engine fsspec"] = Command(f"KEYSTOW_ENGINE=fsspec {text}", "keystow", most_seconds)
    if before := os.environ.get(BEFORE):
        own = text.replace(YAML, BEFORE_YAML)
        contestants["keystow, before"] = Command(own, str(Path(before, ".venv", "bin").resolve()), most_seconds)
    return contestants


def publishers(text: str) -> list[Command]:
    """What publishes for each of ``ours`` what it is to fetch; the checkout before has a prefix of its own."""
    first, *before = ours(f"{text} > {RESULT}", by_fsspec=False).values()
    return [first, *(replace(each, text=each.text.replace(_ROOT, f"{_ROOT}before/")) for each in before)]


def s3_at(endpoint: str) -> dict[str, str]:
    """The variables by which every contestant finds S3 at an endpoint."""
    return {"AWS_ENDPOINT_URL": endpoint, "S3_ENDPOINT_URL": endpoint, "RCLONE_CONFIG_PEER_ENDPOINT": endpoint}


class Workplace:
    """``directory`` is where commands run: the programs and the data have short names in it."""

    def __init__(self, directory: Path, server: SeaweedFS) -> None:
        self.directory = directory
        self.server = server
        self.client: Any = server.client()
        self._numbers = itertools.count(1)
        self._serving = [server.pid]
        self._home = directory / "home"
        (self._home / ".aws").mkdir(parents=True)
        whole = f"[profile {IN_ONE_PIECE}]\ns3 =\n  multipart_chunksize = 4GB\n"
        (self._home / ".aws" / "config").write_text(whole, encoding="utf-8")
        for program in _PROGRAMS.glob("*.py"):
            (directory / program.name).symlink_to(program)

    def run(self, command: Command, **variables: str) -> Run:
        """Runs a command in a quiet moment of the server's. Raises ``RuntimeError`` with what it said if it fails."""
        self._settle()
        before = self._served()
        cost = self._launch(command, variables)
        return Run(cost["wall"], cost["cpu"], self._served() - before, int(cost["memory"]))

    def run_alone(self, command: Command, **variables: str) -> Run:
        """Runs a command that has nothing to do with the server."""
        cost = self._launch(command, variables)
        return Run(cost["wall"], cost["cpu"], None, int(cost["memory"]))

    def output(self, command: Command, **variables: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            ["/bin/sh", "-c", command.text],
            cwd=self.directory,
            env=self._environment(command, variables),
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    @contextmanager
    def beside(self, *pids: int) -> Iterator[None]:
        """Within this, what these processes do counts as the server's, too."""
        before, self._serving = self._serving, [*self._serving, *pids]
        try:
            yield
        finally:
            self._serving = before

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """A bucket whose first write is done, so that the place for its data is there; it goes with all that is in it.

        Dropping it gives back the disk at once.
        """
        bucket = f"race-{next(self._numbers)}"
        self.client.create_bucket(Bucket=bucket)
        try:
            self.client.put_object(Bucket=bucket, Key="warm-up", Body=b"warm-up")
            self.client.delete_object(Bucket=bucket, Key="warm-up")
            yield bucket
        finally:
            self.client.delete_bucket(Bucket=bucket)

    def objects(self, bucket: str) -> dict[str, int]:
        """The sizes of all objects, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}

    def _launch(self, command: Command, variables: Mapping[str, str]) -> dict[str, float]:
        said = self.directory / "stderr"
        for _ in range(_MOST_HANGS):
            with (
                said.open("wb") as stderr,
                subprocess.Popen(
                    [sys.executable, "-I", "-S", _LAUNCHER, "/bin/sh", "-c", command.text],
                    cwd=self.directory,
                    env=self._environment(command, variables),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                ) as running,
            ):
                try:
                    told, _ = running.communicate(timeout=command.most_seconds)
                except BaseException as error:
                    os.killpg(running.pid, signal.SIGKILL)
                    if not isinstance(error, subprocess.TimeoutExpired):
                        raise
                    print(f"`{command.text}` hung, and is run again", file=sys.stderr)
                    continue
            cost: dict[str, float] = json.loads(told)
            if cost["status"]:
                tail = said.read_text("utf-8", "replace")[-2000:]
                raise RuntimeError(f"`{command.text}` ended with {cost['status']}: {tail}")
            return cost
        raise RuntimeError(f"`{command.text}` was not over after {command.most_seconds:.0f} s, {_MOST_HANGS} times")

    def _environment(self, command: Command, variables: Mapping[str, str]) -> dict[str, str]:
        """Every contestant has the same, but for PATH; peers are spared the checksums that keystow has verified."""
        own = {"keystow": [Path(sys.executable).parent], "peers": peers.folders()}
        folders = own.get(command.installed, [Path(command.installed)])
        path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
        return {
            "PATH": path,
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.directory),
            **self.server.environment(),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "RCLONE_CONFIG": "",
            "RCLONE_CONFIG_PEER_TYPE": "s3",
            "RCLONE_CONFIG_PEER_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_PEER_ENV_AUTH": "true",
            "RCLONE_CONFIG_PEER_REGION": "us-east-1",
            **s3_at(self.server.endpoint),
            **variables,
        }

    def _settle(self, at_most: float = 10.0) -> None:
        """Waits until the server has put away what the last command left it with."""
        deadline = time.monotonic() + at_most
        busy = True
        while busy and time.monotonic() < deadline:
            before = self._served()
            time.sleep(_QUIET_SECONDS)
            busy = self._served() - before > _QUIET_SECONDS / 5

    def _served(self) -> float:
        return sum(map(cpu_seconds, self._serving))


def cpu_seconds(pid: int) -> float:
    """The CPU seconds that a process, and all that it started, have used so far."""
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    used = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    children = [child for listed in process.glob("task/*/children") for child in listed.read_text().split()]
    return used + sum(cpu_seconds(int(child)) for child in children)
