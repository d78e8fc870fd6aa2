"""How objects are written, said in each of the four ways; what is refused, and when; and keys of the caller's own."""

import base64
import contextlib
import datetime as dt
import re
import shlex
import urllib.parse
from pathlib import Path

import pytest
from commands import complaint, keystow
from lying import Liar, Lie

from keystow import (
    PublishedResult,
    Publisher,
    PublisherSpec,
    ResultError,
    SpecError,
    fetch,
    open_store,
    presign,
    publish,
    verify,
)
from keystow.backends import ObjectOptions, StoreError
from keystow.backends.options import TABLE, Instead
from keystow.command.parsing import read_call
from keystow.command.wording import as_options
from keystow.command.written import given_writing
from keystow.publishing import Destination
from keystow.stored import Access
from keystow.writing import PARAMS

KEY = bytes(range(32))
KEY_TEXT = base64.b64encode(KEY).decode()
UNTIL = dt.datetime(2030, 1, 31, tzinfo=dt.UTC)
SAID = {
    "encryption": ("aws:kms", "Encryption", "aws:kms", "--encryption aws:kms"),
    "kms_key": ("alias/results", "KMSKeyID", "alias/results", "--kms-key alias/results"),
    "encryption_context": (
        {"a": "b c", "d": ""},
        "EncryptionContext",
        "a=b+c&d=",
        "--encryption-context 'a=b c' --encryption-context d=",
    ),
    "storage_class": ("STANDARD_IA", "StorageClass", "STANDARD_IA", "--storage-class STANDARD_IA"),
    "tags": ({"a": "1", "b": "2"}, "Tags", "a=1&b=2", "--tag a=1 --tag b=2"),
    "metadata": ({"job": "j/1"}, "Metadata", "job=j%2F1", "--metadata job=j/1"),
    "content_type": ("text/csv", "ContentType", "text/csv", "--content-type text/csv"),
    "cache_control": ("no-store", "CacheControl", "no-store", "--cache-control no-store"),
    "content_disposition": ("attachment", "ContentDisposition", "attachment", "--content-disposition attachment"),
    "legal_hold": (True, "LegalHold", "true", "--legal-hold"),
}
LOCK = {"lock_mode": "governance", "retain_until": UNTIL}


def typed(text):
    return given_writing(read_call(["publish", "source", "s3://b/k", *shlex.split(text)], closed=()))


@pytest.mark.parametrize("name", SAID)
def test_the_four_ways_say_the_same(name) -> None:
    value, param, text, option = SAID[name]
    expected = ObjectOptions(**{name: value})
    assert Destination("s3://b/k", writing={name: value}).spec.options == expected
    assert (
        PublisherSpec.from_mapping({"Type": "s3", "Params": {"Bucket": "b", "Key": "k", param: text}}).options
        == expected
    )
    assert PublisherSpec.parse(f"s3://b/k,opt={param.lower()}={text}").options == expected
    assert ObjectOptions(**typed(option)) == expected


def test_a_lock_is_said_in_the_four_ways() -> None:
    expected = ObjectOptions(**LOCK)
    params = {"LockMode": "GOVERNANCE", "RetainUntil": "2030-01-31T00:00:00+00:00"}
    assert Destination("s3://b/k", writing=LOCK).spec.options == expected
    assert (
        PublisherSpec.from_mapping({"Type": "s3", "Params": {"Bucket": "b", "Key": "k", **params}}).options == expected
    )
    said = ",".join(f"opt={name}={value}" for name, value in params.items())
    assert PublisherSpec.parse(f"s3://b/k,{said}").options == expected
    assert ObjectOptions(**typed("--lock-mode governance --retain-until 2030-01-31T00:00:00+00:00")) == expected


def test_every_option_can_be_said_in_every_way() -> None:
    keywords = {param.keyword for param in PARAMS.values()}
    assert keywords == set(TABLE) - {"customer_key"}
    assert {*SAID, *LOCK, "encryption_scope", "requester_pays"} == keywords


def test_what_was_read_is_written_so_that_it_is_read_again() -> None:
    options = ObjectOptions(**{name: said[0] for name, said in SAID.items()}, **LOCK)
    spec = PublisherSpec("s3", "b", "k", options=options, requester_pays=True)
    again = PublisherSpec.from_mapping(spec.to_mapping())
    assert (again, again.options, again.requester_pays) == (spec, options, True)
    assert hash(again) == hash(spec)
    assert PublisherSpec.parse("gs://b/k,opt=requesterpays=my-project").requester_pays == "my-project"


