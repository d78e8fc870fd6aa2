"""Credentials of Google's and Azure's that are given in code: those are used and no others, by the same rules."""

import base64
import contextlib
import datetime as dt
import json
import logging
import os
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
from holding import everything
from lying import Liar, Lie
from other_clouds import service_account
from tls import secured

from keystow.backends import CredentialsError, StoreError, UnsupportedError, open_store
from keystow.backends.azure import settings as azure
from keystow.backends.azure.settings import account
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import Azurite, FakeGCS, FaultProxy

pytestmark = pytest.mark.server

PART = part_size(1)
TOKEN = "ya29.MARKED-token-in-code-0001"
KEY = base64.b64encode(b"MARKED key of an account, 32 byte").decode()
SAS = "sv=2024-11-04&sp=rw&se=2099-01-01T00:00:00Z&sig=MARKEDsas%2Fsignature%2B0002%3D"
OPERATIONS = {
    "read": lambda store: list(store.read("a/key")),
    "list": lambda store: list(store.list("a/")),
    "stat": lambda store: store.stat("a/key"),
    "put": lambda store: store.write("a/key", [b"x"]),
    "parts": lambda store: store.write("a/key", [bytes(PART + 1)]),
    "delete": lambda store: store.delete("a/key"),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch, clean_environment):
    monkeypatch.setattr(repeating, "PAUSES", ())
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "CLIENT_ID", "ANON"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def opened():
    with contextlib.ExitStack() as stack:
        yield lambda url, **options: stack.enter_context(contextlib.closing(open_store(url, **options)))


# -- Google


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    with FakeGCS(tmp_path_factory.mktemp("gcs")) as server:
        yield server


def test_a_url_is_signed_by_the_given_account_and_an_emulator_is_asked_unsigned(
    opened, google, tmp_path, monkeypatch
) -> None:
    from google.oauth2.service_account import Credentials

    (tmp_path / "other.json").write_text(json.dumps(service_account("other@p.iam.gserviceaccount.com")))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "other.json"))
    given = Credentials.from_service_account_info(service_account("given@p.iam.gserviceaccount.com"))
    with FaultProxy(google.endpoint) as proxy:
        store = opened(f"gs://{google.make_bucket()}", endpoint=proxy.url, credentials=given)
        store.write("a/key", [b"hello"])
        assert b"".join(store.read("a/key")) == b"hello"
        assert [asked for asked in proxy.requests if "authorization" in asked.headers] == []
    signed = urllib.parse.parse_qs(urllib.parse.urlsplit(store.presign("a/key", expires=60)).query)
    assert signed["X-Goog-Credential"][0].startswith("given@p.iam.gserviceaccount.com/")


def test_what_cannot_sign_asks_nobody_else_to(opened, google, tmp_path, monkeypatch) -> None:
    from google.oauth2.credentials import Credentials

    (tmp_path / "other.json").write_text(json.dumps(service_account("other@p.iam.gserviceaccount.com")))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "other.json"))
    store = opened(f"gs://{google.make_bucket()}", endpoint=google.endpoint, credentials=Credentials(TOKEN))
    with pytest.raises(UnsupportedError, match="cannot sign URLs: give a service account's"):
        store.presign("a/key", expires=60)


@pytest.mark.parametrize("given", [object(), TOKEN, {"type": "service_account", "private_key": KEY}])
def test_what_google_does_not_take(given) -> None:
    with pytest.raises(ValueError, match=r"^gs:// takes google.auth.credentials.Credentials as credentials") as refused:
        open_store("gs://bucket", credentials=given)
    assert "MARKED" not in everything(refused.value)


ASK = """
import datetime as dt, logging, sys
from google.auth.credentials import Credentials
from keystow.backends import StoreError, open_store

class Given(Credentials):
    asked = 0
    def refresh(self, request):
        self.asked += 1
        self.token = f"{TOKEN}-{self.asked}"
        self.expiry = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=self.asked - 1)

TOKEN = sys.argv[2]
logging.basicConfig(level=logging.DEBUG)
given = Given()
store = open_store("gs://bucket", endpoint=sys.argv[1], credentials=given)
for _ in range(3):
    try:
        print(store.stat("a/key").size)
    except StoreError as error:
        print(type(error).__name__, error, repr(error), vars(error), error.__cause__, error.__context__)
print(store, vars(store), vars(store._bucket))
store.close()
print(given.asked)
"""


