"""Many publications at once: few are taken ahead, each ends in one outcome, and a worker that is lost loses nothing."""

import io
import itertools
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType

import pytest
from archive_strategies import lay

from keystow import (
    AlreadyExistsError,
    Context,
    KeystowError,
    PublishedResult,
    PublisherSpec,
    SpecError,
    StoreError,
    WorkerLostError,
    open_store,
    publish,
    publish_many,
    stored,
    verify,
)
from keystow.archive.selection import Selection
from keystow.backends import BucketNotFoundError, CredentialsError
from keystow.keys.errors import MissingValueError, TemplateError
from keystow.tasks import portable

pytestmark = pytest.mark.slow

SECONDS = 60
SPAWN = multiprocessing.get_context("spawn")


def jobs(source, destination, numbers):
    return ((source, destination, Context(job_id=f"{number}")) for number in numbers)


def children():
    return multiprocessing.active_children()


def until(seen):
    deadline = time.monotonic() + SECONDS
    while not (found := seen()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


class Counted:
    """An iterable that knows how many were taken."""

    def __init__(self, items):
        self._items = iter(items)
        self.taken = 0

    def __iter__(self):
        for item in self._items:
            self.taken += 1
            yield item


class Losing(ThreadPoolExecutor):
    """Does the work, and loses the first ``times`` answers to each publication."""

    def __init__(self, times):
        super().__init__(4)
        self._times = times
        self.sent = []

    def submit(self, work, task):
        self.sent.append(pickle.dumps((work, task)))
        future = super().submit(work, task)
        if task.tries > self._times:
            return future
        lost = Future()
        future.add_done_callback(lambda _: lost.set_exception(ConnectionError("the worker is gone")))
        return lost


def test_each_is_published_once_by_threads(place, files):
    destination = place("r-{jobID}")
    outcomes = list(publish_many(jobs(files, destination, range(40)), if_exists="error"))
    assert sorted(outcome.index for outcome in outcomes) == list(range(40))
    assert {outcome.error for outcome in outcomes} == {None}
    for outcome in outcomes:
        assert outcome.publication == (files, destination, Context(job_id=f"{outcome.index}"))
        assert re.search(rf"\br-{outcome.index}\.tar\.gz$", outcome.result.key)
    assert verify(outcomes[0].result).sha256 == publish(files, place("other")).checksum_sha256


OPTIONS = [
    {"archive": False, "include": ["*.txt"], "exclude": "empty.txt"},
    {"mtime": 7, "level": 0, "if_exists": "skip", "symlinks": "skip", "special": "skip", "timeout": 60},
    {"include": ["*.txt", "*.json"]},
]


def test_it_publishes_what_publish_does(file_place, files, monkeypatch):
    """Also in another process, from a path that is relative to where this one is now."""
    with ProcessPoolExecutor(1, SPAWN) as pool:
        pool.submit(os.getpid).result()
        monkeypatch.chdir(files.parent)
        for number, options in enumerate(OPTIONS):
            one = publish(files, file_place("one"), **options)
            for name, how in (("threads", {}), ("pool", {"executor": pool})):
                publications = [(files.name, file_place(f"{name}-{number}"), None)]
                (outcome,) = publish_many(publications, **how, **options)
                assert outcome.error is None
                assert outcome.result.checksum_sha256 == one.checksum_sha256 is not None


def test_a_selection_crosses():
    for only in (True, False):
        chosen = pickle.loads(pickle.dumps(Selection(["!*.csv", "old/"], only=only)))
        names = [("a.csv", False), ("a", False), ("old", True)]
        states = [chosen.state(name, within=chosen.root, is_directory=is_directory) for name, is_directory in names]
        assert states == [True, None if only else True, False]


def test_no_more_are_taken_than_may_be_under_way(memory_place, files):
    taken = Counted(jobs(files, memory_place("{jobID}"), itertools.count()))
    outcomes = publish_many(taken, at_once=3)
    assert taken.taken == 0
    for number in range(1, 50):
        next(outcomes)
        assert taken.taken < number + 3
    outcomes.close()
    assert taken.taken < 49 + 3


def test_no_more_are_taken_than_processes_and_as_many_that_wait(file_place, files):
    taken = Counted(jobs(files, file_place("{jobID}"), itertools.count()))
    outcomes = publish_many(taken, processes=1)
    for number in range(1, 20):
        next(outcomes)
        assert taken.taken < number + 2
    assert len(children()) == 1
    outcomes.close()
    assert children() == []


def test_so_many_are_under_way_and_go_on_together(memory_place, files, monkeypatch):
    together, counting, writing, most = threading.Barrier(5, timeout=SECONDS), threading.Lock(), 0, 0

    def opening(url, **options):
        store = open_store(url, **options)
        write = store.write

        def writes(*arguments, **more):
            nonlocal writing, most
            with counting:
                writing += 1
                most = max(most, writing)
            together.wait()
            with counting:
                writing -= 1
            return write(*arguments, **more)

        store.write = writes
        return store

    monkeypatch.setattr(stored, "open_store", opening)
    outcomes = list(publish_many(jobs(files, memory_place("{jobID}"), range(20)), at_once=5))
    assert (len(outcomes), most) == (20, 5)


def test_stores_are_shared_and_few_stay_open(file_place, files, monkeypatch):
    is_open, most, opened = set(), 0, 0

    def opening(url, **options):
        nonlocal most, opened
        store = open_store(url, **options)
        is_open.add(store)
        opened += 1
        most = max(most, len(is_open))
        store.close = lambda: is_open.discard(store)
        return store

    monkeypatch.setattr(stored, "open_store", opening)
    assert len(list(publish_many(jobs(files, file_place("{jobID}/r"), range(30)), at_once=1))) == 30
    assert (opened, most, is_open) == (1, 1, set())
    far = ((files, file_place(f"bucket-{number % 20}/{{jobID}}"), Context(job_id=f"{number}")) for number in range(60))
    assert len(list(publish_many(far, at_once=2))) == 60
    assert is_open == set()
    assert 8 <= most <= 8 + 2


def test_one_that_fails_does_not_stop_the_others(memory_place, files):
    wrong = {
        (files / "absent", memory_place("a"), None): FileNotFoundError,
        (files, "s3:/bucket", None): SpecError,
        (files, memory_place("{jobid}"), None): TemplateError,
        (files, memory_place("{nodeID}"), Context()): MissingValueError,
        (files, "memory://b/k", None, "more"): ValueError,
        (files, 7, None): SpecError,
    }
    right = [(files, memory_place(f"r-{number}"), None) for number in range(6)]
    publications = [each for pair in zip(wrong, right, strict=True) for each in pair]
    for outcome in publish_many(publications):
        kind = wrong.get(outcome.publication)
        assert isinstance(outcome.error, kind) if kind else outcome.result.key
        assert (outcome.result is None) == (kind is not None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"if_exists": "maybe"}, "if_exists='maybe'"),
        ({"level": 11}, "level"),
        ({"include": ["/"]}, "pattern"),
        ({"timeout": 0}, "timeout"),
        ({"allow_endpoints": ["x"]}, "allow_endpoints"),
        ({"processes": 0}, "processes=0"),
        ({"at_once": 0}, "at_once=0"),
        ({"processes": 1, "executor": ThreadPoolExecutor(1)}, "give one of them"),
    ],
)
def test_what_is_wrong_with_the_call_is_said_at_once(arguments, said):
    taken = Counted([("a", "b", None)])
    with pytest.raises(ValueError, match=said):
        publish_many(taken, **arguments)
    assert taken.taken == 0


