"""What was published is listed: in the library, and by the command."""

import io
import json
import pickle
import re
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from commands import complaint, keystow

from keystow import Context, SpecError, Template, fetch, list_published, open_store, publish
from keystow.backends import Stat, UnsupportedError
from keystow.keys import MatchTooCostlyError, TemplateError, ValueRefusedError
from keystow.publishing import Destination
from keystow.stored import open_place

pytestmark = pytest.mark.slow

KEY = "results/{date:%Y/%m/%d}/{jobID}-{run}"
SECOND = timedelta(seconds=1)


def utc(*numbers):
    return datetime(*numbers, tzinfo=UTC)


DAYS = [utc(2026, 10, 31, 23, 59), utc(2026, 11, 20, 5), utc(2026, 11, 28)]


def context(job, at=None, **labels):
    return Context(job_id=job, at=at, labels=labels)


@pytest.fixture
def six(place, files):
    """A destination to which two jobs have published on three days, out of order."""
    to = place(KEY)
    for day in (DAYS[1], DAYS[2], DAYS[0]):
        for job in ("b", "a"):
            publish(files, to, context(job, day, run="7"))
    return to


class Recording:
    """A store that remembers under which prefixes it was listed."""

    def __init__(self, store):
        self._store = store
        self.prefixes = []

    def list(self, prefix=""):
        self.prefixes.append(prefix)
        return self._store.list(prefix)

    def __getattr__(self, name):
        return getattr(self._store, name)


class Told:
    """A store whose objects are those that it is told of."""

    def __init__(self, stats):
        self._stats = stats

    def list(self, prefix=""):
        return (stat for stat in self._stats if stat.key.startswith(prefix))


def keys(found):
    return [each.key for each in found]


def names(place, found):
    """What was found, by its name below the place: there a bucket ends where each kind of store has it."""
    return [each.url.removeprefix(f"{place.root}/") for each in found]


def test_all_that_was_published_the_newest_last(place, six):
    found = list(list_published(six))
    days = ["2026/10/31", "2026/11/20", "2026/11/28"]
    assert set(names(place, found)) == {f"results/{day}/{job}-7.tar.gz" for day in days for job in "ab"}
    assert [each.at for each in found] == sorted(each.at for each in found)
    assert [each.modified for each in found[:2]] == sorted(each.modified for each in found[:2])
    one = found[0]
    assert one.fields == {"date": "2026/10/31", "jobID": one.fields["jobID"], "run": "7"}
    assert (one.encoding, one.objects, one.at) == ("gzip", 1, utc(2026, 10, 31))
    assert one.modified.utcoffset() == timedelta(0)
    with closing(open_place(one.result)) as store:
        assert one.size == store.stat(one.key).size


def test_what_is_listed_can_be_fetched_and_handed_on(six, tmp_path):
    *_, last = list_published(six)
    assert fetch(last.result, tmp_path / "back").members > 0
    again = pickle.loads(pickle.dumps(last))
    assert again == last
    assert hash(again) == hash(last)


@pytest.mark.parametrize(
    ("filters", "days", "jobs"),
    [
        ({"job_id": "a"}, [0, 1, 2], "a"),
        ({"job_id": "c"}, [], "a"),
        ({"labels": {"run": "7"}}, [0, 1, 2], "ab"),
        ({"labels": {"run": "8"}}, [], "ab"),
        ({"since": utc(2026, 11, 20)}, [1, 2], "ab"),
        ({"since": utc(2026, 11, 20, 23, 59)}, [1, 2], "ab"),
        ({"since": utc(2026, 11, 21)}, [2], "ab"),
        ({"until": utc(2026, 11, 28)}, [0, 1], "ab"),
        ({"until": utc(2026, 11, 28) + timedelta(microseconds=1)}, [0, 1, 2], "ab"),
        ({"since": utc(2026, 11, 1), "until": utc(2026, 11, 28), "job_id": "b"}, [1], "b"),
    ],
)
def test_filters(memory_place, files, filters, days, jobs):
    to = memory_place(KEY)
    for day in DAYS:
        for job in "ab":
            publish(files, to, context(job, day, run="7"))
    expected = {f"results/{DAYS[day]:%Y/%m/%d}/{job}-7.tar.gz" for day in days for job in jobs}
    assert set(keys(list_published(to, **filters))) == expected


