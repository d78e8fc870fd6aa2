"""Credentials that are given in code to a store of S3: those are used and no others, and nobody sees them."""

import contextlib
import copy
import dataclasses
import datetime as dt
import itertools
import json
import logging
import pickle
import threading
import time
import urllib.parse
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import fsspec.config
import pytest
from botocore.credentials import RefreshableCredentials
from children import forked
from holding import everything
from lying import Liar, Lie
from metadata import InstanceMetadata

from keystow import S3Credentials
from keystow.backends import AccessDeniedError, CredentialsError, StoreError, expiry_of, open_store
from keystow.backends.credentials import check_credentials
from keystow.backends.s3.provided import Provided
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.backends.texts import presentable
from keystow.testing.servers import COMPUTE_NODE_POLICY, Credentials, FaultProxy, Moto

pytestmark = pytest.mark.slow

PART = part_size(1)
KEY_ID = "AKIAMARKEDIDOFTESTS0"
SECRET = "MARKEDsecret+in/code/0001"
TOKEN = "MARKEDtoken+in/code/0002=="
WRONG = Credentials("AKIAWRONGWRONGWRONG0", "wrong-secret-of-the-tests")
OPERATIONS = {
    "read": lambda store, key: list(store.read(key)),
    "list": lambda store, key: list(store.list(key)),
    "stat": lambda store, key: store.stat(key),
    "put": lambda store, key: store.write(key, [b"x"]),
    "multipart": lambda store, key: store.write(key, iter([bytes(PART), b"x"])),
    "delete": lambda store, key: store.delete(key),
}


@pytest.fixture(params=["fsspec", "obstore"])
def engine(request):
    return request.param


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(repeating, "PAUSES", ())


@pytest.fixture
def opened(engine):
    with contextlib.ExitStack() as stack:

        def open_one(bucket, endpoint, credentials, **options):
            store = open_store(f"s3://{bucket}", endpoint=endpoint, engine=engine, credentials=credentials, **options)
            return stack.enter_context(contextlib.closing(store))

        yield open_one


def ours(server):
    return S3Credentials(server.access_key, server.secret_key)


def aged(provided, *instants):
    """``provided``, as it is once these ``instants`` of what it holds have passed."""
    ago = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    provided._held = provided._held._replace(**dict.fromkeys(instants, ago))


def ends_in(seconds, who=WRONG, token=None):
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return S3Credentials(who.access_key, who.secret_key, token, expires_at=end)


# -- whose they are


@pytest.mark.parametrize("elsewhere", ["variables", "files", "fsspec", "role"])
def test_they_are_used_whatever_stands_elsewhere(
    opened, seaweed, bucket, login, monkeypatch, tmp_path, elsewhere
) -> None:
    if elsewhere == "variables":
        login(WRONG)
        monkeypatch.setenv("AWS_SESSION_TOKEN", "wrong-token-of-the-tests")
    if elsewhere == "files":
        (tmp_path / "credentials").write_text(
            f"[default]\naws_access_key_id = {WRONG.access_key}\naws_secret_access_key = {WRONG.secret_key}\n"
        )
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    if elsewhere == "fsspec":
        conf = {"key": WRONG.access_key, "secret": WRONG.secret_key, "token": "t", "anon": True}
        monkeypatch.setitem(fsspec.config.conf, "s3", conf)
    with InstanceMetadata(WRONG) as metadata:
        if elsewhere == "role":
            monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url)
        store, key = opened(bucket, seaweed.endpoint, ours(seaweed)), f"whose/{uuid.uuid4().hex}"
        store.write(key, [b"hello"])
        assert b"".join(store.read(key)) == b"hello"
        assert [found.key for found in store.list(key)] == [key]
        store.write(key, iter([bytes(PART), b"x"]))
        assert store.stat(key).size == PART + 1
        with urllib.request.urlopen(store.presign(key, expires=60)) as answer:
            assert len(answer.read()) == PART + 1
        store.delete(key)
        assert metadata.count == 0


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_ones_are_refused_although_right_ones_stand_in_the_environment(
    opened, seaweed, bucket, login, operation
) -> None:
    login(seaweed)
    store = opened(bucket, seaweed.endpoint, S3Credentials(*WRONG))
    with pytest.raises((CredentialsError, AccessDeniedError)) as refused:
        OPERATIONS[operation](store, "a/key")
    assert WRONG.secret_key not in everything(refused.value)


