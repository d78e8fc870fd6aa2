"""What every server's answer must keep to: lengths, ranges, pages that lead somewhere."""

import asyncio
import io

import pytest
from aiohttp import ClientPayloadError

from keystow.backends.answers import MOST, Bounded, Pages, Stored, announced, natural, redirect


@pytest.mark.parametrize(
    ("status", "length", "content_range", "start", "stop", "promised"),
    [
        (200, 9, None, 0, None, (9, 9)),
        (200, "0", None, 0, None, (0, 0)),
        (200, "9", None, 0, 5, (9, 9)),  # whose server heeds no range
        (206, "3", "bytes 2-4/9", 2, 5, (3, 9)),
        (206, None, "bytes 2-4/9", 2, 5, (3, 9)),
        (206, "7", "bytes 2-8/9", 2, None, (7, 9)),
        (206, "7", "bytes 2-8/9", 2, 100, (7, 9)),
        (200, "3", "bytes 2-4/9", 2, 5, (3, 9)),  # rclone
    ],
)
def test_what_is_announced(status, length, content_range, start, stop, promised):
    assert announced(status, length, content_range, start, stop) == promised


@pytest.mark.parametrize(
    ("status", "length", "content_range", "start", "stop"),
    [
        (200, None, None, 0, None),
        (200, "-1", None, 0, None),
        (200, "9.0", None, 0, None),
        (200, "٣", None, 0, None),
        (200, "9" * 21, None, 0, None),
        (206, "9", "bytes 0-8/9", 0, None),
        (200, "9", "bytes 0-8/9", 0, None),
        (204, "9", None, 0, None),
        (200, "9", None, 2, 5),
        (206, "3", None, 2, 5),
        (206, "3", "", 2, 5),
        (206, "3", "bytes 3-5/9", 2, 5),
        (206, "4", "bytes 2-5/9", 2, 5),
        (206, "2", "bytes 2-3/9", 2, 5),
        (206, "4", "bytes 2-4/9", 2, 5),
        (206, "6", "bytes 2-7/9", 2, None),
        (206, "3", "items 2-4/9", 2, 5),
        (206, "3", "bytes 2-4/*", 2, 5),
    ],
)
def test_an_answer_of_anything_else(status, length, content_range, start, stop):
    with pytest.raises(ValueError, match=r"."):
        announced(status, length, content_range, start, stop)


@pytest.mark.parametrize("size", [None, "", "-1", "1e3", " 1", "1\n", True, 1.5, b"1"])
def test_no_size(size):
    with pytest.raises(ValueError, match="no number of bytes"):
        natural(size)


def test_pages_lead_somewhere():
    pages = Pages()
    assert pages.after("a", objects=1) == "a"
    assert pages.after("b", objects=1) == "b"
    for token in (None, "", "a", "b"):
        with pytest.raises(ValueError, match="no way on"):
            pages.after(token, objects=1)


def test_empty_pages_are_not_followed_for_ever():
    pages = Pages()
    for number in range(1000):
        pages.after(f"a{number}", objects=0)
    pages.after("one", objects=1)
    for number in range(1000):
        pages.after(f"b{number}", objects=0)
    with pytest.raises(ValueError, match="no way on"):
        pages.after("last", objects=0)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://evil.example.com/k?X-Amz-Signature=abc", "evil.example.com"),
        ("//user:pass@evil.example.com:1/k", "evil.example.com:1"),
        ("/elsewhere", "asked.example.com"),
    ],
)
def test_a_redirect_is_told_by_its_host(location, host):
    said = redirect(location, "https://asked.example.com/k")
    assert said == f"the server redirects to {host}, which is not followed"


def test_a_redirect_to_nowhere_is_told_as_it_stands():
    assert (
        redirect("http://[", "https://asked.example.com") == "the server redirects to 'http://[', which is not followed"
    )


class Content(io.BytesIO):
    """As aiohttp has it."""

    asked: list[int]

    async def read(self, size: int) -> bytes:  # type: ignore[override]
        self.asked.append(size)
        return super().read(size)


def bounded(content: bytes, most: int) -> tuple[Bounded, Content]:
    inner = Content(content)
    inner.asked = []
    return Bounded(inner, most), inner


@pytest.mark.parametrize("size", [0, 1, 70_000, 200_000])
def test_a_body_within_its_bound(size):
    body = bytes(range(256)) * 1000
    outer, inner = bounded(body[:size], size)
    assert asyncio.run(outer.read()) == body[:size]
    assert set(inner.asked) == {1 << 16}
    outer, _ = bounded(body[:size], size)
    assert asyncio.run(outer.read(0)) == b""
    assert asyncio.run(outer.read(7)) == body[:size][:7]
    assert outer.tell() == min(size, 7)


@pytest.mark.parametrize("most", [0, 9, 100_000])
def test_a_body_beyond_its_bound(most):
    for read in (lambda outer: outer.read(), lambda outer: outer.read(most + 1)):
        outer, _ = bounded(bytes(most + 1), most)
        with pytest.raises(ClientPayloadError, match="the answer is longer than it may be"):
            asyncio.run(read(outer))


def test_what_is_read_bit_by_bit_is_counted():
    outer, _ = bounded(bytes(10), 9)
    assert [asyncio.run(outer.read(3)) for _ in range(3)] == [bytes(3)] * 3
    with pytest.raises(ClientPayloadError):
        asyncio.run(outer.read(3))


def test_the_bound_of_what_is_no_content():
    assert MOST == 8 * 1024 * 1024


def test_what_a_store_says_no_more_of():
    assert tuple(Stored("etag")) == ("etag", None, None, "response")