def test_a_keyword_goes_before_what_the_destination_says() -> None:
    destination = "s3://b/k,opt=storageclass=GLACIER,opt=tags=a=1"
    found = Destination(destination, writing={"storage_class": "STANDARD_IA"}).spec.options
    assert (found.storage_class, found.tags) == ("STANDARD_IA", {"a": "1"})


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("tags=a", "Tags: 'a' has no name=value pairs"),
        ("tags=a=1&a=2", "each name once"),
        ("legalhold=yes", "LegalHold: 'yes' is neither true nor false"),
        ("retainuntil=tomorrow", "RetainUntil: 'tomorrow' is no ISO 8601 time"),
        ("encryption=rot13", "use AES256, aws:kms or aws:kms:dsse"),
        ("lockmode=governance", "belong together"),
        ("encryptionscope=x", "only Azure has it: name a key with kms_key"),
        ("requesterpays=my-project", "is for Google"),
        ("customerkey=x", "there is no option 'customerkey'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_destination(option, says) -> None:
    with pytest.raises(SpecError, match=re.escape(says)):
        PublisherSpec.parse(f"s3://b/k,opt={option}")


@pytest.mark.parametrize("kind", ["s3", "gs", "az", "memory", "file"])
@pytest.mark.parametrize("name", [*SAID, "encryption_scope", "customer_key", "requester_pays"])
def test_what_a_store_does_not_have_is_refused_before_anything_is_read(kind, name) -> None:
    values = {"encryption_scope": "s", "customer_key": KEY, "requester_pays": "p" if kind == "gs" else True}
    value = "Cool" if (kind, name) == ("az", "storage_class") else values.get(name, SAID.get(name, [None])[0])
    has = kind in {"s3", "gs", "az"} and not isinstance(getattr(TABLE[name], kind), Instead)
    destination = f"{kind}://{'/' if kind == 'file' else ''}bucket/k"
    if has:
        Publisher(destination, **{name: value})
        return
    with pytest.raises(SpecError, match=f"^{name}: "):
        publish("there is no such source", destination, **{name: value})


@pytest.mark.parametrize(
    "other",
    [{"encryption": "AES256"}, {"kms_key": "k"}, {"encryption_context": {"a": "b"}}],
    ids=lambda other: next(iter(other)),
)
def test_a_customers_key_and_another_way_to_encrypt_do_not_go_together(other) -> None:
    with pytest.raises(SpecError, match="give one of them"):
        publish("there is no such source", "s3://b/k", customer_key=KEY, **other)


def test_a_customers_key_is_kept_from_an_open_line_before_anything_is_read() -> None:
    with pytest.raises(SpecError, match="use https"):
        publish("there is no such source", "s3://b/k,opt=endpoint=http://192.0.2.1:9", customer_key=KEY)


def job(**params):
    return {"Type": "s3", "Params": {"Bucket": "b", "Key": "k", **params}}


@pytest.mark.parametrize(
    ("said", "own"),
    [
        ({"RequesterPays": "true"}, {"requester_pays": True}),
        (
            {"LockMode": "compliance", "RetainUntil": "9999-01-01T00:00:00+00:00"},
            {"lock_mode": "governance", "retain_until": UNTIL},
        ),
    ],
    ids=["who pays", "a lock for good"],
)
def test_what_costs_the_caller_or_binds_him_for_good_is_not_taken_on_somebodys_word(said, own) -> None:
    name = next(iter(own))
    with pytest.raises(SpecError, match=f"^{name} is not taken on somebody's word: say it yourself, with {name}=$"):
        publish("there is no such source", job(**said))
    spec = Destination(job(**said), access=Access(requester_pays=own.pop("requester_pays", None)), writing=own).spec
    assert spec.requester_pays or spec.options.lock_mode == "governance"


def test_no_is_an_answer_too() -> None:
    assert (
        Destination("s3://b/k,opt=requesterpays=true", access=Access(requester_pays=False)).spec.requester_pays is False
    )
    assert Destination(job(RequesterPays="true"), access=Access(requester_pays=False)).spec.requester_pays is False


def test_an_open_store_has_its_terms_also_where_the_destination_says_others(small) -> None:
    with pytest.raises(SpecError, match="store= is open already: leave requester_pays= out"):
        publish(small, "s3://b/k,opt=requesterpays=true", store=open_store("memory://terms"))


def test_a_reference_says_nothing_of_who_pays() -> None:
    with pytest.raises(ResultError, match="give requester_pays="):
        PublishedResult.parse("s3://b/k,opt=requesterpays=true")
    with pytest.raises(ResultError, match="it is written: leave these options out"):
        PublishedResult.parse("s3://b/k,opt=storageclass=GLACIER")


@pytest.mark.parametrize("given", [{"customer_key": KEY}, {"requester_pays": True}])
def test_an_open_store_has_its_terms_already(given, small) -> None:
    store = open_store("memory://bucket-with-terms")
    result = publish(small, "memory://bucket-with-terms/k", store=store)
    for call in (
        lambda: publish(small, "s3://b/k", store=store, **given),
        lambda: Publisher("s3://b/k", store=store, **given),
        lambda: fetch(result, "nowhere", store=store, **given),
        lambda: verify(result, store=store, **given),
        lambda: presign(result, store=store, expires=60, **given),
    ):
        with pytest.raises(ValueError, match="store= is open already"):
            call()


def test_a_store_of_ones_own_hears_of_no_options_unless_some_are_given(small) -> None:
    class Simple:
        """A store from before there were options."""

        def __init__(self, store):
            self._store = store

        def write(self, key, chunks, *, if_absent=False, content_type=None, metadata=None):
            return self._store.write(key, chunks, if_absent=if_absent, content_type=content_type, metadata=metadata)

    store = Simple(open_store("memory://simple"))
    assert publish(small, "s3://b/k", store=store).checksum_sha256 is not None
    with pytest.raises(TypeError):
        publish(small, "s3://b/k", store=store, tags={"a": "b"})


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "files"])
def test_every_object_is_written_so(seaweed, bucket, s3_place, files, archive) -> None:
    result = publish(
        files,
        s3_place("k/"),
        archive=archive,
        kms_key="results",
        tags={"project": "apollo"},
        storage_class="STANDARD_IA",
    )
    client = seaweed.client()
    found = client.list_objects_v2(Bucket=bucket, Prefix=result.key)["Contents"]
    assert len(found) == (1 if archive else 1 + len([path for path in files.rglob("*") if path.is_file()]))
    for each in found:
        kept = client.head_object(Bucket=bucket, Key=each["Key"])
        assert (kept["ServerSideEncryption"], kept["SSEKMSKeyId"]) == ("aws:kms", "results")
        assert kept["StorageClass"] == "STANDARD_IA"
        tags = client.get_object_tagging(Bucket=bucket, Key=each["Key"])["TagSet"]
        assert tags == [{"Key": "project", "Value": "apollo"}]
    assert verify(result).sha256 == result.checksum_sha256


