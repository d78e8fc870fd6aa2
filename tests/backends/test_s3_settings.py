"""What is set wrongly for S3 is told before anything is sent, by the variable, or the file and the profile."""

import contextlib
import os
import subprocess
import sys

import certifi
import pytest
from lying import Liar, Lie

from keystow.backends import CredentialsError, MissingExtraError, StoreError, open_store
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import free_ports

PART = part_size(1)
CONFIG = """
[default]
endpoint_url = 127.0.0.1:9000
[profile region]
region = eu west
[profile bundle]
ca_bundle = /nowhere.pem
[profile password]
endpoint_url = http://user:MARKED@host
[profile service]
services = mine
[profile flat]
s3 = path
[profile fine]
aws_access_key_id = id
aws_secret_access_key = secret-of-the-tests
region = eu-west-1
endpoint_url = http://127.0.0.1:9
[services mine]
s3 =
  endpoint_url = file:///etc/passwd
"""


@pytest.fixture(params=["fsspec", "obstore"])
def engine(request):
    return request.param


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A directory of files that are named wrongly, for what they are."""
    (tmp_path / "config").write_text(CONFIG)
    (tmp_path / "broken").write_text("[default\nregion = x\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00[")
    (tmp_path / "empty.pem").write_text("no certificate\n")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n")
    (tmp_path / "text.pem").write_text("-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = geh\u00e9im\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(engine, environment=None, **options):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with pytest.raises(ValueError, match=r"\w") as refused:
            open_store("s3://bucket", engine=engine, **options).close()
    assert not isinstance(refused.value, StoreError)
    return str(refused.value)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("value", ["127.0.0.1:9000", "zzz", "file:///etc", "http://[::1", "http://h/?x", "http://h\n"])
def test_a_variable_that_holds_no_endpoint(engine, variable, value):
    assert refusal(engine, {variable: value}).startswith(f"{variable}: {value!r} is no endpoint")


def test_an_endpoint_with_a_password_is_refused_wherever_it_comes_from(engine, files):
    url = "http://user:MARKED@host:9000"
    config = {"AWS_CONFIG_FILE": "config", "AWS_PROFILE": "password"}
    for said in (
        refusal(engine, endpoint=url),
        refusal(engine, {"AWS_ENDPOINT_URL": url}),
        refusal(engine, {"AWS_ENDPOINT_URL_S3": url}),
        refusal(engine, config),
    ):
        assert "holds credentials" in said
        assert "MARKED" not in said


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_a_variable_that_holds_no_region(engine, variable):
    said = refusal(engine, {variable: "eu west"}, endpoint="http://127.0.0.1:9")
    assert said == f"{variable}: 'eu west' is no region: use a name such as us-east-1"


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ("default", "endpoint_url of the profile default in config: '127.0.0.1:9000' is no endpoint"),
        ("region", "region of the profile region in config: 'eu west' is no region"),
        ("bundle", "ca_bundle of the profile bundle in config: '/nowhere.pem' is not there"),
        ("service", "endpoint_url of the profile service in config: 'file:///etc/passwd' is no endpoint"),
        ("flat", "s3 of the profile flat in config: write the settings of s3 below it"),
    ],
)
def test_a_file_that_holds_something_else(engine, files, profile, says):
    for where in ({"AWS_PROFILE": profile}, {}):
        options = {} if where else {"profile": profile}
        assert refusal(engine, {"AWS_CONFIG_FILE": "config"} | where, **options).startswith(says)


def test_a_file_that_is_fine(engine, files, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", "config")
    with contextlib.closing(open_store("s3://bucket", engine=engine, profile="fine")) as store:
        assert (store.endpoint, store.region) == ("http://127.0.0.1:9", "eu-west-1")


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
@pytest.mark.parametrize("name", ["broken", "bytes"])
def test_a_file_that_cannot_be_read(engine, files, variable, name):
    said = refusal(engine, {variable: str(files / name)}, endpoint="http://127.0.0.1:9")
    assert said.startswith("the settings for AWS cannot be used")
    assert str(files / name) in said


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.pem", "is not there"),
        (".", "is no file"),
        ("empty.pem", "holds no certificate"),
        ("broken.pem", "holds a broken certificate"),
        ("text.pem", "holds a broken certificate"),
    ],
)
def test_a_file_of_certificates_that_is_none(engine, files, name, says):
    for said in (
        refusal(engine, {"AWS_CA_BUNDLE": name}, endpoint="https://127.0.0.1:9"),
        refusal(engine, {"AWS_CA_BUNDLE": name}, endpoint="http://127.0.0.1:9"),
    ):
        assert said.startswith("AWS_CA_BUNDLE: ")
        assert says in said
    said = refusal(engine, {"AWS_CA_BUNDLE": certifi.where()}, endpoint="https://127.0.0.1:9", ca_file=name)
    assert said.startswith("ca_file: ")
    assert name in said


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("odd", ["MARKED\n", "MARKED\u00e9", "MARKED\r\nHost: evil"])
def test_credentials_that_no_header_can_hold(engine, variable, odd):
    said = refusal(engine, {variable: odd}, endpoint="http://127.0.0.1:9")
    assert said.startswith(f"{variable} holds a line break")
    assert "MARKED" not in said


def test_credentials_of_a_file_that_no_header_can_hold(engine, files, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    said = refusal(engine, {"AWS_SHARED_CREDENTIALS_FILE": "credentials"}, endpoint="http://127.0.0.1:9")
    assert said.startswith("the secret_access_key (shared-credentials-file) holds")
    assert "geh" not in said


@pytest.mark.parametrize("bucket", ["a/b", "..", "a b", "a\nb", "b\u00fccket", "a?x=y", "a#b", "user@host", "x" * 256])
def test_what_is_no_bucket(engine, bucket):
    with pytest.raises(ValueError, match=r"is no name of a bucket|names more than a bucket"):
        open_store(f"s3://{bucket}", endpoint="http://127.0.0.1:9", engine=engine)


@pytest.mark.parametrize(
    "bucket", ["My_Bucket", "a.b-c", "arn:aws:s3:us-west-2:123456789012:accesspoint/name", "b--use1-az4--x-s3"]
)
def test_what_is_a_bucket(bucket):
    open_store(f"s3://{bucket}", region="us-west-2").close()


def test_wrong_options_in_code(engine):
    assert "is no endpoint" in refusal(engine, endpoint="127.0.0.1:9000")
    assert "is no region" in refusal(engine, endpoint="http://127.0.0.1:9", region="eu/west")
    assert "use 'path' or 'virtual'" in refusal(engine, endpoint="http://127.0.0.1:9", addressing="virtuel")


def test_credentials_that_cannot_be_had_are_another_matter(engine, monkeypatch, files):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CredentialsError, match=r"AWS_SECRET_ACCESS_KEY|no AWS credentials"):
        open_store("s3://bucket", endpoint="http://127.0.0.1:9", engine=engine)


# -- extras


WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from keystow.backends import MissingExtraError, open_store
for engine in ("auto", "obstore", "fsspec"):
    try:
        open_store("s3://bucket", endpoint="http://127.0.0.1:9", engine=engine)
    except MissingExtraError as error:
        print(error)
"""


