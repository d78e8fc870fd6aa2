"""A call that may be ended from outside, while it waits for a store or moves bytes."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from .backends import Store, Written

Answer = TypeVar("Answer")


class Ending:
    """Ends one call: from then on it reads and writes nothing more, and ``CancelledError`` is raised in it.

    The stores that it opened are closed, which ends what is under way; those that it was given stay open, and what is
    under way there ends by itself. What has all of its bytes by then may still appear.
    """

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._open: list[_Held] = []

    def holds(self, store: Store, *, given: bool) -> Store:
        """``store``, for this call."""
        held = _Held(store, self)
        if not given:
            self._open.append(held)
        if self._is_over.is_set():
            self.close()
        return cast("Store", held)

    def begin(self) -> None:
        """Has the call end. Nobody is waited for."""
        self._is_over.set()

    def close(self) -> None:
        """Closes the stores that the call opened, which may take as long as what is under way there."""
        with suppress(IndexError):
            while True:
                self._open.pop().close()

    def closed(self, held: "_Held") -> None:
        """The call itself has closed one."""
        with suppress(ValueError):
            self._open.remove(held)

    def check(self) -> None:
        """Raises ``CancelledError`` once the call is to end."""
        if self._is_over.is_set():
            raise CancelledError

    def until(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """``chunks``, as long as the call goes on."""
        for chunk in chunks:
            self.check()
            yield chunk
        self.check()


_current: ContextVar[Ending | None] = ContextVar("keystow-ending", default=None)


def held(store: Store, *, given: bool) -> Store:
    """``store``, for the call that this is part of, if that may be ended."""
    ending = _current.get()
    return store if ending is None else ending.holds(store, given=given)


def until(chunks: Iterable[bytes]) -> Iterable[bytes]:
    """``chunks``, as long as the call that this is part of goes on."""
    ending = _current.get()
    return chunks if ending is None else ending.until(chunks)


def ended_by(ending: Ending, call: Callable[[], Answer]) -> Answer:
    """What ``call`` gives, as something that ``ending`` may end."""
    _current.set(ending)
    return call()


class _Held:
    """A store, of which nothing more is asked once the call is to end."""

    def __init__(self, store: Store, ending: Ending) -> None:
        self._store, self._ending = store, ending
        self._open = [store]

    def write(self, key: str, chunks: Iterable[bytes], **options: Any) -> Written:  # noqa: ANN401
        self._ending.check()
        return self._store.write(key, self._ending.until(chunks), **options)

    def read(self, key: str, **options: Any) -> Iterator[bytes]:  # noqa: ANN401
        self._ending.check()
        return self._ending.until(self._store.read(key, **options))

    def close(self) -> None:
        self._ending.closed(self)
        with suppress(IndexError):
            self._open.pop().close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        self._ending.check()
        return getattr(self._store, name)
