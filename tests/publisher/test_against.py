"""A directory is packed again and compared with what was published: ``verify`` with ``against``."""

import json
import os
from dataclasses import replace

import pytest
from archive_strategies import Link, Program, lay
from commands import complaint, keystow

from keystow import Checksum, ResultError, VerificationError, publish, reading, verify
from keystow.archive import SourceError, SourceNotFoundError, scan
from keystow.archive.selection import selection

TIME = 1_700_000_000


def test_what_was_published_is_found_without_the_store(small, place, monkeypatch):
    results = [publish(small, place(f"k-{level}"), level=level) for level in (0, 2, 9)]
    opened = []
    monkeypatch.setattr(reading, "open_place", lambda *_: opened.append("a store"))
    tree = scan(small)
    for result in results:
        verified = verify(result, against=small)
        assert (verified.members, verified.size, verified.sha256) == (len(tree.entries), tree.size, result.tar_sha256)
    assert opened == []


def test_the_index_says_what_the_result_does_not(small, place):
    result = publish(small, place("k"), mtime=TIME)
    assert verify(replace(result, tar_sha256=None), against=small, mtime=TIME).sha256 == result.tar_sha256
    bare = replace(result, tar_sha256=None, index_sha256=None)
    with pytest.raises(ResultError, match="no TarSHA256 and no IndexSHA256"):
        verify(bare, against=small)
    with pytest.raises(VerificationError, match="with that of"):
        verify(replace(result, tar_sha256=None, index_sha256=Checksum("0" * 64)), against=small, mtime=TIME)


def test_each_member_that_differs_is_told(tmp_path, place):
    nodes = {"a": b"1", "b": b"x", "c": Link("a"), "d": b"1", "e": b"", "same": b"7", "p": Program(b"")}
    result = publish(lay(tmp_path / "one", nodes), place("k"), mtime=TIME)
    other = lay(
        tmp_path / "two",
        nodes | {"a": None, "b": Program(b"x"), "c": Link("b"), "d": b"2", "f": b""},
    )
    os.unlink(f"{other}/e")
    with pytest.raises(VerificationError, match="the directory is not what was published") as raised:
        verify(result, against=other, mtime=TIME)
    assert raised.value.__notes__ == [
        "'a' is of another kind in the directory",
        "'b' may be executed in one of them alone",
        "'c' leads elsewhere in the directory",
        "'d' has another content in the directory",
        "'e' is not in the directory",
        "'f' is in the directory alone",
    ]
    with pytest.raises(VerificationError) as raised:
        verify(result, against=f"{tmp_path}/one", mtime=TIME + 1)
    assert raised.value.__notes__ == [f"{name!r} has another time in the directory" for name in sorted(nodes)]


def test_a_tree_says_what_goes_along(small, place):
    result = publish(small, place("k"), exclude=["*.bin"], symlinks="skip")
    assert verify(result, against=scan(small, symlinks="skip", selection=selection(exclude=["*.bin"]))).members
    with pytest.raises(VerificationError) as raised:
        verify(result, against=small)
    assert "'model/weights.bin' is in the directory alone" in raised.value.__notes__


def test_that_it_differs_is_said_also_where_the_index_cannot_be_read(small, memory_place, stored):
    result = publish(small, memory_place("k"))
    stored(result).delete(result.key)
    assert verify(result, against=small).members
    os.utime(small / "score.txt", (1, 1))
    with pytest.raises(VerificationError) as raised:
        verify(result, against=small)
    assert "could not be read" in raised.value.__notes__[0]


def test_what_cannot_be_compared_is_refused(small, files, memory_place, tmp_path):
    result = publish(small, memory_place("k"))
    for call in (
        lambda: verify(publish(files, memory_place("p/"), archive=False), against=files),
        lambda: verify(result, against=small, members=["*.txt"]),
        lambda: verify(result, against=small, sha256="0" * 64),
        lambda: verify(result, mtime=1),
        lambda: verify(result.url, against=small),
    ):
        with pytest.raises(ResultError):
            call()
    with pytest.raises(SourceNotFoundError):
        verify(result, against=tmp_path / "absent")
    os.mkfifo(small / "fifo")
    with pytest.raises(SourceError, match="fifo"):
        verify(result, against=small)


def test_who_wants_to_is_told_how_far_it_is(small, memory_place):
    told = []
    verify(publish(small, memory_place("k")), against=small, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (scan(small).size,) * 2


@pytest.mark.slow
def test_the_command(small, file_place, tmp_path):
    ran = keystow("publish", small, file_place("k"), "--exclude", "*.bin", "--output=json", SOURCE_DATE_EPOCH="7")
    (tmp_path / "r.json").write_text(ran.out)
    call = ["verify", tmp_path / "r.json", "--against", small, "--exclude", "*.bin"]
    ran = keystow(*call, "--output=json", SOURCE_DATE_EPOCH="7")
    assert (ran.status, json.loads(ran.out)["members"]) == (0, len(scan(small).entries) - 1)
    assert "the directory gives what was published, of which the content was not read" in ran.err
    ran = keystow(*call, SOURCE_DATE_EPOCH="8")
    assert (ran.status, ran.out) == (4, "")
    assert "keystow: 'score.txt' has another time in the directory" in ran.err
    assert "--against" in complaint(keystow("verify", tmp_path / "r.json", "--exclude", "*.bin"), 2)
    assert "leave --sha256 and --member out" in complaint(keystow(*call, "--member", "*.txt"), 2)
    assert "nothing at" in complaint(keystow("verify", tmp_path / "r.json", "--against", tmp_path / "absent"), 2)
