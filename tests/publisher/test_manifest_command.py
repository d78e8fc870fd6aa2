"""A prefix with a manifest, by the command."""

import hashlib
import json
import re
import subprocess
import urllib.request

import pytest
from commands import KEYSTOW, complaint, keystow, run

from keystow import Publisher, VerificationError, publish, verify
from keystow.archive.manifest import NAME, Item, written_manifest
from keystow.errors import ResultError
from keystow.stored import open_place

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path):
    """A prefix in a directory, as a destination and where it is."""
    return f"file://{tmp_path}/store/run/", tmp_path / "store/run"


def published(source, to, *options):
    ran = keystow("publish", source, to, "--plain", "--output", "json", *options)
    assert ran.status == 0, ran.err
    return ran.out


def result(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    return tmp_path / "result.json"


# ---------------------------------------------------------------------------------------------------
# Published, and read back


def test_publish_writes_one_unless_it_is_told_not_to(files, here):
    to, directory = here
    published(files, to, "--no-manifest")
    assert not (directory / NAME).exists()
    published(files, to)
    assert (directory / NAME).exists()
    said = complaint(keystow("publish", files, to, "--no-manifest"), 2)
    assert said == "--no-manifest is for files under a prefix, and this is one object: leave it out"


@pytest.mark.parametrize("options", [[], ["--no-manifest"]])
def test_so_does_publish_many(files, here, options):
    to, directory = here
    line = json.dumps({"source": str(files), "destination": to})
    ran = keystow("publish-many", "-", "--plain", "--allow", "file", *options, stdin=line)
    assert ran.status == 0
    assert (directory / NAME).exists() == (not options)


def test_a_dry_run_says_whether_there_will_be_one(files, here):
    to, _ = here
    ran = keystow("publish", files, to, "--plain", "--dry-run")
    assert f"4 files of 10245 bytes, and then a manifest of them, would be published to {to}" in ran.err
    ran = keystow("publish", files, to, "--plain", "--dry-run", "--no-manifest")
    assert f"4 files of 10245 bytes would be published to {to}" in ran.err


@pytest.mark.parametrize("command", ["publish", "doctor"])
def test_whether_files_were_published_there_is_told_by_it(files, here, command):
    to, directory = here
    call = ["publish", files, "--dry-run", "--check"] if command == "publish" else ["doctor"]

    def told():
        ran = keystow(*call, to, "--plain")
        return [line for line in (ran.err + ran.out).splitlines() if "permitted" in line]

    directory.mkdir(parents=True)
    (directory / "other").write_bytes(b"")
    (line,) = told()
    assert line.endswith("permitted; there is no manifest under the prefix yet")
    published(files, to)
    (line,) = told()
    assert line.endswith("permitted; files were published under the prefix already, with a manifest")


def test_what_has_none_is_read_on_request(files, here, tmp_path):
    to, directory = here
    directory.mkdir(parents=True)
    (directory / "other").write_bytes(b"1")
    said = complaint(keystow("get", to, tmp_path / "out"), 1)
    assert said.endswith("as there is no manifest: --no-manifest takes whatever lies there")
    assert keystow("get", to, tmp_path / "out", "--no-manifest").status == 0
    assert (tmp_path / "out/other").read_bytes() == b"1"
    archive = result(tmp_path, keystow("publish", files, to[:-1], "--output", "json").out)
    for command in (["get", archive, tmp_path / "no"], ["verify", archive]):
        assert complaint(keystow(*command, "--no-manifest"), 2).startswith("--no-manifest is for a prefix")


def test_what_else_lies_there_is_named_on_request(files, here, tmp_path):
    to, directory = here
    file = result(tmp_path, published(files, to))
    assert keystow("verify", file, "--strict").status == 0
    (directory / "other").write_bytes(b"1")
    assert keystow("verify", file).status == 0
    for command in (["verify", file], ["get", file, tmp_path / "no"]):
        assert complaint(keystow(*command, "--strict"), 4).endswith("were not published: 'other'")
    assert "listing has the SHA-256" in complaint(keystow("verify", file, "--no-manifest"), 4)
    archive = result(tmp_path, keystow("publish", files, to[:-1], "--output", "json").out)
    for options in ([], ["--against", files]):
        assert complaint(keystow("verify", archive, "--strict", *options), 2).startswith("--strict is for a prefix")


def test_a_publisher_reads_back_as_well(place, files, tmp_path):
    with Publisher(place("run"), archive=False) as publisher:
        done = publisher.publish(files)
        open_place(done).write(f"{done.key}other", [b"1"])
        assert publisher.verify(done).objects == verify(done).objects == 4
        with pytest.raises(VerificationError, match="'other'"):
            publisher.verify(done, strict=True)
        with pytest.raises(VerificationError, match="'other'"):
            publisher.fetch(done, tmp_path / "no", strict=True)
        with pytest.raises(VerificationError, match="listing"):
            publisher.fetch(done, tmp_path / "no", manifest=False)
    with pytest.raises(ResultError, match="strict=True is for a prefix"):
        verify(publish(files, place("archive")), strict=True)


# ---------------------------------------------------------------------------------------------------
# What it lists

STRANGE = ["-", "*", " a", "a\\b", "a\nb", "a\rb", "\\", "ü", "\udcff", "sub/-n"]


@pytest.fixture
def listed(files, here, tmp_path):
    """A result, in a file."""
    return result(tmp_path, published(files, here[0]))


def test_a_manifest_is_a_table(listed):
    ran = keystow("manifest", listed)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[2] == (
        f"{hashlib.sha256(b'42' + bytes([10])).hexdigest()} -rw-r--r--            3 2001-09-09T01:46:40Z score.txt"
    )


def test_a_manifest_in_json(listed, here, files):
    directory = here[1]
    lines = [json.loads(line) for line in keystow("manifest", listed, "--output", "json").out.splitlines()]
    assert [line["name"] for line in lines] == sorted(
        str(path.relative_to(files)) for path in files.rglob("*") if path.is_file()
    )
    assert lines[2] == {
        "name": "score.txt",
        "size": 3,
        "time": int((files / "score.txt").stat().st_mtime),
        "mode": 0o644,
        "sha256": hashlib.sha256(b"42\n").hexdigest(),
        "version": None,
        "etag": lines[2]["etag"],
        "url": f"file://{directory}/score.txt",
    }


def test_sha256sum_takes_it(tmp_path, here):
    for number, name in enumerate(STRANGE):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    file = result(tmp_path, published(tmp_path / "source", here[0]))
    assert keystow("get", file, tmp_path / "back").status == 0
    sums = keystow("manifest", file, "--output", "sha256sum").out
    assert len(sums.splitlines()) == len(STRANGE)
    checked = run("sha256sum", "--check", "--strict", "-", stdin=sums, cwd=tmp_path / "back", LC_ALL="C")
    assert (checked.status, checked.out.count(": OK\n"), checked.err) == (0, len(STRANGE), "")
    by_itself = run("sha256sum", *sorted(set(STRANGE) - {"-"}), cwd=tmp_path / "back").out
    assert set(by_itself.splitlines()) < set(sums.splitlines())
    (tmp_path / "back/a\nb").write_bytes(b"other")
    assert run("sha256sum", "--check", "-", stdin=sums, cwd=tmp_path / "back").status == 1


def test_what_nothing_proves_is_said(listed, here):
    ran = keystow("manifest", here[0])
    assert (ran.status, len(ran.out.splitlines())) == (0, 4)
    assert "not verified" in ran.err
    sha256 = json.loads(listed.read_text())["PublishedResult"]["Params"]["ChecksumSHA256"]
    assert keystow("manifest", here[0], "--sha256", sha256).err == ""


def test_what_is_not_what_was_published_is_not_printed(listed, here):
    (here[1] / NAME).write_bytes(written_manifest([Item("a", 0, "0" * 64)]))
    assert "is not what was published" in complaint(keystow("manifest", listed), 4)


def test_of_an_archive_there_is_none(files, here, tmp_path):
    archive = result(tmp_path, keystow("publish", files, here[0][:-1], "--output", "json").out)
    said = complaint(keystow("manifest", archive), 2)
    assert said.endswith("is an archive, which has no manifest: keystow ls lists it")
    assert "no manifest" in complaint(keystow("manifest", f"{here[0]}x,opt=encoding=raw"), 2)
    assert "nothing was published" in complaint(keystow("manifest", f"{here[0]}x/"), 1)


# ---------------------------------------------------------------------------------------------------
# As members


def test_files_are_listed(listed, here, files):
    ran = keystow("ls", listed)
    names = [line["name"] for line in map(json.loads, keystow("ls", listed, "--output", "json").out.splitlines())]
    assert (ran.status, ran.err, ran.out.splitlines()) == (0, "", names)
    assert keystow("ls", here[0]).out == ran.out
    assert "not verified" in keystow("ls", here[0]).err
    time = "2001-09-09T01:46:40Z"
    assert keystow("ls", listed, "--long", "*.txt").out.splitlines() == [
        f"-rw-r--r--            0 {time} empty.txt",
        f"-rw-r--r--            3 {time} score.txt",
    ]
    assert "'*.jpg'" in complaint(keystow("ls", listed, "*.jpg"), 1)
    assert "--max-members" in complaint(keystow("ls", listed, "--max-members", "3"), 1)
    assert keystow("ls", here[0], "--plain").out.count("\n") == 1, "it is a destination"


def test_a_file_is_printed(listed, here, files):
    for path in files.rglob("*"):
        if path.is_file():
            name = path.relative_to(files)
            ran = subprocess.run([*KEYSTOW, "cat", listed, name], capture_output=True, check=False)
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, path.read_bytes(), b"")
    ran = keystow("cat", here[0], "score.txt")
    assert (ran.status, ran.out) == (0, "42\n")
    assert "not verified" in ran.err
    assert "is a directory" in complaint(keystow("cat", listed, "model"), 1)
    assert "has no member 'absent'" in complaint(keystow("cat", listed, "absent"), 1)
    assert "--max-bytes" in complaint(keystow("cat", listed, "model/weights.bin", "--max-bytes", "1000"), 1)


