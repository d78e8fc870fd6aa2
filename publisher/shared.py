"""What is read once and goes to several, at the pace of the slowest.

Strategy: each piece is kept until all have taken it, and the next is made when somebody asks for it, unless as much is
kept already as may be. Who goes, because it has all or has failed, is waited for no more.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Generic, TypeVar

Piece = TypeVar("Piece")


class Shared(Generic[Piece]):
    """``pieces``, for ``readers`` that are numbered from 0; what is kept of them is no more than ``most`` bytes.

    ``size`` gives the bytes of a piece. One piece more may be kept than that. What reading ``pieces`` raises, each
    reader raises.
    """

    def __init__(self, pieces: Iterator[Piece], readers: int, most: int, size: Callable[[Piece], int]) -> None:
        self._pieces, self._most, self._size = pieces, most, size
        self._at = dict.fromkeys(range(readers), 0)
        self._kept: deque[Piece] = deque()
        self._first = self._bytes = 0
        self._is_whole = self._is_read = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def reader(self, number: int) -> Iterator[Piece]:
        """All pieces. Who does not read on to the end says so by ``leave``."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_ready(number))
                if self._failure is not None:
                    raise self._failure
                position = self._at[number] - self._first
                if position < len(self._kept):
                    piece = self._kept[position]
                    self._at[number] += 1
                    self._drop()
                elif self._is_whole:
                    return
                else:
                    self._is_read = True
                    piece = None
            if piece is None:
                self._read()
            else:
                yield piece

    def leave(self, number: int) -> None:
        """This reader reads no more."""
        with self._changed:
            self._at.pop(number, None)
            self._drop()

    def end(self) -> None:
        """Has every reader raise ``CancelledError``."""
        with self._changed:
            self._failure = self._failure or CancelledError()
            self._changed.notify_all()

    def _is_ready(self, number: int) -> bool:
        """Whether this reader has something to do: to take a piece, to read the next, to end."""
        if self._failure is not None or self._at[number] - self._first < len(self._kept):
            return True
        return self._is_whole or (not self._is_read and self._bytes < self._most)

    def _read(self) -> None:
        """Has the next piece kept: by one reader at a time, while the others may take what there is."""
        failure, piece = None, None
        try:
            piece = next(self._pieces, None)
        except BaseException as error:  # noqa: BLE001  each reader raises it
            failure = error
        with self._changed:
            self._is_read = False
            self._failure = self._failure or failure
            if piece is not None:
                self._kept.append(piece)
                self._bytes += self._size(piece)
            self._is_whole = piece is None
            self._changed.notify_all()

    def _drop(self) -> None:
        """Keeps no piece that all have taken."""
        slowest = min(self._at.values(), default=self._first + len(self._kept))
        while self._first < slowest:
            self._bytes -= self._size(self._kept.popleft())
            self._first += 1
        self._changed.notify_all()
