"""``links.resolve`` works from names alone, and must say what the system says."""

import os
import tempfile

import pytest
from archive_strategies import Link, lay
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive.links import LeadsOutError, LoopError, leads_out, resolve

part = st.sampled_from(["a", "b", "l", "m", "n", "..", "..", ".", ""])
path = st.lists(part, min_size=1, max_size=5).map("/".join)
target = st.one_of(path.map(lambda text: f"./{text}"), path.map(lambda text: f"/nowhere/{text}"))
links = st.dictionaries(st.sampled_from(["l", "m", "a/l", "a/m", "a/b/n", "b/n"]), target, max_size=6)


@given(links, path)
def test_resolve_agrees_with_the_system(links, path):
    path = path.lstrip("/")
    with tempfile.TemporaryDirectory() as place:
        root = os.path.realpath(lay(f"{place}/root", {"a/b": None, "b": None} | {k: Link(v) for k, v in links.items()}))
        real = os.path.realpath(f"{root}/{path}")
        try:
            found = resolve(path, links)
        except LeadsOutError:
            assert not f"{real}/".startswith(f"{root}/")
        except LoopError:
            assert not os.path.exists(f"{root}/{path}")
        else:
            assert real == os.path.join(root, found).rstrip("/")


@given(links)
def test_where_no_link_leads_out_no_path_through_them_does(links):
    safe = not any(leads_out(name, links) for name in links)
    with tempfile.TemporaryDirectory() as place:
        root = os.path.realpath(lay(f"{place}/root", {"a/b": None, "b": None} | {k: Link(v) for k, v in links.items()}))
        inside = [f"{os.path.realpath(f'{root}/{name}')}/".startswith(f"{root}/") for name in links]
    assert not safe or all(inside)


CHAIN = {f"l{i}": f"l{i + 1}" for i in range(60)} | {"l60": "d"}


@pytest.mark.parametrize(
    ("links", "name", "expected"),
    [
        ({"l": "l"}, "l", False),
        ({"l": "m", "m": "l"}, "m", False),
        ({"d/l": "../d/l"}, "d/l", False),
        ({"l": "../l"}, "l", True),
        ({"l": "l/../.."}, "l", True),
        (CHAIN, "l0", False),
        (CHAIN | {"x": "l0/../../out"}, "x", True),
        (CHAIN | {"l60": "../out"}, "l60", True),
        ({"l": "a/" * 5000}, "l", True),
    ],
)
def test_links_that_go_round_or_on_and_on(links, name, expected):
    assert leads_out(name, links) is expected


def test_forty_links_are_followed_as_linux_does(tmp_path):
    lay(tmp_path, {f"l{i}": Link(f"l{i + 1}") for i in range(41)} | {"l41": b""})
    links = {f"l{i}": f"l{i + 1}" for i in range(41)}
    assert resolve("l1", links) == "l41"
    assert (tmp_path / "l1").exists()
    with pytest.raises(LoopError):
        resolve("l0", links)
    with pytest.raises(OSError, match="Too many levels"):
        os.stat(tmp_path / "l0")
