"""A file of references runs no code of its author's, whichever release of fsspec is installed.

fsspec renders what stands in double braces in such a file with jinja. Up to 2026.4 it did so without a sandbox, and
whoever could have a file of references opened could run any program. keystow hands it none that a result or a job
names; that fsspec itself is harmless is the second line of defence, and why 2026.6 is the lowest that is admitted.
"""

import json

import fsspec
import jinja2
import pytest

TEMPLATES = {"version": 1, "templates": {"u": "PLACE"}, "refs": {"key": ["{{u}}", 0, 1]}}
REFERENCES = {"version": 1, "templates": {"u": "x"}, "refs": {"key": ["PLACE", 0, 1]}}
CALLED = {"version": 1, "templates": {"u": "PLACE"}, "refs": {"key": ["{{u(c='x')}}", 0, 1]}}


def generated(**where):
    one = {"key": "key", "url": "x", "offset": "0", "length": "1", "dimensions": {"i": {"stop": 1}}}
    return {"version": 1, "templates": {"u": "x"}, "gen": [one | where], "refs": {}}


PLACES = {
    "a template": TEMPLATES,
    "a template that is called": CALLED,
    "a reference": REFERENCES,
    "a generated key": generated(key="PLACE"),
    "a generated URL": generated(url="PLACE"),
    "a generated offset": generated(offset="PLACE"),
    "a generated length": generated(length="PLACE"),
}


@pytest.mark.parametrize("options", [{}, {"simple_templates": False}], ids=["by default", "by jinja"])
@pytest.mark.parametrize("place", PLACES)
def test_no_code_runs(place, options, tmp_path):
    canary = tmp_path / "canary"
    code = f"{{{{ cycler.__init__.__globals__.os.mkdir('{canary}') }}}}"
    jinja2.Template(code).render()
    canary.rmdir()  # so the code works where it may, and the test tests something

    file = tmp_path / "references.json"
    file.write_text(json.dumps(PLACES[place]).replace("PLACE", code))
    try:
        files, _ = fsspec.core.url_to_fs(f"reference://x::file://{file}", **options)
        for name in files.find(""):
            files.cat_file(name)
    except Exception as refused:  # noqa: BLE001  # the kind of error is fsspec's affair
        print(f"refused: {refused!r}")
    assert not canary.exists()
