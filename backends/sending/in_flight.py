"""The parts of one upload that are under way at once."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TypeVar

CONCURRENCY = 4
"""How many parts of one upload are sent at once."""

Answer = TypeVar("Answer")


def in_flight(pieces: Iterable[bytes], send: Callable[[int, bytes], "Future[Answer]"]) -> list[Answer]:
    """The answers to ``send(number, piece)``, in order, with at most ``CONCURRENCY`` requests under way.

    Pieces are numbered from 1; one more is held ready. When a piece cannot be had or any answer is an error, nothing
    more is sent, and the requests that are under way are cancelled: nobody waits for the others first.
    """
    free = threading.Semaphore(CONCURRENCY)
    requests: list[Future[Answer]] = []
    failed: list[Future[Answer]] = []

    def ended(request: "Future[Answer]") -> None:
        if request.cancelled() or request.exception() is not None:
            failed.append(request)
        free.release()

    try:
        for number, piece in enumerate(pieces, 1):
            free.acquire()
            if failed:
                failed[0].result()
            requests.append(send(number, piece))
            requests[-1].add_done_callback(ended)
        for ended_first in wait(requests, return_when=FIRST_EXCEPTION).done:
            ended_first.result()
        return [request.result() for request in requests]
    finally:
        for request in requests:
            request.cancel()
