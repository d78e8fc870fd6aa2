"""Why a publication fails is found out, on real servers: each failing line says what to do."""

import base64
import json
import re
import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from commands import complaint, keystow
from other_servers import RcloneS3
from tls import secured

from keystow import Context, S3Credentials, SpecError, diagnose, open_store
from keystow.backends.providers import PROVIDERS
from keystow.testing.servers import COMPUTE_NODE_POLICY, REQUESTER_POLICY, Azurite, FakeGCS, FaultProxy, Moto
from keystow.testing.servers.proxy import Loopback, QuietHandler

PAGE = Path(__file__).parent.parent.parent / "docs" / "doctor.md"
PASSWORD = "sesame-open-42"


def found(to, context=None, **options):
    """The findings by their names, each of which stands once."""
    findings = list(diagnose(to, context or Context(), **options))
    names = [finding.name for finding in findings]
    assert len(set(names)) == len(names)
    assert [finding for finding in findings if finding.outcome == "failed" and not finding.advice] == []
    return {finding.name: finding for finding in findings}


def failed(findings):
    return [name for name, finding in findings.items() if finding.outcome == "failed"]


def only(findings):
    """The one that failed."""
    (name,) = failed(findings)
    return findings[name]


def unsigned(method, path):
    """Whether it is the request to which nobody's name is put."""
    return "max-keys=0" in path


def refusing(server, body, status=400, **headers):
    """A proxy before the server, which refuses in this way whatever is signed."""
    proxy = FaultProxy(server.endpoint)
    proxy.answer(lambda method, path: not unsigned(method, path), status, body, headers, nth=None)
    return proxy


@pytest.fixture
def to(seaweed, bucket, login):
    """A destination in the shared bucket, as the administrator."""
    login(seaweed)
    return f"s3://{bucket}/doctor/{{jobID}},opt=endpoint={seaweed.endpoint}"


JOB = Context(job_id="abc123")


def test_all_is_well_and_nothing_is_written(to, seaweed, proxy):
    there = to.replace(seaweed.endpoint, proxy.url)
    findings = found(there, JOB)
    assert failed(findings) == []
    assert findings["key"].found == "doctor/abc123.tar.gz"
    assert {name for name, finding in findings.items() if finding.outcome == "unknown"} == {"writing"}
    assert {sent.method for sent in proxy.requests} == {"GET", "HEAD"}


def test_where_each_setting_comes_from(seaweed, bucket, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "config").write_text(
        f"[profile lab]\nregion = eu-north-1\naws_access_key_id = {seaweed.access_key}\n"
        f"aws_secret_access_key = {seaweed.secret_key}\n"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweed.endpoint)
    findings = found(f"s3://{bucket}/a", profile="lab")
    assert findings["endpoint"].found == f"{seaweed.endpoint}, of AWS_ENDPOINT_URL_S3"
    assert findings["region"].found.startswith("eu-north-1, of region of the profile lab in ")
    assert findings["credentials"].found == "****dmin, of the configuration file, profile lab"
    assert failed(findings) == []


def test_credentials_that_are_given_in_python(seaweed, bucket):
    given = S3Credentials(seaweed.access_key, seaweed.secret_key)
    findings = found(f"s3://{bucket}/a,opt=endpoint={seaweed.endpoint},opt=region=us-east-1", credentials=given)
    assert findings["credentials"].found == "****dmin, of the caller"
    assert failed(findings) == []


def test_a_key_whose_fields_are_not_known_is_no_failure(to):
    findings = found(to)
    assert findings["key"].outcome == "unknown"
    assert "{jobID}" in findings["key"].found
    assert failed(findings) == []
    label = found(to.replace("jobID", "run"))["key"]
    assert label.outcome == "unknown"


def test_a_key_that_the_provider_refuses(to):
    assert only(found(to, Context(job_id="a" * 1100))).name == "key"


@pytest.mark.parametrize("wrong", ["nothing", "s3://bucket", "s3://b/{jobID", "s3://b/k,opt=endpoint=nowhere"])
def test_a_destination_that_is_none_is_an_error_at_once(wrong):
    with pytest.raises(SpecError):
        diagnose(wrong)


def test_no_bucket(to, seaweed):
    finding = only(found(f"s3://there-is-none/a,opt=endpoint={seaweed.endpoint}"))
    assert (finding.name, finding.found) == ("bucket", "there is no bucket there-is-none")
    assert finding.advice.startswith("create the bucket")


