"""What a person does who has README and ``--help`` and no more: each page of docs/sessions is played on real servers.

``make sessions`` writes the pages anew; what they say then is read before it is checked in.
"""

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from transcripts import ROOT, Scene, played

from keystow.testing.servers import REQUESTER_POLICY, Azurite, FakeGCS, FaultProxy, SeaweedFS
from keystow.testing.servers.proxy import Loopback, ProxyHandler, QuietHandler

PAGES = ROOT / "docs" / "sessions"
S3, GOOGLE, AZURE, PROXY = (f"127.0.0.1:{port}" for port in (8333, 4443, 10000, 3128))
"""Where the pages have the servers."""
HOUR = 3600
MADE = 1774051200
"""When the results were written, 2026-03-21 in UTC: it goes into the archive, and so into its SHA-256."""


def s3(server: SeaweedFS, *, bucket: str = "lab-results", proxy: Loopback | None = None) -> Scene:
    """The server with an empty bucket, and an administrator's keys in the environment."""
    client = server.client()
    if bucket not in {found["Name"] for found in client.list_buckets()["Buckets"]}:
        server.make_bucket(bucket)
    for found in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
        client.delete_object(Bucket=bucket, Key=found["Key"])
    return Scene(server.environment(), {host_of(proxy.url if proxy else server.endpoint): S3})


def host_of(url: str) -> str:
    return url.removeprefix("http://")


@contextmanager
def a_directory(server, tmp):
    yield Scene({})


@contextmanager
def a_bucket(server, tmp):
    yield s3(server)


@contextmanager
def three_clouds(server, tmp):
    """S3, Google Cloud Storage and Azure, each with a bucket."""
    with FakeGCS(tmp / "gcs") as google, Azurite(tmp / "azure") as azure:
        for other in (google, azure):
            other.make_bucket("lab-results")
        there = s3(server)
        shown = {host_of(google.endpoint): GOOGLE, host_of(azure.endpoint): AZURE}
        yield Scene({**there.environment, **google.environment(), **azure.environment()}, {**there.shown, **shown})


@contextmanager
def a_user_without_policy(server, tmp):
    """The administrator's keys, and in ``node.env`` those of a user who may do nothing yet."""
    there = s3(server)
    iam = server._client("iam", server)
    iam.create_user(UserName="node")
    key = iam.create_access_key(UserName="node")["AccessKey"]
    lines = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    (tmp / "home" / "node.env").write_text("".join(f"export {name}={value}\n" for name, value in lines.items()))
    yield there


@contextmanager
def a_reader(server, tmp):
    """The keys of somebody who may read, and no more."""
    there = s3(server)
    reader = server.user(REQUESTER_POLICY("lab-results"))
    keys = {"AWS_ACCESS_KEY_ID": reader.access_key, "AWS_SECRET_ACCESS_KEY": reader.secret_key}
    yield Scene({**there.environment, **keys}, {**there.shown, f"****{reader.access_key[-4:]}": "****READ"})


class Elsewhere(ProxyHandler):
    """Refuses what is signed for another region than the bucket's, as AWS does."""

    def _serve(self):
        if self.headers.get("Authorization", "/eu-west-1/s3/").find("/eu-west-1/s3/") >= 0:
            super()._serve()
            return
        for _ in self._body():
            pass
        self.reply(400, _error("AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong", "eu-west-1"))


class Ahead(ProxyHandler):
    """Has a clock that is an hour ahead of this machine's, and refuses what is signed by another one, as AWS does."""

    def date_time_string(self, timestamp=None):
        return super().date_time_string((timestamp or time.time()) + HOUR)

    def _serve(self):
        for _ in self._body():
            pass
        if "Authorization" in self.headers:
            said = "The difference between the request time and the current time is too large"
            self.reply(403, _error("RequestTimeTooSkewed", said))
        else:
            self.reply(403, _error("AccessDenied", "Access Denied"))


def _error(code, message, region=""):
    told = f"<Region>{region}</Region>" if region else ""
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{told}</Error>".encode()


class Gate(FaultProxy):
    """Something before the server, which refuses as its ``handler`` does."""

    def __init__(self, upstream, handler):
        super().__init__(upstream)
        self.RequestHandlerClass = handler


@contextmanager
def a_bucket_in_ireland(server, tmp):
    with Gate(server.endpoint, Elsewhere) as gate:
        yield s3(server, proxy=gate)


@contextmanager
def a_clock_that_is_slow(server, tmp):
    with Gate(server.endpoint, Ahead) as gate:
        yield s3(server, proxy=gate)


@contextmanager
def a_proxy_that_is_gone(server, tmp):
    """A port on which nothing listens, and which nobody else takes."""
    there = s3(server)
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield Scene(there.environment, {**there.shown, f"127.0.0.1:{bound.getsockname()[1]}": PROXY})


