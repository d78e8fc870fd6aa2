"""A URL is somebody's: its server is held to what it announces, to TLS, to a bound, and to some progress."""

import contextlib
import itertools
import random
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from types import SimpleNamespace

import pytest
from children import forked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lying import MOST, PIECE, Lie, chunked, endless
from tls import secured

from keystow import ResultError, download, fetch, publish
from keystow.archive import ArchiveError, LimitExceededError, Limits
from keystow.backends import (
    AccessDeniedError,
    ConflictError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    open_store,
)
from keystow.backends.sending.ranges import NEAR, RANGE, in_ranges
from keystow.download import Download

SECRET = "X-Amz-Signature=secret"
CONTENT = bytes(range(256)) * 8000
LARGE = random.Random(0).randbytes(5 * RANGE)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("keystow.backends.sending.repeating.PAUSES", (0, 0, 0))


def url(server, path="/bucket/k.tar.gz"):
    return f"{server.url}{path}?{SECRET}"


def content(address, **options):
    return b"".join(Download(address, **options))


def refused(address, error=StoreError, **options):
    """What is said, which holds no signature, however it is looked at."""
    with pytest.raises(error) as caught:
        content(address, **options)
    chain = [caught.value]
    while chain[-1].__cause__ or chain[-1].__context__:
        chain.append(chain[-1].__cause__ or chain[-1].__context__)
    assert not any("secret" in f"{link!r} {link} {vars(link)}" for link in chain)
    return str(caught.value)


