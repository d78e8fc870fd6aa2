"""A prefix with a manifest, by the command."""

import json

import pytest
from commands import complaint, keystow

from keystow import Publisher, VerificationError, publish, verify
from keystow.archive.manifest import NAME
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
    assert complaint(keystow("verify", file, "--strict"), 4).endswith("were not published: 'other'")
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
        with pytest.raises(VerificationError, match="listing"):
            publisher.fetch(done, tmp_path / "no", manifest=False)
    with pytest.raises(ResultError, match="strict=True is for a prefix"):
        verify(publish(files, place("archive")), strict=True)
