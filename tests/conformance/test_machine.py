"""In whatever order things happen, every store agrees with a dict, and one that forgets something is found out."""

import itertools

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from other_servers import Sftp

from keystow.backends import open_store
from keystow.testing import FaultyStore, StoreMachine
from keystow.testing.servers import Moto

engines = pytest.mark.parametrize("engine", ["fsspec", "obstore"])


def play(empty_store, *, examples=8, steps=15, phases=tuple(Phase)):
    class Machine(StoreMachine):
        def open_store(self):
            return empty_store()

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


def emptied(store):
    for found in list(store.list()):
        store.delete(found.key)
    assert not list(store.list())
    return store


def test_memory(keystow_memory):
    play(lambda: emptied(keystow_memory.open()), examples=100, steps=30)


def test_file(tmp_path):
    numbers = itertools.count()
    play(lambda: open_store(f"file://{tmp_path}/{next(numbers)}"), examples=60, steps=25)


@pytest.mark.server
@engines
def test_seaweedfs(seaweed, login, engine):
    login(seaweed)
    bucket = seaweed.make_bucket()
    play(lambda: emptied(open_store(f"s3://{bucket}", endpoint=seaweed.endpoint, engine=engine)))


@pytest.mark.server
@engines
def test_moto(monkeypatch, engine):
    with Moto() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        play(lambda: open_store(f"s3://{server.make_bucket()}", endpoint=server.endpoint, engine=engine))


@pytest.mark.server
def test_fake_gcs(keystow_gcs):
    play(lambda: emptied(keystow_gcs.open()))


@pytest.mark.server
def test_azurite(keystow_azure):
    play(lambda: emptied(keystow_azure.open()))


@pytest.mark.server
def test_sftp(tmp_path):
    numbers = itertools.count()
    with Sftp(tmp_path) as server:
        play(lambda: open_store(f"{server.url}/{next(numbers)}", key_filename=str(server.key_file)))


class ForgetsDeletes(FaultyStore):
    def delete(self, key):
        pass


class IgnoresConditions(FaultyStore):
    def write(self, key, chunks, *, if_absent=False, **options):
        return super().write(key, chunks, **options)


class KeepsWhatHadCome(FaultyStore):
    def write(self, key, chunks, **options):
        taken = []
        try:
            taken.extend(chunks)
        finally:
            written = super().write(key, taken, **options)
        return written


class ListsFolders(FaultyStore):
    def list(self, prefix=""):
        return super().list(prefix if not prefix or prefix.endswith("/") else f"{prefix}/")


class StartsOneTooLate(FaultyStore):
    def read(self, key, *, start=0, **options):
        return super().read(key, start=start + (start > 0), **options)


@pytest.mark.parametrize(
    ("broken", "found_by"),
    [
        (ForgetsDeletes, "listing_is_the_model"),
        (IgnoresConditions, "write_if_absent"),
        (KeepsWhatHadCome, "listing_is_the_model"),
        (ListsFolders, "list_prefix"),
        (StartsOneTooLate, "read"),
    ],
)
def test_a_broken_store_is_found_out(keystow_memory, broken, found_by):
    with pytest.raises(AssertionError) as caught:
        play(lambda: broken(emptied(keystow_memory.open())), examples=500, steps=30, phases=[Phase.generate])
    assert caught.traceback[-1].name == found_by
