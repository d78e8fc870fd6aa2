"""Who carries the requests, that both are told the same, and what is left to fsspec's client."""

import contextlib
import os
import subprocess
import sys
import traceback

import certifi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystow.backends import (
    CredentialsError,
    InvalidKeyError,
    StoreError,
    StoreUnavailableError,
    UnsupportedError,
    open_store,
)
from keystow.backends.opening import engine_for
from keystow.backends.s3.carriers import Carriers
from keystow.backends.s3.place import Options, from_botocore, from_environment
from keystow.backends.s3.settings import configured_endpoints
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import FaultProxy, free_ports

pytestmark = pytest.mark.slow

PART = part_size(1)


@pytest.fixture
def proxy(seaweed):
    with FaultProxy(seaweed.endpoint) as running:
        yield running


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


OPTIONS = Options("http://127.0.0.1:9", None, None, None, None)


def carrier(bucket="bucket", engine="auto", **options):
    """What carries requests, by the name of its module."""
    carriers = Carriers(bucket, engine, OPTIONS._replace(**options))
    with contextlib.closing(carriers):
        assert carriers.carrier_of("presign") is carriers.client()
        [found] = {carriers.carrier_of(operation) for operation in ("put_object", "upload_part", "get_object")}
        return type(found).__module__.rpartition(".")[2]


def opened(url, **options):
    """A store that is opened and closed."""
    open_store(url, **options).close()


def listed(bucket, endpoint, prefix="", **options):
    with contextlib.closing(open_store(f"s3://{bucket}", endpoint=endpoint, **options)) as store:
        return [found.key for found in store.list(prefix)]


@pytest.mark.parametrize(
    ("given", "variable", "kind"),
    [
        (None, None, "signed"),
        ("auto", None, "signed"),
        ("fsspec", None, "client"),
        ("obstore", None, "signed"),
        (None, "", "signed"),
        (None, "fsspec", "client"),
        (None, "obstore", "signed"),
        ("obstore", "fsspec", "signed"),
        ("fsspec", "obstore", "client"),
    ],
)
def test_an_option_goes_before_the_variable(monkeypatch, given, variable, kind):
    if variable is not None:
        monkeypatch.setenv("KEYSTOW_ENGINE", variable)
    assert carrier(engine=engine_for(given)) == kind


def test_an_engine_that_there_is_not(monkeypatch):
    with pytest.raises(ValueError, match="'curl': use one of auto, fsspec, obstore"):
        open_store("s3://bucket", engine="curl")
    monkeypatch.setenv("KEYSTOW_ENGINE", "curl")
    with pytest.raises(ValueError, match=r"'curl' \(from KEYSTOW_ENGINE\)"):
        open_store("s3://bucket")


@pytest.mark.parametrize("url", ["memory://name", "file:///directory", "sftp://host/directory"])
def test_other_stores_have_no_choice(monkeypatch, url):
    with pytest.raises(TypeError, match="no choice of engines"):
        open_store(url, engine="obstore")


@pytest.mark.parametrize("url", ["gs://bucket", "az://container"])
def test_obstore_carries_nothing_to_google_and_azure(monkeypatch, url):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5c3Rvdw==")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    with pytest.raises(UnsupportedError, match=f"{url}: obstore carries .*: use engine=fsspec, or leave it out"):
        open_store(url, engine="obstore")
    for engine in ("fsspec", "auto"):
        opened(url, endpoint="http://127.0.0.1:9/account", engine=engine)


def test_the_variable_is_nothing_to_other_stores(monkeypatch, tmp_path):
    monkeypatch.setenv("KEYSTOW_ENGINE", "obstore")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5c3Rvdw==")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    assert open_store(f"file://{tmp_path}").write("a", [b"b"]).size == 1
    for url in ("gs://bucket", "az://container"):
        opened(url, endpoint="http://127.0.0.1:9/account")


