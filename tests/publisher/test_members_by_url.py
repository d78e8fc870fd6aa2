"""Members by a pre-signed URL: in parts where its server gives some, and from the start where it does not."""

import os

import indexed
import lying
import pytest
from lying import Lie, chunked
from sample_tree import FILES, PLOT, TREE

from keystow import ResultError, VerificationError, fetch, open_archive
from keystow.archive import ArchiveError, Tree
from keystow.backends import ConflictError, StoreError, open_store

MADE = indexed.archive(TREE)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("keystow.backends.sending.repeating.PAUSES", (0, 0, 0))


def parted(asked, data=MADE, **given):
    return lying.parted(asked, data, **given)


def url(server):
    return f"{server.url}/bucket/k.tar.gz?X-Amz-Signature=secret"


def test_a_member_takes_three_requests(liar, tmp_path):
    made = indexed.archive(Tree.of({f"d/{number:05}": os.urandom(20_000) for number in range(2000)}))
    server = liar(lambda asked: parted(asked, made))
    fetched = fetch(url(server), tmp_path / "out", members=["d/01207"])
    assert len(server.asked) <= 3
    assert server.sent < 3 << 20
    assert (fetched.members, fetched.bytes, fetched.verified) == (2, 20_000, False)
    assert fetched.address == f"{server.url}/bucket/k.tar.gz"


def test_all_that_an_archive_gives(liar):
    server = liar(parted)
    with open_archive(url(server)) as archive:
        assert not archive.verified
        assert list(archive) == [entry.name for entry in TREE.entries]
        for name, content in FILES.items():
            assert archive.open(name).read() == content


@pytest.mark.parametrize("etag", ['"1"', 'W/"1"', None])
def test_a_server_that_knows_no_last_bytes(liar, tmp_path, etag):
    def answer(asked):
        lie = parted(asked, suffix=False)
        return lie._replace(headers={name: value for name, value in lie.headers.items() if name != "ETag" or etag})

    server = liar(answer)
    fetch(url(server), tmp_path / "out", members=["/score.txt"])
    assert len(server.asked) <= 4
    assert (tmp_path / "out/score.txt").read_bytes() == b"42"


@pytest.mark.parametrize(
    ("length", "body"), [({"Content-Length": "NaN"}, [MADE]), ({}, MADE[-10:])], ids=["as Azurite", "a part"]
)
def test_a_server_that_makes_nonsense_of_the_last_bytes(liar, length, body):
    def answer(asked):
        if asked.headers["range"].startswith("bytes=-"):
            return Lie(206, {"Content-Range": f"bytes NaN-10/{len(MADE)}", **length}, body)
        return parted(asked)

    server = liar(answer)
    with open_archive(url(server)) as archive:
        assert archive.open("score.txt").read() == b"42"
    assert server.asked[1].headers["range"] == "bytes=0-0"
    assert len(server.asked) <= 4


@pytest.mark.parametrize("first", [Lie(400), Lie(403), Lie(501), Lie(206), Lie(412)], ids=lambda lie: str(lie.status))
def test_one_that_says_no_length_of_it_either_is_read_from_its_start(liar, tmp_path, first):
    def answer(asked):
        span = asked.headers.get("range", "")
        if span.startswith("bytes=-"):
            return Lie(206, {"Content-Range": f"bytes NaN-10/{len(MADE)}", "ETag": '"another"'}, b"")
        return first if span == "bytes=0-0" else parted(asked)

    server = liar(answer)
    fetch(url(server), tmp_path / "out", members=["/score.txt"])
    assert (tmp_path / "out/score.txt").read_bytes() == b"42"
    assert all("if-match" not in asked.headers for asked in server.asked[:2])


def test_a_server_that_gives_all_and_says_no_length_is_asked_once_more(liar, tmp_path):
    server = liar(lambda asked: Lie(200, {"Transfer-Encoding": "chunked"}, chunked([MADE])))
    fetch(url(server), tmp_path / "out", members=["/score.txt"])
    assert (tmp_path / "out/score.txt").read_bytes() == b"42"
    assert len(server.asked) == 2


