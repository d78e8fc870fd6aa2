"""Errors: one root, each also a builtin, each with a kind that never changes (``docs/errors.md``)."""

import builtins
import pickle
import re
from pathlib import Path

import pytest

import keystow
import keystow.archive.errors
import keystow.backends.errors
import keystow.keys.errors
import keystow.several
from keystow import KeystowError, StoreError
from keystow.keys.errors import KeyRuleError, MissingValueError, TemplateError, ValueRefusedError
from keystow.tasks import portable

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"
_ROW = re.compile(r"\| `(\w+)` \| `keystow\.(?:(\w+)\.)?(\w+)` \| (`\w+`(?:, `\w+`)*) \|")
HOMES = {None: keystow, **{name: getattr(keystow, name).errors for name in ("keys", "archive", "backends")}}
ROWS = _ROW.findall(PAGE.read_text("utf-8"))


def below(kind):
    for found in kind.__subclasses__():
        yield found
        yield from below(found)


ERRORS = {found for found in below(KeystowError) if found.__module__.startswith("keystow.")}


def test_the_page_lists_each_error_and_no_other():
    """Kinds are appended: who reads JSON relies on each row that was ever there."""
    listed = {(kind, getattr(HOMES[home or None], name)) for kind, home, name, _ in ROWS}
    assert listed == {(found.kind, found) for found in ERRORS}
    assert len({kind for kind, _ in listed}) == len(ROWS) == len(ERRORS) > 25


@pytest.mark.parametrize(("home", "name", "also"), [row[1:] for row in ROWS])
def test_each_is_the_builtin_that_the_page_says(home, name, also):
    error = getattr(HOMES[home or None], name)
    for builtin in re.findall(r"\w+", also):
        assert issubclass(error, getattr(builtins, builtin))


def test_nothing_public_is_no_error_of_keystows():
    """What ends in Error and is exported has the root."""
    exported = [
        (room, name) for room in (keystow, keystow.keys, keystow.archive, keystow.backends) for name in room.__all__
    ]
    errors = [getattr(room, name) for room, name in exported if name.endswith("Error")]
    assert len(errors) > 25
    assert all(issubclass(error, KeystowError) for error in errors)


ARGUMENTS = {
    TemplateError: ("m", 3, "f"),
    MissingValueError: ("f", "give it"),
    ValueRefusedError: ("f", "holds a /"),
    KeyRuleError: ("m", "length", 2),
}


@pytest.mark.parametrize("kind", sorted(ERRORS, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_each_crosses_from_a_worker(kind):
    hinted = {"code": "C", "request_id": "7", "hint": "change it"} if issubclass(kind, StoreError) else {}
    error = kind(*ARGUMENTS.get(kind, ("it failed",)), **hinted)
    if hinted:
        error.tried(3)
    error.add_note("3 files were there")
    there = pickle.loads(pickle.dumps(portable(error)))
    assert type(there) is kind
    assert (str(there), there.kind, vars(there)) == (str(error), error.kind, vars(error))
