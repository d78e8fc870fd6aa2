"""Stopped at any moment, unpacking leaves nothing under the target's name, and nothing at all if it could clean up."""

import glob
import itertools
import os
import signal
import stat
import subprocess
import sys
import textwrap

import pytest
from archive_strategies import NOBODY, Link, Program, lay, member, seen, zipped
from interrupting import interrupted
from moments import At, watched

from keystow.archive import (
    DestinationExistsError,
    Entry,
    Tree,
    check_destination,
    checked,
    extract,
    leftovers,
    limits,
    pack,
    partial,
    removal,
    scan,
    unpack,
    writing,
)
from keystow.archive.leftovers import hidden_name, lock
from keystow.archive.removal import OPEN_DIRECTORY

MEMBERS = [
    (Entry("a", "file", 1), [b"x"]),
    (Entry("d/e/b", "file", 2), [b"y", b"z"]),
    (Entry("d", "directory", mtime=7), []),
    (Entry("h", "hardlink", target="a"), []),
    (Entry("l", "symlink", target="d/e"), []),
]
MODULES = (sys.modules[unpack.__module__], checked, leftovers, limits, partial, removal, writing)
WHOLE = {"a", "d", "d/e", "d/e/b", "h", "l"}


KINDS = {
    "new": ("target", None),
    "new with parents": ("some/new/target", None),
    "empty": ("target", 0o750),
    "where one stands": ("target", 0o750),
}


def stopped(at, target, taken_back):
    """Whether Ctrl-C came before line ``at`` of unpacking into ``target``; the modes of what lost its name again."""
    back = At("os.rename", lambda name: name == "target", lambda: taken_back.append(os.stat(target).st_mode))
    with watched(back):
        return interrupted(lambda: extract(MEMBERS, target), at, MODULES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file that was just opened is lost
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_between_any_two_lines_leaves_nothing_or_all(tmp_path, monkeypatch, kind):
    name, mode = KINDS[kind]
    whole = 0
    taken_back = []
    for at in itertools.count(1):
        place = lay(tmp_path / str(at), {"neighbour": b"n"})
        target = f"{place}/{name}"
        if mode is not None:
            os.mkdir(target)
            os.chmod(target, mode)
        if kind == "where one stands":
            monkeypatch.chdir(target)
        before = seen(place, times="file")
        if not stopped(at, target, taken_back):
            break
        found = seen(place, times="file")
        if f"{name}/a" in found:  # it had its name, and was about to return
            assert {inner for inner in found if inner.startswith(f"{name}/")} == {f"{name}/{inner}" for inner in WHOLE}
            whole += 1
        else:
            assert found == before, at
        assert mode is None or stat.S_IMODE(os.stat(target).st_mode) == mode, at
    assert at > 150
    assert {stat.S_IMODE(mode) for mode in taken_back} == ({0o1700} if kind != "where one stands" else set())
    assert whole < 16  # while its descriptors were closed
    assert set(seen(target)) == WHOLE


KILLED = """
    import os, sys, time
    from keystow.archive import Entry, extract

    def members():
        yield Entry("a", "file", 1), [b"x"]
        yield Entry("d/b", "file", 1), [b"x"]
        print("filled", flush=True)
        time.sleep(600)

    extract(members(), sys.argv[1])
"""


class Filling:
    """A process that unpacks and does not come to an end."""

    def __init__(self, target, cwd=None):
        command = [sys.executable, "-c", textwrap.dedent(KILLED), target]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=cwd)

    def __enter__(self):
        assert self._process.stdout.readline() == "filled\n"
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


NAMES = ["target", "t" * 255, "ä" * 120, "[a-z]*", ".keystow-"]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_killed_run_left_beside_is_told_and_cleared_by_the_next(tmp_path, name, exists):
    target = str(tmp_path / name)
    if exists:
        os.mkdir(target)
    with Filling(target):
        pass
    assert not os.path.exists(target) or os.listdir(target) == []
    (left,) = set(os.listdir(tmp_path)) - {name}
    assert left.startswith(".")
    assert left.endswith(".partial")
    assert len(os.fsencode(left)) < 150
    assert stat.S_IMODE(os.stat(tmp_path / left).st_mode) & 0o777 == 0o700
    unpacked = unpack(pack(Tree.of({"b": b"y"})), target)
    assert unpacked.cleared == (str(tmp_path / left),)
    assert os.listdir(tmp_path) == [name]
    assert os.listdir(target) == ["b"]


