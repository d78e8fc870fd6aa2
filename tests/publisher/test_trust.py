"""What a stranger may name: the table, row by row, and that nothing goes past it."""

import contextlib
import itertools
import json
import pickle
import socket
import threading
from contextlib import closing
from dataclasses import replace

import pytest
import yaml
from commands import complaint, keystow

from keystow import PublishedResult, PublisherSpec, ResultError, SpecError, fetch, presign, publish, verify
from keystow.backends import NotFoundError, open_store
from keystow.surroundings import configured_endpoints, trust
from keystow.trust import Trust, admit, admit_url

pytestmark = pytest.mark.slow

SHA = "0" * 64
NOTHING = Trust()
LISTED = Trust(endpoints=frozenset({"https://minio.example.com:9000/base"}))


def admitted(kind, endpoint=None, *, host=None, proven=False, given=NOTHING, configured=()):
    try:
        admit(kind, endpoint, host=host, proven=proven, trust=given, configured=configured, error=ResultError)
    except ResultError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("kind", "plain", "proven"),
    [
        ("s3", True, True),
        ("gs", True, True),
        ("az", True, True),
        ("file", False, True),
        ("memory", False, True),
        *(
            (kind, False, False)
            for kind in ("sftp", "ftp", "github", "reference", "zip", "simplecache", "local", "http")
        ),
    ],
)
def test_types(kind, plain, proven):
    assert (not admitted(kind)) is plain
    assert (not admitted(kind, proven=True)) is proven
    assert not admitted(kind, given=Trust(frozenset({kind})))
    assert admitted("sftp", given=Trust(frozenset({"file", "reference"}))) == (
        "a store of the type 'sftp' is not used on somebody's word: allow it with allow={'sftp'}"
    )


PROVIDERS = {
    "s3": "https://s3.us-west-2.amazonaws.com",
    "gs": "https://storage.googleapis.com",
    "az": "https://account.blob.core.windows.net",
}
ENDPOINTS = {
    "none": (None, {"s3", "gs", "az"}),
    "loopback": ("http://127.0.0.1:9000", {"s3", "gs", "az"}),
    "loopback6": ("http://[::1]:9000/account", {"s3", "gs", "az"}),
    "elsewhere": ("https://evil.example.com", {"s3"}),
    "elsewhere in the open": ("http://evil.example.com", {"s3"}),
    "in the private network": ("http://10.0.0.1", {"s3"}),
    "Google": (PROVIDERS["gs"], {"s3", "gs"}),
    "Google in the open": ("http://storage.googleapis.com", {"s3"}),
    "Azure": (PROVIDERS["az"], {"s3", "az"}),
    "like Azure": ("https://account.blob.core.windows.net.evil.com", {"s3"}),
    "AWS": (PROVIDERS["s3"], {"s3"}),
}


@pytest.mark.parametrize(("kind", "place"), list(itertools.product(PROVIDERS, ENDPOINTS)))
def test_endpoints(kind, place):
    endpoint, kinds = ENDPOINTS[place]
    said = admitted(kind, endpoint)
    assert (not said) is (kind in kinds)
    if said:
        assert said == (
            f"the endpoint {endpoint!r} is not called on somebody's word, as the credentials that it would get work "
            f"elsewhere too: allow it with allow_endpoints={{{endpoint!r}}}"
        )
        assert not admitted(kind, endpoint, given=Trust(endpoints=frozenset({endpoint})))
        assert not admitted(kind, endpoint, configured=[f"{endpoint}/other/path"])
        assert admitted(kind, endpoint, configured=["https://example.com"])


@pytest.mark.parametrize("place", ENDPOINTS)
def test_credentials_of_a_configured_server_are_for_that_server(place):
    """One that looks at no host takes what was signed for another, so S3's are no exception then."""
    endpoint, kinds = ENDPOINTS[place]
    here = "http://minio.corp:9000"
    assert not admitted("s3", here, configured=[here])
    own = place in {"none", "loopback", "loopback6", "AWS"}
    assert (not admitted("s3", endpoint, configured=[here])) is own
    assert "s3" in kinds