def test_the_type_that_is_given_goes_before_what_the_name_says(seaweed, bucket, s3_place, files) -> None:
    result = publish(files, s3_place("k/"), archive=False, content_type="text/x-results", metadata={"job": "1"})
    kept = seaweed.client().head_object(Bucket=bucket, Key=f"{result.key}score.txt")
    assert (kept["ContentType"], kept["Metadata"]["job"]) == ("text/x-results", "1")


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "files"])
def test_what_a_customers_key_closed_is_fetched_and_verified_with_it(s3_place, files, tmp_path, archive) -> None:
    with Publisher(s3_place("k/"), archive=archive, customer_key=KEY) as publisher:
        result = publisher.publish(files)
        assert publisher.verify(result).sha256 == result.checksum_sha256
    assert KEY_TEXT not in repr(vars(publisher)) + repr(publisher) + str(result.to_mapping())
    assert verify(result, customer_key=KEY_TEXT).sha256 == result.checksum_sha256
    assert fetch(result, tmp_path / "out", customer_key=KEY).verified
    assert (tmp_path / "out/score.txt").read_bytes() == b"42\n"
    for other in (None, bytes(32)):
        with pytest.raises(StoreError):
            fetch(result, tmp_path / "not", customer_key=other)
    assert not (tmp_path / "not").exists()


def test_what_stands_there_is_recognised_with_the_customers_key(s3_place, small) -> None:
    first = publish(small, s3_place("k"), customer_key=KEY, if_exists="error")
    from keystow import AlreadyPublishedError

    with pytest.raises(AlreadyPublishedError) as raised:
        publish(small, s3_place("k"), customer_key=KEY, if_exists="error")
    assert raised.value.result.checksum_sha256 == first.checksum_sha256