def ranged(asked, data=CONTENT, etag='"1"', most=None):
    """An honest server's answer, of ``most`` bytes before the connection breaks."""
    headers = {"ETag": etag}
    if "range" not in asked.headers:
        return Lie(200, headers | {"Content-Length": str(len(data))}, [data[:most]])
    if asked.headers.get("if-match", etag) != etag:
        return Lie(412)
    start, stop = span(asked, len(data))
    if start >= len(data):
        return Lie(416, {"Content-Range": f"bytes */{len(data)}"})
    headers |= {"Content-Length": str(stop - start), "Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
    return Lie(206, headers, [data[start:stop][:most]])


def span(asked, size):
    start, last = asked.headers["range"].removeprefix("bytes=").split("-")
    return int(start), min(size, int(last) + 1) if last else size


def test_the_content(liar):
    for lie in (Lie(body=CONTENT), Lie(body=[CONTENT]), Lie(200, {"Transfer-Encoding": "chunked"}, chunked([CONTENT]))):
        server = liar(lambda _, lie=lie: lie)
        assert content(url(server)) == CONTENT
    assert content(url(liar(Lie()))) == b""


# ---------------------------------------------------------------------------------------------------
# Heads


def test_a_head_that_was_cut_short_is_none_wherever_it_was_cut(liar):
    head = b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: "e"\r\nContent-Length: 256\r\n\r\n'
    answers = []
    server = liar(lambda _: Lie(raw=answers.pop()))
    for end in range(len(head)):
        answers[:] = [head + CONTENT[:256], head[:end]]
        assert content(url(server)) == CONTENT[:256], head[:end]
        assert not answers


def test_a_chunk_whose_size_was_cut_short_is_not_the_last(liar):
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = liar(Lie(raw=head + b"0005\r\nhello\r\n0"))
    assert "the connection ended before the answer did" in refused(url(server), StoreUnavailableError)


@pytest.mark.parametrize("status", [100, 102, 103])
def test_the_answer_is_the_one_after_those_that_come_before_it(liar, status):
    interim = b"HTTP/1.1 %d Early\r\nContent-Length: 9\r\n\r\n" % status
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    assert content(url(liar(Lie(raw=2 * interim + final)))) == b"ok"
    assert "no answer comes" in refused(url(liar(Lie(raw=1000 * interim + final))), StoreUnavailableError)


def test_another_protocol_is_no_answer(liar):
    lie = Lie(raw=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
    assert "no answer comes after status 101" in refused(url(liar(lie)), StoreUnavailableError)


def test_two_lengths_are_none_and_the_same_one_twice_is_one(liar):
    for lengths, is_one in (((5, 5), True), ((5, 6), False), ((6, 5), False)):
        lines = b"".join(b"Content-Length: %d\r\n" % length for length in lengths)
        server = liar(Lie(raw=b"HTTP/1.1 200 OK\r\n%b\r\nhello" % lines))
        if is_one:
            assert content(url(server)) == b"hello"
        else:
            assert "the answer has two lengths" in refused(url(server), StoreUnavailableError)


# ---------------------------------------------------------------------------------------------------
# Redirects


def test_a_redirect_is_followed_and_shown(liar, small, tmp_path):
    published = publish(small, f"file://{tmp_path}/store/k")
    packed = (tmp_path / "store" / "k.tar.gz").read_bytes()
    last = liar(Lie(body=packed))
    first = liar(Lie(307, {"Location": url(last, "/moved")}))
    fetched = fetch(url(first), tmp_path / "back")
    assert fetched.sha256 == published.checksum_sha256
    assert fetched.address == f"{last.url}/moved"
    assert not {"authorization", "cookie"} & set(last.asked[0].headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_bounded(liar, status):
    numbers = itertools.count()
    server = liar(lambda asked: Lie(status, {"Location": f"/next/{next(numbers)}?{SECRET}"}))
    assert "it leads on more than 5 times, or in a circle" in refused(url(server))
    assert len(server.asked) == 6
    circle = liar(lambda asked: Lie(status, {"Location": asked.path}))
    assert "in a circle" in refused(url(circle))
    assert len(circle.asked) < 7


@pytest.mark.parametrize(
    "target", ["ftp://127.0.0.1/k", "file:///etc/passwd", "gopher://h", "data:,x", "http://u:p@h/"]
)
def test_a_redirect_leaves_http_for_nothing_else(liar, target):
    """The server was asked, so it is the server's failure, not the call's."""
    server = liar(Lie(302, {"Location": target}))
    assert "it leads on to an address that is none" in refused(url(server))
    assert len(server.asked) == 1


def test_a_redirect_to_nowhere(liar):
    assert "it leads on, and does not say where" in refused(url(liar(Lie(302))))


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/k", "HTTP://127.0.0.1:1/k"])
def test_a_redirect_does_not_leave_tls(liar, certificates, monkeypatch, target):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    away = Lie(302, {"Location": target})
    server = secured(liar(lambda asked: away if "away" in asked.path else ranged(asked)), certificates)
    assert content(url(server)) == CONTENT
    assert f"it leads on to {target.lower()}, without TLS: ask for another URL" in refused(url(server, "/away"))


def test_the_body_of_a_redirect_is_not_read(liar):
    server = liar(
        lambda asked: Lie(302, {"Location": "/there"}, endless()) if "there" not in asked.path else Lie(body=b"x")
    )
    assert content(url(server)) == b"x"
    assert server.sent < MOST / 2


def test_each_server_is_asked_for(liar):
    asked = []
    last = liar(Lie(body=b"x"))
    first = liar(Lie(302, {"Location": url(last)}))
    assert content(url(first), admit=asked.append) == b"x"
    assert asked == [url(first), url(last)]

    def admit(address):
        if address.startswith(last.url):
            raise ResultError("not that one")

    assert refused(url(first), ResultError, admit=admit) == "not that one"
    assert len(last.asked) == 1


# ---------------------------------------------------------------------------------------------------
# Lengths


def test_no_more_than_was_announced_is_taken(liar):
    server = liar(lambda _: Lie(200, {"Content-Length": "5"}, endless(b"12345")))
    assert content(url(server)) == b"12345"
    assert server.sent < MOST / 2


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "-5"}])
def test_an_endless_body_is_cut_at_the_limit(liar, headers):
    server = liar(lambda _: Lie(200, headers, chunked(endless()) if "Transfer-Encoding" in headers else endless()))
    assert "more than the 1000000 bytes that may be fetched came" in refused(url(server), most=1_000_000)
    assert server.sent < MOST / 2


def test_what_is_announced_to_be_too_long_is_not_read(liar):
    server = liar(lambda _: Lie(200, {"Content-Length": str(1 << 40)}, endless()))
    assert f"{1 << 40} bytes, and 1000000 may be fetched" in refused(url(server), most=1_000_000)
    assert server.sent < MOST / 2


def test_a_limit_of_the_callers_says_which(liar, tmp_path):
    server = liar(lambda _: Lie(200, {"Content-Length": "10000000"}, endless()))
    with pytest.raises(LimitExceededError, match=r"10000000 bytes, and [0-9]+ may be fetched: raise Limits") as caught:
        fetch(url(server), tmp_path / "back", limits=Limits(bytes=1_000_000))
    assert caught.value.limit == "bytes"


