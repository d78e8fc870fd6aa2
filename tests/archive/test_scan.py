import contextlib
import os
import resource
import socket

import pytest
from archive_strategies import OLD, Link, Program, lay

from keystow.archive import Entry, Limits, SourceError, SourceNotFoundError, Tree, pack, scan, unpack


class Empty:
    """A path that is empty, as one made from a variable that is not set."""

    def __fspath__(self):
        return ""


def listed(tree: Tree) -> list[tuple[str, str, int, int, bool, str]]:
    return [(e.name, e.kind, e.size, e.mtime, e.executable, e.target) for e in tree.entries]


def read(tree: Tree, name: str) -> bytes:
    entry = next(entry for entry in tree.entries if entry.name == name)
    return b"".join(tree.read(entry))


def test_the_entries_say_all_that_is_packed(tmp_path):
    lay(tmp_path, {"a.txt": b"four", "bin/run": Program(b"#!"), "empty": None, "void": b"", "z": Link("a.txt")})
    assert listed(scan(tmp_path)) == [
        ("a.txt", "file", 4, OLD, False, ""),
        ("bin", "directory", 0, OLD, False, ""),
        ("bin/run", "file", 2, OLD, True, ""),
        ("empty", "directory", 0, OLD, False, ""),
        ("void", "file", 0, OLD, False, ""),
        ("z", "symlink", 0, OLD, False, "a.txt"),
    ]


def test_names_are_sorted_byte_by_byte_within_each_directory(tmp_path):
    names = ["a", "a/z", "a-b", "a.c", "B", "a0", "ä", "\uffff", "\U00010000", "\udcff"]
    lay(tmp_path, {name: None if name == "a" else b"" for name in reversed(names)})
    found = [os.fsencode(entry.name) for entry in scan(tmp_path).entries]
    assert found == sorted(map(os.fsencode, names), key=lambda name: name.split(b"/"))


def test_entries_cannot_be_changed(tmp_path):
    lay(tmp_path, {"a": b"x"})
    tree = scan(tmp_path)
    with pytest.raises(AttributeError):
        tree.entries[0].size = 2  # type: ignore[misc]
    assert isinstance(tree.entries, tuple)


def test_a_time_before_1970_is_rounded_down_to_a_second(tmp_path):
    lay(tmp_path, {"a": b"x"})
    os.utime(tmp_path / "a", ns=(0, -1_500_000_000))
    assert scan(tmp_path).entries[0].mtime == -2


@pytest.mark.parametrize("symlinks", ["inside", "follow", "skip", "error"])
def test_a_file_is_a_tree_of_one_also_behind_a_link(tmp_path, symlinks):
    lay(tmp_path, {"result.bin": Program(b"data"), "latest": Link("result.bin")})
    tree = scan(tmp_path / "result.bin", symlinks=symlinks)
    assert listed(tree) == [("result.bin", "file", 4, OLD, True, "")]
    tree = scan(tmp_path / "latest", symlinks=symlinks)
    assert [entry.name for entry in tree.entries] == ["latest"]
    assert read(tree, "latest") == b"data"


def test_a_source_that_is_a_link_to_a_directory_is_that_directory(tmp_path):
    lay(tmp_path, {"results/a": b"x", "latest": Link("results")})
    assert listed(scan(tmp_path / "latest")) == listed(scan(tmp_path / "results"))


def test_a_relative_source_is_read_wherever_the_process_goes_later(tmp_path, monkeypatch):
    lay(tmp_path / "results", {"a": b"x"})
    monkeypatch.chdir(tmp_path)
    tree = scan("results")
    monkeypatch.chdir("/")
    assert read(tree, "a") == b"x"


@pytest.mark.parametrize("source", ["", Empty()])
def test_an_empty_source_is_not_the_current_directory(tmp_path, monkeypatch, source):
    lay(tmp_path, {"secret": b"x"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"the source is empty: .*'\.' for the current directory"):
        scan(source)
    assert [entry.name for entry in scan(".").entries] == ["secret"]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("missing", SourceNotFoundError),
        ("file/below", SourceNotFoundError),
        ("loop", SourceError),
        ("fifo", SourceError),
    ],
)
def test_what_is_no_source_is_refused_by_name(tmp_path, source, error):
    lay(tmp_path, {"file": b"x", "loop": Link("loop")})
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(error, match=source):
        scan(tmp_path / source)


@pytest.mark.parametrize("options", [{"symlinks": "keep"}, {"special": "keep"}])
def test_an_unknown_choice_is_refused(tmp_path, options):
    with pytest.raises(ValueError, match=r"keep.*use one of"):
        scan(tmp_path, **options)


