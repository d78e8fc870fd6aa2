"""A run of everything with marked secrets: the whole output, with all logs turned on, holds none of them.

Two kinds of servers: real ones, and one that repeats what it was sent in its refusals, as a message for people.
"""

import base64
import json
import re
import sys
from html import escape
from pathlib import Path

import pytest
from archive_strategies import lay
from commands import run
from lying import Liar, Lie
from other_clouds import service_account
from tls import secured

from keystow.testing.servers import Azurite, FakeGCS, Moto

pytestmark = [pytest.mark.server, pytest.mark.slow]

KEY_ID = "AKIAIDOFAKEYFORALL00"
SECRET = "MARKEDsecret/key+of+forty+characters/0001"
TOKEN = "MARKEDsession/token+that+is+a+bit+longer//0002=="
ACCOUNT_KEY = base64.b64encode(b"MARKED account key of sixty-four bytes, as Azure has them 000003").decode()
SAS = "sv=2024-11-04&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&sig=MARKEDsas%2Fsignature%2B0004%3D"
BEARER = "ya29.MARKED-access-token-of-google_0005"
PROXY_PASSWORD = "MARKED-proxy-password-0006"
SIGNED = re.compile(r"(?i)(?:signature|[?&;]sig)['\"]?\s?[=:]\s?['\"]?(?!…)[0-9A-Za-z%+/]{20,}")
SHARED_KEY = re.compile(r"SharedKey \w+:(?!…)\S+")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A small tree, and one that takes several parts."""
    root = tmp_path_factory.mktemp("source")
    lay(root / "small", {"a.txt": b"a", "b/c.txt": b"c"})
    noise = b"".join(number.to_bytes(8, "big") * 3 + bytes([number % 251]) for number in range(400_000))
    lay(root / "large", {"noise": noise * 2})
    return root


@pytest.fixture
def echo(certificates):
    """A server that refuses everything and says what it was asked, headers and all, in words, XML and JSON."""

    def refuse(asked):
        said = "; ".join(f"{name}: {value}" for name, value in asked.headers.items()) + f"; {asked.path}"
        if asked.path == "/token":
            return Lie(200, {"Content-Type": "application/json"}, json.dumps(granted).encode())
        xml = f"<Error><Code>AccessDenied {escape(said)}</Code><Message>{escape(said)}</Message></Error>"
        headers = {"x-amz-request-id": said[:500], "x-ms-request-id": said[:500], "x-guploader-uploadid": said[:500]}
        body = json.dumps({"error": {"message": said, "code": 403}}) if "/storage/v1/" in asked.path else xml
        return Lie(403, headers, body.encode())

    granted = {"access_token": BEARER, "expires_in": 3600, "token_type": "Bearer"}
    plain, secure = Liar(refuse), secured(Liar(refuse), certificates)
    yield plain, secure
    plain.stop()
    secure.stop()


def holds_none(source, work, destination, options="", **environment):
    """Runs everything on ``destination``; gives the output, in which no secret stands in any form."""
    ran = run(
        sys.executable,
        Path(__file__).with_name("secret_run.py"),
        destination,
        options,
        source,
        work,
        **({"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"} | environment),
    )
    assert ran.status == 0, ran.err[-2000:]
    output = ran.out + ran.err
    for secret in (SECRET, TOKEN, ACCOUNT_KEY, BEARER, PROXY_PASSWORD, "MARKED"):
        at = output.find(secret)
        assert at < 0, output[max(0, at - 500) : at + 100]
    for pattern in (SIGNED, SHARED_KEY):
        found = pattern.search(output)
        assert not found, output[max(0, found.start() - 500) : found.end()]
    return output


AWS = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": TOKEN,
    "AWS_REGION": "eu-1",
}
engines = pytest.mark.parametrize("engine", ["fsspec", "obstore"])


@engines
def test_s3(source, tmp_path, engine):
    with Moto() as moto:
        bucket = moto.make_bucket()
        where = {"AWS_ENDPOINT_URL": moto.endpoint, "KEYSTOW_ENGINE": engine}
        output = holds_none(source, tmp_path, f"s3://{bucket}", **(moto.environment() | AWS | where))
    assert "published 2 files" in output
    assert "verified 2 objects" in output
    assert "DEBUG" in output


@engines
def test_s3_that_repeats_what_it_is_sent(source, tmp_path, echo, engine):
    output = holds_none(source, tmp_path, "s3://bucket", f",opt=endpoint={echo[0].url}", **AWS, KEYSTOW_ENGINE=engine)
    assert "AccessDenied" in output, output[-3000:]
    assert any(asked.headers.get("authorization", "").startswith("AWS4") for asked in echo[0].asked)
    assert any(asked.headers.get("x-amz-security-token") == TOKEN for asked in echo[0].asked)


@engines
def test_google(source, tmp_path, engine):
    with FakeGCS(tmp_path / "server") as server:
        bucket = server.make_bucket()
        output = holds_none(source, tmp_path, f"gs://{bucket}", **server.environment(), KEYSTOW_ENGINE=engine)
    assert "published 2 files" in output


@engines
def test_google_that_repeats_what_it_is_sent(source, tmp_path, echo, certificates, engine):
    plain, secure = echo
    account = service_account(token_uri=f"{plain.url}/token")
    (tmp_path / "account.json").write_text(json.dumps(account))
    output = holds_none(
        source,
        tmp_path,
        "gs://bucket",
        f",opt=endpoint={secure.url}",
        GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "account.json"),
        SSL_CERT_FILE=str(certificates / "ca.pem"),
        KEYSTOW_ENGINE=engine,
    )
    assert "403" in output
    assert any(asked.headers.get("authorization") == f"Bearer {BEARER}" for asked in secure.asked)
    assert account["private_key"].splitlines()[3] not in output


@engines
def test_azure(source, tmp_path, engine):
    with Azurite(tmp_path / "server") as server:
        container = server.make_container()
        output = holds_none(source, tmp_path, f"az://{container}", **server.environment(), KEYSTOW_ENGINE=engine)
        assert server.account_key not in output
    assert "published 2 files" in output


@engines
@pytest.mark.parametrize(
    "secret", [{"AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY}, {"AZURE_STORAGE_SAS_TOKEN": SAS}], ids=list
)
def test_azure_that_repeats_what_it_is_sent(source, tmp_path, echo, engine, secret):
    plain, _ = echo
    options = f",opt=endpoint={plain.url}/account"
    output = holds_none(source, tmp_path, "az://container", options, **secret, KEYSTOW_ENGINE=engine)
    assert "403" in output
    sent = "".join(f"{asked.path} {asked.headers.get('authorization')}" for asked in plain.asked)
    assert "SharedKey account:" in sent or "MARKEDsas" in sent


@engines
def test_a_proxy_with_a_password(source, tmp_path, echo, engine):
    proxy = echo[0].url.replace("//", f"//user:{PROXY_PASSWORD}@")
    output = holds_none(
        source,
        tmp_path,
        "s3://bucket",
        ",opt=endpoint=http://s3.example.com",
        **AWS,
        HTTP_PROXY=proxy,
        http_proxy=proxy,
        NO_PROXY="",
        KEYSTOW_ENGINE=engine,
    )
    assert "s3.example.com" in output


@pytest.mark.parametrize("kind", ["ftp", "sftp"])
def test_a_password_in_a_url(source, tmp_path, kind):
    output = holds_none(source, tmp_path, f"{kind}://user:{PROXY_PASSWORD}@127.0.0.1:1/d")
    assert "holds a password, which results would repeat" in output
    assert f"{kind}://user:…@127.0.0.1:1/d" in output