def test_the_disk_and_the_limits_are_the_limit(liar, tmp_path):
    server = liar(lambda _: Lie(200, {"Content-Length": str(1 << 60)}, endless()))
    with pytest.raises(StoreError, match=f"{1 << 60} bytes, and [0-9]+ may be fetched"):
        fetch(url(server), tmp_path / "back")
    server = liar(lambda _: Lie(200, {}, endless()))
    with pytest.raises(
        (LimitExceededError, ArchiveError), match=r"more than the [0-9]+ bytes that may be fetched came|gzip"
    ):
        fetch(url(server), tmp_path / "back", limits=Limits(bytes=1000))
    assert server.sent < MOST / 2
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (Lie(206, {"Content-Range": "bytes 0-3/9"}, b"1234"), "HTTP 206 is no answer to this"),
        (Lie(204), "HTTP 204 is no answer to this"),
        (Lie(200, {"Content-Length": "9"}, [b"1234"]), "the answer was cut short"),
        (Lie(200, {"Transfer-Encoding": "chunked"}, [b"4\r\n12"]), "127.0.0.1"),
        (Lie(200, {"Transfer-Encoding": "chunked"}, [b"zz\r\n12"]), "127.0.0.1"),
        (Lie(304), "HTTP 304"),
        (Lie(400, {}, b"<Error><Code>Bad</Code><Message>\x1b[2J</Message></Error>"), r"Bad: \x1b[2J"),
        (Lie(500, {}, b"x" * 10), "HTTP 500: fetch again later"),
    ],
)
def test_answers_that_are_none(liar, lie, said):
    assert said in refused(url(liar(lambda _: lie)))


@pytest.mark.parametrize(
    ("status", "error"), [(403, AccessDeniedError), (404, NotFoundError), (503, StoreUnavailableError)]
)
def test_the_body_of_a_refusal_is_bounded(liar, status, error):
    server = liar(lambda _: Lie(status, {}, endless(b"<Code>Denied</Code>")))
    assert "Denied" in refused(url(server), error)
    assert server.sent < MOST / 2


# ---------------------------------------------------------------------------------------------------
# What breaks off goes on


@pytest.mark.parametrize("most", [0, 1, 100_000])
def test_it_goes_on_where_it_broke(liar, most):
    broken = iter([most, 3 * most, 0])
    server = liar(lambda asked: ranged(asked, most=next(broken, None)))
    assert content(url(server)) == CONTENT
    assert [asked.headers.get("range") for asked in server.asked][1:] == [
        f"bytes={start}-{RANGE - 1}" for start in (most, 4 * most, 4 * most)
    ]
    assert all(asked.headers["if-match"] == '"1"' for asked in server.asked[1:])


@pytest.mark.parametrize(
    "fault",
    [
        lambda asked: Lie(503),
        lambda asked: Lie(429, {"Retry-After": "0"}),
        lambda asked: Lie(408),
        lambda asked: ranged(asked, most=0),
        lambda asked: Lie(200, {"ETag": '"1"', "Transfer-Encoding": "chunked"}, [b"zz"]),
    ],
    ids=["503", "429", "408", "breaks off", "nonsense"],
)
def test_the_first_request_is_repeated_too(liar, fault):
    answers = iter([fault])
    server = liar(lambda asked: next(answers, ranged)(asked))  # noqa: PLW0108  another one for each
    assert content(url(server)) == CONTENT
    assert len(server.asked) == 2


def test_a_server_that_hangs_up_once(liar):
    def hang_up(asked):
        raise ConnectionResetError

    answers = iter([hang_up])
    server = liar(lambda asked: next(answers, ranged)(asked))  # noqa: PLW0108  another one for each
    server.handle_error = lambda *_: None
    assert content(url(server)) == CONTENT


def test_it_says_how_often_it_was_tried(liar):
    server = liar(lambda _: Lie(503))
    assert "(4 tries within a second)" in refused(url(server), StoreUnavailableError)
    assert len(server.asked) == 4
    server = liar(lambda _: Lie(503, {"Retry-After": "3600"}))
    with pytest.raises(StoreUnavailableError) as caught:
        content(url(server))
    assert (caught.value.retry_after, len(server.asked)) == (3600, 1)


