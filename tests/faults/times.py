"""How long a fault that lasts is borne, before the client says so: the table of times."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keystow.testing.faults import WireFault
from keystow.testing.servers import LOOPBACK

from .case import Case
from .lane import Job, Lane, Outcome, played

BOUND = 150.0
"""Seconds that no cell may pass."""
_LASTING = {
    "refused": ("publish-small-replace-free", "refused"),
    "no SYN-ACK, publish": ("publish-small-replace-free", "silent"),
    "no SYN-ACK, get": ("get-small", "silent"),
    "never answers, small PUT": ("publish-small-replace-free", "stall:answer-head,on=put,times=0"),
    "never answers, a part": ("publish-large-replace-free", "stall:answer-head,on=part,times=0"),
    "stops reading the body": ("publish-large-replace-free", "stall:body+100000,on=part,times=0"),
    "plain publish, never answers": ("publish-prefix-replace-free", "stall:answer-head,on=put,times=0"),
    "GET never answers": ("get-small", "stall:answer-head,on=get,times=0"),
    "GET freezes in mid-body": ("get-large", "stall:answer-body+100000,on=get,times=0"),
    "GET 503 always": ("get-small", "answer:head,on=get,times=0,status=503"),
    "prefix GET never answers": ("get-prefix", "stall:answer-head,on=get,times=0"),
    "answer trickles, 1 byte per 5 s": ("publish-small-replace-free", "trickle:answer-head,on=put,times=0,seconds=5"),
}
_NOWHERE = ("refused", "silent")


def times(store: str, engine: str) -> dict[str, str]:
    """Seconds for each fault that lasts, ``>150`` where it was not over; ``done`` where it was no failure."""
    measured = {}
    with tempfile.TemporaryDirectory() as directory, Lane(store, engine, Path(directory)) as lane:
        for name, (mode, fault) in _LASTING.items():
            with nowhere(fault) as endpoint:
                lane.elsewhere = endpoint
                case = Case(0, store, engine, mode, WireFault.parse("delay:head" if endpoint else fault))
                outcome = lane.run(case, _patiently).outcome
            measured[name] = _cell(outcome)
            print(f"{store} {engine}: {name}: {measured[name]}", flush=True)
    return measured


def _patiently(lane: Lane, job: Job, pid: list[int]) -> Outcome:
    return played(lane, job, pid, BOUND)


def _cell(outcome: Outcome) -> str:
    if outcome.kind == "hung":
        return f">{BOUND:.0f}"
    return f"{outcome.seconds:.1f}{', done' if outcome.kind == 'done' else ''}"


@contextlib.contextmanager
def nowhere(kind: str) -> Iterator[str]:
    """An endpoint where nobody listens (``"refused"``), or nobody answers a SYN (``"silent"``); else none.

    Linux drops a SYN for a listener whose queue is full.
    """
    if kind not in _NOWHERE:
        yield ""
        return
    with contextlib.ExitStack() as ending:
        place = ending.enter_context(socket.socket())
        place.bind((LOOPBACK, 0))
        if kind == "silent":
            place.listen(0)
            ending.enter_context(socket.create_connection(place.getsockname()))
        yield f"http://{LOOPBACK}:{place.getsockname()[1]}"
