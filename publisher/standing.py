"""What stands under a key already, compared with what would have been sent there.

Strategy: what may have to be compared is hashed while it is sent, so that a stream, which is read once, can be compared
as well. Sizes that differ need no reading, nor does a SHA-256 that the store keeps and that is ours. One that differs
proves nothing: it may be that of other parts, or of something that the store made of the object.
"""

import logging
from collections import deque
from dataclasses import replace
from typing import NamedTuple

from .backends import AccessDeniedError, AlreadyExistsError, CredentialsError, Stat, Store
from .backends.sending.digest import Digest, PartsDigest
from .ending import until

_log = logging.getLogger("keystow")
HINT = 'publish under another key, or with if_exists="replace"'


class Standing(NamedTuple):
    """What stands under a key, and whether it holds the very bytes that would have been sent."""

    found: Stat
    is_same: bool


def compared(store: Store, key: str, ours: PartsDigest) -> Standing | None:
    """What stands under ``key``, beside ``ours``, of which the rest is read; ``None`` where nobody may look.

    Raises ``StoreError`` where the store has no answer, ``SourceError`` where the source has changed.
    """
    try:
        found = store.stat(key)
        if any(ours.size > found.size for _ in until(ours)) or ours.size != found.size:
            return Standing(found, is_same=False)
        if found.checksum in {ours.base64(), ours.parts_base64()}:
            return Standing(found, is_same=True)
        found, theirs = _read(store, found)
    except (AccessDeniedError, CredentialsError) as error:
        _log.debug("what stands under %r could not be compared: %s", key, error)
        return None
    return Standing(found, theirs.hexdigest() == ours.hexdigest())


def _read(store: Store, found: Stat) -> tuple[Stat, Digest]:
    """What was ``found``, read; where its version may not be read by name, what stands there now."""
    named, current = Digest(store.read(found.key, version_id=found.version_id)), replace(found, version_id=None)
    try:
        deque(named, maxlen=0)
    except AccessDeniedError:
        if found.version_id is None or named.size:
            raise
        now = Digest(store.read(found.key))
        deque(now, maxlen=0)
        return current, now
    return found, named


def check_same(standing: Standing | None, refusal: AlreadyExistsError) -> None:
    """Raises ``AlreadyExistsError``, which says so, if what stands there differs from what would have been sent."""
    if standing is None or standing.is_same:
        return
    differs = AlreadyExistsError(f"{refusal}, and differs from what would have been published", hint=HINT)
    vars(differs).update(vars(refusal), hint=HINT)
    raise differs from None
