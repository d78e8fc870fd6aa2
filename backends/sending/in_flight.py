"""What is under way at once: the parts of one upload, and what comes of each.

Strategy: who sends hands over a function that is told what came of it, and gets one that cancels it. It stands on
``SimpleQueue`` alone: an interrupt may leave the lock of a ``threading.Condition`` taken, on which all of
``concurrent.futures`` stands, and then the thread that would tell what came waits for ever.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar, cast

from .budget import USUAL, Budget
from .pace import Pace
from .parts import part_size

LEAST = 16
"""How many parts of one upload are sent at once, to begin with, if the budget allows as many."""

Answer = TypeVar("Answer")


class Outcome(NamedTuple, Generic[Answer]):
    """What came of work: an answer, or an error."""

    answer: Answer | None = None
    error: BaseException | None = None

    def result(self) -> Answer:
        """The answer. Raises the error."""
        try:
            if self.error is not None:
                raise self.error
            return cast("Answer", self.answer)
        finally:
            del self  # or the error would hold this frame, and that the error


Told = Callable[[Outcome[Answer]], object]
"""Is called once with what came of something, in whatever thread that ends."""
Cancel = Callable[[], object]
"""Has what is under way end; once it has ended, this does nothing."""


def parts_pace(budget: Budget = USUAL) -> Pace:
    """How many parts of one upload are sent at once."""
    return budget.pace(LEAST, budget.parts(part_size(1)))


def in_flight(
    pieces: Iterable[bytes],
    send: Callable[[int, bytes, Told[Answer]], Cancel],
    *,
    pace: Pace,
    budget: Budget = USUAL,
    arrived: Callable[[int], object] | None = None,
) -> list[Answer]:
    """The answers to ``send(number, piece, told)``, in order, with as many requests under way as the ``pace`` says.

    They are no more bytes than the ``budget`` allows, but for one, or for ``FEW`` where nobody bounds that.
    Pieces are numbered from 1; one more is held ready. When a piece cannot be had or any answer is an error, nothing
    more is sent, and the requests that are under way are cancelled: nobody waits for the others first. ``arrived`` is
    told the bytes of each piece that has an answer, by the caller's thread.
    """
    ended: SimpleQueue[tuple[int, Outcome[Answer]]] = SimpleQueue()
    answers: dict[int, Answer] = {}
    under_way: list[Cancel] = []
    sizes: list[int] = []

    def tell(number: int, outcome: Outcome[Answer]) -> None:
        ended.put((number, outcome))

    def take() -> None:
        number, outcome = ended.get()
        try:
            answers[number] = outcome.result()
        finally:
            del outcome
        pace.ended()
        if arrived is not None:
            arrived(sizes[number - 1])

    pace.resumed()
    try:
        for number, piece in enumerate(pieces, 1):
            most = min(pace.number, budget.parts(len(piece)))
            while len(under_way) - len(answers) >= most or not ended.empty():
                take()
            sizes.append(len(piece))
            with pace.telling():
                under_way.append(send(number, piece, partial(tell, number)))
        while len(answers) < len(under_way):
            take()
        return [answers[number] for number in sorted(answers)]
    finally:
        for cancel in under_way:
            cancel()
        under_way.clear()  # they hold what was sent, and what was raised


def in_thread(work: Callable[[], Answer], told: Told[Answer]) -> None:
    """Has a thread of its own do ``work``."""

    def run() -> None:
        try:
            told(Outcome(work()))
        except CancelledError:
            told(Outcome(error=CancelledError()))  # the one that was raised would hold what was sent
        except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
            told(Outcome(error=error))

    threading.Thread(target=copy_context().run, args=(run,), name="keystow-part", daemon=True).start()


def ahead(work: Callable[[], Answer]) -> Callable[[], Answer]:
    """Begins ``work`` in another thread; what is given waits for its answer, which comes in this process alone."""
    ended: SimpleQueue[Outcome[Answer]] = SimpleQueue()
    in_thread(work, ended.put)
    return lambda: ended.get().result()
