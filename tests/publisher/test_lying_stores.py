"""A store that says one thing and sends another costs no more than it said, and is told so."""

import itertools
from dataclasses import replace

import pytest
from commands import complaint, keystow

from keystow import fetch, publish, verify
from keystow.archive import CorruptArchiveError, LimitExceededError, Limits
from keystow.backends import NotFoundError, Stat, StoreError
from keystow.backends.memory import MemoryStore
from keystow.indexed import source_of
from keystow.members import list_members, read_member

pytestmark = pytest.mark.slow

MIB = bytes(1 << 20)
names = itertools.count()


@pytest.fixture
def published(files):
    return publish(files, f"memory://lying-{next(names)}/p", archive=False, manifest=False)


@pytest.fixture
def lies(monkeypatch):
    """Has stores in memory list and send something else; ``taken`` counts the pieces that were asked for."""
    taken = []
    listing = MemoryStore.list

    def lie(found=lambda stat: stat, sends=None, more=()):
        def listed(self, prefix=""):
            yield from map(found, listing(self, prefix))
            yield from more

        def read(self, key, **_):
            for piece in sends(key):
                taken.append(len(piece))
                yield piece

        monkeypatch.setattr(MemoryStore, "list", listed)
        if sends is not None:
            monkeypatch.setattr(MemoryStore, "read", read)
        return taken

    return lie


def both(published, tmp_path, **options):
    """The errors of fetching and of verifying it; nothing is left."""
    errors = []
    for attempt in (lambda: fetch(published, tmp_path / "back", **options), lambda: verify(published, **options)):
        with pytest.raises((StoreError, ValueError)) as caught:
            attempt()
        errors.append(caught.value)
    assert not list(tmp_path.glob("*back*"))
    assert not list(tmp_path.glob(".*"))
    return errors


@pytest.mark.parametrize("size", [1, 3 << 20], ids=["small", "streamed"])
@pytest.mark.parametrize("far", [True, False], ids=["far", "near"])
def test_it_sends_more_than_it_listed(published, tmp_path, lies, monkeypatch, size, far):
    if far:
        monkeypatch.setattr("keystow.prefixes._NEAR", set())
    taken = lies(lambda stat: replace(stat, size=size), lambda _: itertools.repeat(MIB, 3 << 10))
    for error in both(published, tmp_path):
        assert f"{size} bytes were announced, and more came" in str(error)
        assert f"{published.url}" in str(error)
    assert sum(taken) < 64 << 20


@pytest.mark.parametrize("size", [10, 3 << 20], ids=["small", "streamed"])
def test_it_sends_less_than_it_listed(published, tmp_path, lies, size):
    lies(lambda stat: replace(stat, size=size), lambda _: [b"x"])
    for error in both(published, tmp_path):
        assert f"{size} bytes were announced, and fewer came" in str(error)


@pytest.mark.parametrize(
    "strange",
    [lambda stat: replace(stat, size=-1), lambda stat: replace(stat, key=f"other/{stat.key}")],
    ids=["size", "key"],
)
def test_a_listing_that_makes_no_sense(published, tmp_path, lies, strange):
    lies(strange)
    for error in both(published, tmp_path):
        assert "the listing makes no sense" in str(error)


def test_an_endless_listing(published, tmp_path, lies):
    more = map(lambda number: Stat(f"{published.key}{number}", 0), itertools.count())  # noqa: C417  has no close
    lies(lambda stat: replace(stat, size=0), more=more, sends=lambda _: [])
    for error in both(published, tmp_path, limits=Limits(members=1000)):
        assert isinstance(error, LimitExceededError)
        assert "more than 1000 members" in str(error)
    assert next(more).key < f"{published.key}3000"


def test_limits_of_a_prefix(published, tmp_path):
    found = verify(published)
    assert verify(published, limits=Limits(members=found.objects, bytes=found.size)) == found
    for limits in (Limits(members=found.objects - 1), Limits(bytes=found.size - 1)):
        for error in both(published, tmp_path, limits=limits):
            assert isinstance(error, LimitExceededError)


def test_limits_of_an_archive(small, tmp_path):
    published = publish(small, f"memory://lying-{next(names)}/k")
    size = verify(published).size
    assert verify(published, limits=Limits(bytes=size)).size == size
    with pytest.raises(LimitExceededError, match=rf"more than {size - 1} bytes: raise Limits\(bytes=…\)"):
        verify(published, limits=Limits(bytes=size - 1))
    with pytest.raises(LimitExceededError, match=r"raise Limits\(members=…\)"):
        fetch(published, tmp_path / "back", limits=Limits(members=3))


def test_errors_name_the_object(published, tmp_path):
    gone = replace(published, key="gone/")
    for error in both(gone, tmp_path):
        assert isinstance(error, NotFoundError)
        assert f"'memory://{published.bucket}/gone/'" in str(error)


@pytest.mark.parametrize("option", [["--max-members", "3"], ["--max-bytes", "9kB"], ["--max-depth", "1"]], ids=" ".join)
def test_the_options_of_the_command(small, tmp_path, option):
    ran = keystow("publish", small, f"file://{tmp_path}/store/k")
    assert ran.status == 0
    line = complaint(keystow("get", "-", tmp_path / "back", *option, stdin=ran.out), 1)
    assert line.endswith(f"raise {option[0]}")
    assert not (tmp_path / "back").exists()
    assert keystow("get", "-", tmp_path / "back", option[0], "none", stdin=ran.out).status == 0


@pytest.mark.parametrize(
    "bad", [["--max-members", "3k"], ["--max-bytes", "-1"], ["--max-bytes", "1X"], ["--max-ratio", ""]]
)
def test_what_is_no_limit(tmp_path, bad):
    line = complaint(keystow("get", "result.yaml", tmp_path / "back", *bad), 2)
    assert bad[0] in line
    assert "none" in line


def listed(result, limits):
    with source_of(result) as source:
        return list(list_members(source, limits=limits))


def read(result, limits):
    with source_of(result) as source:
        return list(read_member(source, "a", limits))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda result, path, limits: fetch(result, path, limits=limits),
        lambda result, path, limits: fetch(result, path, limits=limits, members=["a"]),
        lambda result, _, limits: verify(result, limits=limits, members=["a"]),
        lambda result, _, limits: listed(result, limits),
        lambda result, _, limits: read(result, limits),
    ],
    ids=["fetch", "fetch members", "verify members", "list", "read"],
)
def test_what_is_no_archive_is_read_no_further_than_the_limits_allow(tmp_path, monkeypatch, attempt):
    """To tell whether it is what was published, all of it would have to be read, and a server may send without end."""
    published = replace(publish(tmp_path, "memory://endless/k"), index_sha256=None)
    given = 0

    def endless(*_, **__):
        nonlocal given
        while True:
            given += 1 << 20
            assert given < 64 << 20
            yield b"x" * (1 << 20)

    monkeypatch.setattr(MemoryStore, "read", endless)
    with pytest.raises(CorruptArchiveError):
        attempt(published, tmp_path / "back", Limits(bytes=1000))
