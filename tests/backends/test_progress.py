"""A try in which nothing moves is over, on Google and Azure, whoever it is that stands still, and however it drips."""

import asyncio
import base64
import contextlib
import itertools
import json
import selectors
import socket
import threading
import time

import pytest
from other_clouds import service_account

from keystow.backends import StoreError, StoreUnavailableError, open_store
from keystow.backends.sending import limits, repeating
from keystow.backends.sending.parts import Body, part_size
from keystow.backends.sending.progress import Progressing, progressing
from keystow.backends.sending.ranges import RANGE

pytestmark = pytest.mark.slow

PART = part_size(1)
KEY = base64.b64encode(b"the key of an account, 32 bytes!").decode()
OPERATIONS = {
    "put": lambda store: store.write("key", [b"x"]),
    "large put": lambda store: store.write("key", [bytes(PART)]),
    "parts": lambda store: store.write("key", [bytes(PART + 1)]),
    "read": lambda store: list(store.read("key")),
    "stat": lambda store: store.stat("key"),
    "list": lambda store: list(store.list("k")),
    "delete": lambda store: store.delete("key"),
}
DATED = b'ETag: "e"\r\nX-Goog-Generation: 7\r\nLast-Modified: Tue, 24 Nov 2026 17:55:09 GMT\r\n'


@pytest.fixture(autouse=True)
def impatient(monkeypatch, clean_environment):
    monkeypatch.setattr(limits, "SECONDS", 0.2)
    monkeypatch.setattr(limits, "BRIEF", 0.1)
    monkeypatch.setattr(repeating, "PAUSES", ())
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "SAS_TOKEN"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)


class Server:
    """Hands each connection to ``serve``, in a thread of its own, until it is stopped; it takes in little at once."""

    def __init__(self, serve):
        self._serve = serve
        self._stopped = threading.Event()
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen(64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._served, args=(connection,), daemon=True).start()

    def _served(self, connection):
        with connection, contextlib.suppress(OSError):
            self._serve(connection)
            self._stopped.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@contextlib.contextmanager
def opened(kind, serve):
    with Server(serve) as server:
        url, endpoint = {"gs": ("gs://bucket", server.url), "az": ("az://container", f"{server.url}/account")}[kind]
        with contextlib.closing(open_store(url, endpoint=endpoint)) as store:
            yield store