def test_a_url_is_signed_by_them(opened, seaweed, bucket, login) -> None:
    login(seaweed)
    credentials = S3Credentials(KEY_ID, SECRET, TOKEN)
    for method in ("GET", "PUT"):
        url = opened(bucket, seaweed.endpoint, credentials).presign("a/key", expires=60, method=method)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        assert query["X-Amz-Credential"].startswith(f"{KEY_ID}/")
        assert query["X-Amz-Security-Token"] == TOKEN


def renewed(end):
    """Credentials of botocore's that end then, and are not to be renewed yet."""
    return RefreshableCredentials(KEY_ID, SECRET, TOKEN, end, lambda: pytest.fail("it is not time"), "a test")


@pytest.mark.parametrize("given", [lambda end: S3Credentials(KEY_ID, SECRET, TOKEN, expires_at=end), renewed])
def test_a_url_ends_with_them(opened, given) -> None:
    end = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    store = opened("bucket", "http://127.0.0.1:9", given(end))
    assert end - dt.timedelta(seconds=3) <= expiry_of(store.presign("a/key", expires=dt.timedelta(days=7))) <= end
    assert expiry_of(store.presign("a/key", expires=60)) <= dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)


def test_the_endpoint_and_the_region_are_still_those_of_the_environment(
    opened, seaweed, bucket, monkeypatch, tmp_path
) -> None:
    (tmp_path / "config").write_text(f"[default]\nregion = eu-north-1\nendpoint_url = {seaweed.endpoint}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    store = opened(bucket, None, ours(seaweed))
    assert (store.endpoint, store.region) == (seaweed.endpoint, "eu-north-1")
    assert store.write("a/key", [b"x"]).size == 1


@pytest.mark.server
def test_a_second_opinion(opened) -> None:
    with Moto() as moto, FaultProxy(moto.endpoint) as proxy:
        store = opened(moto.make_bucket(), proxy.url, S3Credentials(KEY_ID, SECRET, TOKEN))
        store.write("a/key", iter([bytes(PART), b"x"]))
        assert b"".join(store.read("a/key", start=PART)) == b"x"
        assert {asked.headers["x-amz-security-token"] for asked in proxy.requests} == {TOKEN}
        assert all(f"Credential={KEY_ID}/" in asked.headers["authorization"] for asked in proxy.requests)


# -- who gives them anew


def test_a_provider_is_asked_again_once_they_end(opened, seaweed, bucket) -> None:
    """The first may write and no more; who asked for others may look, too."""
    few = seaweed.user(COMPUTE_NODE_POLICY(bucket))
    first, key = ends_in(2, few), f"renewed/{uuid.uuid4().hex}"
    given = iter([first, ours(seaweed)])
    store = opened(bucket, seaweed.endpoint, lambda: next(given))
    store.write(key, [b"x"])
    time.sleep(max(0, (first.expires_at - dt.datetime.now(dt.UTC)).total_seconds()))
    assert store.stat(key).size == 1
    assert b"".join(store.read(key)) == b"x"
    with urllib.request.urlopen(store.presign(key, expires=60)) as answer:
        assert answer.read() == b"x"


def test_one_without_an_end_is_asked_once(opened, seaweed, bucket) -> None:
    asked = []
    store = opened(bucket, seaweed.endpoint, lambda: asked.append(1) or ours(seaweed))
    for number in range(3):
        store.write(f"once/{number}", [b"x"])
    store.presign("once/0", expires=60)
    assert len(asked) == 1


def test_ahead_of_the_end_one_asks_and_the_others_go_on() -> None:
    going, asked = threading.Event(), []

    def give():
        asked.append(threading.current_thread())
        if len(asked) == 1:
            return ends_in(3600)
        assert going.wait(60)
        return ends_in(3600, Credentials(KEY_ID, SECRET))

    provided = Provided(give)
    aged(provided, "renewal")
    before = provided.latest
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(provided)
        while len(asked) < 2:
            time.sleep(0.001)
        assert provided() is before
        going.set()
        assert renewing.result()["access_key_id"] == KEY_ID
    assert provided()["access_key_id"] == KEY_ID
    assert len(asked) == 2


def test_where_nothing_holds_any_more_all_wait_for_the_one_who_asks() -> None:
    going, asked = threading.Event(), []

    def give():
        asked.append(threading.current_thread())
        assert len(asked) == 1 or going.wait(60)
        return ends_in(3600, Credentials(KEY_ID, SECRET) if len(asked) > 1 else WRONG)

    provided = Provided(give)
    aged(provided, "renewal", "end")
    with ThreadPoolExecutor(16) as pool:
        found = [pool.submit(lambda: provided()["access_key_id"]) for _ in range(16)]
        while len(asked) < 2:
            time.sleep(0.001)
        going.set()
        assert {one.result() for one in found} == {KEY_ID}
    assert len(asked) == 2


def test_a_provider_that_fails_is_no_matter_while_they_hold() -> None:
    given = iter([ends_in(3600)])
    provided = Provided(lambda: next(given))
    aged(provided, "renewal")
    assert provided()["access_key_id"] == WRONG.access_key
    aged(provided, "renewal", "end")
    with pytest.raises(CredentialsError, match="the provider of credentials failed: StopIteration"):
        provided()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_wait_for_a_thread_that_is_not_in_it() -> None:
    going, asked = threading.Event(), []

    def give():
        asked.append(1)
        assert len(asked) != 2 or going.wait(60)
        return ends_in(3600, Credentials(KEY_ID, SECRET))

    provided = Provided(give)
    aged(provided, "renewal", "end")
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(provided)
        while len(asked) < 2:
            time.sleep(0.001)
        said = forked(lambda: provided()["access_key_id"])
        assert said() == KEY_ID
        going.set()
        renewing.result()


def test_they_are_renewed_some_minutes_ahead_or_half_way() -> None:
    for lasting, ahead in ((3600, 300), (600, 300), (100, 50)):
        held = Provided(ends_in(lasting))._held
        assert (held.end - held.renewal).total_seconds() == pytest.approx(ahead, abs=5)


class Later(dt.datetime):
    """An hour and more from now, by its own clock."""

    @classmethod
    def now(cls, tz=None):
        return dt.datetime.now(tz) + dt.timedelta(hours=1, seconds=1)


def test_what_ended_is_not_sent(engine, monkeypatch) -> None:
    with Liar(lambda asked: Lie()) as liar:
        for given in (ends_in(-1), lambda: ends_in(-1)):
            with pytest.raises(CredentialsError, match=r"the credentials ended at \d{4}-\d\d-\d\dT.*Z: "):
                open_store("s3://bucket", endpoint=liar.url, engine=engine, credentials=given)
        held = ends_in(3600)
        with contextlib.closing(open_store("s3://bucket", endpoint=liar.url, engine=engine, credentials=held)) as store:
            monkeypatch.setattr("keystow.backends.s3.provided.datetime", Later)
            for operation in OPERATIONS.values():
                with pytest.raises(CredentialsError, match="ended at"):
                    operation(store, "a/key")
            with pytest.raises(CredentialsError, match="ended at"):
                store.presign("a/key", expires=60)
        assert liar.asked == []


def test_botocores_own_renew_themselves(opened, seaweed, bucket) -> None:
    from botocore.credentials import Credentials as Fixed
    from botocore.credentials import RefreshableCredentials

    asked = []

    def refresh():
        asked.append(1)
        end = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
        keys = {"access_key": seaweed.access_key, "secret_key": seaweed.secret_key, "token": None}
        return {**keys, "expiry_time": end}

    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    renewed = RefreshableCredentials("id", "wrong-secret", None, long_ago, refresh, "tests")
    for given in (Fixed(seaweed.access_key, seaweed.secret_key), renewed):
        store = opened(bucket, seaweed.endpoint, given)
        store.write("botocore/key", [b"x"])
        assert b"".join(store.read("botocore/key")) == b"x"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("give", "says"),
    [
        (lambda: None, "gave NoneType: have it give S3Credentials"),
        (lambda: {"secret": SECRET}, "gave dict: have it give S3Credentials"),
        (lambda: S3Credentials("", SECRET), "failed: ValueError: access_key_id is no text"),
        (lambda: {}[SECRET], "failed: KeyError"),
    ],
)
def test_a_provider_that_gives_something_else(engine, give, says) -> None:
    S3Credentials(KEY_ID, SECRET)  # which is a secret from now on
    with Liar(lambda asked: Lie()) as liar, pytest.raises(CredentialsError, match=says) as refused:
        open_store("s3://bucket", endpoint=liar.url, engine=engine, credentials=give)
    assert liar.asked == []
    assert "MARKED" not in everything(refused.value)
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)


