"""The same tree gives the same bytes on every x86-64 processor that has SSE4.2.

ISA-L has code of its own for each kind of vector registers, of which qemu has all but AVX-512: that one is tried where
the machine of the tests has it.
"""

import functools
import platform
import random
import shutil
import subprocess
import sys
from pathlib import Path

import isal
import pytest
from archive_strategies import lay

import keystow

EMULATOR = shutil.which("qemu-x86_64")
PROCESSORS = ["Nehalem", "Haswell", "Skylake-Client", "EPYC"]
LEVELS = ["0", "1", "2", "3", "6"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="this is no x86-64, whose processors are emulated"),
    pytest.mark.skipif(EMULATOR is None, reason="no processors but this one: apt-get install qemu-user"),
]


def sample():
    """Members of which each makes a compressor work in another way."""
    chance = random.Random(0)
    words = [bytes(chance.choices(b"abcdefghijklmnop", k=chance.randint(2, 9))) for _ in range(3000)]
    return {
        "text": b" ".join(chance.choices(words, k=100_000)),
        "table.csv": b"".join(b"%d,%.6f,%s\n" % (n, chance.random(), b"ab" * (n % 7)) for n in range(20_000)),
        "noise": chance.randbytes(600_000),
        "zeros": bytes(1_000_000),
        "numbers": b"".join(chance.randrange(1 << 12).to_bytes(4, "little") for _ in range(100_000)),
        "letters": bytes(chance.choices(b"ACGT", k=300_000)),
        **{f"again/{size}": chance.randbytes(size) * (200_000 // size) for size in (3, 257, 259, 32_767, 32_768)},
        **{f"small/{n}": chance.randbytes(chance.randrange(200)).hex().encode() for n in range(300)},
    }


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    """``sums(processor)``: SHA-256 by level, of the sample packed by an emulated processor, or by this machine's."""
    tree = lay(tmp_path_factory.mktemp("sample") / "tree", sample())
    places = [Path(package.__file__).parent.parent for package in (keystow, isal)]
    program = [sys.executable, "-I", "-S", Path(__file__).parent / "sums_run.py", tree, *places]

    @functools.cache
    def packed(processor=None):
        emulated = [EMULATOR, "-cpu", processor] if processor else []
        done = subprocess.run([*emulated, *program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines())

    return packed


def test_avx_512_gives_what_avx2_does(sums):
    if "avx512f" not in Path("/proc/cpuinfo").read_text("utf-8").split():
        pytest.skip("this processor has no AVX-512, nor has any that is emulated")
    here, there = sums(), sums("Haswell")
    assert {level: there[level] for level in LEVELS} == {level: here[level] for level in LEVELS}


@pytest.mark.parametrize("processor", PROCESSORS)
def test_each_level_is_the_same_as_here(sums, processor):
    here, there = sums(), sums(processor)
    assert {level: there[level] for level in LEVELS} == {level: here[level] for level in LEVELS}


def test_level_3_of_isal_would_differ(sums):
    """This is why level 3 is zlib's. If this fails, ISA-L's may come back."""
    assert len({sums(processor)["ISA-L's 3"] for processor in (None, *PROCESSORS)}) > 1


def test_without_sse4_2_they_are_others(sums):
    """ISA-L's code for these hashes in another way, and the promise leaves them out, but for what is stored.

    From 3 on it decides what is compressed at all, of blocks that hardly shrink.
    """
    here, there = sums(), sums("Conroe")
    assert [level for level in ("0", "1", "2") if there[level] != here[level]] == ["1", "2"]
