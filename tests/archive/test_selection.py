"""What goes along by patterns: the same as git would not ignore."""

import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from archive_strategies import Link, examples, lay
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive import Entry, Selection, SourceError, Tree, scan, selection
from keystow.archive.selection import Choice, Decided, sensitive

SEGMENTS = st.sampled_from(["a", "b", "foo", "bar.log", "x.csv", "build", "a b", "A1", "-", "]", "!a", "#a", "a\\b"])
NAMES = st.lists(st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join), max_size=12)
PLAIN = ["a", "b", "foo", "build", "-", "!a", "#a", "\\!a", "\\#a", "a\\ b", "a b", "a\\\\b", "a\\\\"]
STARS = [
    "*",
    "**",
    "?",
    "*.log",
    "*.csv",
    "b*",
    "*a",
    "x.*",
    "?*",
    "f?o",
    "foo**",
    "**.log",
    "[a-c]*",
    "***",
    "*o*",
    "*a*r*g",
]
CLASSES = ["[ab]", "[!a]", "[^b-f]", "[a-]", "[-a]", "[]a]", "[!]]", "[b-a]", "[\\]]", "[\\a-c]", "[[:alpha:]]"]
GLOBS = st.sampled_from([*PLAIN, *STARS, *CLASSES, "[[:upper:][:digit:]]"])


@st.composite
def patterns(draw):
    start = draw(st.sampled_from(["", "", "/", "**/"]))
    segments = draw(st.lists(GLOBS, min_size=1, max_size=3))
    return (
        draw(st.sampled_from(["", "", "!"]))
        + start
        + "/".join(segments)
        + draw(st.sampled_from(["", "", "/", "/**", " "]))
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    directory = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "--quiet", directory], check=True)
    return directory


def not_ignored(repository, tree, lines):
    """The files that git would not ignore."""
    patterns = repository / "patterns"
    patterns.write_text("".join(f"{line}\n" for line in lines))
    command = ["git", f"--git-dir={repository}/.git", f"--work-tree={tree}", "ls-files", "-z", "--others"]
    quiet = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        [*command, f"--exclude-from={patterns}"], cwd=tree, env=quiet, check=True, capture_output=True
    )
    return set(done.stdout.decode().split("\0")) - {""}


def laid(tmp_path, names):
    """A tree with a file of each name, but of those that are directories, too."""
    directories = {name[:at] for name in names for at in range(len(name)) if name[at] == "/"}
    return Path(lay(tmp_path, {name: b"" for name in names if name not in directories}))


@examples(300)
@given(NAMES, st.lists(patterns(), min_size=1, max_size=5))
def test_it_is_what_git_does_not_ignore(repository, tmp_path_factory, names, lines):
    tree = laid(tmp_path_factory.mktemp("tree"), names)
    expected = not_ignored(repository, tree, lines)
    if not expected:
        with pytest.raises(SourceError, match="let no file"):
            scan(tree, selection=Selection(lines))
        return
    found = scan(tree, selection=Selection(lines))
    assert {entry.name for entry in found.files} == expected
    everything = {entry.name for entry in scan(tree).entries}
    kept = {entry.name for entry in found.entries}
    for name in everything - kept:
        assert any(name == out.rstrip("/") or name.startswith(out) for out in found.excluded)
    assert all(out.rstrip("/") in everything - kept for out in found.excluded)


@pytest.mark.parametrize(
    ("include", "exclude", "goes_along"),
    [
        ((), ("*.log",), {"a.csv", "data", "data/b.csv", "data/old", "data/old/c.csv", "data/old/c.txt", "empty"}),
        (("*.csv",), (), {"a.csv", "data", "data/b.csv", "data/old", "data/old/c.csv"}),
        (("*.csv",), ("old/",), {"a.csv", "data", "data/b.csv"}),
        (("data/",), ("*.csv",), {"data", "data/old", "data/old/c.txt"}),
        (("data/", "*.log"), ("old", "!*.csv"), {"a.csv", "a.log", "data", "data/b.csv"}),
        (("/a.*",), (), {"a.csv", "a.log"}),
        (("empty/", "a.log"), (), {"a.log", "empty"}),
    ],
)
def test_include_narrows_and_exclude_takes_off(tmp_path, include, exclude, goes_along):
    files = dict.fromkeys(["a.csv", "a.log", "data/b.csv", "data/old/c.csv", "data/old/c.txt"], b"")
    tree = Path(lay(tmp_path / "tree", files | {"empty": None}))
    assert {entry.name for entry in scan(tree, selection=selection(include, exclude)).entries} == goes_along


def test_nothing_at_all_is_an_error_and_so_is_a_single_file_that_is_left_out(tmp_path):
    tree = Path(lay(tmp_path / "tree", {"a.log": b"", "d/b.log": b""}))
    for source, chosen in (
        (tree, selection(exclude=["*.log"])),
        (tree, selection(include=["*.csv"])),
        (tree / "a.log", selection(exclude=["*.log"])),
        (tree / "a.log", selection(include=["*.csv"])),
    ):
        with pytest.raises(SourceError, match=rf"the patterns let no file of '{source}' go along"):
            scan(source, selection=chosen)
    for chosen in (selection(["*.log"]), selection(exclude=["*.csv"])):
        assert [entry.name for entry in scan(tree / "a.log", selection=chosen).entries] == ["a.log"]


