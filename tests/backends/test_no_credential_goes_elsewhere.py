"""Two servers: one sends on to the other, which is another origin, and which nobody may tell who is asking."""

import base64
import contextlib
import datetime as dt
import json
import os
import ssl
import subprocess
import sys

import pytest
from lying import Liar, Lie
from other_clouds import service_account

from keystow.backends import StoreError, open_store
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.backends.texts import presentable

pytestmark = pytest.mark.server

PART = part_size(1)
KEY = base64.b64encode(b"the key of an account, 32 bytes!").decode()
SIGNATURE = "s3cr3tSignature"
SAS = f"sv=2024-11-04&sp=rw&se=2030-01-01T00:00:00Z&sig={SIGNATURE}"
REDIRECTS = pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
OPERATIONS = {
    "put": lambda store: store.write("a/key", [b"x"]),
    "put if absent": lambda store: store.write("a/key", [b"x"], if_absent=True),
    "parts": lambda store: store.write("a/key", [bytes(PART + 1)]),
    "read": lambda store: list(store.read("a/key")),
    "range": lambda store: list(store.read("a/key", start=1, stop=9)),
    "stat": lambda store: store.stat("a/key"),
    "list": lambda store: list(store.list("a/")),
    "delete": lambda store: store.delete("a/key"),
}
EACH = pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=list(OPERATIONS))


@pytest.fixture(autouse=True)
def alone(monkeypatch, clean_environment):
    monkeypatch.setattr(repeating, "PAUSES", (0.01,))
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "CLIENT_ID", "ANON"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def second():
    with Liar(
        lambda asked: Lie(200, {"ETag": '"e"', "Last-Modified": "Tue, 24 Nov 2026 17:55:09 GMT"}, b"{}")
    ) as server:
        yield server


@pytest.fixture
def first(second):
    with Liar(lambda asked: Lie()) as server:
        server.status = 307
        server.answer = lambda asked: Lie(server.status, {"Location": f"{second.url}{asked.path}"})
        yield server


def opened(kind, first, monkeypatch):
    if kind == "gs":
        return open_store("gs://bucket", endpoint=first.url)
    name, value = {"sas": ("SAS_TOKEN", SAS), "key": ("ACCOUNT_KEY", KEY)}[kind]
    monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    return open_store("az://container", endpoint=f"{first.url}/account")


@REDIRECTS
@EACH
@pytest.mark.parametrize("kind", ["gs", "sas", "key"])
def test_a_redirect_is_an_error_that_names_the_host(first, second, monkeypatch, kind, operation, status) -> None:
    first.status = status
    with contextlib.closing(opened(kind, first, monkeypatch)) as store, pytest.raises(StoreError) as refused:
        operation(store)
    assert f"redirects to {second.url.removeprefix('http://')}, which is not followed" in str(refused.value)
    assert second.asked == []
    assert len(first.asked) == 1 or {"comp=block&" in asked.path for asked in first.asked} == {True}


def test_a_page_blob_is_asked_for_and_its_pages_are_not_elsewhere(first, second, monkeypatch) -> None:
    """The SDK asks for the pages by itself."""
    redirected = first.answer

    def answer(asked):
        if "comp=pagelist" in asked.path:
            return redirected(asked)
        headers = {"Content-Range": "bytes 0-2/3", "x-ms-blob-type": "PageBlob", "ETag": '"e"'}
        return Lie(206, headers, b"abc")

    first.answer = answer
    with contextlib.closing(opened("sas", first, monkeypatch)) as store:
        assert list(store.read("a/key")) == [b"abc"]
    assert (len(first.asked), second.asked) == (2, [])


@pytest.mark.parametrize(
    "place", ["{second}/session?upload_id=s3cr3t", "//evil.example.com/session", "https://h\\x", "http://[::1"]
)
def test_an_upload_session_elsewhere_is_not_used(first, second, place) -> None:
    first.answer = lambda asked: Lie(200, {"Location": place.format(second=second.url)})
    store = open_store("gs://bucket", endpoint=first.url)
    with contextlib.closing(store), pytest.raises(StoreError, match="redirects to"):
        store.write("a/key", [bytes(PART + 1)])
    assert (len(first.asked), second.asked) == (1, [])


# -- nor in a text


def held(error):
    """All that hangs on an error, and that a handler of it might show."""
    found = []
    while error is not None:
        found += [str(error), repr(error), repr(vars(error)), *getattr(error, "__notes__", [])]
        assert not {"request", "response", "request_info"} & set(vars(error))
        error = error.__cause__ or error.__context__
    return "\n".join(found)


@EACH
@pytest.mark.parametrize("kind", ["sas", "key"])
@pytest.mark.parametrize("how", ["echoes", "hangs up", "html"])
def test_no_text_shows_what_opens_an_account(first, monkeypatch, caplog, kind, operation, how) -> None:
    def answer(asked):
        if how == "hangs up":
            raise ConnectionResetError
        echo = f"{asked.path} {asked.headers} {SIGNATURE if kind == 'sas' else KEY}"
        body = f"<Error><Code>Denied</Code><Message>{echo}</Message></Error>" if how == "echoes" else f"<html>{echo}"
        return Lie(403, {"x-ms-request-id": echo, "Content-Type": "application/xml"}, body.encode())

    first.answer = answer
    first.handle_error = lambda *_: None
    with caplog.at_level("DEBUG"), contextlib.closing(opened(kind, first, monkeypatch)) as store:
        with pytest.raises(StoreError) as refused:
            operation(store)
        shown = held(refused.value) + caplog.text + repr(store) + store.endpoint
    assert first.asked != []
    for secret in (SIGNATURE, KEY, SAS, "SharedKey account:"):
        assert secret not in shown