def test_parts_are_of_one_server(liar):
    """Where the first answer came from, another request is refused, and the URL leads elsewhere then."""
    other = liar(parted)
    where = {}

    def first(asked):
        return Lie(307, {"Location": f"{where['to'].url}/moved"})

    def refusing(asked):
        return parted(asked) if asked.headers["range"].startswith("bytes=-") else Lie(403)

    server, where["to"] = liar(first), liar(refusing)
    with open_archive(url(server)) as archive:
        where["to"] = other
        with pytest.raises(StoreError, match="it goes on at another server"):
            archive.open("a/plots/large.png").read()


def test_a_server_that_gives_no_parts(liar, tmp_path):
    server = liar(lambda asked: Lie(body=MADE))
    fetch(url(server), tmp_path / "out", members=["*.png"])
    assert (tmp_path / "out/a/plots/large.png").read_bytes() == PLOT
    with pytest.raises(ResultError, match="members="):
        open_archive(url(server))


def test_a_checksum_is_of_the_whole(liar, tmp_path):
    import hashlib

    sha256 = hashlib.sha256(MADE).hexdigest()
    assert fetch(url(liar(parted)), tmp_path / "out", members=["*.txt"], sha256=sha256).verified
    with pytest.raises(VerificationError):
        fetch(url(liar(parted)), tmp_path / "none", members=["*.txt"], sha256="0" * 64)
    assert not (tmp_path / "none").exists()


def test_another_content_under_the_url_is_an_error(liar):
    now = {"etag": '"1"'}
    server = liar(lambda asked: parted(asked, etag=now["etag"]))
    with open_archive(url(server)) as archive:
        now["etag"] = '"2"'
        with pytest.raises(ConflictError, match="changed"):
            archive.open("a/plots/large.png").read()


def test_what_has_no_index_is_read_from_its_start(liar, tmp_path):
    data, _ = indexed.data_and_index(TREE)
    fetch(url(liar(lambda asked: parted(asked, data))), tmp_path / "out", members=["*.txt"])
    assert (tmp_path / "out/score.txt").read_bytes() == b"42"
    empty = liar(lambda asked: Lie(416 if "range" in asked.headers else 200))
    with pytest.raises(ArchiveError):
        fetch(url(empty), tmp_path / "none", members=["*.txt"])


def test_the_url_of_a_store(seaweed, bucket, login, tmp_path):
    login(seaweed)
    with_store = open_store(f"s3://{bucket}", endpoint=seaweed.endpoint)
    with_store.write("of-url.tar.gz", [MADE])
    with open_archive(with_store.presign("of-url.tar.gz", expires=60)) as archive:
        assert archive.open("a/plots/large.png").read() == PLOT
    with_store.close()


def test_a_small_archive_needs_no_parts(liar):
    made = indexed.archive(Tree.of({"a": b"1", "b": b"2"}))
    server = liar(lambda asked: Lie(headers={"ETag": '"1"'}, body=made))
    with open_archive(url(server)) as archive:
        assert [archive.open(name).read() for name in archive] == [b"1", b"2"]
    assert len(server.asked) == 1


def test_a_redirect_is_followed_once(liar, tmp_path):
    last = liar(parted)
    first = liar(Lie(307, {"Location": f"{last.url}/moved?X-Amz-Signature=secret"}))
    fetched = fetch(url(first), tmp_path / "out", members=["*.png"])
    assert fetched.address == f"{last.url}/moved"
    assert len(first.asked) == 1
    assert (tmp_path / "out/a/plots/large.png").read_bytes() == PLOT


def test_a_server_that_is_not_allowed_is_not_asked(liar, tmp_path):
    last = liar(parted)
    first = liar(Lie(307, {"Location": f"{last.url}/moved"}))
    for address, allowed in ((url(last), "https://s3.example.com"), (url(first), first.url)):
        with pytest.raises(ResultError, match="not called"):
            fetch(address, tmp_path / "out", members=["*"], allow_endpoints={allowed})
        with pytest.raises(ResultError, match="not called"):
            open_archive(address, allow_endpoints={allowed})
    assert last.asked == []
