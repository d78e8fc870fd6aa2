"""Azure Blob Storage alone: what is requested and what is not, answers that get lost, and how an account is opened."""

import base64
import contextlib
import hashlib
import subprocess
import sys
import threading
import uuid

import pytest
from counting import Counting

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
from keystow.backends.azure.answers import MARK
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.testing.servers import Azurite, FaultProxy
from keystow.testing.servers.proxy import ProxyHandler

pytestmark = pytest.mark.server

PART = part_size(1)
LARGE = bytes(range(256)) * (2 * PART // 256) + b"the end"
BODIES = pytest.mark.parametrize("body", [b"", b"small", LARGE], ids=["empty", "put", "blocks"])
KINDS = pytest.mark.parametrize("body", [b"small", LARGE], ids=["put", "blocks"])
TRIES = len(repeating.PAUSES) + 1


def is_put(method, path):
    return method == "PUT" and "comp=" not in path


def is_block(method, path):
    return method == "PUT" and "comp=block&" in f"{path}&"


def is_commit(method, path):
    return method == "PUT" and "comp=blocklist" in path


def decides(method, path):
    return is_put(method, path) or is_commit(method, path)


def is_look(method, path):
    return method == "HEAD"


def kinds_of(proxy):
    known = {"put": is_put, "block": is_block, "commit": is_commit, "look": is_look}
    return [
        next((name for name, matches in known.items() if matches(one.method, one.path)), one.method)
        for one in proxy.requests
    ]


def fetched(store, key):
    return b"".join(store.read(key))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(repeating, "PAUSES", (0.01,) * (TRIES - 1))


@pytest.fixture(autouse=True)
def no_account(monkeypatch, clean_environment):
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "CLIENT_ID", "ANON"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture(scope="module")
def container(server):
    return server.make_container()


@pytest.fixture
def opened(monkeypatch):
    with contextlib.ExitStack() as stack:

        def connect(container, connection=None, **options):
            if connection is not None:
                monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
            return stack.enter_context(contextlib.closing(open_store(f"az://{container}", **options)))

        yield connect


@pytest.fixture
def proxy(server):
    with FaultProxy(server.endpoint) as running:
        yield running


@pytest.fixture
def store(opened, proxy, server, container):
    return opened(container, server.connection_string_at(proxy.url))


@pytest.fixture
def properties(server, container, key):
    """What the service itself says of the blob."""
    from azure.storage.blob import BlobClient

    def ask():
        with BlobClient.from_connection_string(server.connection_string, container, key) as blob:
            return blob.get_blob_properties()

    return ask


@pytest.fixture
def key():
    return f"dir/{uuid.uuid4().hex}"


@BODIES
def test_a_type_and_metadata_arrive(store, key, properties, body) -> None:
    written = store.write(key, [body], content_type="application/x-tar", metadata={"job": "j-1", "Stage": "two"})
    found = properties()
    assert found.content_settings.content_type == "application/x-tar"
    assert found.metadata == {"job": "j-1", "Stage": "two", MARK: found.metadata[MARK]}
    assert (found.size, found.etag.strip('"')) == (len(body), written.etag)


@pytest.mark.parametrize("if_absent", [False, True])
@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (b"", ["put"]),
        (b"small", ["put"]),
        (LARGE[: 1 << 20], ["put"]),
        (LARGE[: (1 << 20) + 1], ["block", "commit"]),
        (LARGE, ["block", "block", "block", "commit"]),
    ],
    ids=["empty", "small", "1 MiB", "1 MiB + 1", "large"],
)
def test_a_write_writes_and_does_nothing_else(store, proxy, key, body, kinds, if_absent) -> None:
    written = store.write(key, [body], if_absent=if_absent)
    assert kinds_of(proxy) == kinds
    conditions = [one.headers.get("if-none-match") for one in proxy.requests]
    assert conditions == [None] * (len(kinds) - 1) + ["*" if if_absent else None]
    assert written.confirmed == "checksum"