def test_what_reading_the_publications_raises_comes_after_the_outcomes(memory_place, files):
    def some():
        yield from jobs(files, memory_place("{jobID}"), range(3))
        raise LookupError("the queue is gone")

    outcomes = publish_many(some())
    assert {next(outcomes).index for _ in range(3)} == {0, 1, 2}
    with pytest.raises(LookupError, match="the queue is gone"):
        next(outcomes)


def test_a_stranger_is_not_let_in_where_the_caller_was(file_place, files):
    """A place is opened once for all, and admitted for each."""
    text = file_place("k")
    spec = PublisherSpec.parse(text)
    publications = [(files, text, None), (files, spec.to_mapping(), None)]
    own, strange = sorted(publish_many(publications, at_once=1), key=lambda outcome: outcome.index)
    assert own.result.key == "k.tar.gz"
    assert isinstance(strange.error, SpecError)
    (allowed,) = publish_many(publications[1:], allow=["file"])
    assert allowed.result == own.result


def test_a_worker_heeds_what_its_own_environment_allows(files, monkeypatch):
    claimed = {"Type": "s3", "Params": {"Bucket": "b", "Key": "k", "Endpoint": "http://127.0.0.1:1"}}
    monkeypatch.setenv("KEYSTOW_ALLOW_ENDPOINTS", "https://s3.example.com")
    with ProcessPoolExecutor(1, SPAWN) as pool:
        pool.submit(os.getpid).result()
        monkeypatch.delenv("KEYSTOW_ALLOW_ENDPOINTS")
        (outcome,) = publish_many([(files, claimed, None)], executor=pool, timeout=1)
    assert isinstance(outcome.error, SpecError)
    assert "127.0.0.1" in str(outcome.error)


