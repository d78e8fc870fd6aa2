"""The completions and the manual page: made from the command as it is, in the wheel, and taken by each shell."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from keystow.command.parsing import COMMANDS, parser_of
from keystow.command.topics import TOPICS

ROOT = Path(__file__).parent.parent
SHARE = ROOT / "share"
BASH, ZSH, FISH, MANUAL = (
    "bash-completion/completions/keystow",
    "zsh/site-functions/_keystow",
    "fish/vendor_completions.d/keystow.fish",
    "man/man1/keystow.1",
)
FILES = {BASH, ZSH, FISH, MANUAL}
OPTIONS = {
    command: {name for action in parser_of(command)._actions for name in action.option_strings} for command in COMMANDS
}
OUTPUTS = {"yaml", "json", "key", "bacalhau-input"}


def run(*command, **given):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **given)
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


def test_what_is_checked_in_is_what_the_command_gives(tmp_path):
    """If this fails, run `make help-files`."""
    run(sys.executable, "-m", "share", tmp_path, cwd=ROOT)
    made = {str(path.relative_to(tmp_path)): path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {name: (SHARE / name).read_text("utf-8") for name in FILES}


@pytest.mark.slow
def test_the_wheel_of_a_source_distribution_has_them(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(
        ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    )

    def built(kind, directory):
        code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, tmp_path], cwd=directory, check=True, capture_output=True)

    built("sdist", tree)
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    built("wheel", next((tmp_path / "unpacked").iterdir()))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name.partition(".data/data/share/") for name in archive.namelist()]
        shipped = {inside: archive.read("".join((*name, inside))) for *name, inside in names if inside}
    assert shipped == {name: (SHARE / name).read_bytes() for name in FILES}


# ---------------------------------------------------------------------------------------------------
# Each shell is asked what it would complete


def bash(*words, cwd=None):
    code = """
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _keystow
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    return set(run("bash", "-uc", code, "bash", SHARE / BASH, *words, cwd=cwd).split("\n")) - {""}


def fish(*words, cwd=None):
    """As fish would: what stands before a tabulator is what it completes."""
    line = " ".join(words)
    code = 'set fish_complete_path; source $argv[1]; complete -C "$argv[2]"'
    with tempfile.TemporaryDirectory() as home:  # where it makes folders of its own
        shown = run("fish", "--no-config", "-c", code, SHARE / FISH, line, cwd=cwd, env=os.environ | {"HOME": home})
    return {each.partition("\t")[0] for each in shown.splitlines()}


@pytest.mark.parametrize("shell", [bash, fish])
class TestEachShell:
    def test_completes_commands(self, shell):
        assert shell("keystow", "") >= set(COMMANDS)
        assert shell("keystow", "pub") == {"publish", "publish-many"}

    @pytest.mark.parametrize("command", COMMANDS)
    def test_completes_every_option(self, shell, command):
        long = {name for name in OPTIONS[command] if name.startswith("--")}
        assert {name.rstrip("=") for name in shell("keystow", command, "--")} == long

    def test_completes_choices(self, shell):
        assert shell("keystow", "publish", "--output", "") == OUTPUTS
        assert shell("keystow", "policy", "--role", "p") == {"publisher"}
        assert shell("keystow", "help", "") == {*TOPICS, *COMMANDS}

    def test_completes_files_where_one_is_taken(self, shell, tmp_path):
        (tmp_path / "a result.yaml").touch()
        (tmp_path / "results").mkdir()
        for words in (["get", ""], ["publish", "x", "--spec", ""]):
            found = {name.replace("\\", "").rstrip("/") for name in shell("keystow", *words, cwd=tmp_path)}
            assert found == {"a result.yaml", "results"}

    def test_has_nothing_to_say_of_text(self, shell, tmp_path):
        (tmp_path / "file").touch()
        assert shell("keystow", "publish", "--job-id", "", cwd=tmp_path) == set()


def test_bash_divides_words_at_an_equals_sign_and_at_a_colon():
    assert bash("keystow", "publish", "--output", "=") == OUTPUTS
    assert bash("keystow", "publish", "--output", "=", "ya") == {"yaml"}
    assert bash("keystow", "publish", "x", "s3", ":", "//et") == set()


TYPED = {
    "keystow pol\t--role req\t": "policy --role requester",
    "keystow publish --output bac\tr\t": "publish --output bacalhau-input results",
    "keystow help pat\t": "help patterns",
    "keystow ls --output js\t--plain": "ls --output json --plain",
    "keystow get --customer-key k\tr\t": "get --customer-key key results",
    "keystow url --pin\t": "url --pin-version",
    "keystow policy --\t": "policy --",
}


def test_zsh_completes_what_is_typed(tmp_path):
    """In a zsh that somebody types into, of which each line is printed as it was completed; options are listed."""
    (tmp_path / "results").mkdir()
    (tmp_path / "key").touch()
    begin = f"PS1= PS2= TERM=dumb; fpath=({SHARE / ZSH}(:h) $fpath); autoload -Uz compinit"
    code = f"""
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell '{begin}; compinit -u -D; keystow() {{ print -r -- "<$*>" }}; print rea""dy'
        zpty -r -m shell line '*ready*'
        for typed; do
            zpty -w shell "$typed"
            zpty -r -m shell line '*<*>*'
            print -r -- "$line"
        done
        zpty -d shell
    """
    shown = run("zsh", "-f", "-c", code, "zsh", *TYPED, cwd=tmp_path)
    assert re.findall("<(.*)>", shown) == list(TYPED.values())
    assert re.search("--role +-- who it is for", shown)


# ---------------------------------------------------------------------------------------------------
# The manual page


def formatted(width):
    return run("groff", "-man", "-ww", "-Tascii", "-P-cbou", f"-rLL={width}n", SHARE / MANUAL)


def test_the_manual_page_has_each_command_option_example_and_topic():
    """And troff has no warning for it."""
    text = formatted(500)
    flat = " ".join(text.split())
    for command in COMMANDS:
        assert f"\n   {command}\n" in text
        assert [name for name in OPTIONS[command] if name not in flat] == []
        assert [line for line in parser_of(command).examples.values() if line not in flat] == []
    for name, topic in TOPICS.items():
        assert f"\n{name.replace('-', ' ').upper()}\n" in text
        terms = [term for block in topic.blocks if isinstance(block, dict) for term in block]
        assert [term for term in terms if term.replace("…", "...") not in flat] == []


def test_every_file_of_tests_belongs_to_a_part_that_make_test_runs():
    parts = re.search(r"^PARTS := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[1].split()
    done = subprocess.run(
        ["make", "--dry-run", *(f"test-{part}" for part in parts)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = set()
    for word in done.stdout.split():
        for path in ROOT.glob(word) if word.startswith("tests/") else ():
            found |= set(path.rglob("test_*.py")) if path.is_dir() else {path}
    assert found == set((ROOT / "tests").rglob("test_*.py"))