@KINDS
def test_each_request_carries_the_md5_of_its_bytes(store, proxy, key, body) -> None:
    store.write(key, [body])
    pieces = [LARGE[:PART], LARGE[PART : 2 * PART], LARGE[2 * PART :]] if body is LARGE else [body]
    sent = {one.headers["content-md5"] for one in proxy.requests if not is_commit(one.method, one.path)}
    assert sent == {base64.b64encode(hashlib.md5(piece).digest()).decode() for piece in pieces}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "blocks", "ranges"), [({"concurrency": 1}, 1, 1), ({"memory": 16 << 20}, 2, 4), ({"memory": 1}, 1, 1)]
)
def test_no_more_are_under_way_than_may_be(opened, server, container, key, given, blocks, ranges) -> None:
    content = bytes(40 << 20)
    with Counting(server.endpoint) as proxy:
        proxy.seconds = 0.2
        store = opened(container, server.connection_string_at(proxy.url), **given)
        assert proxy.most_of(lambda: store.write(key, [content]), blocks)[1] == blocks
        read, highest = proxy.most_of(lambda: b"".join(store.read(key)), ranges)
        assert (highest, read == content) == (ranges, True)


@KINDS
def test_a_byte_that_changes_on_the_way_is_refused(store, proxy, key, body) -> None:
    class Corrupts(ProxyHandler):
        def _exactly(self, size):
            for piece in super()._exactly(size):
                yield piece if b"<?xml" in piece else bytes([piece[0] ^ 1]) + piece[1:]

    store.write(key, [b"old"])
    proxy.RequestHandlerClass = Corrupts
    with pytest.raises(StoreError, match="400: "):
        store.write(key, [body])
    assert fetched(store, key) == b"old"


def test_blocks_go_up_together_and_while_others_are_made(opened, server, container, key) -> None:
    pair, sent = threading.Barrier(2, timeout=60), threading.Event()

    class Pairs(FaultProxy):
        """Holds a block back until another one is there too."""

        @contextlib.contextmanager
        def turn(self, method, path):
            if is_block(method, path):
                pair.wait()
                sent.set()
            yield

    def chunks():
        yield bytes(3 * PART)
        assert sent.wait(60), "nothing was sent while there was more to come"
        yield bytes(PART)

    with Pairs(server.endpoint) as proxy:
        store = opened(container, server.connection_string_at(proxy.url))
        assert store.write(key, chunks()).size == 4 * PART
        assert kinds_of(proxy) == ["block"] * 4 + ["commit"]
    assert not pair.broken


# -- servers that fail, and answers that get lost


@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize(("body", "matches"), [(b"x", is_put), (LARGE, is_block), (LARGE, is_commit)])
def test_a_server_that_asks_for_patience_gets_it(store, proxy, key, body, matches, status) -> None:
    proxy.answer(matches, status)
    written = store.write(key, [body], if_absent=True)
    assert (written.size, written.confirmed) == (len(body), "checksum")
    statuses = [one.status for one in proxy.requests if matches(one.method, one.path)]
    assert statuses.count(status) == 1
    assert len(statuses) == (4 if matches is is_block else 2)


@pytest.mark.parametrize(("body", "matches"), [(b"x", is_put), (LARGE[: 2 << 20], is_block), (LARGE, is_commit)])
def test_a_server_that_stays_busy(store, proxy, key, body, matches) -> None:
    proxy.answer(matches, 503, headers={"x-ms-error-code": "ServerBusy"}, nth=None)
    with pytest.raises(StoreUnavailableError) as refused:
        store.write(key, [body])
    assert refused.value.code == "ServerBusy"
    assert [one.status for one in proxy.requests].count(503) == TRIES


def test_a_block_whose_answer_is_lost_is_sent_again(store, proxy, key) -> None:
    proxy.lose_answer(is_block)
    store.write(key, [LARGE], if_absent=True)
    assert kinds_of(proxy) == ["block"] * 4 + ["commit"]
    assert fetched(store, key) == LARGE


@KINDS
def test_our_own_object_is_no_refusal(store, proxy, key, body, properties) -> None:
    proxy.lose_answer(decides)
    written = store.write(key, [body], if_absent=True)
    assert (written.confirmed, written.etag) == ("stat", properties().etag.strip('"'))
    assert kinds_of(proxy)[-1] == "look"


@KINDS
def test_a_lost_answer_to_an_overwrite(store, proxy, key, body) -> None:
    store.write(key, [b"old"])
    proxy.lose_answer(decides)
    written = store.write(key, [body])
    assert fetched(store, key) == body
    assert written.etag == store.stat(key).etag