# -- errors


def test_an_error_that_cannot_cross_is_told():
    class LocalError(Exception):
        """Which no other process can find."""

    told = portable(LocalError("what it says"))
    assert type(told) is KeystowError
    assert str(told) == "LocalError: what it says"


@pytest.mark.server
def test_errors_of_workers_come_back_as_they_are(s3_place, seaweed, files):
    publish(files, s3_place("there"))
    (files / "score.txt").write_text("43")
    publications = [
        (files, f"s3://no-such-bucket-there/k,opt=endpoint={seaweed.endpoint}", None),
        (files / "absent", s3_place("k"), None),
        (files, s3_place("there"), None),
    ]
    found = {}
    for name, how in (("threads", {}), ("processes", {"processes": 1})):
        outcomes = sorted(publish_many(publications, if_exists="error", **how), key=lambda outcome: outcome.index)
        found[name] = [
            (type(error), error.kind, re.sub(r"\(request \S+\)", "", str(error)), getattr(error, "hint", None))
            for error in (outcome.error for outcome in outcomes)
        ]
    assert found["processes"] == found["threads"]
    assert [kind for kind, *_ in found["threads"]][::2] == [BucketNotFoundError, AlreadyExistsError]
    assert found["threads"][0][3]


def test_what_is_another_processs_own_is_refused(memory_place, files):
    (outcome,) = publish_many([(files, memory_place("k"), None)], processes=1)
    with pytest.raises(SpecError, match="publish by threads"):
        raise outcome.error


# -- what travels


@pytest.mark.server
def test_no_credential_travels(s3_place, seaweed, files, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "")
    with Losing(0) as pool:
        mapping = PublisherSpec.parse(s3_place("m-{jobID}")).to_mapping()
        publications = [*jobs(files, s3_place("t-{jobID}"), "ab"), *jobs(files, mapping, "ab")]
        outcomes = list(publish_many(publications, executor=pool, allow_endpoints=[seaweed.endpoint]))
    assert [outcome.error for outcome in outcomes] == [None] * 4
    for sent in pool.sent:
        assert len(sent) < 2000
        assert seaweed.endpoint.encode() in sent
        for secret in (seaweed.access_key, seaweed.secret_key):
            assert secret.encode() not in sent


def test_a_publication_is_the_same_each_time_that_it_is_sent(file_place, files, monkeypatch):
    """Its instant is when it was taken, and its ids are those of the job that took it."""
    monkeypatch.setenv("BACALHAU_JOB_ID", "j1")
    with Losing(2) as pool:
        publications = [(files, file_place("{jobID}/{date}{time:%H%M%S%f}"), None)]
        (outcome,) = publish_many(publications, executor=pool, if_exists="error")
    assert len(pool.sent) == 3
    assert [found.key for found in stored.open_place(outcome.result).list()] == [outcome.result.key]


# -- workers that are lost


def test_an_answer_that_was_lost_is_had_by_sending_it_again(place, files):
    with Losing(1) as pool:
        publications = jobs(files, place("{jobID}"), range(5))
        outcomes = list(publish_many(publications, executor=pool, if_exists="error"))
    assert [outcome.error for outcome in outcomes] == [None] * 5
    assert len(pool.sent) == 10
    assert {verify(outcome.result).objects for outcome in outcomes} == {1}


def test_what_is_lost_each_time_says_so(memory_place, files):
    with Losing(9) as pool:
        publications = jobs(files, memory_place("{jobID}"), range(3))
        outcomes = list(publish_many(publications, executor=pool))
    assert len(pool.sent) == 9
    for outcome in outcomes:
        with pytest.raises(WorkerLostError, match=r"3 of 3 tries; ConnectionError: the worker is gone"):
            raise outcome.error
        assert outcome.error.kind == "worker_lost"


def test_a_run_that_is_done_again_publishes_nothing_again(file_place, files):
    for _ in range(2):
        outcomes = list(publish_many(jobs(files, file_place("{jobID}"), range(3)), if_exists="error"))
        assert all(outcome.result.checksum_sha256 for outcome in outcomes)
    (files / "score.txt").write_text("43")
    for outcome in publish_many(jobs(files, file_place("{jobID}"), range(3)), if_exists="error"):
        assert type(outcome.error) is AlreadyExistsError


