"""Files past 8 GiB, which ustar cannot say, and trees of many entries."""

import itertools
import os
import struct
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator

import pytest
from archive_strategies import OLD, lay
from isal import isal_zlib

from keystow.archive import Entry, Tree, packed, scan, tar

ZEROS = bytes(1 << 20)
SIZE = (8 << 30) + len(ZEROS)
ENTRIES = 100_000


def content(entry: Entry) -> Iterator[bytes]:
    return itertools.repeat(ZEROS, SIZE // len(ZEROS)) if entry.name == "big" else iter([b"after it"])


IN_MEMORY = Tree((Entry("big", "file", SIZE, OLD), Entry("small", "file", 8, OLD)), content)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The archive as a sparse file, in which every reader may skip."""
    path = tmp_path_factory.mktemp("large") / "archive.tar"
    with open(path, "wb") as file:
        for chunk in tar(IN_MEMORY):
            if chunk is ZEROS:
                file.seek(len(ZEROS), os.SEEK_CUR)
            else:
                file.write(chunk)
    assert os.stat(path).st_blocks * 512 < 4 << 20
    return path


@pytest.mark.parametrize("program", ["gnu_tar", "bsdtar"])
def test_programs_read_a_size_past_8_gib_and_find_what_comes_after(archive, request, program):
    command = [request.getfixturevalue(program), "-tvf", archive]
    lines = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    assert [(str(SIZE) in line.split(), line.split()[-1]) for line in lines] == [(True, "big"), (False, "small")]


def test_python_reads_a_size_past_8_gib_and_finds_what_comes_after(archive):
    with tarfile.open(archive) as members:
        assert [(member.name, member.size) for member in members] == [("big", SIZE), ("small", 8)]
        assert members.extractfile("small").read() == b"after it"


@pytest.mark.slow
def test_a_sparse_file_past_8_gib_is_packed(tmp_path, gnu_tar, bsdtar):
    lay(tmp_path, {"big": b"", "small": b"after it"})
    os.truncate(tmp_path / "big", SIZE)
    os.utime(tmp_path / "big", (OLD, OLD))
    start, end, size = b"", b"", 0
    for piece in packed(scan(tmp_path)):
        size += len(piece.data)
        end = piece.data[-8:] if piece.data.startswith(b"\x03\x00") else end
        start = start if len(start) > 10_000 else start + piece.data
    checksum = length = 0
    of_zeros = isal_zlib.crc32(ZEROS)
    for chunk in tar(IN_MEMORY):
        part = of_zeros if chunk is ZEROS else isal_zlib.crc32(chunk)
        checksum = isal_zlib.crc32_combine(checksum, part, len(chunk))
        length += len(chunk)
    assert struct.unpack("<II", end) == (checksum, length & 0xFFFFFFFF)
    assert size < SIZE // 100
    for program in (gnu_tar, bsdtar):
        listed = subprocess.run([program, "-tvzf", "-"], input=start, capture_output=True, check=False).stdout
        assert str(SIZE).encode() in listed.split()


MEASURE = """
    import resource, sys
    from keystow.archive import Tree, gunzip, pack, scan
    from keystow.archive.checked import Checked
    from keystow.archive.untar import untar

    def resident():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    way, source, archive = sys.argv[1:]
    for _ in gunzip(pack(Tree.of({"a": bytes(3 << 20)}))):
        pass
    before = resident()
    if way == "pack":
        tree = scan(source)
        with open(archive, "wb") as file:
            file.writelines(pack(tree))
        entries = len(tree.entries)
    else:
        checked = Checked()
        entries = 0
        with open(archive, "rb") as file:
            for entry, _ in untar(gunzip(iter(lambda: file.read(1 << 20), b""))):
                checked.admit(entry)
                entries += 1
    print(entries, resident() - before)
"""


@pytest.mark.slow
def test_a_hundred_thousand_entries_take_less_than_a_kilobyte_each(tmp_path):
    many = tmp_path / "many"
    for outer in range(100):
        os.makedirs(many / f"directory-{outer:03}")
        directory = os.open(many / f"directory-{outer:03}", os.O_RDONLY)
        for inner in range(999):
            os.close(os.open(f"result-number-{inner:06}.txt", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        os.close(directory)
    for way in ("pack", "unpack"):
        command = [sys.executable, "-c", textwrap.dedent(MEASURE), way, many, tmp_path / "archive"]
        entries, taken = map(int, subprocess.check_output(command).split())
        assert entries == ENTRIES
        assert taken < 1000 * ENTRIES, way
