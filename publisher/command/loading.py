"""Loading the library, which is most of what a short call does."""

import gc
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def uncollected() -> "Iterator[None]":
    """Within this, modules are loaded, which all stay: the collector looks for garbage among them only afterwards.

    It would go through all of them again and again, which takes a tenth of the time until the first request.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