@KINDS
@pytest.mark.parametrize("if_absent", [False, True])
def test_an_object_whose_answers_are_all_lost_is_found(store, proxy, key, body, properties, if_absent) -> None:
    proxy.lose_answer(decides, nth=None)
    written = store.write(key, [body], if_absent=if_absent)
    assert (written.confirmed, written.etag) == ("stat", properties().etag.strip('"'))
    assert fetched(store, key) == body


@KINDS
def test_a_lost_answer_and_then_a_server_that_stays_busy(store, proxy, key, body, properties) -> None:
    proxy.lose_answer(decides)
    for nth in range(2, TRIES + 1):
        proxy.answer(decides, 503, nth=nth)
    assert store.write(key, [body]).etag == properties().etag.strip('"')


@KINDS
@pytest.mark.parametrize("there", [None, b"theirs"])
def test_a_write_that_did_not_arrive_fails(store, proxy, key, body, there) -> None:
    if there is not None:
        store.write(key, [there])
    proxy.drop(decides, nth=None)
    with pytest.raises(StoreUnavailableError) as refused:
        store.write(key, [body])
    assert not isinstance(refused.value, UnknownOutcomeError)
    assert refused.value.tries == TRIES


@KINDS
def test_an_overwrite_of_which_nobody_knows(store, proxy, key, body) -> None:
    proxy.lose_answer(decides, nth=None)
    proxy.answer(is_look, 503, nth=None)
    with pytest.raises(UnknownOutcomeError, match="503"):
        store.write(key, [body])
    assert kinds_of(proxy).count("look") == TRIES, "the look is tried again, too"


@KINDS
def test_somebody_elses_object_is_not_taken_for_ours(store, proxy, key, body) -> None:
    store.write(key, [body], if_absent=True)
    proxy.drop(decides)
    with pytest.raises(AlreadyExistsError):
        store.write(key, [body], if_absent=True)


@KINDS
def test_an_outcome_that_nobody_may_look_at(store, proxy, key, body) -> None:
    proxy.lose_answer(decides)
    proxy.answer(is_look, 403)
    with pytest.raises(UnknownOutcomeError, match="403"):
        store.write(key, [body], if_absent=True)


def test_another_writer_that_took_the_blocks(store, proxy, key) -> None:
    """A Put Blob in between discards what is staged, on the service if not on Azurite."""
    proxy.answer(is_commit, 400, headers={"x-ms-error-code": "InvalidBlockList"}, nth=None)
    with pytest.raises(ConflictError, match="another writer"):
        store.write(key, [LARGE])


@pytest.mark.parametrize("first", [b"", b"x", LARGE], ids=["early", "before a part", "after two"])
def test_chunks_that_raise_leave_the_old_object(store, proxy, key, first) -> None:
    def breaking():
        yield first
        raise RuntimeError("no more")

    store.write(key, [b"old"])
    proxy.clear()
    with pytest.raises(RuntimeError, match="no more"):
        store.write(key, breaking())
    assert "commit" not in kinds_of(proxy)
    assert "put" not in kinds_of(proxy)
    assert fetched(store, key) == b"old"


# -- what the service refuses


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidHeaderValue", StoreError),
        (401, "", CredentialsError),
        (403, "AuthenticationFailed", CredentialsError),
        (403, "AuthorizationPermissionMismatch", AccessDeniedError),
        (404, "ContainerNotFound", BucketNotFoundError),
        (404, "BlobNotFound", NotFoundError),
        (409, "BlobAlreadyExists", AlreadyExistsError),
        (412, "ConditionNotMet", AlreadyExistsError),
        (412, "", AlreadyExistsError),
        (429, "", StoreUnavailableError),
        (500, "InternalError", StoreUnavailableError),
        (503, "ServerBusy", StoreUnavailableError),
    ],
)
@pytest.mark.parametrize(("body", "matches"), [(b"x", is_put), (LARGE[: 2 << 20], is_commit)], ids=["put", "commit"])
def test_what_a_refusal_means(store, proxy, key, body, matches, status, code, kind) -> None:
    headers = {"x-ms-request-id": "id-7"} | ({"x-ms-error-code": code} if code else {})
    proxy.answer(matches, status, headers=headers, nth=None)
    with pytest.raises(kind) as refused:
        store.write(key, [body], if_absent=True)
    assert type(refused.value) is kind
    assert refused.value.request_id == "id-7"
    assert refused.value.code == (code or str(status)) or kind is AlreadyExistsError
    assert "id-7" in str(refused.value)