INSIDE = [
    ({"a": b"x", "l": Link("a")}, "a"),
    ({"d/a": b"x", "d/e/l": Link("../a")}, "../a"),
    ({"d": None, "l": Link("d/../d/")}, "d/../d/"),
    ({"d/l": Link("..")}, ".."),
    ({"l": Link("missing")}, "missing"),
    ({"l": Link(".")}, "."),
    ({"l": Link("l")}, "l"),
    ({"l": Link("m"), "m": Link("./l")}, "m"),
    ({"l": Link("m/a"), "m": Link("d"), "d/a": b"x"}, "m/a"),
]
OUT = [
    {"l": Link("..")},
    {"l": Link("../x")},
    {"l": Link("/etc/passwd")},
    {"l": Link("/")},
    {"d/l": Link("../..")},
    {"d/l": Link("../../d/a"), "d/a": b""},
    {"l": Link("d/../../x"), "d": None},
    {"l": Link("m/../../x"), "m": Link("d/e"), "d/e": None, "d/l": Link("../m/../../../x")},
    {"l": Link("up/.."), "d/e": None, "up": Link("d")} | {"l": Link("up/../..")},
    {"deep/l": Link("m/../.."), "deep/m": Link("../d"), "d": None},
    {"l": Link("l/../..")},
]


@pytest.mark.parametrize(("nodes", "target"), INSIDE)
def test_a_link_that_stays_inside_is_kept_as_it_is(tmp_path, nodes, target):
    lay(tmp_path, nodes)
    links = {entry.name.rpartition("/")[2]: entry.target for entry in scan(tmp_path).entries if entry.kind == "symlink"}
    assert links["l"] == target


@pytest.mark.parametrize("nodes", OUT)
def test_a_link_that_leads_out_is_an_error_that_names_it(tmp_path, nodes):
    lay(tmp_path / "source", nodes)
    with pytest.raises(SourceError, match=r"the link '(deep/|d/)?l' -> .* leads out"):
        scan(tmp_path / "source")


def test_a_link_that_leads_out_by_way_of_more_links_than_are_followed_is_an_error(tmp_path):
    chain = {f"l{i:02}": Link(f"l{i + 1:02}") for i in range(45)} | {"l45": Link("d"), "d": None}
    lay(tmp_path, chain)
    assert len(scan(tmp_path).entries) == 47
    os.symlink("l00/../../x", tmp_path / "out")
    with pytest.raises(SourceError, match="the link 'out'"):
        scan(tmp_path)


@pytest.mark.parametrize("by_link", [False, True])
def test_an_absolute_link_into_the_source_becomes_relative(tmp_path, by_link):
    root = tmp_path / "results"
    lay(root, {"d/a": b"x", "d/e/absolute": Link(f"{root}/d/a"), "top": Link(str(root))})
    os.symlink("results", tmp_path / "latest")
    os.symlink(tmp_path / "latest" / "d", root / "again")
    if by_link:
        tree = scan(tmp_path / "latest")
        assert {e.name: e.target for e in tree.entries if e.target} == {
            "again": "d",
            "d/e/absolute": "../../d/a",
            "top": ".",
        }
    else:
        with pytest.raises(SourceError, match="the link 'again'"):
            scan(root)
        (root / "again").unlink()
        assert {e.name: e.target for e in scan(root).entries if e.target} == {"d/e/absolute": "../../d/a", "top": "."}


def test_a_neighbour_whose_name_begins_with_the_sources_is_outside(tmp_path):
    lay(tmp_path, {"results/l": Link(f"{tmp_path}/results2/a"), "results2/a": b"x"})
    with pytest.raises(SourceError, match="leads out"):
        scan(tmp_path / "results")


def test_follow_puts_what_links_lead_to_in_their_place(tmp_path):
    lay(tmp_path / "outside", {"a": Program(b"x"), "d/b": b"y"})
    lay(tmp_path / "source", {"a": Link("../outside/a"), "d": Link("../outside/d"), "e": Link("d/b")})
    tree = scan(tmp_path / "source", symlinks="follow")
    assert [(e.name, e.kind) for e in tree.entries] == [
        ("a", "file"),
        ("d", "directory"),
        ("d/b", "file"),
        ("e", "file"),
    ]
    assert tree.entries[0].executable
    assert [read(tree, name) for name in ("a", "d/b", "e")] == [b"x", b"y", b"y"]


@pytest.mark.parametrize("target", ["missing", ".", "l", "..", "a/below"])
def test_follow_refuses_links_that_lead_nowhere_or_round(tmp_path, target):
    lay(tmp_path / "source", {"l": Link(target), "a": b"x"})
    with pytest.raises(SourceError, match=r"\bl\b"):
        scan(tmp_path / "source", symlinks="follow")


def test_skip_leaves_links_out_and_names_them(tmp_path):
    lay(tmp_path, {"a": b"x", "d/out": Link("/etc"), "l": Link("a")})
    tree = scan(tmp_path, symlinks="skip")
    assert [entry.name for entry in tree.entries] == ["a", "d"]
    assert tree.skipped == ("d/out", "l")


def test_error_refuses_the_first_link(tmp_path):
    lay(tmp_path, {"d/l": Link("../a"), "a": b"x"})
    with pytest.raises(SourceError, match="'d/l' is a symbolic link"):
        scan(tmp_path, symlinks="error")


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))


