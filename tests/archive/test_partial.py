"""The directory that is filled: where it is made, what others put in its way, and what is left of it (nothing)."""

import errno
import os

import pytest
from archive_strategies import lay, seen
from moments import At, watched

from keystow.archive import (
    CorruptArchiveError,
    DestinationChangedError,
    DestinationExistsError,
    Entry,
    extract,
    partial,
)

FILE = [(Entry("a", "file", 1), [b"x"])]


def broken():
    yield Entry("a", "file", 1), [b"x"]
    raise CorruptArchiveError("on the way")


def hidden(name):
    return name.startswith(".target.keystow-")


def test_a_parent_that_somebody_makes_first_is_theirs(tmp_path):
    """It stays when the run fails, and so does what stands above it; what was made in it goes."""
    for path in ("a/b", "c"):
        first = At("os.mkdir", lambda name, path=path: name == path[-1], lambda path=path: os.makedirs(tmp_path / path))
        with watched(first), pytest.raises(CorruptArchiveError):
            extract(broken(), tmp_path / path / "d/target")
        assert first.happened
        assert os.listdir(tmp_path / path) == []


def test_a_parent_that_was_made_and_cannot_be_opened_goes_again(tmp_path, monkeypatch):
    opening = os.open

    def refuses(path, flags, mode=0o777, *, dir_fd=None):
        if path == "b":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return opening(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuses)
    with pytest.raises(OSError, match="Too many open files"):
        extract(FILE, tmp_path / "a/b/target")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []


def test_a_parent_that_becomes_a_link_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    plant = At("os.mkdir", lambda name: name == "new", lambda: os.symlink(outside, tmp_path / "new"))
    with watched(plant), pytest.raises(NotADirectoryError):
        extract(FILE, tmp_path / "new/target")
    assert plant.happened
    assert os.listdir(outside) == []
    assert sorted(os.listdir(tmp_path)) == ["new", "outside"]


def test_a_parent_that_is_no_directory_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NotADirectoryError):
        extract(FILE, tmp_path / "fifo/target")


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(("number", "inside"), [(errno.EACCES, True), (errno.EROFS, True), (errno.ENOSPC, False)])
def test_where_nothing_may_be_made_beside_it(tmp_path, monkeypatch, exists, number, inside):
    """An empty directory is filled from within, unless it is not the right to write that is missing."""
    mkdir = os.mkdir
    place = os.stat(tmp_path).st_ino
    if exists:
        (tmp_path / "target").mkdir()

    def refuses(name, mode=0o777, *, dir_fd=None):
        if hidden(os.fsdecode(name)) and os.fstat(dir_fd).st_ino == place:
            raise OSError(number, os.strerror(number))
        mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", refuses)
    if exists and inside:
        extract(FILE, tmp_path / "target")
        assert os.listdir(tmp_path / "target") == ["a"]
    else:
        with pytest.raises(OSError, match=os.strerror(number)) as raised:
            extract(FILE, tmp_path / "target")
        assert raised.value.errno == number
        assert raised.value.filename == str(tmp_path / "target")
        assert [name for _, _, files in os.walk(tmp_path) for name in files] == []
        assert os.listdir(tmp_path) == ["target"] * exists


def test_who_interferes_all_the_time_is_told_of(tmp_path):
    """Each directory that is made is taken away at once."""
    lay(tmp_path, {"place/theirs": b"x"})
    taken = At("open", hidden, lambda: [os.rmdir(path) for path in (tmp_path / "place").glob(".target*")], most=100)
    before = seen(tmp_path)
    with watched(taken), pytest.raises(DestinationChangedError, match="nobody else may rename"):
        extract(FILE, tmp_path / "place/target")
    assert 1 < taken.happened < 100
    assert seen(tmp_path).keys() == before.keys()


SEVERAL = [
    (Entry("a", "file", 1), [b"x"]),
    (Entry("d/e", "file", 1), [b"y"]),
    (Entry("l", "symlink", target="a"), []),
]


def raising_after(monkeypatch, name, times):
    """Has the function of ``os`` raise once it was called so often, and did what it does."""
    function = getattr(os, name)
    calls = []

    def wrapped(*arguments, **options):
        function(*arguments, **options)
        calls.append(arguments)
        if len(calls) == times:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, name, wrapped)
    return calls


