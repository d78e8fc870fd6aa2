"""What was said of large objects: it counts once, and is bounded."""

from keystow.backends.sending.known import MOST, Known, Version


def test_what_was_named_last_counts_once():
    known = Known()
    known.add("key", None, Version(1, "a"))
    known.add("key", None, Version(2, "b"))
    known.add("key", "old", Version(3, "c"))
    assert known.take("key", None) == (2, "b")
    assert known.take("key", None) is None
    assert known.take("key", "old") == (3, "c")


def test_what_nobody_reads_is_forgotten_in_the_end():
    known = Known()
    for number in range(MOST + 1):
        known.add(str(number), None, Version(number, "tag"))
    assert known.take("0", None) is None
    assert known.take("1", None) == (1, "tag")
    assert known.take(str(MOST), None) == (MOST, "tag")
