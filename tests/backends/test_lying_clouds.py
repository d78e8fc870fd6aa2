"""Servers that are not Google's or Azure's, or that lie: one clear error, and no more read than was announced."""

import base64
import contextlib
import gzip
import itertools
import json
import urllib.parse

import pytest
from lying import MOST, Liar, Lie, chunked, endless
from other_clouds import crc32c_of

from keystow.backends import ConflictError, StoreError, StoreUnavailableError, UnknownOutcomeError, open_store
from keystow.backends.sending import repeating
from keystow.backends.sending.parts import part_size
from keystow.backends.sending.ranges import RANGE

pytestmark = pytest.mark.server

PART = part_size(1)
KEY = base64.b64encode(b"the key of an account, 32 bytes!").decode()
DATED = {"ETag": '"e"', "X-Goog-Generation": "7", "Last-Modified": "Tue, 24 Nov 2026 17:55:09 GMT"}
OPERATIONS = {
    "put": lambda store: store.write("key", [b"x"]),
    "put if absent": lambda store: store.write("key", [b"x"], if_absent=True),
    "parts": lambda store: store.write("key", [bytes(PART + 1)]),
    "read": lambda store: list(store.read("key")),
    "range": lambda store: list(store.read("key", start=1, stop=9)),
    "stat": lambda store: store.stat("key"),
    "list": lambda store: list(store.list("k")),
    "delete": lambda store: store.delete("key"),
}
PAGES = {
    "nothing": b"",
    "html": b"<html><body>It works!</body></html>",
    "json": b'{"hello": "world", "items": 3}',
    "a list": b"[1, 2]",
    "null": b"null",
    "deep": b"[" * 50_000,
    "deep xml": b"<a>" * 50_000,
    "xml": b"<?xml version='1.0'?><EnumerationResults/>",
    "a number": b"1" * 5000,
    "bytes": bytes(range(256)),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch, clean_environment):
    monkeypatch.setattr(repeating, "PAUSES", (0.001,))
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "SAS_TOKEN", "CLIENT_ID", "ANON"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)


@pytest.fixture
def server():
    with Liar(lambda asked: Lie()) as running:
        yield running


@pytest.fixture(params=["gs", "az"])
def kind(request):
    return request.param


def opened(kind, server, **options):
    url, endpoint = {"gs": ("gs://bucket", server.url), "az": ("az://container", f"{server.url}/account")}[kind]
    return open_store(url, endpoint=endpoint, **options)


@pytest.fixture
def store(kind, server):
    with contextlib.closing(opened(kind, server)) as made:
        yield made


@pytest.fixture
def google(server):
    with contextlib.closing(opened("gs", server)) as made:
        yield made


@pytest.fixture
def azure(server):
    with contextlib.closing(opened("az", server)) as made:
        yield made


TYPES = ["text/html", "application/json", "application/xml", None]


@pytest.mark.parametrize("content", TYPES)
@pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=list(OPERATIONS))
@pytest.mark.parametrize("status", [200, 201, 204, 206])
def test_a_stranger_that_says_yes_to_everything(server, store, kind, operation, status, content) -> None:
    """With 200 each page is said to be of each type, else of one."""
    for number, body in enumerate(PAGES.values()):
        if (status == 204 and body) or (status != 200 and content != TYPES[number % len(TYPES)]):
            continue
        server.answer = lambda asked, body=body: Lie(status, {"Content-Type": content} if content else {}, body)
        if is_plausible(kind, operation, status, body):
            operation(store)
            continue
        with pytest.raises(StoreUnavailableError, match=r"the answer is not (Google|Azure)'s") as refused:
            operation(store)
        assert "hello" not in str(refused.value)
        assert "It works" not in str(refused.value)


def is_plausible(kind, operation, status, body):
    """What cannot be told from an answer of theirs: that an object is gone."""
    return operation is OPERATIONS["delete"] and kind == "gs" and body in {b"", b"null"}


@pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=list(OPERATIONS))
@pytest.mark.parametrize("status", [200, 201, 206, 403, 404, 503])
@pytest.mark.parametrize("how", ["chunked", "to the end"])
def test_a_body_without_end_is_left(server, store, operation, status, how) -> None:
    def answer(asked):
        if how == "chunked":
            return Lie(status, {"Transfer-Encoding": "chunked"} | DATED, chunked(endless()))
        return Lie(status, DATED, endless())

    server.answer = answer
    with pytest.raises(StoreError):
        operation(store)
    assert server.sent < len(server.asked) * MOST / 2


@pytest.mark.parametrize("announces", ["3", "-3", "x", "3, 3", "9" * 30, ""])
def test_no_more_is_read_than_was_announced(server, store, kind, announces) -> None:
    """Where bytes are announced and more or fewer come, or it is not said how many."""

    def answer(asked):
        partial = {"Content-Range": f"bytes 0-2/{announces or 3}"} if kind == "az" else {}
        return Lie(206 if partial else 200, DATED | partial | {"Content-Length": announces}, endless(b"abc"))

    server.answer = answer
    try:
        assert (announces, b"".join(store.read("key"))) == ("3", b"abc")
    except StoreUnavailableError as refused:  # which the bytes behind the end may be, if they come at once
        assert len(str(refused)) < 500  # noqa: PT017
    assert server.sent < len(server.asked) * MOST / 2


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (206, {}),
        (206, {"Content-Range": "bytes 0-2/10"}),
        (206, {"Content-Range": "bytes 2-4/10"}),
        (206, {"Content-Range": "bytes 3-4/10"}),
        (206, {"Content-Range": "bytes 2-5/10"}),
        (206, {"Content-Range": "bytes 2-4/4"}),
        (206, {"Content-Range": "bytes 2-4/-5"}),
        (206, {"Content-Range": "bytes 2-4/*"}),
        (206, {"Content-Range": "bytes=2-4/10"}),
        (206, {"Content-Range": "2-4"}),
        (206, {"Content-Range": ""}),
        (206, {"Content-Range": "bytes 2-4/5", "Content-Encoding": "gzip"}),
    ],
)
def test_a_range_is_the_one_that_was_asked_for(server, store, status, headers) -> None:
    server.answer = lambda asked: Lie(status, DATED | headers, b"cde")
    if headers.get("Content-Range") == "bytes 2-4/5":
        assert b"".join(store.read("key", start=2, stop=9)) == b"cde"
    else:
        with pytest.raises(StoreUnavailableError, match="the answer is not"):
            list(store.read("key", start=2, stop=9))


def test_what_is_compressed_is_read_as_it_is_stored(server, store, kind) -> None:
    """A small answer shall not become a large one."""
    bomb = gzip.compress(bytes(64 << 20))
    partial = {"Content-Range": f"bytes 0-{len(bomb) - 1}/{len(bomb)}"} if kind == "az" else {}
    server.answer = lambda asked: Lie(206 if partial else 200, DATED | partial | {"Content-Encoding": "gzip"}, bomb)
    assert b"".join(store.read("key")) == bomb


@pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=list(OPERATIONS))
@pytest.mark.parametrize("body", [b"x", gzip.compress(bytes(64 << 20))], ids=["none", "bomb"])
@pytest.mark.parametrize("status", [200, 403, 404, 503])
def test_no_other_answer_is_decompressed(server, store, kind, operation, body, status) -> None:
    server.answer = lambda asked: Lie(status, {"Content-Encoding": "gzip", "Content-Type": "application/xml"}, body)
    try:
        operation(store)
    except StoreError as refused:
        assert len(str(refused)) < 500  # noqa: PT017
    else:
        assert operation is OPERATIONS["read" if status == 200 else "delete"]


# -- what passes: the same faults, on both