def test_nothing_needs_obstore():
    code = """
import sys
sys.modules["obstore"] = None
from keystow.backends import open_store
for engine in ("auto", "obstore"):
    store = open_store("s3://bucket", endpoint="http://127.0.0.1:9", engine=engine)
    print(type(store).__name__)
    store.close()
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == 2 * ["S3Store"]


@pytest.mark.parametrize(
    ("bucket", "options", "environment", "named"),
    [
        ("bucket", {}, {"AWS_USE_FIPS_ENDPOINT": "true"}, "fips endpoints"),
        ("bucket", {}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "dualstack endpoints"),
        ("bucket", {"endpoint": None, "region": "cn-north-1"}, {}, "the region cn-north-1"),
        ("bucket", {"endpoint": None, "region": "eusc-de-east-1"}, {}, "the region eusc-de-east-1"),
        ("bucket", {"endpoint": None, "region": "us-iso-east-1"}, {}, "the region us-iso-east-1"),
        ("My_Bucket", {"endpoint": None, "region": "eu-west-1"}, {}, "the bucket My_Bucket"),
        ("m.mrap", {"endpoint": None, "region": "eu-west-1"}, {}, "the bucket m.mrap"),
        ("bucket--use1-az4--x-s3", {}, {}, "directory buckets"),
    ],
)
def test_what_would_be_done_otherwise_is_left_to_fsspec(monkeypatch, bucket, options, environment, named):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert carrier(bucket, **options) == "client"
    with pytest.raises(UnsupportedError, match=f"{named}.*engine=fsspec"):
        open_store(f"s3://{bucket}", engine="obstore", **{"endpoint": "http://127.0.0.1:9"} | options)


@pytest.mark.parametrize(
    "variable", ["AWS_TOKEN", "AWS_CHECKSUM_ALGORITHM", "AWS_SSE_KMS_KEY_ID", "AWS_CONDITIONAL_PUT", "AWS_PROXY_URL"]
)
def test_what_obstore_alone_heeds_is_nothing_to_signed_requests(monkeypatch, variable):
    monkeypatch.setenv(variable, "SHA256")
    assert carrier() == "signed"


def test_a_proxy_is_left_to_fsspec(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for engine in ("auto", "obstore"):
        assert carrier(endpoint="http://objects.example", engine=engine) == "client"
        assert carrier(endpoint="https://objects.example", engine=engine) == "signed"


TRUSTED = """
import sys
if sys.argv[1]:
    sys.modules[sys.argv[1]] = None
from keystow.backends.s3 import signed
ours, is_light = signed._usual_ca_file(), "botocore.httpsession" not in sys.modules
from botocore.httpsession import get_cert_path
print(ours == get_cert_path(True), is_light)
"""


@pytest.mark.parametrize("missing", ["", "certifi"])
def test_the_usual_certificates_are_those_of_the_client(missing):
    done = subprocess.run([sys.executable, "-c", TRUSTED, missing], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_certificates_of_ones_own(monkeypatch, certificates):
    """The system's are not trusted then."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "ca.pem"))
    for options in ({}, {"ca_file": str(certificates / "ca.pem")}):
        carriers = Carriers("bucket", "auto", OPTIONS._replace(endpoint="https://127.0.0.1:9", **options))
        with contextlib.closing(carriers):
            assert len(carriers.carrier_of("get_object")._tls.get_ca_certs()) == 1


