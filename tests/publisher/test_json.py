"""``--output json``: lines of JSON on stdout, and on stderr, errors among them, as ``docs/json.md`` has them."""

import json
import re
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import KEYSTOW, keystow

from keystow.command.parsing import COMMANDS, parser_of

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def printed(*arguments, **options):
    """The lines of a command that did what it was asked; what it said is JSON, too, and no error."""
    ran = keystow(*arguments, "--output", "json", **options)
    assert ran.status == 0, ran.err
    assert {told["level"] for told in lines(ran.err)} <= {"note"}
    assert all(told.keys() == {"level", "message"} for told in lines(ran.err))
    return lines(ran.out)


def failed(*arguments, **options):
    """The one error of a command that failed, and the status."""
    ran = keystow(*arguments, "--output=json", **options)
    (error,) = [told for told in lines(ran.err) if told["level"] == "error"]
    assert error.keys() == {"level", "message", "kind", "status", "notes"}
    assert error["status"] == ran.status != 0
    return error


@pytest.fixture
def result(small, tmp_path):
    """The file with a published result, and that."""
    (found,) = printed("publish", small, f"file://{tmp_path}/there/k")
    (tmp_path / "result.json").write_text(json.dumps(found))
    return tmp_path / "result.json", found["PublishedResult"]["Params"]


@pytest.mark.parametrize("option", [["--output=json"], ["--output", "json"], ["--out", "json"], ["--o=json"]])
def test_however_it_is_asked_for(option):
    ran = keystow("key", "{", *option)
    assert [told["level"] for told in lines(ran.err)] == ["error"]


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "help"])
def test_every_command_has_it(command):
    (action,) = [each for each in parser_of(command)._actions if "--output" in each.option_strings]
    assert "json" in action.choices
    assert f"| `{command}` |" in PAGE or command == "policy"


def test_what_is_fetched_and_verified(result, tmp_path):
    file, params = result
    sha256 = params["ChecksumSHA256"].removeprefix("0x")
    (got,) = printed("get", file, tmp_path / "back")
    assert got == {
        "directory": str(tmp_path / "back"),
        "members": got["members"],
        "bytes": got["bytes"],
        "sha256": sha256,
        "verified": True,
        "address": None,
    }
    assert got["members"] > 5
    (verified,) = printed("verify", file)
    url = f"file://{tmp_path}/there/k.tar.gz"
    assert verified == {
        "url": url,
        "objects": 1,
        "bytes": Path(tmp_path, "there/k.tar.gz").stat().st_size,
        "sha256": sha256,
    }


def test_a_key():
    assert printed("key", "r/{jobID}", "--job-id", "a") == [{"key": "r/a.tar.gz"}]


def test_a_url(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    result = {"Type": "s3", "Params": {"Bucket": "b", "Key": "k", "Endpoint": "http://127.0.0.1:9"}}
    (found,) = printed("url", "-", "--expires", "1h", stdin=json.dumps(result))
    assert found["url"].startswith("http://127.0.0.1:9/b/k?")
    assert 3500 < (datetime.fromisoformat(found["expires"]) - datetime.now(UTC)).total_seconds() <= 3600


def test_errors(result, small, tmp_path):
    file, _ = result
    there = f"file://{tmp_path}/there/k"
    assert failed("publish", small, there, "--if-exists", "error", "--exclude", "*.txt")["kind"] == "already_exists"
    assert failed("get", file, small)["kind"] == "destination_exists"
    assert failed("publish", tmp_path / "absent", there)["kind"] == "no_such_source"
    assert failed("key", "{jobID}")["kind"] == "missing_value"
    assert failed("key", "{jobID")["kind"] == "invalid_template"
    Path(tmp_path, "there/k.tar.gz").write_bytes(b"another")
    assert failed("verify", file)["kind"] == "checksum_mismatch"
    for wrong in (["publish"], ["key", "k", "--nope"], ["url", file, "--expires", "soon"], ["nope"]):
        error = failed(*wrong)
        assert (error["kind"], error["status"], error["notes"]) == ("usage", 2, [])


def test_the_notes_of_an_error_are_its_own(files, tmp_path):
    """Where a file of a prefix is in the way, the others that came are counted."""
    (tmp_path / "there/p").mkdir(parents=True)
    (tmp_path / "there/p/score.txt").write_bytes(b"of another")
    error = failed("publish", files, f"file://{tmp_path}/there/p", "--plain", "--if-exists", "error")
    assert error["kind"] == "already_exists"
    assert any("had already been sent to" in note for note in error["notes"])


def test_of_several_destinations_each_failure_is_a_line(small, tmp_path):
    (tmp_path / "a file").write_text("x")
    ran = keystow("publish", small, f"file://{tmp_path}/a file/k", f"file://{tmp_path}/there/k", "--output", "json")
    assert ran.status == 1
    assert [told["level"] for told in lines(ran.err)].count("error") == 1
    assert len(lines(ran.out)) == 1


def test_an_interrupt(small, tmp_path):
    command = [*KEYSTOW, "publish", "-", f"file://{tmp_path}/there/k", "--raw", "--output", "json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as running:
        running.stdin.write("x" * (3 << 20))
        running.stdin.flush()  # most of it has been read by then
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    (error,) = lines(err)
    assert (error["level"], error["kind"], error["status"]) == ("error", "interrupted", 130)


def test_no_secret_is_in_it(tmp_path):
    error = failed("get", f"http://127.0.0.1:9/k?X-Amz-Signature={'0f' * 32}", tmp_path / "back", "--timeout", "1s")
    assert "0f0f" not in json.dumps(error)
    assert not re.search("Signature=[^.]", error["message"])