def asked_in_a_process(script, certificates, *arguments, **environment):
    """In a process of its own, because what is trusted is decided once in each."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"SSL_CERT_FILE": str(certificates / "ca.pem")} | environment,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "DEBUG:" in done.stderr
    assert "MARKED" not in done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("status", [200, 403])
def test_googles_object_is_asked_again_once_its_token_ends(certificates, status) -> None:
    """The first one has ended when it comes; the second holds."""

    def answer(asked):
        if status == 200:
            described = {"kind": "storage#object", "name": "a/key", "size": "5", "generation": "7", "etag": "e"}
            described["updated"] = "2026-11-24T17:55:09Z"
            return Lie(200, {"Content-Type": "application/json"}, json.dumps(described).encode())
        return Lie(
            403,
            {"x-guploader-uploadid": str(asked.headers)},
            json.dumps({"error": {"message": str(asked.headers)}}).encode(),
        )

    with secured(Liar(answer), certificates) as server:
        lines = asked_in_a_process(ASK, certificates, server.url, TOKEN, GOOGLE_APPLICATION_CREDENTIALS="/nowhere.json")
        sent = [asked.headers["authorization"] for asked in server.asked]
    assert sent == [f"Bearer {TOKEN}-{number}" for number in (1, 2, 2)]
    assert lines[-1] == "2"
    assert [line.split()[0] for line in lines[:3]] == ["5" if status == 200 else "AccessDeniedError"] * 3


# -- Azure


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def container(azurite):
    return azurite.make_container()


def works(store):
    store.write("a/key", [b"hello"])
    store.write("a/parts", [bytes(PART + 1)])
    assert b"".join(store.read("a/key")) == b"hello"
    assert {found.key for found in store.list("a/")} == {"a/key", "a/parts"}
    assert store.stat("a/parts").size == PART + 1


def test_a_named_key_opens_an_account_whatever_the_environment_holds(opened, azurite, container, monkeypatch) -> None:
    from azure.core.credentials import AzureNamedKeyCredential

    wrong = azurite.connection_string.replace(azurite.account_key, KEY)
    monkeypatch.setenv(azure.CONNECTION, wrong)
    monkeypatch.setenv(azure.KEY, KEY)
    given = AzureNamedKeyCredential(azurite.account_name, azurite.account_key)
    store = opened(f"az://{container}", endpoint=azurite.account_url, credentials=given)
    works(store)
    with urllib.request.urlopen(store.presign("a/key", expires=60)) as answer:
        assert answer.read() == b"hello"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_wrong_key_is_refused_although_the_right_one_stands_in_the_environment(
    opened, azurite, container, monkeypatch, caplog, operation
) -> None:
    from azure.core.credentials import AzureNamedKeyCredential

    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(azure.CONNECTION, azurite.connection_string)
    given = AzureNamedKeyCredential(azurite.account_name, KEY)
    store = opened(f"az://{container}", endpoint=azurite.account_url, credentials=given)
    with pytest.raises(PermissionError) as refused:
        OPERATIONS[operation](store)
    assert KEY not in everything(refused.value) + caplog.text + repr(store) + repr(vars(store))


def test_a_sas_opens_what_it_is_for(opened, azurite, container, monkeypatch) -> None:
    from azure.core.credentials import AzureSasCredential
    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    monkeypatch.setenv(azure.KEY, KEY)
    sas = generate_container_sas(
        azurite.account_name,
        container,
        account_key=azurite.account_key,
        permission=ContainerSasPermissions(read=True, write=True, create=True, list=True),
        expiry=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1),
    )
    for given in (AzureSasCredential(sas), AzureSasCredential(f"?{sas}")):
        store = opened(f"az://{container}", endpoint=azurite.account_url, credentials=given)
        works(store)
        assert "sig=" not in repr(store) + store.endpoint
        with pytest.raises(UnsupportedError, match="cannot sign"):
            store.presign("a/key", expires=60)


class Token:
    """Such as azure.identity's are, with an access token that lasts."""

    def __init__(self, problem=None):
        self.problem, self.asked, self.is_closed = problem, [], False

    def get_token(self, *scopes, **options):
        from azure.core.credentials import AccessToken

        self.asked.append(scopes)
        if self.problem is not None:
            raise self.problem
        return AccessToken(TOKEN, 4102444800)

    def close(self):
        self.is_closed = True


OWN = "https://mine.blob.core.windows.net"


def test_a_given_token_goes_to_azure_alone_too() -> None:
    for endpoint in ("https://evil.com/mine", "https://mine.blob.core.windows.net.evil.com", "https://127.0.0.1/mine"):
        with pytest.raises(CredentialsError, match="a token goes to Azure alone"):
            account(endpoint, {}, Token())
    for endpoint in ("http://mine.blob.core.windows.net", "http://127.0.0.1:10000/mine"):
        with pytest.raises(CredentialsError, match="a token goes to Azure alone"):
            account(endpoint, {}, Token())
    assert account(OWN, {azure.KEY: KEY}, Token()).by == "token"
    assert account(None, {azure.NAME: "mine", azure.KEY: KEY}, Token()).endpoint == OWN


