"""What lies in a directory is removed at any depth, with few descriptors, and nothing outside of it."""

import os
import subprocess
import sys
import textwrap

import pytest
from archive_strategies import examples, lay, seen, trees
from hypothesis import given

from keystow.archive.removal import OPEN_DIRECTORY, empty


def emptied(path):
    directory = os.open(path, OPEN_DIRECTORY)
    try:
        empty(directory)
    finally:
        os.close(directory)


@examples(50)
@given(trees())
def test_all_goes_and_nothing_else(tmp_path_factory, nodes):
    place = tmp_path_factory.mktemp("removal")
    lay(place / "outside", {"d/canary": b"alive"})
    outside = seen(place / "outside")
    root = lay(place / "root", nodes)
    os.symlink(place / "outside", f"{root}/link-out")
    os.link(place / "outside" / "d" / "canary", f"{root}/hard-link-out")
    emptied(root)
    assert os.listdir(root) == []
    assert seen(place / "outside") == outside


DEEP = """
    import os, resource, sys
    from keystow.archive import Entry, Limits, UnsafeArchiveError, extract

    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    os.chdir(sys.argv[1])

    def members():
        for at in range(40):
            yield Entry(f"{at}/" + "d/" * (1900 if at == 20 else 100) + "f", "file", 1), [b"x"]
            yield Entry(f"{at}/g", "file", 1), [b"x"]
            yield Entry(f"{at}/h", "hardlink", target="0/" + "d/" * 100 + "f"), []
        yield Entry("../out", "file"), []

    try:
        extract(members(), "target", limits=Limits(depth=None))
    except UnsafeArchiveError:
        print(sorted(os.listdir(".")), len(os.listdir("/proc/self/fd")))
"""


@pytest.mark.slow
def test_thousands_of_levels_are_made_and_removed_with_32_descriptors(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(DEEP), tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ")


@pytest.mark.slow
def test_deeper_than_a_path_can_be(tmp_path):
    """Made by descriptors, as no path reaches it."""
    here = os.open(tmp_path, OPEN_DIRECTORY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", OPEN_DIRECTORY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    emptied(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_moved_away_meanwhile_ends_it(tmp_path, monkeypatch):
    root = lay(tmp_path / "root", {"a/b/c": b"x"})
    lay(tmp_path / "outside", {"b/canary": b"x"})
    real = os.unlink

    def unlink(name, *, dir_fd):
        real(name, dir_fd=dir_fd)
        os.rename(f"{root}/a/b", tmp_path / "outside" / "moved")

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(OSError, match="somebody moves directories"):
        emptied(root)
    assert seen(tmp_path / "outside").keys() == {"b", "b/canary", "moved"}
