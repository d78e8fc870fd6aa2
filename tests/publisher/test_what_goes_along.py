"""What of the source is published, and how tightly it is packed."""

import logging
import tarfile

import pytest
from archive_strategies import lay
from commands import complaint, keystow

from keystow import Publisher, SourceError, SpecError, fetch, publish
from keystow.archive import gunzip
from keystow.command import main

pytestmark = pytest.mark.slow

TREE = {"a.csv": b"1", "b.log": b"2", "data/c.csv": b"3", "data/d.log": b"4", "cache/e.csv": b"5"}


@pytest.fixture
def tree(tmp_path):
    return lay(tmp_path / "tree", TREE)


@pytest.fixture
def destination(tmp_path):
    return f"file://{tmp_path}/out/k"


def names(archive):
    with tarfile.open(archive) as opened:
        return set(opened.getnames())


@pytest.mark.parametrize(
    ("options", "goes_along"),
    [
        (["--exclude", "*.log"], {"a.csv", "cache", "cache/e.csv", "data", "data/c.csv"}),
        (["--include", "*.csv"], {"a.csv", "cache", "cache/e.csv", "data", "data/c.csv"}),
        (["--include", "*.csv", "--exclude", "cache/"], {"a.csv", "data", "data/c.csv"}),
        (["--exclude", "*", "--include", "a.*"], {"a.csv"}),
        (["--include", "a.*", "--exclude", "*"], None),
        (["--ignore-file", "rules"], {"a.csv", "data", "data/c.csv", "data/d.log"}),
        (["--ignore-file", "rules", "--exclude", "data/"], {"a.csv"}),
        (["--include", "data/", "--ignore-file", "rules"], {"data", "data/c.csv", "data/d.log"}),
    ],
)
def test_options_count_in_the_order_in_which_they_are_given(tree, tmp_path, destination, options, goes_along):
    (tmp_path / "rules").write_text("# of this test\n*.log\n!data/*.log\n\ncache/\n")
    ran = keystow("publish", tree, destination, *options, cwd=tmp_path)
    if goes_along is None:
        assert "the patterns let no file of" in complaint(ran, 1)
        assert not (tmp_path / "out").exists()
        return
    assert ran.status == 0, ran
    assert names(tmp_path / "out" / "k.tar.gz") == goes_along


def test_an_ignore_file_of_windows_and_one_that_is_wrong(tree, tmp_path, destination):
    (tmp_path / "rules").write_bytes(b"\xef\xbb\xbf*.log\r\ncache/\r\na\x0cb\r\n")
    assert keystow("publish", tree, destination, "--ignore-file", "rules", cwd=tmp_path).status == 0
    assert names(tmp_path / "out" / "k.tar.gz") == {"a.csv", "data", "data/c.csv"}
    (tmp_path / "rules").write_text("*.log\n[a\n")
    said = complaint(keystow("publish", tree, destination, "--ignore-file", "rules", cwd=tmp_path), 2)
    assert said.startswith("'rules': the pattern '[a' has a '[' without what belongs to it")


def test_what_is_wrong_for_one_destination_publishes_to_none(tree, tmp_path, destination):
    plain = f"file://{tmp_path}/other/k,opt=encoding=plain"
    said = complaint(keystow("publish", tree, destination, plain, "--level", "6"), 2)
    assert said.startswith("--level 6 is for archives")
    assert not (tmp_path / "out").exists()
    for arguments in ({"archive": False, "level": 3}, {"symlinks": "x"}, {"special": "x"}):
        with pytest.raises(SpecError):
            Publisher("memory://goes/k", **arguments)


def test_what_is_left_out_is_counted_and_named_if_that_is_asked_for(tree, destination):
    ran = keystow("publish", tree, destination, "--exclude", "*.log", "--exclude", "cache/", "--dry-run")
    assert "keystow: left out by the patterns: 3 names (--verbose says which)\n" in ran.err
    assert "2 files of 2 bytes would be published" in ran.err
    told = keystow("publish", tree, destination, "--exclude", "*.log", "--exclude", "cache/", "--dry-run", "--verbose")
    lines = told.err.splitlines()
    assert lines[:3] == ["keystow: left out: b.log", "keystow: left out: cache/", "keystow: left out: data/d.log"]
    assert "left out by the patterns" not in told.err


@pytest.mark.parametrize("archive", [True, False])
def test_the_library_chooses_alike(tree, tmp_path, archive):
    result = publish(tree, "memory://goes/k", archive=archive, include=["*.csv"], exclude=["cache/"])
    fetched = fetch(result, tmp_path / "back")
    assert fetched.members == 3
    with Publisher("memory://goes/k", archive=archive, include="*.csv", exclude="cache/") as publisher:
        assert publisher.publish(tree).checksum_sha256 == result.checksum_sha256
    for arguments in ({"exclude": ["[a"]}, {"include": ["!a"]}, {"level": 10}, {"level": -1}):
        with pytest.raises(SpecError):
            Publisher("memory://goes/k", **arguments)
    with pytest.raises(SourceError, match="let no file"):
        publish(tree, "memory://goes/k", archive=archive, include=["*.parquet"])


def test_what_looks_like_secrets_goes_along_with_one_warning(tmp_path, caplog):
    files = {
        ".env": b"",
        ".git/config": b"",
        "d/id_rsa": b"",
        "d/key.pem": b"",
        "d/.aws/config": b"",
        "e/.netrc": b"",
        "x": b"",
    }
    tree = lay(tmp_path / "tree", files)
    with caplog.at_level(logging.WARNING, "keystow"):
        result = publish(tree, "memory://secrets/k")
    named = "'.env', '.git/', 'd/.aws/', 'd/id_rsa', 'd/key.pem' and 1 more"
    warning = f"what goes along looks like secrets: {named}: exclude what others should not see"
    assert [record.getMessage() for record in caplog.records] == [warning]
    assert fetch(result, tmp_path / "back").members == 7 + 4
    caplog.clear()
    publish(tree, "memory://secrets/k", exclude=[".*", "id_*", "*.pem"])
    assert caplog.records == []


def test_the_command_warns_once(tmp_path, capsys):
    tree = lay(tmp_path / "tree", {".env": b"TOKEN=1", "x": b""})
    assert main(["publish", tree, f"file://{tmp_path}/out/k"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "secret" in line]
    assert told == ["keystow: what goes along looks like secrets: '.env': exclude what others should not see"]


def test_levels_change_the_size_and_nothing_else(tmp_path):
    tree = lay(tmp_path / "tree", {"text": b"".join(b"%d squared is %d\n" % (n, n * n) for n in range(20_000))})
    out = tmp_path / "out"
    sizes, streams = [], set()
    for level in (0, 1, 2, 6, 9):
        assert main(["publish", tree, f"file://{out}/{level}", "--level", str(level)]) == 0
        archive = (out / f"{level}.tar.gz").read_bytes()
        sizes.append(len(archive))
        streams.add(b"".join(gunzip([archive])))
    assert len(streams) == 1
    assert sizes[0] > max(sizes[1:3]) > max(sizes[3:])
    assert main(["publish", tree, f"file://{out}/usual"]) == 0
    assert (out / "usual.tar.gz").read_bytes() == (out / "2.tar.gz").read_bytes()
    publish(tree, f"file://{out}/library", level=6)
    assert (out / "library.tar.gz").read_bytes() == (out / "6.tar.gz").read_bytes()