@pytest.mark.parametrize(
    ("make", "what"),
    [(os.mkfifo, "a FIFO"), (make_socket, "a socket"), (lambda path: os.symlink("/dev/null", path), "a device")],
)
def test_special_files_are_refused_by_name_or_skipped(tmp_path, monkeypatch, make, what):
    lay(tmp_path, {"a": b"x", "d/b": b"y"})
    monkeypatch.chdir(tmp_path / "d")
    make("special")
    with pytest.raises(SourceError, match=f"'d/special' is {what}"):
        scan(tmp_path, symlinks="follow")
    tree = scan(tmp_path, symlinks="follow", special="skip")
    assert [entry.name for entry in tree.entries] == ["a", "d", "d/b"]
    assert tree.skipped == ("d/special",)


@pytest.mark.parametrize(
    ("hidden", "mode"), [("source/d/a", 0), ("source/d", 0), ("source/d", 0o111), ("source", 0), ("source/d/a", 0o200)]
)
def test_what_cannot_be_read_is_refused_by_name_before_anything_is_packed(open_place, unprivileged, hidden, mode):
    with unprivileged():
        lay(f"{open_place}/source", {"d/a": b"x"})
        os.chmod(f"{open_place}/{hidden}", mode)
        try:
            with pytest.raises(SourceError, match=rf"cannot be read.*{hidden}'") as refused:
                scan(f"{open_place}/source")
            assert refused.value.errno is not None
        finally:
            os.chmod(f"{open_place}/{hidden}", 0o700)


def test_a_directory_that_may_not_be_entered_refuses_what_is_in_it(open_place, unprivileged):
    with unprivileged():
        lay(f"{open_place}/source", {"d/a": b"x"})
        os.chmod(f"{open_place}/source/d", 0o444)
        try:
            with pytest.raises(SourceError, match="d/a"):
                scan(f"{open_place}/source")
            with pytest.raises(SourceError, match="d/a"):
                scan(f"{open_place}/source/d/a")
        finally:
            os.chmod(f"{open_place}/source/d", 0o700)


def test_a_file_that_may_no_longer_be_read_is_refused_while_it_is_packed(open_place, unprivileged):
    with unprivileged():
        lay(f"{open_place}/source", {"a": b"x"})
        tree = scan(f"{open_place}/source")
        os.chmod(f"{open_place}/source/a", 0)
        with pytest.raises(SourceError, match="cannot be read"):
            list(pack(tree))


def test_a_path_that_is_too_long_to_open_is_refused_by_the_scan(tmp_path):
    descriptors = [os.open(tmp_path, os.O_RDONLY)]
    for _ in range(17):
        os.mkdir("n" * 250, dir_fd=descriptors[-1])
        descriptors.append(os.open("n" * 250, os.O_RDONLY, dir_fd=descriptors[-1]))
    try:
        with pytest.raises(SourceError, match="longer than 4095"):
            scan(tmp_path)
    finally:
        for descriptor in reversed(descriptors):
            os.close(descriptor)


def test_no_descriptor_stays_open(tmp_path):
    lay(tmp_path, {"d/e/a": b"x" * 3_000_000, "d/b": b"y"})
    before = os.listdir("/proc/self/fd")
    reading = pack(scan(tmp_path))
    next(reading)
    reading.close()
    os.mkfifo(tmp_path / "d" / "e" / "fifo")
    with pytest.raises(SourceError):
        scan(tmp_path)
    assert os.listdir("/proc/self/fd") == before


def test_a_tree_of_hundreds_of_levels_is_packed_and_unpacked(tmp_path):
    lay(tmp_path / "source", {"d/" * 800 + "a": b"x"})
    unpack(pack(scan(tmp_path / "source")), tmp_path / "target", limits=Limits(depth=None))
    assert (tmp_path / "target" / ("d/" * 800) / "a").read_bytes() == b"x"


@pytest.mark.parametrize("spare", [0, 1, 2, 30])
def test_more_levels_than_files_may_be_open_are_refused_by_name(tmp_path, spare):
    lay(tmp_path, {"d/" * 60 + "a": b"x"})
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(spare)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(spare):
            os.close(taken.pop())
        for _ in range(2):  # nothing stays open of the first time
            with pytest.raises(SourceError, match=r"Too many open files.*ulimit -n.*test_more") as refused:
                scan(tmp_path)
            assert refused.value.filename.startswith(str(tmp_path))
            assert refused.value.filename.count("/d") == max(spare - 1, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in taken:
            os.close(descriptor)


def test_an_entry_of_no_file_cannot_be_read(tmp_path):
    lay(tmp_path, {"a": b"x"})
    with pytest.raises(ValueError, match="'b' is no file"):
        list(scan(tmp_path).read(Entry("b", "file", 1)))


def test_a_source_behind_a_link_and_dot_dot_is_the_kernels(tmp_path, monkeypatch):
    """`link/..` is the parent of what the link leads to, not of the link."""
    (tmp_path / "elsewhere" / "inner").mkdir(parents=True)
    (tmp_path / "elsewhere" / "here").write_text("x")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to("../elsewhere/inner")
    monkeypatch.chdir(tmp_path / "near")
    assert [entry.name for entry in scan("link/..").entries] == ["here", "inner"]