def test_a_provider_that_is_awaited(engine) -> None:
    async def give():
        return S3Credentials(KEY_ID, SECRET)

    class Giving:
        async def __call__(self):
            return S3Credentials(KEY_ID, SECRET)

    class Botocores:
        async def get_frozen_credentials(self): ...

    for given in (give, Giving(), Botocores()):
        with pytest.raises(ValueError, match="has to be awaited"):
            open_store("s3://bucket", endpoint="http://127.0.0.1:9", engine=engine, credentials=given)


# -- what a store takes


class _Token:
    def get_token(self, *scopes, **options): ...


GIVEN = {
    "keys": S3Credentials(KEY_ID, SECRET),
    "provider": lambda: S3Credentials(KEY_ID, SECRET),
    "azure": _Token(),
    "text": SECRET,
    "mapping": {"key": SECRET},
    "class": S3Credentials,
}
TAKEN = {"s3": {"keys", "provider"}, "gs": set(), "az": {"azure"}, "file": set(), "memory": set(), "sftp": set()}
PLACES = {"file": "file:///nowhere", "sftp": "sftp://user@127.0.0.1/directory"}


@pytest.mark.parametrize("protocol", TAKEN)
@pytest.mark.parametrize("name", GIVEN)
def test_what_is_not_for_a_store_is_refused_before_anything_is_sent(protocol, name) -> None:
    given = GIVEN[name]
    if name in TAKEN[protocol]:
        check_credentials(protocol, given, None)
        return
    with pytest.raises(ValueError, match=f"^{protocol}:// takes ") as refused:
        open_store(PLACES.get(protocol, f"{protocol}://bucket"), credentials=given)
    assert not isinstance(refused.value, StoreError)
    assert "MARKED" not in everything(refused.value)


