"""Where the peers are: in a virtual environment of their own, as awscli and aiobotocore want different botocores."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

HERE = Path(sys.prefix) / "peers"
_PACKAGES = ("awscli", "boto3", "botocore", "s3transfer")


def folders() -> list[Path]:
    """Where their programs are, for PATH. Raises ``RuntimeError`` where they are not installed.

    s5cmd's own program comes before the Python script by which its package starts it, and which costs it time.
    """
    native = [path.parent for path in HERE.glob("lib/python*/site-packages/s5cmd/bin/s5cmd")]
    if not native:
        raise RuntimeError("the peers are not installed: make peers")
    return [*native, HERE / "bin"]


def versions() -> Iterator[tuple[str, str]]:
    """The peers with what they say of their versions."""
    packages = distributions(path=[str(path) for path in HERE.glob("lib/python*/site-packages")])
    installed = {package.name: package.version for package in packages}
    yield from ((name, installed[name]) for name in _PACKAGES)
    native, programs = folders()
    yield "s5cmd", _said(native / "s5cmd", "version").removeprefix("v").partition("-")[0]
    yield "rclone", _said(programs / "rclone", "version").removeprefix("rclone v")
    for name in ("tar", "gzip", "pigz", "igzip"):
        yield name, _said(name, "--version").rpartition(" ")[2]


def _said(program: Path | str, question: str) -> str:
    """The first line of what a program prints."""
    done = subprocess.run([program, question], check=True, capture_output=True, text=True)
    return (done.stdout or done.stderr).splitlines()[0]