@pytest.mark.parametrize(
    ("key", "filters", "prefixes"),
    [
        (KEY, {}, ["results/"]),
        (KEY, {"job_id": "a"}, ["results/"]),
        (KEY, {"since": DAYS[2], "until": DAYS[2] + SECOND}, ["results/2026/11/28/"]),
        (
            KEY,
            {"since": DAYS[2], "until": DAYS[2] + SECOND, "job_id": "a", "labels": {"run": "7"}},
            ["results/2026/11/28/a-7.tar.gz"],
        ),
        (KEY, {"since": utc(2026, 11, 1), "until": utc(2026, 12, 1)}, ["results/2026/11/"]),
        ("{jobID}/{date}", {"job_id": "a"}, ["a/"]),
        ("{jobID}/{date}", {"job_id": "a", "since": DAYS[2], "until": DAYS[2] + SECOND}, ["a/20261128.tar.gz"]),
        ("{jobID}/{date}", {"since": DAYS[2]}, [""]),
    ],
)
def test_no_more_is_read_than_template_and_filters_leave(memory_place, key, filters, prefixes):
    with closing(open_store(memory_place.root)) as store:
        recording = Recording(store)
        assert list(list_published(memory_place(key), store=recording, **filters)) == []
    assert recording.prefixes == prefixes


@pytest.mark.server
def test_what_s3_is_asked(seaweed, bucket, login, proxy, files):
    login(seaweed)
    to = f"s3://{bucket}/asked/{KEY},opt=endpoint={proxy.url}"
    for day in DAYS:
        publish(files, to, context("a", day, run="7"))
    proxy.requests.clear()
    found = keys(list_published(to, since=utc(2026, 11, 27), until=utc(2026, 11, 29)))
    assert found == ["asked/results/2026/11/28/a-7.tar.gz"]
    asked = [parse_qs(urlsplit(request.path).query) for request in proxy.requests]
    assert [query["prefix"] for query in asked] == [[f"asked/results/2026/11/{day}/"] for day in (27, 28)]


def test_the_objects_under_a_prefix_are_one_thing(place, files):
    to = place("files/{jobID}/{date}")
    for job in ("a", "b"):
        publish(files, to, context(job, DAYS[2]), archive=False)
    publish(files, to, context("c", DAYS[2]))
    found = list(list_published(to, archive=False))
    contents = [path.stat().st_size for path in files.rglob("*") if path.is_file()]
    assert set(names(place, found)) == {"files/a/20261128/", "files/b/20261128/"}
    assert {(each.encoding, each.objects, each.size) for each in found} == {("plain", len(contents), sum(contents))}
    assert names(place, list_published(to)) == ["files/c/20261128.tar.gz"]
    assert {each.manifest for each in found} == {True}
    assert {each.manifest for each in list_published(to)} == {None}


def test_a_prefix_without_a_manifest_is_told_apart():
    """It is none of the objects, wherever it stands among them, and was written last."""
    names = ["a/.keystow.manifest.jsonl.gz", "a/x", "b/x", "b/sub/.keystow.manifest.jsonl.gz"]
    stats = [Stat(name, 10, modified=utc(2026, 1, 4 - number)) for number, name in enumerate(names)]
    found = list(list_published("memory://m/{jobID}", store=Told(stats), archive=False))
    assert [(each.key, each.size, each.objects, each.manifest) for each in found] == [
        ("b/", 20, 2, False),
        ("a/", 10, 1, True),
    ]
    assert found[1].modified == utc(2026, 1, 4)