@pytest.mark.parametrize(("kind", "place"), list(itertools.product(PROVIDERS, ENDPOINTS)))
def test_with_a_list_nothing_else_is_called(kind, place):
    endpoint, _ = ENDPOINTS[place]
    usual = {
        "s3": "https://s3.amazonaws.com",
        "gs": "https://storage.googleapis.com",
        "az": "https://blob.core.windows.net",
    }
    called = endpoint or usual[kind]
    for given in (LISTED, Trust(endpoints=frozenset())):
        assert admitted(kind, endpoint, given=given) == (
            f"the endpoint {called!r} is not called on somebody's word, as it is none of those that are allowed: "
            f"allow it with allow_endpoints={{{called!r}}}"
        )
        # Without one, it is the server that the caller configured.
        assert (not admitted(kind, endpoint, given=given, configured=["https://minio.corp"])) is (endpoint is None)
        assert not admitted(kind, endpoint, given=Trust(endpoints=frozenset({called})))
    assert not admitted(kind, None, given=Trust(endpoints=frozenset({PROVIDERS[kind]})))
    assert not admitted(kind, "HTTPS://MinIO.example.com:9000/elsewhere", given=LISTED)
    for other in ("http://minio.example.com:9000", "https://minio.example.com", "https://a.minio.example.com:9000"):
        assert "it is none of those that are allowed" in admitted(kind, other, given=LISTED)


def test_with_a_list_the_server_in_a_place_is_one_of_it():
    allowed = LISTED._replace(types=frozenset({"sftp", "zip"}))
    assert not admitted("sftp", host="minio.example.com", given=allowed)
    assert not admitted("sftp", host="anywhere", given=Trust(frozenset({"sftp"})))
    assert admitted("zip", host=None, given=allowed) == (
        "the server 'zip' is not called, as it is none of those that are allowed"
    )
    assert admitted("sftp", host="evil.example.com", given=allowed) == (
        "the server 'evil.example.com' is not called, as it is none of those that are allowed: "
        "allow it with allow_endpoints={'https://evil.example.com'}"
    )
    assert "the server 'zip' is not called" in admitted("zip", given=allowed)
    assert not admitted("file", given=LISTED, proven=True)


def test_no_password_goes_to_a_server_that_is_not_allowed(monkeypatch, tmp_path, hole):
    url, calls = hole
    monkeypatch.setenv("KEYSTOW_ALLOW_ENDPOINTS", "https://minio.corp:9000")
    named = mapping("ftp", f"me@{url.removeprefix('http://')}/d", ChecksumSHA256=SHA)
    for operation in OPERATIONS.values():
        with pytest.raises(ResultError, match=r"the server '127\.0\.0\.1' is not called"):
            operation(named, tmp_path, allow={"ftp"})
    assert calls == []


def test_urls():
    def refused(url, given):
        try:
            admit_url(url, trust=given, error=ResultError)
        except ResultError as error:
            return str(error)
        return ""

    for url in ("https://anywhere.com/k?s=1", "http://127.0.0.1/k"):
        assert not refused(url, Trust())
        assert refused(url, LISTED)
        assert refused(url, Trust(endpoints=frozenset()))
    assert not refused("https://minio.example.com:9000/b/k?s=1", LISTED)
    assert not refused("https://bucket.minio.example.com:9000/k", LISTED)
    for url in ("https://evilminio.example.com:9000", "https://minio.example.com/", "http://minio.example.com:9000/"):
        assert "is none of those that are allowed: allow it with allow_endpoints={" in refused(url, LISTED)
    assert refused("HTTP://Evil.example.com/k?sig=1", LISTED) == (
        "the server 'http://evil.example.com:80' is not called, as it is none of those that are allowed: "
        "allow it with allow_endpoints={'http://evil.example.com:80'}"
    )


# ---------------------------------------------------------------------------------------------------
# What the caller allows, from the call and from the environment


def test_nothing_is_allowed_by_itself():
    assert trust() == Trust()