def test_the_rules_of_the_environment_hold_for_what_is_given() -> None:
    from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

    for endpoint in ("http://10.0.0.1/mine", "http://mine.blob.core.windows.net"):
        with pytest.raises(ValueError, match="use https") as refused:
            account(endpoint, {}, AzureSasCredential(SAS))
        assert "MARKED" not in everything(refused.value)
    with pytest.raises(CredentialsError, match="AzureNamedKeyCredential names another account, mine"):
        account("https://other.blob.core.windows.net", {}, AzureNamedKeyCredential("mine", KEY))
    for given in (AzureNamedKeyCredential("mine", "MARKED"), AzureNamedKeyCredential("mine", "")):
        with pytest.raises(ValueError, match="AzureNamedKeyCredential: it is no account key") as refused:
            account(None, {}, given)
        assert "MARKED" not in everything(refused.value)
    with pytest.raises(ValueError, match="is no account's name"):
        account(None, {}, AzureNamedKeyCredential("mine;BlobEndpoint=http://evil", KEY))
    for sas in ("MARKED", f"{SAS};BlobEndpoint=http://evil"):
        with pytest.raises(ValueError, match="AzureSasCredential: it is no shared access signature") as refused:
            account(OWN, {}, AzureSasCredential(sas))
        assert "MARKED" not in everything(refused.value)
    for given in (Token(), AzureSasCredential(SAS)):
        with pytest.raises(CredentialsError, match=f"{azure.NAME} names another account, mine"):
            account("https://other.blob.core.windows.net", {azure.NAME: "mine"}, given)
    assert account(None, {azure.NAME: "other"}, AzureNamedKeyCredential("mine", KEY)).endpoint == OWN
    for given in (Token(), AzureSasCredential(SAS)):
        with pytest.raises(CredentialsError, match="no Azure storage account was named"):
            account(None, {}, given)


TAKE = """
import asyncio, logging, re, sys
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from keystow.backends import StoreError, endpoints, open_store

endpoints._PROVIDERS["az"] = re.compile(re.escape("127.0.0.1"))
logging.basicConfig(level=logging.DEBUG)
url, token, kind = sys.argv[1:]

class Given:
    asked = 0
    closed = False
    def get_token(self, *scopes, **options):
        self.asked += 1
        if kind == "fails":
            raise RuntimeError(f"no {token}")
        if kind == "refused":
            raise ClientAuthenticationError("renew it")
        return AccessToken(token, 4102444800)
    def close(self):
        self.closed = True

class Awaited(Given):
    async def get_token(self, *scopes, **options):
        await asyncio.sleep(0)
        return Given.get_token(self, *scopes, **options)
    async def close(self):
        self.closed = True

given = Awaited() if kind == "awaited" else Given()
store = open_store("az://container", endpoint=url, credentials=given)
for _ in range(2):
    try:
        print(store.stat("a/key").size)
    except StoreError as error:
        print(type(error).__name__, error, repr(error), vars(error), error.__cause__, error.__context__)
print(store, vars(store), vars(store._container), store._container.account)
store.close()
print(given.asked, given.closed)
"""


@pytest.mark.parametrize("kind", ["called", "awaited", "fails", "refused"])
def test_azures_object_gives_the_token(certificates, kind) -> None:
    """The server stands for Azure, whose own hosts alone get a token; the environment holds another key."""
    fails = kind in {"fails", "refused"}

    def answer(asked):
        headers = {"Content-Length": "5", "ETag": '"e"', "Last-Modified": "Tue, 24 Nov 2026 17:55:09 GMT"}
        return Lie(200, headers | {"x-ms-blob-type": "BlockBlob"}, b"")

    with secured(Liar(answer), certificates) as server:
        token = "said-again" if kind == "fails" else TOKEN
        lines = asked_in_a_process(
            TAKE, certificates, server.url, token, kind, AZURE_STORAGE_ACCOUNT_KEY=KEY,
            AZURE_STORAGE_CONNECTION_STRING=f"BlobEndpoint={server.url};AccountName=mine;AccountKey={KEY}",
        )  # fmt: skip
        sent = [asked.headers["authorization"] for asked in server.asked]
    assert sent == ([] if fails else [f"Bearer {TOKEN}"] * 2)
    says = {"fails": "RuntimeError: no said-again", "refused": "ClientAuthenticationError: renew it"}.get(kind)
    expected = f"CredentialsError the credentials gave no token: {says}" if fails else "5"
    assert all(line.startswith(expected) for line in lines[:2]), lines
    assert lines[-1] == f"{2 if fails else 1} False"


@pytest.mark.parametrize("given", [object(), KEY, {"account_key": KEY}, Token])
def test_what_azure_does_not_take(given) -> None:
    with pytest.raises(ValueError, match=r"^az:// takes what has get_token") as refused:
        open_store("az://container", endpoint=OWN, credentials=given)
    assert not isinstance(refused.value, StoreError)
    assert "MARKED" not in everything(refused.value)
    assert KEY not in everything(refused.value)
