"""Headers and content, wherever the chunks of the stream are cut."""

import pytest
from archive_strategies import END, chunkings, contents, cut, examples, member, names, pax, record
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive import CorruptArchiveError, Entry, UnsafeArchiveError
from keystow.archive.untar import untar

HIGH = member(b"\xff" * 100, prefix=b"\xfe" * 155, target=b"\xff" * 100, content=b"x")


def read(chunks):
    return [(entry, b"".join(content)) for entry, content in untar(chunks)]


def test_a_header_of_high_bytes_has_the_sum_of_them_all():
    ((entry, content),) = read([HIGH + END])
    assert sum(HIGH[:512]) > 65521
    assert entry.name == "\udcfe" * 155 + "/" + "\udcff" * 100
    assert content == b"x"


@pytest.mark.parametrize("off", [1, -1, 65521, -65521])
@pytest.mark.parametrize("header", [HIGH, member(b"a")])
def test_a_sum_that_is_off_is_refused(header, off):
    right = int(header[148:154], 8)
    wrong = header[:148] + b"%06o\0 " % (right + off if right + off >= 0 else right + 1) + header[156:]
    with pytest.raises(CorruptArchiveError, match="fails its checksum"):
        read([wrong + END])


@pytest.mark.parametrize("form", [b"%07o\0", b"%06o \0", b"%07o ", b" %06o\0", b"%08o"])
def test_numbers_written_otherwise_are_the_same_numbers(form):
    usual = member(b"a", mode=b"0000755\0", mtime=b"00000001234\0")
    assert read([member(b"a", mode=form % 0o755, mtime=b"       1234\0") + END]) == read([usual + END])


@examples(100)
@given(st.lists(st.tuples(names, contents), max_size=6), chunkings)
def test_any_chunks_give_the_same_members(files, sizes):
    raw = [(name.encode("utf-8", "surrogateescape"), content) for name, content in files]
    archive = b"".join(pax(path=name) + member(b"-", content=content) for name, content in raw) + END
    assert [(entry.name, content) for entry, content in read(cut(archive, sizes))] == files


def test_content_that_nobody_read_is_passed_over():
    archive = member(b"a", content=b"x" * 2000) + member(b"b", content=b"y") + END
    for size in (100, 512, 5000):
        chunks = (archive[at : at + size] for at in range(0, len(archive), size))
        assert [entry.name for entry, _ in untar(chunks)] == ["a", "b"]


# -- what a header says, to the byte


def resealed(header):
    """A header that was changed, with the sum that it has now."""
    blank = header[:148] + b" " * 8 + header[156:512]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def entry_of(*members):
    ((entry, _),) = read([b"".join(members) + END])
    return entry


def refused(error, *members):
    with pytest.raises(error) as caught:
        read([b"".join(members) + END])
    return str(caught.value)


def test_what_is_no_link_has_no_target():
    assert entry_of(member(b"a", target=b"b", content=b"xyz")) == Entry("a", "file", 3)
    assert entry_of(member(b"a", b"5", target=b"b")) == Entry("a", "directory")
    for kind in (b"\0", b"7"):
        assert entry_of(member(b"a/", kind)) == Entry("a", "directory")
        cut = pax(path=b"d/" + b"f" * 120) + member(b"d/", kind, b"xyz")
        assert entry_of(cut) == Entry("d/" + "f" * 120, "file", 3)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (b"3", "a device"), (b"4", "a device"), (b"6", "a FIFO"), (b"S", "a sparse file"),
        (b"X", "of an unknown kind b'X'"), (b"s", "of an unknown kind b's'"), (b"A", "of an unknown kind b'A'"),
    ],
)  # fmt: skip
def test_other_kinds_are_refused_by_name(kind, what):
    for name in (b"a", b"a/"):
        said = refused(UnsafeArchiveError, member(name, kind), member(b"b"))
        assert said == f"the member 'a' is {what}, and results hold no such thing"


@pytest.mark.parametrize(
    ("start", "stop", "what"), [(100, 108, "mode"), (124, 136, "size"), (136, 148, "time"), (148, 156, "checksum")]
)
def test_what_is_no_number_is_named(start, stop, what):
    header = member(b"a")
    field = b"9" * (stop - start)
    broken = header[:start] + field + header[stop:]
    said = refused(CorruptArchiveError, broken if what == "checksum" else resealed(broken))
    assert said == f"a tar header holds {field!r} for a {what}"