def test_no_credential_is_said_in_one_sentence() -> None:
    code = (
        "from keystow.backends import CredentialsError, open_store\n"
        "store = open_store('az://container')\n"
        "try: store.write('key', [b'x'])\n"
        "except CredentialsError as error: print(error, error.__context__)\n"
        "store.close()"
    )
    environment = os.environ | {
        "AZURE_STORAGE_ACCOUNT_NAME": "mine",
        "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",  # which asks nobody
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("az://container/key: no Azure credential was found: set AZURE_STORAGE_")
    assert done.stdout.endswith("az login None\n")
    assert done.stderr == ""


# -- Google's token, which is sent by TLS alone


class Secure(Liar):
    """The same over TLS."""

    def __init__(self, answer, context):
        self.context = context
        super().__init__(answer)
        self.url = self.url.replace("http://127.0.0.1", "https://localhost")

    def get_request(self):
        connection, address = super().get_request()
        return self.context.wrap_socket(connection, server_side=True), address


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A directory with ``ca.pem``, and with ``localhost.pem``, a certificate of that authority's and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "localhost")}
    now = dt.datetime.now(dt.UTC)
    directory = tmp_path_factory.mktemp("tls")
    for name, key in keys.items():
        called = {each: x509.Name.from_rfc4514_string(f"CN={each}") for each in keys}
        made = (
            x509.CertificateBuilder(called["ca"], called[name], key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(keys["ca"], hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = made.public_bytes(serialization.Encoding.PEM)
        (directory / f"{name}.pem").write_bytes(public if name == "ca" else private + public)
    return directory


@pytest.fixture
def secure(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "localhost.pem")
    with Secure(lambda asked: Lie(), context) as server:
        yield server


TOKEN = "s3cr3t-access-token"


@pytest.fixture
def key_file(tmp_path):
    """One of a service account, and the server that gives a token for it."""
    given = json.dumps({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}).encode()
    with Liar(lambda asked: Lie(200, {"Content-Type": "application/json"}, given)) as server:
        file = tmp_path / "account.json"
        file.write_text(json.dumps(service_account(token_uri=f"{server.url}/token")))
        yield file


ASK = """
import logging, sys
from keystow.backends import StoreError, open_store
logging.basicConfig(level=logging.DEBUG)
endpoint, operation = sys.argv[1:]
store = open_store("gs://bucket", endpoint=endpoint)
try:
    if operation == "read":
        print(b"".join(store.read("a/key")))
    elif operation == "stat":
        print(store.stat("a/key"))
    else:
        print(store.write("a/key", [b"x"]))
except StoreError as error:
    print(type(error).__name__, error)
    print(error.__cause__, error.__context__)
store.close()
"""


def asked_by_google(endpoint, operation, authority, key_file):
    """In a process of its own, because what is trusted is decided once in each."""
    environment = os.environ | {
        "SSL_CERT_FILE": str(authority / "ca.pem"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
        "NO_GCE_CHECK": "true",
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK, endpoint, operation],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, presentable(done.stderr)
    assert TOKEN not in done.stdout + done.stderr
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    assert "DEBUG:" in done.stderr
    return done.stdout


def test_a_token_goes_to_the_endpoint(secure, authority, key_file) -> None:
    secure.answer = lambda asked: Lie(200, {"Content-Length": "5", "X-Goog-Generation": "7"}, b"hello")
    said = asked_by_google(secure.url, "read", authority, key_file)
    assert said == "b'hello'\n"
    assert [asked.headers["authorization"] for asked in secure.asked] == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize("operation", ["read", "stat", "write"])
def test_a_server_that_says_the_token_again(secure, authority, key_file, operation) -> None:
    def answer(asked):
        said = {"error": {"message": f"who is {asked.headers['authorization']}? {asked.headers}"}}
        return Lie(403, {"x-guploader-uploadid": asked.headers["authorization"]}, json.dumps(said).encode())

    secure.answer = answer
    said = asked_by_google(secure.url, operation, authority, key_file)
    assert said.startswith("AccessDeniedError")
    assert said.endswith("None None\n")


@pytest.mark.parametrize("operation", ["read", "stat", "write"])
@pytest.mark.parametrize("status", [302, 307])
def test_a_token_is_not_redirected(secure, second, authority, key_file, operation, status) -> None:
    secure.answer = lambda asked: Lie(status, {"Location": f"{second.url}{asked.path}"})
    said = asked_by_google(secure.url, operation, authority, key_file)
    assert said.startswith(("StoreError", "StoreUnavailableError"))
    assert "authorization" in secure.asked[0].headers
    assert second.asked == [], "https is never left"
