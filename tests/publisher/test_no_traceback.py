"""Nothing that can be typed, set or put in a file gives a traceback or a panic; and nothing harms its own user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import KEYSTOW, complaint, keystow, run

from keystow import SpecError, publish
from keystow.command import main

pytestmark = pytest.mark.slow

SECRET = "s3cr3t"


def called(capfd, *arguments):
    """Runs the command in this process; gives its status, and the lines that it said, of which none is a traceback."""
    try:
        status = main([os.fspath(argument) for argument in arguments])
    except SystemExit as ended:
        status = ended.code
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert "panicked" not in said
    assert "does not know" not in said
    assert status in {0, 1, 2, 3, 4}
    assert all(line.startswith("keystow: ") for line in said.splitlines()), said
    return status, said


# ---------------------------------------------------------------------------------------------------
# What can be typed

DESTINATIONS = [
    "",
    "s3://",
    "s3://b",
    "s3://b/",
    "s3:///k",
    "://",
    "k",
    "s3://b/{",
    "s3://b/{}",
    "s3://b/{run}",
    "s3://b/{date:%Q}",
    "s3://b/k,opt=endpoint=zzz",
    "s3://b/k,opt=endpoint=http://[::1",
    "s3://b/k,opt=endpoint=file:///etc/passwd",
    f"s3://b/k,opt=endpoint=http://user:{SECRET}@127.0.0.1:1",
    "s3://b/k,opt=region=eu west",
    "s3://b/k,opt=engine=steam",
    's3://"b/k',
    "gs://b/a\nb",
    "az://B/k",
    "az://b/k,opt=endpoint=http://127.0.0.1:1;AccountKey=x",
    "github://foo/r/x",
    "git://x/y",
    "hdfs://x/y",
    "reference://x/y",
    "zip://x::http://127.0.0.1:1/y/z",
    "ftp://127.0.0.1:1/x/y",
    f"ftp://user:{SECRET}@127.0.0.1:1/x/y",
    f"sftp://user:{SECRET}@127.0.0.1:1/x/y",
    f"s3://AKIAEXAMPLE:{SECRET}@bucket/key",
    f"gs://me:{SECRET}@bucket/key",
    f"az://me:{SECRET}@container/key",
    f"s3://b/k,opt=endpoint=me:{SECRET}@host",
    "sftp://127.0.0.1:1/x/y",
    "smb://x/y",
    "webhdfs://x/y",
    "http://127.0.0.1:1/x/y",
    "memory:///k",
    "file://~/x",
    "file:///dev/null/x/k",
    "file:///proc/x/k",
    "dst=",
    "opt=endpoint=x",
    "\udcff://b/k",
    "s3://b/\udcff",
    "s3://b/" + "k" * 5000,
    "x" * 100_000,
    "\x1b]0;title\x07://b/k",
]


@pytest.mark.parametrize("destination", DESTINATIONS, ids=lambda text: ascii(text[:40]))
def test_any_destination(capfd, small, monkeypatch, destination):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    status, said = called(capfd, "publish", small, destination, "--dry-run")
    assert SECRET not in said
    assert "\x1b" not in said
    if status == 0 and not destination.startswith(("s3:", "gs:", "az:")):
        status, said = called(capfd, "publish", small, destination)
        assert SECRET not in said


@pytest.mark.parametrize(
    "kind", ["s3", "gs", "az", "file", "memory", "sftp", "github", "reference", "zip", "git", "hdfs"]
)
@pytest.mark.parametrize("bucket", ["b", "/b", "x::y", "\x1b[2J", "$web", "a b", "\udcff", "u:p@h/d", "."])
def test_any_result(capfd, tmp_path, monkeypatch, kind, bucket):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr("keystow.backends.sending.repeating.PAUSES", ())
    text = f"Type: {kind}\nParams: {{Bucket: {ascii(bucket)!s}, Key: k, ChecksumSHA256: '{'0' * 64}'}}\n"
    (tmp_path / "result.yaml").write_text(text.replace("'", '"'), encoding="utf-8", errors="surrogateescape")
    for command in (["verify"], ["url", "--expires", "1h"]):
        _, said = called(capfd, command[0], tmp_path / "result.yaml", *command[1:])
        assert "\x1b" not in said
    called(capfd, "get", tmp_path / "result.yaml", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", "http://127.0.0.1:1/k?sig=s3cr3t", "/proc/x/y"],
        ["get", "r.yaml", "/dev/null"],
        ["get", "r.yaml", "\0"],
        ["verify", "/proc/self/mem"],
        ["verify", "/dev/zero"],
        ["verify", "\udcff"],
        ["verify", "a" * 5000],
        ["publish", "/proc/self/mem", "memory://b/k"],
        ["publish", "\0", "memory://b/k"],
        ["publish", "a" * 5000, "memory://b/k"],
        ["publish", "/dev/null", "memory://b/k"],
        ["publish", ".", "memory://b/k", "--at", "9999-12-31T23:59:59+00:00", "--timezone", "Asia/Tokyo"],
        ["publish", ".", "memory://b/k", "--label", "=x"],
        ["publish", ".", "memory://b/k", "--spec", "x"],
        ["publish", ".", "--spec", "/dev/zero"],
        ["key", "{jobID}", "--job-id", "a/b"],
        ["key", "{"],
        ["ls", "r.yaml"],
        ["ls", "x://y"],
        ["ls", "file:///{"],
        ["ls", "file:///{jobID}", "--since", "99999999999d"],
        ["ls", "file:///{date}", "--since", "9999-12-31T23:59:59-12:00"],
        ["ls", "file:///{date}", "--until", "0001-01-01", "--timezone", "Asia/Tokyo"],
        ["ls", "file:///{jobID}", "--job-id", "\udcff"],
        ["index", "r.yaml", "--gzidx", "made"],
        ["index", "\0.tar.gz", "--gzidx", "made"],
        ["index", "absent.tar.gz", "--gzidx", "/dev/null"],
        ["index", "/dev/null/x.tar.gz", "--gzidx", "\0"],
        ["key", "x://y"],
        ["url", "r.yaml", "--expires", "999999999d"],
        ["ticket", "s3://b/k", "--expires", "9999999d"],
        ["publish", ".", "s3://b/k", "--ticket", ""],
        ["--debug"],
        ["publish"],
    ],
    ids=lambda arguments: ascii(" ".join(arguments)[:60]),
)
def test_any_call(capfd, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keystow.backends.sending.repeating.PAUSES", ())
    (tmp_path / "r.yaml").write_text(f"Type: file\nParams: {{Bucket: /x, Key: k, ChecksumSHA256: '{'0' * 64}'}}\n")
    status, said = called(capfd, *arguments)
    assert SECRET not in said
    assert status or "memory" in " ".join(arguments)


# ---------------------------------------------------------------------------------------------------
# What can be set

SETTINGS = [
    ("AWS_ENDPOINT_URL", "127.0.0.1:9000"),
    ("AWS_ENDPOINT_URL", "zzz"),
    ("AWS_ENDPOINT_URL_S3", f"http://user:{SECRET}@127.0.0.1:1"),
    ("AWS_ENDPOINT_URL", "http://[::1"),
    ("AWS_REGION", "eu west"),
    ("AWS_DEFAULT_REGION", "a/b"),
    ("AWS_CA_BUNDLE", "/nonexist.pem"),
    ("AWS_CA_BUNDLE", "/dev/null"),
    ("AWS_CONFIG_FILE", "malformed"),
    ("AWS_SHARED_CREDENTIALS_FILE", "malformed"),
    ("AWS_PROFILE", "nobody"),
    ("AWS_SECRET_ACCESS_KEY", "a\nb"),
    ("AWS_SESSION_TOKEN", "é"),
    ("KEYSTOW_ENGINE", "steam"),
    ("KEYSTOW_ALLOW_ENDPOINTS", "zzz"),
    ("SOURCE_DATE_EPOCH", "now"),
    ("STORAGE_EMULATOR_HOST", "http://["),
    ("STORAGE_EMULATOR_HOST", f"https://user:{SECRET}@h"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/nonexist.json"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "malformed"),
    ("AZURE_STORAGE_CONNECTION_STRING", "nonsense"),
    ("AZURE_STORAGE_CONNECTION_STRING", f"BlobEndpoint=zzz;AccountName=a;AccountKey={SECRET}"),
    ("AZURE_STORAGE_ACCOUNT_KEY", "not base64!"),
    ("AZURE_STORAGE_SAS_TOKEN", "\x1b[2J"),
]


@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
@pytest.mark.parametrize(("name", "value"), SETTINGS, ids=[f"{name}={value[:20]!r}" for name, value in SETTINGS])
def test_any_setting(capfd, tmp_path, small, monkeypatch, engine, name, value):
    (tmp_path / "malformed").write_text("[x\nnonsense")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keystow.backends.sending.repeating.PAUSES", ())
    monkeypatch.setenv("KEYSTOW_ENGINE", engine)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    if name.startswith("AWS_") and "ENDPOINT" not in name:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:1")
    if name.startswith("AZURE_") and "CONNECTION" not in name:
        monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    monkeypatch.setenv(name, value)
    place = {
        "AWS": "s3://b/k",
        "STO": "gs://b/k",
        "GOO": "gs://b/k",
        "AZU": "az://bucket/k,opt=endpoint=https://127.0.0.1:1/account",
    }
    if "CONNECTION" in name:
        place["AZU"] = "az://bucket/k"
    status, said = called(capfd, "publish", small, place.get(name[:3], "s3://b/k,opt=endpoint=http://127.0.0.1:1"))
    assert status in {1, 2}
    assert SECRET not in said
    assert "\x1b" not in said


# ---------------------------------------------------------------------------------------------------
# The last line of defence

FAILS = """
import sys
from keystow import command, fetching

