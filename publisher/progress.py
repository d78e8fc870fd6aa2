"""How much of a call's bytes has moved, told to whoever wants to know.

Strategy: what counts is what has arrived: in a store the parts that it has acknowledged, on the disk what is written.
An archive has fewer bytes than its source, in whose bytes it is told: as many bytes of the archive as have arrived hold
so many, whole. All of it has moved only when the call has succeeded; nobody is told so before.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

from .archive import Packed, Proof

_MOST_AHEAD = 10_000
"""So many pieces of an archive, each of 1 MiB of the source or less, are told apart until they arrive."""

Piece = TypeVar("Piece", bound=bytes | memoryview)


class Callback(Protocol):
    """What is used of a ``Callback`` of fsspec's."""

    def set_size(self, size: int, /) -> object:
        """There are so many bytes."""
        ...

    def absolute_update(self, value: int, /) -> object:
        """So many of them have moved."""
        ...


class Moved(NamedTuple):
    """So many bytes and objects have moved, of so many; ``known`` says that there are no more."""

    done: int
    total: int
    objects: int
    of: int
    known: bool


Tell = Callable[[Moved], object]


class Watching(NamedTuple):
    """What wants to know of objects, too."""

    tell: Tell


Progress = Callable[[int, int], object] | Callback | Watching
"""Is told the bytes that have moved, and how many there are: as two arguments, or as fsspec's ``Callback``.

The first never become fewer, nor more than the second. They are as many as these once, when the call has succeeded;
but where nobody says how many there are, as of a URL without a length, these are as many as have moved. They may become
more where that is not known beforehand: of a stream, or a prefix.
"""


def told_by(progress: Progress | None, error: type[ValueError]) -> Tell | None:
    """What tells ``progress``. Raises ``error`` for what can be told nothing."""
    if progress is None:
        return None
    if isinstance(progress, Watching):
        return progress.tell
    if isinstance(progress, type):
        raise error(f"progress={progress.__name__} is a class: give one that is made, {progress.__name__}()")
    if hasattr(progress, "set_size") and hasattr(progress, "absolute_update"):
        return _told_callback(progress)
    if not callable(progress):
        raise error(
            f"progress is a {type(progress).__name__}: give a function of two numbers, such as "
            "lambda done, total: print(done, total), or a Callback of fsspec's"
        )
    tell = progress
    return lambda moved: tell(moved.done, moved.total)


def _told_callback(callback: Callback) -> Tell:
    size = -1

    def tell(moved: Moved) -> None:
        nonlocal size
        if moved.total != size:
            size = moved.total
            callback.set_size(size)
        callback.absolute_update(moved.done)

    return tell


class Meter:
    """What has moved of one call. It is told by any thread; ``told`` is called by one at a time."""

    def __init__(self, told: Tell | None, total: int = 0, of: int = 0, *, known: bool = True) -> None:
        self._tell = told
        self.is_watched = told is not None
        self._moved = Moved(0, total, 0, of, known)
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Tells how many bytes there are, where that is known."""
        if self._tell is not None and self._moved.total:
            self._tell(self._moved)

    def expect(self, size: int, objects: int = 0) -> None:
        """There are so many bytes more, in so many objects more; that is told when something has moved."""
        if self._tell is not None:
            with self._lock:
                moved = self._moved
                self._moved = moved._replace(total=moved.total + size, of=moved.of + objects)
                if size and 0 < moved.done == moved.total:  # nobody was told, as that might have been all
                    self._tell(self._moved)

    def know(self) -> None:
        """There are no more than were expected."""
        with self._lock:
            self._moved = self._moved._replace(known=True)

    def move(self, size: int, objects: int = 0) -> None:
        """So many bytes more have moved, with which so many objects are whole."""
        if self._tell is not None:
            with self._lock:
                before = self._moved
                done = before.done + size
                if before.known:
                    done = min(done, before.total)
                total = max(done, before.total)
                self._moved = before._replace(done=done, total=total, objects=before.objects + objects)
                if done < total or total > before.total:
                    self._tell(self._moved)

    def end(self) -> None:
        """All has moved."""
        if self._tell is not None:
            with self._lock:
                total, of = self._moved.total, max(self._moved.of, self._moved.objects)
                self._moved = Moved(total, total, of, of, known=True)
                self._tell(self._moved)

    def passing(self, chunks: Iterable[Piece]) -> Iterable[Piece]:
        """``chunks``, each of which has moved when the next is asked for."""
        return chunks if self._tell is None else self._passing(chunks)

    def _passing(self, chunks: Iterable[Piece]) -> Iterator[Piece]:
        for chunk in chunks:
            yield chunk
            self.move(len(chunk))

    def coming(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """``chunks``, of which nobody knew that there are so many."""
        return chunks if self._tell is None else self._coming(chunks)

    def _coming(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.expect(len(chunk))
            yield chunk


class Share:
    """What one object has of the bytes that move."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.is_watched = meter.is_watched
        self.proof: Proof | None = None
        self._ahead: deque[tuple[int, int]] | None = None
        self._arrived = self._moved = 0

    def packed(self, pieces: Iterable[Packed]) -> Iterator[bytes]:
        """The bytes of an archive, whose ``proof`` is known once all of its pieces came."""
        ahead: deque[tuple[int, int]] = deque()
        self._ahead = ahead
        end = before = 0
        for piece, content, self.proof in pieces:
            end += len(piece)
            if content > before:
                before = content
                if len(ahead) == _MOST_AHEAD:
                    ahead.pop()
                ahead.append((end, content))
            yield piece

    def arrived(self, size: int) -> None:
        """The store has so many bytes more of the object."""
        self._arrived += size
        moved = self._moved
        if self._ahead is None:
            moved = self._arrived
        while self._ahead and self._ahead[0][0] <= self._arrived:
            _, moved = self._ahead.popleft()
        if moved > self._moved:
            self._meter.move(moved - self._moved)
            self._moved = moved

    def stands(self, size: int) -> None:
        """The store has the whole object, in which ``size`` bytes of the source are."""
        self._meter.move(max(0, size - self._moved), objects=1)
