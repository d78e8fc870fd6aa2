"""Finding out what an endpoint really does, before relying on it."""

import contextlib
import secrets
from dataclasses import replace

from .contract import Capabilities, Store
from .errors import AlreadyExistsError, StoreError


def probe(store: Store, *, prefix: str = "") -> Capabilities:
    """What ``store`` promises, less what its endpoint turns out to ignore.

    Writes a small object of a random name under ``prefix`` twice, with ``if_absent``, and removes it if that is
    permitted. An endpoint that lets the second write through ignores conditions: open it with ``conditions=False``, so
    that it refuses them instead. Raises what ``write`` raises.

    >>> from keystow import open_store
    >>> probe(open_store("memory://probed")).if_absent
    True
    """
    if not store.capabilities.if_absent:
        return store.capabilities
    key = f"{prefix}keystow-probe-{secrets.token_hex(16)}"
    store.write(key, [b"first"], if_absent=True)
    try:
        store.write(key, [b"second"], if_absent=True)
    except AlreadyExistsError:
        return store.capabilities
    finally:
        with contextlib.suppress(StoreError):
            store.delete(key)
    return replace(store.capabilities, if_absent=False)
