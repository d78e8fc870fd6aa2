"""Files under a directory: processes that are killed, disks that are old, full or somebody else's, listings."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keystow.backends import (
    AlreadyExistsError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    UnsupportedError,
    file,
    open_store,
)

pytestmark = pytest.mark.slow

OLD_DISK = os.O_DIRECTORY | os.O_WRONLY
"""What the kernel makes of O_TMPFILE where it is unknown: it refuses, as an old disk does."""


@pytest.fixture(params=["nameless", "hidden"], autouse=True)
def disk(request, monkeypatch) -> str:
    """With files that have no name, and as on a disk that knows none."""
    if request.param == "hidden":
        monkeypatch.setattr(file, "_NAMELESS", OLD_DISK)
    return request.param


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root):
    return open_store(f"file://{root}")


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


KILLED = """
import os, signal, sys
from keystow.backends import file, open_store
root, disk, when, if_absent = sys.argv[1:]
if disk == "hidden":
    file._NAMELESS = os.O_DIRECTORY | os.O_WRONLY
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def watch(event, arguments):
    if event == when:
        die()
def chunks():
    for number in range(4):
        if when == str(number):
            die()
        yield b"new" * 1_000_000
sys.addaudithook(watch)
open_store(f"file://{root}").write("dir/object", chunks(), if_absent=if_absent == "True")
"""


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no disk here that keeps any time")
def test_a_time_that_no_datetime_holds_ends_no_list() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        for name, at in (("a", 1 << 40), ("b", 0)):
            Path(root, name).touch()
            os.utime(Path(root, name), (at, at))
        store = open_store(f"file://{root}")
        assert [found.modified for found in store.list()] == [None, datetime(1970, 1, 1, tzinfo=UTC)]
        assert store.stat("a").modified is None


@pytest.mark.parametrize("when", ["0", "1", "3", "os.mkdir", "os.link", "os.rename", "never"])
@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "over an old object"])
def test_a_process_that_is_killed_leaves_no_half(store, root, disk, when, old) -> None:
    if old is not None:
        store.write("dir/object", [old])
    done = child(KILLED, root, disk, when, old is None)
    unneeded = "os.rename" if old is None else "os.link" if disk == "hidden" else None
    reached = when in {"never", unneeded}
    assert done.returncode == (0 if reached else -signal.SIGKILL), done.stderr
    expected = b"new" * 4_000_000 if reached else old
    assert {stat.key for stat in store.list()} == (set() if expected is None else {"dir/object"})
    if expected is not None:
        assert b"".join(store.read("dir/object")) == expected
    # On the way to replace an object the file has a hidden name for a moment, on any disk.
    hides = not reached and (disk == "hidden" or when == "os.rename")
    left = [name for name in files(root.parent) if ".keystow-" in name]
    assert bool(left) == hides


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/.",
        "a/../b",
        "../a",
        "nul\0",
        ".keystow-x",
        "a/.keystow-x",
        "\ud800",
        "x" * 256,
    ],
)
def test_keys_that_no_file_can_have(store, root, key) -> None:
    for attempt in (lambda: store.write(key, [b"x"]), lambda: store.stat(key), lambda: store.delete(key)):
        with pytest.raises(InvalidKeyError) as refused:
            attempt()
        assert isinstance(refused.value, ValueError)
    assert files(root.parent) == []


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c/d")])
def test_a_name_is_a_file_or_a_directory(store, root, first, second) -> None:
    store.write(first, [b"x"])
    for if_absent in (False, True):
        with pytest.raises((InvalidKeyError, AlreadyExistsError)):
            store.write(second, [b"y"], if_absent=if_absent)
    assert files(root) == [first]


def test_directories_are_made_when_all_bytes_are_there(store, root) -> None:
    def chunks():
        assert not root.exists()
        yield b"x"
        assert not root.exists()

    store.write("a/b/c", chunks())
    assert (root / "a/b/c").read_bytes() == b"x"
    umask = os.umask(0o22)
    os.umask(umask)
    assert (root / "a/b/c").stat().st_mode & 0o777 == 0o666 & ~umask


def test_an_error_of_the_chunks_is_theirs(store, root) -> None:
    for error in (FileNotFoundError(2, "gone"), IsADirectoryError(21, "is"), OSError("no number"), StoreError("other")):

        def chunks(error=error):
            yield b"x"
            raise error

        with pytest.raises(OSError, match=r".") as raised:
            store.write("a/b", chunks())
        assert raised.value is error
    assert not root.exists()
    assert files(root.parent) == []


def test_the_list_is_in_the_order_of_bytes_and_hides_what_is_being_written(store, root) -> None:
    keys = ["Z", "a-b", "a.b", "a/1", "a/10", "a/2", "ab", ".keystow-dir/x", "é", "日本", "😀"]
    for key in keys:
        store.write(key, [b"x"])
    (root / "a" / ".keystow-0123456789abcdef").write_bytes(b"half")
    (root / "empty").mkdir()
    (root / "dangling").symlink_to("nowhere")
    assert [stat.key for stat in store.list()] == sorted(keys, key=str.encode)
    assert [stat.key for stat in store.list(".keystow-dir/")] == [".keystow-dir/x"]
    assert list(store.list("../")) == []
    assert list(store.list("a/1/")) == []


def test_a_list_looks_into_no_directory_that_cannot_hold_the_prefix(store, monkeypatch) -> None:
    for key in ("a/10/x", "a/12/x", "a/2/x", "a/2/y/z", "b/1/x", "a/1"):
        store.write(key, [b"x"])
    looked, look = [], store._found
    monkeypatch.setattr(store, "_found", lambda below: looked.append(below) or look(below))
    assert [stat.key for stat in store.list("a/1")] == ["a/1", "a/10/x", "a/12/x"]
    assert sorted(looked) == ["a/", "a/10/", "a/12/"]


def test_a_list_stands_while_others_write_and_delete(store) -> None:
    def work(number: int) -> int:
        for turn in range(20):
            store.write(f"{number}-{turn}", [b"x"])
            assert all(stat.size == 1 for stat in store.list())
            if turn % 2:
                store.delete(f"{number}-{turn}")
        return len(list(store.list(f"{number}-")))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [10] * 4


def test_a_reader_keeps_the_object_it_began_with(store) -> None:
    store.write("object", [b"1" * (3 << 20)])
    reading = store.read("object")
    begun = next(reading)
    store.write("object", [b"2"])
    assert begun + b"".join(reading) == b"1" * (3 << 20)


def test_what_a_directory_does_not_keep(store) -> None:
    store.write("x", [b"x"])
    with pytest.raises(UnsupportedError, match="version_id"):
        list(store.read("x", version_id="1"))


UNPRIVILEGED = """
import os, sys
from keystow.backends import AccessDeniedError, file, open_store
root, disk = sys.argv[1:]
if disk == "hidden":
    file._NAMELESS = os.O_DIRECTORY | os.O_WRONLY
