"""What changes in a process that was forked: it has no threads of the other one, whose connections are its own."""

import os
import weakref
from typing import Protocol

from keystow.backends.errors import StoreError


class Forked(Protocol):
    """Something that has locks which a thread may hold, or connections, when this process is forked."""

    def forked(self) -> None:
        """This is the child: makes them anew, or lets go of them."""


_of_this_process: "weakref.WeakSet[Forked]" = weakref.WeakSet()


def tell_in_children(one: Forked) -> None:
    """Has ``one.forked()`` called in each process that is forked, as long as there is ``one``."""
    _of_this_process.add(one)


def not_here() -> StoreError:
    """The error for a store that cannot be used in a process that was forked."""
    hint = "open the store again in the process that uses it"
    return StoreError("the store was opened before the process was forked, and cannot be used in it", hint=hint)


def _forked() -> None:
    for one in _of_this_process:
        one.forked()


os.register_at_fork(after_in_child=_forked)
