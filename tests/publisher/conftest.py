"""Places to publish to, and a small tree to publish."""

import functools
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from archive_strategies import Link, Program, lay
from lying import Liar

from keystow import PublishedResult, Store
from keystow.archive.apart import gunzip_apart
from keystow.stored import open_place
from keystow.testing.servers import FaultProxy, SeaweedFS

_numbers = itertools.count()

NODES = {
    "score.txt": b"42\n",
    "model/weights.bin": bytes(range(256)) * 40,
    "model/run.sh": Program(b"#!/bin/sh\n"),
    "model/latest": Link("weights.bin"),
    "Übersicht/文件.json": b"{}",
    "empty.txt": b"",
    "no files in here": None,
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A few files, a program, a link, an empty file and an empty directory."""
    return Path(lay(tmp_path / "small", NODES))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files alone: what an object store can hold one by one."""
    return Path(lay(tmp_path / "files", {name: node for name, node in NODES.items() if type(node) is bytes}))


@dataclass(frozen=True)
class Place:
    """Somewhere to publish to, by a test alone."""

    name: str
    root: str
    options: str = ""

    def __call__(self, key: str) -> str:
        """The destination for ``key``."""
        return f"{self.root}/{key}{self.options}"


@pytest.fixture(params=["file", "memory", pytest.param("s3", marks=pytest.mark.server)])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of store in turn."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture
def file_place(tmp_path: Path) -> Place:
    """A directory that is not there yet."""
    return Place("file", f"file://{tmp_path}/published")


@pytest.fixture
def memory_place() -> Place:
    """A bucket in this process."""
    return Place("memory", f"memory://bucket-{next(_numbers)}")


@pytest.fixture
def s3_place(seaweed: SeaweedFS, bucket: str, login: Callable[..., None]) -> Place:
    """A prefix of the shared bucket, as the administrator."""
    login(seaweed)
    return Place("s3", f"s3://{bucket}/place-{next(_numbers)}", f",opt=endpoint={seaweed.endpoint}")


@pytest.fixture
def proxy(seaweed: SeaweedFS) -> Iterator[FaultProxy]:
    """A proxy before the server, which records what is sent."""
    with FaultProxy(seaweed.endpoint) as standing:
        yield standing


@pytest.fixture
def stored() -> Callable[[PublishedResult], Store]:
    """The store that holds a result, for looking and for tampering."""
    return open_place


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """One file that no compression makes smaller, of several parts."""
    directory = tmp_path / "noise"
    directory.mkdir()
    (directory / "data").write_bytes(_noise())
    return directory


@functools.cache
def _noise() -> bytes:
    return random.Random(1).randbytes(30 << 20)


@pytest.fixture
def liar():
    """Starts a server that answers as it is told."""
    started = []

    def start(answer):
        started.append(Liar(answer if callable(answer) else lambda _: answer))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """By how many threads each archive was inflated side by side, as if all were large, and could wait for its end."""
    counted: list[int] = []

    def counting(*args: Any, threads: int, **options: Any) -> Iterator[bytes]:
        counted.append(threads)
        return gunzip_apart(*args, threads=threads, **options)

    monkeypatch.setattr("keystow.ahead.gunzip_apart", counting)
    monkeypatch.setattr("keystow.ahead.inflaters", lambda: 3)
    monkeypatch.setattr("keystow.ahead._LEAST", 1)
    monkeypatch.setattr("keystow.ahead._PATIENCE", 60)
    return counted
