"""``concurrency`` and ``memory``: how many requests a server has at once, whoever sends them."""

import asyncio
import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from counting import Counting

from keystow import (
    Publisher,
    apublish,
    fetch,
    issue_ticket,
    open_store,
    publish,
    publish_each,
    publish_many,
    publish_with_ticket,
    verify,
)
from keystow.backends.sending.budget import Budget
from keystow.command import main
from keystow.download import Download

pytestmark = pytest.mark.slow

MIB = 1 << 20


@pytest.fixture
def server(seaweed, login):
    login(seaweed)
    with Counting(seaweed.endpoint) as standing:
        yield standing


@pytest.fixture
def prefix(bucket, server, s3_place):
    return f"{s3_place.root}/files/,opt=endpoint={server.url}"


@pytest.fixture
def tree(tmp_path):
    """Small files, a large one between them, and empty ones, of which many come after that one."""
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(16):
        (root / f"{number:02}").write_bytes(b"small" * (number % 3))
        (root / f"08-large-{number:02}").write_bytes(b"")
    (root / "08-large").write_bytes(random.Random(1).randbytes(20 * MIB))
    return root


@pytest.mark.parametrize("concurrency", [1, 2, None])
def test_a_prefix(tree, prefix, server, tmp_path, concurrency):
    most = concurrency or 129  # the listing comes beside what it lists

    def at_once(call):
        answer, highest = server.most_of(call, concurrency or 3)
        assert highest == concurrency if concurrency else 2 < highest <= most
        return answer

    said = {"concurrency": concurrency}
    result = at_once(lambda: publish(tree, prefix, archive=False, **said))
    at_once(lambda: publish(tree, prefix, archive=False, if_exists="skip", **said))
    at_once(lambda: verify(result, **said))
    at_once(lambda: fetch(result, tmp_path / "back", **said))
    assert (tmp_path / "back" / "08-large").read_bytes() == (tree / "08-large").read_bytes()


@pytest.mark.parametrize("engine", ["auto", "fsspec"])
@pytest.mark.parametrize(
    ("given", "parts", "ranges"),
    [
        ({"concurrency": 1}, 1, 1),
        ({"concurrency": 2}, 2, 2),
        ({"memory": 1}, 1, 1),
        ({"memory": 16 * MIB}, 2, 4),
        ({"concurrency": 3, "memory": 1 << 30}, 3, 3),
    ],
)
def test_a_large_object(server, s3_place, engine, given, parts, ranges):
    url, key = s3_place.root.rpartition("/")[::2]
    content = random.Random(2).randbytes(40 * MIB)
    server.seconds = 0.1
    with contextlib.closing(open_store(url, endpoint=server.url, engine=engine, **given)) as store:
        assert server.most_of(lambda: store.write(key, [content]), parts)[1] == parts
        read, highest = server.most_of(lambda: b"".join(store.read(key)), ranges)
        assert highest == ranges
        assert read == content
        download = Download(store.presign(key, expires=600), budget=Budget(**given))
        read, highest = server.most_of(lambda: b"".join(download), ranges)
        assert highest == ranges
        assert read == content


class OneByOne:
    """A store that is to be asked one thing at a time, and fails if it is asked to list while something is read."""

    budget = Budget(concurrency=1)

    def __init__(self, store):
        self._store = store
        self._reading = 0

    def list(self, prefix):
        for found in self._store.list(prefix):
            assert not self._reading
            yield found

    def read(self, key):
        self._reading += 1
        time.sleep(0.01)
        try:
            yield from self._store.read(key)
        finally:
            self._reading -= 1


def test_of_one_at_a_time_nothing_is_listed_while_something_is_read(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}").write_bytes(b"small")
    published = publish(tmp_path, "memory://one-by-one/files/", archive=False, manifest=False)
    store = OneByOne(open_store("memory://one-by-one"))
    assert verify(replace(published, type="s3"), store=store).objects == 20


