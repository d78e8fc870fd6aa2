"""What an archive may cost, to the unit (``Limits``)."""

import pytest

from keystow.archive import CorruptArchiveError, Entry, LimitExceededError, Limits
from keystow.archive.checked import Checked
from keystow.archive.limits import Budget, Room

PLENTY = Room(1 << 60, None, 4000)
FREE = 100_000_000
EVERYTHING = Limits(None, None, None, None, None)


def take(budget, *entries):
    checked = Checked()
    for entry in entries:
        budget.take(entry, checked.admit(entry))


def refused(budget, *entries):
    with pytest.raises(LimitExceededError) as caught:
        take(budget, *entries)
    return caught.value.limit, str(caught.value)


def test_the_defaults():
    assert Limits() == Limits(members=1_000_000, bytes=None, ratio=100, depth=256, names=64_000_000)


FILES = [Entry("a/b", "file", size=3), Entry("c", "file", size=4)]
"""Three members with the directory that is implied, 7 bytes, and 3 bytes of names."""


@pytest.mark.parametrize(
    ("field", "most", "what"), [("members", 3, "members"), ("bytes", 7, "bytes"), ("names", 3, "bytes of names")]
)
def test_a_limit_is_reached_and_not_passed(field, most, what):
    take(Budget(Limits(**{field: most}), PLENTY), *FILES)
    limit, said = refused(Budget(Limits(**{field: most - 1}), PLENTY), *FILES)
    assert limit == field
    assert said == f"the archive holds more than {most - 1} {what}: raise Limits({field}=…)"


@pytest.mark.parametrize(("room", "what"), [(Room(1 << 60, 2, 4000), "2 members"), (Room(6, None, 4000), "6 bytes")])
def test_the_disk_is_a_limit(room, what):
    limit, said = refused(Budget(EVERYTHING, room), *FILES)
    assert (limit, said) == ("disk", f"the archive holds more than the {what} that the disk has room for")
    take(Budget(EVERYTHING, Room(7, 3, 4000)), *FILES)


@pytest.mark.parametrize(("given", "free", "limit"), [(6, 6, "bytes"), (5, 6, "bytes"), (7, 6, "disk")])
def test_the_smaller_limit_is_told(given, free, limit):
    assert refused(Budget(Limits(bytes=given), Room(free, None, 4000)), *FILES, Entry("d", "file", size=4))[0] == limit


def test_what_announces_less_than_nothing_is_refused():
    with pytest.raises(CorruptArchiveError, match="the member 'a' announces -1 bytes"):
        take(Budget(EVERYTHING, PLENTY), Entry("a", "file", size=-1))


def test_no_level_at_all():
    with pytest.raises(LimitExceededError, match="lies 1 levels deep, and 0 are allowed"):
        Budget(Limits(depth=0), PLENTY).check_name("a")


def test_a_name_is_as_deep_as_it_may_be():
    budget = Budget(Limits(depth=3), PLENTY)
    budget.check_name("a/b/c")
    budget.check_name("long/names/too")
    for name in ("a/b/c/d", "a/b/c/d/e"):
        with pytest.raises(
            LimitExceededError, match=r"levels deep, and 3 are allowed: raise Limits\(depth=…\)"
        ) as caught:
            budget.check_name(name)
        assert f"lies {name.count('/') + 1} levels" in str(caught.value)
        assert caught.value.limit == "depth"
    Budget(Limits(depth=None), PLENTY).check_name("a/" * 1000 + "b")


@pytest.mark.parametrize("depth", [None, 256])
def test_a_name_is_as_long_as_a_path_may_be(depth):
    budget = Budget(Limits(depth=depth), Room(1 << 60, None, 8))
    for name in ("a" * 8, "\ud800" * 2 + "aa", "\N{GRINNING FACE}" * 2, "ä" * 4, ""):
        budget.check_name(name)
    for name in ("a" * 9, "\N{GRINNING FACE}" * 3, "ä" * 4 + "a"):
        with pytest.raises(LimitExceededError, match="its path would be longer than a path can be") as caught:
            budget.check_name(name)
        assert caught.value.limit == "disk"


DIRECTORY = Entry("d", "directory")


@pytest.mark.parametrize(
    ("entries", "cost"),
    [
        ([Entry("f", "file")], 256),
        ([Entry("f", "file", size=1000)], 256),
        ([Entry("l", "symlink", target="f")], 256),
        ([DIRECTORY], 2048),
        ([Entry("d/e/f", "file")], 2 * 4096 + 256),
        ([Entry("d/e", "directory")], 4096 + 2048),
        ([Entry("d/f", "file"), DIRECTORY], 256 + 2048),
    ],
)
def test_what_a_member_costs(entries, cost):
    """Content is spent as it is written."""
    budget = Budget(Limits(), PLENTY, lambda: 0)
    take(budget, *entries)
    budget.spend(FREE - cost)
    with pytest.raises(LimitExceededError, match="takes more than 100 bytes of disk for each of the 0 that were read"):
        budget.spend(1)


def test_what_was_read_allows_for_more():
    read = 0
    budget = Budget(Limits(ratio=70), PLENTY, lambda: read)
    budget.spend(FREE)
    read = FREE // 70
    with pytest.raises(
        LimitExceededError, match=r"more than 70 bytes of disk for each of the 1428571 .*Limits\(ratio=…\)"
    ) as caught:
        budget.spend(1)
    assert caught.value.limit == "ratio"
    read = 2_000_000
    budget.spend(40_000_000 - 1)
    with pytest.raises(LimitExceededError):
        budget.spend(1)


def test_a_ratio_of_nothing_allows_for_nothing():
    with pytest.raises(LimitExceededError):
        Budget(Limits(ratio=0), PLENTY, lambda: 2 * FREE).spend(FREE + 1)


def test_without_a_ratio_or_a_size_nothing_is_too_much():
    for budget in (Budget(Limits(ratio=None), PLENTY, lambda: 1), Budget(Limits(), PLENTY)):
        budget.spend(1 << 50)
    with pytest.raises(LimitExceededError):
        Budget(Limits(), PLENTY, lambda: 1).spend(1 << 50)