def test_what_the_call_and_the_environment_allow(monkeypatch):
    assert trust({"SFTP"}).types == {"sftp"}
    assert trust("file").types == {"file"}
    assert trust(["s3a"]).types == {"s3"}
    with pytest.raises(ValueError, match="there is no publisher type 'gopher'"):
        trust({"gopher"})
    assert trust(allow_endpoints=()).endpoints == frozenset()
    assert trust(allow_endpoints="https://a").endpoints == {"https://a"}
    monkeypatch.setenv("KEYSTOW_ALLOW_ENDPOINTS", " https://b, http://c:1\thttps://d ")
    assert trust().endpoints == {"https://b", "http://c:1", "https://d"}
    assert trust(allow_endpoints=["https://a"]).endpoints == {"https://a", "https://b", "http://c:1", "https://d"}
    for empty in ("", " , "):
        monkeypatch.setenv("KEYSTOW_ALLOW_ENDPOINTS", empty)
        assert trust().endpoints == frozenset()
    monkeypatch.setenv("KEYSTOW_ALLOW_ENDPOINTS", "a.example.com")
    with pytest.raises(ValueError, match=r"^KEYSTOW_ALLOW_ENDPOINTS: 'a\.example\.com' is no endpoint"):
        trust()


@pytest.mark.parametrize(
    ("kind", "variables", "endpoint"),
    [
        ("gs", {"STORAGE_EMULATOR_HOST": "gcs.corp:4443"}, "http://gcs.corp:4443"),
        ("gs", {"STORAGE_EMULATOR_HOST": "https://gcs.corp"}, "https://gcs.corp/x"),
        (
            "az",
            {"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://az.corp/acc;AccountName=acc;AccountKey=a2V5"},
            "https://az.corp/acc",
        ),
    ],
)
def test_what_is_configured_may_be_named(monkeypatch, kind, variables, endpoint):
    assert admitted(kind, endpoint, configured=configured_endpoints(kind))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not admitted(kind, endpoint, configured=configured_endpoints(kind))
    other = {"gs": "az", "az": "gs"}[kind]
    assert admitted(other, endpoint, configured=configured_endpoints(other))


def test_a_variable_that_is_wrong_is_told_where_it_counts(monkeypatch, tmp_path):
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "nonsense")
    with pytest.raises(ValueError, match="AZURE_STORAGE_CONNECTION_STRING: it is no connection string"):
        verify(mapping("az", "bucket", ChecksumSHA256=SHA))
    with pytest.raises(NotFoundError):
        verify(mapping("file", f"{tmp_path}/x", ChecksumSHA256=SHA))


# ---------------------------------------------------------------------------------------------------
# Nothing goes past it: results


@pytest.fixture
def hole():
    """The address of a server, and what was sent to it: nothing, if all goes well."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        calls.append(connection.recv(1 << 16))

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls


def mapping(kind, bucket, key="k.tar.gz", **more):
    return {"Type": kind, "Params": {"Bucket": bucket, "Key": key, **more}}


OPERATIONS = {
    "fetch": lambda result, tmp_path, **allowed: fetch(result, tmp_path / "back", **allowed),
    "verify": lambda result, tmp_path, **allowed: verify(result, **allowed),
    "presign": lambda result, tmp_path, **allowed: presign(result, expires=60, **allowed),
}
operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
CHAINS = ["x::{url}/refs.json", "simplecache::{url}/x", "x", "filecache::s3://b", "a/b::c"]


@operations
@pytest.mark.parametrize(
    "kind",
    ["reference", "simplecache", "filecache", "blockcache", "zip", "tar", "dir", "local", "github", "ftp", "git"],
)
@pytest.mark.parametrize("bucket", CHAINS)
def test_a_result_runs_no_code_and_calls_nobody(tmp_path, hole, operation, kind, bucket):
    """C1: fsspec's chained URLs. That the author knows a checksum does not help."""
    url, calls = hole
    named = mapping(kind, bucket.format(url=url), ChecksumSHA256=SHA)
    (tmp_path / "result.json").write_text(json.dumps(named))
    (tmp_path / "canary").write_text("here")
    for result in (named, tmp_path / "result.json", lambda: PublishedResult.from_mapping(named)):
        with pytest.raises(ResultError):
            operation(result() if callable(result) else result, tmp_path)
    assert calls == []
    assert not (tmp_path / "back").exists()


