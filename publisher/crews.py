"""Who does the work of many publications: threads of this process, processes of our own, or somebody else's executor.

Strategy: a crew is sent a task and tells what came of it, once, in whatever thread. Of ours, threads take the tasks, so
that nobody has to wait for one that hangs, and each process has one of the threads to itself: what is lost with it is
the one task that it had.
"""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from functools import partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from .backends.sending.in_flight import in_thread
from .ending import Ending, ended_by
from .tasks import Answer, Stores, Task, run, run_elsewhere

_PATIENCE = 2.0
"""Seconds in which what is under way has to end, once nobody waits for it any more."""


_GONE = {"KilledWorker", "FutureCancelledError"}
"""What Dask raises for a worker that is gone, beside an ``OSError``, as any connection may."""


class Lost(NamedTuple):
    """There is no answer, and ``why``; ``for_good`` if there will be none to any other task either."""

    why: str
    for_good: bool = False


Told = Callable[[Answer | Lost], object]


class Crew(Protocol):
    """Workers."""

    def send(self, task: Task, told: Told) -> None:
        """Has ``task`` done, and ``told`` what came of it."""

    def end(self) -> None:
        """Has no more begun, and ends what is under way, as far as that is possible."""


class _Hands:
    """At most ``count`` threads, each with the ``work`` that it has for itself, which do what they are sent."""

    def __init__(self, count: int, work: Callable[[], Callable[[Task], Answer | Lost]]) -> None:
        self._count, self._work = count, work
        self._sent: SimpleQueue[tuple[Task, Told] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_over = False

    def send(self, task: Task, told: Told) -> None:
        """Has ``task`` done, and ``told`` what came of it."""
        self._sent.put((task, told))
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._serve, args=[self._work()], name="keystow-many", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, work: Callable[[Task], Answer | Lost]) -> None:
        while (sent := self._sent.get()) is not None and not self._is_over:
            task, told = sent
            del sent
            try:
                answer: Answer | Lost = work(task)
            except BaseException as error:  # noqa: BLE001  it is told
                answer = error
            told(answer)
            del answer, task, told
        self._sent.put(None)  # for the others

    def _stop(self) -> None:
        """Has no more begun."""
        self._is_over = True
        self._sent.put(None)

    def _join(self, until: float) -> None:
        """Waits for the threads, but not beyond that moment."""
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


class Threads(_Hands):
    """Threads of this process, which share their stores."""

    def __init__(self, count: int) -> None:
        self._ending, self._stores = Ending(), Stores()
        super().__init__(count, lambda: self._run)

    def _run(self, task: Task) -> Answer:
        return ended_by(self._ending, partial(run, task, self._stores))

    def end(self) -> None:
        """Ends what is under way like a call of ``apublish`` that is cancelled."""
        self._stop()
        self._ending.begin()
        self._stores.close()
        in_thread(self._ending.close, bool)
        self._join(time.monotonic() + _PATIENCE)
        self._stores.close()


class Processes(_Hands):
    """Processes of our own, each of which is started anew when it was lost."""

    def __init__(self, count: int) -> None:
        self._processes: list[_Process] = []
        super().__init__(count, self._process)

    def _process(self) -> Callable[[Task], Answer | Lost]:
        self._processes.append(_Process())
        return self._processes[-1].run

    def end(self) -> None:
        """Interrupts the processes, and kills those that are still there after two seconds."""
        self._stop()
        until = time.monotonic() + _PATIENCE
        for process in self._processes:
            process.interrupt()
        for process in self._processes:
            process.end(until)
        self._join(until + _PATIENCE)


class _Process:
    """One process, once there is something to do for it; a thread of its own sends and waits."""

    def __init__(self) -> None:
        self._context = get_context("spawn")
        self._lock = threading.Lock()
        self._is_over = False
        self._standing: tuple[Connection, SpawnProcess] | None = None
        self._has_answered = False
        self._failed: Lost | None = None

    def run(self, task: Task) -> Answer | Lost:
        """What came of ``task`` there."""
        if self._failed is not None:
            return self._failed
        try:
            connection, process = self._begun()
        except (AssertionError, OSError, RuntimeError) as error:  # as multiprocessing raises them
            self._failed = Lost(f"no process can be started: {' '.join(str(error).split())}", for_good=True)
            return self._failed
        try:
            connection.send(task)
            answer: Answer = connection.recv()
        except (EOFError, OSError):
            self._standing = None
            connection.close()
            process.join(_PATIENCE)
            process.kill()
            return self._lost(process.exitcode)
        self._has_answered = True
        return answer

    def _lost(self, status: int | None) -> Lost:
        how = "" if status is None else f" by signal {-status}" if status < 0 else f" with status {status}"
        if not status or status < 0 or self._has_answered:
            return Lost(f"its process ended{how}")
        unguarded = "is what it publishes by processes outside of `if __name__ == '__main__':`?"
        self._failed = Lost(f"a process ended{how} before it did anything; {unguarded}", for_good=True)
        return self._failed

    def _begun(self) -> tuple[Connection, SpawnProcess]:
        with self._lock:
            if self._is_over:
                raise CancelledError
            if self._standing is None:
                ours, theirs = self._context.Pipe()
                resource_tracker.ensure_running()  # which lets signals through again, in the thread that starts it
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is for us, and not for the process
                process = self._context.Process(target=_serve, args=[theirs], name="keystow-many", daemon=True)
                process.start()
                theirs.close()
                self._standing = ours, process
            return self._standing

    def interrupt(self) -> None:
        """Has the process end soon, and no other be started."""
        with self._lock:
            self._is_over = True
            standing = self._standing
        if standing is not None:
            standing[1].terminate()

    def end(self, until: float) -> None:
        """Waits for it until that moment, and kills it then."""
        standing = self._standing
        if standing is None:
            return
        _, process = standing
        process.join(max(0.0, until - time.monotonic()))
        process.kill()
        process.join()


def _serve(connection: Connection) -> None:
    """The process: it ends with the connection, so also with whoever holds the other end, or by SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            connection.send(run_elsewhere(connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return


class Lent:
    """An executor that is somebody else's, and stays open."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._futures: set[Future[Answer]] = set()

    def send(self, task: Task, told: Told) -> None:
        """Has ``task`` done, and ``told`` what came of it."""
        try:
            future = self._executor.submit(run_elsewhere, task)
        except RuntimeError as error:  # it is broken, or was shut down
            told(Lost(_said(error), for_good=True))
            return
        self._futures.add(future)
        future.add_done_callback(partial(self._tell, told))

    def _tell(self, told: Told, future: "Future[Answer]") -> None:
        self._futures.discard(future)
        if future.cancelled():
            told(Lost("it was cancelled"))
            return
        error = future.exception()
        if error is None:
            told(future.result())
        elif isinstance(error, BrokenExecutor | OSError) or type(error).__name__ in _GONE:
            told(Lost(_said(error), for_good=isinstance(error, BrokenExecutor)))
        else:
            told(error)

    def end(self) -> None:
        """Cancels what has not begun; what has goes on, as nobody but its owner can end it."""
        for future in tuple(self._futures):
            future.cancel()


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