def test_a_manifest_is_no_raw_file():
    stats = [Stat("a/x", 10), Stat("a/.keystow.manifest.jsonl.gz", 10), Stat(".keystow.manifest.jsonl.gz", 10)]
    for key, found in (("{jobID}/{name}", ["a/x"]), ("{jobID}", [])):
        assert keys(list_published(f"memory://m/{key}", store=Told(stats), raw=True)) == found


def test_a_raw_file_is_what_it_is(place):
    to = place("exact/{jobID}/{run}.bin")
    for job in ("a", "b"):
        publish(io.BytesIO(b"42"), to, context(job, run="7"), raw=True)
    publish(io.BytesIO(b"42"), place("exact/a/else.txt"), Context(), raw=True)
    found = list(list_published(to, raw=True))
    assert set(names(place, found)) == {"exact/a/7.bin", "exact/b/7.bin"}
    assert {(each.size, each.encoding) for each in found} == {(2, "raw")}
    assert [each.at for each in found] == [each.modified for each in found]
    assert list(list_published(to, raw=True, since=datetime.now(UTC) + timedelta(days=1))) == []
    assert len(list(list_published(to, raw=True, since=datetime.now(UTC) - timedelta(days=1)))) == 2


def test_the_zone_in_which_the_keys_were_made(memory_place, files):
    zone = ZoneInfo("Asia/Tokyo")
    publish(files, memory_place("{date}-{time}"), Context(at=datetime(2026, 11, 28, 8, tzinfo=zone)))
    to = memory_place("{date}-{time}")
    (one,) = list_published(to, timezone=zone)
    assert one.at == utc(2026, 11, 27, 23)
    window = {"since": utc(2026, 11, 27, 23), "until": utc(2026, 11, 27, 23) + SECOND}
    assert len(list(list_published(to, timezone=zone, **window))) == 1
    assert list(list_published(to, **window)) == []