def test_what_is_not_there(store, opened, key) -> None:
    for call in (store.stat, lambda key: next(store.read(key))):
        with pytest.raises(NotFoundError) as refused:
            call(key)
        assert type(refused.value) is NotFoundError
    for body in (b"x", LARGE[: 2 << 20]):
        with pytest.raises(BucketNotFoundError, match="az://no-such-container/"):
            opened("no-such-container").write(key, [body])
    with pytest.raises(BucketNotFoundError, match="az://no-such-container/"):
        opened("no-such-container").delete(key)
    with pytest.raises(InvalidKeyError, match="half a character"):
        list(store.list("\ud800"))


@pytest.mark.parametrize("key", ["", "a\\b", "a//b", "/a", "a/", "a./b", "..", "a\x01", "\ud800", "\uffff"])
def test_a_key_that_the_service_cannot_hold_is_refused_before_sending(store, proxy, key) -> None:
    chunks = iter([b"unread"])
    with pytest.raises(InvalidKeyError):
        store.write(key, chunks)
    for call in (store.stat, store.delete, lambda key: next(store.read(key))):
        with pytest.raises(InvalidKeyError):
            call(key)
    assert (list(chunks), proxy.requests) == ([b"unread"], [])


# -- how an account is opened


def test_a_wrong_key_is_refused_and_not_told(opened, server, container, key) -> None:
    wrong = base64.b64encode(b"not the account's key, 32 bytes!").decode()
    store = opened(container, server.connection_string.replace(server.account_key, wrong))
    for body in (b"x", LARGE[: 2 << 20]):
        with pytest.raises(CredentialsError, match="AZURE_STORAGE_CONNECTION_STRING") as refused:
            store.write(key, [body])
        assert wrong not in str(refused.value)


@pytest.mark.parametrize("malformed", ["s3cr3t", "AccountName=a;AccountKey", "AccountKey=s3cr3t", "a=b;c=s3cr3t"])
def test_a_connection_string_that_is_none(opened, container, malformed) -> None:
    with pytest.raises(ValueError, match=r"^AZURE_STORAGE_CONNECTION_STRING") as refused:
        opened(container, malformed)
    assert not isinstance(refused.value, StoreError)
    assert "s3cr3t" not in str(refused.value)


def test_the_endpoint_is_enough_to_open_the_account_again(opened, server, container, key, monkeypatch) -> None:
    first = opened(container, server.connection_string)
    assert first.endpoint == server.account_url
    first.write(key, [b"here"])
    assert fetched(opened(container, endpoint=first.endpoint), key) == b"here"
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", server.account_key)
    again = opened(container, endpoint=first.endpoint)
    assert fetched(again, key) == b"here"
    assert again.endpoint == first.endpoint


def test_a_sas_is_enough_but_signs_nothing(opened, server, container, key, monkeypatch) -> None:
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    sas = generate_container_sas(
        server.account_name,
        container,
        account_key=server.account_key,
        permission=ContainerSasPermissions(read=True, write=True, create=True),
        expiry=datetime.now(UTC) + timedelta(minutes=5),
    )
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", sas)
    store = opened(container, endpoint=server.account_url)
    store.write(key, [LARGE], if_absent=True)
    assert fetched(store, key) == LARGE
    signature = sas.partition("sig=")[2].partition("&")[0]
    with pytest.raises(AlreadyExistsError) as refused:
        store.write(key, [b"x"], if_absent=True)
    assert signature not in str(refused.value)
    assert sas not in store.endpoint
    with pytest.raises(UnsupportedError, match="AZURE_STORAGE_ACCOUNT_KEY"):
        store.presign(key, expires=60)


def test_an_endpoint_without_credentials(opened, server, container) -> None:
    with pytest.raises(CredentialsError, match="AZURE_STORAGE_ACCOUNT_KEY"):
        opened(container, endpoint=server.account_url)


def test_no_credentials_at_all(opened, container) -> None:
    with pytest.raises(CredentialsError, match="az login"):
        opened(container)


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['adlfs'] = None\n"
        "from keystow.backends import MissingExtraError, open_store\n"
        "try: open_store('az://container')\nexcept MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "keystow[azure]" in done.stdout