def test_what_a_killed_run_left_inside_is_told_and_cleared_by_the_next(tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    with Filling(".", cwd=target), pytest.raises(DestinationExistsError, match="partial"):
        check_destination(target)
    (left,) = os.listdir(target)
    assert check_destination(target) == (str(target), True)
    assert os.listdir(target) == [left]
    assert unpack(pack(Tree.of({"b": b"y"})), target).cleared == (f"{target}/{left}",)
    assert os.listdir(target) == ["b"]
    assert os.listdir(tmp_path) == ["target"]


def test_what_a_living_run_fills_is_not_cleared(tmp_path):
    target = str(tmp_path / "target")
    with Filling(target):
        (filled,) = os.listdir(tmp_path)
        assert unpack(pack(Tree.of({"b": b"y"})), target).cleared == ()
        assert sorted(os.listdir(tmp_path / filled)) == ["a", "d"]


def test_only_what_is_left_of_this_very_target_and_by_this_user_is_cleared(tmp_path):
    left = ".target.keystow-0123456789abcdef.partial"
    kept = {
        "not sticky": lambda path: os.mkdir(path, 0o700),
        "open to others": lambda path: (os.mkdir(path), os.chmod(path, 0o1755)),
        "a file": lambda path: lay(tmp_path, {"work/" + left: b"x"}),
        "a link": lambda path: (os.mkdir(tmp_path / "private", 0o1700), os.symlink(tmp_path / "private", path)),
        "another's": lambda path: (os.mkdir(path, 0o1700), os.geteuid() or os.chown(path, NOBODY, NOBODY)),
    }
    if os.geteuid():
        del kept["another's"]
    for case, make in kept.items():
        work = tmp_path / "work"
        work.mkdir()
        make(work / left)
        if (work / left).is_dir():
            lay(work / left, {"canary": b"x"})
            if case == "open to others":
                os.chmod(work / left, 0o1755)
        os.mkdir(work / left.replace("target", "target2"), 0o1700)
        before = seen(work)
        assert unpack(pack(Tree.of({"b": b"y"})), work / "target").cleared == (), case
        assert {name: what for name, what in seen(work).items() if not name.startswith("target")} == before, case
        os.rename(work, tmp_path / case)


def test_what_cannot_be_opened_does_not_hide_what_can_be_cleared(tmp_path):
    os.mkfifo(tmp_path / f".target.keystow-{0:016}.partial")
    os.symlink("nowhere", tmp_path / f".target.keystow-{1:016}.partial")
    left = f".target.keystow-{2:016}.partial"
    os.mkdir(tmp_path / left, 0o1700)
    assert unpack(pack(Tree.of({"b": b"y"})), tmp_path / "target").cleared == (str(tmp_path / left),)


def test_a_lock_is_held_by_one(tmp_path):
    one, other = (os.open(tmp_path, OPEN_DIRECTORY) for _ in range(2))
    try:
        assert lock(one)
        assert not lock(other)
    finally:
        os.close(one)
        assert lock(other)
        os.close(other)


@pytest.mark.parametrize("length", [100, 101])
def test_a_name_is_told_whole_up_to_100_bytes(length):
    name = "ä" * (length // 2) + "x" * (length % 2)
    assert hidden_name(name).startswith(f".{name}.keystow-") is (length == 100)
    assert len(os.fsencode(hidden_name(name))) < 143


def test_an_archive_cannot_hold_what_would_be_cleared_later(tmp_path):
    left = b".target.keystow-0123456789abcdef.partial"
    unpack([zipped(member(left + b"/", b"5", mode=b"0001700\0"), member(left + b"/a"))], tmp_path / "place")
    assert unpack(pack(Tree.of({"b": b"y"})), tmp_path / "place" / "target").cleared == ()
    assert os.listdir(tmp_path / "place" / left.decode()) == ["a"]
    with pytest.raises(DestinationExistsError, match=r"keystow-0123456789abcdef\.partial"):
        check_destination(tmp_path / "place")


def test_two_runs_that_clear_and_make_at_once_do_not_harm_each_other(tmp_path):
    """The other one finds the new directory before it is locked, and removes it: another one is made."""
    at = At("fcntl.flock", lambda _: True, lambda: os.rmdir(glob.glob(f"{tmp_path}/.target.*")[0]), most=3)
    with watched(at):
        unpack(pack(Tree.of({"b": b"y"})), tmp_path / "target")
    assert at.happened == 3
    assert os.listdir(tmp_path) == ["target"]
    assert os.listdir(tmp_path / "target") == ["b"]


@pytest.fixture
def mounted(tmp_path):
    """A directory that is a mount point, on the same disk as what it is mounted in."""
    os.mkdir(tmp_path / "volume")
    os.mkdir(tmp_path / "target")
    mounting = ["mount", "--bind", tmp_path / "volume", tmp_path / "target"]
    if os.geteuid() or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount, and not everywhere")
    yield tmp_path / "target"
    subprocess.run(["umount", tmp_path / "target"], check=True)


TREE = {"a": b"x", "d/e/b": Program(b"y"), "l": Link("d"), "f": None}


def fill_and_compare(tmp_path, target):
    """Unpacked into ``target``, which stays the very directory that it was."""
    source = lay(tmp_path / "source", TREE)
    before = os.stat(target)
    archive = b"".join(pack(scan(source)))
    with pytest.raises(ConnectionResetError):
        unpack(cut_off(archive), target)
    assert os.listdir(target) == []
    unpack([archive], target)
    after = os.stat(target)
    assert (after.st_dev, after.st_ino, after.st_mode, after.st_uid) == (
        before.st_dev,
        before.st_ino,
        before.st_mode,
        before.st_uid,
    )
    assert seen(target) == seen(source)


def cut_off(archive):
    yield archive
    raise ConnectionResetError


def test_a_mount_point_is_filled(tmp_path, mounted):
    fill_and_compare(tmp_path, mounted)


def test_where_one_stands_is_filled_for_those_who_stand_there(tmp_path, monkeypatch):
    (tmp_path / "target").mkdir()
    monkeypatch.chdir(tmp_path / "target")
    fill_and_compare(tmp_path, tmp_path / "target")
    assert sorted(os.listdir(".")) == ["a", "d", "f", "l"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can unpack into somebody else's directory")
def test_somebody_elses_directory_stays_theirs(tmp_path):
    (tmp_path / "target").mkdir()
    os.chown(tmp_path / "target", NOBODY, NOBODY)
    fill_and_compare(tmp_path, tmp_path / "target")


def test_a_directory_with_attributes_of_its_own_keeps_them(tmp_path):
    (tmp_path / "target").mkdir()
    try:
        os.setxattr(tmp_path / "target", "user.colour", b"green")
    except OSError:
        pytest.skip("this disk keeps no attributes")
    fill_and_compare(tmp_path, tmp_path / "target")
    assert os.getxattr(tmp_path / "target", "user.colour") == b"green"


def test_a_directory_is_filled_though_nothing_may_be_made_beside_it(open_place, unprivileged):
    os.mkdir(f"{open_place}/shut")
    os.mkdir(f"{open_place}/shut/target")
    if os.geteuid() == 0:
        os.chown(f"{open_place}/shut/target", NOBODY, NOBODY)
    os.chmod(f"{open_place}/shut", 0o555)
    with unprivileged():
        before = os.stat(f"{open_place}/shut/target").st_ino
        unpack(pack(Tree.of(dict.fromkeys("abc", b"x"))), f"{open_place}/shut/target")
    assert sorted(os.listdir(f"{open_place}/shut/target")) == ["a", "b", "c"]
    assert os.stat(f"{open_place}/shut/target").st_ino == before
    os.chmod(f"{open_place}/shut", 0o755)


@pytest.mark.parametrize("name", ["a", "d", "l"])
@pytest.mark.parametrize("what", ["file", "directory", "link"])
def test_what_appears_in_a_directory_that_stays_is_not_replaced(tmp_path, monkeypatch, name, what):
    target = tmp_path / "target"
    target.mkdir()
    monkeypatch.chdir(target)
    theirs = {"file": {name: b"theirs"}, "directory": {f"{name}/x": b"theirs"}, "link": {name: Link("theirs")}}[what]
    at = At("os.rename" if name == "d" else "os.link", lambda found: found == name, lambda: lay(target, theirs))
    archive = b"".join(pack(scan(lay(tmp_path / "source", TREE))))
    with watched(at), pytest.raises(DestinationExistsError, match="came to stand"):
        unpack([archive], ".")
    assert at.happened
    assert set(seen(target)) == {name, *theirs}


def test_a_disk_without_hard_links_is_filled_too(tmp_path, monkeypatch):
    (tmp_path / "target").mkdir()
    monkeypatch.chdir(tmp_path / "target")

    def link(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    fill_and_compare(tmp_path, tmp_path / "target")


def test_a_signal_ends_a_run_and_nothing_is_left(tmp_path):
    with Filling(str(tmp_path / "new" / "target")) as run:
        run._process.send_signal(signal.SIGINT)
        assert run._process.wait() != 0
    assert os.listdir(tmp_path) == []


def test_a_directory_without_a_name_is_not_the_working_directory(tmp_path, monkeypatch):
    """As an unset variable of a shell gives it."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="the directory to unpack into has no name"):
        unpack(pack(Tree.of({"b": b"y"})), "")
    assert os.listdir(tmp_path) == []
    assert unpack(pack(Tree.of({"b": b"y"})), ".").members == 1
