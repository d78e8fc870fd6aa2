"""Writes whose answer may be lost: made again within a bound, and told apart from somebody else's.

Strategy: every write carries an id of its own in the object's metadata. Wherever a write may have been done without our
being told so, the object that stands there is looked at: with that id it is ours, and the write succeeded.
"""

import hashlib
import itertools
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from keystow.backends.errors import (
    AlreadyExistsError,
    ConflictError,
    NotFoundError,
    StoreError,
    StoreUnavailableError,
    UnknownOutcomeError,
)

from .limits import Bounds
from .repeating import Tries, retried

MARK = "keystow-write"
"""The metadata's name for that id; Azure's names take no hyphen."""
_CONFLICT_PAUSES = (0.1, 0.4, 1.6)

_seed = secrets.token_bytes(32)
_count = itertools.count()

Answer = TypeVar("Answer")


def write_id() -> str:
    """An id for one write, in 32 hex digits: no other write has it, also not one of a process that was forked.

    The kernel's random bytes are asked for once, as whoever asks lets go of Python's lock, and may wait for it.
    """
    told = f"{os.getpid()} {time.time_ns()} {next(_count)}"
    return hashlib.sha256(_seed + told.encode()).hexdigest()[:32]


def decided(call: Callable[[], Answer], find: Callable[[], Answer | None], where: str, bounds: Bounds) -> Answer:
    """What ``call`` gives, the request that makes an object appear.

    ``find`` looks for the object with our id and gives its answer, or ``None`` if another stands there; while the store
    is unavailable it is asked again, for half of ``bounds.brief``. Raises what ``call`` raised where the object is not
    ours, and ``UnknownOutcomeError`` where that cannot be found out.
    """
    tries = Tries(bounds.patience)
    look = partial(retried, find, patience=bounds.brief / 2)
    conflicts = iter(_CONFLICT_PAUSES)
    lost = False
    while True:
        try:
            return call()
        except AlreadyExistsError as error:
            # Even after a single try: a proxy on the way may have sent it twice.
            return _settled(look, where, error, lost=lost)
        except ConflictError as error:
            pause = next(conflicts, None)
            if pause is None or not error.passes:
                return _settled(look, where, error, lost=lost)
        except StoreUnavailableError as error:
            lost = lost or error.may_have_arrived
            try:
                pause = tries.after(error)
            except StoreUnavailableError:
                if not lost:
                    raise
                return _settled(look, where, error, lost=True)
        except StoreError as error:
            if not lost:
                raise
            return _settled(look, where, error, lost=True)
        time.sleep(pause)


def _settled(look: Callable[[], Answer | None], where: str, error: StoreError, *, lost: bool) -> Answer:
    """The answer for our own object, if it stands there; ``lost`` says that one of our writes may have been done."""
    try:
        found = look()
    except NotFoundError:
        found = None
    except StoreError as failure:
        if not lost:
            raise error from None
        (ours, tries), (theirs, others) = (_said(each, where) for each in (error, failure))
        what = (
            f"{ours}{tries}, to the upload as to the question whether it was done"
            if ours == theirs
            else f"the answer to the upload was lost ({ours}{tries}), and whether the object that now stands there is "
            f"ours could not be read ({failure.code or f'{theirs}{others}'})"
        )
        compare = "fetch the object and compare, or publish again under another key"
        raise UnknownOutcomeError(
            f"{where}: {what}",
            hint=f"{error.hint}; then {compare}" if error.hint else compare,
        ) from error
    if found is None:
        raise error
    return found


def _said(error: StoreError, where: str) -> tuple[str, str]:
    """What ``error`` says went wrong, without where and what to do; and how often it was tried."""
    text = str(error).removeprefix(f"{where}: ")
    found, mark, tries = text.rpartition(f": {error.hint}") if error.hint else (text, "", "")
    return (found, tries) if mark else (text, "")
