"""Headers and content, wherever the chunks of the stream are cut."""

import pytest
from archive_strategies import END, chunkings, contents, cut, member, names, pax
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow.archive import CorruptArchiveError
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


@settings(max_examples=100)
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