class PanicException(BaseException):
    pass

def fail(*_, **__):
    raise {error}

fetching.verify = fail
sys.exit(command.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("error", ["KeyError('Authorization: Bearer s3cr3t')", "PanicException('a panic')"])
def test_what_keystow_does_not_know(error):
    kind = error.partition("(")[0]
    code = FAILS.replace("{error}", error)
    line = complaint(run(sys.executable, "-c", code, "verify", "s3://bucket/key"), 1)
    assert line.startswith(f"failed in a way that keystow does not know ({kind}: ")
    assert line.endswith(": run it again with --debug, and report what it prints")
    ran = run(sys.executable, "-c", code, "verify", "s3://bucket/key", "--debug")
    assert ran.status == 1
    assert "Traceback" in ran.err
    assert ", in fail" in ran.err
    assert "s3cr3t" not in ran.err


def test_debug_says_where_a_known_failure_came_from(tmp_path):
    ran = keystow("verify", tmp_path / "absent", "--debug")
    assert ran.status == 2
    assert ran.err.startswith("keystow: Traceback (most recent call last)")
    assert ran.err.splitlines()[-1].startswith(f"keystow: '{tmp_path}/absent' is no file")


# ---------------------------------------------------------------------------------------------------
# What harms its own user


def test_an_empty_source_is_not_the_current_directory(small, monkeypatch, tmp_path):
    monkeypatch.chdir(small)
    for archive in (True, False):
        with pytest.raises(ValueError, match="the source is empty"):
            publish("", f"file://{tmp_path}/store/k", archive=archive)
    assert "the source is empty" in complaint(keystow("publish", "", f"file://{tmp_path}/store/k"), 2)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("inside", ["k", "below/k", "model/k", "{date}/k", "../small/k", "../link/k"])
@pytest.mark.parametrize("archive", [True, False])
def test_a_destination_inside_the_source_is_refused(small, tmp_path, inside, archive):
    (tmp_path / "link").symlink_to(small)
    before = sorted(path.name for path in small.rglob("*"))
    for source in (small, tmp_path / "link", f"{small}/../small"):
        with pytest.raises(SpecError, match=r"lies inside the source .*: publish to another directory"):
            publish(source, f"file://{small}/{inside}", archive=archive)
    assert sorted(path.name for path in small.rglob("*")) == before


def test_a_destination_beside_the_source_is_not_inside(small, tmp_path):
    assert publish(small, f"file://{tmp_path}/small2/k").key == "k.tar.gz"
    assert publish(small, f"file://{tmp_path}/small").key == "small.tar.gz"
    file = small / "score.txt"
    assert publish(file, f"file://{small}/score").key == "score.tar.gz"
    with pytest.raises(SpecError, match="lies inside the source"):
        publish(small, f"file://{tmp_path}/small/", archive=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_result_is_printed_though_nothing_can_be_said(small, tmp_path):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [*KEYSTOW, "publish", small, f"file://{tmp_path}/store/k"], stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert done.returncode == 0
    assert b"PublishedResult:" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["--version"], ["key", "k"]], ids=" ".join)
