import gzip as stdlib
import random
import subprocess
import threading
import tracemalloc
import zlib

import pytest
from archive_strategies import chunkings, cut, examples
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from keystow.archive import CorruptArchiveError, gunzip, gzip
from keystow.archive.threads import WAITING

MIB = 1 << 20
RANDOM = random.Random(0)
DATA = {
    "empty": b"",
    "byte": b"x",
    "block": bytes(MIB),
    "block+1": b"ab" * (MIB // 2) + b"c",
    "blocks": b"keystow " * (3 * MIB // 8),
    "mixed": RANDOM.randbytes(MIB + 17) + bytes(2 * MIB) + b"0123456789" * 50_000,
}


def by_program(archive: bytes) -> bytes:
    subprocess.run(["gzip", "-t"], input=archive, check=True)
    return subprocess.run(["gzip", "-dc"], input=archive, check=True, capture_output=True).stdout


READERS = {
    "gunzip": by_program,
    "zlib": lambda archive: zlib.decompress(archive, 16 + zlib.MAX_WBITS),
    "isal": lambda archive: isal_zlib.decompress(archive, 16 + zlib.MAX_WBITS),
    "python": stdlib.decompress,
    "keystow": lambda archive: b"".join(gunzip([archive])),
}


@pytest.mark.slow
@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_every_reader_reads_every_level(data, level):
    archive = b"".join(gzip([data], level=level))
    assert archive == b"".join(gzip([data], level=level, threads=5))
    for name, read in READERS.items():
        assert read(archive) == data, name


def test_it_is_one_member_with_no_name_and_no_time():
    archive = b"".join(gzip([DATA["mixed"]]))
    assert archive[:10] == b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert member.decompress(archive) == DATA["mixed"]
    assert member.eof
    assert member.unused_data == b""


def test_levels_are_worth_their_names():
    text = " ".join(str(RANDOM.random()) for _ in range(50_000)).encode()
    sizes = {level: sum(map(len, gzip([text], level=level))) for level in (0, 2, 3, 4, 6, 9)}
    assert sizes[9] <= sizes[6] < sizes[4] == sizes[3] < sizes[2] < len(text) < sizes[0]


STORED = 5
"""The bytes before each 65,535 of what is stored (RFC 1951, section 3.2.4), and of the empty block at an end."""
FRAME = 10 + 2 + 8


@pytest.mark.parametrize("size", [1, 0xFFFF, 0x10000, MIB // 4, MIB, 3 * MIB + 5])
def test_what_does_not_shrink_is_stored_at_any_level(size):
    noise = RANDOM.randbytes(size)
    blocks = [min(MIB, size - start) for start in range(0, size, MIB)]
    stored = size + sum(STORED * -(-block // 0xFFFF) for block in blocks)
    assert {sum(map(len, gzip([noise], level=level))) for level in range(10)} == {stored + FRAME}


def test_level_0_stores_all():
    assert sum(map(len, gzip([bytes(MIB)], level=0))) == MIB + STORED * 17 + FRAME


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("level", [2, 6])
def test_what_shrinks_in_part_is_compressed(share, level):
    text = b"".join(b"%d squared is %d\n" % (n, n * n) for n in range(60_000))[: int(share * MIB)]
    noise = RANDOM.randbytes(MIB - len(text))
    saved = {
        at: MIB - sum(map(len, gzip([noise[:at], text, noise[at:]], level=level))) for at in (0, MIB // 3, len(noise))
    }
    assert min(saved.values()) > 0.25 * len(text)


@pytest.mark.parametrize("option", [{"level": -1}, {"level": 10}, {"threads": 0}, {"threads": -2}])
def test_what_there_is_not_is_refused_before_anything_is_read(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))}={next(iter(option.values()))}"):
        gzip(iter(()), **option)


def test_an_error_of_the_source_comes_through_and_ends_the_threads():
    def chunks():
        yield bytes(3 * MIB)
        raise ConnectionResetError("the disk went away")

    with pytest.raises(ConnectionResetError, match="the disk went away"):
        list(gzip(chunks(), threads=3))
    abandoned = gzip([bytes(9 * MIB)], threads=3)
    for _ in range(3):
        next(abandoned)
    abandoned.close()
    assert "keystow-gzip" not in {thread.name for thread in threading.enumerate()}


def test_it_reads_no_further_than_its_threads_can_take():
    read = 0

    def chunks():
        nonlocal read
        for _ in range(64):
            read += 1
            yield bytes(MIB)

    archive = gzip(chunks(), threads=3)
    for _ in range(2):
        next(archive)
    assert read <= 3 + WAITING + 1


def test_memory_is_bounded_by_threads_times_block():
    tracemalloc.start()
    try:
        whole = sum(map(len, gunzip(gzip((bytes(MIB) for _ in range(200)), threads=2))))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert whole == 200 * MIB
    assert peak < 16 * MIB


def test_gunzip_gives_a_bomb_in_pieces():
    bomb = zlib.compress(bytes(50 * MIB), wbits=16 + zlib.MAX_WBITS)
    assert {len(piece) for piece in gunzip([bomb])} <= set(range(MIB + 1))
    first = next(gunzip([bomb]))
    assert len(first) <= MIB


data = st.one_of(st.binary(max_size=300), st.builds(bytes, st.integers(0, 3 * MIB)), st.sampled_from([*DATA.values()]))


@examples(60)
@given(data, chunkings, chunkings, st.integers(0, 9), st.integers(1, 4))
def test_gunzip_undoes_gzip_whatever_the_chunks(data, sizes, read_sizes, level, threads):
    archive = b"".join(gzip(cut(data, sizes), level=level, threads=threads))
    assert b"".join(gunzip(cut(archive, read_sizes))) == data


@examples(60)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=6), chunkings, st.integers(0, 3))
def test_gunzip_reads_members_one_after_the_other(members, sizes, zeros):
    archive = b"".join(map(stdlib.compress, members)) + bytes(zeros)
    assert b"".join(gunzip(cut(archive, sizes))) == b"".join(members)
    assert b"".join(gunzip(bytes([byte]) for byte in archive)) == b"".join(members)


HEADER_FIELDS = {4: b"\x02\x00ab", 8: b"name\0", 16: b"comment\0"}


def with_header(flags: int) -> bytes:
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    header += b"".join(field for flag, field in HEADER_FIELDS.items() if flags & flag)
    if flags & 2:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + SOUND[10:]


@pytest.mark.parametrize("flags", range(0, 32, 2))
def test_gunzip_reads_headers_with_any_fields(flags):
    assert b"".join(gunzip([with_header(flags)])) == b"hello" * 30


@pytest.mark.parametrize("flags", [0, 4, 8, 16])  # ISA-L loses its place in headers of several fields
def test_gunzip_reads_headers_byte_by_byte(flags):
    assert b"".join(gunzip(bytes([byte]) for byte in with_header(flags))) == b"hello" * 30


SOUND = stdlib.compress(b"hello" * 30, mtime=0)


@pytest.mark.parametrize("size", range(len(SOUND)))
def test_what_is_cut_short_is_refused(size):
    with pytest.raises(CorruptArchiveError):
        list(gunzip([SOUND[:size]]))
    with pytest.raises(CorruptArchiveError):
        list(gunzip(bytes([byte]) for byte in SOUND + SOUND[:size] if size))


@pytest.mark.parametrize(
    "archive",
    [
        b"plain text",
        b"PK\x03\x04",
        SOUND + b"rest",
        SOUND + b"\0\0rest",
        SOUND[:-1] + bytes([SOUND[-1] ^ 1]),
        SOUND[:-8] + bytes([SOUND[-8] ^ 1]) + SOUND[-7:],
        b"\x1f\x8b\x07" + SOUND[3:],
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_gzip_is_refused(archive, size):
    with pytest.raises(CorruptArchiveError):
        list(gunzip(archive[at : at + size] for at in range(0, len(archive), size)))


@examples(300)
@given(st.data())
def test_a_flipped_bit_never_gives_other_content(data):
    at = data.draw(st.integers(0, len(SOUND) * 8 - 1))
    flipped = bytearray(SOUND)
    flipped[at // 8] ^= 1 << at % 8
    try:
        assert b"".join(gunzip([bytes(flipped)])) == b"hello" * 30
    except CorruptArchiveError:
        return


@pytest.mark.slow
def test_many_tiny_members_take_no_more_memory_than_one():
    archive = stdlib.compress(b"") * 100_000
    tracemalloc.start()
    try:
        assert b"".join(gunzip([archive])) == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB
