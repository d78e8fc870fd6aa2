"""What was said of large objects: it counts once, and is bounded."""

import pytest

from keystow.backends.sending.known import MOST, MOST_WRONG, Known, Version


def test_what_was_named_last_counts_once():
    known = Known()
    known.add("key", None, Version(1, "a"))
    known.add("key", None, Version(2, "b"))
    known.add("key", "old", Version(3, "c"))
    assert known.take("key", None) == (2, "b")
    assert known.take("key", None) is None
    assert known.take("key", "old") == (3, "c")


def test_a_size_alone_does_not_take_the_place_of_a_version():
    known = Known()
    known.add("key", None, Version(1, "a"))
    known.add("key", None, Version(2, None))
    assert known.take("key", None) == (1, "a")
    known.add("key", None, Version(2, None))
    assert known.take("key", None) == (2, None)


def test_what_nobody_reads_is_forgotten_in_the_end():
    known = Known()
    for number in range(MOST + 1):
        known.add(str(number), None, Version(number, "tag"))
    assert known.take("0", None) is None
    assert known.take("1", None) == (1, "tag")
    assert known.take(str(MOST), None) == (MOST, "tag")


def test_what_may_have_been_replaced_is_forgotten():
    known = Known()
    known.add("key", None, Version(1, "a"))
    known.add("key", "old", Version(2, "b"))
    known.drop("key")
    known.drop("other")
    assert known.take("key", None) is None
    assert known.take("key", "old") == (2, "b")


@pytest.mark.parametrize(
    ("proofs", "is_over"),
    [
        (["wrong"] * (MOST_WRONG - 1), False),
        (["wrong"] * MOST_WRONG, True),
        ([*["wrong"] * (MOST_WRONG - 1), "right", "wrong"], False),
        (["no ranges"], True),
        (["no ranges", "wrong", "right"], True),
    ],
)
def test_who_names_what_is_not_so_is_not_asked_for_ever(proofs, is_over):
    known = Known()
    known.add("before", None, Version(1, "a"))
    for proof in proofs:
        known.proved(proof)
    known.add("after", None, Version(1, "a"))
    assert (known.take("before", None) is None, known.take("after", None) is None) == (is_over, is_over)
