"""What is cheap to know of a release; ``make release-check`` does the rest."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from release import smoke
from release.__main__ import broken_claims, step
from release.building import Built, Flaw, build, export, ran
from release.contents import PROJECT, check_sdist, check_wheel, extras, sources
from release.pythons import WANTED, found, missing

ROOT = Path(__file__).parent.parent
CHANGES = ROOT / "changes"
TYPES = [kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]]
STEPS = re.findall(r"^ *```sh\n(.*?)^ *```$", (ROOT / "RELEASE.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
LATER = ("make ", ".venv/release/bin/twine upload ", "git push ")
"""Of RELEASE.md what a test leaves out: what takes long, and what others would see."""


def bullets(text):
    """The points of the lists in it, each in one line."""
    return [" ".join(point.split()) for point in re.findall(r"^- (.*(?:\n  .*)*)", text, re.MULTILINE)]


def fragments():
    return [path for path in CHANGES.iterdir() if path.name not in {"README.md", "section.md"}]


def test_each_fragment_has_a_known_type_and_is_a_list():
    """If this fails, see changes/README.md."""
    for path in fragments():
        assert re.fullmatch(rf"[\w+-]+\.({'|'.join(TYPES)})\.md", path.name), path.name
        text = path.read_text("utf-8")
        assert re.fullmatch(r"(- .*\n(  .*\n)*)+", text), path.name


def test_types_are_those_that_are_explained():
    explained = (CHANGES / "README.md").read_text("utf-8").partition("TYPE one of")[2].partition(". ")[0]
    assert re.findall(r"`(\w+)`", explained) == TYPES


def test_the_steps_of_a_release_lose_nothing_that_changed(tmp_path):
    """What RELEASE.md says, done in a copy: each point is there once, and each heading of the new section."""
    tree = export(tmp_path)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@localhost")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "before"]):
        subprocess.run([*git, *command], cwd=tree, check=True)
    changelog = tree / "CHANGELOG.md"
    before = [
        *bullets(changelog.read_text("utf-8")),
        *(b for path in fragments() for b in bullets(path.read_text("utf-8"))),
    ]
    lines = [line.strip() for step in STEPS for line in step.splitlines()]
    here = [line for line in lines if not line.startswith((*LATER, "sha256sum "))]
    assert sum(line.startswith("git ") for line in here) == 4
    programs = f'PATH="{Path(sys.executable).parent}:$PATH"'
    identity = "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a"
    done = subprocess.run(
        ["/bin/sh", "-euxc", "\n".join([programs, identity, *here])],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    after = changelog.read_text("utf-8")
    assert sorted(bullets(after)) == sorted(before)
    number, section = re.search(
        r"^## (.*) \(\d{4}-\d\d-\d\d\)$(.*?)(?:^## |\Z)", after, re.DOTALL | re.MULTILINE
    ).groups()
    headings = re.findall(r"^### (.*)$", section, re.MULTILINE)
    assert headings == sorted(set(headings), key=[kind.capitalize() for kind in TYPES].index)
    assert {path.name for path in (tree / "changes").iterdir()} == {"README.md", "section.md"}
    assert tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]["version"] == number
    tagged = subprocess.run(["git", "describe", "--exact-match"], cwd=tree, capture_output=True, text=True, check=True)
    assert tagged.stdout == f"v{number}\n"
    assert subprocess.run(["git", "status", "--short"], cwd=tree, capture_output=True, check=True).stdout == b""


def test_what_the_steps_make_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = re.findall(r"make ([a-z-]+)", "".join(STEPS))
    assert {"check", "test", "pythons", "release-check"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_version_stands_in_one_place():
    number = PROJECT["project"]["version"]
    assert version("keystow") == number
    naming = [name for name in sources() if number in (ROOT / name).read_text("utf-8")]
    assert naming == []


def test_the_classifiers_name_pythons_that_a_release_is_tried_with():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert named == [name for name in WANTED if not name.endswith("t")]
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"


def test_a_job_is_done_with_every_extra():
    declared = PROJECT["project"]["optional-dependencies"]
    assert {*declared} == {*smoke.EXTRAS, "all"} - {"pytest"}
    assert declared["all"] == [f"keystow[{','.join(smoke.ALL)}]"]


# ---------------------------------------------------------------------------------------------------
# The two files


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("built"))


@pytest.mark.slow
def test_both_files_are_the_same_bytes_wherever_and_with_whichever_umask_they_are_built(built, tmp_path):
    umask = os.umask(0o077)
    try:
        again = build(tmp_path / "somewhere else")
    finally:
        os.umask(umask)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


@pytest.mark.slow
def test_the_files_hold_what_the_repository_has_and_nothing_else(built):
    assert check_wheel(built) > 100
    assert check_sdist(built) > 100
    assert extras(built) == [*PROJECT["project"]["optional-dependencies"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("tests/test_a.py", b"", "not to be in the wheel: tests/test_a.py"),
        ("keystow/py.typed", None, "missing in the wheel: keystow/py.typed"),
        ("keystow/spec.py", b"", "not as in the repository: publisher/spec.py"),
    ],
)
def test_a_wheel_that_holds_something_else_is_found_out(built, tmp_path, name, content, complaint):
    wheel = tmp_path / built.wheel.name
    with zipfile.ZipFile(built.wheel) as whole, zipfile.ZipFile(wheel, "w") as other:
        for inside in set(whole.namelist()) - {name}:
            other.writestr(inside, whole.read(inside))
        if content is not None:
            other.writestr(name, content)
    with pytest.raises(Flaw, match=re.escape(complaint)):
        check_wheel(Built(built.sdist, wheel))


# ---------------------------------------------------------------------------------------------------
# The Pythons


def test_pythons_are_found_that_answer(tmp_path):
    (tmp_path / "python3.99").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.99").chmod(0o755)
    (tmp_path / "python3.11").symlink_to(shutil.which(sys.executable))
    name = f"{sys.version_info.major}.{sys.version_info.minor}"
    (only,) = found([tmp_path, tmp_path / "none"]).values()
    assert (only.name, only.version) == (name, ".".join(map(str, sys.version_info[:3])))


def test_those_that_are_not_there_are_counted():
    assert missing(["3.11", "3.13t", "3.15"]) == ["3.12", "3.13", "3.14", "3.14t"]
    assert missing([]) == list(WANTED)
    assert missing(WANTED) == []


def test_a_python_that_is_claimed_and_not_there_keeps_a_release_from_going_out():
    assert broken_claims(["3.13t", "3.14t"]) == []
    (flaw,) = broken_claims(["3.14", "3.14t"])
    assert flaw.startswith("the classifiers name Python 3.14,")


def test_what_a_program_complains_of_is_told_whole(capsys):
    def look():
        return ran("/bin/sh", "-c", "echo first; echo second >&2; exit 3")

    (flaw,) = step("looked at", look)
    assert flaw.endswith("exit status 3\nfirst\nsecond\n")
    assert "exit status 3" in capsys.readouterr().out
