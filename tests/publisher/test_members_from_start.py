"""Members of an archive without an index, which is read from its start, as strangers may make it."""

import io
import tarfile
from dataclasses import replace

import pytest

from keystow import Checksum, PublishedResult
from keystow.archive import UnsafeArchiveError
from keystow.backends import open_store
from keystow.indexed import source_of
from keystow.members import read_member


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
