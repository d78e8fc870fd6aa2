"""A process that is forked while stores are open takes nothing from the other one's connections, and does not hang."""

import contextlib
import hashlib
import os
import resource
import threading

import pytest
from children import SECONDS, forked
from tls import secured

from keystow.backends import StoreError, open_store
from keystow.backends.cloud import CloudStore
from keystow.backends.generic import GenericStore
from keystow.backends.memory import _commit
from keystow.backends.sending.budget import USUAL
from keystow.backends.sending.forks import tell_in_children
from keystow.backends.sending.lines import Lines
from keystow.testing.servers import FaultProxy

MIB = 1 << 20


@pytest.fixture
def store(seaweed, bucket, login, certificates, request):
    login(seaweed)
    with FaultProxy(seaweed.endpoint) as proxy:
        if getattr(request, "param", "http") == "https":
            options = {"endpoint": secured(proxy, certificates).url, "ca_file": str(certificates / "ca.pem")}
        else:
            options = {"endpoint": seaweed.endpoint}
        with contextlib.closing(open_store(f"s3://{bucket}", **options)) as opened:
            yield opened


def rest(chunks, digest):
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


@pytest.mark.parametrize("store", ["http", "https"], indirect=True)
def test_a_read_goes_on_in_both(store):
    content = os.urandom(24 * MIB)
    store.write("forked/large", [content], if_absent=False)
    chunks = store.read("forked/large")
    digest = hashlib.sha256(next(chunks))
    child = forked(lambda: rest(chunks, digest))
    assert rest(chunks, digest) == hashlib.sha256(content).hexdigest()
    assert child() == hashlib.sha256(content).hexdigest()


def test_a_kept_connection_is_the_parents(store):
    for who in ("parent", "child"):
        store.write(f"forked/{who}", [who.encode()], if_absent=False)

    def reads(who):
        return {b"".join(store.read(f"forked/{who}")) for _ in range(100)}

    child = forked(lambda: reads("child"))
    assert reads("parent") == {b"parent"}
    assert child() == "{b'child'}"


@contextlib.contextmanager
def held(lock):
    """Within this, another thread holds ``lock``."""
    taken, over = threading.Event(), threading.Event()

    def hold():
        with lock:
            taken.set()
            over.wait(SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(SECONDS)
    yield
    over.set()
    thread.join()


def test_locks_that_another_thread_held_are_not_waited_for(store):
    lines = Lines(60)
    memory = open_store("memory://forked")
    signed = store._bucket._carriers

    def uses(line):
        line.begins()
        line.ends(bool)
        memory.write("k", [b"content"])
        return signed.carrier_of("get_object") is not None

    with lines.line() as line:
        line.begins()
        for lock in (lines._lock, line._lock, _commit.lock, signed._lock):
            with held(lock):
                said = forked(lambda: uses(line))()
            assert said == "True"


def test_what_is_late_in_the_child_ends_there_too():
    lines = Lines(0.1)
    with lines.line() as before:
        before.begins()

        def work():
            ended = threading.Event()
            before.begins()
            before.ends(ended.set)
            ended.wait(SECONDS / 2)
            before.check()

        assert forked(work)() == "TimeoutError: nothing moved for 0.1 s"


@pytest.mark.keystow_stores("s3", "gcs", "azure")
def test_a_store_on_an_event_loop_says_that_it_is_not_for_a_child(keystow_store):
    place = keystow_store
    opened = open_store(place.url, endpoint=place.endpoint, engine="fsspec")
    opened.write("forked/loop", [b"content"], if_absent=False)

    def used():
        try:
            opened.stat("forked/loop")
        except StoreError as error:
            opened.close()
            return error

    assert "before the process was forked" in forked(used)()
    assert opened.stat("forked/loop").size == 7
    opened.close()


def test_a_file_system_of_fsspecs_says_so_too(tmp_path):
    opened = GenericStore(f"local://{tmp_path}", auto_mkdir=True)
    opened.write("k", [b"content"])

    def used():
        try:
            opened.stat("k")
        except StoreError as error:
            opened.close()
            return error

    with held(opened._lock):
        assert "before the process was forked" in forked(used)()
    assert opened.stat("k").size == 7
    opened.close()


def test_no_descriptor_is_needed_to_let_go_of_the_parents_connections(store):
    store.write("forked/few", [b"content"], if_absent=False)
    connections = list(store._bucket._carriers._signed()._connections)
    ours = {os.fstat(connection.fileno()).st_ino for connection in connections}

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 20, hard))
    try:
        read, write = os.pipe()
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        if not (child := os.fork()):
            try:
                shared = [one for one in connections if os.fstat(one.fileno()).st_ino in ours]
                os.write(write, b"shared" if shared else b"its own")
            finally:
                os._exit(0)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    os.close(write)
    os.waitpid(child, 0)
    assert ours
    assert os.read(read, 100) == b"its own"
    os.close(read)


def test_what_dies_in_the_midst_of_a_deep_recursion_calls_nothing(recwarn):
    class One:
        def forked(self):
            """Nothing to do."""

    def deeper(one):
        try:
            return deeper(one)
        except RecursionError:
            one.clear()
            raise

    one = [One()]
    tell_in_children(one[0])
    with pytest.raises(RecursionError):
        deeper(one)
    assert not recwarn.list
    assert forked(lambda: "sound")() == "sound"


def test_a_listing_goes_on_in_both():
    """Page by page: the one that was asked for ahead is asked for again, as the thread is not there."""

    class Listed:
        budget = USUAL

        def _page(self, prefix, token, pages):
            number = int(token or 0)
            following = pages.after(str(number + 1), objects=1) if number < 4 else None
            return [number], following

        def noted(self, found):
            return found

    found = CloudStore.list(Listed(), "")
    assert next(found) == 0
    child = forked(lambda: list(found))
    assert list(found) == [1, 2, 3, 4]
    assert child() == "[1, 2, 3, 4]"