def test_a_region_that_nobody_names_is_left_to_fsspec(monkeypatch):
    """Its client follows AWS to the bucket's region."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    assert carrier(endpoint=None) == "client"
    assert carrier(endpoint=None, region="us-east-1") == "signed"
    assert carrier(endpoint="https://s3.eu-west-1.amazonaws.com") == "signed"


@pytest.mark.server
def test_a_listing_that_does_not_come(proxy, seaweed, bucket, login):
    login(seaweed)
    [port] = free_ports(1)
    with pytest.raises(StoreUnavailableError, match=str(port)):
        listed(bucket, f"http://127.0.0.1:{port}")
    proxy.answer(lambda method, path: "list-type" in path, 200, b"<html>", nth=None)
    with pytest.raises(StoreUnavailableError, match="is not S3's"):
        listed(bucket, proxy.url)


@pytest.mark.server
@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
def test_half_a_character_is_no_prefix(seaweed, bucket, login, engine):
    login(seaweed)
    with pytest.raises(InvalidKeyError, match="half a character"):
        listed(bucket, seaweed.endpoint, "\ud800", engine=engine)


@pytest.mark.server
def test_keys_of_a_listing_are_decoded_only_if_they_were_encoded(proxy, seaweed, bucket, login):
    login(seaweed)
    found = "<Contents><Key>a+b%41</Key><Size>1</Size><ETag>e</ETag></Contents>"
    listing = f"<ListBucketResult xmlns='x'>{{}}{found}</ListBucketResult>"
    for said, key in (("", "a+b%41"), ("<EncodingType>url</EncodingType>", "a bA")):
        proxy.answer(lambda method, path: "list-type" in path, 200, listing.format(said).encode())
        assert listed(bucket, proxy.url) == [key]
        proxy.clear()


@pytest.mark.server
@pytest.mark.parametrize("size", [1, 3 * PART], ids=["put", "multipart"])
def test_what_chunks_raise_keeps_its_cause(seaweed, bucket, login, size):
    login(seaweed)
    store = open_store(f"s3://{bucket}", endpoint=seaweed.endpoint, engine="obstore")
    failure = OSError("mine")
    failure.__cause__ = ValueError("origin")

    def chunks():
        yield bytes(size)
        raise failure

    with pytest.raises(OSError, match="mine") as raised:
        store.write("failing", chunks())
    assert raised.value is failure
    assert isinstance(failure.__cause__, ValueError)
    store.close()


@pytest.mark.server
@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
def test_odd_headers_are_written_all_the_same_and_no_others_made(seaweed, bucket, login, engine):
    login(seaweed)
    store = open_store(f"s3://{bucket}", endpoint=seaweed.endpoint, engine=engine)
    assert store.write("described", [b"x"], metadata={"Content-Type": "own", "a.b": "c"}).size == 1
    with pytest.raises(StoreError):
        store.write("described", [b"x"], content_type="text/plain\nX-Other: 1")
    store.close()


VARIABLES = {
    "AWS_ENDPOINT_URL": ["http://one:1", "https://s3.eu-west-1.amazonaws.com"],
    "AWS_ENDPOINT_URL_S3": ["http://two:2", "https://s3.us-gov-west-1.amazonaws.com"],
    "AWS_REGION": ["eu-north-1"],
    "AWS_DEFAULT_REGION": ["sa-east-1"],
    "AWS_CA_BUNDLE": [certifi.where()],
    "AWS_SESSION_TOKEN": ["token"],
    "AWS_USE_FIPS_ENDPOINT": ["true", "false", "1"],
    "AWS_USE_DUALSTACK_ENDPOINT": ["True", "false", "yes"],
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    environment=st.fixed_dictionaries(
        {}, optional={name: st.sampled_from([*values, ""]) for name, values in VARIABLES.items()}
    ),
    endpoint=st.sampled_from([None, "http://three:3", "https://s3.ap-south-1.amazonaws.com"]),
    region=st.sampled_from([None, "ca-central-1"]),
)
def test_the_short_way_to_the_settings_leads_where_botocore_does(environment, endpoint, region):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        options = Options(endpoint, region, None, None, None)
        short, long = from_environment(options), from_botocore(options)
    assert short is not None
    for name in ("endpoint", "region", "assumed", "ca_file", "special"):
        assert getattr(short, name) == getattr(long, name), name
    kept = {"access_key_id", "secret_access_key", "token"}
    assert {k: short.credentials()[k] for k in kept} == {k: long.credentials()[k] for k in kept}


@pytest.mark.parametrize(
    "variable",
    ["AWS_PROFILE", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"],
)
def test_what_takes_botocore_is_left_to_it(monkeypatch, variable):
    assert from_environment(OPTIONS) is not None
    monkeypatch.setenv(variable, "true")
    assert from_environment(OPTIONS) is None


SETTINGS = {
    "region": ["eu-north-1", "eu-west-3", ""],
    "aws_access_key_id": ["AKIDFILE", "AKIDOTHER", ""],
    "aws_secret_access_key": ["secret-of-file", "secret-of-other"],
    "aws_session_token": ["token-of-file", ""],
    "output": ["json"],
    "s3": ["\n  use_dualstack_endpoint = true"],
    "endpoint_url": ["http://four:4"],
    "use_fips_endpoint": ["true"],
}
SECTIONS = st.dictionaries(
    st.sampled_from(["default", "profile other", "other", "DEFAULT", "profile default", "preview"]),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in SETTINGS.items()}),
)


def ini(sections):
    lines = (f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in said.items()) for name, said in sections.items())
    return "".join(lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    config=SECTIONS,
    credentials=SECTIONS,
    environment=st.fixed_dictionaries(
        {},
        optional={
            "AWS_ACCESS_KEY_ID": st.sampled_from(["AKIDENV", ""]),
            "AWS_SECRET_ACCESS_KEY": st.just("secret-of-environment"),
            "AWS_SESSION_TOKEN": st.sampled_from(["token-of-environment", ""]),
            "AWS_DEFAULT_REGION": st.sampled_from(["sa-east-1", ""]),
            "AWS_CONFIG_FILE": st.just(""),
            "AWS_SHARED_CREDENTIALS_FILE": st.just(""),
        },
    ),
)
def test_simple_files_are_read_as_botocore_reads_them(tmp_path, config, credentials, environment):
    (tmp_path / "config").write_text(ini(config))
    (tmp_path / "credentials").write_text(ini(credentials))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_EC2_METADATA_DISABLED"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        for name, value in environment.items():
            patch.setenv(name, value)
        options = OPTIONS._replace(endpoint=None)
        short = from_environment(options)
        if short is None:
            return
        long = from_botocore(options)
        assert configured_endpoints(os.environ) == ()
    assert short._replace(credentials=None) == long._replace(credentials=None)
    kept = {"access_key_id", "secret_access_key", "token"}
    assert {k: short.credentials()[k] for k in kept} == {k: long.credentials()[k] for k in kept}


@pytest.mark.parametrize(
    ("config", "credentials"),
    [
        ("[default]\nregion = eu-north-1\n", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"),
        ("[default]\nregion = eu-north-1\naws_access_key_id = a\naws_secret_access_key = b\n", ""),
        ("[profile other]\ns3 =\n  multipart_chunksize = 4GB\n[default]\nregion = eu-north-1\n", None),
    ],
)
def test_simple_files_take_no_botocore(monkeypatch, tmp_path, config, credentials):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(config)
    if credentials is not None:
        (tmp_path / ".aws" / "credentials").write_text(credentials)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = from_environment(OPTIONS)
    assert found is not None
    assert found.region == "eu-north-1"
    assert credentials is None or found.credentials()["secret_access_key"] == "b"


@pytest.mark.parametrize(
    "config",
    [
        "[default]\nregion = eu north\n",
        "[default]\nendpoint_url = http://four:4\n",
        "[default]\nsso_session = corp\nregion = eu-north-1\n",
        "[default]\ncredential_process = give-me-keys\n",
        "[default]\naws_access_key_id = a\n",
        "[profile 'default']\nregion = eu-north-1\n",
        "region = eu-north-1\n",
        b"[default]\nregion = \xff\n",
    ],
)
def test_files_that_say_more_are_left_to_botocore(monkeypatch, tmp_path, config):
    (tmp_path / "config").write_bytes(config if isinstance(config, bytes) else config.encode())
    assert from_environment(OPTIONS) is not None
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert from_environment(OPTIONS) is None


@pytest.mark.parametrize("name", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_a_file_that_was_switched_off_gives_no_keys(monkeypatch, tmp_path, name):
    usual = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}[name]
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / usual).write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError):
        opened("s3://bucket")


def test_what_is_no_regular_file_is_not_waited_for(monkeypatch, tmp_path):
    os.mkfifo(tmp_path / "config")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert from_environment(OPTIONS) is not None


@pytest.mark.parametrize("role", ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"])
def test_a_role_comes_before_the_keys_in_a_file(monkeypatch, tmp_path, role):
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert from_environment(OPTIONS) is not None
    monkeypatch.setenv(role, "/token")
    assert from_environment(OPTIONS) is None


@pytest.mark.server
def test_an_error_tells_no_more_than_it_should(seaweed, bucket, login):
    login(seaweed)
    store = open_store(f"s3://{bucket}", endpoint=seaweed.endpoint, engine="obstore")
    with pytest.raises(StoreError) as refused:
        list(store.read("absent"))
    told = "".join(traceback.format_exception(refused.value, chain=True))
    assert refused.value.__cause__ is None
    assert "NoSuchKey" in told
    assert "Debug source" not in told
    store.close()


WITHOUT_S3FS = """
import sys
from keystow.backends import open_store
store = open_store(sys.argv[1], endpoint=sys.argv[2], engine="obstore")
for if_absent in (False, True):
    store.write(f"light/{if_absent}/small", [b"x"], if_absent=if_absent)
    store.write(f"light/{if_absent}/large", iter([bytes(8 << 20)] * 2), if_absent=if_absent)
