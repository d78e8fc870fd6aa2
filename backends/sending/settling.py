"""Writes whose answer may be lost: retried within a bound, and told apart from somebody else's.

A conditional or multipart write carries an id of its own in the object's metadata. When the answer to it was lost and a
retry finds the key taken, that id tells our object from another.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from keystow.backends.errors import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
)

MARK = "keystow-write"
"""The metadata's name for that id; Azure's names take no hyphen."""
PAUSES = (0.2, 0.8, 2.4)
"""Seconds between tries."""

Answer = TypeVar("Answer")


def retried(call: Callable[[], Answer]) -> Answer:
    """What ``call`` gives, tried again while the store is unavailable; for requests that may be repeated."""
    retries = 0
    while True:
        try:
            return call()
        except StoreError as error:
            error.retries = retries
            if not isinstance(error, StoreUnavailableError) or retries == len(PAUSES):
                raise
        time.sleep(PAUSES[retries])
        retries += 1


def decided(call: Callable[[], Answer], find: Callable[[], Answer | None], where: str) -> Answer:
    """What ``call`` gives, the request that makes an object appear.

    ``find`` looks for the object with our id and gives its answer, or ``None`` if another stands there. Raises
    ``UnknownOutcomeError`` where it may not look.
    """
    lost = False
    pauses = iter(PAUSES)
    while True:
        try:
            return call()
        except AlreadyExistsError as error:
            if not lost:
                raise
            found = _found(find, where, error)
            if found is None:
                raise
            return found
        except (StoreUnavailableError, ConflictError) as error:
            lost = lost or isinstance(error, StoreUnavailableError)
            pause = next(pauses, None)
            if pause is None:
                raise
        time.sleep(pause)


def _found(find: Callable[[], Answer | None], where: str, error: StoreError) -> Answer | None:
    try:
        return find()
    except NotFoundError:
        return None
    except StoreError as failure:
        raise UnknownOutcomeError(
            f"{where}: the answer to the upload was lost, and whether the object that now stands there is ours could "
            f"not be read ({failure.code})",
            hint="fetch the object and compare, or publish again under another key",
        ) from error
