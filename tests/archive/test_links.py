"""``Links`` works from names alone, and must say what the system says, and what a slow and simple reference says."""

import errno
import itertools
import os
import tempfile

import pytest
from archive_strategies import Link, examples, lay
from hypothesis import given
from hypothesis import strategies as st

from keystow.archive import links as links_module
from keystow.archive.links import LeadsOutError, Links, LoopError

part = st.sampled_from(["a", "b", "l", "m", "n", "..", "..", ".", ""])
path = st.lists(part, min_size=1, max_size=5).map("/".join)
target = st.one_of(path.map(lambda text: f"./{text}"), path.map(lambda text: f"/nowhere/{text}"))
links = st.dictionaries(st.sampled_from(["l", "m", "a/l", "a/m", "a/b/n", "b/n"]), target, max_size=6)


def resolve(path, links):
    return Links(links.items()).resolve(path)


def leads_out(name, links):
    return Links(links.items()).leads_out(name, links[name])


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
        assert not safe or all(stays_inside(root, name) for name in links)


def stays_inside(root, name):
    """What the system says; of links that go round ``os.path.realpath`` says anything (of ``l -> ./l//a``: ``/a``)."""
    try:
        os.stat(f"{root}/{name}")
    except OSError as error:
        if error.errno == errno.ELOOP:
            return True
    return f"{os.path.realpath(f'{root}/{name}')}/".startswith(f"{root}/")


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


def reference(path, links):
    """``resolve`` with names joined anew for each segment."""
    pending = path.split("/")
    done = []
    followed = walked = 0
    while pending:
        segment, *pending = pending
        walked += 1
        if walked > 4096:
            raise LeadsOutError(path)
        if segment in {"", "."}:
            continue
        if segment == "..":
            if not done:
                raise LeadsOutError(path)
            done = done[:-1]
            continue
        target = links.get("/".join([*done, segment]))
        if target is None:
            done = [*done, segment]
            continue
        followed += 1
        if followed > 40:
            raise LoopError(path)
        if target.startswith("/"):
            raise LeadsOutError(path)
        pending = [*target.split("/"), *pending]
    return "/".join(done)


def reference_leads_out(name, links):
    try:
        reference(name, links)
    except LeadsOutError:
        return True
    except LoopError:
        segments = [segment for segment in links[name].split("/") if segment not in {"", "."}]
        return ".." in itertools.dropwhile("..".__eq__, segments)
    return False


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except (LeadsOutError, LoopError) as error:
        return type(error)


places = st.sampled_from(["l", "m", "a/l", "a/m", "a/b/n", "b/n", "l/x", "a/l/y/z", "a", "a/b/c/d"])
targets = st.one_of(path, path.map("/".__add__), st.integers(1, 2100).map(lambda count: "a/../" * count + "l"))


@pytest.mark.slow
@examples(500)
@given(st.dictionaries(places, targets, max_size=8), path)
def test_links_agree_with_a_simple_reference(links, path):
    assert outcome(resolve, path, links) == outcome(reference, path, links)
    for name in links:
        assert outcome(leads_out, name, links) == outcome(reference_leads_out, name, links)


@given(st.lists(st.tuples(places, targets), max_size=8, unique_by=lambda pair: pair[0]), path)
def test_the_order_of_links_does_not_matter(pairs, path):
    assert outcome(Links(pairs).resolve, path) == outcome(Links(pairs[::-1]).resolve, path)


def test_what_all_links_pass_on_the_way_is_bounded():
    """Each link alone is short enough, but passes 3,600 segments of others; 30,000 of them pass a hundred million."""
    chain = {f"l{i}": f"l{i + 1}/" + "x/" * 90 for i in range(39)} | {"l39": "d"}
    many = Links([*chain.items(), *((f"m{i}", "l0") for i in range(30_000))])
    found = [many.leads_out(f"m{i}", "l0") for i in range(2000)]
    assert not any(found[:290])
    assert all(found[1000:])


@pytest.mark.slow
def test_a_links_own_target_is_always_walked():
    """What an archive holds may be walked once, however much it is."""
    links = [(f"l{i}", "x/" * 2000) for i in range(1000)]
    assert not any(Links(links).leads_out(*link) for link in links)


@pytest.mark.parametrize("ends", ["../x", "l/x", "out", "long"])
def test_what_leads_out_names_the_path(ends):
    path = "x/" * 4096 + "x" if ends == "long" else ends
    with pytest.raises(LeadsOutError) as raised:
        Links([("l", ".."), ("out", "/")]).resolve(path)
    assert raised.value.args == (path,)
    with pytest.raises(LoopError) as raised:
        Links([("round", "round")]).resolve("round/x")
    assert raised.value.args == ("round/x",)


def test_a_path_of_4096_segments_is_walked():
    path = "/".join(["x"] * 4096)
    assert Links([]).resolve(path) == path
    with pytest.raises(LeadsOutError):
        Links([]).resolve(f"{path}/x")


def test_what_is_passed_on_the_way_is_counted_to_the_segment(monkeypatch):
    """64 segments for each link, and of what the first one passes, its own target counts for nothing."""
    monkeypatch.setattr(links_module, "_SPARE", 0)
    for segments, is_enough in ((3 * 64, True), (3 * 64 + 1, False)):
        links = Links([("a", "b"), ("b", "/".join(["x"] * segments)), ("c", "d")])
        if is_enough:
            links.resolve("a")
            assert links.resolve("b"), "a path may still pass its own link"
        else:
            with pytest.raises(LeadsOutError):
                links.resolve("a")