@pytest.fixture
def versioned(seaweed, versioned_bucket, login):
    """A prefix of a bucket that keeps each version, and how many there are of each object below it."""
    login(seaweed)
    prefix = f"many-{os.urandom(4).hex()}/"

    def versions():
        pages = seaweed.client().get_paginator("list_object_versions").paginate(Bucket=versioned_bucket, Prefix=prefix)
        keys = [each["Key"] for page in pages for each in page.get("Versions", [])]
        return {key.removeprefix(prefix): keys.count(key) for key in keys}

    return f"s3://{versioned_bucket}/{prefix}{{jobID}},opt=endpoint={seaweed.endpoint}", versions


EACH_ONCE = {f"{number}.tar.gz": 1 for number in range(60)}


@pytest.mark.server
def test_a_process_that_is_killed_loses_nothing_and_nothing_is_published_twice(versioned, files):
    destination, versions = versioned
    killed, results = 0, []
    outcomes = publish_many(jobs(files, destination, range(60)), processes=2, if_exists="error")
    for number, outcome in enumerate(outcomes):
        assert outcome.error is None
        results.append(outcome.result)
        if number % 10 == 5 and children():
            os.kill(children()[0].pid, signal.SIGKILL)
            killed += 1
    assert killed > 2
    assert len(results) == 60
    assert versions() == EACH_ONCE
    assert all(isinstance(result, PublishedResult) and result.version_id for result in results)
    assert children() == []


@pytest.mark.server
def test_an_executor_that_breaks_says_what_was_lost_and_takes_no_more(versioned, files):
    destination, versions = versioned
    taken = Counted(jobs(files, destination, itertools.count()))
    done, lost = [], []
    with ProcessPoolExecutor(2, SPAWN) as pool:
        outcomes = publish_many(taken, executor=pool, at_once=4, if_exists="error")

        def all_of_them():
            for outcome in outcomes:
                (done if outcome.error is None else lost).append(outcome)
                if outcome.error is None and len(done) == 20:
                    os.kill(children()[0].pid, signal.SIGKILL)

        with pytest.raises(WorkerLostError, match="the workers are gone"):
            all_of_them()
    assert len(done) + len(lost) == taken.taken < 40
    assert {type(outcome.error) for outcome in lost} == {WorkerLostError}
    assert set(versions().values()) == {1}
    publications = [outcome.publication for outcome in lost]
    again = list(publish_many(publications, if_exists="error"))
    assert {outcome.error for outcome in again} == {None}
    assert set(versions()) == {f"{number}.tar.gz" for number in range(taken.taken)}
    assert set(versions().values()) == {1}


@pytest.mark.server
@pytest.mark.slow
def test_a_worker_of_dasks_that_is_killed_loses_nothing_and_nothing_is_published_twice(versioned, files):
    distributed = pytest.importorskip("distributed")
    destination, versions = versioned
    quiet = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quiet) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = list(client.run(os.getpid).values())
        outcomes = publish_many(
            jobs(files, destination, range(60)), executor=client.get_executor(), at_once=8, if_exists="error"
        )
        for number, outcome in enumerate(outcomes):
            assert outcome.error is None
            if number == 10:
                os.kill(workers[0], signal.SIGKILL)
    assert versions() == EACH_ONCE


UNGUARDED = """
from keystow import publish_many
print("started", flush=True)
print(len(list(publish_many([("{source}", "file://{target}/k", None)] * 20, processes=1))))
"""


def test_a_program_that_would_start_itself_for_ever_is_told_so(tmp_path, files):
    program = tmp_path / "program.py"
    program.write_text(UNGUARDED.format(source=files, target=tmp_path / "there"))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1
    assert done.stdout.count("started") == 2
    assert "if __name__ == '__main__':" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "there").exists()


# -- the end


def test_to_close_ends_what_hangs(memory_place, files, monkeypatch):
    """As where a store of the network is waited for: it is closed, and that ends the wait."""
    hanging, closed = threading.Event(), threading.Event()

    def opening(url, **options):
        store = open_store(url, **options)
        write = store.write

        def writes(key, chunks, **more):
            if key == "first.tar.gz":
                hanging.wait(SECONDS)
                return write(key, chunks, **more)
            hanging.set()
            closed.wait(SECONDS)
            raise StoreError("it was closed")

        store.write, store.close = writes, closed.set
        return store

    monkeypatch.setattr(stored, "open_store", opening)
    monkeypatch.setattr("keystow.crews._PATIENCE", SECONDS)
    taken = Counted((files, memory_place(key), None) for key in ("first", "k", "l", "m"))
    before = set(threading.enumerate())
    outcomes = publish_many(taken, at_once=2)
    assert next(outcomes).result.key == "first.tar.gz"
    outcomes.close()
    assert closed.is_set()
    assert taken.taken == 2
    assert not [thread for thread in threading.enumerate() if thread.name == "keystow-many" and thread not in before]