@pytest.mark.parametrize("size", [1000, 9 << 20])
def test_nothing_is_printed_of_what_is_not_what_was_published(here, tmp_path, size):
    source = tmp_path / "source"
    source.mkdir()
    (source / "data").write_bytes(bytes(size))
    file = result(tmp_path, published(source, here[0]))
    assert keystow("cat", file, "data").out == "\0" * size
    for content in (bytes(size - 1) + b"1", bytes(size + 1), bytes(size - 1)):
        (here[1] / "data").write_bytes(content)
        assert "data" in complaint(keystow("cat", file, "data"), 4)
        assert "data" in complaint(keystow("cat", here[0], "data"), 4)


def test_the_index_is_an_archives(listed, tmp_path):
    assert "is a prefix" in complaint(keystow("index", listed, "--gzidx", tmp_path / "x"), 2)
    for call in (["ls", listed], ["cat", listed, "score.txt"], ["verify", listed, "--member", "*"]):
        said = complaint(keystow(*call, "--index", tmp_path / "x"), 2)
        assert said == "--index is of an archive, and this is a prefix: leave it out"


# ---------------------------------------------------------------------------------------------------
# A URL for each


@pytest.mark.server
def test_each_file_has_a_url(seaweed, versioned_bucket, login, files, tmp_path):
    login(seaweed)
    file = result(tmp_path, published(files, f"s3://{versioned_bucket}/urls/,opt=endpoint={seaweed.endpoint}"))
    ran = keystow("url", file, "--expires", "1h")
    names = keystow("ls", file).out.splitlines()
    assert ran.status == 0
    assert re.fullmatch(r"keystow: the first of 4 URLs ends at [-0-9]+ [:0-9]+ UTC\n", ran.err)
    for name, url in zip(names, ran.out.splitlines(), strict=True):
        assert "versionId=" in url
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == (files / name).read_bytes()
    lines = [json.loads(line) for line in keystow("url", file, "--expires", "1h", "--output", "json").out.splitlines()]
    assert [line["name"] for line in lines] == names
    assert all(line.keys() == {"name", "url", "sha256", "size", "expires"} for line in lines)
    assert [line["sha256"] for line in lines] == [
        hashlib.sha256((files / name).read_bytes()).hexdigest() for name in names
    ]
    assert "versionId" not in keystow("url", file, "--expires", "1h", "--no-pin-version").out
    name = f"s3://{versioned_bucket}/urls/,opt=endpoint={seaweed.endpoint}"
    assert "not verified" in keystow("url", name, "--expires", "1h").err


def test_of_what_was_not_published_there_are_none(here, tmp_path):
    assert "nothing was published" in complaint(keystow("url", here[0], "--expires", "1h"), 1)
