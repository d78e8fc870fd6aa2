"""Whoever else may write where is unpacked can neither lead it astray nor make it report what is not there."""

import glob
import os
import signal
import stat
import subprocess

import pytest
from archive_strategies import NOBODY, lay, seen
from moments import At, watched

from keystow.archive import DestinationChangedError, DestinationExistsError, Entry, UnsafeArchiveError, extract

OUTSIDE = {"outside/d/canary": b"alive", "outside/canary": b"alive", "precious/canary": b"alive"}


def file(name, content=b"x"):
    return Entry(name, "file", len(content)), [content]


@pytest.fixture
def place(tmp_path):
    return lay(tmp_path / "place", OUTSIDE)


def hidden(place):
    (found,) = [path for path in glob.glob(f"{place}/.target.keystow-*.partial") if not os.path.islink(path)]
    return found


def link_in_place_of(path, target):
    os.rename(path, f"{path}.away")
    os.symlink(target, path)


def other_in_place_of(path, other):
    os.rename(path, f"{path}.away")
    os.rename(other, path)


def canaries(place):
    """The directories that hold a canary which lives, wherever they are."""
    return sorted(os.path.basename(top) for top, _, files in os.walk(place) if files == ["canary"])


def astray(place):
    """Files of ours anywhere but in the target."""
    return [f"{top}/{name}" for top, _, names in os.walk(place) for name in names if name not in {"canary", "theirs"}]


SWAPS = {
    "a link out": lambda place: link_in_place_of(hidden(place), f"{place}/outside"),
    "a directory of ours": lambda place: other_in_place_of(hidden(place), f"{place}/precious"),
    "nothing": lambda place: os.rename(hidden(place), f"{place}/away"),
}


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("swap", SWAPS)
def test_a_directory_that_is_swapped_while_it_is_filled(place, swap, fails, exists):
    if exists:
        os.mkdir(f"{place}/target")

    def members():
        yield file("a")
        yield file("d/e/b")
        SWAPS[swap](place)
        yield file("d/e/c")
        yield file("f/g")
        if fails:
            yield file("../out")

    with pytest.raises(UnsafeArchiveError if fails else DestinationChangedError):
        extract(members(), f"{place}/target")
    assert len(canaries(place)) == 3
    assert astray(place) == []
    assert os.path.exists(f"{place}/target") == exists


@pytest.mark.parametrize("swap", SWAPS)
def test_a_directory_that_is_swapped_before_its_rename(place, swap):
    at = At("os.rename", lambda name: name.endswith(".partial"), lambda: SWAPS[swap](place))
    with watched(at), pytest.raises((DestinationChangedError, DestinationExistsError, FileNotFoundError)):
        extract([file("a")], f"{place}/target")
    assert at.happened
    assert len(canaries(place)) == 3
    assert astray(place) == []


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize("most", [1, 1000])
def test_a_directory_that_is_swapped_as_soon_as_it_was_made(place, swap, most):
    def action():
        if os.path.exists(f"{place}/precious") or swap != "a directory of ours":
            SWAPS[swap](place)

    at = At("open", lambda name: name.endswith(".partial"), action, most)
    with watched(at):
        try:
            extract([file("a")], f"{place}/target")
        except DestinationChangedError:
            assert most > 1
            assert not os.path.exists(f"{place}/target")
        else:
            assert os.listdir(f"{place}/target") == ["a"]
            os.unlink(f"{place}/target/a")
    assert at.happened
    assert len(canaries(place)) == 3
    assert astray(place) == []


def test_a_directory_of_ours_that_anybody_may_enter_is_not_taken_for_the_new_one(open_place):
    """Empty, ours, but open to others: whoever put it there could put links into it later."""
    os.mkdir(f"{open_place}/inbox")
    os.chmod(f"{open_place}/inbox", 0o777)
    at = At("open", lambda name: name.endswith(".partial"), lambda: other_in_place_of(hidden(open_place), inbox))
    inbox = f"{open_place}/inbox"
    with watched(at):
        extract([file("a")], f"{open_place}/target")
    assert at.happened
    (moved,) = glob.glob(f"{open_place}/.target.keystow-????????????????.partial")
    assert os.listdir(moved) == []
    assert stat.S_IMODE(os.stat(moved).st_mode) == 0o777
    assert os.listdir(f"{open_place}/target") == ["a"]


def test_a_directory_of_the_archive_that_becomes_a_link_is_not_followed(place):
    def swap():
        link_in_place_of(f"{hidden(place)}/d", f"{place}/outside")

    at = At("open", lambda name: name == "d", swap)
    with watched(at), pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        extract([file("d/canary2")], f"{place}/target")
    assert at.happened
    assert len(canaries(place)) == 3
    assert astray(place) == []