def test_passing_errors_are_waited_out_where_it_goes_on(liar):
    answers = iter([lambda asked: ranged(asked, most=10), *(lambda _, s=s: Lie(s) for s in (503, 429, 408))])
    server = liar(lambda asked: next(answers, ranged)(asked))  # noqa: PLW0108  another one for each
    assert content(url(server)) == CONTENT
    assert len(server.asked) == 5


def test_it_goes_on_at_no_other_server(liar):
    other = liar(ranged)
    answers = iter([lambda asked: ranged(asked, most=10)])
    elsewhere = Lie(302, {"Location": f"{other.url}/k"})
    server = liar(lambda asked: next(answers, lambda _: elsewhere)(asked))  # noqa: PLW0108  another one for each
    assert "it goes on at another server: fetch it again" in refused(url(server))


def test_it_breaks_off_for_ever(liar):
    server = liar(lambda asked: ranged(asked, most=10))
    assert "the answer was cut short: fetch again" in refused(url(server))
    assert len(server.asked) == 9


@pytest.mark.parametrize(
    "second",
    [
        lambda asked: ranged(asked, etag='"2"'),
        lambda asked: Lie(200, {"ETag": '"1"'}, CONTENT),
        lambda asked: Lie(206, {"ETag": '"1"'}, CONTENT[10:]),
        lambda asked: Lie(
            206, {"ETag": '"1"', "Content-Range": f"bytes 11-{len(CONTENT) - 1}/{len(CONTENT)}"}, CONTENT[11:]
        ),
        lambda asked: Lie(206, {"ETag": '"1"', "Content-Range": "bytes 10-19/20"}, CONTENT[10:20]),
        lambda asked: Lie(206, {"Content-Range": f"bytes 10-{len(CONTENT) - 1}/{len(CONTENT)}"}, CONTENT[10:]),
    ],
    ids=["another etag", "all of it", "no range", "another start", "another length", "no etag"],
)
def test_it_goes_on_with_nothing_else(liar, second):
    answers = iter([lambda asked: ranged(asked, most=10)])
    server = liar(lambda asked: next(answers, second)(asked))  # noqa: PLW0108  another one for each
    assert "fetch it again" in refused(url(server))


def test_without_a_strong_etag_nothing_goes_on(liar):
    for etag in ('W/"1"', ""):
        server = liar(lambda asked, etag=etag: ranged(asked, etag=etag, most=10))
        assert "cut short" in refused(url(server))
        assert len(server.asked) == 1


# ---------------------------------------------------------------------------------------------------
# What is far comes in ranges, side by side


@pytest.fixture
def far(monkeypatch):
    monkeypatch.setattr("keystow.download.in_ranges", partial(in_ranges, near=0.0))


def asked_ranges(server):
    return [asked.headers.get("range") for asked in server.asked]


def test_a_server_that_gives_less_than_a_range_is_asked_for_all_of_it(liar):
    def answer(asked):
        if "range" not in asked.headers:
            return ranged(asked, LARGE)
        start, stop = span(asked, len(LARGE))
        least = f"bytes={start}-{min(stop, start + 1000) - 1}"
        return ranged(asked._replace(headers={**asked.headers, "range": least}), LARGE)

    server = liar(answer)
    assert content(url(server)) == LARGE
    assert asked_ranges(server) == [f"bytes=0-{RANGE - 1}", None]


def test_a_large_object_of_a_server_that_is_far_comes_side_by_side(liar):
    together = threading.Barrier(4, timeout=60)

    def answer(asked):
        if asked.headers["range"].startswith("bytes=0-"):
            time.sleep(2 * NEAR)
        else:
            together.wait()
        return ranged(asked, LARGE)

    server = liar(answer)
    assert content(url(server)) == LARGE
    assert sorted(asked_ranges(server)) == sorted(f"bytes={at}-{at + RANGE - 1}" for at in range(0, len(LARGE), RANGE))
    assert all(asked.headers["if-match"] == '"1"' for asked in server.asked[1:])


def test_of_a_server_that_is_near_the_rest_is_one_stream(liar, monkeypatch):
    monkeypatch.setattr("keystow.download.in_ranges", partial(in_ranges, near=60.0))
    server = liar(lambda asked: ranged(asked, LARGE))
    assert content(url(server)) == LARGE
    assert asked_ranges(server) == [f"bytes=0-{RANGE - 1}", f"bytes={RANGE}-"]