print([found.key for found in store.list("light/")], sum(map(len, store.read("light/True/large"))))
print(*({"aiobotocore", "aiohttp", "asyncio", "botocore", "fsspec", "obstore", "s3fs"} & set(sys.modules)))
store.close()
"""


@pytest.mark.server
def test_without_s3fs(seaweed, bucket):
    """Publishing, fetching and verifying load none of it."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_S3FS, f"s3://{bucket}", seaweed.endpoint],
        env=os.environ | seaweed.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    listed, loaded = done.stdout.splitlines()
    names = [f"light/{if_absent}/{size}" for if_absent in (False, True) for size in ("large", "small")]
    assert listed == f"{names} {16 << 20}"
    assert loaded == ""


@pytest.mark.server
def test_behind_a_proxy(monkeypatch, proxy, bucket, login, seaweed):
    login(seaweed)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    store = open_store(f"s3://{bucket}", endpoint=seaweed.endpoint.replace("127.0.0.1", "localhost"), engine="obstore")
    with contextlib.closing(store):
        store.write("proxied/large", iter([bytes(PART)] * 2))
        store.write("proxied/small", [b"x"])
        assert [found.size for found in store.list("proxied/")] == [2 * PART, 1]
    assert {"POST", "PUT", "GET"} <= {one.method for one in proxy.requests}
