"""What the variables of Google and Azure name, which of it cannot be, and what is never sent in the open."""

import base64
import json

import pytest

from keystow.backends import CredentialsError, StoreError
from keystow.backends.azure import settings as azure
from keystow.backends.azure.settings import Account, account
from keystow.backends.gcs import settings as google

KEY = base64.b64encode(b"the key of an account, 32 bytes!").decode()
SAS = "sv=2024-11-04&ss=b&srt=co&sp=rw&se=2030-01-01T00:00:00Z&sig=s3cr3t%2FAb%2B9%3D"
OWN = "https://mine.blob.core.windows.net"


def test_the_emulator_of_google():
    assert google.configured_endpoints({}) == google.configured_endpoints({google.EMULATOR: "default"}) == ()
    assert google.configured_endpoints({google.EMULATOR: "localhost:4443"}) == ("http://localhost:4443",)
    assert google.emulator({google.EMULATOR: "https://gcs.example.com"}) == "https://gcs.example.com"


@pytest.mark.parametrize("host", ["ftp://host", "host;x", "http://user:pass@host", "host name", "http://"])
def test_an_emulator_that_is_none(host):
    with pytest.raises(ValueError, match=r"^STORAGE_EMULATOR_HOST: ") as refused:
        google.emulator({google.EMULATOR: host})
    assert "pass@" not in str(refused.value)


def test_a_file_of_credentials(tmp_path):
    assert google.credentials_file({}) is google.credentials_file({google.CREDENTIALS: ""}) is None
    file = tmp_path / "key.json"
    file.write_text(json.dumps({"type": "authorized_user"}))
    assert google.credentials_file({google.CREDENTIALS: str(file)}) == str(file)
    for content in ("", "{}", "[]", "null", "[" * 100_000, "é"):
        file.write_text(content, encoding="latin-1")
        with pytest.raises(ValueError, match=r"^GOOGLE_APPLICATION_CREDENTIALS: .*key\.json"):
            google.credentials_file({google.CREDENTIALS: str(file)})
    for none in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ValueError, match=r"^GOOGLE_APPLICATION_CREDENTIALS: .* cannot be read"):
            google.credentials_file({google.CREDENTIALS: str(none)})


@pytest.mark.parametrize(
    ("environment", "endpoint", "name", "by"),
    [
        ({azure.NAME: "mine"}, OWN, "mine", "token"),
        ({azure.NAME: "mine", azure.KEY: KEY}, OWN, "mine", "key"),
        ({azure.NAME: "mine", azure.SAS: f"?{SAS}"}, OWN, "mine", "sas"),
        ({azure.CONNECTION: f"AccountName=mine;AccountKey={KEY}"}, OWN, "mine", "key"),
        ({azure.CONNECTION: "AccountName=mine"}, OWN, "mine", "none"),
        ({azure.CONNECTION: f"BlobEndpoint={OWN}/;SharedAccessSignature={SAS};"}, OWN, "mine", "sas"),
        (
            {azure.CONNECTION: f"accountname=a;accountkey={KEY};EndpointSuffix=core.usgovcloudapi.net"},
            "https://a.blob.core.usgovcloudapi.net",
            "a",
            "key",
        ),
        (
            {azure.CONNECTION: f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey={KEY};EndpointSuffix=local"},
            "http://a.blob.local",
            "a",
            "key",
        ),
        (
            {azure.CONNECTION: "UseDevelopmentStorage=true"},
            "http://127.0.0.1:10000/devstoreaccount1",
            "devstoreaccount1",
            "key",
        ),
    ],
)
def test_the_account_that_the_environment_names(environment, endpoint, name, by):
    found = account(None, environment)
    assert found[:3] == (endpoint, name, by)
    assert endpoint in azure.configured_endpoints(environment)
    again = account(f"{endpoint}/", environment)
    assert again == found


def test_endpoints_that_are_configured():
    assert azure.configured_endpoints({azure.KEY: KEY}) == ()
    both = {azure.NAME: "mine", azure.CONNECTION: "BlobEndpoint=http://10.0.0.1:10000/other"}
    assert azure.configured_endpoints(both) == ("http://10.0.0.1:10000/other", OWN)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (azure.CONNECTION, "s3cr3t-s3cr3t", "no connection string"),
        (azure.CONNECTION, "AccountName=a;AccountKey", "no connection string"),
        (azure.CONNECTION, "a=b;c=s3cr3t", "names no account"),
        (azure.CONNECTION, "AccountName=a;AccountKey=s3cr3t!", "no account key"),
        (azure.CONNECTION, "AccountName=a/b", "no account's name"),
        (azure.CONNECTION, "AccountName=a;BlobEndpoint=ftp://h", "no endpoint"),
        (azure.CONNECTION, "AccountName=a;BlobEndpoint=https://user:s3cr3t@h", "holds credentials"),
        (azure.CONNECTION, "AccountName=a;EndpointSuffix=h?x", "no endpoint"),
        (azure.CONNECTION, "AccountName=a;SharedAccessSignature=s3cr3t", "no shared access signature"),
        (azure.NAME, "https://mine", "no account's name"),
        (azure.NAME, "mine.evil.com/", "no account's name"),
        (azure.KEY, "not base64: s3cr3t", "base64"),
        (azure.KEY, "s3cr3t", "base64"),
        (azure.SAS, "s3cr3t", "no shared access signature"),
        (azure.SAS, f"{SAS};BlobEndpoint=http://s3cr3t", "no shared access signature"),
        (azure.SAS, f"{SAS}\n", "no shared access signature"),
    ],
)
def test_a_variable_that_is_set_wrongly(name, value, says):
    with pytest.raises(ValueError, match=says) as refused:
        account(None, {azure.NAME: "mine"} | {name: value})
    assert str(refused.value).startswith(name)
    assert not isinstance(refused.value, StoreError)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    "environment", [{}, {azure.KEY: KEY}, {azure.SAS: SAS}, {azure.NAME: ""}, {azure.CONNECTION: ""}]
)
def test_what_is_missing_is_said(environment):
    with pytest.raises(CredentialsError, match="AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME"):
        account(None, environment)