DATA = bytes(range(256)) * 40_000
LISTED = {
    "gs": Lie(200, {}, b'{"kind": "storage#objects", "items": [{"name": "key", "size": "1"}]}'),
    "az": Lie(
        200,
        {"Content-Type": "application/xml"},
        b"<?xml version='1.0'?><EnumerationResults ContainerName='container'><Blobs><Blob><Name>key</Name><Properties>"
        b"<Content-Length>1</Content-Length><Etag>0x1</Etag><BlobType>BlockBlob</BlobType></Properties></Blob></Blobs>"
        b"<NextMarker/></EnumerationResults>",
    ),
}


def honest(kind, asked, *, version="7", most=None):
    """The answer of a store that holds ``DATA`` in one version, of which ``most`` bytes come before it breaks off."""
    start, stop = 0, len(DATA)
    span = asked.headers.get("x-ms-range") or asked.headers.get("range")
    if span:
        first, last = span.removeprefix("bytes=").split("-")
        start, stop = int(first), min(int(last or len(DATA)) + 1, len(DATA))
    pinned = asked.headers.get("if-match") or urllib.parse.parse_qs(asked.path.partition("?")[2]).get("generation")
    if pinned not in (None, f'"{version}"', [version]):
        return Lie(412, {"x-ms-error-code": "ConditionNotMet"}) if kind == "az" else Lie(404, {}, b"No such object")
    headers = DATED | {"ETag": f'"{version}"', "X-Goog-Generation": version, "Content-Length": str(stop - start)}
    if span:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(DATA)}"
    return Lie(206 if span else 200, headers, [DATA[start:stop][:most]])


def hangs_up(kind, asked):
    raise ConnectionResetError


FAULTS = {
    **{str(status): lambda kind, asked, status=status: Lie(status) for status in (408, 429, 500, 502, 503, 504)},
    "asks for patience": lambda kind, asked: Lie(429, {"Retry-After": "0"}),
    "hangs up": hangs_up,
    "a stranger": lambda kind, asked: Lie(200, {}, b"<html>"),
}
BREAKS = FAULTS | {
    "breaks off": lambda kind, asked: honest(kind, asked, most=1_000_000),
    "breaks off at once": lambda kind, asked: honest(kind, asked, most=0),
    "breaks off at the end": lambda kind, asked: honest(kind, asked, most=-1),
}


@pytest.fixture
def faulty(server, kind):
    """Has the server answer the first of the requests of one operation with these faults."""
    server.handle_error = lambda *_: None

    def become(faults, answer=honest):
        left = iter(faults)
        server.answer = lambda asked: next(left, answer)(kind, asked)

    return become


@pytest.mark.parametrize("fault", list(BREAKS.values()), ids=list(BREAKS))
@pytest.mark.parametrize(("start", "stop"), [(0, None), (5, None), (5, 9_000_000)])
def test_a_fault_that_passes_is_survived_by_a_read(faulty, store, server, kind, fault, start, stop) -> None:
    faulty([fault])
    assert b"".join(store.read("key", start=start, stop=stop)) == DATA[start:stop]
    assert len(server.asked) >= 2


def test_what_breaks_off_goes_on_where_it_broke(faulty, store, server, kind) -> None:
    """Of the same version: a generation, or an ETag. Of Azure each range is read anew."""
    faulty([honest, BREAKS["breaks off" if kind == "gs" else "breaks off at the end"]])
    assert b"".join(store.read("key")) == DATA
    pinned = [asked.headers.get("if-match") or "generation=7" in asked.path for asked in server.asked]
    assert pinned[0] is False
    assert set(pinned[1:]) == {True if kind == "gs" else '"7"'}
    spans = [asked.headers.get("x-ms-range") or asked.headers.get("range") for asked in server.asked]
    starts = [int(span.removeprefix("bytes=").partition("-")[0]) for span in spans]
    again = [start for start in starts if start % RANGE] if kind == "gs" else starts
    assert len(again) == (1 if kind == "gs" else len(set(starts)) + 1)