def test_fields_end_where_they_do():
    assert entry_of(member(b"a", mode=b"100\0\0\0\0\0")).executable
    assert not entry_of(member(b"a", mode=b"0000677\0")).executable
    target = b"t" * 100
    assert entry_of(member(b"a", b"2", target=target)).target == "t" * 100
    full = member(b"a", prefix=b"p" * 155)
    assert entry_of(resealed(full[:500] + b"x" + full[501:])).name == "p" * 155 + "/a"
    numbers = b"0000644\0".ljust(24, b"x") + b"00000000001\0" * 2 + b"000000\0 "
    assert entry_of(member(numbers)) == Entry("0000644", "file")


@pytest.mark.parametrize("name", [b"n" * 4095, b"n" * 4096])
def test_names_and_targets_are_as_long_as_a_path(name):
    there = (
        pax(path=name) + member(b"-"),
        pax(linkpath=name) + member(b"l", b"2"),
        pax(linkpath=name) + member(b"l", b"1"),
    )
    if len(name) == 4095:
        assert [entry_of(each).name for each in there] == ["n" * 4095, "l", "l"]
        assert [entry_of(each).target for each in there] == ["", "n" * 4095, "n" * 4095]
    else:
        for each in there:
            assert "longer than 4095 bytes" in (said := refused(UnsafeArchiveError, each)) or "no usable target" in said


@pytest.mark.parametrize(
    "name", [b"a/b", b"./a/b", b"a//b", b"a/./b", b"a/b/", b"a/b//", b"a/b/.", b"a/b/./", b".//a/b"]
)
def test_a_name_is_made_simple(name):
    assert entry_of(pax(path=name) + member(b"-")).name == "a/b"


def test_a_long_name_of_gnus_ends_with_its_first_zero():
    assert entry_of(member(b"L", b"L", b"a\0b\0"), member(b"-")).name == "a"


def test_a_keyword_that_is_no_text_says_nothing():
    assert entry_of(member(b"x", b"x", record(b"\xff", b"?") + record(b"path", b"a")), member(b"-")).name == "a"


@pytest.mark.parametrize("seconds", [-(1 << 63), (1 << 63) - 1])
def test_times_are_what_64_bits_hold(seconds):
    assert entry_of(pax(mtime=b"%d" % seconds), member(b"a")).mtime == seconds
    beyond = seconds + (1 if seconds > 0 else -1)
    assert f"a time of {beyond} seconds" in refused(CorruptArchiveError, pax(mtime=b"%d" % beyond), member(b"a"))


def test_a_header_is_as_long_as_it_may_be():
    longest = record(b"comment", b"x" * ((1 << 20) - len(b"1048576 comment=\n")))
    assert len(longest) == 1 << 20
    assert entry_of(member(b"x", b"x", longest), member(b"a")).name == "a"
    longer = record(b"comment", b"x" * ((1 << 20) - len(b"1048576 comment=\n") + 1))
    said = refused(UnsafeArchiveError, member(b"x", b"x", longer), member(b"a"))
    assert said == "a tar header of 1048577 bytes is past the 1048576 that are read"


def records(count):
    """A header with so many records, each of which says nothing."""
    return member(b"x", b"x", b"6 a=b\n" * count)


LONG_NAME = member(b"L", b"L", b"a\0")


@pytest.mark.parametrize(
    ("fits", "more"),
    [
        ([records(99_999)], [records(100_000)]),
        ([records(99_999), member(b"a"), records(63)], [records(99_999), member(b"a"), records(64)]),
        ([records(1), member(b"a"), records(100_000 - 2 + 64 - 1)], [records(1), member(b"a"), records(100_062)]),
        ([records(99_997), LONG_NAME], [records(99_998), LONG_NAME]),
        ([records(49_999), records(49_999)], [records(49_999), records(50_000)]),
    ],
)  # fmt: skip
def test_headers_that_are_no_members_are_counted(fits, more):
    """Each, and each record in it: 100,000 in all, and 64 more with each member."""
    read([b"".join(fits) + member(b"b") + END])
    said = refused(UnsafeArchiveError, *more, member(b"b"))
    assert said == "the archive holds more extended headers than its members can have"


@pytest.mark.parametrize("name", [b"a\0b", b"..", b"../a", b"a/../b", b"a/..", b"/a", b"/"])
def test_a_name_that_leads_elsewhere_is_refused(name):
    said = refused(UnsafeArchiveError, pax(path=name) + member(b"-"))
    assert said.endswith("would leave the directory")
