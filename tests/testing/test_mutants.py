"""The mutation tests themselves: what is changed and what is not, and that a mutant is what the tests see."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from mutants.__main__ import MODULES, package_name
from mutants.judging import Fate, Judged, Verdict, accepted, check_unchanged, failed_test, report
from mutants.making import Mutant, mutants

ROOT = Path(__file__).parents[2]


def changes(source):
    return [(mutant.was, mutant.becomes) for mutant in mutants("m.py", textwrap.dedent(source))]


def test_tables_patterns_and_properties_are_changed():
    """mutmut by itself changes none of them."""
    found = changes(
        r"""
        TAKEN = {"s3": 80}
        PATTERN = r"a b"

        class A:
            @property
            def one(self):
                return 1 < len(self)
        """
    )
    assert ('TAKEN = {"s3": 80}', 'TAKEN = {"s3": 81}') in found
    assert ('TAKEN = {"s3": 80}', 'TAKEN = {"XXs3XX": 80}') in found
    assert ('PATTERN = r"a b"', 'PATTERN = r"XXa bXX"') in found
    assert ("return 1 < len(self)", "return 1 <= len(self)") in found
    assert ("return 1 < len(self)", "return 1 < len(None)") not in found


def test_what_is_for_types_or_for_people_is_not():
    found = changes(
        '''
        """A docstring."""
        from typing import Literal, NewType, cast
        __all__ = ["f"]
        Choice = Literal["a", "b"]
        Key = NewType("Key", str)

        @decorated(1)
        def f(x: "Literal[1]", y: int) -> int:
            """Another."""
            raise ValueError(f"x is {x + 1}: write another")

        def g(x):
            raise ValueError("write " "another")
        '''
    )
    assert found == []


def test_a_mutant_is_known_by_its_scope_and_lines_wherever_they_move():
    source = "class A:\n    def f(self, x):\n        if x:\n            return (x\n                    > 1)\n"
    [moved] = [m for m in mutants("m.py", "\n\n" + source) if m.becomes == "> 2)"]
    [mutant] = [m for m in mutants("m.py", source) if m.becomes == "> 2)"]
    assert mutant.name == moved.name == ("m.py", "A.f", "> 1)", "> 2)")
    assert (mutant.lines, moved.lines) == (range(4, 6), range(6, 8))
    compile(mutant.source, "m.py", "exec")


def test_every_listed_module_is_there_and_known_by_its_name():
    for module in MODULES:
        assert (ROOT / module).is_file()
        assert package_name(module) in {f"keystow.{module[:-3].replace('/', '.')}", f"keystow.{Path(module).stem}"}


def test_every_accepted_survivor_has_a_reason():
    """And is in a module that is listed; whether it is a mutant at all is told by the report."""
    for (module, _, was, becomes), why in accepted().items():
        assert module in MODULES
        assert was != becomes
        assert len(why.split()) > 3


def judged(number, fate, by=""):
    return Judged(Mutant("m.py", "f", range(number, number + 1), f"x = {number}", "x = None", ""), fate, by)


@pytest.mark.parametrize(
    ("killed", "survived", "why", "good"),
    [
        (19, 1, None, False),
        (19, 1, "equivalent: it is the same", True),
        (19, 1, "not worth a test", True),
        (18, 2, "not worth a test", False),
        (1, 19, "equivalent: it is the same", True),
        (0, 1, "equivalent: it is the same", True),
    ],
)
def test_the_verdict(killed, survived, why, good):
    """At least 95 % of those that can be killed, and no survivor that is not listed."""
    every = [judged(n, Fate.KILLED if n < killed else Fate.SURVIVED) for n in range(killed + survived)]
    names = [one.mutant.name for one in every if one.fate is Fate.SURVIVED]
    verdict = Verdict(every, dict.fromkeys(names, why) if why else {})
    assert bool(verdict) == good
    assert len(verdict.survivors) == (0 if why else survived)
    assert f"| all | {killed + survived} | {killed} | 0 |" in report(verdict)


def test_what_is_accepted_and_does_not_survive_is_shown():
    one = judged(1, Fate.KILLED, "tests/keys/test_names.py::test_one")
    verdict = Verdict([one], {one.mutant.name: "equivalent: it was thought to be", ("other.py", "", "a", "b"): "x"})
    assert verdict.outdated == [one.mutant.name]
    assert "does not survive (any more), killed by tests/keys/test_names.py::test_one" in report(verdict)


def test_a_module_that_is_killed_as_it_is_stops_the_run():
    check_unchanged([judged(1, Fate.SURVIVED), judged(2, Fate.SURVIVED)])
    with pytest.raises(RuntimeError, match=r"m\.py is killed without a change, by tests/a\.py::test_b"):
        check_unchanged([judged(1, Fate.SURVIVED), judged(2, Fate.KILLED, "tests/a.py::test_b")])


def test_the_test_that_failed_is_the_one_that_pytest_names():
    """Its paths are relative to where it runs, and one test's name may begin as another's."""
    output = "E  tests/a.py::test_c\n== short test summary info ==\nFAILED ../x/tests/a.py::test_b[1] - assert 0\n"
    tests = ["tests/a.py::test_b", "tests/a.py::test_b[1]", "tests/a.py::test_c"]
    assert failed_test(output, tests) == "tests/a.py::test_b[1]"
    assert failed_test("Killed\n", tests) == ""


RUNS_A_MUTANT = """
import sys
from mutants import making, running
running.load_libraries()
watched = running.watch("keys", ["keys/naming.py"])
source = open(running.ROOT / "keys/naming.py").read()
made = [m for m in making.mutants("keys/naming.py", source) if m.scope == "prefix_key"]
[mutant] = [m for m in made if "endswith(None)" in m.becomes]
tests = watched.of(mutant.module, mutant.lines)
assert 1 < len(tests) < len(watched.seconds)
for text in (source, mutant.source):
    print(running.run_with("keystow.keys.naming", text, tests, 60).status)
print(running.run(lambda: __import__("time").sleep(60), 0.1).status)
print(running.run_with("keystow.keys.nothing", source, tests, 60).status == running.NOT_SEEN)
"""


@pytest.mark.slow
def test_the_tests_see_the_mutant_and_nothing_else_does(tmp_path):
    """The same tests pass with the module as it is; the run is bounded; what is not imported is told."""
    before = (ROOT / "keys/naming.py").read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", RUNS_A_MUTANT],
        cwd=ROOT / "tests",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "1", "None", "True"]
    assert (ROOT / "keys/naming.py").read_bytes() == before
