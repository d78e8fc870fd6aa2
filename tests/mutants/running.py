"""Runs tests with a module as it is, or with a mutant in its place, each time in a process of its own.

The process is forked from one that has loaded pytest and the libraries, and nothing of keystow's: the mutant's source
is compiled when the tests import the module, so that its tables are changed too, and no file is touched.
"""

import contextlib
import importlib
import importlib.machinery
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import pytest
from coverage import Coverage

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("botocore.session", "fsspec", "hypothesis.strategies", "isal.isal_zlib", "yaml")
TEST_SECONDS = 20
"""After so many, a test is ended that would take one or two without a mutant."""
OPTIONS = (
    f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}", "--quiet", "--assert=plain",
    "--hypothesis-profile=mutants", f"--timeout={TEST_SECONDS}", "-W=ignore::pytest.PytestAssertRewriteWarning",
    "-m=not slow and not server", f"--ignore={ROOT / 'tests/publisher/test_command.py'}",
)  # fmt: skip
BROKE = 70
"""The status of a run that pytest itself could not make, as when the mutant breaks what it loads."""
NOT_SEEN = 71
"""The status of a run in which the mutant was not what the tests imported."""
MOST_MEMORY = 4 << 30
"""Bytes that a run may take, as what a mutant does knows no bound."""


class Ended(NamedTuple):
    """How a run ended, with what it printed; there is no status where it was ended by the clock."""

    status: int | None
    output: str


class Watched(NamedTuple):
    """What the tests of a folder do with the modules that they are for."""

    seconds: Mapping[str, float]
    """By test, the quickest first."""
    tests: Mapping[str, Mapping[int, Sequence[str]]]
    """By module and line, those that run it; ``""`` where it is run by an import."""

    def of(self, module: str, lines: Iterable[int]) -> list[str]:
        """The tests that run one of ``lines``; all that there are, where an import runs them and no test."""
        by_line = self.tests[module]
        found = {test for line in lines for test in by_line.get(line, ())}
        return list(self.seconds) if found == {""} else self._in_order(found)

    def all_of(self, module: str) -> list[str]:
        """The tests that run anything of the module."""
        return self._in_order({test for tests in self.tests[module].values() for test in tests})

    def _in_order(self, tests: set[str]) -> list[str]:
        return [test for test in self.seconds if test in tests]


def watch(folder: str, modules: Sequence[str]) -> Watched:
    """Runs the tests of ``tests/folder`` once, and sees which of them run which lines of ``modules``.

    ``RuntimeError`` with what they printed unless all pass.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "watched.json"

        def work() -> int:
            watcher = _Watcher(modules)
            status = pytest.main([*OPTIONS, str(ROOT / "tests" / folder)], plugins=[watcher])
            file.write_text(json.dumps([watcher.seconds, watcher.tests()]))
            return int(status)

        ended = run(work, 3600)
        if ended.status:
            raise RuntimeError(f"tests/{folder} fails without a mutant:\n{ended.output}")
        seconds, tests = json.loads(file.read_text())
    by_line = {name: {int(line): found for line, found in lines.items()} for name, lines in tests.items()}
    return Watched(dict(sorted(seconds.items(), key=itemgetter(1))), by_line)


def run_with(name: str, source: str, tests: Sequence[str], seconds: float) -> Ended:
    """Runs ``tests`` until one fails, with ``source`` as the module ``name``."""

    def work() -> int:
        replacing = _Replacing(name, source)
        sys.meta_path.insert(0, replacing)
        files = sorted({str(ROOT / test.partition("::")[0]) for test in tests})
        status = int(pytest.main([*OPTIONS, "--exitfirst", *files], plugins=[_Chosen(tests)]))
        return status if replacing.used else NOT_SEEN

    return run(work, seconds)


def run(work: Callable[[], int], seconds: float) -> Ended:
    """The status that ``work`` gives in a process of its own, which is in an empty directory and ends in time."""
    scratch = tempfile.mkdtemp()
    os.chmod(scratch, 0o711)  # some tests are somebody else for a while
    output = Path(scratch) / "output"
    try:
        child = os.fork()
        if child == 0:
            _be_alone(scratch, output)
            try:
                status = work()
            except BaseException:  # noqa: BLE001  # a mutant may raise anything, and this process ends here
                traceback.print_exc()
                status = BROKE
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = _wait(child, time.monotonic() + seconds)
        return Ended(status, output.read_text(errors="replace") if output.exists() else "")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _be_alone(scratch: str, output: Path) -> None:
    os.setsid()
    os.chdir(scratch)
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    printed = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
    for number in (1, 2):
        os.dup2(printed, number)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _wait(child: int, deadline: float) -> int | None:
    """The status with which it ended, negative for a signal; what it started ends with it."""
    ended = 0
    while not ended and time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0 if ended else 0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
        return None
    return os.waitstatus_to_exitcode(status)


def load_libraries() -> None:
    """Imports what takes long and is no part of keystow; it is there in every process that follows."""
    for name in LIBRARIES:
        importlib.import_module(name)
    if any(name.split(".")[0] == "keystow" for name in sys.modules):
        raise RuntimeError("keystow is imported already, and no mutant would be seen")


class _Replacing:
    """Finds one module in a source of our own; its file's name stays."""

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source
        self.used = False

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        self.used = True
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = _Loader(name, spec.origin, self._source)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._text = source

    def get_code(self, fullname: str) -> object:
        return compile(self._text, self.path, "exec", dont_inherit=True)


class _Chosen:
    """Runs these tests and no others, in this order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._places = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._places), key=lambda item: self._places[item.nodeid]
        )


class _Watcher:
    """Notes which test runs which line, and how long it takes."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.seconds: dict[str, float] = {}
        self._modules = modules
        self._coverage = Coverage(data_file=None, config_file=False, include=[str(ROOT / module) for module in modules])
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        started = time.perf_counter()
        done = yield
        self.seconds[item.nodeid] = time.perf_counter() - started
        self._coverage.switch_context("")
        return done

    def tests(self) -> dict[str, dict[int, list[str]]]:
        self._coverage.stop()
        data = self._coverage.get_data()
        return {module: data.contexts_by_lineno(str(ROOT / module)) for module in self._modules}