@pytest.mark.parametrize("protocol", ["gs", "az", "file", "memory"])
def test_a_profile_is_for_s3(protocol) -> None:
    with pytest.raises(ValueError, match="which are AWS's"):
        open_store(PLACES.get(protocol, f"{protocol}://bucket"), profile="lab")


def test_credentials_or_a_profile() -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        open_store("s3://bucket", credentials=S3Credentials(KEY_ID, SECRET), profile="lab")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", SECRET), "access_key_id"),
        ((None, SECRET), "access_key_id"),
        ((KEY_ID, f"{SECRET}\n"), "secret_access_key"),
        ((KEY_ID, SECRET.encode()), "secret_access_key"),
        ((KEY_ID, f"{SECRET}é"), "secret_access_key"),
        ((KEY_ID, SECRET, ""), "session_token"),
        ((KEY_ID, SECRET, f"{TOKEN}\r\nHost: evil"), "session_token"),
    ],
)
def test_what_no_request_can_hold(arguments, says) -> None:
    with pytest.raises(ValueError, match=f"^{says} is no text that a request can hold") as refused:
        S3Credentials(*arguments)
    assert "MARKED" not in everything(refused.value)


def test_an_end_has_a_time_zone() -> None:
    with pytest.raises(ValueError, match="expires_at has no time zone"):
        S3Credentials(KEY_ID, SECRET, expires_at=dt.datetime(2030, 1, 1))  # noqa: DTZ001


