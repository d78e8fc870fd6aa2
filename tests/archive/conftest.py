"""The other programs that read and write archives, and a place to be somebody else in."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import pytest
from archive_strategies import NOBODY


def required(program: str, package: str) -> str:
    found = shutil.which(program)
    if not found:
        pytest.fail(f"{program} is missing, and archives are to be shown to it: apt-get install {package}")
    return found


@pytest.fixture(scope="session")
def bsdtar() -> str:
    return required("bsdtar", "libarchive-tools")


@pytest.fixture(scope="session")
def gnu_tar() -> str:
    found = required("tar", "tar")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    assert "GNU tar" in version
    return found


class Unprivileged(Protocol):
    def __call__(self) -> AbstractContextManager[None]: ...


@pytest.fixture
def unprivileged() -> Unprivileged:
    """A context in which root has the rights of nobody; other users stay who they are."""

    @contextmanager
    def dropped() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return dropped


@pytest.fixture
def open_place() -> Iterator[str]:
    """A directory that every user can reach and write to, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        yield place
