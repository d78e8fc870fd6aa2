"""Servers that are not S3, or lie as S3: what is taken of their answers is bounded, what is not S3's is told."""

import contextlib
import itertools
import re
import time
import xml.etree.ElementTree as ET
from email.utils import formatdate
from urllib.parse import urlsplit

import pytest
from lying import Liar, Lie, chunked, endless

from keystow.backends import (
    ConflictError,
    CredentialsError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    open_store,
)
from keystow.backends.sending import repeating
from keystow.backends.sending.known import MOST_WRONG, Known
from keystow.backends.sending.parts import part_size
from keystow.backends.sending.ranges import RANGE

PART = part_size(1)
BUFFERS = 12 << 20
"""What lies in the sockets' buffers, or is read ahead, when a body is refused."""
MOST = 8 << 20
OBJECT = {"Last-Modified": "Tue, 24 Nov 2026 17:46:20 GMT", "ETag": '"e"'}
OPERATIONS = {
    "read": lambda store: list(store.read("key")),
    "range": lambda store: list(store.read("key", start=2, stop=5)),
    "list": lambda store: list(store.list("k")),
    "stat": lambda store: store.stat("key"),
    "put": lambda store: store.write("key", [b"x"]),
    "multipart": lambda store: store.write("key", iter([bytes(PART), b"x"])),
}
DTD = '<!DOCTYPE {0} [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><{0}><ETag>&b;</ETag></{0}>'


