"""Members of an archive without an index, which is read from its start, as strangers may make it."""

import io
import tarfile
from dataclasses import replace

import pytest

from keystow import Checksum, PublishedResult, fetch, verify
from keystow.archive import LimitExceededError, Limits, UnsafeArchiveError
from keystow.backends import open_store
from keystow.indexed import source_of
from keystow.members import list_members, read_member


def linked(name, target):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.LNKTYPE, target
    return made


@pytest.fixture
def published(tmp_path):
    """Publishes what members make, each a name with its content or what ``tarfile`` says of one."""
    store = open_store(f"memory://from-start-{tmp_path.name}")

    def put(*members):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as archive:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    archive.addfile(member)
                else:
                    told = tarfile.TarInfo(member[0])
                    told.size = len(member[1])
                    archive.addfile(told, io.BytesIO(member[1]))
        written = store.write("k.tar.gz", [made.getvalue()])
        known = {"size": len(made.getvalue()), "checksum_sha256": Checksum(written.sha256)}
        return PublishedResult("memory", f"from-start-{tmp_path.name}", "k.tar.gz", **known)

    return put


def content(result, name, **options):
    with source_of(result) as source:
        return b"".join(read_member(source, name, **options))


def listed(result, limits=None):
    with source_of(result) as source:
        return [entry.name for entry in list_members(source, limits=limits)]


def test_a_hard_link_is_followed_once(published):
    links = linked("itself", "itself"), linked("first", "second"), linked("second", "first"), linked("gone", "no")
    directory = tarfile.TarInfo("d")
    directory.type = tarfile.DIRTYPE
    result = published(("file", b"content"), linked("sound", "file"), directory, linked("of-directory", "d"), *links)
    for proven in (result, replace(result, checksum_sha256=None)):
        assert content(proven, "sound") == b"content"
        for name in ("itself", "first", "second", "gone", "of-directory"):
            with pytest.raises(UnsafeArchiveError, match="leads to no file"):
                content(proven, name)


ZEROS = bytes(120 << 20)


def test_what_is_passed_over_counts(published, tmp_path):
    result = published(("a", b"x" * 1000), ("b", b"y"), ("c", b"z"))
    for limits in (Limits(members=2), Limits(bytes=1001)):
        for read in (
            lambda limits=limits: fetch(result, tmp_path / "out", members=["b"], limits=limits),
            lambda limits=limits: verify(result, members=["b"], limits=limits),
            lambda limits=limits: content(result, "b", limits=limits),
            lambda limits=limits: listed(result, limits),
        ):
            with pytest.raises(LimitExceededError):
                read()
    assert not (tmp_path / "out").exists()
    exact = Limits(members=3, bytes=1002)
    assert content(result, "b", limits=exact) == b"y"
    assert listed(result, exact) == ["a", "b", "c"]
    assert verify(result, members=["b"], limits=exact).size == 1


@pytest.mark.slow
def test_so_small_an_archive_may_not_hold_so_much(published, tmp_path):
    result = published(("b", b"y"), ("zeros", ZEROS))
    for read in (
        lambda: fetch(result, tmp_path / "out", members=["b"]),
        lambda: verify(result, members=["b"]),
        lambda: content(result, "b"),
        lambda: content(result, "zeros"),
        lambda: listed(result),
    ):
        with pytest.raises(LimitExceededError, match="ratio"):
            read()
    assert not (tmp_path / "out").exists()
    assert content(result, "b", limits=Limits(ratio=None)) == b"y"
