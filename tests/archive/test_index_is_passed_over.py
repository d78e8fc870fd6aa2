"""Whatever reads gzip reads an archive with an index as if it had none; programs that are not here are left out."""

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import golden
import pytest
from archive_strategies import seen
from indexed import archive, data_and_index
from isal import igzip

from keystow.archive import Tree, gunzip, tar, unpack

pytestmark = pytest.mark.slow

NAMES = {golden.noise(f"{number}", 1800).hex(): b"" for number in range(400)}
TREES = {"golden": golden.tree(), "long index": Tree.of(NAMES), "no members": Tree.of({})}
PERL = "use IO::Uncompress::Gunzip ':all'; gunzip('-', '-', MultiStream => 1) or die $GunzipError"
NODE = "process.stdin.pipe(require('zlib').createGunzip()).pipe(process.stdout)"
JAVA = """class Main { public static void main(String[] none) throws Exception {
    new java.util.zip.GZIPInputStream(System.in).transferTo(System.out); } }"""
GO = """package main
import ("compress/gzip"; "io"; "os")
func main() { r, e := gzip.NewReader(os.Stdin); if e != nil { panic(e) }
    if _, e = io.Copy(os.Stdout, r); e != nil { panic(e) } }"""
PROGRAMS = {
    "gzip": ["gzip", "-dc"],
    "pigz": ["pigz", "-dc"],
    "igzip": ["igzip", "-dc"],
    "busybox": ["busybox", "gunzip", "-c"],
    "bsdcat": ["bsdcat"],
    "zstd": ["zstd", "-dc", "--format=gzip"],
    "7z": ["7zz", "e", "-si", "-so", "-tgzip"],
    "perl": ["perl", "-e", PERL],
    "node": ["node", "-e", NODE],
    "rapidgzip": ["rapidgzip", "-dc"],
}
TARS = {"tar": ["tar"], "bsdtar": ["bsdtar"], "busybox": ["busybox", "tar"]}


@pytest.fixture(params=list(TREES))
def tree(request):
    return TREES[request.param]


def made_of(tree):
    """An archive, of which one has pages of several gzip members."""
    made = golden.made() if tree is TREES["golden"] else archive(tree)
    return made, b"".join(tar(tree))


def here(program):
    beside = Path(sys.executable).with_name(program)
    return shutil.which(program) or shutil.which(beside) or pytest.skip(f"{program} is not installed")


def piped(command, data):
    done = subprocess.run([here(command[0]), *command[1:]], input=data, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b""), command
    return done.stdout


def test_the_long_index_is_long():
    data, index = data_and_index(TREES["long index"])
    assert sum(map(len, index.pieces)) > 700_000
    assert max(map(len, index.pieces)) > 3 * 65_536
    assert len(data) > 700_000


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_inflate_it(tree, program):
    made, stream = made_of(tree)
    assert piped(PROGRAMS[program], made) == stream


def test_gzip_finds_it_sound(tree):
    piped(["gzip", "-t"], made_of(tree)[0])


@pytest.mark.slow
def test_java_inflates_it(tree, tmp_path):
    (tmp_path / "Main.java").write_text(JAVA)
    made, stream = made_of(tree)
    assert piped(["java", tmp_path / "Main.java"], made) == stream


@pytest.mark.slow
def test_go_inflates_it(tree, tmp_path):
    (tmp_path / "main.go").write_text(GO)
    made, stream = made_of(tree)
    assert piped(["go", "run", tmp_path / "main.go"], made) == stream


def test_python_and_isal_inflate_it(tree):
    made, stream = made_of(tree)
    assert gzip.decompress(made) == stream == igzip.decompress(made)
    for library in (gzip, igzip):
        with library.open(io.BytesIO(made)) as opened:
            assert opened.read() == stream


@pytest.mark.parametrize("size", [1, 100, 65_536, 1 << 20, 1 << 24])
def test_keystow_inflates_it_in_any_pieces(tree, size):
    made, stream = made_of(tree)
    if size == 1:
        made = made[-70_000:]
        made = data_and_index(Tree.of({}))[0] + made[made.find(b"\x1f\x8b\x08\x04\0\0\0\0\0\xff") :]
        stream = b"".join(tar(Tree.of({})))
    pieces = (made[at : at + size] for at in range(0, len(made), size))
    assert b"".join(gunzip(pieces)) == stream


def test_the_data_alone_is_the_archive_without_an_index(tree):
    data, index = data_and_index(tree)
    assert zlib.decompress(data, 31) == b"".join(tar(tree))
    assert gzip.decompress(b"".join(index.pieces)) == b""


@pytest.mark.parametrize("program", TARS)
def test_programs_unpack_it(tmp_path, program):
    made, _ = made_of(TREES["golden"])
    (tmp_path / "made.tar.gz").write_bytes(made)
    (tmp_path / "out").mkdir()
    unpack([made], tmp_path / "keystow")
    here(TARS[program][0])
    command = [*TARS[program], "-xzf", tmp_path / "made.tar.gz", "-C", tmp_path / "out"]
    done = subprocess.run(command, env=os.environ | {"LC_ALL": "C.UTF-8"}, capture_output=True, check=False, timeout=60)
    if program == "busybox":  # it reads no pax headers, so it makes of long names and of old times what it likes
        assert (tmp_path / "out" / "a").read_bytes() == b"hello\n"
        assert b"short read" not in done.stderr
        assert b"corrupt" not in done.stderr
        return
    assert done.returncode == 0
    assert seen(tmp_path / "out") == seen(tmp_path / "keystow")


def test_python_unpacks_it(tmp_path):
    made, _ = made_of(TREES["golden"])
    for mode in ("r:gz", "r|gz"):
        with tarfile.open(fileobj=io.BytesIO(made), mode=mode) as opened:
            assert len(opened.getmembers()) == len(golden.tree().entries)