def test_content_that_breaks_off_is_that_of_one_version(faulty, store, kind) -> None:
    def replaced(kind, asked):
        return honest(kind, asked, version="8")

    first = [BREAKS["breaks off"]] if kind == "gs" else [honest]
    faulty(first, replaced)
    with pytest.raises(ConflictError, match="it was replaced while it was read"):
        list(store.read("key"))


def named(kind):
    """A listing, by which the object is of version 7."""
    size = str(len(DATA)).encode()
    said = LISTED[kind].body.replace(b'"size": "1"', b'"size": "%b", "generation": "7"' % size)
    return LISTED[kind]._replace(body=said.replace(b">1<", b">%b<" % size).replace(b">0x1<", b">7<"))


def pins(server):
    """What each request for content was bound to."""
    return [
        asked.headers.get("if-match") or urllib.parse.parse_qs(asked.path.partition("?")[2]).get("generation")
        for asked in server.asked
        if asked.headers.get("x-ms-range") or asked.headers.get("range")
    ]


@pytest.mark.parametrize("near", [0.0, 60.0])
def test_what_was_named_is_asked_for_at_once_and_of_that_version(server, store, kind, near, monkeypatch) -> None:
    monkeypatch.setattr("keystow.backends.cloud.NEAR", near)
    server.answer = lambda asked: named(kind)
    list(store.list())
    server.answer = lambda asked: honest(kind, asked)
    assert b"".join(store.read("key")) == DATA
    assert pins(server) == (2 if near and kind == "gs" else 3) * [["7"] if kind == "gs" else '"7"']


def test_what_was_replaced_since_it_was_named_is_read_as_it_is_now(server, store, kind, monkeypatch) -> None:
    monkeypatch.setattr("keystow.backends.cloud.NEAR", 0.0)
    server.answer = lambda asked: named(kind)
    list(store.list())
    server.answer = lambda asked: honest(kind, asked, version="8")
    assert b"".join(store.read("key")) == DATA
    assert pins(server).count(None) == 1


@pytest.mark.parametrize("fault", list(FAULTS.values()), ids=list(FAULTS))
def test_a_fault_that_passes_is_survived(faulty, store, kind, fault) -> None:
    faulty([fault], lambda kind, asked: LISTED[kind])
    assert [found.key for found in store.list()] == ["key"]
    described = Lie(200, DATED | {"Content-Length": "1"}) if kind == "az" else Lie(body=described_as("key"))
    faulty([fault], lambda kind, asked: described)
    if kind == "gs" or fault is not FAULTS["a stranger"]:
        assert store.stat("key").size == 1
    faulty([fault], lambda kind, asked: Lie(202 if kind == "az" else 204))
    store.delete("key")


def described_as(name):
    return json.dumps({"name": name, "size": "1"}).encode()


@pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=list(OPERATIONS))
def test_what_asks_for_too_much_patience_is_not_waited_for(server, store, operation) -> None:
    server.answer = lambda asked: Lie(503, {"Retry-After": "3600"})
    with pytest.raises(StoreUnavailableError) as refused:
        operation(store)
    asked = refused.value.__cause__ or refused.value  # a write is looked for besides
    assert (asked.retry_after, asked.tries) == (3600, 1)


@pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=list(OPERATIONS))
def test_what_was_not_sent_did_not_arrive(kind, operation) -> None:
    """So nobody looks whether it is there."""
    with Liar(lambda asked: Lie()) as server:
        store = opened(kind, server)
    with contextlib.closing(store), pytest.raises(StoreUnavailableError, match=r"\(2 tries") as refused:
        operation(store)
    assert not refused.value.may_have_arrived
    assert not isinstance(refused.value, UnknownOutcomeError)


@pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=list(OPERATIONS))
@pytest.mark.parametrize("status", [400, 403, 404, 503])
def test_no_html_is_printed(server, store, operation, status) -> None:
    if status == 404 and operation is OPERATIONS["delete"]:
        pytest.skip("what is not there is deleted")
    server.answer = lambda asked: Lie(status, {}, b'{"error": {"message": "<html><body>Sorry</body></html>"}}')
    with pytest.raises(StoreError) as refused:
        operation(store)
    server.answer = lambda asked: Lie(status, {"Content-Type": "text/html"}, b"<html><body>Sorry</body></html>")
    with pytest.raises(StoreError) as again:
        operation(store)
    assert "Sorry" not in str(refused.value) + str(again.value)


# -- Google


def described(**changed):
    made = {
        "kind": "storage#object",
        "name": "key",
        "size": "1",
        "crc32c": crc32c_of(b"x"),
        "generation": "7",
    } | changed
    return json.dumps({name: value for name, value in made.items() if value is not None}).encode()


def test_a_made_object_is_described(server, google) -> None:
    server.answer = lambda asked: Lie(body=described())
    assert google.write("key", [b"x"]).version_id == "7"


@pytest.mark.parametrize(
    "changed",
    [
        {"name": None},
        {"name": "other"},
        {"size": None},
        {"size": "2"},
        {"size": -1},
        {"crc32c": None},
        {"crc32c": "AAAAAA=="},
    ],
)
def test_an_object_that_is_described_otherwise_was_not_made(server, google, changed) -> None:
    server.answer = lambda asked: Lie(body=described(**changed))
    with pytest.raises(StoreUnavailableError, match="not Google's"):
        google.write("key", [b"x"])


@pytest.mark.parametrize("size", [None, -1, "-1", "x", "1.5", [], True, "9" * 30])
def test_a_size_is_a_number(server, google, size) -> None:
    server.answer = lambda asked: Lie(body=described(size=size))
    with pytest.raises(StoreUnavailableError, match="not Google's"):
        google.stat("key")
    page = {"kind": "storage#objects", "items": [json.loads(described(size=size))]}
    server.answer = lambda asked: Lie(body=json.dumps(page).encode())
    with pytest.raises(StoreUnavailableError, match="not Google's"):
        list(google.list())


@pytest.mark.parametrize(
    "items", [{}, 3, "x", ["x"], [None], [{"name": 3}], [{"name": "a", "size": "1", "updated": "x"}]]
)
def test_a_page_of_nonsense(server, google, items) -> None:
    server.answer = lambda asked: Lie(body=json.dumps({"kind": "storage#objects", "items": items}).encode())
    if items == {}:
        assert list(google.list()) == []
    else:
        with pytest.raises(StoreUnavailableError, match="not Google's"):
            list(google.list())


@pytest.mark.parametrize("tokens", [["a", "a"], ["a", "b", "a"], [3]])
def test_a_token_that_comes_again_ends_the_listing(server, google, tokens) -> None:
    following = itertools.cycle(tokens)
    server.answer = lambda asked: Lie(
        body=json.dumps({"kind": "storage#objects", "nextPageToken": next(following)}).encode()
    )
    with pytest.raises(StoreUnavailableError, match="not Google's"):
        list(google.list())
    assert len(server.asked) <= len(tokens) + 1


@pytest.mark.parametrize(
    "answer", [Lie(200), Lie(200, {}, described()), Lie(201, {}, b"<html>"), Lie(308, {"Range": "x"})]
)
def test_a_piece_that_is_not_taken_is_no_success(server, google, answer) -> None:
    """More is to come, so nothing but 308 is an answer."""
    server.answer = lambda asked: (
        answer if "upload_id=" in asked.path else Lie(200, {"Location": f"{server.url}/session?upload_id=1"})
    )
    with pytest.raises(StoreError):
        google.write("key", [bytes(PART + 1)])
    assert {asked.headers["content-range"] for asked in server.asked if "content-range" in asked.headers} <= {
        f"bytes 0-{PART - 1}/*",
        "bytes */*",
    }