store = open_store(f"file://{root}")
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for attempt in (
    lambda: store.write("new", [b"x"]),
    lambda: store.write("dir/below/new", [b"x"]),
    lambda: store.delete("old"),
    lambda: list(store.read("secret")),
):
    try:
        attempt()
    except AccessDeniedError as error:
        print(error.code, isinstance(error, PermissionError), "permissions" in str(error))
"""


def test_a_directory_of_somebody_else(disk) -> None:
    with tempfile.TemporaryDirectory() as root:
        store = open_store(f"file://{root}")
        store.write("old", [b"x"])
        store.write("secret", [b"x"])
        os.chmod(os.path.join(root, "secret"), 0)
        os.chmod(root, 0o555)
        done = child(UNPRIVILEGED, root, disk)
        os.chmod(root, 0o755)
        assert done.stdout.splitlines() == ["EACCES True True"] * 4, done.stderr
        assert files(Path(root)) == ["old", "secret"]


SHORT_OF_SPACE = """
import resource, signal, sys
from keystow.backends import StoreError, file, open_store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
if sys.argv[2] == "hidden":
    file._NAMELESS = file.os.O_DIRECTORY | file.os.O_WRONLY
try:
    open_store(f"file://{sys.argv[1]}").write("object", [b"x" * (1 << 19)] * 3)
except StoreError as error:
    print(error.code)
