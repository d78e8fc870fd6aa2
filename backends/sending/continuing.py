"""Content that breaks off, and goes on where it broke: of the same version of the object, never a mixture."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import NamedTuple

from keystow.backends.errors import StoreUnavailableError

from .repeating import PATIENCE, retried

MOST_BREAKS = 8
"""How often content may break off without another ``ENOUGH`` bytes of it."""
ENOUGH = 64 << 20


class Content(NamedTuple):
    """The content of one answer, in pieces.

    ``tag`` tells this version of the object from others (a strong ETag, a generation); without one, content that
    breaks off does not go on.
    """

    pieces: Generator[bytes, None, None]
    tag: str | None


def continued(
    open_at: Callable[[int, str | None], Content], start: int = 0, *, patience: float = PATIENCE
) -> Iterator[bytes]:
    """The content from the byte ``start`` on.

    ``open_at(start, tag)`` asks for it from ``start`` on, of the version ``tag`` if that is given, and raises
    ``ConflictError`` if that is no longer there. Whatever stops the reading, the answer is closed. ``patience`` is for
    each answer to begin, and for all that is waited for in vain until another ``ENOUGH`` bytes have come.
    """
    at = sound = start
    breaks, lost = 0, 0.0
    content = retried(partial(open_at, at, None), patience=patience)
    while True:
        moved = time.monotonic()
        try:
            with contextlib.closing(content.pieces) as pieces:
                for piece in pieces:
                    at += len(piece)
                    yield piece
                    moved = time.monotonic()
        except StoreUnavailableError as error:
            waited = time.monotonic() - moved
            enough = at - sound >= ENOUGH
            sound, breaks, lost = (at, 0, waited) if enough else (sound, breaks + 1, lost + waited)
            if content.tag is None or breaks > MOST_BREAKS or lost > patience:
                raise error.tried(breaks) from None
        else:
            return
        content = retried(partial(open_at, at, content.tag), patience=patience)