def test_with_tls_too(liar, far, certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    server = secured(liar(lambda asked: ranged(asked, LARGE)), certificates)
    assert content(url(server)) == LARGE
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("first", "asked"),
    [
        (lambda asked: ranged(asked._replace(headers={}), LARGE), 1),
        (lambda asked: Lie(200, {"Transfer-Encoding": "chunked"}, chunked([LARGE])), 1),
        (lambda asked: ranged(asked, LARGE, etag='W/"1"'), 2),
        (lambda asked: ranged(asked, LARGE, etag=""), 2),
        (lambda asked: Lie(206, {"ETag": '"1"', "Content-Range": f"bytes 0-{RANGE - 1}/*"}, LARGE[:RANGE]), 2),
        (lambda asked: Lie(206, {"ETag": '"1"', "Content-Range": f"bytes 1-{RANGE - 1}/{len(LARGE)}"}, LARGE[:9]), 2),
        (lambda asked: Lie(206, {"ETag": '"1"', "Content-Range": "bytes 0-9/5"}, LARGE[:10]), 2),
        (lambda asked: Lie(206, {"ETag": '"1"'}, LARGE[:RANGE]), 2),
        (lambda asked: Lie(416), 2),
    ],
    ids=["all", "all in chunks", "weak etag", "no etag", "no size", "another start", "nonsense", "no range", "refused"],
)
def test_a_server_that_has_no_use_for_ranges_gives_one_stream(liar, far, first, asked):
    server = liar(lambda asked: first(asked) if "range" in asked.headers else ranged(asked, LARGE))
    assert content(url(server)) == LARGE
    assert asked_ranges(server) == [f"bytes=0-{RANGE - 1}", None][:asked]


def test_of_an_empty_object_there_is_no_range(liar, far):
    server = liar(lambda asked: ranged(asked, b""))
    assert content(url(server)) == b""
    assert asked_ranges(server) == [f"bytes=0-{RANGE - 1}", None]


def test_no_more_is_taken_of_the_first_range_than_was_asked_for(liar, far):
    everything = {"ETag": '"1"', "Content-Range": f"bytes 0-{len(LARGE) - 1}/{len(LARGE)}"}
    server = liar(lambda asked: ranged(asked, LARGE) if "if-match" in asked.headers else Lie(206, everything, [LARGE]))
    assert content(url(server)) == LARGE
    assert len(server.asked) == 5


def test_what_is_too_long_in_all_is_not_read_in_ranges(liar, far):
    server = liar(lambda asked: ranged(asked, LARGE))
    assert f"{len(LARGE)} bytes, and 10000000 may be fetched" in refused(url(server), most=10_000_000)
    assert len(server.asked) == 1


@pytest.mark.parametrize("heeds", [True, False], ids=["412", "206"])
@pytest.mark.parametrize("when", [1, 2, 4])
def test_what_is_replaced_meanwhile_is_no_mixture(liar, far, when, heeds):
    numbers = itertools.count()

    def answer(asked):
        if next(numbers) < when:
            return ranged(asked, LARGE)
        headers = asked.headers if heeds else {"range": asked.headers["range"]}
        return ranged(asked._replace(headers=headers), bytes(len(LARGE)), etag='"2"')

    came = []
    with pytest.raises(ConflictError, match="it changed, or cannot be read on where it broke off: fetch it again"):
        came.extend(Download(url(liar(answer))))
    assert LARGE.startswith(b"".join(came))


@pytest.mark.server
def test_of_a_store_it_is_one_version_too(seaweed, bucket, login, far, monkeypatch):
    monkeypatch.setattr("keystow.backends.sending.ranges.RANGE", 1 << 18)
    login(seaweed)
    with contextlib.closing(open_store(f"s3://{bucket}", endpoint=seaweed.endpoint)) as store:
        store.write("signed", [LARGE])
        signed = store.presign("signed", expires=600)
        assert content(signed) == LARGE
        chunks = iter(Download(signed))
        came = [next(chunks)]
        store.write("signed", [LARGE[::-1]])
        with pytest.raises(ConflictError, match="it changed"):
            came.extend(chunks)
    assert LARGE.startswith(b"".join(came))


@pytest.mark.parametrize(
    "second",
    [
        lambda asked: Lie(200, {"ETag": '"1"'}, LARGE),
        lambda asked: Lie(206, {"ETag": '"1"', "Content-Range": f"bytes 0-{RANGE - 1}/{len(LARGE)}"}, LARGE[:RANGE]),
        lambda asked: ranged(asked, LARGE + b"x"),
        lambda asked: Lie(416),
    ],
    ids=["all of it", "another start", "another length", "none"],
)
def test_a_range_is_what_was_asked_for(liar, far, second):
    server = liar(lambda asked: second(asked) if "if-match" in asked.headers else ranged(asked, LARGE))
    assert "fetch it again" in refused(url(server), ConflictError)


