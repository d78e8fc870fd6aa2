"""What the command reads of an archive, and of a prefix, on each kind of store, by so many requests and no more."""

import io
import json
import os
import subprocess
from contextlib import closing
from dataclasses import replace

import counted_places
import indexed
import pytest
from archive_strategies import OLD, seen
from commands import Ran, complaint, run
from counted_places import NODES, written

from keystow import Checksum, PublishedResult, fetch, publish, verify
from keystow.archive import scan, tar
from keystow.archive.manifest import NAME
from keystow.backends import NotFoundError
from keystow.command import main

pytestmark = [pytest.mark.server, pytest.mark.slow]

moto, place, source = counted_places.moto, counted_places.place, counted_places.source


@pytest.fixture
def keystow(capfd):
    """Runs the command in this process."""

    def called(*arguments):
        capfd.readouterr()
        status = main([os.fspath(argument) for argument in arguments])
        return Ran(status, *capfd.readouterr())

    return called


def changed(source):
    """A file of the directory is another one."""
    (source / "score.txt").write_bytes(b"43\n")
    os.utime(source / "score.txt", (OLD, OLD))


# ---------------------------------------------------------------------------------------------------
# Members


@pytest.fixture(params=["archive", "files/"])
def result(request, place, source, tmp_path):
    """The file with the result of an archive, or of a prefix."""
    return written(publish(source, place(request.param), archive=request.param == "archive"), tmp_path / "result.json")


def test_members_are_listed(place, result, keystow):
    """By the end of the archive, or the manifest."""
    is_archive = "archive" in result.read_text()
    with place.asks("GET", most=1 << 16 if is_archive else None):
        ran = keystow("ls", result)
    assert (ran.status, ran.err) == (0, "")
    names = sorted([*NODES, "tables"] if is_archive else NODES)
    assert sorted(ran.out.splitlines()) == names
    with place.asks("GET"):
        assert keystow("ls", result, "tables/*9.csv").out.split() == [f"tables/{number}9.csv" for number in ("00", "01", "02")]
    with place.asks("GET"):
        assert keystow("ls", result, "--long", "/score.txt").out == "-rw-r--r--            3 2001-09-09T01:46:40Z score.txt\n"
    with place.asks("GET"):
        lines = keystow("ls", result, "--output", "json").out.splitlines()
    assert sorted(json.loads(line)["name"] for line in lines) == names


def test_a_member_is_printed_fetched_and_verified(place, result, keystow, tmp_path):
    """By what lists it, and the range where it lies, or its object."""
    is_archive = "archive" in result.read_text()
    most = 1 << 20 if is_archive else None
    with place.asks("GET", "GET", most=most):
        assert keystow("cat", result, "a.txt") == (0, "1\n", "")
    with place.asks("GET", "GET", most=most):
        ran = keystow("get", result, tmp_path / "some", "--member", "/a.txt", "--output", "json")
    assert (ran.status, json.loads(ran.out)["verified"], os.listdir(tmp_path / "some")) == (0, True, ["a.txt"])
    with place.asks("GET", "GET", most=most):
        assert "verified 1 member of 2 bytes" in keystow("verify", result, "--member", "a.txt").err
    with place.asks("GET"):
        assert "'*.jpg'" in complaint(keystow("verify", result, "--member", "*.jpg"), 1)
