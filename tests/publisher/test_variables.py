"""The table of variables holds each one that the code names, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
NAME = "(?:KEYSTOW|BACALHAU|AWS|AZURE|GOOGLE|STORAGE|SOURCE)_[A-Z0-9_]+"
FOLDERS = ("keys", "archive", "backends", "publisher")


def test_every_variable_is_in_the_table():
    table = (ROOT / "docs" / "variables.md").read_text("utf-8").partition("| --- |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[1:]]
    told = {name for row in rows for name in re.findall(NAME, row)}
    named = {
        name
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "testing" not in path.parts
        for name in re.findall(f'"({NAME})"', path.read_text("utf-8"))
    }
    assert named - told == set()
    assert told - named == set()
