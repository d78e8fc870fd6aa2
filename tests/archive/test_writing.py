"""How members come to the disk: with few directories open, whole, and never through what somebody put in their way."""

import errno
import os
from types import SimpleNamespace

import pytest
from archive_strategies import lay

from keystow.archive import CorruptArchiveError, Entry, LimitExceededError, Limits, check_destination, extract, limits
from keystow.archive.limits import Room
from keystow.archive.unpack import _Counted, _room


def file(name, content=b"x", **more):
    return Entry(name, "file", len(content), **more), [content]


def hidden(place):
    (found,) = place.glob(".target.keystow-*.partial")
    return found


def descriptors():
    return os.listdir("/proc/self/fd")


def test_a_directory_is_opened_again_from_one_that_is_open(tmp_path):
    """``a`` is used all the time, and of what is in it, more are used than are kept open."""
    names = [f"a/{i:02}/{j}" for j in "xyz" for i in range(40)] + ["b/c/d/e"]
    before = descriptors()
    extract([file(name, name.encode()) for name in names], tmp_path / "target")
    assert descriptors() == before
    for name in names:
        assert (tmp_path / "target" / name).read_text() == name


def test_modes_are_what_the_mask_leaves(tmp_path):
    old = os.umask(0)
    try:
        extract([file("plain"), file("run", executable=True)], tmp_path / "target")
    finally:
        os.umask(old)
    modes = {name: os.stat(tmp_path / "target" / name).st_mode & 0o7777 for name in ("plain", "run")}
    assert modes == {"plain": 0o666, "run": 0o777}


def test_what_the_disk_takes_bit_by_bit_is_whole(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, piece: write(descriptor, piece[:3]))
    extract([file("a", b"0123456789"), file("b", b"abc")], tmp_path / "target")
    assert (tmp_path / "target" / "a").read_bytes() == b"0123456789"
    assert (tmp_path / "target" / "b").read_bytes() == b"abc"


@pytest.mark.parametrize("taken", [0, 3])
def test_a_disk_that_is_full_names_the_member(tmp_path, monkeypatch, taken):
    left, write = [taken] if taken else [], os.write

    def fills(descriptor, piece):
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, piece[: left.pop()])

    monkeypatch.setattr(os, "write", fills)
    with pytest.raises(LimitExceededError, match=r"^the disk cannot hold the member 'd/a': No space left"):
        extract([file("d/a", b"0123456789")], tmp_path / "target")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("content", "what"), [(b"xy", "fewer"), (b"wxyz", "more")])
def test_what_is_not_as_long_as_announced_is_told_so(tmp_path, content, what):
    said = rf"^the member 'a' holds {what} bytes than the 3 that it announces"
    with pytest.raises(CorruptArchiveError, match=said):
        extract([(Entry("a", "file", 3), [content])], tmp_path / "target")


def test_a_hard_link_is_made_of_nothing_outside(tmp_path):
    """Somebody of the same user puts a link where the file was."""
    outside = lay(tmp_path / "outside", {"secret": b"alive"}) + "/secret"

    def members():
        yield file("a")
        os.unlink(hidden(tmp_path) / "a")
        os.symlink(outside, hidden(tmp_path) / "a")
        yield Entry("b", "hardlink", target="a"), ()

    extract(members(), tmp_path / "target")
    assert os.stat(outside).st_nlink == 1


def test_no_time_is_given_to_what_is_outside(tmp_path):
    outside = lay(tmp_path / "outside", {"d/canary": b"alive"}) + "/d"
    os.utime(outside, (5, 5))

    def members():
        yield Entry("d", "directory", mtime=1000), ()
        yield file("f")
        os.rename(hidden(tmp_path) / "d", tmp_path / "away")
        os.symlink(outside, hidden(tmp_path) / "d")

    extract(members(), tmp_path / "target")
    assert os.stat(outside).st_mtime == 5


def test_a_path_is_as_long_as_the_system_takes_it(tmp_path):
    """4,095 bytes (limits.h: 4,096 with the NUL at the end)."""
    target = tmp_path / "target"
    room = 4095 - len(os.fsencode(target)) - 1
    name = "/".join(["d" * 100] * 50)[: room - 2] + "/f"
    assert len(os.fsencode(target / name)) == 4095
    extract([file(name)], target)
    assert os.stat(target / name).st_size == 1
    with pytest.raises(LimitExceededError, match="its path would be longer than a path can be"):
        extract([file(f"{name}f")], tmp_path / "others")


@pytest.mark.parametrize(("files", "members"), [(10, 3), (0, None)])
def test_the_room_is_what_the_disk_says(monkeypatch, files, members):
    """Some disks do not count files: then there are none in all."""
    disk = SimpleNamespace(f_files=files, f_favail=3, f_bavail=5, f_frsize=7)
    monkeypatch.setattr(os, "fstatvfs", lambda _: disk)
    assert _room(SimpleNamespace(descriptor=0, target="/t")) == Room(35, members, 4095 - 3)


def test_what_comes_from_elsewhere_has_no_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "_FREE_COST", 1000)
    extract([file("a", bytes(5000))], tmp_path / "target", limits=Limits(ratio=1))
    assert os.stat(tmp_path / "target" / "a").st_size == 5000


def test_what_is_read_is_counted():
    counted = _Counted([b"ab", b"", b"cde"])
    assert counted.size == 0
    assert [counted.size for _ in counted] == [2, 2, 5]


def test_the_destination(tmp_path):
    assert check_destination(tmp_path / "new") == (str(tmp_path / "new"), False)
    assert check_destination(tmp_path) == (str(tmp_path), True)