def test_no_credentials(seaweed, bucket):
    findings = found(f"s3://{bucket}/a,opt=endpoint={seaweed.endpoint}")
    assert only(findings).name == "credentials"
    assert "AWS_ACCESS_KEY_ID" in findings["credentials"].advice
    assert findings["clock"].outcome == "ok"
    assert "signature" not in findings


def test_a_wrong_secret(to, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    findings = found(to, JOB)
    finding = only(findings)
    assert finding.name == "signature"
    assert "SignatureDoesNotMatch" in finding.found
    assert PASSWORD not in str(findings)


def test_who_may_only_publish_fails_at_nothing(to, seaweed, bucket, login):
    """He may not read, list or look at the bucket: that is unknown then, and the probe says what stays behind."""
    login(seaweed.user(COMPUTE_NODE_POLICY(bucket)))
    findings = found(to, JOB, write_probe=True)
    assert failed(findings) == []
    unknown = {name for name, finding in findings.items() if finding.outcome == "unknown"}
    assert unknown == {"bucket", "versioning", "reading", "ranges", "removal"}
    left = re.search(r"'(doctor/keystow-probe-[0-9a-f]+)'", findings["removal"].advice)[1]
    login(seaweed)
    store = open_store(f"s3://{bucket}", endpoint=seaweed.endpoint)
    assert [stat.key.startswith(left) for stat in store.list(left)] == [True, True]


def test_no_permission_to_write(to, seaweed, bucket, login):
    login(seaweed.user(REQUESTER_POLICY(bucket)))
    assert failed(found(to, JOB)) == []
    finding = only(found(to, JOB, write_probe=True))
    assert finding.name == "write"
    assert finding.advice.startswith(f"allow s3:PutObject on arn:aws:s3:::{bucket}/*")


@pytest.mark.slow
def test_a_wrong_region_is_named_with_the_right_one(monkeypatch):
    with Moto() as moto:
        name = "doctor-in-ireland"
        moto.client().create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        given = S3Credentials("key", PASSWORD)
        to = f"s3://{name}/a,opt=endpoint={moto.endpoint}"
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        finding = only(found(to, credentials=given))
        assert finding.name == "bucket region"
        assert finding.found == "the bucket is in eu-west-1, and requests are signed for us-east-1"
        assert finding.advice == "write opt=region=eu-west-1 in the destination, or set AWS_REGION=eu-west-1"
        said = only(found(f"{to},opt=region=us-east-1", credentials=given))
        assert said.advice == "write opt=region=eu-west-1 in the destination"
        assert failed(found(f"{to},opt=region=eu-west-1", credentials=given)) == []


@pytest.mark.parametrize(
    ("status", "code", "headers", "right"),
    [
        (400, "AuthorizationHeaderMalformed", {}, True),
        (301, "PermanentRedirect", {"x-amz-bucket-region": "eu-west-1"}, True),
        (301, "PermanentRedirect", {}, False),
    ],
)
def test_a_wrong_region_as_aws_refuses_it(seaweed, login, bucket, status, code, headers, right):
    login(seaweed)
    told = "<Region>eu-west-1</Region>" if code == "AuthorizationHeaderMalformed" else ""
    with refusing(seaweed, f"<Error><Code>{code}</Code>{told}</Error>".encode(), status, **headers) as proxy:
        finding = only(found(f"s3://{bucket}/a,opt=endpoint={proxy.url},opt=region=us-east-1"))
    assert finding.name == "bucket region"
    assert ("opt=region=eu-west-1" in finding.advice) == right


@pytest.mark.parametrize(("hours", "way"), [(1, "behind"), (-1, "ahead of")])
def test_a_wrong_clock(to, seaweed, proxy, hours, way):
    """Whose it is, a client cannot know; S3 goes by the server's."""
    said = time.time()
    date = formatdate(said + 3600 * hours, usegmt=True)
    proxy.answer(unsigned, 403, b"<Error><Code>AccessDenied</Code></Error>", {"Date": date})
    finding = only(found(to.replace(seaweed.endpoint, proxy.url), JOB))
    assert finding.name == "clock"
    (seconds,) = re.findall(rf"^(\d+) s {way} the server's", finding.found)
    assert abs(int(seconds) - 3600) <= time.time() - said + 1
    assert "chrony" in finding.advice


def test_a_request_that_is_refused_for_its_time(seaweed, login, bucket):
    login(seaweed)
    with refusing(seaweed, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", 403) as proxy:
        finding = only(found(f"s3://{bucket}/a,opt=endpoint={proxy.url}"))
    assert finding.name == "signature"
    assert "clock" in finding.advice


@pytest.fixture
def closed_port():
    """A port on which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_dead_proxy(to, closed_port, monkeypatch, scheme):
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://user:{PASSWORD}@127.0.0.1:{closed_port}")
    there = to.replace("http://", f"{scheme}://")
    findings = found(there, JOB)
    finding = only(findings)
    assert finding.name == "reachable"
    assert finding.found.startswith(f"the proxy 127.0.0.1:{closed_port}, which {scheme.upper()}_PROXY names, refuses")
    assert "NO_PROXY" in finding.advice
    assert PASSWORD not in str(findings)


def test_a_proxy_that_lives_and_what_is_past_it(to, seaweed, closed_port, monkeypatch):
    """What a proxy answers in the place of a server that it does not reach is not S3's."""
    with Loopback(_Page) as standing:
        monkeypatch.setenv("HTTP_PROXY", standing.url)
        finding = only(found(to, JOB))
    assert finding.name == "server"
    assert "HTTP_PROXY" in finding.advice


def test_a_proxy_that_does_not_lead_to_the_server(to, monkeypatch):
    """To a server that speaks TLS, a proxy makes a tunnel."""
    with Loopback(_Page) as standing:
        monkeypatch.setenv("HTTPS_PROXY", standing.url)
        finding = only(found(to.replace("http://", "https://"), JOB))
    assert finding.name == "reachable"
    assert "which HTTPS_PROXY names, does not lead to 127.0.0.1:" in finding.found
    assert "501" in finding.found
    assert "NO_PROXY" in finding.advice


def test_a_proxy_that_leads_there(to, proxy, monkeypatch):
    """Requests go through it, with the password that it wants."""
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", f"http://me:{PASSWORD}@"))
    findings = found(to, JOB)
    assert failed(findings) == []
    assert findings["carrier"].found.startswith("fsspec's client")
    assert findings["reachable"].found == "through the proxy of HTTP_PROXY"
    assert {request.headers["proxy-authorization"] for request in proxy.requests} == {
        f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"
    }


def test_what_is_no_proxy(to, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://[")
    findings = found(to, JOB)
    assert "HTTP_PROXY" in str(only(findings))


def test_a_server_that_does_not_answer(to, seaweed, proxy):
    proxy.hang(unsigned)
    finding = only(found(to.replace(seaweed.endpoint, proxy.url), JOB, timeout=1))
    assert finding.name == "reachable"
    assert "did not answer" in finding.found


def test_a_server_that_hangs_up(to, seaweed, proxy):
    proxy.drop(unsigned)
    finding = only(found(to.replace(seaweed.endpoint, proxy.url), JOB))
    assert finding.found.endswith("broke the connection off")


def test_a_server_that_fails_once_it_is_asked(to, seaweed, proxy):
    proxy.answer(lambda method, path: "versioning" in path, 503, b"<Error><Code>SlowDown</Code></Error>")
    finding = only(found(to.replace(seaweed.endpoint, proxy.url), JOB))
    assert (finding.name, finding.advice) == ("answer", "try again later")


def test_a_server_that_knows_nothing_of_versions(to, seaweed, proxy):
    proxy.answer(lambda method, path: "versioning" in path, 501, b"<Error><Code>NotImplemented</Code></Error>")
    findings = found(to.replace(seaweed.endpoint, proxy.url), JOB)
    assert failed(findings) == []
    assert findings["versioning"].found == "the server says NotImplemented"


@pytest.mark.parametrize(
    ("matching", "name"),
    [
        (lambda method, path: method == "PUT" and path.endswith(".tar.gz"), None),
        (lambda method, path: "%25" in path and method == "PUT", "odd keys"),
        (lambda method, path: "keystow-probe" in path and method == "GET" and "%25" not in path, "ranges"),
    ],
)
def test_a_promise_that_is_refused(to, seaweed, proxy, matching, name):
    proxy.answer(matching, 400, b"<Error><Code>InvalidURI</Code></Error>", nth=None)
    findings = found(to.replace(seaweed.endpoint, proxy.url), JOB, write_probe=True)
    assert failed(findings) == ([name] if name else [])
    assert name is None or findings[name].found.startswith("refused: ")


def test_a_range_that_is_ignored(to, seaweed, proxy):
    """Other bytes are no part of an object."""
    whole = {"ETag": '"x"', "Content-Range": "bytes 2-6/20"}
    proxy.answer(lambda method, path: "keystow-probe" in path and method == "GET", 206, b"xxxxx", whole)
    finding = only(found(to.replace(seaweed.endpoint, proxy.url), JOB, write_probe=True))
    assert (finding.name, finding.found) == ("ranges", "ignored: other bytes came than were asked for")


def test_nothing_listens(to, seaweed, closed_port):
    finding = only(found(to.replace(seaweed.endpoint, f"http://127.0.0.1:{closed_port}"), JOB))
    assert (finding.name, finding.found) == ("reachable", f"127.0.0.1:{closed_port} refuses connections")


def test_a_host_that_there_is_not(to, seaweed):
    finding = only(found(to.replace(seaweed.endpoint, "http://s3.invalid"), JOB))
    assert finding.name == "reachable"
    assert "s3.invalid" in finding.found


class _Page(QuietHandler):
    def do_GET(self):  # noqa: N802
        self.reply(200, b"<!doctype html><html>a console</html>", {"Content-Type": "text/html", "Server": "nginx"})


def test_a_server_that_is_no_s3(to, seaweed):
    with Loopback(_Page) as standing:
        finding = only(found(to.replace(seaweed.endpoint, standing.url), JOB))
    assert finding.name == "server"
    assert finding.found.startswith("it does not speak S3: status 200")
    assert "endpoint" in finding.advice


def test_tls(to, seaweed, certificates, monkeypatch):
    with secured(FaultProxy(seaweed.endpoint), certificates) as standing:
        there = to.replace(seaweed.endpoint, standing.url)
        finding = only(found(there, JOB))
        assert finding.name == "reachable"
        assert "AWS_CA_BUNDLE" in finding.advice
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "ca.pem"))
        assert failed(found(there, JOB)) == []
    tls = only(found(to.replace("http://", "https://"), JOB))
    assert (tls.name, tls.found.endswith("does not speak TLS")) == ("reachable", True)
    assert "http://" in tls.advice


def test_what_is_set_wrongly_names_the_variable(to, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", "/there/is/none")
    finding = only(found(to, JOB))
    assert finding.name == "certificates"
    assert "AWS_CA_BUNDLE" in finding.found


def test_a_profile_that_there_is_not(to):
    finding = only(found(to, JOB, profile="nobody"))
    assert finding.name == "credentials"
    assert "nobody" in finding.found


def test_a_bucket_with_versions(to, bucket, versioned_bucket):
    findings = found(to.replace(bucket, versioned_bucket), JOB, write_probe=True)
    assert findings["versioning"].found.startswith("on")
    assert findings["versions"].found == "kept"


def test_fsspecs_client_finds_the_same(to):
    ours, theirs = (found(f"{to},opt=engine={engine}", JOB, write_probe=True) for engine in ("auto", "fsspec"))
    assert ours.pop("carrier") != theirs.pop("carrier")
    clocks = [each.pop("clock") for each in (ours, theirs)]  # how well they agree is told by how soon an answer came
    assert [clock.outcome for clock in clocks] == ["ok", "ok"]
    assert ours == theirs


def measured(to, **options):
    """What is measured of each promise, in the words of the table of providers."""
    findings = found(to, write_probe=True, **options)
    names = PROVIDERS[-1].promises
    return {name: findings[name].found.partition(":")[0] for name in names}


@pytest.mark.server
@pytest.mark.parametrize("name", ["SeaweedFS", "moto", "rclone serve s3"])
def test_the_rows_that_are_measured_say_what_the_servers_do(seaweed, tmp_path, name):
    (row,) = [row for row in PROVIDERS if row.name == name]
    assert row.measured
    kinds = {"moto": Moto, "rclone serve s3": lambda: RcloneS3(tmp_path)}
    server = seaweed if name == "SeaweedFS" else kinds[name]().__enter__()
    try:
        keys = S3Credentials(server.access_key, server.secret_key)
        to = f"s3://{server.make_bucket()}/a,opt=endpoint={server.endpoint}"
        assert measured(to, credentials=keys) == row.promises
        store = open_store(to.partition("/a,")[0], endpoint=server.endpoint, credentials=keys)
        assert list(store.list()) == []
    finally:
        if server is not seaweed:
            server.stop()


def test_no_other_row_is_measured():
    assert {row.name for row in PROVIDERS if row.measured} == {"SeaweedFS", "moto", "rclone serve s3"}
    assert all(source.startswith("https://") for row in PROVIDERS if not row.measured for source in row.sources)
    assert [row.name for row in PROVIDERS if not row.sources] == []


def test_the_page_has_the_table_of_providers():
    rows = re.findall(r"^\| \*\*(.*?)\*\* \| (.*?) \| (.*?) \| (.*?) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [
        (
            row.name,
            "; ".join(f"{name}: {how}" for name, how in row.promises.items()) or "not known",
            row.note or "-",
            "measured" if row.measured else " ".join(f"<{source}>" for source in row.sources),
        )
        for row in PROVIDERS
    ]


@pytest.mark.server
def test_google(tmp_path, monkeypatch):
    with FakeGCS(tmp_path) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        to = f"gs://{server.make_bucket()}/a"
        findings = found(to, write_probe=True)
        assert failed(findings) == ["if absent in parts"]  # as this server knows no conditions of what is resumed
        assert findings["endpoint"].found == server.endpoint
    assert only(found(to)).name == "reachable"


@pytest.mark.server
def test_azure(tmp_path, monkeypatch):
    with Azurite(tmp_path) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        assert failed(found(f"az://{server.make_bucket()}/a", write_probe=True)) == []
        assert only(found("az://there-is-none/a")).name == "bucket"


def test_a_directory(tmp_path):
    to = f"file://{tmp_path}/store/{{jobID}}"
    findings = found(to, JOB, write_probe=True)
    assert failed(findings) == []
    assert findings["directory"].found.startswith("it will be made")
    (tmp_path / "file").write_text("")
    assert only(found(f"file://{tmp_path}/file/below/{{jobID}}", JOB)).name == "directory"


def test_memory():
    assert failed(found("memory://doctor/a", write_probe=True)) == []


# ---------------------------------------------------------------------------------------------------
# The command


def test_the_command_prints_a_table(to):
    ran = keystow("doctor", to, "--job-id", "abc123", "--write-probe")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("destination         ok      S3: s3://")
    assert {line[20:28].strip() for line in lines if not line.startswith(" ")} == {"ok"}


def test_the_command_prints_json_whose_keys_stay(to, seaweed):
    ran = keystow("doctor", f"s3://there-is-none/a,opt=endpoint={seaweed.endpoint}", "--output", "json")
    assert (ran.status, ran.err) == (1, "")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert {tuple(line) for line in lines} == {("name", "outcome", "found", "advice")}
    assert lines[-1]["outcome"] == "failed"


def test_a_wrong_call():
    assert "names no bucket" in complaint(keystow("doctor", "nothing"), 2)
    assert "give a DESTINATION" in complaint(keystow("doctor"), 2)


def test_advice_is_in_the_words_of_the_command(to):
    out = keystow("doctor", to).out
    assert "-> give --job-id" in out
    assert "-> keystow doctor --write-probe writes" in out


def test_a_job_of_somebody_else_sends_nothing_to_a_server_that_is_not_trusted(tmp_path, proxy, login, seaweed):
    """Credentials would go there."""
    login(seaweed)
    spec = {"Publisher": {"Type": "s3", "Params": {"Bucket": "b", "Key": "k", "Endpoint": proxy.url}}}
    (tmp_path / "job.yaml").write_text(json.dumps(spec))
    call = ("doctor", "--spec", tmp_path / "job.yaml")
    trusted = {"KEYSTOW_ALLOW_ENDPOINTS": "https://s3.example.com"}
    assert "--allow-endpoint" in complaint(keystow(*call, **trusted), 2)
    assert proxy.requests == []
    assert keystow(*call, "--allow-endpoint", proxy.url, **trusted).status == 1
    assert proxy.requests != []


@pytest.mark.parametrize("output", ["table", "json"])
def test_no_secret_is_printed(to, seaweed, closed_port, output):
    token = "token-of-mine-which-is-long"
    for more in ({}, {"AWS_SESSION_TOKEN": token}, {"HTTP_PROXY": f"http://me:{PASSWORD}@127.0.0.1:{closed_port}"}):
        ran = keystow("doctor", to, "--job-id", "a", "--output", output, "--debug", **more)
        assert "credentials" in ran.out
        for secret in (seaweed.secret_key, seaweed.access_key, token, PASSWORD):
            assert secret not in ran.out + ran.err
