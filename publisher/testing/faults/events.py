"""What a fault does to a server's process, or to a client's."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .fault import WireFault

if TYPE_CHECKING:
    from keystow.testing.servers import Server

    from .wire import Event


def server_events(server: "Server") -> "Mapping[str, Event]":
    """``"pause"`` stops the server's process for the fault's seconds (SIGSTOP); ``"crash"`` kills and restarts it.

    A server that holds everything in memory has nothing left after a crash.
    """
    restarting = threading.Lock()

    def pause(fault: WireFault) -> None:
        process = server.pid
        os.kill(process, signal.SIGSTOP)
        threading.Timer(fault.seconds, _send, (process, signal.SIGCONT)).start()

    def crash(_: WireFault) -> None:
        with restarting:
            server.kill()
            server.start()

    return {"pause": pause, "crash": crash}


def client_events(pid: Callable[[], int]) -> "Mapping[str, Event]":
    """``"interrupt"`` and ``"terminate"`` send SIGINT and SIGTERM to a process, the fault's seconds later."""

    def sent(number: signal.Signals) -> "Event":
        return lambda fault: threading.Timer(fault.seconds, _send, (pid(), number)).start()

    return {"interrupt": sent(signal.SIGINT), "terminate": sent(signal.SIGTERM)}


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        os.kill(pid, number)