def test_what_is_left_out_is_not_looked_at(tmp_path):
    tree = Path(
        lay(
            tmp_path / "tree",
            {"a": b"", "away/fine": b"", "out": Link("/etc/passwd"), "broken": Link("nowhere"), "loop": Link("loop")},
        )
    )
    os.mkfifo(tree / "away" / "fifo")
    os.mkfifo(tree / "fifo")
    chosen = selection(exclude=["away/", "out", "fifo", "broken", "loop"])
    for symlinks in ("inside", "follow", "error", "skip"):
        found = scan(tree, symlinks=symlinks, selection=chosen)
        assert [entry.name for entry in found.entries] == ["a"]
        assert set(found.excluded) == {"away/", "out", "fifo", "broken", "loop"}
        assert found.skipped == ()


def test_a_pattern_for_directories_takes_a_link_to_one_only_where_links_are_followed(tmp_path):
    tree = Path(lay(tmp_path / "tree", {"real/a": b"", "link": Link("real"), "b": b""}))
    chosen = selection(exclude=["link/"])
    assert "link" in {entry.name for entry in scan(tree, selection=chosen).entries}
    assert scan(tree, symlinks="follow", selection=chosen).excluded == ("link/",)


@pytest.mark.parametrize(
    "pattern", ["", " ", "/", "!", "!/", "[a", "a\\", "[[:nothing:]]", "[[:alpha:]", "[", "[]", "[!]", "a\nb"]
)
def test_what_is_no_pattern(pattern):
    for give in (lambda: selection([pattern]), lambda: selection(exclude=[pattern])):
        with pytest.raises(ValueError, match=r"pattern"):
            give()


@pytest.mark.parametrize("pattern", ["[^/]*.log", "/[^/]*.log", "**/[^/]*", "bar[!/]log", "foo/[a/]"])
def test_a_slash_in_brackets(repository, tmp_path, pattern):
    tree = laid(tmp_path / "tree", ["bar.log", "foo/bar.log", "foo/a", "foo/b/a", "x"])
    expected = not_ignored(repository, tree, [pattern])
    try:
        found = {entry.name for entry in scan(tree, selection=Selection([pattern])).files}
    except SourceError:
        found = set()
    assert found == expected


def test_a_slash_may_be_escaped_and_stars_take_no_time():
    assert Selection(["a\\/b"]).state("a/b", within=True) is False
    assert Selection(["a\\\\/b"]).state("a\\/b", within=True) is False
    chosen = Selection(["*a" * 40 + "*b", "*_" * 20 + ".csv"])
    assert chosen.state("a" * 250, within=True) is True
    assert chosen.state("a" * 250 + "b", within=True) is False


def test_to_include_what_is_to_be_left_out_is_a_mistake():
    with pytest.raises(ValueError, match=r"'a' to exclude"):
        selection(["!a"])


def test_a_hash_begins_a_comment_in_a_file_and_a_name_elsewhere():
    assert Selection(["#a", "", "  "]).state("#a", within=True) is True
    assert selection(exclude=["#a"]).state("#a", within=True) is False
    assert selection(include=["#a"]).state("#a", within=None) is True


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ({"a/.env": b"", "a/.env.local": b"", "environment": b""}, ["a/.env", "a/.env.local"]),
        ({".git/config": b"", ".git/keys/id_rsa": b"", ".gitignore": b""}, [".git/"]),
        (
            {"server.pem": b"", "id_ed25519": b"", "id_map.csv": b"", "x/.aws/credentials": b""},
            ["id_ed25519", "server.pem", "x/.aws/"],
        ),
        ({"a": b"", "identity": b"", "pem": b""}, []),
    ],
)
def test_names_that_look_like_secrets(names, found):
    assert sensitive(Tree.of(names).entries) == found


def test_a_directory_that_only_looks_like_the_one_before_is_named_too():
    entries = [
        Entry(".git", "file"),
        Entry(".git2/.git", "directory"),
        Entry(".ssh", "directory"),
        Entry(".ssh2", "file"),
    ]
    assert sensitive(entries) == [".git", ".git2/.git/", ".ssh/"]


def test_a_choice_takes_in_what_any_pattern_does_and_all_below_it():
    choice = Choice(["plots/", "/a/*.csv", "*.txt", "no"])
    names = ["plots", "plots/a/b.png", "b/plots/c", "a/x.csv", "b/a/x.csv", "b/y.txt", "z"]
    taken = [name for name in names if choice.takes(name, is_directory=name == "plots")]
    assert taken == ["plots", "plots/a/b.png", "b/plots/c", "a/x.csv", "b/y.txt"]
    assert choice.unmatched == ["no"]
    assert not Choice(["plots/"]).takes("plots")


def test_of_many_directories_a_choice_holds_those_of_one_name():
    decided = Decided(Selection(["*.log", "left-out/"]))
    tracemalloc.start()
    try:
        for number in range(20_000):
            assert decided.state(f"a/b-{number}/c/{number}.txt", is_directory=False)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 10_000
    assert not decided.state("a/left-out/c/1.txt", is_directory=False)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["a/b.txt", "/c"], ["a/b.txt", "c"]),
        (["/a/b"], ["a/b"]),
        (["a/b", "c"], None),
        (["c"], None),
        (["a/*"], None),
        (["a/[b]"], None),
        (["a/b/"], None),
        ([r"a/\b"], None),
        (["a/b "], None),
        (["a//b"], None),
    ],
)
def test_a_choice_tells_names_that_are_all_it_means(patterns, names):
    assert Choice(patterns).names == names


@pytest.mark.parametrize("patterns", [[], [""], ["!a"], ["a", "["]])
def test_what_is_no_choice(patterns):
    with pytest.raises(ValueError, match="pattern"):
        Choice(patterns)
