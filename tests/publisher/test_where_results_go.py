"""Where the command takes the destination from, and where it leaves the result."""

import os
import stat

import pytest
import yaml
from archive_strategies import lay
from commands import KEYSTOW, complaint, keystow, run

from keystow import PublishedResult, verify

pytestmark = pytest.mark.slow


@pytest.fixture
def tree(tmp_path):
    return lay(tmp_path / "tree", {"score.txt": b"42"})


def in_file(path):
    return [PublishedResult.from_mapping(each) for each in yaml.safe_load_all(path.read_text())]


def test_the_destination_of_the_environment(tree, tmp_path):
    usual = f"file://{tmp_path}/usual/{{jobID}}"
    ran = keystow("publish", tree, "--job-id", "1", KEYSTOW_DESTINATION=usual)
    assert ran.status == 0, ran
    assert (tmp_path / "usual" / "1.tar.gz").exists()
    assert keystow("publish", tree, f"file://{tmp_path}/other/k", KEYSTOW_DESTINATION=usual).status == 0
    assert os.listdir(tmp_path / "usual") == ["1.tar.gz"]
    said = complaint(keystow("publish", tree, KEYSTOW_DESTINATION="s3://b/k,opt=regoin=r"), 2)
    assert said.startswith("KEYSTOW_DESTINATION: there is no option 'regoin'")
    said = complaint(keystow("publish", tree, "--spec", "", KEYSTOW_DESTINATION=usual), 2)
    assert said.startswith("'' is no file")
    for unset in ({}, {"KEYSTOW_DESTINATION": ""}):
        said = complaint(keystow("publish", tree, **unset), 2)
        assert said.startswith(
            "give a DESTINATION, such as s3://bucket/results/{jobID}, or --spec FILE, or set KEYSTOW_DES"
        )


def test_a_spec_goes_before_the_environment(tree, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"Publisher:\n  Type: file\n  Params:\n    Bucket: {tmp_path}/spec\n    Key: k\n")
    ran = keystow("publish", tree, "--spec", spec, "--allow", "file", KEYSTOW_DESTINATION=f"file://{tmp_path}/usual/k")
    assert ran.status == 0, ran
    assert not (tmp_path / "usual").exists()


def test_a_result_in_a_file(tree, tmp_path):
    path = tmp_path / "result.yaml"
    ran = keystow("publish", tree, f"file://{tmp_path}/out/k", "--result", path)
    assert (ran.status, ran.out) == (0, "")
    (result,) = in_file(path)
    assert verify(result).objects == 1
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert keystow("verify", path).status == 0


def test_a_failure_leaves_the_file_of_before(tree, tmp_path):
    path = tmp_path / "result.yaml"
    path.write_text("of before")
    out = f"file://{tmp_path}/out/k"
    assert keystow("publish", tree, out).status == 0
    complaint(keystow("publish", tree, out, "--if-exists", "error", "--result", path), 3)
    assert path.read_text() == "of before"
    assert sorted(os.listdir(tmp_path)) == ["out", "result.yaml", "tree"]


def test_of_several_destinations_those_that_did_it_are_in_the_file(tree, tmp_path):
    path = tmp_path / "result.yaml"
    (tmp_path / "no directory").write_text("")
    places = [f"file://{tmp_path}/{name}/k" for name in ("one", "no directory", "two")]
    ran = keystow("publish", tree, *places, "--result", path)
    assert (ran.status, ran.out) == (1, "")
    assert [result.bucket for result in in_file(path)] == [f"{tmp_path}/one", f"{tmp_path}/two"]


@pytest.mark.parametrize(
    "name", ["", ".", "absent/result.yaml", "tree", "tree/score.txt/result.yaml", "fifo", ".keystow-x"]
)
def test_where_there_can_be_no_file_nothing_is_published(tree, tmp_path, name):
    os.mkfifo(tmp_path / "fifo")
    for path in (f"{tmp_path}/{name}", name):
        said = complaint(keystow("publish", tree, f"file://{tmp_path}/out/k", "--result", path, cwd=tmp_path), 2)
        assert said.startswith("--result ")
        assert not (tmp_path / "out").exists()


def test_a_link_stays_one_and_a_dry_run_writes_no_file(tree, tmp_path):
    target, link = tmp_path / "target.yaml", tmp_path / "link.yaml"
    target.write_text("of before")
    link.symlink_to(target)
    ran = keystow("publish", tree, f"file://{tmp_path}/out/k", "--result", link, "--dry-run")
    assert ran.status == 0
    assert "PublishedResult" in ran.out
    assert target.read_text() == "of before"
    assert keystow("publish", tree, f"file://{tmp_path}/out/k", "--result", link).status == 0
    assert link.is_symlink()
    assert len(in_file(target)) == 1


def test_a_result_that_cannot_be_written_is_printed(tree, tmp_path):
    small = "ulimit -f 0; trap '' XFSZ; exec \"$@\""
    path = tmp_path / "result.yaml"
    command = ["publish", tree, "memory://bucket/k", "--result", path]
    ran = run("/bin/sh", "-c", small, "sh", *KEYSTOW, *command)
    assert ran.status == 1, ran
    assert PublishedResult.from_mapping(yaml.safe_load(ran.out)).key == "k.tar.gz"
    assert not path.exists()


def test_another_destination_is_still_published_and_nothing_is_lost(tree, tmp_path):
    small = "ulimit -f 0; trap '' XFSZ; exec \"$@\""
    command = ["publish", tree, "memory://bucket/a", "memory://bucket/b", "--result", tmp_path / "result.yaml"]
    for more, where in (("", "out"), (" >&-", "err")):
        ran = run("/bin/sh", "-c", small + more, "sh", *KEYSTOW, *command)
        assert ran.status == 1
        said = getattr(ran, where)
        assert said.index("Key: a.tar.gz") < said.index("Key: b.tar.gz")


def test_stdout_may_be_closed_if_the_result_goes_to_a_file(tree, tmp_path):
    path = tmp_path / "result.yaml"
    command = ["publish", tree, f"file://{tmp_path}/out/k", "--result", path]
    ran = run("/bin/sh", "-c", 'exec "$@" >&-', "sh", *KEYSTOW, *command)
    assert ran.status == 0, ran
    assert len(in_file(path)) == 1