@pytest.mark.parametrize(
    ("key", "filters", "error", "words"),
    [
        ("{jobID}", {"node_id": "n"}, SpecError, "has no field {nodeID} .*: leave it out, .*{jobID}"),
        ("{jobID}", {"labels": {"run": "7"}}, SpecError, "has no field {run}"),
        ("k", {"job_id": "a"}, SpecError, r"\(none\)"),
        ("{jobID}", {"labels": {"jobID": "7"}}, TemplateError, "built-in"),
        ("{jobID}", {"job_id": "a/b"}, ValueRefusedError, "jobID"),
        ("{jobID", {}, TemplateError, "stray"),
        ("{jobID}", {"since": datetime(2026, 1, 1)}, SpecError, "no time zone"),  # noqa: DTZ001
        ("{jobID}", {"since": utc(2026, 1, 2), "until": utc(2026, 1, 2)}, SpecError, "is not before"),
        ("{jobID}", {"archive": True, "raw": True}, SpecError, "two ways"),
        ("{jobID}", {"store": Told([]), "profile": "lab"}, SpecError, "store= is open already"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(key, filters, error, words):
    with pytest.raises(error, match=words):
        list_published(f"s3://never-asked/{key}", **filters)


def test_a_mapping_may_name_no_more_than_a_jobs():
    params = {"Bucket": "/tmp", "Key": "{jobID}"}
    with pytest.raises(SpecError, match="allow"):
        list_published({"Type": "file", "Params": params})


def test_how_a_jobs_objects_are_written_is_no_matter_for_a_list():
    """A lock for good is not taken on somebody's word, but here nobody is bound by it."""
    lock = {"LockMode": "compliance", "RetainUntil": "2030-01-31T00:00:00+00:00"}
    job = {"Type": "s3", "Params": {"Bucket": "bucket", "Key": "{jobID}", **lock}}
    assert keys(list_published(job, store=Told([Stat("a.tar.gz", 1)]))) == ["a.tar.gz"]


def test_a_store_without_times_and_a_key_without_a_date():
    store = Told([Stat("a.tar.gz", 1)])
    (one,) = list_published("memory://m/{jobID}", store=store)
    assert (one.at, one.modified) == (None, None)
    with pytest.raises(UnsupportedError, match=r"'a.tar.gz' .*leave since, until out"):
        list(list_published("memory://m/{jobID}", store=store, since=utc(2026, 1, 1)))


def test_the_newest_is_last_whatever_the_order_of_the_store():
    at = [utc(2026, 1, day) for day in (3, 1, 2, 1)]
    store = Told([Stat(f"{name}.tar.gz", 1, modified=when) for name, when in zip("dcba", at, strict=True)])
    assert keys(list_published("memory://m/{jobID}", store=store)) == ["a.tar.gz", "c.tar.gz", "b.tar.gz", "d.tar.gz"]


def test_the_objects_of_a_prefix_need_not_come_together():
    stats = [Stat(f"{job}/{number}", 10, modified=utc(2026, 1, 1 + number)) for number in range(3) for job in "ba"]
    found = list(list_published("memory://m/{jobID}", store=Told(stats), archive=False))
    assert [(each.key, each.size, each.objects, each.at) for each in found] == [
        ("a/", 30, 3, utc(2026, 1, 3)),
        ("b/", 30, 3, utc(2026, 1, 3)),
    ]


def test_a_key_that_cannot_be_read_in_time_is_named_and_left_out(caplog):
    text = "{a}{b}{c}{a}{b}!"
    costly = "a" * 1000
    with pytest.raises(MatchTooCostlyError):
        Template(text, labels=list("abc")).match(costly)
    store = Told([Stat(f"{costly}.tar.gz", 1), Stat("12312!.tar.gz", 1)])
    assert keys(list_published(f"memory://m/{text}", store=store)) == ["12312!.tar.gz"]
    assert "left out 'aaa" in caplog.text


def test_a_key_that_would_chain_one_file_system_to_another_ends_no_list():
    """Whoever may write there can leave such a file, but it was not published."""
    store = Told([Stat("a::b.tar.gz", 1), Stat("c.tar.gz", 1), Stat("d::e/f", 1), Stat("g/h", 1)])
    assert keys(list_published("sftp://user@host/d/{jobID}", store=store)) == ["c.tar.gz"]
    assert keys(list_published("sftp://user@host/d/{jobID}", store=store, archive=False)) == ["g/"]


def held(things, objects):
    """The most bytes that are held while so many things of so many objects each are listed."""

    class Many:
        def list(self, prefix):
            for thing in range(things):
                for number in range(objects):
                    yield Stat(f"job-{thing:06}/{number:06}", 1, modified=utc(2026, 1, 1) + number * SECOND)

    found = list_published("memory://m/{jobID}", store=Many(), archive=False)
    tracemalloc.start()
    try:
        assert sum(each.objects for each in found) == things * objects
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_is_held_grows_with_the_things_and_not_with_their_objects():
    held(1, 1)
    assert held(10, 2000) < held(10, 20) + 20_000
    assert held(4000, 1) < 4000 * 1000


def test_the_destination_of_a_publication_is_that_of_a_list(memory_place):
    """One parser for both: what the options say of the encoding counts here, too."""
    to = memory_place("{jobID}") + ",opt=encoding=raw"
    publish(io.BytesIO(b"42"), to, context("a"))
    assert Destination(to).encoding == "raw"
    assert keys(list_published(to)) == ["a"]


# ---------------------------------------------------------------------------------------------------
# The command


def session(place, files):
    """Two jobs on three days, published by the command."""
    to = place("results/{date:%Y/%m/%d}/{jobID}-{run}")
    for day in ("2026-11-28", "2026-10-31T23:59", "2026-11-20T05:00"):
        for job in ("a", "b"):
            ran = keystow("publish", files, to, "--job-id", job, "--label", "run=7", "--at", day)
            assert ran.status == 0, ran.err
    return to


def listed(*arguments, **environment):
    ran = keystow("ls", *arguments, **environment)
    assert ran.status == 0, ran.err
    return ran


@pytest.mark.parametrize("kind", ["file", pytest.param("s3", marks=pytest.mark.server)])
def test_a_session(request, kind, files):
    place = request.getfixturevalue(f"{kind}_place")
    to = session(place, files)
    ran = listed(to, "--job-id", "b", "--since", "2026-11-01", "--until", "2026-11-28", "--output", "json")
    assert ran.err == ""
    (line,) = map(json.loads, ran.out.splitlines())
    assert line["key"].endswith("2026/11/20/b-7.tar.gz")
    assert line["url"] == f"{place.root}/results/2026/11/20/b-7.tar.gz"
    assert line["fields"] == {"date": "2026/11/20", "jobID": "b", "run": "7"}
    assert (line["at"], line["objects"], line["encoding"]) == ("2026-11-20T00:00:00Z", 1, "gzip")
    assert datetime.fromisoformat(line["modified"]).utcoffset() == timedelta(0)
    got = keystow("get", "-", files.parent / "back", "--allow", "file", stdin=json.dumps(line["PublishedResult"]))
    assert got.status == 0, got.err
    table = listed(to, "--since", "2026-11-01").out.splitlines()
    assert [row.split()[0] for row in table] == ["2026-11-20T00:00:00Z"] * 2 + ["2026-11-28T00:00:00Z"] * 2
    assert {len(row) for row in table} == {len(table[0])}
    assert table[0].endswith(f"  1 object  {place.root}/results/2026/11/20/a-7.tar.gz")


def test_an_age(file_place, files):
    to = file_place("{jobID}/{date}")
    now = datetime.now(UTC)
    for age in (0, 3, 10):
        at = f"{now - timedelta(days=age):%Y-%m-%dT%H:%M:%SZ}"
        assert keystow("publish", files, to, "--job-id", f"job{age}", "--at", at).status == 0
    rows = listed(to, "--since", "7d").out.splitlines()
    assert [f"job{age}/" in row for age, row in zip((3, 0), rows, strict=True)] == [True, True]
    assert "job10/" in listed(to, "--until", "7d").out
    assert len(listed(to, "--since", "11d", "--until", "5d").out.splitlines()) == 1


def test_nothing_there(file_place):
    ran = listed(file_place("{jobID}"))
    assert (ran.out, ran.err) == ("", "keystow: nothing was found; --plain and --raw list what is no archive\n")
    ran = listed(file_place("{jobID}"), "--raw", "--output", "json")
    assert (ran.out, json.loads(ran.err)) == ("", {"level": "note", "message": "nothing was found"})


def test_the_usual_destination_and_the_job_that_runs_here(file_place, files):
    """What Bacalhau tells a job is where it publishes to, and not what it looks for."""
    to = file_place("{jobID}")
    for job in ("a", "b"):
        assert keystow("publish", files, to, "--job-id", job).status == 0
    ran = listed("--output", "json", KEYSTOW_DESTINATION=to, BACALHAU_JOB_ID="a")
    assert {json.loads(line)["fields"]["jobID"] for line in ran.out.splitlines()} == {"a", "b"}


def test_a_spec(tmp_path, files, file_place):
    (tmp_path / "job.json").write_text(
        json.dumps({"Type": "file", "Params": {"Bucket": str(tmp_path / "published"), "Key": "{jobID}"}})
    )
    assert keystow("publish", files, file_place("{jobID}"), "--job-id", "a").status == 0
    assert "--allow file" in complaint(keystow("ls", "--spec", tmp_path / "job.json"), 2)
    assert len(listed("--spec", tmp_path / "job.json", "--allow", "file").out.splitlines()) == 1


def test_plain_and_raw(file_place, files):
    to = file_place("{jobID}")
    assert keystow("publish", files, to, "--plain", "--job-id", "a").status == 0
    assert keystow("publish", files / "score.txt", to, "--raw", "--job-id", "b").status == 0
    whole = listed(to, "--plain")
    assert (whole.err, json.loads(listed(to, "--plain", "--output", "json").out)["manifest"]) == ("", True)
    assert whole.out.endswith(" 4 objects  " + file_place("a") + "/\n")
    assert keystow("publish", files, to, "--plain", "--job-id", "a2", "--no-manifest").status == 0
    ran = listed(to, "--plain")
    assert ran.out.splitlines()[1].endswith(" 4 objects! " + file_place("a2") + "/")
    assert ran.out.splitlines()[0] == whole.out.strip()
    assert "without one" in ran.err
    ran = listed(to, "--plain", "--output", "json")
    assert ([json.loads(line)["manifest"] for line in ran.out.splitlines()], ran.err) == ([True, False], "")
    assert listed(to, "--raw").out.endswith("     3 B        1 object  " + file_place("b") + "\n")


def test_the_columns_stand_below_each_other_whatever_the_number_of_objects(tmp_path):
    for job, objects in (("a", 1), ("b", 10), ("c", 1000)):
        (tmp_path / "published" / job).mkdir(parents=True)
        for number in range(objects):
            (tmp_path / "published" / job / str(number)).write_bytes(b"")
    rows = listed(f"file://{tmp_path}/published/{{jobID}}", "--plain").out.splitlines()
    assert {row.index("file://") for row in rows} == {rows[0].index("file://")}
    assert [" ".join(row.split()[3:5]) for row in rows] == ["1 object!", "10 objects!", "1000 objects!"]


def test_the_page_names_every_key_of_a_line(file_place, files):
    to = file_place("{jobID}")
    assert keystow("publish", files, to, "--job-id", "a").status == 0
    page = (Path(__file__).parent.parent.parent / "docs" / "listing.md").read_text("utf-8")
    line = json.loads(listed(to, "--output", "json").out)
    assert [*line] == re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)


def test_what_would_move_the_cursor_is_escaped(tmp_path):
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "r-\x1b[2J.bin").write_bytes(b"")
    (tmp_path / "published" / "r-a\u202eb.bin").write_bytes(b"")
    to = f"file://{tmp_path}/published/{{jobID}}.bin"
    (row,) = listed(to, "--raw").out.splitlines()
    assert row.endswith("/r-a\\u202eb.bin")
    assert json.loads(listed(to, "--raw", "--output", "json").out)["key"] == "r-a\u202eb.bin"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["published.yaml"], "'published.yaml' is no DESTINATION: write the one that was published to, as s3://"),
        ([], "give a DESTINATION"),
        (["file:///d/{jobID}", "--node-id", "n"], "has no field {nodeID}"),
        (["file:///d/{jobID}", "--label", "a=1", "--label", "a=2"], "--label is given twice"),
        (["file:///d/{jobID}", "--since", "yesterday"], "no time such as 2026-11-28"),
        (["file:///d/{jobID}", "--since", "7w"], "is no duration such as"),
        (["file:///d/{jobID}", "--since", "999999999d"], "--since is outside of the years"),
        (["file:///d/{jobID}", "--since", "2026-01-02", "--until", "2026-01-01"], "--since 2026-01-02"),
        (["file:///d/{jobID}", "--since", "1d", "--until", "2d"], "is not before until"),
        (["file:///d/{jobID}", "--plain", "--raw"], "not allowed with"),
        (["file:///d/{jobID}", "--output", "yaml"], "invalid choice"),
    ],
)
def test_what_is_wrong_with_the_call(arguments, words):
    assert words in complaint(keystow("ls", *arguments), 2)
