import pytest
from archive_strategies import Link, lay
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive import Entry, SourceError, Tree, dereference, pack, scan, unpack


def contents(tree: Tree) -> dict[str, bytes | None]:
    return {e.name: b"".join(tree.read(e)) if e.kind == "file" else None for e in tree.entries}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({"a": b"x", "l": Link("a")}, {"a": b"x", "l": b"x"}),
        ({"a": b"x", "d/l": Link("../a")}, {"a": b"x", "d": None, "d/l": b"x"}),
        ({"d/e/b": b"", "l": Link("d")}, {"d": None, "d/e": None, "d/e/b": b"", "l": None, "l/e": None, "l/e/b": b""}),
        ({"a": b"x", "l": Link("m"), "m": Link("n"), "n": Link("a")}, dict.fromkeys("almn", b"x")),
        ({"d/a": b"x", "l": Link("m/a"), "m": Link("d/")}, {"d": None, "d/a": b"x", "l": b"x", "m": None, "m/a": b"x"}),
        ({"a": b"x", "d/l": Link("../a"), "m": Link("d")}, {"a": b"x", "d": None, "d/l": b"x", "m": None, "m/l": b"x"}),
        ({"d": None, "l": Link("d")}, {"d": None, "l": None}),
        ({"d/a": b"", "l-": b"", "l": Link("d")}, {"d": None, "d/a": b"", "l": None, "l/a": b"", "l-": b""}),
    ],
)  # fmt: skip
def test_links_give_way_to_what_they_lead_to(tmp_path, nodes, expected):
    lay(tmp_path, nodes)
    tree = dereference(scan(tmp_path))
    assert contents(tree) == expected
    assert [entry.name for entry in tree.entries] == list(contents(scan_of(expected)))


def scan_of(files: dict[str, bytes | None]) -> Tree:
    return Tree(
        tuple(
            Entry(name, "directory" if files[name] is None else "file", len(files[name] or b""))
            for name in sorted(files, key=lambda name: name.encode().split(b"/"))
        ),
        lambda entry: iter([files[entry.name] or b""]),
    )


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ({"l": Link("missing")}, "leads nowhere"),
        ({"l": Link("d/missing"), "d": None}, "leads nowhere"),
        ({"l": Link("l")}, "circle"),
        ({"l": Link("m"), "m": Link("l")}, "circle"),
        ({"l": Link(".")}, "holds it"),
        ({"d/l": Link("../d")}, "holds it"),
        ({"d/e/l": Link("../..")}, "holds it"),
        ({"d/l": Link("../e"), "e/m": Link("../d")}, "holds it"),
        ({"a/l": Link("../b"), "b/l": Link("../c"), "c/l": Link("../a")}, "holds it"),
    ],
)
def test_links_that_lead_nowhere_or_round_are_refused_by_name(tmp_path, nodes, why):
    lay(tmp_path, nodes)
    with pytest.raises(SourceError, match=f"the link '.*' -> .*{why}"):
        dereference(scan(tmp_path))


def test_a_link_that_leads_out_is_refused_in_a_tree_made_by_hand():
    tree = Tree((Entry("l", "symlink", target="../x"),), lambda entry: iter([]))
    with pytest.raises(SourceError, match="leads out"):
        dereference(tree)


def test_a_tree_without_links_stays_the_same():
    tree = Tree.of({"a/b": b"x"})
    assert dereference(tree) is tree


@given(st.dictionaries(st.sampled_from(["l", "m", "a/l", "b/m"]), st.sampled_from(["a", "b", "../b", "f", "m", "b/m"])))
def test_what_is_left_can_be_packed_and_has_no_links(links):
    entries = [Entry("a", "directory"), Entry("b", "directory"), Entry("f", "file", 1)]
    entries += [Entry(name, "symlink", target=target) for name, target in links.items()]
    tree = Tree(tuple(sorted(entries, key=lambda entry: entry.name.split("/"))), lambda entry: iter([b"x"]))
    try:
        found = dereference(tree)
    except SourceError:
        return
    assert {entry.kind for entry in found.entries} <= {"file", "directory"}
    names = [entry.name for entry in found.entries]
    assert len(set(names)) == len(names)
    assert {entry.name for entry in tree.entries} <= set(names)


def test_what_was_dereferenced_is_packed_like_any_tree(tmp_path):
    lay(tmp_path / "source", {"d/a": b"x" * 5000, "l": Link("d")})
    unpack(pack(dereference(scan(tmp_path / "source"))), tmp_path / "target")
    assert (tmp_path / "target" / "l" / "a").read_bytes() == b"x" * 5000