"""


def test_a_file_that_may_not_grow_is_not_kept(store, root, disk) -> None:
    store.write("object", [b"old"])
    assert child(SHORT_OF_SPACE, root, disk).stdout == "EFBIG\n"
    assert b"".join(store.read("object")) == b"old"
    assert files(root) == ["object"]


def test_a_full_disk(root) -> None:
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root only; RLIMIT_FSIZE shows the same path above")
    try:
        store = open_store(f"file://{root}")
        store.write("object", [b"old"])
        with pytest.raises(StoreError, match="No space left") as refused:
            store.write("object", [b"x" * (1 << 19)] * 3)
        assert refused.value.code == "ENOSPC"
        assert b"".join(store.read("object")) == b"old"
        assert files(root) == ["object"]
        store.write("object", [b"fits"])
    finally:
        subprocess.run(["umount", root], check=True)


def test_the_bytes_are_a_plain_file_for_everybody_else(store, root) -> None:
    written = store.write("a/b", [b"he", b"", b"llo"])
    assert (root / "a" / "b").read_bytes() == b"hello"
    (root / "a" / "c").write_bytes(b"theirs")
    assert store.stat("a/c").size == 6
    with pytest.raises(AlreadyExistsError):
        store.write("a/c", [b"ours"], if_absent=True)
    with pytest.raises(NotFoundError):
        store.stat("a")
    assert store.write("a/b", [b"hello"]).etag != written.etag


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("make", "what"), [(os.mkfifo, "special file"), (os.mkdir, "directory")])
def test_what_is_no_file_is_no_object_and_is_not_waited_for(store, root, make, what) -> None:
    root.mkdir()
    make(root / "x")
    for attempt in (lambda: list(store.read("x")), lambda: list(store.read("x", start=1)), lambda: store.stat("x")):
        with pytest.raises(NotFoundError, match=f"is a {what}, and no object"):
            attempt()


@pytest.mark.timeout(20)
def test_a_fifo_is_not_even_opened(store, root) -> None:
    """Whoever writes to it would lose what was written."""
    root.mkdir()
    os.mkfifo(root / "x")
    reader = os.open(root / "x", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(root / "x", os.O_WRONLY)
    os.close(reader)
    with pytest.raises(NotFoundError):
        list(store.read("x"))
    late = os.open(root / "x", os.O_RDONLY | os.O_NONBLOCK)
    os.write(writer, b"kept")
    assert os.read(late, 9) == b"kept"
    os.close(writer)
    os.close(late)


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP])
def no_links(request, monkeypatch) -> None:
    """Simulated, as no such disk can be mounted everywhere: ``os.link`` answers as on FAT (EPERM) or some of FUSE."""

    def link(*_, **__) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(file.os, "link", link)


def test_a_disk_without_hard_links_is_written_whole_or_not_at_all(store, root, no_links) -> None:
    data = [b"a" * (3 << 20), b"b"]
    for chunks in ([b"old"], data):
        written = store.write("dir/object", chunks)
        assert b"".join(store.read("dir/object")) == b"".join(chunks)
        assert store.stat("dir/object").etag == written.etag
    (root / "taken").mkdir()
    with pytest.raises(InvalidKeyError):
        store.write("taken", data)
    assert files(root) == ["dir/object"]


def test_a_disk_without_hard_links_cannot_promise_if_absent(store, root, disk, no_links) -> None:
    sent = []

    def chunks():
        sent.append(1)
        yield b"x"

    with pytest.raises(UnsupportedError, match=r"no hard links.*allow to replace") as refused:
        store.write("dir/object", chunks(), if_absent=True)
    assert refused.value.code in {"EPERM", "EOPNOTSUPP", "ENOTSUP"}
    assert files(root.parent) == []
    # Files without names come with hard links, but for a FUSE that has the one and not the other: it is asked last.
    assert bool(sent) == (disk == "nameless")


def test_a_store_that_is_a_link_to_nowhere(store, root) -> None:
    root.symlink_to("nowhere")
    with pytest.raises(NotFoundError, match=r"/store' is a link that leads nowhere: make the directory"):
        store.write("object", [b"x"])


def test_a_store_that_is_a_link(store, root, tmp_path) -> None:
    (tmp_path / "disk").mkdir()
    root.symlink_to("disk")
    store.write("a/object", [b"x"])
    assert [found.key for found in store.list()] == ["a/object"]
    assert b"".join(store.read("a/object")) == (tmp_path / "disk/a/object").read_bytes() == b"x"


@pytest.mark.parametrize("key", ["link/secret", "link/below/secret", "inner/link/secret"])
@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_no_link_below_the_store_is_followed(store, root, tmp_path, key, target) -> None:
    """Who may write into the store shall not lead its other users out of it."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "below").mkdir(parents=True)
    for name in ("secret", "below/secret"):
        (elsewhere / name).write_bytes(b"theirs")
    link = root / key[: key.index("link") + 4]
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / target)
    before = files(tmp_path)
    for if_absent in (False, True):
        with pytest.raises(InvalidKeyError, match="below a symbolic link"):
            store.write(key, [b"ours"], if_absent=if_absent)
    for attempt in (lambda: store.stat(key), lambda: next(store.read(key))):
        with pytest.raises(NotFoundError, match="below one"):
            attempt()
    store.delete(key)
    assert list(store.list()) == list(store.list(key.rpartition("/")[0] + "/")) == []
    assert files(tmp_path) == before


def test_an_object_that_is_a_link_is_none_and_is_replaced(store, root, tmp_path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    root.mkdir()
    (root / "link").symlink_to(theirs)
    for attempt in (lambda: store.stat("link"), lambda: next(store.read("link"))):
        with pytest.raises(NotFoundError, match="symbolic link"):
            attempt()
    with pytest.raises(AlreadyExistsError):
        store.write("link", [b"ours"], if_absent=True)
    store.write("link", [b"ours"])
    assert (theirs.read_bytes(), (root / "link").read_bytes()) == (b"theirs", b"ours")
    assert not (root / "link").is_symlink()


def test_a_directory_that_is_swapped_for_a_link_while_it_is_written(store, root, tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir()
    store.write("dir/old", [b"x"])

    def chunks():
        yield b"ours"
        (root / "dir").rename(root / "moved")
        (root / "dir").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InvalidKeyError, match="symbolic link"):
        store.write("dir/object", chunks())
    assert files(tmp_path / "elsewhere") == []
    assert files(root) == ["moved/old"]


def test_directories_of_any_depth_are_listed(store, root) -> None:
    depth = 1500
    root.mkdir()
    here = os.open(root, os.O_PATH)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("object", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    assert [found.key for found in store.list()] == ["d/" * depth + "object"]
    subprocess.run(["rm", "-rf", root], check=True)
