"""Any other fsspec file system: what it cannot promise is refused, and what breaks leaves the old object."""

import contextlib
import io
import os
import select
import socket
import socketserver
import subprocess
import sys
import uuid
import zipfile

import pytest
from other_servers import Sftp, WebDav

from keystow.backends import (
    AccessDeniedError,
    CredentialsError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnknownStoreError,
    UnsupportedError,
    open_store,
)
from keystow.testing.servers.proxy import Loopback

BODY = bytes(range(256)) * 8192


def fetched(store, key, **options):
    return b"".join(store.read(key, **options))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Sftp(tmp_path_factory.mktemp("sftp")) as running:
        yield running


@pytest.fixture
def directory(server):
    made = server.root / uuid.uuid4().hex
    made.mkdir()
    return made


@pytest.fixture
def sftp(server, directory):
    with contextlib.closing(open_store(f"{server.url}/{directory.name}", key_filename=str(server.key_file))) as store:
        yield store


def files_below(directory):
    return sorted(str(file.relative_to(directory)) for file in directory.rglob("*") if file.is_file())


# -- sftp


class Relay(Loopback):
    """Passes bytes on to a port, until it is cut."""

    def __init__(self, port):
        self.port, self.open = port, []
        super().__init__(RelayHandler)

    def cut(self):
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class RelayHandler(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            here = self.request
            self.server.open += [here, there]
            with contextlib.suppress(OSError):
                while True:
                    for ready in select.select([here, there], [], [])[0]:
                        data = ready.recv(1 << 16)
                        if not data:
                            return
                        (there if ready is here else here).sendall(data)


@pytest.mark.server
@pytest.mark.parametrize("enough", [0, len(BODY)])
def test_a_connection_that_dies_leaves_the_old_object(server, sftp, directory, enough) -> None:
    sftp.write("a/key", [b"old"])
    with Relay(server.port) as relay:
        url = f"{server.url}/{directory.name}".replace(f":{server.port}", f":{relay.server_address[1]}")
        dying = open_store(url, key_filename=str(server.key_file))

        def chunks():
            yield BODY[:enough]
            relay.cut()
            for _ in range(8):
                yield BODY

        with pytest.raises(StoreUnavailableError) as refused:
            dying.write("a/key", chunks())
        with contextlib.suppress(StoreError):
            dying.close()
    assert any("temporary file" in note for note in refused.value.__notes__)
    assert fetched(sftp, "a/key") == b"old"
    assert [found.key for found in sftp.list()] == ["a/key"]
    assert [found.key for found in sftp.list("a/.")] == []


@pytest.mark.server
def test_a_list_looks_into_no_directory_that_cannot_hold_the_prefix(sftp, monkeypatch) -> None:
    for key in ("a/10/x", "a/2/y/z", "b/1/x", "a/1"):
        sftp.write(key, [b"x"])
    looked, look = [], sftp._files.ls
    monkeypatch.setattr(sftp._files, "ls", lambda path, **how: looked.append(path) or look(path, **how))
    assert sorted(found.key for found in sftp.list("a/1")) == ["a/1", "a/10/x"]
    assert [path.removeprefix(sftp._root) for path in looked] == ["/a", "/a/10"]


@pytest.mark.server
@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt])
def test_a_temporary_file_goes_when_chunks_raise(sftp, directory, raised) -> None:
    def breaking():
        yield BODY
        raise raised("no more")

    sftp.write("a/key", [b"old"])
    with pytest.raises(raised, match="no more") as error:
        sftp.write("a/key", breaking())
    assert not hasattr(error.value, "__notes__")
    assert files_below(directory) == ["a/key"]
    assert (directory / "a/key").read_bytes() == b"old"


@pytest.mark.server
def test_what_it_cannot_promise_is_refused(sftp, directory) -> None:
    chunks = iter([b"unread"])
    with pytest.raises(UnsupportedError, match="only what is absent"):
        sftp.write("key", chunks, if_absent=True)
    sftp.write("there", [b"x"])
    for call in (
        lambda: next(sftp.read("there", version_id="1")),
        lambda: sftp.stat("there", version_id="1"),
        lambda: sftp.presign("there", expires=60),
    ):
        with pytest.raises(UnsupportedError):
            call()
    assert list(chunks) == [b"unread"]
    assert files_below(directory) == ["there"]
    promised = sftp.capabilities
    assert (promised.atomic, promised.if_absent, promised.versions, promised.presign) == (True, False, False, False)