ENDLESS = """
import itertools, os, sys
from keystow import Context, publish_many

if __name__ == "__main__":
    source, target = sys.argv[1:]
    jobs = ((source, f"file://{target}/{{jobID}}", Context(job_id=str(number))) for number in itertools.count())
    for outcome in publish_many(jobs, processes=2):
        print(outcome.result.key, flush=True)
"""


def processes_of(group):
    listed = subprocess.run(["ps", "-eo", "pid,pgid,stat"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()[1:]]
    return {int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")}


@pytest.mark.parametrize(("how", "to_all"), [("SIGINT", False), ("SIGINT", True), ("SIGKILL", False)])
def test_whoever_is_ended_leaves_no_process_behind(tmp_path, files, how, to_all):
    """By Ctrl-C, which a terminal sends to all processes; or so that it can do nothing any more."""
    program = tmp_path / "endless.py"
    program.write_text(ENDLESS)
    target = tmp_path / "there"
    with subprocess.Popen(
        [sys.executable, program, files, target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        for _ in range(20):
            running.stdout.readline()
        assert len(processes_of(running.pid)) >= 3
        (os.killpg if to_all else os.kill)(running.pid, signal.Signals[how])
        said = running.communicate(timeout=SECONDS)[1]
        until(lambda: not processes_of(running.pid))
    assert said.count("Traceback") == (0 if how == "SIGKILL" else 1), said
    names = {path.name for path in Path(target).iterdir()}
    assert all(re.fullmatch(r"\d+\.tar\.gz", name) for name in names) or how == "SIGKILL"


def test_nothing_is_done_before_the_first_outcome_is_asked_for(memory_place, files):
    before = set(threading.enumerate())
    outcomes = publish_many(jobs(files, memory_place("{jobID}"), range(3)), executor=None)
    assert set(threading.enumerate()) <= before
    outcomes.close()
    assert list(open_store(memory_place.root).list()) == []


def test_dask_is_loaded_by_nobody_but_its_users(tmp_path):
    lay(tmp_path / "source", {"a": b"a"})
    code = (
        "import sys; sys.modules['distributed'] = None; sys.modules['dask'] = None; from keystow import publish_many; "
        f"print([o.error for o in publish_many([({str(tmp_path / 'source')!r}, 'memory://b/k', None)])])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[None]\n"


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"if_exist": "error"}, TypeError, "takes no if_exist=$"),
        ({"customer_key": bytes(32)}, TypeError, "no secret is sent to a worker"),
        ({"credentials": None}, TypeError, "no secret is sent to a worker"),
        ({"encryption": "rot13"}, SpecError, "AES256"),
        ({"raw": True, "archive": True}, SpecError, "two ways to publish"),
    ],
    ids=["no such", "key", "credentials", "value", "two"],
)
def test_what_is_wrong_with_the_call_is_found_before_anything_is_taken(given, error, says) -> None:
    with pytest.raises(error, match=says):
        publish_many(iter(()), **given)


def test_a_stream_goes_to_no_worker() -> None:
    ((outcome),) = publish_many([(io.BytesIO(b"x"), "memory://bucket/k", None)], raw=True)
    assert isinstance(outcome.error, SpecError)
    assert "give the path" in str(outcome.error)


def test_what_an_executor_cannot_send_is_no_lost_worker(small) -> None:
    tags = MappingProxyType({"a": "b"})
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        (outcome,) = publish_many([(small, "s3://bucket/k", None)], executor=pool, tags=tags)
    assert type(outcome.error) is TypeError


def test_an_executor_that_was_shut_down_takes_no_more(small) -> None:
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    pool.shutdown()
    outcomes = publish_many([(small, "file:///nowhere/k", None)] * 3, executor=pool)
    assert isinstance(next(outcomes).error, WorkerLostError)
    with pytest.raises(WorkerLostError):
        list(outcomes)


def test_a_lock_that_the_caller_asks_for_holds_for_a_mapping_too(small) -> None:
    job = {"Type": "s3", "Params": {"Bucket": "b", "Key": "k"}}
    lock = {"lock_mode": "compliance", "retain_until": datetime(2030, 1, 1, tzinfo=UTC)}
    (outcome,) = publish_many([(small, job, None)], **lock)
    assert type(outcome.error) is CredentialsError  # it came as far as the store, for which there are none