@pytest.mark.parametrize(
    ("endpoint", "connected"),
    [
        ("https://mine.blob.core.windows.net", "BlobEndpoint=https://mine.blob.core.windows.net.evil.com"),
        ("https://mine.blob", f"AccountName=mine;AccountKey={KEY}"),
        ("https://blob.core.windows.net", f"AccountName=mine;AccountKey={KEY}"),
        ("https://mine.blob.core.windows.net/other", f"AccountName=mine;AccountKey={KEY}"),
        ("https://h", "BlobEndpoint=https://h:444"),
        ("https://h/a", "BlobEndpoint=https://h/ab"),
    ],
)
def test_a_connection_string_is_for_its_endpoint_alone(endpoint, connected):
    """Not for one whose text stands somewhere in it."""
    with pytest.raises(CredentialsError, match="that of"):
        account(endpoint, {azure.CONNECTION: connected})


def test_the_key_of_an_account_signs_at_an_endpoint_of_ones_own():
    found = account("http://10.0.0.1:10000/mine", {azure.KEY: KEY})
    connection = f"BlobEndpoint=http://10.0.0.1:10000/mine;AccountName=mine;AccountKey={KEY}"
    assert found == Account("http://10.0.0.1:10000/mine", "mine", "key", connection)
    assert account("https://files.example.com", {azure.KEY: KEY, azure.NAME: "mine"}).name == "mine"


@pytest.mark.parametrize("endpoint", ["https://other.blob.core.windows.net", "http://127.0.0.1:10000/other"])
@pytest.mark.parametrize("secret", [{azure.KEY: KEY}, {azure.SAS: SAS}, {}])
def test_what_opens_one_account_is_not_for_another(endpoint, secret):
    with pytest.raises(CredentialsError, match="names another account, mine"):
        account(endpoint, {azure.NAME: "mine"} | secret)


@pytest.mark.parametrize(
    "endpoint",
    ["https://h/;AccountKey=x", "https://h;AccountName=x", "https://u:p@h", "h", "file:///x", "https://h/?sig=x"],
)
def test_an_endpoint_that_is_none(endpoint):
    with pytest.raises(ValueError, match="endpoint") as refused:
        account(endpoint, {azure.KEY: KEY})
    assert not isinstance(refused.value, StoreError)


def test_a_sas_goes_nowhere_in_the_open():
    for endpoint in ("http://10.0.0.1/mine", "http://mine.blob.core.windows.net", "HTTP://localhost.evil.com/mine"):
        with pytest.raises(ValueError, match="use https") as refused:
            account(endpoint, {azure.SAS: SAS})
        assert "s3cr3t" not in str(refused.value)
        with pytest.raises(ValueError, match="use https"):
            account(None, {azure.CONNECTION: f"BlobEndpoint={endpoint};SharedAccessSignature={SAS}"})
    for endpoint in ("http://127.0.0.1:10000/mine", "http://localhost/mine", "https://10.0.0.1/mine"):
        assert account(endpoint, {azure.SAS: SAS}).by == "sas"


@pytest.mark.parametrize("endpoint", ["https://evil.com/mine", "https://mine.blob.core.windows.net.evil.com"])
def test_a_token_goes_to_azure_alone(endpoint):
    with pytest.raises(CredentialsError, match="no credentials for"):
        account(endpoint, {})
    assert account(OWN, {}).by == "token"
