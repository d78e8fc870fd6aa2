"""What changes in a process that was forked: it has no threads of the other one, whose connections are its own."""

import os
import threading
import weakref
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from keystow.backends.errors import StoreError


class Forked(Protocol):
    """Something that has locks which a thread may hold, or connections, when this process is forked."""

    def forked(self) -> None:
        """This is the child: makes them anew, or lets go of them."""


One = TypeVar("One")


class Alive(Generic[One]):
    """Those that are alive of what was added.

    It is no ``WeakSet``, as that has Python code called where one dies: a collection of garbage, which may come in the
    midst of a recursion that has no depth left.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: list[weakref.ref[One]] = []

    def add(self, one: One) -> None:
        """``one`` is alive."""
        with self._lock:
            self._known = [known for known in self._known if known() is not None]
            self._known.append(weakref.ref(one))

    def __iter__(self) -> Iterator[One]:
        for known in self._known:
            one = known()
            if one is not None:
                yield one


_of_this_process: Alive[Forked] = Alive()


def tell_in_children(one: Forked) -> None:
    """Has ``one.forked()`` called in each process that is forked, as long as there is ``one``."""
    _of_this_process.add(one)


def not_here() -> StoreError:
    """The error for a store that cannot be used in a process that was forked."""
    hint = "open the store again in the process that uses it"
    return StoreError("the store was opened before the process was forked, and cannot be used in it", hint=hint)


def _forked() -> None:
    global _of_this_process  # its lock may be held by a thread that is not here
    known, _of_this_process = list(_of_this_process), Alive()
    for one in known:
        _of_this_process.add(one)
        one.forked()


os.register_at_fork(after_in_child=_forked)