@pytest.mark.server
def test_a_write_that_cannot_take_its_name_leaves_nothing(sftp, directory) -> None:
    (directory / "taken" / "below").mkdir(parents=True)
    with pytest.raises(StoreError):
        sftp.write("taken", [b"x"])
    with pytest.raises(NotFoundError):
        sftp.stat("taken")
    assert files_below(directory) == []


@pytest.mark.server
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_not_ours(sftp, directory) -> None:
    (directory / "closed").mkdir(mode=0o500)
    with pytest.raises(AccessDeniedError):
        sftp.write("closed/key", [b"x"])


@pytest.mark.server
def test_errors_are_ours(sftp, server) -> None:
    with pytest.raises(NotFoundError):
        sftp.stat("absent")
    with pytest.raises(NotFoundError):
        next(sftp.read("absent"))
    sftp.delete("absent")
    sftp.write("file", [b"x"])
    with pytest.raises(StoreError):
        sftp.write("file/below", [b"x"])
    assert fetched(sftp, "file") == b"x"


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"sftp://nobody@127.0.0.1:{bound.getsockname()[1]}/directory"
        with pytest.raises(StoreUnavailableError, match="cannot be opened"):
            open_store(url)


@pytest.mark.server
def test_a_key_that_the_server_does_not_know(server, tmp_path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    with pytest.raises(CredentialsError, match="cannot be opened"):
        open_store(server.url, key_filename=str(tmp_path / "other"), allow_agent=False, look_for_keys=False)


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/", ".", "a/../b", "../a", "a/.keystow-x", "a::b", "::memory://x"])
def test_keys_that_are_no_file_names(tmp_path, key) -> None:
    store = open_store(f"dir://store::file://{tmp_path}/inner", auto_mkdir=True)
    chunks = iter([b"unread"])
    with pytest.raises(InvalidKeyError):
        store.write(key, chunks)
    assert list(chunks) == [b"unread"]
    assert files_below(tmp_path) == []


# -- file systems without a rename


def refuses_writes(store):
    assert not store.capabilities.atomic
    chunks = iter([b"unread"])
    with pytest.raises(UnsupportedError, match="whole_puts=True"):
        store.write("new", chunks)
    assert list(chunks) == [b"unread"]


def test_a_zip_file_is_read_and_not_written(tmp_path) -> None:
    archive = tmp_path / "results.zip"
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("a/b.txt", "theirs")
    before = archive.read_bytes()
    with contextlib.closing(open_store(f"zip://a::file://{archive}")) as store:
        refuses_writes(store)
        assert fetched(store, "b.txt") == b"theirs"
        assert fetched(store, "b.txt", start=2, stop=4) == b"ei"
        assert [(found.key, found.size) for found in store.list()] == [("b.txt", 6)]
        with pytest.raises(NotFoundError):
            store.stat("absent")
    assert archive.read_bytes() == before


@pytest.mark.server
def test_a_webdav_server_is_read_and_not_written(tmp_path) -> None:
    with WebDav(tmp_path) as server:
        (server.root / "store").mkdir()
        (server.root / "store" / "b.txt").write_bytes(b"theirs")
        store = open_store("webdav://store", base_url=server.endpoint, auth=server.auth)
        with contextlib.closing(store):
            refuses_writes(store)
            assert fetched(store, "b.txt") == b"theirs"
            with pytest.raises(NotFoundError):
                store.stat("absent")
        assert files_below(server.root) == ["store/b.txt"]


def test_whole_puts_are_vouched_for_by_the_caller() -> None:
    name = uuid.uuid4().hex
    url = f"dir://store::memory://{name}"
    refuses_writes(open_store(url))
    store = open_store(url, whole_puts=True)
    assert store.capabilities.atomic
    assert store.write("a/key", [BODY, b"end"]).size == len(BODY) + 3
    assert fetched(store, "a/key") == BODY + b"end"

    def breaking():
        yield b"half"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        store.write("a/key", breaking())
    with pytest.raises(UnsupportedError):
        store.write("a/key", [b"x"], if_absent=True)
    assert fetched(store, "a/key") == BODY + b"end"
    assert [found.key for found in store.list()] == ["a/key"]
    store.delete("a/key")
    assert list(store.list()) == []


# -- what there is


def test_an_unknown_protocol_is_told_what_there_is() -> None:
    with pytest.raises(UnknownStoreError, match="fsspec") as refused:
        open_store("gopher://host/directory")
    for form in ("s3://bucket", "gs://bucket", "az://container", "file:///directory", "memory://name"):
        assert form in str(refused.value)


@pytest.mark.parametrize(
    ("url", "needs"),
    [
        ("github://foo/r/x", "org, repo"),
        ("webdav://store", "base_url"),
        ("reference://x", "fo"),
        ("asyncwrapper://x", "more"),
    ],
)
def test_a_file_system_that_needs_more_than_its_url_says(url, needs) -> None:
    with pytest.raises(UnknownStoreError, match=f"needs {needs}.*open_store") as refused:
        open_store(url)
    assert isinstance(refused.value, ValueError)


def test_an_option_that_a_file_system_does_not_have_stays_a_mistake_in_the_code(tmp_path) -> None:
    with pytest.raises(TypeError, match="colour"):
        open_store("webdav://store", base_url="http://127.0.0.1:9", colour="red")


def test_a_password_is_in_no_text(caplog) -> None:
    secret = "s3cr3t-p%40ssword"
    with socket.socket() as bound, caplog.at_level("DEBUG"):
        bound.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{bound.getsockname()[1]}/dir"
        for url, options in (
            (f"ftp://user:{secret}@{place}", {}),
            (f"ftp://user@{place}", {"password": "s3cr3t-other"}),
            (f"sftp://user:{secret}@{place}", {}),
            (f"reference://user:{secret}@{place}", {}),
        ):
            with pytest.raises((StoreError, UnknownStoreError)) as refused:
                open_store(url, **options)
            shown = f"{refused.value!r} {refused.value} {vars(refused.value)} {caplog.text}"
            assert refused.value.__cause__ is None
            for text in (secret, "s3cr3t-p@ssword", "s3cr3t-other"):
                assert text not in shown


class Telling:
    """A file system that tells of one file what it is told to."""

    def __init__(self, **told):
        self.told = {"name": "/x/key", "type": "file"} | told

    def info(self, path):
        return self.told

    def invalidate_cache(self):
        pass

    def walk(self, path, detail):
        yield "/x", {}, {"key": self.told}

    def open(self, path, mode):
        class Endless(io.RawIOBase):
            def seek(self, *_):
                return 0

            def read(self, size=-1):
                return bytes(size + 1)

        return Endless()


def telling(**told):
    store = open_store("dir://x::memory://nothing")
    store._files, store._root = Telling(**told), "/x"
    return store


@pytest.mark.parametrize("size", [None, -1, "3", 1.5])
def test_a_server_that_says_no_size(size) -> None:
    store = telling(size=size)
    for call in (lambda: store.stat("key"), lambda: list(store.list()), lambda: next(store.read("key"))):
        with pytest.raises(StoreUnavailableError, match="no size"):
            call()


def test_a_server_that_sends_more_than_was_asked_for() -> None:
    with pytest.raises(StoreUnavailableError, match="more than it was asked for"):
        list(telling(size=3).read("key"))


@pytest.mark.parametrize("modified", [float("inf"), 10**30, -(10**30), "yesterday", []])
def test_a_time_that_cannot_be_is_none(modified) -> None:
    assert telling(size=3, mtime=modified).stat("key").modified is None


def test_a_missing_package_is_named() -> None:
    code = (
        "import sys; sys.modules['paramiko'] = None\n"
        "from keystow.backends import MissingExtraError, open_store\n"
        "try: open_store('sftp://somebody@127.0.0.1/directory')\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("sftp needs a package that is not installed: ")
    assert "paramiko" in done.stdout
