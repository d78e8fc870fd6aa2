"""Every command and program in README and CONTRIBUTING, run as it stands."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pages import PAGES, blocks, carry_out, run_program

from keystow.command.parsing import COMMANDS, parser_of

ROOT = Path(__file__).parent.parent
README = PAGES["README.md"]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


@pytest.mark.server
def test_every_command_in_the_readme(workplace):
    """Where it says so, which is in a clone; the installation is what the test environment itself is made by."""
    shutil.copytree(ROOT / "examples", "examples")
    install, commands, read = blocks(README, "sh")
    assert install == "pip install '.[s3]'\n"
    carry_out(commands)
    assert yaml.safe_load(Path("published.yaml").read_text())["PublishedResult"]["Type"] == "file"
    assert Path("fetched", "job.py").read_bytes() == (ROOT / "examples" / "job.py").read_bytes()
    (stored,) = Path("store", "abc123").iterdir()
    assert re.fullmatch(r"\d{8}\.tar\.gz", stored.name)
    listed = carry_out(read).removesuffix((ROOT / "examples" / "job.py").read_text("utf-8")).splitlines()
    assert (listed[0], listed[-1]) == ("demo.sh", "scheduler/test_scheduler.py")


@pytest.mark.server
def test_every_example_of_help(workplace):
    """One after the other, in the order in which somebody would try them."""
    subprocess.run(["/bin/sh", "-euc", "tar -cf results.tar results && tar -czf others.tar.gz results"], check=True)
    job = {"source": "results", "destination": "s3://my-bucket/of-help/{jobID}", "job_id": "abc123"}
    Path("jobs.jsonl").write_text(json.dumps(job))
    old = ROOT / "tests" / "data" / "0.1"
    Path("old.yaml").write_text((old / "level-2.yaml").read_text().replace("/srv/keystow", f"{old}/objects"))
    for command in ("publish", *(name for name in COMMANDS if name != "publish")):
        examples = parser_of(command).examples
        assert 2 <= len(examples) <= 4
        for line in examples.values():
            assert f"keystow {command} " in line
            done = subprocess.run(["/bin/sh", "-euc", line], capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, (line, done.stderr)
    assert Path("fetched-again", "summary.json").read_bytes() == Path("results", "summary.json").read_bytes()


@pytest.mark.server
def test_the_program_in_the_readme(workplace):
    run_program("".join(blocks(README, "python")))
    assert Path("results-again", "summary.json").read_bytes() == Path("results", "summary.json").read_bytes()


def test_the_program_that_reads_the_results_of_others(tmp_path):
    (program,) = blocks((ROOT / "docs" / "results-of-others.md").read_text("utf-8"), "python")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "https://evil.example.com" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_program_that_publishes_many(tmp_path):
    (program,) = blocks((ROOT / "docs" / "many.md").read_text("utf-8"), "python")
    (tmp_path / "results").write_text("42")
    (tmp_path / "program.py").write_text(program.replace("/tmp", str(tmp_path)).replace("1000", "20"))
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert len(list((tmp_path / "keystow-many").iterdir())) == 20


def test_the_commands_and_the_program_that_list(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "listing.md").read_text("utf-8").replace("/tmp", str(tmp_path))
    (command,), (program,) = blocks(page, "sh"), blocks(page, "python")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "results").write_text("42")
    for call in (["/bin/sh", "-euc", command], [sys.executable, "-c", program]):
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "2026/11/28/abc123-7.tar.gz" in done.stdout.splitlines()[-1]
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.server
def test_the_four_ways_on_the_page_of_options(workplace, seaweed):
    from keystow import PublisherSpec
    from keystow.publishing import Destination

    page = (ROOT / "docs" / "options.md").read_text("utf-8")
    (program,), (command,), (declared,) = (blocks(page, language) for language in ("python", "sh", "yaml"))
    for call in ([sys.executable, "-c", program], ["/bin/sh", "-euxc", command]):
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        tags = seaweed.client().get_object_tagging(Bucket="my-bucket", Key="options/abc123.tar.gz")["TagSet"]
        assert tags == [{"Key": "project", "Value": "apollo"}]
    spec = PublisherSpec.from_mapping(yaml.safe_load(declared))
    given = {"kms_key": "alias/results", "tags": {"project": "apollo"}}
    assert spec == Destination("s3://my-bucket/options/{jobID}", writing=given).spec


@pytest.mark.server
def test_the_commands_and_the_program_on_the_page_of_permissions(workplace, seaweed):
    """What is printed there is what a server takes."""
    page = (ROOT / "docs" / "permissions.md").read_text("utf-8")
    (commands,), (program,) = (blocks(page, language) for language in ("sh", "python"))
    for call in (["/bin/sh", "-euxc", commands], [sys.executable, "-c", program]):
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith((workplace / "publisher.json").read_text())
    assert "s3:PutObject: writes an object" in done.stdout
    for name in ("publisher", "requester"):
        assert seaweed.user(json.loads((workplace / f"{name}.json").read_text()))
    assert json.loads((workplace / "lifecycle.json").read_text())["Rules"]


@pytest.mark.server
def test_the_commands_and_the_program_on_the_page_of_the_doctor(workplace):
    """The bucket is well, so that nothing is said in Python; and each name of a line is in a table there."""
    page = (ROOT / "docs" / "doctor.md").read_text("utf-8")
    (commands,), (program,) = (blocks(page, language) for language in ("sh", "python"))
    for call in (["/bin/sh", "-euxc", commands], [sys.executable, "-c", program]):
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = [json.loads(line) for line in Path("findings.json").read_text().splitlines()]
    assert {line["outcome"] for line in lines} == {"ok"}
    named = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall("`(.*?)`", row)}
    assert {line["name"] for line in lines} - named == set()


@pytest.mark.server
def test_the_test_in_the_guide_to_testing(tmp_path):
    """It runs on all five kinds of store, as a user's own test."""
    (program,) = blocks(PAGES["docs/guides/testing.md"], "py")
    (tmp_path / "test_readme_example.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


def test_the_recipe_for_the_checksum_of_a_prefix(tmp_path):
    """The shell's listing of a directory has the checksum that a plain publish of it reports."""
    from keystow import publish

    (recipe,) = re.findall(r"^`(find .*sha256sum)` makes", PAGES["docs/formats.md"], re.MULTILINE)
    results = tmp_path / "results"
    subprocess.run([sys.executable, ROOT / "examples" / "job.py", results], check=True)
    (results / "latest").unlink()
    published = publish(results, f"file://{tmp_path}/store/all", archive=False)
    printed = subprocess.run(["/bin/sh", "-c", recipe], cwd=results, capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == published.checksum_sha256


def test_every_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"make ([a-z-]+)", README + CONTRIBUTING))
    assert named >= {"demo", "test", "test-fast", "check", "bench", "lock"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_demo_prints_what_it_did(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run(
        ["/bin/sh", ROOT / "examples" / "demo.sh"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("What was fetched is what the job wrote.\n")


def test_make_test_leaves_out_no_folder_of_tests():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders
    for folder in folders:
        assert f" tests/{folder}" in makefile, folder
