"""What an endpoint turns out to ignore is found by asking it, and then refused."""

import contextlib

import pytest
from other_servers import RcloneS3

from keystow.backends import UnsupportedError, open_store, probe
from keystow.testing.servers import FaultProxy, Moto

pytestmark = pytest.mark.server


@pytest.fixture
def sign_in(monkeypatch):
    def use(server):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        return server

    return use


def test_local_stores_keep_their_promise(tmp_path) -> None:
    (tmp_path / "store").mkdir()
    for url in ("memory://probed-by-the-tests", f"file://{tmp_path}/store"):
        store = open_store(url)
        assert probe(store, prefix="a/") == store.capabilities
        assert store.capabilities.if_absent
        assert list(store.list()) == []


def test_a_server_that_keeps_conditions(seaweed, bucket, sign_in) -> None:
    with contextlib.closing(open_store(f"s3://{bucket}", endpoint=sign_in(seaweed).endpoint)) as store:
        assert probe(store, prefix="probed/") == store.capabilities
        assert list(store.list("probed/")) == []


def test_a_second_server_that_keeps_conditions(sign_in) -> None:
    with Moto() as moto:
        store = open_store(f"s3://{moto.make_bucket()}", endpoint=sign_in(moto).endpoint)
        with contextlib.closing(store):
            assert probe(store).if_absent is True
            assert list(store.list()) == []


def test_a_server_that_ignores_them(tmp_path, sign_in) -> None:
    with RcloneS3(tmp_path) as rclone, FaultProxy(sign_in(rclone).endpoint) as proxy:
        bucket = rclone.make_bucket()
        with contextlib.closing(open_store(f"s3://{bucket}", endpoint=proxy.url)) as store:
            found = probe(store, prefix="probed/")
            assert (found.if_absent, found.versions, found.presign) == (False, True, True)
            assert list(store.list()) == []
        proxy.clear()
        told = open_store(f"s3://{bucket}", endpoint=proxy.url, conditions=False)
        with contextlib.closing(told):
            chunks = iter([b"unread"])
            with pytest.raises(UnsupportedError, match="ignores conditions"):
                told.write("key", chunks, if_absent=True)
            assert (list(chunks), proxy.requests) == ([b"unread"], [])
            assert probe(told) == told.capabilities
            assert proxy.requests == []
            told.write("key", [b"overwrites"])
            assert b"".join(told.read("key")) == b"overwrites"


def test_a_probe_that_may_not_delete_still_answers(seaweed, bucket, sign_in) -> None:
    with FaultProxy(sign_in(seaweed).endpoint) as proxy:
        proxy.answer(lambda method, path: method == "DELETE", 403, nth=None)
        with contextlib.closing(open_store(f"s3://{bucket}", endpoint=proxy.url)) as store:
            assert probe(store, prefix="undeleted/").if_absent is True
            (left,) = store.list("undeleted/")
            assert left.key.startswith("undeleted/keystow-probe-")
            assert b"".join(store.read(left.key)) == b"first"