@operations
@pytest.mark.parametrize(("bucket", "key"), [("a::b", "k"), ("a", "k::c"), ("::", "k"), ("a", "x::file:///etc/passwd")])
def test_no_chain_even_where_the_type_is_allowed(tmp_path, operation, bucket, key):
    with pytest.raises(ResultError, match="'::', which chains one file system to another"):
        operation(mapping("reference", bucket, key, ChecksumSHA256=SHA), tmp_path, allow={"reference"})
    with pytest.raises(ResultError, match="'::', which chains"):
        PublishedResult("zip", bucket, key)
    with pytest.raises(SpecError, match="'::', which chains"):
        PublisherSpec("zip", bucket, key)


@pytest.mark.parametrize("kind", ["s3", "gs", "az", "memory", "file"])
def test_no_chain_in_any_bucket(kind):
    for made, error in ((PublishedResult, ResultError), (PublisherSpec, SpecError)):
        with pytest.raises(error, match="'::', which chains"):
            made(kind, "/a::b", "k")
    assert PublishedResult("s3", "b", "a::b").key == "a::b"


@pytest.mark.parametrize("archive", [True, False])
def test_a_file_needs_a_checksum(tmp_path, small, archive):
    """``Type: file`` copied any readable file of the host."""
    published = publish(small, f"file://{tmp_path}/store/k", archive=archive)
    said = published.to_mapping()
    assert fetch(said, tmp_path / "proven").verified
    with pytest.raises(ResultError, match=r"of the type 'file' is not used without a checksum on somebody's word"):
        fetch(said, tmp_path / "unread", verify=False)
    del said["Params"]["ChecksumSHA256"], said["Params"]["IndexSHA256"]
    with pytest.raises(ResultError, match=r"without a checksum on somebody's word: allow it with allow=\{'file'\}"):
        fetch(said, tmp_path / "unproven")
    assert not (tmp_path / "unproven").exists()
    assert not fetch(said, tmp_path / "allowed", allow={"file"}).verified
    assert not fetch(replace(published, checksum_sha256=None, index_sha256=None), tmp_path / "own").verified