@pytest.mark.parametrize("most", [0, 1, RANGE - 1])
def test_each_range_goes_on_where_it_broke(liar, far, most):
    broken = set()

    def answer(asked):
        start, _ = span(asked, len(LARGE))
        fresh = start % RANGE == 0 and start not in broken
        broken.add(start)
        return ranged(asked, LARGE, most=most if fresh else None)

    server = liar(answer)
    assert content(url(server)) == LARGE
    assert len(server.asked) == 10


def test_after_a_redirect_the_ranges_are_asked_for_where_it_led(liar, far):
    admitted = []
    last = liar(lambda asked: ranged(asked, LARGE))
    first = liar(Lie(307, {"Location": f"{last.url}/moved?{SECRET}2"}))
    download = Download(url(first), admit=admitted.append)
    assert b"".join(download) == LARGE
    assert (len(first.asked), len(last.asked)) == (1, 5)
    assert {asked.path for asked in last.asked} == {f"/moved?{SECRET}2"}
    assert admitted == [url(first), f"{last.url}/moved?{SECRET}2"]
    assert download.address == f"{last.url}/moved"


def test_where_it_led_may_expire(liar, far, monkeypatch):
    """Then it is asked for from the URL on, and admitted again wherever that leads; the others go there, too."""
    monkeypatch.setattr("keystow.backends.sending.ranges.RANGE", RANGE // 16)
    admitted, numbers = [], itertools.count()

    def answer(asked):
        is_first = len(last.asked) == 1
        return ranged(asked, LARGE) if is_first or not asked.path.endswith("?0") else Lie(403)

    last = liar(answer)
    first = liar(lambda _: Lie(302, {"Location": f"{last.url}/moved?{next(numbers)}"}))
    assert content(url(first), admit=admitted.append) == LARGE
    assert 1 < len(first.asked) < 40
    assert admitted[0] == url(first)
    assert set(admitted[1:]) == {f"{last.url}{asked.path}" for asked in last.asked}


def test_the_ranges_are_those_of_one_server(liar, far):
    other = liar(lambda asked: ranged(asked, LARGE))
    elsewhere = Lie(302, {"Location": f"{other.url}/k"})
    server = liar(lambda asked: elsewhere if "if-match" in asked.headers else ranged(asked, LARGE))
    assert "it goes on at another server: fetch it again" in refused(url(server))


@pytest.mark.parametrize("left", [-60, 3600])
def test_a_url_that_ends_soon_is_read_in_the_stream_that_it_began(liar, far, left):
    """A request after its end would be refused, and a stream goes on."""
    signed = (datetime.now(UTC) - timedelta(seconds=600)).strftime("%Y%m%dT%H%M%SZ")
    server = liar(lambda asked: ranged(asked, LARGE))
    assert content(f"{url(server)}&X-Amz-Date={signed}&X-Amz-Expires={600 + left}") == LARGE
    assert (f"bytes={RANGE}-{len(LARGE) - 1}" in asked_ranges(server)) == (left < 0)


@pytest.mark.parametrize("near", [0.0, 60.0])
def test_in_a_process_that_was_forked_it_goes_on_too(liar, monkeypatch, near):
    monkeypatch.setattr("keystow.download.in_ranges", partial(in_ranges, near=near))
    chunks = iter(Download(url(liar(lambda asked: ranged(asked, LARGE)))))
    came = [next(chunks)]

    def rest():
        return sha256(b"".join([*came, *chunks])).hexdigest()

    child = forked(rest)
    assert rest() == sha256(LARGE).hexdigest() == child()


def test_who_stops_reading_ranges_leaves_nothing_running(liar, far):
    before = set(threading.enumerate())
    server = liar(lambda asked: ranged(asked, LARGE))
    running = set(threading.enumerate()) - before
    chunks = iter(Download(url(server)))
    next(chunks)
    chunks.close()
    settled(before | running)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 40), st.integers(0, 1 << 32).map(random.Random), st.floats(0, 0.3), st.booleans())