class Console(QuietHandler):
    """A web page, whatever is asked for."""

    def do_GET(self):  # noqa: N802
        self.reply(200, b"<!doctype html><title>Console</title>", {"Content-Type": "text/html", "Server": "nginx"})

    def do_PUT(self):  # noqa: N802
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    do_HEAD = do_GET  # noqa: N815
    do_POST = do_PUT  # noqa: N815


@contextmanager
def a_web_page(server, tmp):
    with Loopback(Console) as standing:
        yield s3(server, proxy=standing)


SCENES: dict[str, Callable[[SeaweedFS, Path], Iterator[Scene]]] = {
    "publish-to-a-directory": a_directory,
    "publish-to-s3": a_bucket,
    "publish-to-three-clouds": three_clouds,
    "find-the-results-of-a-job": a_bucket,
    "hand-on-a-link": a_bucket,
    "least-permissions": a_user_without_policy,
    "wrong-region": a_bucket_in_ireland,
    "wrong-clock": a_clock_that_is_slow,
    "no-permission": a_reader,
    "no-bucket": a_bucket,
    "dead-proxy": a_proxy_that_is_gone,
    "no-s3": a_web_page,
}
CAUSES = {
    "wrong-region": ("the bucket is in eu-west-1", "write opt=region=eu-west-1"),
    "wrong-clock": ("3600 s behind the server's", "set the clock of this machine"),
    "no-permission": ("AccessDenied", "allow s3:PutObject on arn:aws:s3:::lab-results/*"),
    "no-bucket": ("NoSuchBucket", "create the bucket, or correct its name"),
    "dead-proxy": (f'connect to proxy URL: "http://{PROXY}": Connection refused', "correct HTTP_PROXY, unset it"),
    "no-s3": ("the answer is not S3's", "name the server and the port of the S3 API as the endpoint"),
}
"""What the command that fails has to name itself: why, and what to do."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with nothing but results in it."""
    results = tmp_path / "home" / "results"
    (results / "plots").mkdir(parents=True)
    (results / "summary.json").write_text('{"longest": 278, "at": 17647}\n')
    (results / "plots" / "lengths.csv").write_text("".join(f"{number},{number % 7}\n" for number in range(1000)))
    for path in (*results.rglob("*"), results):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (MADE, MADE))
    return results.parent


@pytest.mark.parametrize("name", SCENES)
def test_a_session_is_what_its_page_shows(name, seaweed, home, tmp_path, writes):
    """If one differs for a good reason, run ``make sessions``, and look at what it changed."""
    path = PAGES / f"{name}.md"
    page = path.read_text("utf-8")
    with ExitStack() as standing:
        now = played(page, standing.enter_context(SCENES[name](seaweed, tmp_path)), home)
    if writes:
        path.write_text(now, "utf-8")
    else:
        assert now == page


@pytest.mark.parametrize("name", CAUSES)
def test_the_command_that_fails_names_the_cause_and_what_to_do(name):
    """The first of the session: nothing else has to be called to learn that."""
    page = (PAGES / f"{name}.md").read_text("utf-8")
    _, failing, *_ = re.split(r"^\$ (?=keystow publish )", page, flags=re.MULTILINE)
    (told,) = [line for line in failing.partition("\n$ ")[0].splitlines() if _is_complaint(line)]
    for words in CAUSES[name]:
        assert words in told
    assert "\n$ echo $?\n1\n" in page


def _is_complaint(line: str) -> bool:
    return line.startswith("keystow: ") and not line.startswith(("keystow: retrying", "keystow: note"))


PAGE = """What is said.

```console
$ port=8333
$ echo "http://127.0.0.1:$port" \\
>   two
http://127.0.0.1:8333 two
$ ls /nothing 2> /dev/null
$ echo $?
2
```

```console
$ echo "$HOME $WHO"
/home/ada me
```
"""


@pytest.mark.parametrize(
    ("right", "wrong"), [("8333 two", "8333 three"), ("$?\n2", "$?\n0"), ("ada me", "ada"), ("\n2\n", "\n2\nmore\n")]
)
def test_what_a_page_shows_is_what_the_shell_prints(home, right, wrong):
    """The blocks of a page are one session; a port, and the home, stand there in one form. What differs is seen."""
    scene = Scene({"WHO": "me"}, {"127.0.0.1:41234": "127.0.0.1:8333"})
    page = PAGE.replace("port=8333", "port=41234")
    assert played(page, scene, home) == page
    other = page.replace(right, wrong)
    assert other != page
    assert played(other, scene, home) == page


def test_each_page_is_played_and_listed():
    pages = {path.stem for path in PAGES.glob("*.md")}
    assert pages == {*SCENES, "README"}
    assert set(re.findall(r"\]\(([\w-]+)\.md\)", (PAGES / "README.md").read_text("utf-8"))) == set(SCENES)
