"""No secret of S3's leaves a store: not in an error and what hangs on it, not in what is logged."""

import contextlib
import functools
import itertools
import logging
import re

import pytest
from holding import everything
from lying import Liar, Lie

from keystow.backends import StoreError, open_store
from keystow.backends.s3 import place as s3_place
from keystow.backends.s3 import settings as s3_settings
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.backends.texts import presentable
from keystow.testing.servers import Moto, free_ports
from keystow.testing.servers.proxy import Loopback, QuietHandler

pytestmark = pytest.mark.slow

PART = part_size(1)
SECRET = "MARKEDsecret/of+the/tests"
TOKEN = "MARKEDtoken/of+the/tests=="
RENEWED = "MARKEDtoken/that+was/renewed=="
SIGNATURE = re.compile(r"\b[0-9a-f]{64}\b")
FAMILIES = ("aiobotocore", "aiohttp", "asyncio", "boto", "fsspec", "s3fs", "urllib3")
OPERATIONS = {
    "read": lambda store: list(store.read("key")),
    "range": lambda store: list(store.read("key", start=2, stop=5)),
    "list": lambda store: list(store.list("k")),
    "stat": lambda store: store.stat("key"),
    "put": lambda store: store.write("key", [b"x"]),
    "conditional put": lambda store: store.write("key", [b"x"], if_absent=True),
    "multipart": lambda store: store.write("key", iter([bytes(PART), b"x"])),
    "delete": lambda store: store.delete("key"),
}


@pytest.fixture(params=["fsspec", "obstore"])
def engine(request):
    return request.param


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setattr(repeating, "PAUSES", ())


def marked(text, asked=()):
    """The secrets in ``text``, among them the signatures of the requests that were ``asked``."""
    signed = {found for one in asked for found in SIGNATURE.findall(one.headers.get("authorization", ""))}
    return [secret for secret in (SECRET, TOKEN, RENEWED, "MARKED", *signed) if secret in text]


def echo(asked, status=400, before=""):
    """What the request had in it, wherever an answer has room for it."""
    said = "&#10;".join(f"{name}: {value}" for name, value in asked.headers.items()).replace("<", "")
    token = asked.headers["x-amz-security-token"]
    error = f"<Code>{token}</Code><Message>{token} {said} {SECRET}</Message><RequestId>{token}</RequestId>"
    location = f"http://user:{token}@127.0.0.1:1/?X-Amz-Security-Token={token}"
    headers = {"x-amz-request-id": token, "Location": location}
    return Lie(status, headers, f"{before}<Error>{error}</Error>".encode())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_echoes_them(engine, operation):
    with Liar(echo) as liar, contextlib.closing(open_store("s3://bucket", endpoint=liar.url, engine=engine)) as store:
        for status, page in itertools.product((307, 400, 403, 404, 409, 412, 500), ("", "<html>")):
            liar.answer = functools.partial(echo, status=status, before=page)
            with pytest.raises(StoreError) as refused:
                OPERATIONS[operation](store)
            assert any(TOKEN in str(asked.headers) for asked in liar.asked)
            assert marked(everything(refused.value), liar.asked) == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_not_there(engine, operation):
    [port] = free_ports(1)
    store = open_store("s3://bucket", endpoint=f"http://127.0.0.1:{port}", engine=engine)
    with contextlib.closing(store), pytest.raises(StoreError) as refused:
        OPERATIONS[operation](store)
    assert marked(everything(refused.value)) == []
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


def test_a_status_line_that_echoes_them(engine):
    def handle(handler):
        handler.raw_requestline = handler.rfile.readline(1 << 16)
        handler.parse_request()
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.wfile.write(f"HTTP/{TOKEN} {TOKEN}\r\n{TOKEN}\r\n\r\n".encode())
        handler.close_connection = True

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Loopback(type("Echo", (QuietHandler,), {"handle_one_request": handle})))
        store = open_store("s3://bucket", endpoint=server.url, engine=engine)
        stack.enter_context(contextlib.closing(store))
        for operation in OPERATIONS.values():
            with pytest.raises(StoreError) as refused:
                operation(store)
            assert marked(everything(refused.value)) == []


def test_credentials_that_are_renewed_are_masked_too():
    class Renewed:
        access_key, secret_key, token = "id", SECRET, RENEWED

        def get_frozen_credentials(self):
            return self

    assert RENEWED in presentable(f"it said {RENEWED}")
    s3_place.frozen_keys(Renewed())
    assert presentable(f"it said {RENEWED}") == "it said …"


def test_credentials_that_fsspecs_client_renews_are_masked_too():
    renewed = RENEWED.replace("renewed", "renewed-by-fsspec")

    class Renewed:
        access_key, secret_key, token = "id", SECRET, renewed

        async def get_frozen_credentials(self):
            return self

    store = open_store("s3://bucket", endpoint="http://127.0.0.1:9", engine="fsspec")
    store._bucket._carriers.client()._credentials = Renewed()
    with contextlib.closing(store), pytest.raises(StoreError):
        store.stat("key")
    assert presentable(f"it said {renewed}") == "it said …"


@pytest.fixture(scope="module")
def moto():
    with Moto() as server:
        yield server


@pytest.mark.server
def test_what_is_logged(monkeypatch, caplog, moto, engine):
    """All that S3's clients log, to whoever turns it on."""
    bucket = moto.make_bucket()
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    with contextlib.closing(open_store(f"s3://{bucket}", endpoint=moto.endpoint, engine=engine)) as store:
        for name, operation in OPERATIONS.items():
            if name == "range":
                store.write("key", [b"0123456789"])
            with contextlib.suppress(StoreError):
                operation(store)
        signed = store.presign("key", expires=60)
    [port] = free_ports(1)
    store = open_store(f"s3://{bucket}", endpoint=f"http://127.0.0.1:{port}", engine=engine)
    with contextlib.closing(store):
        for operation in OPERATIONS.values():
            with contextlib.suppress(StoreError):
                operation(store)
    told = [f"{record.name}: {record.getMessage()} {record.exc_text} {record.exc_info}" for record in caplog.records]
    names = {record.name for record in caplog.records}
    assert "botocore.auth" in names
    assert {name for name in names if name.startswith(FAMILIES)} <= set(s3_settings._LOGGERS)
    signature = signed.partition("X-Amz-Signature=")[2][:64]
    assert len(signature) == 64
    secrets = (SECRET, TOKEN, "MARKED", signature)
    assert [line for line in told if any(secret in line for secret in secrets)] == []
    assert [line for line in told if re.search(r"(?i)signature\W{1,4}[0-9a-f]{64}", line)] == []