@pytest.mark.parametrize("by_link", [False, True])
def test_a_directory_that_was_closed_is_the_same_when_it_is_opened_again(place, by_link):
    def members():
        yield file("d/a")
        yield from (file(f"e{i}/a") for i in range(40))
        if by_link:
            link_in_place_of(f"{hidden(place)}/d", f"{place}/outside")
        else:
            other_in_place_of(f"{hidden(place)}/d", f"{place}/precious")
        yield file("d/b")

    with pytest.raises(OSError, match=r"somebody replaced|Not a directory"):
        extract(members(), f"{place}/target")
    assert sorted(os.listdir(place)) == ["outside", *["precious"] * by_link]
    assert canaries(f"{place}/outside") == ["d", "outside"]


def test_what_stands_where_a_file_of_the_archive_belongs_is_not_overwritten(place):
    """``O_EXCL``: neither what is there is written to, nor what a link there leads to."""

    def members(plant):
        yield file("a")
        plant(hidden(place))
        yield file("b", b"ours")

    for plant in (
        lambda at: os.link(f"{place}/outside/canary", f"{at}/b"),
        lambda at: os.symlink(f"{place}/outside/canary", f"{at}/b"),
        lambda at: os.symlink(f"{place}/outside/new", f"{at}/b"),
    ):
        with pytest.raises(ValueError, match="File exists"):
            extract(members(plant), f"{place}/target")
        assert seen(place) == seen(lay(f"{place}/../again", OUTSIDE))


@pytest.mark.parametrize("name", ["d", "e"])
def test_removal_follows_no_link_either(place, name):
    def swap():
        link_in_place_of(f"{hidden(place)}/d/e" if name == "e" else f"{hidden(place)}/d", f"{place}/outside")

    at = At("open", lambda found: found == name, swap)

    def members():
        yield file("d/e/a")
        with_at = watched(at)
        with_at.__enter__()
        try:
            raise ConnectionResetError("gone")
        finally:
            contexts.append(with_at)

    contexts = []
    with pytest.raises(ConnectionResetError) as failed:
        extract(members(), f"{place}/target")
    contexts[0].__exit__(None, None, None)
    assert at.happened
    assert "could be removed" in failed.value.__notes__[0]
    assert canaries(f"{place}/outside") == ["d", "outside"]


def plant_file(target):
    with open(target, "wb") as new:
        new.write(b"theirs")


def plant_tree(target):
    lay(target, {"theirs": b"theirs"})


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("plant", [plant_file, plant_tree, lambda target: os.symlink("outside", target)])
def test_what_appears_at_the_target_meanwhile_is_never_replaced(place, plant, exists):
    target = f"{place}/target"
    if exists:
        os.mkdir(target)

    def action():
        if exists and plant is not plant_tree:
            os.rmdir(target)
        plant(target)
        before.append(seen(place))

    before = []
    at = At("os.rename", lambda name: name.endswith(".partial"), action)
    with watched(at), pytest.raises(DestinationExistsError):
        extract([file("a")], target)
    (found,) = before
    assert seen(place) == {name: what for name, what in found.items() if ".partial" not in name}


def test_a_target_that_leads_elsewhere_in_the_end_is_no_success(place):
    """The parent is swapped: what was unpacked is in order, but not where it was asked for."""
    lay(place, {"parent/x": b""})

    def members():
        yield file("a")
        other_in_place_of(f"{place}/parent", f"{place}/precious")

    with pytest.raises(DestinationChangedError):
        extract(members(), f"{place}/parent/target")
    assert sorted(os.listdir(f"{place}/parent.away")) == ["x"]
    assert len(canaries(place)) == 3


def attack(place, stop):
    """Swaps every hidden directory that appears, until it is stopped; never returns."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    swaps = 0
    while not os.path.exists(stop):
        for name in os.listdir(place):
            if not name.endswith(".partial"):
                continue
            try:
                os.rename(f"{place}/{name}", f"{place}/away-{swaps}")
                if swaps % 3 == 0:
                    os.symlink(f"{place}/outside", f"{place}/{name}")
                elif swaps % 3 == 1:
                    os.mkdir(f"{place}/{name}", 0o777)
                else:
                    os.rename(f"{place}/precious", f"{place}/{name}")
            except OSError:
                pass
            swaps += 1
    os._exit(0 if swaps else 1)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_two_users_race_over_a_shared_directory(open_place):
    """Nobody swaps what root fills as fast as it can: no canary is touched, and what is reported is there."""
    place, stop = lay(f"{open_place}/shared", OUTSIDE), f"{open_place}/stop"
    os.chmod(place, 0o777)
    child = os.fork()
    if not child:
        try:
            attack(place, stop)
        finally:
            os._exit(2)
    done = changed = 0
    try:
        for at in range(3000):
            if at >= 300 and changed:  # on a busy machine the other one may come late
                break
            target = f"{place}/target-{at}"
            try:
                extract([file("d/a"), file("b"), file("d/e/c")], target)
            except (DestinationChangedError, DestinationExistsError, FileNotFoundError):
                changed += 1
            else:
                done += 1
                assert sorted(seen(target)) == ["b", "d", "d/a", "d/e", "d/e/c"]
                assert os.stat(target).st_uid == 0
                subprocess.run(["rm", "-r", target], check=True)
            assert len(canaries(place)) == 3
    finally:
        with open(stop, "w"):
            pass
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert changed
    assert astray(place) == []
