"""The parts of one upload that are under way at once."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

CONCURRENCY = 3
"""How many parts of one upload are under way at once; while aiohttp sends a part, it holds another copy of it."""

Answer = TypeVar("Answer")


def in_flight(
    pieces: Iterable[bytes], send: Callable[[int, bytes], "Future[Answer]"], at_once: int = CONCURRENCY
) -> list[Answer]:
    """The answers to ``send(number, piece)``, in order, with at most ``at_once`` requests under way.

    Pieces are numbered from 1; one more is held ready. When a piece cannot be had or an answer is an error, the
    requests that are under way are cancelled.
    """
    free = threading.Semaphore(at_once)
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
        return [request.result() for request in requests]
    finally:
        for request in requests:
            request.cancel()