@pytest.mark.parametrize("mode", [None, 0o750, 0o705])
def test_an_interrupt_right_after_the_rename_undoes_it(tmp_path, monkeypatch, mode):
    if mode is not None:
        (tmp_path / "target").mkdir()
        os.chmod(tmp_path / "target", mode)
    calls = raising_after(monkeypatch, "rename", 1)
    with pytest.raises(KeyboardInterrupt) as raised:
        extract(SEVERAL, tmp_path / "target")
    assert not getattr(raised.value, "__notes__", None)
    assert calls[0][1] == "target"
    assert os.listdir(tmp_path) == ([] if mode is None else ["target"])
    if mode is not None:
        assert os.listdir(tmp_path / "target") == []
        assert os.stat(tmp_path / "target").st_mode & 0o7777 == mode


@pytest.fixture
def shut(tmp_path, monkeypatch):
    """An empty directory that has to be filled from within."""
    mkdir, place = os.mkdir, os.stat(tmp_path).st_ino
    (tmp_path / "target").mkdir()

    def refuses(name, mode=0o777, *, dir_fd=None):
        if hidden(os.fsdecode(name)) and os.fstat(dir_fd).st_ino == place:
            raise PermissionError(errno.EACCES, "no")
        mkdir(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", refuses)
    return tmp_path / "target"


@pytest.mark.parametrize(("name", "times"), [("link", 1), ("link", 2), ("unlink", 1), ("unlink", 2), ("rename", 1)])
def test_an_interrupt_while_it_moves_up_undoes_it(shut, monkeypatch, name, times):
    calls = raising_after(monkeypatch, name, times)
    with pytest.raises(KeyboardInterrupt) as raised:
        extract(SEVERAL, shut)
    assert len(calls) >= times
    assert not getattr(raised.value, "__notes__", None)
    assert os.listdir(shut) == []


def test_what_others_put_there_while_it_moves_up_stays(shut, monkeypatch):
    """What has the name of a member that was moved is theirs by then, and what was filled goes."""
    link = os.link

    def replaced(name, *more, **options):
        link(name, *more, **options)
        os.rename(shut / name, shut / "away")
        (shut / name).write_text("theirs")
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "link", replaced)
    with pytest.raises(KeyboardInterrupt):
        extract([SEVERAL[0]], shut)
    assert (shut / "a").read_text() == "theirs"
    assert sorted(os.listdir(shut)) == ["a", "away"]


def test_links_are_moved_up_as_links(shut):
    extract([(Entry("0", "symlink", target="a"), []), *SEVERAL], shut)
    assert os.readlink(shut / "0") == os.readlink(shut / "l") == "a"
    assert sorted(os.listdir(shut)) == ["0", "a", "d", "l"]


def test_what_comes_to_stand_there_stays_on_a_disk_without_hard_links(shut, monkeypatch):
    def refuses(*_, **options):
        raise OSError(errno.EPERM, "no links")

    def members():
        yield SEVERAL[0]
        (shut / "a").write_text("theirs")

    monkeypatch.setattr(os, "link", refuses)
    with pytest.raises(DestinationExistsError, match="something came to stand at"):
        extract(members(), shut)
    assert (shut / "a").read_text() == "theirs"
    assert os.listdir(shut) == ["a"]


def test_it_is_filled_again_where_it_was_taken_away(shut, monkeypatch):
    """The hidden directory is gone when what was moved up has to go down again."""
    rename = os.rename

    def taken(name, other, **options):
        monkeypatch.setattr(os, "rename", rename)
        rename(name, other, **options)
        (away,) = shut.glob(".target.keystow-*.partial")
        rename(away, shut.parent / "taken")
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", taken)
    with pytest.raises(KeyboardInterrupt):
        extract([SEVERAL[1]], shut)
    assert os.listdir(shut) == []
    assert os.listdir(shut.parent / "taken") == []