def test_a_full_disk_behind_standard_output_is_one_sentence(arguments):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [*KEYSTOW, *arguments], stdout=full, stderr=subprocess.PIPE, encoding="utf-8", check=False
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize(
    ("destination", "note"),
    [
        ("file://{tmp}/store/k.tgz", "note: an archive's key ends with .tar.gz, which is added to .tgz: k.tgz.tar.gz"),
        ("file://{tmp}/store/k.zip", "note: an archive's key ends with .tar.gz, which is added to .zip: k.zip.tar.gz"),
        ("memory://b/k", "note: memory:// is this process's own, and is gone when it ends: file:///directory stays"),
    ],
)
def test_what_may_not_be_what_was_meant(small, tmp_path, destination, note):
    ran = keystow("publish", small, *[destination.replace("{tmp}", str(tmp_path))] * 2)
    assert ran.status == 0
    assert ran.err.count(f"keystow: {note}\n") == 1


@pytest.mark.parametrize(
    ("key", "is_warned"),
    [
        ("k", True),
        ("{jobID}/{date}", True),
        ("{jobID}/{nodeID}/{partitionIndex}", True),
        ("{executionID}", False),
        ("{jobID}/{time}", False),
        ("{jobID}/{date:%Y%m%d%H%M%S}", False),
        ("{jobID}/{run}", False),
    ],
)
def test_a_key_that_another_execution_has_too(small, key, is_warned):
    """The job is run again, and what it published before is gone: told where it is known that this is an execution."""
    ids = ["--job-id", "j", "--node-id", "n", "--partition-index", "1"]
    labels = ["--label", "run=7"] if "{run}" in key else []
    call = ["publish", small, f"s3://b/{key}", "--dry-run", *ids, *labels]
    warned = "another execution of the job replaces what this one publishes"
    assert (warned in keystow(*call, "--execution-id", "e-1").err) == is_warned
    assert warned not in keystow(*call).err
    assert warned not in keystow(*call, "--execution-id", "e-1", "--if-exists", "error").err


