"""The parts of one upload that are under way at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

CONCURRENCY = 4
"""How many parts of one upload are sent at once."""

Answer = TypeVar("Answer")


def in_flight(pieces: Iterable[bytes], send: Callable[[int, bytes], "Future[Answer]"]) -> list[Answer]:
    """The answers to ``send(number, piece)``, in order, with at most ``CONCURRENCY`` requests under way.

    Pieces are numbered from 1; one more is held ready. When a piece cannot be had or any answer is an error, nothing
    more is sent, and the requests that are under way are cancelled: nobody waits for the others first.
    """
    ended: SimpleQueue[Future[Answer]] = SimpleQueue()
    requests: list[Future[Answer]] = []
    under_way = 0
    try:
        for number, piece in enumerate(pieces, 1):
            while under_way == CONCURRENCY or not ended.empty():
                ended.get().result()
                under_way -= 1
            requests.append(send(number, piece))
            requests[-1].add_done_callback(ended.put)
            under_way += 1
        for _ in range(under_way):
            ended.get().result()
        return [request.result() for request in requests]
    finally:
        for request in requests:
            request.cancel()