def head(connection):
    """The head of a request, and the length of its body."""
    said = b""
    while b"\r\n\r\n" not in said:
        if not (more := connection.recv(1)):
            raise ConnectionResetError
        said += more
    lengths = [line.split(b":")[1] for line in said.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return said, int(lengths[0]) if lengths else 0


def take(connection, pause=0.0):
    """A whole request; up to the last half of a part, there may be a ``pause`` in seconds between its pieces.

    That half may be in the buffers of this machine, where nobody sees it move.
    """
    said, left = head(connection)
    while left:
        left -= len(connection.recv(min(left, 1 << 16)))
        time.sleep(pause if left > PART // 2 else 0)
    return said


def reads_nothing(connection):
    """It takes the connection and no byte of the request."""


def answers_nothing(connection):
    while True:
        take(connection)


def drips(*first, drop=b"x"):
    """Answers with ``first`` at once, and then a drop now and then."""

    def serve(connection):
        take(connection)
        for piece in first:
            connection.sendall(piece)
        while True:
            connection.sendall(drop)
            time.sleep(0.05)

    return serve


STUCK = {
    "reads nothing": reads_nothing,
    "answers nothing": answers_nothing,
    "drips a status": drips(b"HTTP/1.1 200 ", drop=b"O"),
    "drips a header": drips(b"HTTP/1.1 200 OK\r\nServer: "),
    "goes on and on": drips(drop=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "drips an answer": drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n" + DATED + b"\r\n"),
    "drips chunks": drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", drop=b"1\r\nx\r\n"),
    "drips a refusal": drips(b"HTTP/1.1 403 No\r\nContent-Length: 1000000\r\n\r\n"),
}


WHOLE = ("az", "drips an answer", "stat")
"""The answer to HEAD, which has no body."""


@pytest.mark.parametrize(
    ("kind", "stuck", "operation"), sorted(set(itertools.product(("gs", "az"), STUCK, OPERATIONS)) - {WHOLE})
)
def test_a_try_in_which_nothing_moves_is_over(kind, stuck, operation) -> None:
    """But for what can be told at once: what is no answer of theirs, and a refusal of HEAD."""
    with (
        opened(kind, STUCK[stuck]) as store,
        pytest.raises(StoreError, match=r"nothing moved for 0\.[12] s|is not|403"),
    ):
        OPERATIONS[operation](store)


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_content_that_drips_is_cut(kind) -> None:
    """And asked for again; from where it broke off, that is no answer of Google's."""
    size = 100_000
    first = b"abcdefgh" * 200
    whole = f"bytes 0-{size - 1}/{size}"
    ranged = f"HTTP/1.1 206 Partial Content\r\nContent-Range: {whole}\r\n" if kind == "az" else "HTTP/1.1 200 OK\r\n"
    start = ranged.encode() + f"Content-Length: {size}\r\n".encode() + DATED + b"\r\n" + first
    with (
        opened(kind, drips(start)) as store,
        pytest.raises(StoreUnavailableError, match=r"nothing moved for 0\.2 s|is not Google"),
    ):
        list(store.read("key"))


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_what_is_taken_slowly_is_no_failure(kind, monkeypatch) -> None:
    """A part takes longer than nothing may move for."""
    monkeypatch.setattr(limits, "SECONDS", 1.5)

    def slowly(connection):
        said = take(connection, pause=0.03)
        if kind == "az":
            connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n" + DATED + b"\r\n")
        else:
            session = b"Location: " + b"/".join(
                [b"http:/", said.split(b"Host: ")[1].split(b"\r\n")[0], b"s?upload_id=1"]
            )
            answer = session if b"uploadType=resumable" in said else b"Range: bytes=0-%d" % (PART - 1)
            status = b"200 OK" if b"uploadType=resumable" in said else b"308 Resume Incomplete"
            connection.sendall(
                b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n" + answer + b"\r\n\r\n"
            )
            connection.shutdown(socket.SHUT_RDWR)

    ended = RuntimeError("taken")

    def chunks():
        yield bytes(2 * PART)
        yield b"x"
        raise ended

    with opened(kind, slowly) as store, pytest.raises(RuntimeError) as raised:
        store.write("key", chunks())
    assert raised.value is ended


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_a_reader_that_takes_its_time_is_no_failure(kind, monkeypatch) -> None:
    """Longer than nothing may move for."""
    monkeypatch.setattr(limits, "SECONDS", 2.0)
    size = RANGE
    content = bytes(size)

    def serve(connection):
        take(connection)
        whole = f"bytes 0-{size - 1}/{size}"
        ranged = f"206 Partial Content\r\nContent-Range: {whole}" if kind == "az" else "200 OK"
        connection.sendall(f"HTTP/1.1 {ranged}\r\nContent-Length: {size}\r\n".encode() + DATED + b"\r\n" + content)

    with opened(kind, serve) as store:
        got = []
        for piece in store.read("key"):
            got.append(piece)
            time.sleep(3 if len(got) == 1 else 0)
    assert b"".join(got) == content


def test_a_server_that_gives_no_token(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with Server(answers_nothing) as server:
        (tmp_path / "key.json").write_text(json.dumps(service_account(token_uri=f"{server.url}/token")))
        store = open_store("gs://bucket", endpoint="https://127.0.0.1:9")
        with contextlib.closing(store), pytest.raises(StoreUnavailableError, match="nothing moved") as refused:
            store.write("key", [b"x"])
    assert refused.value.tries == 1


def test_a_credential_of_azures_that_gives_no_token() -> None:
    from keystow.backends.azure.transport import _Asked

    class Silent:
        async def get_token(self, *scopes, **options):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError, match="nothing moved"):
        asyncio.run(_Asked(Silent(), 0.2).get_token("scope"))


# -- the clock itself


class Passing(selectors.DefaultSelector):
    """In place of waiting, it has the time pass that is to be waited for."""

    now = 0.0

    def select(self, timeout=None):
        found = super().select(None if timeout is None else 0)
        if not found and timeout:
            self.now += timeout
        return found


def run(work):
    """What comes of ``work``, on a loop on which no other time passes than what it waits for."""
    selector = Passing()

    def made():
        loop = asyncio.SelectorEventLoop(selector)
        loop.time = lambda: selector.now
        return loop

    with asyncio.Runner(loop_factory=made) as runner:
        return runner.run(work)


def test_a_body_that_is_asked_for_has_more_time() -> None:
    async def sent(pauses):
        body = Body(bytes(1000))
        async with progressing(0.6, body):
            for pause in pauses:
                await asyncio.sleep(pause)
                body.read(100)
        body.read()

    run(sent([0.5] * 6))
    with pytest.raises(TimeoutError, match=r"^nothing moved for 0\.6 s\Z"):
        run(sent([0.5, 0.5, 60]))


def test_another_timeout_is_not_ours() -> None:
    async def fails():
        async with progressing(60):
            raise TimeoutError("theirs")

    with pytest.raises(TimeoutError, match="theirs"):
        asyncio.run(fails())


class Content:
    def __init__(self, size, pause):
        self.size, self.pause = size, pause

    async def read(self, _):
        await asyncio.sleep(self.pause)
        return bytes(self.size)


@pytest.mark.parametrize(
    ("size", "pause", "comes"),
    [(limits.LEAST, 0.5, True), (limits.LEAST // 2 + 1, 0.25, True), (1, 0.05, False), (9, 60, False)],
)
def test_content_has_to_come(size, pause, comes) -> None:
    async def read():
        content = Progressing(Content(size, pause), 0.6)
        for _ in itertools.repeat(None, 16):
            await content.read(1 << 20)

    if comes:
        run(read())
    else:
        with pytest.raises(TimeoutError, match="nothing moved"):
            run(read())