def test_a_source_without_files_is_told(tmp_path):
    """And no more than that: directories and links are published."""
    (tmp_path / "source" / "directory").mkdir(parents=True)
    ran = keystow("publish", "source", "s3://b/k", "s3://b/l", "--dry-run", cwd=tmp_path)
    assert ran.err.count("keystow: note: there is no file in 'source', and so none in what is published\n") == 1


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["key", "{jobID}"], "give --job-id"),
        (["key", "{run}"], "--label run="),
        (["publish", "source", "memory://b/k"], "choose --symlinks follow or skip"),
        (["publish", "pipes", "memory://b/k"], "choose --special skip"),
        (["publish", "source", "memory://b/k", "--symlinks", "error"], "choose another --symlinks"),
    ],
)
def test_the_command_speaks_of_options(tmp_path, arguments, advice):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "out").symlink_to("/etc/hostname")
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / "pipe")
    ran = keystow(*arguments, cwd=tmp_path)
    assert ran.status in {1, 2}
    assert advice in ran.err
    for words in ("Context(", "symlinks=", "special=", "labels=", "Limits(", "allow=", "values="):
        assert words not in ran.err


def test_numbers_are_worded_for_people(small, tmp_path):
    ran = keystow("publish", small / "empty.txt", f"file://{tmp_path}/store/k")
    assert ran.err == f"keystow: published 1 file of 0 bytes to file://{tmp_path}/store/k.tar.gz\n"
    assert "verified 1 object of " in keystow("verify", "-", stdin=ran.out).err
    assert "fetched 1 member of 0 bytes" in keystow("get", "-", tmp_path / "back", stdin=ran.out).err
