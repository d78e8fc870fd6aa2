"""Google Cloud Storage alone: what is requested and what is not, sessions that break, and what the service refuses."""

import contextlib
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
import uuid

import pytest
from other_clouds import crc32c_of, service_account

from keystow.backends import (
    AccessDeniedError,
    AlreadyExistsError,
    BucketNotFoundError,
    ConflictError,
    CredentialsError,
    InvalidKeyError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
    UnsupportedError,
    open_store,
)
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.backends.sending.settling import MARK
from keystow.testing.servers import FakeGCS, FaultProxy
from keystow.testing.servers.proxy import Loopback, QuietHandler

pytestmark = pytest.mark.server

PART = part_size(1)
LARGE = bytes(range(256)) * (2 * PART // 256) + b"the end"
TRIES = len(repeating.PAUSES) + 1


def is_put(method, path):
    return method == "POST" and "uploadType=multipart" in path


def is_begin(method, path):
    return method == "POST" and "uploadType=resumable" in path and "upload_id=" not in path


def is_chunk(method, path):
    return method == "POST" and "upload_id=" in path


def is_look(method, path):
    return method == "GET" and "/storage/v1/b/" in path


def told(error):
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(repeating, "PAUSES", (0.01,) * (TRIES - 1))


@pytest.fixture(autouse=True)
def no_account(monkeypatch, clean_environment):
    """Nobody's credentials, and no question about them beyond loopback."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with FakeGCS(tmp_path_factory.mktemp("gcs")) as running:
        yield running


@pytest.fixture(scope="module")
def bucket(server):
    return server.make_bucket(versioned=True)


@pytest.fixture
def proxy(server):
    with FaultProxy(server.endpoint) as running:
        yield running


@pytest.fixture
def store(proxy, bucket):
    with contextlib.closing(open_store(f"gs://{bucket}", endpoint=proxy.url)) as opened:
        yield opened


@pytest.fixture
def key():
    return f"dir/{uuid.uuid4().hex}"


@pytest.fixture
def resource(server, bucket, key):
    """What the server itself says of the object."""

    def ask():
        with urllib.request.urlopen(
            f"{server.endpoint}/storage/v1/b/{bucket}/o/{urllib.parse.quote(key, safe='')}"
        ) as answer:
            return json.load(answer)

    return ask


@pytest.mark.parametrize("body", [b"", b"small", LARGE], ids=["empty", "single", "session"])
def test_a_type_and_metadata_arrive(store, key, resource, body) -> None:
    written = store.write(key, [body], content_type="application/x-tar", metadata={"job": "j-1", "Grad": "30 °C"})
    found = resource()
    assert found["contentType"] == "application/x-tar"
    assert found["metadata"] == {"job": "j-1", "Grad": "30 °C", MARK: found["metadata"][MARK]}
    assert (int(found["size"]), found["generation"]) == (len(body), written.version_id)


@pytest.mark.parametrize("if_absent", [False, True])
def test_a_small_write_is_one_request(store, proxy, bucket, key, if_absent) -> None:
    written = store.write(key, [b"small"], if_absent=if_absent)
    (sent,) = proxy.requests
    asked = urllib.parse.urlsplit(sent.path)
    condition = {"ifGenerationMatch": ["0"]} if if_absent else {}
    assert (sent.method, asked.path) == ("POST", f"/upload/storage/v1/b/{bucket}/o")
    assert urllib.parse.parse_qs(asked.query) == {"uploadType": ["multipart"]} | condition
    assert written.confirmed == "checksum"


@pytest.mark.parametrize("if_absent", [False, True])
def test_a_large_write_is_one_session(store, proxy, key, resource, if_absent) -> None:
    store.write(key, [LARGE], if_absent=if_absent)
    begin, *chunks = proxy.requests
    assert is_begin(begin.method, begin.path)
    assert ("ifGenerationMatch=0" in begin.path) is if_absent
    assert all(is_chunk(one.method, one.path) for one in chunks)
    assert [one.headers["content-range"] for one in chunks] == [
        f"bytes 0-{PART - 1}/*",
        f"bytes {PART}-{2 * PART - 1}/*",
        f"bytes {2 * PART}-{len(LARGE) - 1}/{len(LARGE)}",
    ]
    hashes = [one.headers.get("x-goog-hash") for one in chunks]
    assert hashes == [None, None, f"crc32c={resource()['crc32c']}"]


@pytest.mark.slow
def test_the_pieces_of_a_session_grow_and_an_end_may_be_empty(store, proxy, key, resource) -> None:
    store.write(key, [bytes(8 * PART)])
    _, *pieces = proxy.requests
    assert [one.headers["content-range"] for one in pieces] == [
        f"bytes 0-{PART - 1}/*",
        f"bytes {PART}-{2 * PART - 1}/*",
        f"bytes {2 * PART}-{4 * PART - 1}/*",
        f"bytes {4 * PART}-{6 * PART - 1}/*",
        f"bytes {6 * PART}-{8 * PART - 1}/*",
        f"bytes */{8 * PART}",
    ]
    assert pieces[-1].headers["x-goog-hash"] == f"crc32c={resource()['crc32c']}"
    assert resource()["size"] == str(8 * PART)


def test_a_small_write_carries_its_checksum(store, proxy, key) -> None:
    bodies = []

    class Listening(proxy.RequestHandlerClass):
        def _body(self):
            for piece in super()._body():
                bodies.append(piece)
                yield piece

    proxy.RequestHandlerClass = Listening
    store.write(key, [b"small"])
    described = json.loads(re.search(rb"\{.*\}", b"".join(bodies))[0])
    assert described["crc32c"] == crc32c_of(b"small")


@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize(("body", "matches"), [(b"small", is_put), (LARGE, is_begin)], ids=["single", "begin"])
def test_a_server_that_asks_for_patience_gets_it(store, proxy, key, body, matches, status) -> None:
    proxy.answer(matches, status)
    written = store.write(key, [body], if_absent=True)
    assert written.size == len(body)
    assert [one.status for one in proxy.requests if matches(one.method, one.path)] == [status, 200]


def test_a_server_that_stays_busy(store, proxy, key) -> None:
    proxy.answer(is_put, 503, nth=None)
    with pytest.raises(StoreUnavailableError) as refused:
        store.write(key, [b"small"])
    assert (refused.value.code, refused.value.tries) == ("503", TRIES)
    assert [one.method for one in proxy.requests] == ["POST"] * TRIES + ["GET"]


# -- lost answers to a small conditional write


def test_our_own_object_is_no_refusal(store, proxy, key, resource) -> None:
    proxy.lose_answer(is_put)
    written = store.write(key, [b"ours"], if_absent=True)
    assert (written.confirmed, written.version_id) == ("stat", resource()["generation"])
    assert [one.status for one in proxy.requests] == [200, 412, 200]


def test_somebody_elses_object_is_not_taken_for_ours(store, proxy, key) -> None:
    store.write(key, [b"theirs"])
    proxy.drop(is_put)
    with pytest.raises(AlreadyExistsError):
        store.write(key, [b"theirs"], if_absent=True)


def test_an_outcome_that_nobody_may_look_at(store, proxy, key) -> None:
    proxy.lose_answer(is_put)
    proxy.answer(is_look, 403)
    with pytest.raises(UnknownOutcomeError, match="403"):
        store.write(key, [b"ours"], if_absent=True)


@pytest.mark.parametrize("if_absent", [False, True])
def test_an_object_whose_answers_are_all_lost_is_found(store, proxy, key, resource, if_absent) -> None:
    proxy.lose_answer(is_put, nth=None)
    written = store.write(key, [b"ours"], if_absent=if_absent)
    assert (written.confirmed, written.version_id) == ("stat", resource()["generation"])


def test_a_lost_answer_and_then_a_server_that_stays_busy(store, proxy, key, resource) -> None:
    proxy.lose_answer(is_put)
    for nth in range(2, TRIES + 1):
        proxy.answer(is_put, 503, nth=nth)
    assert store.write(key, [b"ours"]).version_id == resource()["generation"]


@pytest.mark.parametrize("there", [None, b"theirs"])
def test_a_write_that_did_not_arrive_fails(store, proxy, key, there) -> None:
    if there is not None:
        store.write(key, [there])
    proxy.drop(is_put, nth=None)
    with pytest.raises(StoreUnavailableError) as refused:
        store.write(key, [b"ours"])
    assert not isinstance(refused.value, UnknownOutcomeError)
    assert refused.value.tries == TRIES


def test_an_overwrite_of_which_nobody_knows(store, proxy, key) -> None:
    proxy.lose_answer(is_put, nth=None)
    proxy.answer(is_look, 503, nth=None)
    with pytest.raises(UnknownOutcomeError, match="503"):
        store.write(key, [b"ours"])
    assert len([one for one in proxy.requests if one.method == "GET"]) == TRIES, "the look is tried again, too"


# -- what the service refuses


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, StoreError),
        (401, CredentialsError),
        (403, AccessDeniedError),
        (404, BucketNotFoundError),
        (409, ConflictError),
        (412, AlreadyExistsError),
        (429, StoreUnavailableError),
        (500, StoreUnavailableError),
    ],
)
@pytest.mark.parametrize(("body", "matches"), [(b"small", is_put), (LARGE, is_begin)], ids=["single", "begin"])
def test_what_a_refusal_means(store, proxy, key, body, matches, status, kind) -> None:
    answer = {"error": {"code": status, "message": "because of the moon"}}
    proxy.answer(matches, status, json.dumps(answer).encode(), {"x-guploader-uploadid": "id-7"}, nth=None)
    with pytest.raises(kind) as refused:
        store.write(key, [body], if_absent=True)
    assert type(refused.value) is kind
    assert (refused.value.code, refused.value.request_id) == (str(status), "id-7")
    assert "id-7" in str(refused.value)
    assert ("already exists" if status == 412 else f"{status}: because of the moon") in str(refused.value)


def test_what_is_not_there(store, server, key) -> None:
    with pytest.raises(NotFoundError) as refused:
        store.stat(key)
    assert type(refused.value) is NotFoundError
    with pytest.raises(NotFoundError):
        next(store.read(key))
    missing = open_store("gs://no-such-bucket", endpoint=server.endpoint)
    with contextlib.closing(missing), pytest.raises(BucketNotFoundError, match="gs://no-such-bucket/"):
        missing.write(key, [b"x"])


def test_a_version_that_is_gone_says_so(server, key) -> None:
    bucket = server.make_bucket(versioned=False)
    with contextlib.closing(open_store(f"gs://{bucket}", endpoint=server.endpoint)) as store:
        gone = store.write(key, [b"one"]).version_id
        store.write(key, [b"two"])
        for call in (lambda: next(store.read(key, version_id=gone)), lambda: store.stat(key, version_id=gone)):
            with pytest.raises(NotFoundError, match=r"404: .*replaced or removed, and the bucket does not keep"):
                call()


@pytest.mark.parametrize("key", ["", ".", "..", "line\nbreak", "line\rbreak", "é" * 513, "\ud800"])
def test_a_key_that_the_service_cannot_hold_is_refused_before_sending(store, proxy, key) -> None:
    chunks = iter([b"unread"])
    with pytest.raises(InvalidKeyError):
        store.write(key, chunks)
    for call in (store.stat, store.delete, lambda key: next(store.read(key))):
        with pytest.raises(InvalidKeyError):
            call(key)
    assert (list(chunks), proxy.requests) == ([b"unread"], [])


def test_no_credentials() -> None:
    with pytest.raises(CredentialsError, match="gcloud auth application-default login"):
        open_store("gs://bucket")


@pytest.mark.parametrize(
    "file", ["{}", "nonsense", "[]", '{"type": "unheard-of"}', '{"type": "service_account"}', None]
)
def test_credentials_that_are_none(monkeypatch, tmp_path, file) -> None:
    if file is not None:
        (tmp_path / "key.json").write_text(file)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(ValueError, match=r"^GOOGLE_APPLICATION_CREDENTIALS: .*key\.json") as refused:
        open_store("gs://bucket")
    assert not isinstance(refused.value, StoreError)


def test_signing_needs_a_key_that_signs(store, proxy, key, monkeypatch, tmp_path) -> None:
    with pytest.raises(UnsupportedError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        store.presign(key, expires=60)
    (tmp_path / "key.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    with pytest.raises(CredentialsError, match=r"key\.json"):
        store.presign(key, expires=60)
    assert proxy.requests == []


def test_what_signs_is_made_once(store, proxy, monkeypatch, tmp_path) -> None:
    (tmp_path / "key.json").write_text(json.dumps(service_account()))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    urls = [store.presign("first", expires=60)]
    (tmp_path / "key.json").unlink()
    urls.append(store.presign("second", expires=60))
    assert [urllib.parse.urlsplit(url).path.rpartition("/")[2] for url in urls] == ["first", "second"]
    assert all("me%40example.com" in url for url in urls)
    assert proxy.requests == []


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['gcsfs'] = None\n"
        "from keystow.backends import MissingExtraError, open_store\n"
        "try: open_store('gs://bucket')\nexcept MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "keystow[gcs]" in done.stdout


# -- sessions: the emulator appends whatever it is sent, so this is the protocol as Google documents it


class Sessions(Loopback):
    """One resumable upload at a time; ``script`` says what is done with each request to the session, then ``take``.

    ``lose`` takes and does not answer, a number takes so many bytes only, ``503`` as text takes nothing; ``hold`` takes
    and does not end.
    """

    def __init__(self) -> None:
        self.script: list[str | int] = []
        self.ranges: list[str] = []
        self.taken = bytearray()
        self.made: bytes | None = None
        self.exists = False
        self.crc32c = crc32c_of(LARGE)
        self.begun: list[str] = []
        self.ended = 0
        self.resource: dict = {}
        super().__init__(SessionHandler)


class SessionHandler(QuietHandler):
    server: Sessions

    def do_POST(self) -> None:  # noqa: N802
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "upload_id=" not in self.path:
            self.server.begun.append(self.path)
            self.server.resource = json.loads(body)
            self.reply(200, b"", {"Location": f"{self.server.url}/session?upload_id=s3cr3t"})
            return
        self.server.ranges.append(self.headers["Content-Range"])
        order = self.server.script.pop(0) if self.server.script else "take"
        if order in {"404", "410", "503"}:
            self.reply(int(order), b"busy")
            return
        if order == "hold":
            self.server.taken += body
            self.reply(308, b"", {"Range": f"bytes=0-{len(self.server.taken) - 1}"})
            return
        answer = self._take(body, order if isinstance(order, int) else len(body))
        if order == "lose":
            self.close_connection = True
        else:
            self.reply(*answer)

    def _take(self, body: bytes, most: int) -> tuple[int, bytes, dict[str, str]]:
        span, total = self.headers["Content-Range"].removeprefix("bytes ").split("/")
        taken = self.server.taken
        if span != "*":
            if int(span.split("-")[0]) != len(taken):
                return 400, b"out of order", {}
            taken += body[:most]
        if total == "*" or len(taken) != int(total):
            return 308, b"", {"Range": f"bytes=0-{len(taken) - 1}"} if taken else {}
        if self.server.exists:
            return 412, b"", {}
        if self.server.made is None and "X-Goog-Hash" not in self.headers:
            return 400, b"no checksum", {}
        self.server.made = bytes(taken)
        return 200, self._described(), {}

    def _described(self):
        size, generation = str(len(self.server.made)), {"generation": "7", "etag": "e"}
        return json.dumps(self.server.resource | generation | {"size": size, "crc32c": self.server.crc32c}).encode()

    def do_GET(self) -> None:  # noqa: N802
        if self.server.exists:
            self.reply(200, b'{"name": "a/key", "metadata": {"keystow-write": "somebody else\'s"}}')
        elif self.server.made is None:
            self.reply(404, b"Not Found")
        else:
            self.reply(200, self._described())

    def do_DELETE(self) -> None:  # noqa: N802
        self.server.ended += "upload_id=s3cr3t" in self.path
        self.reply(499, b"")


@pytest.fixture
def sessions():
    with Sessions() as running:
        yield running


@pytest.fixture
def opened(sessions):
    with contextlib.closing(open_store("gs://bucket", endpoint=sessions.url)) as store:
        yield store


@pytest.fixture
def upload(opened):
    return lambda chunks=(LARGE,): opened.write("a/key", chunks, if_absent=True)


SECOND = f"bytes {PART}-{2 * PART - 1}/*"
LAST = f"bytes {2 * PART}-{len(LARGE) - 1}/{len(LARGE)}"


@pytest.mark.parametrize(
    ("script", "again"),
    [
        ([], []),
        (["take", 256 << 10], [f"bytes {PART + (256 << 10)}-{2 * PART - 1}/*"]),
        (["take", "take", 3], [f"bytes {2 * PART + 3}-{len(LARGE) - 1}/{len(LARGE)}"]),
        (["take", "503"], ["bytes */*", SECOND]),
        (["503", "503"], ["bytes */*", "bytes */*", f"bytes 0-{PART - 1}/*"]),
        (["take", "lose"], ["bytes */*"]),
        (["take", "lose", "503"], ["bytes */*", "bytes */*"]),
        (["take", "take", "503"], [f"bytes */{len(LARGE)}", LAST]),
        (["take", "take", "lose"], [f"bytes */{len(LARGE)}"]),
        (["take", "take", "lose", "lose"], [f"bytes */{len(LARGE)}"] * 2),
        (["take", 0], ["bytes */*", SECOND]),
        (["take", "take", "hold"], [f"bytes */{len(LARGE)}"]),
        (["take", "take", "hold", "503"], [f"bytes */{len(LARGE)}"] * 2),
    ],
    ids=str,
)
def test_a_session_that_stumbles_is_carried_on(sessions, upload, script, again) -> None:
    sessions.script = list(script)
    written = upload()
    assert sessions.made == LARGE
    assert (written.size, written.version_id) == (len(LARGE), "7")
    assert sorted(sessions.ranges) == sorted([f"bytes 0-{PART - 1}/*", SECOND, LAST, *again])
    assert (len(sessions.begun), sessions.ended) == (1, 0)


@pytest.mark.parametrize("script", [[], ["503"], ["lose"], ["lose", "lose", "410"]], ids=str)
def test_an_empty_end_makes_the_object(sessions, opened, script) -> None:
    body = bytes(2 * PART)
    sessions.script, sessions.crc32c = ["take", "take", *script], crc32c_of(body)
    assert opened.write("a/key", [body], if_absent=True).size == len(body)
    assert sessions.made == body
    assert set(sessions.ranges[2:]) == {f"bytes */{len(body)}"}


@pytest.mark.parametrize(
    "lost", [["lose"] * TRIES, ["lose", *["503"] * (TRIES - 1)], ["lose", "410"]], ids=["all", "busy", "gone"]
)
@pytest.mark.parametrize("if_absent", [False, True])
def test_an_object_that_a_session_made_is_found(sessions, opened, lost, if_absent) -> None:
    sessions.script = ["take", "take", *lost]
    written = opened.write("a/key", [LARGE], if_absent=if_absent)
    assert (sessions.made, written.confirmed, written.version_id) == (LARGE, "stat", "7")


def test_an_object_that_is_ours_and_not_what_was_sent(sessions, opened) -> None:
    """As an emulator makes one that takes the question how far a session is for its end."""
    sessions.script, sessions.crc32c = ["take", "take", *["lose"] * TRIES], crc32c_of(b"x")
    with pytest.raises(UnknownOutcomeError, match="not Google's"):
        opened.write("a/key", [LARGE])


@pytest.mark.parametrize("status", ["404", "410"])
@pytest.mark.parametrize("before", [[], ["take"], ["take", "take"]], ids=len)
def test_a_session_that_is_gone_says_so(sessions, upload, status, before) -> None:
    sessions.script = [*before, *[status] * 9]
    with pytest.raises(StoreError, match=f"{status}: .*the session of the upload is gone: publish again") as refused:
        upload()
    assert type(refused.value) is StoreError


def test_a_session_that_takes_next_to_nothing_is_given_up(sessions, upload) -> None:
    sessions.script = [1] * 10_000
    with pytest.raises(StoreError, match="hardly any progress"):
        upload()
    assert len(sessions.ranges) < 100


@pytest.mark.parametrize("order", ["503", 0], ids=["busy", "takes nothing"])
def test_a_session_that_gets_nowhere_is_given_up(sessions, upload, order) -> None:
    sessions.script = ["take"] + [order] * 40
    with pytest.raises(StoreUnavailableError) as refused:
        upload()
    assert (sessions.made, sessions.ended) == (None, 1)
    assert "s3cr3t" not in told(refused.value)


@pytest.mark.parametrize("script", [[], ["take", "take", "lose"]], ids=["told", "lost"])
def test_a_condition_that_fails_at_the_end(sessions, upload, script) -> None:
    sessions.exists, sessions.script = True, list(script)
    with pytest.raises(AlreadyExistsError, match="gs://bucket/a/key: already exists"):
        upload()
    assert "ifGenerationMatch=0" in sessions.begun[0]
    assert (sessions.made, sessions.ended) == (None, 1)


def test_a_session_is_ended_when_the_chunks_raise(sessions, upload) -> None:
    def breaking():
        yield LARGE
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more") as raised:
        upload(breaking())
    assert (sessions.made, sessions.ended, told(raised.value)) == (None, 1, "no more")


def test_nothing_is_begun_when_the_chunks_raise_early(sessions, upload) -> None:
    def breaking():
        yield LARGE[: PART + 1]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        upload(breaking())
    assert sessions.begun == []


def test_a_session_is_no_secret_that_is_told(sessions, upload) -> None:
    def stopping():
        yield LARGE[: 2 * PART]
        sessions.stop()
        yield LARGE

    with pytest.raises(StoreUnavailableError) as refused:
        upload(stopping())
    assert "could not be ended" in told(refused.value)
    assert "s3cr3t" not in told(refused.value)
