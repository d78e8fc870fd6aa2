"""Loading the library, which is most of what a short call does."""

import gc
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_YOUNG = 10_000


@contextmanager
def uncollected() -> "Iterator[None]":
    """Within this, modules are loaded, which all stay: the collector never looks for garbage among them.

    It would go through all of them again and again, also when the process ends: 30 to 45 ms of processor time for a
    small file. From then on it looks once there are 10,000 objects more, as what a command makes holds hardly a cycle.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():  # who calls the command from a program of his own does so again and again
            gc.freeze()
            gc.set_threshold(_YOUNG)
        if was_enabled:
            gc.enable()