def test_a_stranger_does_not_say_whose_object_it_is(server, google) -> None:
    answers = iter([Lie(503), Lie(412), Lie(200, {}, b"<html>")])
    server.answer = lambda asked: next(answers)
    with pytest.raises(UnknownOutcomeError):
        google.write("key", [b"x"], if_absent=True)


def test_a_page_of_somebody_elses_is_not_repeated(server, google) -> None:
    server.answer = lambda asked: Lie(404, {"Content-Type": "text/html"}, b"<html><title>nginx</title></html>")
    with pytest.raises(StoreError) as refused:
        google.stat("key")
    assert "nginx" not in str(refused.value)


# -- Azure


def listing(name="key", size="1", marker="", properties=""):
    found = (
        f"<Blob><Name>{name}</Name><Properties><Content-Length>{size}</Content-Length><Etag>0x1</Etag>"
        f"<BlobType>BlockBlob</BlobType>{properties}</Properties></Blob>"
    )
    page = f"<Blobs>{found}</Blobs><NextMarker>{marker}</NextMarker>"
    whole = f"<?xml version='1.0'?><EnumerationResults ContainerName='container'>{page}</EnumerationResults>"
    return Lie(200, {"Content-Type": "application/xml"}, whole.encode())


def test_a_listing_of_azures(server, azure) -> None:
    server.answer = lambda asked: listing()
    assert [(found.key, found.size) for found in azure.list()] == [("key", 1)]


@pytest.mark.parametrize("size", ["-1", "x", "", "1.5", "9" * 30])
def test_a_listed_size_is_a_number(server, azure, size) -> None:
    server.answer = lambda asked: listing(size=size)
    if size == "9" * 30:
        assert next(azure.list()).size == int(size)
    else:
        with pytest.raises(StoreUnavailableError, match="not Azure's"):
            list(azure.list())


@pytest.mark.parametrize("markers", [["a", "a"], ["a", "b", "a"]])
def test_a_marker_that_comes_again_ends_the_listing(server, azure, markers) -> None:
    following = itertools.cycle(markers)
    server.answer = lambda asked: listing(marker=next(following))
    with pytest.raises(StoreUnavailableError, match="not Azure's"):
        list(azure.list())
    assert len(server.asked) <= len(markers) + 1


@pytest.mark.parametrize("headers", [{}, {"ETag": ""}, {"Last-Modified": "yesterday", "ETag": '"e"'}])
@pytest.mark.parametrize("operation", ["put", "put if absent", "parts"])
def test_without_an_etag_nothing_was_made(server, azure, headers, operation) -> None:
    server.answer = lambda asked: Lie(201, headers)
    with pytest.raises(StoreUnavailableError, match="not Azure's"):
        OPERATIONS[operation](azure)


def test_another_checksum_in_the_answer_is_no_success(server, azure) -> None:
    server.answer = lambda asked: Lie(201, DATED | {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    with pytest.raises(StoreUnavailableError):
        azure.write("key", [b"x"])


def test_a_head_without_an_etag_does_not_say_whose_object_it_is(server, azure) -> None:
    answers = iter([Lie(503), Lie(412), Lie(200)])
    server.answer = lambda asked: next(answers)
    with pytest.raises(UnknownOutcomeError):
        azure.write("key", [b"x"], if_absent=True)


def test_a_blob_that_is_replaced_while_it_is_read(server, azure) -> None:
    first = Lie(206, DATED | {"Content-Range": f"bytes 0-{RANGE - 1}/{RANGE + 1}"}, bytes(RANGE))
    answers = iter([first, Lie(412, {"x-ms-error-code": "ConditionNotMet"})])
    server.answer = lambda asked: next(answers)
    with pytest.raises(ConflictError, match="replaced while it was read"):
        list(azure.read("key"))
    assert server.asked[1].headers["if-match"] == '"e"'
