"""A job where nothing is installed but the wheel, with one extra or without: ``python -I smoke.py VERSION [EXTRA]``.

It imports nothing of the project's tests. What is wrong ends it with a traceback.
"""

import importlib
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(sys.prefix)
COMMAND = Path(sys.executable).with_name("keystow")
CLOUDS = {"s3": "s3://bucket/key", "gcs": "gs://bucket/key", "azure": "az://container/key"}
SHARED = (
    "share/man/man1/keystow.1",
    "share/bash-completion/completions/keystow",
    "share/zsh/site-functions/_keystow",
    "share/fish/vendor_completions.d/keystow.fish",
)


def run(*words: str | Path, status: int = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([COMMAND, *words], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == status, (words, done)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def job() -> None:
    """Published to a directory, fetched and verified, by the command and by the library."""
    import keystow

    assert Path(keystow.__file__).is_relative_to(HERE), keystow.__file__
    assert Path(keystow.__file__).with_name("py.typed").is_file()
    source = Path("source")
    (source / "deeper").mkdir(parents=True)
    (source / "deeper" / "score.txt").write_text("42")
    destination = f"file://{Path.cwd()}/store/{{jobID}}"
    published = run("publish", source, destination, "--job-id", "j1").stdout
    Path("published.yaml").write_text(published)
    run("verify", "published.yaml")
    run("get", "published.yaml", "fetched")
    assert Path("fetched/deeper/score.txt").read_text() == "42"
    result = keystow.publish(source, destination, keystow.Context(job_id="j2"))
    assert str(result.checksum_sha256) in published
    assert keystow.verify(result).sha256 == result.checksum_sha256
    run("verify", "published.yaml", "--sha256", "0" * 64, status=4)


def shipped(version: str) -> None:
    """The version, and the completions and the manual page where shells and man look for them."""
    assert run("--version").stdout == f"keystow {version}\n"
    assert importlib.metadata.version("keystow") == version
    for name in SHARED:
        assert (HERE / name).stat().st_size > 1000, name


def without(extra: str) -> None:
    """What needs the extra says so in one line."""
    done = run("publish", "source", CLOUDS[extra], status=1)
    assert f"pip install 'keystow[{extra}]'" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def s3() -> None:
    from keystow import S3Credentials

    opened("s3", "s3fs", credentials=S3Credentials("key", "secret"))


def gcs() -> None:
    opened("gcs", "gcsfs")


def azure() -> None:
    from azure.core.credentials import AzureNamedKeyCredential

    opened("azure", "adlfs", "/account", credentials=AzureNamedKeyCredential("account", "a2V5"))


def opened(extra: str, module: str, path: str = "", **options: object) -> None:
    """The client loads, and a store opens: nothing is sent."""
    from keystow.backends import open_store

    importlib.import_module(module)
    open_store(CLOUDS[extra].removesuffix("/key"), endpoint=f"http://127.0.0.1:9{path}", **options).close()


def dask() -> None:
    import distributed

    from keystow import publish_many

    with (
        distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        publications = [("source", f"file://{Path.cwd()}/store/{number}", None) for number in range(3)]
        assert all(outcome.result for outcome in publish_many(publications, executor=client.get_executor()))


def progress() -> None:
    importlib.import_module("rich.live")


def testing() -> None:
    """The plugin runs somebody's test on each store that needs no server."""
    Path("test_mine.py").write_text(
        "import pytest\n"
        '@pytest.mark.keystow_stores("memory", "file")\n'
        "def test_mine(keystow_store):\n"
        "    store = keystow_store.open()\n"
        '    store.write("key", [b"content"])\n'
        '    assert b"".join(store.read("key")) == b"content"\n'
    )
    tested("2 passed")
    importlib.import_module("keystow.testing.strategies")
    importlib.import_module("keystow.testing.machine")


def only_pytest() -> None:
    """Where there is pytest and not the extra, the plugin is in nobody's way."""
    Path("test_other.py").write_text("def test_other():\n    pass\n")
    tested("1 passed")


def tested(outcome: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert outcome in done.stdout, done.stdout + done.stderr


EXTRAS: dict[str, Callable[[], None]] = {
    "s3": s3,
    "gcs": gcs,
    "azure": azure,
    "dask": dask,
    "progress": progress,
    "fast": lambda: None,
    "testing": testing,
    "pytest": only_pytest,
}
ALL = ("s3", "gcs", "azure", "dask", "progress", "fast")


def main(version: str, extra: str = "") -> None:
    job()
    shipped(version)
    there = ALL if extra == "all" else (extra,) if extra else ()
    for name in there:
        EXTRAS[name]()
    for name in CLOUDS:
        if name not in there:
            without(name)
    free = getattr(sys, "_is_gil_enabled", lambda: True)()
    print("with the GIL" if free else "without the GIL")


if __name__ == "__main__":
    main(*sys.argv[1:])
