"""Content that breaks off, and goes on where it broke: of the same version of the object, never a mixture."""

import contextlib
import logging
import random
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import NamedTuple

from keystow.backends.errors import StoreUnavailableError

from .pace import push_back
from .repeating import pause_after, retried

MOST_BREAKS = 8
"""How often content may break off without another ``ENOUGH`` bytes of it."""
ENOUGH = 64 << 20

_log = logging.getLogger("keystow")


class Content(NamedTuple):
    """The content of one answer, in pieces, of ``length`` bytes in all, of an object that has ``size``.

    ``tag`` tells this version of the object from others (a strong ETag, a generation); without one, content that
    breaks off does not go on. Without a size, the pieces are all that there is. They have ``begun``: to close them ends
    the answer.
    """

    pieces: Generator[bytes, None, None]
    tag: str | None
    length: int | None = None
    size: int | None = None


def begun(content: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """``content``, past a first, empty piece: a generator that has not begun does nothing when it is closed."""
    next(content)
    return content


def continued(
    open_at: Callable[[int, str | None], Content], start: int = 0, *, patience: float
) -> Generator[bytes, None, None]:
    """The content from the byte ``start`` on.

    ``open_at(start, tag)`` asks for it from ``start`` on, of the version ``tag`` if that is given, and raises
    ``ConflictError`` if that is no longer there. Whatever stops the reading, the answer is closed. ``patience`` are the
    seconds that may be waited for nothing between ``ENOUGH`` bytes: for an answer, and for pieces that did not come.
    """
    at = sound = start
    tag = None
    breaks = 0
    waited = 0.0
    while True:
        since = time.monotonic()
        content = retried(partial(open_at, at, tag), patience=patience - waited)
        try:
            with contextlib.closing(content.pieces) as pieces:
                waited += time.monotonic() - since
                since = time.monotonic()
                for piece in pieces:
                    at += len(piece)
                    yield piece
                    since = time.monotonic()
        except StoreUnavailableError as error:
            sound, breaks, waited = (at, 0, 0.0) if at - sound >= ENOUGH else (sound, breaks + 1, waited)
            waited += time.monotonic() - since
            push_back()
            pause = pause_after(error, 1, waited, chance=random.random(), patience=patience)  # noqa: S311
            if content.tag is None or breaks > MOST_BREAKS or pause is None:
                raise error.tried(breaks) from None
            _log.info("going on at byte %d in %.1f s: %s", at, pause, error)
            tag = content.tag
        else:
            return
        time.sleep(pause)