def test_all_is_moved_up_on_a_disk_without_hard_links(shut, monkeypatch):
    def refuses(*_, **options):
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refuses)
    extract(SEVERAL, shut)
    assert sorted(os.listdir(shut)) == ["a", "d", "l"]
    assert (shut / "a").read_text() == "x"


def test_one_that_cannot_be_opened_goes_again(tmp_path, monkeypatch):
    opening = os.open

    def refuses(path, flags, mode=0o777, *, dir_fd=None):
        if hidden(os.fsdecode(path)):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return opening(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuses)
    with pytest.raises(OSError, match="Too many open files"):
        extract(FILE, tmp_path / "target")
    assert os.listdir(tmp_path) == []


def test_one_that_is_never_ours_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(partial, "_is_new_and_ours", lambda *_: False)
    with pytest.raises(DestinationChangedError):
        extract(FILE, tmp_path / "target")


def test_what_is_removed_if_it_is_empty(opened, monkeypatch):
    _, place = opened(0o755, 0o755)
    assert not partial._remove_if_empty("absent", place)
    os.mkdir("new/theirs", dir_fd=place)
    assert not partial._remove_if_empty("new", place)
    os.rmdir("new/theirs", dir_fd=place)
    assert partial._remove_if_empty("new", place)
    assert os.listdir(place) == []

    def refuses(*_, **options):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "rmdir", refuses)
    with pytest.raises(PermissionError):
        partial._remove_if_empty("new", place)


# -- whether the directory that was made is the one that is open


@pytest.fixture
def opened(tmp_path):
    """Opens a place of a mode, and the directory in it."""
    descriptors = []

    def opening(around, mode):
        (tmp_path / "place").mkdir()
        (tmp_path / "place/new").mkdir()
        os.chmod(tmp_path / "place/new", mode)
        os.chmod(tmp_path / "place", around)
        descriptors.extend(os.open(tmp_path / path, os.O_RDONLY) for path in ("place/new", "place"))
        return descriptors

    yield opening
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("around", "mode", "is_ours"),
    [(0o777, 0o1700, True), (0o755, 0o755, True), (0o1777, 0o755, True), (0o777, 0o755, False), (0o775, 0o755, False)],
)
def test_whether_what_is_open_was_just_made(opened, around, mode, is_ours):
    assert partial._is_new_and_ours(*opened(around, mode)) is is_ours


def test_what_holds_something_was_not_just_made(opened):
    new, place = opened(0o755, 0o1700)
    os.mkdir("theirs", dir_fd=new)
    assert not partial._is_new_and_ours(new, place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize(("owner", "is_ours"), [(0, True), (4321, True), (1234, False)])
def test_whose_place_it_is(opened, monkeypatch, owner, is_ours):
    """One of root's or of our own, as nobody else can replace what is in it."""
    new, place = opened(0o755, 0o755)
    os.chown(place, owner, owner)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert partial._is_new_and_ours(new, place) is is_ours


@pytest.mark.parametrize(("given", "is_ours"), [(0o777, True), (0o755, False)])
def test_a_disk_that_keeps_no_modes(opened, monkeypatch, given, is_ours):
    new, place = opened(0o777, 0o777)
    monkeypatch.setattr(partial, "_mode_of_new", lambda where, mode: given if (where, mode) == (new, 0o1700) else 0)
    assert partial._is_new_and_ours(new, place) is is_ours
    monkeypatch.setattr(os, "geteuid", lambda: -5)
    assert not partial._is_new_and_ours(new, place)


@pytest.mark.parametrize("mode", [0o700, 0o1700, 0o500])
def test_the_mode_that_a_new_directory_gets(opened, mode):
    new, _ = opened(0o755, 0o755)
    assert partial._mode_of_new(new, mode) == mode
    assert os.listdir(new) == []


def test_a_system_that_tells_of_no_mounts_tells_of_disks(opened, monkeypatch):
    new, place = opened(0o755, 0o755)
    assert partial._mount(new) == partial._mount(place)
    assert partial._mount(new)[1].startswith("mnt_id:")

    def refuses(*_):
        raise OSError

    monkeypatch.setattr("builtins.open", refuses)
    found = partial._mount(new)
    monkeypatch.undo()
    assert found == (os.fstat(new).st_dev, "")