def test_the_bytes_are_those_of_one_stream_for_any_size_and_fault(liar, far, size, chance, faults, heeds):
    data = random.Random(size).randbytes(size * 100)
    left = itertools.repeat(None, 3)

    def answer(asked):
        if chance.random() < faults and next(left, True) is None:
            return chance.choice([Lie(503), ranged(asked, data, most=chance.randint(0, 500))])
        return ranged(asked if heeds else asked._replace(headers={}), data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keystow.backends.sending.ranges.RANGE", 500)
        server = liar(answer)
        try:
            assert content(url(server)) == data
        except StoreError:
            assert not heeds, "it can go on"
            assert len(server.asked) > 1


# ---------------------------------------------------------------------------------------------------
# Progress


@pytest.fixture
def impatient(monkeypatch):
    """What makes no progress is cut soon, and for that alone, also where nobody looks at it for a while."""
    monkeypatch.setattr("keystow.backends.sending.limits.SECONDS", 0.2)
    monkeypatch.setattr("keystow.backends.sending.heads._MOST_INTERIM", 1_000_000)
    monkeypatch.setattr("keystow.backends.sending.repeating.PAUSES", ())


@pytest.fixture
def drip():
    """Starts a server that sends what it is told at once, then a byte now and then, until it is hung up on."""
    ended = []

    def start(first, then):
        listening = socket.create_server(("127.0.0.1", 0))

        def serve():
            connection, _ = listening.accept()
            with connection, listening:
                connection.sendall(first)
                try:
                    while True:
                        connection.sendall(then)
                        time.sleep(0.02)
                except OSError:
                    ended.append(True)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/k?{SECRET}", ended

    return start


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["status line", "header name", "header", "100 Continue", "body", "chunk", "body without length"],
)
def test_what_makes_no_progress_is_cut(impatient, drip, first, then):
    address, ended = drip(first, then)
    assert "it brought less than 1024 bytes in 0.2 s" in refused(address, StoreUnavailableError)
    for _ in range(1000):
        if ended:
            break
        time.sleep(0.05)
    assert ended


@pytest.fixture
def now(monkeypatch):
    """What the clock of the watches says, which stands still but for who sets it: nobody is cut for being slow."""
    seconds = [0.0]
    monkeypatch.setattr("keystow.watched.time", SimpleNamespace(monotonic=lambda: seconds[0]))
    return seconds


def test_a_refusal_that_drips_is_one(impatient, drip, now, monkeypatch):
    read = download._refused

    def reads(*arguments):
        now[0] += 1000
        return read(*arguments)

    monkeypatch.setattr(download, "_refused", reads)
    address, _ = drip(b"HTTP/1.1 403 No\r\n\r\n", b"x")
    assert "HTTP 403: the URL has expired" in refused(address, AccessDeniedError)


@pytest.mark.slow
def test_a_slow_reader_is_not_cut(impatient, liar, now):
    server = liar(Lie(body=CONTENT))
    got = []
    for chunk in Download(url(server)):
        got.append(chunk)
        if len(got) == 1:
            now[0] += 1000
            time.sleep(1.0)  # until the watch has looked at its clock
    assert b"".join(got) == CONTENT


def settled(before):
    """Within a minute, no thread runs but those of ``before``."""
    for _ in range(1000):
        if set(threading.enumerate()) <= before:
            break
        time.sleep(0.05)
    assert set(threading.enumerate()) <= before


def test_who_stops_reading_hangs_up(liar):
    server = liar(lambda _: Lie(200, {}, itertools.repeat(PIECE, 10_000)))
    before = set(threading.enumerate())
    reading = iter(Download(url(server)))
    next(reading)
    reading.close()
    settled(before)
    assert server.sent < MOST


def test_a_failure_that_is_kept_keeps_no_connection(liar, tmp_path):
    server = liar(lambda _: Lie(200, {}, itertools.repeat(b"no archive" * 1000, 100)))
    before, kept = set(threading.enumerate()), []
    for _ in range(3):
        with pytest.raises((StoreError, ArchiveError)) as caught:
            fetch(url(server), tmp_path / "back")
        kept.append(caught.value)
    settled(before)


@pytest.mark.parametrize(
    "bad", ["https://user:PW@host/k", "https://host:0/k", "http://h ost/k", "https:/h/k", "http://[::1/k"]
)
def test_what_is_no_url(bad):
    with pytest.raises(ResultError, match="the URL is none that can be fetched") as caught:
        Download(f"{bad}?{SECRET}")
    assert "PW" not in str(caught.value)