def test_a_url_takes_no_customers_key(tmp_path) -> None:
    for given, says in (({"customer_key": KEY}, "takes no customer_key"), ({"requester_pays": True}, "who pays")):
        with pytest.raises(ResultError, match=f"a URL .*{says}"):
            fetch("https://example.com/a.tar.gz", tmp_path / "out", **given)


def test_a_customers_key_does_not_go_where_a_stranger_says(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    where = {"Bucket": "b", "Key": "k", "Endpoint": "https://s3.stranger.example"}
    result = PublishedResult.from_mapping({"Type": "s3", "Params": where})
    for call in (
        lambda: fetch(result, tmp_path / "out", customer_key=KEY),
        lambda: presign(result, expires=60, customer_key=KEY),
    ):
        with pytest.raises(ResultError, match="is not called on somebody's word"):
            call()
    with pytest.raises(SpecError, match="is not called on somebody's word"):
        publish("source", {"Type": "s3", "Params": where}, customer_key=KEY)
    assert presign(result, expires=60, customer_key=KEY, allow_endpoints={where["Endpoint"]})


def test_who_asks_pays_for_reading_too(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with Liar(lambda _: Lie(404)) as liar:
        result = PublishedResult("s3", "b", "k", endpoint=liar.url)
        with pytest.raises(StoreError):
            fetch(result, tmp_path / "out", requester_pays=True)
        asked = liar.asked[0].headers
        url = presign(result, expires=60, requester_pays=True)
    assert asked["x-amz-request-payer"] == "requester"
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["x-amz-request-payer"] == ["requester"]


# -- the command


@pytest.mark.parametrize(
    "message",
    [
        "there is nothing at '/tmp/content_type/tags=1/kms_key'",
        "s3://bucket/tags=apollo/encryption=x.tar.gz: 403",
        "'tags=1' already exists",
    ],
)
def test_names_and_places_are_not_reworded(message) -> None:
    assert as_options(message) == message


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{KEY_TEXT}\n")
    return path


def test_the_command_writes_so_and_reads_with_the_key(s3_place, seaweed, small, tmp_path, key_file) -> None:
    environment = seaweed.environment()
    result = tmp_path / "result.yaml"
    call = ["publish", small, s3_place("k"), "--customer-key", key_file, "--metadata", "job=1", "--result", result]
    published = keystow(*call, **environment)
    assert published.status == 0, published.err
    for command in (["verify", result], ["get", result, tmp_path / "out"], ["url", result, "--expires", "1h"]):
        done = keystow(*command, "--customer-key", key_file, **environment)
        assert done.status == 0, done.err
        assert KEY_TEXT not in done.out + done.err
    assert keystow("verify", result, **environment).status == 1
    assert (tmp_path / "out/score.txt").read_bytes() == b"42\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--encryption rot13", "--encryption rot13 is none: use AES256, aws:kms or aws:kms:dsse"),
        ("--lock-mode governance", "--lock-mode and --retain-until belong together: give both"),
        ("--tag a=1 --tag a=2", "--tag has a name twice: give each once"),
        ("--tag a", "'a' is no NAME=VALUE"),
        ("--encryption-scope x", "--encryption-scope: only Azure has it: name a key with --kms-key"),
        ("--customer-key /nowhere", "'/nowhere' cannot be read (No such file or directory): name a file with the key"),
        ("--customer-key /dev/null", "'/dev/null' holds no key: it has to be 32 bytes, or base64 of them"),
        (
            "--requester-pays my-project",
            "--requester-pays my-project is for Google, where a project pays: give --requester-pays true",
        ),
    ],
)
def test_the_command_speaks_of_its_options(small, options, says) -> None:
    assert says in complaint(keystow("publish", small, "s3://bucket/key", *shlex.split(options)), 2)


def test_the_page_has_the_table() -> None:
    """A row for each option: what it becomes in each cloud, or that it is refused."""
    page = (Path(__file__).parents[2] / "docs/options.md").read_text()
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[0].startswith("`"):
            rows[cells[0].strip("`")] = cells[1:]
    assert list(rows) == list(TABLE)
    params = {param.keyword: name for name, param in PARAMS.items()}
    for name, (param, option, *clouds, local) in rows.items():
        assert param == (f"`{params[name]}`" if name in params else "")
        with contextlib.suppress(KeyError):
            assert option.strip("`").split()[0] == SAID[name][3].split()[0]
        for cell, written in zip(TABLE[name], clouds, strict=True):
            assert written == ("refused" if isinstance(cell, Instead) else f"`{cell}`")
        assert local == "refused"
