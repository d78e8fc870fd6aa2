"""Every store that README names keeps the contract, or says what it cannot promise.

What an emulator does otherwise than the service it stands for is declared in ``gaps``, and must then fail.
"""

import json
import os

import pytest
from other_servers import RcloneS3, Sftp, WebDav

from keystow.backends import open_store
from keystow.testing import StoreConformance, needs
from keystow.testing.servers import Azurite, FakeGCS, FaultProxy, Moto

pytestmark = pytest.mark.server

UNEXPIRED = {"presign_expiry": "it does not look at the expiry"}
UNSIGNED = UNEXPIRED | {"test_a_signed_get": "it does not look at the signature, so a GET's URL can PUT"}


FSSPEC = {"engine": "fsspec"}
OBSTORE = {"engine": "obstore"}


def decides_on_s3(method, path):
    return (method == "PUT" and "partNumber" not in path) or (method == "POST" and "uploadId=" in path)


class TestMemory(StoreConformance):
    @pytest.fixture
    def store(self, keystow_memory):
        return keystow_memory.open()


class TestFile(StoreConformance):
    @pytest.fixture
    def store(self, keystow_file):
        return keystow_file.open()


class _OnS3(StoreConformance):
    engine = FSSPEC

    @pytest.fixture
    def store(self, server, shared_bucket, monkeypatch):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        store = open_store(f"s3://{shared_bucket}", endpoint=server.endpoint, **self.engine)
        yield store
        store.close()

    @pytest.fixture
    def lossy_store(self, server, shared_bucket, store):
        with FaultProxy(server.endpoint) as proxy:
            proxy.lose_answer(decides_on_s3)
            lossy = open_store(f"s3://{shared_bucket}", endpoint=proxy.url, **self.engine)
            yield lossy
            lossy.close()


class _TakesTurns(_OnS3):
    @pytest.fixture
    def turns(self, server, shared_bucket, store):
        """Of several completions at once SeaweedFS and moto let more than one through: here they come one at a time.

        And so do small writes, of which moto looks first whether there is an object.
        """
        with FaultProxy(server.endpoint) as proxy:
            proxy.one_at_a_time(decides_on_s3)
            store = open_store(f"s3://{shared_bucket}", endpoint=proxy.url, **self.engine)
            yield store
            store.close()

    @needs("if_absent")
    def test_one_of_many_large_writers_wins(self, turns, key):
        """Our part of the race; the server's own is its gap."""
        super().test_one_of_many_large_writers_wins(turns, key)


class TestSeaweedFS(_TakesTurns):
    gaps = {
        "test_keys_that_some_stores_cannot_hold[a//b]": "it makes a//b into a/b",
        "test_keys_that_some_stores_cannot_hold[//]": "it drops doubled slashes",
        "test_keys_that_some_stores_cannot_hold[a/]": "it takes a trailing slash for a directory and loses the content",
        "test_keys_that_some_stores_cannot_hold[a\\\\b]": "it makes a backslash into a slash",
    }

    @pytest.fixture
    def server(self, seaweed):
        return seaweed

    @pytest.fixture
    def shared_bucket(self, versioned_bucket):
        return versioned_bucket


class TestSeaweedFSByObstore(TestSeaweedFS):
    engine = OBSTORE


class TestMoto(_TakesTurns):
    gaps = UNSIGNED | {"test_keys_that_some_stores_cannot_hold[line\\nbreak]": "it finds no such route"}

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls):
        with Moto() as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def shared_bucket(cls, server):
        return server.make_bucket(versioned=True)

    @needs("if_absent")
    def test_one_of_many_writers_wins(self, turns, key):
        """Our part of the race, here too."""
        super().test_one_of_many_writers_wins(turns, key)


class TestMotoByObstore(TestMoto):
    engine = OBSTORE


class TestRclone(_OnS3):
    gaps = {
        "versions": "it keeps no versions",
        "test_a_prefix_is_no_object": "it answers a delete of a prefix with an internal error",
        "test_what_is_written_is_read_back[part + 1]": "it reports one ETag for a multipart upload and then another",
        "test_what_is_written_is_read_back[many parts]": "it reports one ETag for a multipart upload and then another",
        "test_keys_that_some_stores_cannot_hold[a/]": "it lists no key that ends in a slash",
    }

    @needs("odd_keys")
    @pytest.mark.parametrize("odd", ["a/", "a\\b", "line\nbreak"])
    def test_keys_that_some_stores_cannot_hold(self, store, key, odd):
        """A doubled slash is left out: it answers that with internal errors for minutes."""
        super().test_keys_that_some_stores_cannot_hold(store, key, odd)

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory):
        with RcloneS3(tmp_path_factory.mktemp("rclone")) as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def shared_bucket(cls, server):
        return server.make_bucket()

    @pytest.fixture
    def store(self, server, shared_bucket, monkeypatch):
        """It ignores conditions, as ``probe`` finds out (``test_probing``); told so, the store refuses them."""
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        store = open_store(f"s3://{shared_bucket}", endpoint=server.endpoint, conditions=False, **self.engine)
        yield store
        store.close()