@operations
@pytest.mark.parametrize(
    ("kind", "bucket", "endpoint"),
    [
        ("gs", "bucket", "https://evil.example.com"),
        ("gs", "bucket", "http://evil.example.com"),
        ("az", "bucket", "https://evil.example.com"),
        ("az", "bucket", "http://account.blob.core.windows.net"),
    ],
)
def test_credentials_that_work_elsewhere_stay(monkeypatch, tmp_path, operation, kind, bucket, endpoint):
    """C2: Google's token, and what goes to Azure."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2024&sig=abc")
    monkeypatch.setattr(socket, "create_connection", None)
    monkeypatch.setattr(socket.socket, "connect", None)
    with pytest.raises(
        ResultError, match=r"is not called on somebody's word, .*: allow it with allow_endpoints=\{'http"
    ):
        operation(mapping(kind, bucket, Endpoint=endpoint, ChecksumSHA256=SHA), tmp_path)


@operations
@pytest.mark.parametrize(
    "endpoint", ["https://h;AccountName=x", "http://user:PW@host", "file:///etc/passwd", "zzz", "http://[::1", "//h"]
)
@pytest.mark.parametrize("kind", ["s3", "gs", "az"])
def test_the_checks_of_a_destination_hold_for_a_result(tmp_path, operation, kind, endpoint):
    with pytest.raises(ResultError, match=r"is no endpoint|holds credentials") as caught:
        operation(mapping(kind, "bucket", Endpoint=endpoint, ChecksumSHA256=SHA), tmp_path)
    assert "PW" not in str(caught.value)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (mapping("s3", "a/b"), "'a/b' is no bucket for s3"),
        (mapping("s3", ""), "Bucket is empty"),
        (mapping("az", "A"), "'A' is no bucket for az"),
        (mapping("file", "etc"), "give an absolute directory"),
        (mapping("file", "/etc", "../passwd"), "has the segment '..'"),
        (mapping("s3", "b", "a/../b"), "has the segment '..'"),
        (mapping("s3", "b", "k" * 1025), "1024 is the most"),
        (mapping("s3", "b", "a/./", Encoding="plain"), "has the segment '.'"),
        (mapping("s3", "b", Region="eu west"), "'eu west' is no region"),
        (mapping("http", "host/x"), "there is no publisher type 'http'"),
        (mapping("gopher", "b"), "there is no publisher type 'gopher'"),
    ],
)
def test_the_other_checks_of_a_destination(named, said):
    with pytest.raises(ResultError) as caught:
        PublishedResult.from_mapping(named)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("alias", "kind"), [("gcs", "gs"), ("s3a", "s3"), ("S3N", "s3"), ("azure", "az"), ("abfs", "az"), ("abfss", "az")]
)
def test_an_alias_means_what_people_mean(alias, kind):
    assert PublishedResult.from_mapping(mapping(alias, "bucket")).type == kind
    assert PublisherSpec.from_mapping(mapping(alias, "bucket")).type == kind
    assert PublisherSpec.parse(f"{alias}://bucket/k").type == kind


def test_a_list_holds_for_s3_and_for_urls(tmp_path, hole):
    url, calls = hole
    named = mapping("s3", "b", Endpoint=url, ChecksumSHA256=SHA)
    for operation in OPERATIONS.values():
        with pytest.raises(ResultError, match="is none of those that are allowed"):
            operation(named, tmp_path, allow_endpoints={"https://mine.example.com"})
    with pytest.raises(ResultError, match="is none of those that are allowed"):
        fetch(f"{url}/b/k?X-Amz-Signature=abc", tmp_path / "back", allow_endpoints=())
    assert calls == []


# ---------------------------------------------------------------------------------------------------
# Jobs


@pytest.mark.parametrize(
    "wrapped", [lambda job: job, lambda job: {"Publisher": job}, lambda job: {"Tasks": [{"Publisher": job}]}]
)
@pytest.mark.parametrize("kind", ["file", "memory", "sftp"])
def test_a_job_names_no_other_store(tmp_path, small, kind, wrapped):
    bucket = {"file": f"{tmp_path}/out", "memory": "b", "sftp": "user@host/directory"}[kind]
    job = wrapped(mapping(kind, bucket, "k"))
    for destination in (job, PublisherSpec.from_mapping(job)):
        with pytest.raises(
            SpecError, match=f"^a store of the type '{kind}' is not used on somebody's word: allow it with "
        ):
            publish(small, destination)
    assert not (tmp_path / "out").exists()
    if kind != "sftp":
        assert publish(small, job, allow={kind}).key == "k.tar.gz"
        assert publish(small, PublisherSpec(kind, bucket, "k")).key == "k.tar.gz"


@pytest.mark.parametrize("kind", ["gs", "az"])
def test_a_job_gets_no_credentials_to_its_own_host(small, kind):
    job = mapping(kind, "bucket", "k", Endpoint="https://evil.example.com")
    with pytest.raises(SpecError, match="is not called on somebody's word"):
        publish(small, job)
    with pytest.raises(SpecError, match="is none of those that are allowed"):
        publish(small, job, allow_endpoints={"https://mine.example.com"})


def test_what_a_job_published_is_on_its_word_still(small, tmp_path):
    published = publish(small, mapping("memory", "claimed", "k"), allow={"memory"})
    assert published.claimed
    assert verify(published).objects == 1
    with pytest.raises(ResultError, match="without a checksum on somebody's word"):
        fetch(replace(published, checksum_sha256=None), tmp_path / "back")


def test_what_is_signed_for_a_configured_server_goes_to_no_relay(monkeypatch, tmp_path, hole):
    url, calls = hole
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio.corp:9000")
    monkeypatch.setattr("keystow.trust.is_loopback", lambda _: False)
    for operation in OPERATIONS.values():
        with pytest.raises(ResultError, match="the credentials that it would get work elsewhere too"):
            operation(mapping("s3", "b", Endpoint=url, ChecksumSHA256=SHA), tmp_path)
    assert calls == []


def test_an_endpoint_in_the_configuration_file_is_configured(monkeypatch, tmp_path):
    assert configured_endpoints("s3") == ()
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://minio.corp:9000\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert configured_endpoints("s3") == ("http://minio.corp:9000",)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://other.corp")
    assert configured_endpoints("s3") == ("http://other.corp",)
    assert configured_endpoints("memory") == ()


@pytest.mark.parametrize("how", ["credentials file", "variable in a path", "ignored"])
def test_trust_and_the_store_see_the_same_configuration(monkeypatch, tmp_path, how):
    """What botocore opens the store with is what is admitted: whatever file it stands in, and whatever is ignored."""
    (tmp_path / "file").write_text("[default]\nendpoint_url = http://minio.corp:9000\n")
    configured = ("http://minio.corp:9000",)
    if how == "credentials file":
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "file"))
    elif how == "variable in a path":
        monkeypatch.setenv("PLACE", str(tmp_path))
        monkeypatch.setenv("AWS_CONFIG_FILE", "$PLACE/file")
    else:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio.corp:9000")
        monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
        configured = ()
    assert configured_endpoints("s3") == configured
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-key")
    for engine in ("fsspec", "auto"):
        with closing(open_store("s3://bucket", engine=engine)) as store:
            assert store.endpoint == (configured[0] if configured else None)


def test_whose_word_it_is_goes_along():
    claimed = PublishedResult.from_mapping(mapping("s3", "b"))
    made = PublishedResult("s3", "b", "k.tar.gz")
    assert claimed == made
    assert claimed.claimed
    assert replace(claimed, region="r").claimed
    assert pickle.loads(pickle.dumps(claimed)).claimed
    assert not made.claimed
    assert repr(claimed) == repr(made)
    assert PublisherSpec.from_mapping(mapping("s3", "b")).claimed
    assert not PublisherSpec.parse("s3://b/k").claimed


# ---------------------------------------------------------------------------------------------------
# The command


def test_the_command_allows_by_options(tmp_path, small):
    job = mapping("file", f"{tmp_path}/out", "k")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    line = complaint(keystow("publish", small, "--spec", tmp_path / "job.yaml"), 2)
    assert line.endswith("allow it with --allow file")
    ran = keystow("publish", small, "--spec", tmp_path / "job.yaml", "--allow", "file")
    assert ran.status == 0
    unproven = json.loads(json.dumps(yaml.safe_load(ran.out)))
    del unproven["PublishedResult"]["Params"]["ChecksumSHA256"]
    line = complaint(keystow("get", "-", tmp_path / "back", stdin=json.dumps(unproven)), 2)
    assert line.endswith("allow it with --allow file")
    ran = keystow("get", "-", tmp_path / "back", "--allow", "file", stdin=json.dumps(unproven))
    assert ran.status == 0
    assert "not verified" in ran.err


@pytest.mark.parametrize(
    "command", [["verify", "-"], ["get", "-", "back"], ["url", "-", "--expires", "1h"]], ids=" ".join
)
def test_the_command_names_the_option_for_endpoints(tmp_path, command):
    named = json.dumps(mapping("gs", "b", Endpoint="https://gcs.example.com", ChecksumSHA256=SHA))
    line = complaint(keystow(*command, stdin=named, cwd=tmp_path), 2)
    assert line.endswith("allow it with --allow-endpoint https://gcs.example.com")
    line = complaint(keystow(*command, "--allow-endpoint", "gcs.example.com", stdin=named, cwd=tmp_path), 2)
    assert line.startswith("--allow-endpoint: 'gcs.example.com' is no endpoint")
    listed = {"KEYSTOW_ALLOW_ENDPOINTS": "https://mine.example.com"}
    line = complaint(keystow(*command, stdin=named, cwd=tmp_path, **listed), 2)
    assert "none of those that are allowed" in line
