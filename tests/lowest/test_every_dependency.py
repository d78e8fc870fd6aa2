"""One use of each dependency, quick enough to be repeated with the lowest version of each (``make lowest``)."""

import os
import sys

import pytest
from archive_strategies import Link, lay, seen
from commands import run
from terminal import on_terminal, waiting

from keystow import Context, PublishedResult, fetch, presign, publish, publish_many, verify
from keystow.archive import pack, scan, unpack
from keystow.backends.generic import GenericStore

KINDS = [("memory", None), ("file", None), ("s3", "fsspec"), ("s3", "obstore"), ("gcs", None), ("azure", None)]
TREE = {"a.txt": b"a", "d/empty": b"", "d/link": Link("../a.txt"), "large": bytes(range(256)) * 50_000}
"""Of more than 8 MiB in its plain form, so that there are several parts."""


@pytest.mark.server
@pytest.mark.parametrize(("kind", "engine"), KINDS)
@pytest.mark.parametrize("archive", [True, False], ids=["archive", "plain"])
def test_a_round_trip_on_every_store_and_engine(kind, engine, archive, tmp_path, request, monkeypatch):
    sandbox = request.getfixturevalue(f"keystow_{kind}")
    if engine:
        monkeypatch.setenv("KEYSTOW_ENGINE", engine)
    tree = lay(tmp_path / "source", TREE)
    result = publish(tree, sandbox.destination("results/{jobID}"), Context(job_id="j1"), archive=archive)
    assert verify(result).sha256 == result.checksum_sha256
    assert fetch(PublishedResult.from_mapping(result.to_mapping()), tmp_path / "back").verified
    assert (tmp_path / "back" / "large").read_bytes() == TREE["large"]
    store = sandbox.open()
    names = [found.key for found in store.list("results/")]
    assert len(names) == (1 if archive else 4 + 1)
    if archive and kind in {"s3", "azure"}:  # Google's emulator signs nothing
        fetch(presign(result, expires=60), tmp_path / "by url")
        assert seen(tmp_path / "by url") == seen(tree)
    for name in names:
        store.delete(name)
    assert list(store.list()) == []
    store.close()


def test_a_store_that_only_fsspec_knows(tmp_path):
    store = GenericStore(f"local://{tmp_path}/inner", auto_mkdir=True)
    store.write("d/key", [b"con", b"tent"])
    assert [(found.key, found.size) for found in store.list()] == [("d/key", 7)]
    assert b"".join(store.read("d/key", start=3)) == b"tent"
    store.close()


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_archives(level, tmp_path):
    source = lay(tmp_path / "source", TREE)
    unpack(pack(scan(source), level=level), tmp_path / "back")
    assert seen(tmp_path / "back") == seen(source)


def test_the_command_reads_and_writes_yaml(tmp_path):
    lay(tmp_path / "source", TREE)
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"Publisher:\n  Type: file\n  Params:\n    Bucket: {tmp_path}/store\n    Key: '{{jobID}}'\n")
    keystow = (sys.executable, "-m", "keystow")
    published = run(*keystow, "publish", tmp_path / "source", "--spec", spec, "--allow", "file", "--job-id", "j1")
    assert published.status == 0, published.err
    (tmp_path / "result.yaml").write_text(published.out)
    fetched = run(*keystow, "get", tmp_path / "result.yaml", tmp_path / "back")
    assert fetched.status == 0, fetched.err
    assert seen(tmp_path / "back") == seen(tmp_path / "source")
    verified = run(*keystow, "verify", "-", stdin=published.out)
    assert verified.status == 0, verified.err


def test_the_workers_of_a_dask_cluster(tmp_path):
    import distributed

    source = lay(tmp_path / "source", TREE)
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, **quiet) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert os.getpid() not in client.run(os.getpid).values()
        publications = [(source, f"file://{tmp_path}/store/{number}", None) for number in range(3)]
        outcomes = list(publish_many(publications, executor=client.get_executor()))
    assert {verify(outcome.result).sha256 for outcome in outcomes} == {publish(source, "memory://b/k").checksum_sha256}


def test_progress_is_drawn(tmp_path):
    lay(tmp_path / "source", TREE)
    go = tmp_path / "go"

    def when(written, _):
        if "% of 12.8 MB" not in written:
            return False
        go.touch()
        return True

    shown = on_terminal(*waiting(0.5, go, "publish", tmp_path / "source", f"file://{tmp_path}/to/k"), when=when)
    assert shown.status == 0
    assert "rich.live" in shown.out
    assert "100 % of 12.8 MB" in shown.screen[0]