class TestRcloneByObstore(TestRclone):
    engine = OBSTORE


@pytest.fixture(scope="session")
def service_account(tmp_path_factory):
    """A key file such as Google hands out, of a key made here; signing with it asks nobody."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("google") / "key.json"
    file.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "keystow",
                "private_key_id": "1",
                "private_key": pem.decode(),
                "client_email": "tests@keystow.iam.gserviceaccount.com",
                "client_id": "1",
                "token_uri": "http://127.0.0.1:9/token",
            }
        )
    )
    return file


class TestGCS(StoreConformance):
    gaps = UNSIGNED | dict.fromkeys(
        (
            "test_one_of_many_large_writers_wins",
            "test_if_absent_writes_once[part + 1]",
            "test_if_absent_writes_once[many parts]",
        ),
        "fake-gcs-server checks no precondition of a resumable upload",
    )

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory):
        with FakeGCS(tmp_path_factory.mktemp("gcs")) as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def shared_bucket(cls, server):
        return server.make_bucket(versioned=True)

    @pytest.fixture
    def store(self, server, shared_bucket, service_account, monkeypatch):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account))
        store = open_store(f"gs://{shared_bucket}")
        yield store
        store.close()

    @pytest.fixture
    def lossy_store(self, server, shared_bucket, store):
        with FaultProxy(server.endpoint) as proxy:
            proxy.lose_answer(lambda method, path: method == "POST" and "uploadType=resumable" not in path)
            lossy = open_store(f"gs://{shared_bucket}", endpoint=proxy.url)
            yield lossy
            lossy.close()


class TestAzure(StoreConformance):
    gaps = {"versions": "Azurite keeps no versions"}

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory):
        with Azurite(tmp_path_factory.mktemp("azurite")) as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def shared_bucket(cls, server):
        return server.make_bucket()

    @pytest.fixture
    def store(self, server, shared_bucket, monkeypatch):
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        store = open_store(f"az://{shared_bucket}")
        yield store
        store.close()

    @pytest.fixture
    def lossy_store(self, server, shared_bucket, store, monkeypatch):
        with FaultProxy(server.endpoint) as proxy:
            proxy.lose_answer(
                lambda method, path: method == "PUT" and ("comp=" not in path or "comp=blocklist" in path)
            )
            for name, value in server.environment(proxy.url).items():
                monkeypatch.setenv(name, value)
            lossy = open_store(f"az://{shared_bucket}")
            yield lossy
            lossy.close()


class TestSftp(StoreConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory):
        with Sftp(tmp_path_factory.mktemp("sftp")) as server:
            yield server

    @pytest.fixture
    def store(self, server):
        store = open_store(server.url, key_filename=str(server.key_file))
        yield store
        store.close()


class TestWebDav(StoreConformance):
    """Its fsspec package renames by copying, so it is not written to; reading is shown below."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory):
        with WebDav(tmp_path_factory.mktemp("webdav")) as server:
            yield server

    @pytest.fixture
    def store(self, server):
        store = open_store("webdav://store", base_url=server.endpoint, auth=server.auth)
        yield store
        store.close()

    @needs("reading")
    def test_what_others_wrote_is_read(self, server, store):
        (server.root / "store" / "a").mkdir(parents=True, exist_ok=True)
        (server.root / "store" / "a" / "b.txt").write_bytes(b"theirs")
        assert b"".join(store.read("a/b.txt")) == b"theirs"
        assert b"".join(store.read("a/b.txt", start=2, stop=4)) == b"ei"
        assert [(found.key, found.size) for found in store.list()] == [("a/b.txt", 6)]


LIVE = os.environ.get("KEYSTOW_TEST_URL")
OUTSIDE = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "HOME"))}


@pytest.mark.skipif(not LIVE, reason="KEYSTOW_TEST_URL names no bucket of a real cloud, or of MinIO, to test on")
class TestLive(StoreConformance):
    """``KEYSTOW_TEST_URL`` (and ``KEYSTOW_TEST_ENDPOINT``), with the credentials of whoever runs the tests."""

    endpoint = os.environ.get("KEYSTOW_TEST_ENDPOINT")

    @pytest.fixture
    def store(self, monkeypatch):
        for name, value in OUTSIDE.items():
            monkeypatch.setenv(name, value)
        store = open_store(LIVE, **({"endpoint": self.endpoint} if self.endpoint else {}))
        yield store
        store.close()


class TestDir(StoreConformance):
    """``dir`` over a local directory: one file system within another."""

    @pytest.fixture
    def store(self, tmp_path):
        return open_store(f"dir://store::file://{tmp_path}/inner", auto_mkdir=True)