@pytest.mark.parametrize("missing", ["s3fs", "aiobotocore", "botocore"])
def test_an_extra_is_asked_for_when_a_store_is_opened(missing):
    """obstore alone would do up to 8 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, missing], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.splitlines() == 3 * ["S3 needs the extra s3: pip install 'keystow[s3]'"]
    assert issubclass(MissingExtraError, ImportError)


# -- what is told when there is no answer


WRITES = {"put": [b"x"], "multipart": [bytes(PART), b"x"]}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(repeating, "PAUSES", ())


def unavailable(engine, endpoint, size="put"):
    store = open_store("s3://bucket", endpoint=endpoint, engine=engine)
    with contextlib.closing(store), pytest.raises(StoreError) as refused:
        store.write("key", iter(WRITES[size]))
    assert str(refused.value).startswith("s3://bucket/key: ")
    assert endpoint in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("size", WRITES)
def test_a_port_that_speaks_no_tls(engine, impatient, size):
    with Liar(lambda asked: Lie()) as liar:
        said = unavailable(engine, liar.url.replace("http:", "https:"), size)
    assert "does not speak TLS there" in said
    assert "http://" in said


@pytest.mark.parametrize("size", WRITES)
def test_a_port_where_nobody_listens(engine, impatient, size):
    [port] = free_ports(1)
    assert "refused" in unavailable(engine, f"http://127.0.0.1:{port}", size).lower()


@pytest.mark.parametrize("size", WRITES)
def test_a_proxy_that_is_not_there(engine, impatient, monkeypatch, size):
    [port] = free_ports(1)
    monkeypatch.setenv("HTTP_PROXY", f"http://user:MARKED@127.0.0.1:{port}")
    said = unavailable(engine, "http://objects.example:9000", size)
    assert "correct HTTP_PROXY, unset it, or name the endpoint's host in NO_PROXY" in said
    assert "MARKED" not in said


def test_a_server_that_hangs_up(engine, impatient):
    class HangsUp(Liar):
        def finish_request(self, request, client_address):
            request.recv(1 << 16)

    with HangsUp(lambda asked: Lie()) as liar:
        for size in WRITES:
            said = unavailable(engine, liar.url, size)
            words = ("closed", "disconnected", "reset", "broken pipe", "ended before the answer", "connection was lost")
            assert any(word in said.lower() for word in words), said


def test_s3_is_described_once_for_all_stores(monkeypatch):
    """To read that takes a quarter of a second, and 50 MB, for each store that is opened."""
    from botocore.loaders import JSONFileLoader

    def opened():
        with contextlib.closing(open_store("s3://bucket", endpoint="http://127.0.0.1:9", engine="fsspec")):
            pass

    opened()
    monkeypatch.setattr(JSONFileLoader, "load_file", None)
    opened()
