"""Callers with an event loop: they get what others get, and are let go when they are cancelled."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import replace

import pytest
from conftest import same_tree

from keystow import (
    Context,
    SourceError,
    VerificationError,
    aagree,
    afetch,
    agree,
    apublish,
    averify,
    open_store,
    publish,
    stored,
    verify,
)
from keystow.testing import Fault, FaultyStore

pytestmark = pytest.mark.slow

SECONDS = 60


def test_there_and_back(place, files, small, tmp_path):
    async def all_of_it():
        published = await apublish(files, place("k-{jobID}"), Context(job_id="1"))
        both = published, await apublish(small, place("other"))
        return *both, await averify(published), await afetch(published, tmp_path / "back"), await aagree(both)

    published, other, verified, fetched, agreement = asyncio.run(all_of_it())
    assert published == publish(files, place("k-{jobID}"), Context(job_id="1"))
    assert verified == verify(published)
    assert agreement == agree([published, other])
    assert agreement.differences
    assert fetched.verified
    assert same_tree(files, tmp_path / "back")


def test_many_at_once_on_one_loop(memory_place, files):
    async def many():
        return await asyncio.gather(
            *(apublish(files, memory_place("k-{jobID}"), Context(job_id=f"{job}")) for job in range(50))
        )

    results = asyncio.run(many())
    assert len({result.key for result in results}) == 50
    assert {result.checksum_sha256 for result in results} == {results[0].checksum_sha256}


def test_what_goes_wrong_is_raised_where_it_is_awaited(memory_place, tmp_path, files):
    with pytest.raises(SourceError):
        asyncio.run(apublish(tmp_path / "absent", memory_place("k")))
    with pytest.raises(VerificationError):
        asyncio.run(averify(publish(files, memory_place("k")), sha256="0" * 64))


def cancelled(work, when):
    """Cancels ``work()`` once ``when`` is set; gives the seconds that it took to end."""

    async def run():
        task = asyncio.ensure_future(work())
        await asyncio.to_thread(when.wait, SECONDS)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    took = asyncio.run(run())
    assert took < 10
    return took


class Slow(FaultyStore):
    """Says when it is asked, and takes its time with each chunk."""

    def __init__(self, store):
        super().__init__(store)
        self.begun = threading.Event()
        self.closed = False

    def write(self, key, chunks, **options):
        return super().write(key, self._slowly(chunks), **options)

    def read(self, key, **options):
        whole = b"".join(super().read(key, **options))
        yield from self._slowly(whole[at : at + (1 << 16)] for at in range(0, len(whole), 1 << 16))

    def _slowly(self, chunks):
        for chunk in chunks:
            self.begun.set()
            time.sleep(0.05)
            yield chunk

    def close(self):
        self.closed = True


@pytest.mark.parametrize("archive", [True, False])
def test_who_is_cancelled_publishes_nothing(noise, archive, memory_place):
    store = Slow(open_store(memory_place.root))
    cancelled(lambda: apublish(noise, memory_place("k"), store=store, archive=archive), store.begun)
    time.sleep(0.2)
    assert list(store.list()) == []
    assert not store.closed


@pytest.mark.parametrize("archive", [True, False])
def test_who_is_cancelled_fetches_nothing(noise, archive, memory_place, tmp_path, monkeypatch):
    """What was unpacked is removed by then, if it is waited for until that is done."""
    monkeypatch.setattr("keystow.awaited._PATIENCE", SECONDS)
    result = publish(noise, memory_place("k"), archive=archive)
    store = Slow(open_store(memory_place.root))
    cancelled(lambda: afetch(result, tmp_path / "back", store=store), store.begun)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise"]
    store = Slow(open_store(memory_place.root))
    cancelled(lambda: averify(result, store=store), store.begun)


def test_a_store_that_hangs_is_left(files, memory_place):
    fault = Fault("write", kind="hang")
    store = FaultyStore(open_store(memory_place.root), fault)
    asked = threading.Event()
    write = store.write

    def writes(*arguments, **options):
        asked.set()
        return write(*arguments, **options)

    store.write = writes
    took = cancelled(lambda: apublish(files, memory_place("k"), store=store), asked)
    assert took > 1.5, "it was waited for"
    fault.release.set()


@pytest.mark.server
@pytest.mark.parametrize("engine", ["fsspec", "obstore"])
@pytest.mark.parametrize("work", ["publish", "publish large", "fetch", "verify", "agree"])
def test_a_server_that_does_not_answer_is_not_waited_for(
    s3_place, files, noise, proxy, engine, work, tmp_path, monkeypatch
):
    result = replace(publish(files, s3_place("k")), endpoint=proxy.url)
    asked = threading.Event()

    def matches(method, _):
        asked.set()
        return True

    proxy.hang(matches, nth=None)
    there = f"{result.url}-2,opt=endpoint={proxy.url}"
    monkeypatch.setenv("KEYSTOW_ENGINE", engine)
    call = {
        "publish": lambda: apublish(files, there),
        "publish large": lambda: apublish(noise, there, archive=False),
        "fetch": lambda: afetch(result, tmp_path / "back"),
        "verify": lambda: averify(result),
        "agree": lambda: aagree([replace(result, tar_sha256=None)] * 2),
    }[work]
    cancelled(call, asked)
    proxy.clear()
    assert not (tmp_path / "back").exists()


class Closing(Slow):
    """One that is closed with trouble."""

    def __init__(self, store, trouble):
        super().__init__(store)
        self._trouble = trouble

    def close(self):
        super().close()
        self._trouble()


@pytest.mark.parametrize("trouble", ["hangs", "raises"])
def test_a_store_that_is_closed_with_trouble_changes_nothing(noise, memory_place, monkeypatch, trouble):
    free = threading.Event()
    store = Closing(
        open_store(memory_place.root), (lambda: free.wait(SECONDS)) if trouble == "hangs" else (lambda: 1 // 0)
    )
    monkeypatch.setattr(stored, "open_store", lambda *_, **__: store)
    cancelled(lambda: apublish(noise, memory_place("k")), store.begun)
    free.set()
    assert list(store.list()) == []


def test_a_busy_executor_keeps_nobody(noise, memory_place):
    store = Slow(open_store(memory_place.root))
    free = threading.Event()

    async def run():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        loop.run_in_executor(None, free.wait, SECONDS)
        task = asyncio.ensure_future(apublish(noise, memory_place("k"), store=store))
        while not store.begun.is_set():  # noqa: ASYNC110  it is set by a thread, and no other may wait for it here
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        free.set()

    asyncio.run(run())
    time.sleep(0.2)
    assert list(store.list()) == []


def test_who_is_cancelled_at_the_last_chunk_fetches_nothing(files, memory_place, tmp_path):
    result = publish(files, memory_place("k"))
    asked, goes_on = threading.Event(), threading.Event()

    class Last(FaultyStore):
        def read(self, key, **options):
            yield from super().read(key, **options)
            asked.set()
            goes_on.wait(SECONDS)

    store = Last(open_store(memory_place.root))

    async def run():
        task = asyncio.ensure_future(afetch(result, tmp_path / "back", store=store))
        await asyncio.to_thread(asked.wait, SECONDS)
        task.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert not (tmp_path / "back").exists()


def test_the_callers_context_goes_along(files, memory_place):
    told = []
    name = ContextVar("name")

    async def run():
        name.set("mine")
        await apublish(files, memory_place("k"), progress=lambda *_: told.append(name.get()))

    asyncio.run(run())
    assert set(told) == {"mine"}