# -- who sees them


@dataclasses.dataclass
class Configuration:
    credentials: S3Credentials


def test_they_show_themselves_to_nobody() -> None:
    credentials = S3Credentials(KEY_ID, SECRET, TOKEN)
    shown = [
        repr(credentials),
        str(credentials),
        f"{credentials}",
        f"{[credentials]!r}",
        repr(Configuration(credentials)),
    ]
    assert shown[0] == "S3Credentials('…STS0')"
    assert repr(S3Credentials("short", SECRET)) == "S3Credentials(…)"
    assert not any(secret in text for text in shown for secret in (SECRET, TOKEN, KEY_ID))
    for number in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            pickle.dumps(credentials, number)
    for copying in (copy.copy, copy.deepcopy, vars, json.dumps, lambda one: dataclasses.asdict(Configuration(one))):
        with pytest.raises(TypeError) as refused:
            copying(credentials)
        assert "MARKED" not in everything(refused.value)
    with pytest.raises(AttributeError):
        credentials.secret_access_key = "another"
    with pytest.raises(AttributeError):
        del credentials.session_token
    assert credentials.secret_access_key == SECRET


def echo(asked, status):
    """What the request had in it, and the key, wherever an answer has room for it."""
    token = asked.headers["x-amz-security-token"]
    said = "&#10;".join(f"{name}: {value}" for name, value in asked.headers.items()).replace("<", "")
    error = f"<Code>{token}</Code><Message>{said} {SECRET}</Message><RequestId>{SECRET}</RequestId>"
    return Lie(
        status, {"x-amz-request-id": token, "Location": f"http://u:{SECRET}@h/"}, f"<Error>{error}</Error>".encode()
    )


def test_a_server_that_echoes_them(engine, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    given = {"fixed": S3Credentials(KEY_ID, SECRET, TOKEN)}
    given["provider"] = lambda: given["fixed"]
    with Liar(lambda asked: echo(asked, 403)) as liar:
        for name, operation in itertools.product(given, OPERATIONS.values()):
            with contextlib.closing(
                open_store("s3://bucket", endpoint=liar.url, engine=engine, credentials=given[name])
            ) as store:
                for status in (307, 400, 403, 404, 412):
                    liar.answer = lambda asked, status=status: echo(asked, status)
                    with pytest.raises(StoreError) as refused:
                        operation(store, "a/key")
                    assert "MARKED" not in everything(refused.value).replace(KEY_ID, "")
                held = [repr(store), repr(vars(store)), repr(vars(store._bucket)), repr(vars(store._bucket._carriers))]
        assert {asked.headers["x-amz-security-token"] for asked in liar.asked} == {TOKEN}
    told = "\n".join(f"{record.getMessage()} {record.exc_text} {record.__dict__}" for record in caplog.records)
    for secret in (SECRET, TOKEN):
        assert secret not in told
        assert not any(secret in text for text in held)


def test_a_key_is_masked_from_the_moment_it_is_given() -> None:
    secret = f"MARKED-{uuid.uuid4().hex}"
    assert secret in presentable(f"it said {secret}")
    S3Credentials(KEY_ID, secret)
    assert presentable(f"it said {secret}") == "it said …"