def test_whoever_publishes_says_it(tree, prefix, server, tmp_path):
    """A publisher, a store that is given, a coroutine, several destinations, many publications."""
    one = {"concurrency": 1}
    url = prefix.rpartition("/files/")[0].rpartition("/")[0]

    def by_publisher():
        with Publisher(prefix, archive=False, **one) as publisher:
            result = publisher.publish(tree)
            publisher.verify(result)
            publisher.fetch(result, tmp_path / "back")

    def by_store():
        with contextlib.closing(open_store(url, endpoint=server.url, **one)) as store:
            verify(publish(tree, prefix, archive=False, store=store, concurrency=9), store=store)

    calls = {
        "publisher": by_publisher,
        "store": by_store,
        "awaited": lambda: asyncio.run(apublish(tree, prefix, archive=False, **one)),
        "several": lambda: publish_each(tree, [prefix], archive=False, **one),
        "many": lambda: [each.result.key for each in publish_many([(tree, prefix, None)], archive=False, **one)],
        "processes": lambda: [
            each.result.key for each in publish_many([(tree, prefix, None)], archive=False, processes=1, **one)
        ],
    }
    assert {name: server.most_of(call)[1] for name, call in calls.items()} == dict.fromkeys(calls, 1)


def test_who_publishes_by_a_ticket(s3_place, server, tmp_path):
    (tmp_path / "data").write_bytes(random.Random(3).randbytes(40 * MIB))
    server.seconds = 0.3  # to digest a part takes a while, too
    for given, most in (({"concurrency": 1}, 1), ({"memory": 16 * MIB}, 2)):
        to = f"{s3_place.root}/{most},opt=endpoint={server.url}"
        ticket = issue_ticket(to, expires=600, raw=True, max_size=6 << 30)
        sent = partial(publish_with_ticket, tmp_path / "data", ticket, **given)
        assert server.most_of(sent, most)[1] == most


def test_the_command(tree, prefix, server, tmp_path, capsys):
    result = f"{tmp_path}/r.yaml"
    (tmp_path / "jobs").write_text(f'{{"source": "{tree}", "destination": "{prefix}"}}')
    given = ("--plain", "--allow-endpoint", server.url, "--concurrency", "1", "--memory", "1")
    for most, command in (
        (1, ["publish", f"{tree}", prefix, "--plain", "--concurrency", "1", "--result", result]),
        (2, ["verify", result, "--concurrency", "2"]),
        (3, ["get", result, f"{tmp_path}/back", "--concurrency", "3", "--memory", "64MiB"]),
        (1, ["publish-many", f"{tmp_path}/jobs", *given]),
    ):
        assert server.most_of(partial(main, command), most) == (0, most)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("option", "wrong", "said"),
    [
        ("--concurrency", "0", "'0' is no whole number from 1 on"),
        ("--concurrency", "1.5", "'1.5' is no whole number from 1 on"),
        ("--concurrency=-1", "", "'-1' is no whole number from 1 on"),
        ("--memory", "0", "'0' is no size from 1 byte on"),
        ("--memory", "none", "'none' is no size from 1 byte on"),
        ("--memory", "much", "'much' is no size from 1 byte on"),
    ],
)
def test_what_the_command_does_not_take(option, wrong, said, capsys):
    for command in (["publish", "x", "memory://b/k"], ["publish-many", "x"], ["get", "x", "y"], ["verify", "x"]):
        with pytest.raises(SystemExit, match="2"):
            main([*command, option, *([wrong] if wrong else [])])
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"concurrency": True}, {"memory": -1}, {"memory": 1.5}])
def test_what_is_wrong_is_said_before_anything_is_done(wrong, tmp_path):
    absent = tmp_path / "absent"
    calls = [
        lambda: publish(absent, "memory://b/k", **wrong),
        lambda: Publisher("memory://b/k", **wrong),
        lambda: publish_each(absent, ["memory://b/k"], **wrong),
        lambda: publish_many([(absent, "memory://b/k", None)], **wrong),
        lambda: publish_many([(absent, "memory://b/k", None)], executor=ThreadPoolExecutor(1), **wrong),
        lambda: fetch(absent, tmp_path / "there", **wrong),
        lambda: verify(absent, **wrong),
        lambda: publish_with_ticket(absent, None, **wrong),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}=.* cannot be kept: give a whole number"):
            call()