@pytest.fixture(params=["fsspec", "obstore"])
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def stores():
    """A store of each engine, and the server that it takes for S3; opening one takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("AWS_ACCESS_KEY_ID", "id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")

        def opened(engine):
            liar = stack.enter_context(Liar(lambda asked: Lie(500)))
            store = open_store("s3://bucket", endpoint=liar.url, engine=engine)
            return stack.enter_context(contextlib.closing(store)), liar

        patch.setenv("AWS_SESSION_TOKEN", "token-of-the-tests")
        yield {"obstore": opened("obstore"), "fsspec": opened("fsspec")}


@pytest.fixture
def lied_to(monkeypatch, stores):
    """Gives the store of an engine and its server, which answers so, or as this function of a request says."""
    monkeypatch.setattr(repeating, "PAUSES", ())

    def answered(answer, engine):
        store, liar = stores[engine]
        liar.answer = answer if callable(answer) else lambda asked: answer
        liar.asked, liar.sent = [], 0
        store._known = Known()  # what it learned of another server is nothing to this one
        return store, liar

    return answered


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")


def xml(root, inside):
    return Lie(headers={"ETag": '"e"'}, body=f"<{root}>{inside}</{root}>".encode())


def page(inside):
    return xml("ListBucketResult", inside)


def found(**changed):
    """An object of a listing; ``None`` leaves something out."""
    fields = {"Key": "k", "Size": "1", "ETag": "e", "LastModified": "2026-11-24T17:46:20.000Z"} | changed
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items() if value is not None)
    return f"<Contents>{inside}</Contents>"


# -- strangers


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "answer",
    [
        Lie(body=b"<!DOCTYPE html>\n<html><body>It works!</body></html>"),
        Lie(body=b"<html><body>It works!</body></html>"),
        Lie(body=b'{"error": "no"}'),
        Lie(),
        Lie(204),
        Lie(body=b"<ListBucketResult><Contents><Key>k</Key>"),
        Lie(body=DTD.format("ListBucketResult").encode()),
        Lie(body=DTD.format("ListBucketResult").encode("utf-16")),
        Lie(body=b'<?xml version="1.0" encoding="TTF-8"?><ListBucketResult/>'),
        Lie(body=b'<?xml version="1.0" encoding="TTF-8"?><InitiateMultipartUploadResult/>'),
        Lie(body=b"<a>" * 100_000),
        Lie(headers={"Content-Type": "application/xml", "ETag": ""}, body=b"\xff\xfe\x00"),
    ],
    ids=[
        "page",
        "html",
        "json",
        "empty",
        "no content",
        "half",
        "dtd",
        "utf-16",
        "no encoding",
        "nor this",
        "deep",
        "bytes",
    ],
)
def test_a_server_that_says_yes_to_everything_is_not_believed(lied_to, engine, operation, answer):
    store, liar = lied_to(answer, engine)
    with pytest.raises(StoreUnavailableError, match="the answer is not S3's") as refused:
        OPERATIONS[operation](store)
    assert liar.url in str(refused.value)
    assert str(refused.value).startswith("s3://bucket/" if operation == "list" else "s3://bucket/key: ")
    assert "<" not in str(refused.value)


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"stat"}))
@pytest.mark.parametrize("status", [400, 403, 404, 412, 500, 501, 503])
def test_a_page_for_people_is_not_repeated(lied_to, engine, operation, status):
    store, liar = lied_to(Lie(status, body=b"<html><Code>x</Code> - <body>Nothing here</body></html>"), engine)
    with pytest.raises(StoreError, match=f"{status}: the answer is not S3's") as refused:
        OPERATIONS[operation](store)
    assert liar.url in str(refused.value)
    assert "Nothing" not in str(refused.value)
    assert isinstance(refused.value, NotFoundError) == (status == 404)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_dtd_comes_to_a_parser(lied_to, monkeypatch, engine, operation):
    def parser(*_, **__):
        raise AssertionError("parsed")

    roots = ("ListBucketResult", "InitiateMultipartUploadResult", "Error")
    for status, root in itertools.product((200, 400, 500), roots):
        store, _ = lied_to(Lie(status, body=DTD.format(root).encode()), engine)
        with monkeypatch.context() as patch:
            patch.setattr(ET, "XMLParser", parser)
            with pytest.raises(StoreError):
                OPERATIONS[operation](store)


# -- bodies


LIES = {
    "more than announced": Lie(
        headers=OBJECT | {"Content-Length": "10", "Transfer-Encoding": "chunked"}, body=chunked(endless())
    ),
    "chunked": Lie(headers=OBJECT | {"Transfer-Encoding": "chunked"}, body=chunked(endless())),
    "without a length": Lie(headers=OBJECT, body=endless()),
    "a length that is none": Lie(headers=OBJECT | {"Content-Length": "ten"}, body=endless()),
    "a negative length": Lie(headers=OBJECT | {"Content-Length": "-1"}, body=endless()),
}


@pytest.mark.parametrize("asked", [{}, {"start": 2, "stop": 5}], ids=["whole", "range"])
@pytest.mark.parametrize("lie", LIES)
def test_no_more_is_passed_on_than_was_announced(lied_to, engine, lie, asked):
    def answer(request):
        body = endless() if "Transfer-Encoding" not in LIES[lie].headers else chunked(endless())
        return LIES[lie]._replace(body=body)

    taken = []
    store, liar = lied_to(answer, engine)
    with pytest.raises(StoreUnavailableError, match="the answer is not S3's"):
        taken.extend(map(len, store.read("key", **asked)))
    assert liar.sent < 2 * BUFFERS
    assert sum(taken) <= 10


@pytest.mark.parametrize(
    ("status", "content_range", "asked"),
    [
        (200, None, {"start": 2, "stop": 5}),
        (200, "bytes 0-2/10", {"start": 2, "stop": 5}),
        (206, None, {"start": 2, "stop": 5}),
        (206, "bytes 0-2/10", {"start": 2, "stop": 5}),
        (206, "bytes 2-5/10", {"start": 2, "stop": 5}),
        (206, "bytes 2-4/*", {"start": 2, "stop": 5}),
        (206, "bytes 2--4/10", {"start": 2, "stop": 5}),
        (206, "bytes 2-4/10", {"start": 2}),
        (206, "bytes 0-9/10", {"start": 2, "stop": 20}),
    ],
)
def test_an_answer_of_something_else_than_what_was_asked_for(lied_to, engine, status, content_range, asked):
    headers = OBJECT | ({"Content-Range": content_range} if content_range else {})
    store, _ = lied_to(Lie(status, headers, b"234"), engine)
    with pytest.raises(StoreUnavailableError, match="the answer is not S3's"):
        list(store.read("key", **asked))


def test_a_part_where_the_whole_was_asked_for(lied_to, engine):
    answer = Lie(206, OBJECT | {"Content-Range": "bytes 2-4/10"}, b"234")
    store, _ = lied_to(answer, engine)
    with pytest.raises(StoreUnavailableError, match="the answer is not S3's"):
        list(store.read("key"))


@pytest.mark.parametrize(("start", "stop", "said"), [(2, 5, "2-4/10"), (2, None, "2-9/10"), (2, 99, "2-9/10")])
def test_the_range_that_was_asked_for_is_taken(lied_to, engine, start, stop, said):
    first, last = map(int, said.partition("/")[0].split("-"))
    answer = Lie(206, OBJECT | {"Content-Range": f"bytes {said}"}, b"0123456789"[first : last + 1])
    store, _ = lied_to(answer, engine)
    assert b"".join(store.read("key", start=start, stop=stop)) == b"0123456789"[start:stop]


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"stat"}))
@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_answer_without_end_is_not_taken_in(lied_to, engine, operation, status):
    def answer(asked):
        return Lie(status, OBJECT, endless(b"<ListBucketResult><Name>", b"x"))

    store, liar = lied_to(answer, engine)
    with pytest.raises(StoreUnavailableError, match="the answer is not S3's"):
        OPERATIONS[operation](store)
    assert liar.sent < len(liar.asked) * (MOST + BUFFERS)


@pytest.mark.parametrize("operation", ["read", "list", "multipart"])
def test_an_answer_that_breaks_off(lied_to, engine, operation):
    """All of its XML is there, and not all that was announced."""
    whole = BEGUN if operation == "multipart" else page("")
    answer = whole._replace(headers=OBJECT | {"Content-Length": str(len(whole.body) + 10)})
    store, _ = lied_to(answer, engine)
    with pytest.raises(StoreUnavailableError):
        OPERATIONS[operation](store)


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - {"stat"}))
@pytest.mark.parametrize("inside", ["<a>" * 500_000 + "</a>" * 500_000, "<Key>k</Key>" * 300_000], ids=["deep", "wide"])
@pytest.mark.parametrize(("status", "root"), [(200, "ListBucketResult"), (200, "Error"), (404, "Error")])
def test_xml_that_would_take_a_hundred_times_its_room(lied_to, engine, operation, inside, status, root, monkeypatch):
    """The parser would need seconds, and hundreds of megabytes."""

    class Parser(ET.XMLParser):
        def __init__(self, *_, **__):
            raise AssertionError("parsed")

    store, _ = lied_to(Lie(status, body=f"<{root}>{inside}</{root}>".encode()), engine)
    monkeypatch.setattr(ET, "XMLParser", Parser)
    with pytest.raises(StoreError):
        OPERATIONS[operation](store)


# -- listings


@pytest.mark.parametrize(
    "token", [lambda n: "same", lambda n: "ab"[n % 2], lambda n: None], ids=["the same", "in turns", "none"]
)
def test_a_listing_that_would_never_end(lied_to, engine, token):
    answers = itertools.count()

    def answer(asked):
        said = token(next(answers))
        after = "" if said is None else f"<NextContinuationToken>{said}</NextContinuationToken>"
        return page(f"<IsTruncated>true</IsTruncated>{after}{found()}")

    store, liar = lied_to(answer, engine)
    with pytest.raises(StoreUnavailableError, match="the answer is not S3's"):
        list(itertools.islice(store.list("k"), 100))
    assert len(liar.asked) <= 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"Size": "-1"},
        {"Size": "many"},
        {"Size": ""},
        {"Size": None},
        {"Size": "1e3"},
        {"Size": "9" * 5000},
        {"Key": None},
        {"Key": ""},
        {"ETag": None},
        {"LastModified": "yesterday"},
        {"LastModified": "2026-99-99T00:00:00Z"},
    ],
    ids=str,
)
def test_an_object_of_a_listing_that_cannot_be(lied_to, engine, wrong):
    store, _ = lied_to(page(found() + found(**wrong)), engine)
    with pytest.raises(StoreUnavailableError, match="the answer is not S3's"):
        list(store.list("k"))


def test_a_sound_listing_is_taken(lied_to, engine):
    store, _ = lied_to(page(found() + found(Key="k2", LastModified=None)), engine)
    assert [(one.key, one.size, one.etag) for one in store.list("k")] == [("k", 1, "e"), ("k2", 1, "e")]


# -- writes


BEGUN = xml("InitiateMultipartUploadResult", "<UploadId>u</UploadId>")
DONE = xml("CompleteMultipartUploadResult", "<ETag>e</ETag>")


@pytest.mark.parametrize(
    ("size", "lacking"),
    [
        (1, {"put": Lie()}),
        (PART + 1, {"begin": xml("InitiateMultipartUploadResult", "<Bucket>b</Bucket>")}),
        (PART + 1, {"part": Lie()}),
        (PART + 1, {"complete": xml("CompleteMultipartUploadResult", "<Key>k</Key>")._replace(headers={})}),
        (PART + 1, {"complete": Lie()}),
        (PART + 1, {"complete": Lie(headers={"ETag": '"e"'}, body=b"<html></html>")}),
    ],
    ids=["put", "begin", "part", "complete", "empty complete", "html complete"],
)
def test_a_write_that_was_not_confirmed_is_no_success(lied_to, engine, size, lacking):
    answers = {"begin": BEGUN, "part": Lie(headers={"ETag": '"p"'}), "complete": DONE, "abort": Lie(204)} | lacking

    def answer(asked):
        query = urlsplit(asked.path).query
        if asked.method == "HEAD":
            return Lie(404)
        if asked.method == "POST":
            return answers["complete" if "uploadId" in query else "begin"]
        return answers["abort" if asked.method == "DELETE" else "part" if "uploadId" in query else "put"]

    store, liar = lied_to(answer, engine)
    with pytest.raises(StoreUnavailableError, match="the answer is not S3's"):
        store.write("key", iter([bytes(size - 1), b"x"]))
    begun = any(asked.method == "POST" for asked in liar.asked) and "begin" not in lacking
    assert begun == any(asked.method == "DELETE" for asked in liar.asked)


# -- redirects


@pytest.mark.slow
@pytest.mark.parametrize("region", [{}, {"x-amz-bucket-region": "eu-west-3"}], ids=["", "region"])
@pytest.mark.parametrize("operation", [*OPERATIONS, "delete"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_goes_to_another_host(lied_to, engine, status, operation, region):
    with Liar(lambda asked: Lie(headers=OBJECT, body=b"theirs")) as other:
        answer = Lie(status, region | {"Location": f"{other.url}/there?X-Amz-Signature=0a1b"})
        store, liar = lied_to(answer, engine)
        with pytest.raises(StoreError, match=f"redirect to {other.url}, which is not followed") as refused:
            (OPERATIONS | {"delete": lambda store: store.delete("key")})[operation](store)
        assert "0a1b" not in str(refused.value)
        assert "endpoint" in refused.value.hint
        assert len(liar.asked) <= 2
        assert other.asked == []


def test_the_region_that_a_server_names_is_told(lied_to, engine):
    said = "<Error><Code>PermanentRedirect</Code><Message>no</Message><Endpoint>h.example</Endpoint></Error>"
    store, _ = lied_to(Lie(301, body=said.encode()), engine)
    with pytest.raises(StoreError, match=r"PermanentRedirect: a redirect.*set its region"):
        store.write("key", [b"x"])


@pytest.mark.parametrize("header", [True, False])
def test_where_the_bucket_is_and_how_to_go_there(lied_to, engine, header):
    """https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: in the body, or in a header."""
    region = "<Region>eu-west-3</Region>"
    said = f"<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message>{'' if header else region}</Error>"
    store, _ = lied_to(Lie(400, {"x-amz-bucket-region": "eu-west-3"} if header else {}, said.encode()), engine)
    with pytest.raises(StoreError, match="AuthorizationHeaderMalformed: no") as refused:
        store.write("key", [b"x"])
    assert refused.value.hint.startswith("the bucket is in eu-west-3: write opt=region=eu-west-3 behind the key")


@pytest.mark.parametrize(("hours", "way"), [(1, "behind"), (-1, "ahead of")])
def test_how_far_the_clocks_differ(lied_to, engine, hours, way):
    date = formatdate(time.time() + 3600 * hours, usegmt=True)
    said = b"<Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>"
    store, _ = lied_to(Lie(403, {"Date": date}, said), engine)
    with pytest.raises(CredentialsError) as refused:
        store.write("key", [b"x"])
    assert re.match(rf"this machine's clock is 3(59|60)\d s {way} the server's: set the clock", refused.value.hint)


@pytest.mark.parametrize("size", [0, 5])
def test_that_there_is_nothing_in_the_range_is_believed_of_an_empty_object_alone(lied_to, engine, size):
    def answer(asked):
        if asked.method == "HEAD":
            return Lie(200, OBJECT | {"Content-Length": str(size)})
        return Lie(416, {}, b"<Error><Code>InvalidRange</Code></Error>")

    store, _ = lied_to(answer, engine)
    if size:
        with pytest.raises(StoreError, match="InvalidRange"):
            list(store.read("key"))
    else:
        assert list(store.read("key")) == []


def test_an_answer_of_another_version_than_was_asked_for_is_none(lied_to, engine):
    """And nothing of it is looked after any more."""
    versions = itertools.count()

    def answer(asked):
        start, last = asked.headers["range"].removeprefix("bytes=").split("-")
        last = last or str(2 * RANGE - 1)
        said = OBJECT | {"ETag": f'"{next(versions)}"', "Content-Range": f"bytes {start}-{last}/{2 * RANGE}"}
        return Lie(206, said, bytes(int(last) + 1 - int(start)))

    store, _ = lied_to(answer, engine)
    with pytest.raises(ConflictError, match="replaced while it was read"):
        list(store.read("key"))
    assert store._bucket.lines._lines == set()


def large(version, size=3 * RANGE, listed="&quot;e&quot;", status=206):
    """A server whose ``version`` of the object is the current one, but not to its listing; with 200, it gives all."""

    def answer(asked):
        if asked.method == "HEAD":
            return Lie(200, OBJECT | {"Content-Length": str(size)})
        if "list-type" in asked.path:
            return page(found(Key="key", Size=str(size), ETag=listed))
        if asked.headers.get("if-match", version) != version:
            return Lie(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
        if status == 200:
            return Lie(200, OBJECT | {"ETag": version}, bytes(size))
        start, last = asked.headers["range"].removeprefix("bytes=").split("-")
        last = min(int(last or size), size - 1)
        said = OBJECT | {"ETag": version, "Content-Range": f"bytes {start}-{last}/{size}"}
        return Lie(206, said, bytes(last + 1 - int(start)))

    return answer


@pytest.mark.parametrize("look", [lambda store: list(store.list()), lambda store: store.stat("key")])
def test_what_was_named_is_asked_for_at_once_and_of_that_version(lied_to, engine, look, monkeypatch):
    monkeypatch.setattr("keystow.backends.cloud.NEAR", 0.0)
    store, liar = lied_to(large('"e"'), engine)
    look(store)
    assert b"".join(store.read("key")) == bytes(3 * RANGE)
    assert [asked.headers["if-match"] for asked in liar.asked[1:]] == 3 * ['"e"']


def test_an_etag_without_quotes_is_named_with_them(lied_to, engine, monkeypatch):
    monkeypatch.setattr("keystow.backends.cloud.NEAR", 0.0)
    store, liar = lied_to(large('"e"', listed="e"), engine)
    assert [found.etag for found in store.list()] == ["e"]
    assert b"".join(store.read("key")) == bytes(3 * RANGE)
    assert [asked.headers["if-match"] for asked in liar.asked[1:]] == 3 * ['"e"']


@pytest.mark.parametrize("near", [0.0, 60.0])
@pytest.mark.parametrize(("status", "most"), [(200, 1), (206, MOST_WRONG)])
def test_where_nothing_comes_of_what_is_named_it_is_not_used_any_more(
    lied_to, engine, near, status, most, monkeypatch
) -> None:
    """The server gives all in place of a range, or its listing is of another version each time."""
    monkeypatch.setattr("keystow.backends.cloud.NEAR", near)
    store, liar = lied_to(
        large('"f"', listed="&quot;f&quot;" if status == 200 else "&quot;e&quot;", status=status), engine
    )
    for _ in range(most):
        list(store.list())
        assert b"".join(store.read("key")) == bytes(3 * RANGE)
    list(store.list())
    del liar.asked[:]
    assert b"".join(store.read("key")) == bytes(3 * RANGE)
    assert [asked.headers["range"] for asked in liar.asked if "if-match" not in asked.headers] == [
        f"bytes=0-{RANGE - 1}"
    ]
    assert '"e"' not in {asked.headers.get("if-match") for asked in liar.asked}


@pytest.mark.parametrize("change", [lambda store: store.write("key", [b"x"]), lambda store: store.delete("key")])
def test_what_the_store_itself_changes_is_not_taken_for_what_was_named(lied_to, engine, change):
    told = large('"f"')

    def answer(asked):
        return told(asked) if asked.method in {"GET", "HEAD"} else Lie(headers=OBJECT)

    store, liar = lied_to(answer, engine)
    list(store.list())
    change(store)
    assert b"".join(store.read("key")) == bytes(3 * RANGE)
    assert '"e"' not in {asked.headers.get("if-match") for asked in liar.asked}


@pytest.mark.parametrize("near", [0.0, 60.0])
def test_what_was_replaced_since_it_was_named_is_read_as_it_is_now(lied_to, engine, near, monkeypatch):
    """And nothing that was refused is looked after any more."""
    monkeypatch.setattr("keystow.backends.cloud.NEAR", near)
    store, liar = lied_to(large('"f"'), engine)
    list(store.list())
    assert b"".join(store.read("key")) == bytes(3 * RANGE)
    assert {asked.headers.get("if-match") for asked in liar.asked[1:]} == {'"e"', None, '"f"'}
    assert store._bucket.lines._lines == set()


def test_a_small_object_is_asked_for_without_a_condition_whatever_was_named(lied_to, engine):
    store, liar = lied_to(large('"f"', size=RANGE), engine)
    list(store.list())
    assert b"".join(store.read("key")) == bytes(RANGE)
    assert [asked.headers.get("if-match") for asked in liar.asked[1:]] == [None]


def test_whoever_stops_at_once_leaves_nothing_to_be_looked_after(lied_to, engine, monkeypatch):
    monkeypatch.setattr("keystow.backends.cloud.NEAR", 0.0)
    store, _ = lied_to(large('"e"'), engine)
    list(store.list())
    pieces = store.read("key")
    next(pieces)
    pieces.close()
    until = time.monotonic() + 60
    while store._bucket.lines._lines and time.monotonic() < until:  # what is under way ends after its answer
        time.sleep(0.01)
    assert store._bucket.lines._lines == set()
