"""The site of the pages: made without a warning and without a network, and read without one."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from pages import PAGES, ROOT

from keystow.command.parsing import COMMANDS

# What is fetched when a page is opened, unlike what an <a> leads to.
FETCHED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\"'> ]+")
PUBLIC = ("keystow", "keystow.keys", "keystow.archive", "keystow.backends", "keystow.testing")
# Aliases of types, and what is data: named where they are used.
NOT_THINGS = {"AZURE", "FILE", "GCS", "S3", "Key", "Credentials", "Provider"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = tmp_path_factory.mktemp("site")
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", made],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return made


def test_every_page_is_there_and_in_the_navigation(site):
    home = (site / "index.html").read_text("utf-8")
    for page in PAGES:
        name = "index.html" if page == "README.md" else page.removeprefix("docs/").removesuffix(".md") + ".html"
        assert (site / name).is_file()
        assert f'href="{name}"' in home, name


def test_nothing_is_fetched_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert not FETCHED.findall(page.read_text("utf-8")), page.name
    for style in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?https?://", style.read_text("utf-8")), style.name


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_has_an_entry(site, package):
    """Under its own package, or what of the face is another package's there."""
    text = "".join(page.read_text("utf-8") for page in (site / "reference").glob("*.html"))
    for name in set(importlib.import_module(package).__all__) - NOT_THINGS:
        assert any(f'id="{home}.{name}"' in text for home in (package, *PUBLIC)), name


def test_the_reference_of_the_command_has_every_command(site):
    text = (site / "command.html").read_text("utf-8")
    for command in COMMANDS:
        assert f">keystow {command}<" in text
    assert "outcome_unknown" in (site / "exit-status.html").read_text("utf-8")


def test_a_folder_of_pages_is_spelt_out_and_left_out_where_there_is_none(tmp_path):
    (tmp_path / "sessions").mkdir()
    for name in ("b.md", "a.md"):
        (tmp_path / "sessions" / name).touch()
    code = (
        "import sys, pathlib, share.site; "
        "entries = ['x.md', {'Sessions': 'sessions/*.md'}, {'Part': [{'Design': 'design/*.md'}]}]; "
        "print(list(share.site._spelt_out(entries, pathlib.Path(sys.argv[1]))))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == ["x.md", {"Sessions": ["sessions/a.md", "sessions/b.md"]}]


def test_the_picture_is_what_a_session_shows():
    """If this fails, run `make help-files`. Sums and sizes are passed over: each release may compress otherwise."""
    played = subprocess.run(
        [sys.executable, "-c", "from share.picture import drawn, played; print(drawn(played()), end='')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "exit status 4" in played
    checked_in = Path(ROOT, "docs", "session.svg").read_text("utf-8")
    assert without_sums(played) == without_sums(checked_in)


@pytest.mark.parametrize("name", ["docs/object.svg", "docs/session.svg", "benchmarks/results.svg"])
def test_a_picture_in_the_readme_tells_what_it_is_and_loads_nothing(name):
    assert f"]({name})" in PAGES["README.md"]
    picture = Path(ROOT, name).read_text("utf-8")
    assert ET.fromstring(picture).find("{http://www.w3.org/2000/svg}title").text
    assert not re.search(r"@import|@font-face|url\(|href|<(image|script)", picture)


def without_sums(text):
    return re.sub(r"[0-9a-f]{64}|of \d{5} bytes", "…", text)
