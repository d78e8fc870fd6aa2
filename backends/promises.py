"""Which promises an endpoint keeps, found out by writing to it: one line for each.

All is written under two names that begin as they are told to, and removed again, as far as that is permitted.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping

from .contract import Store
from .errors import AccessDeniedError, AlreadyExistsError, StoreError, UnsupportedError
from .findings import Finding, unless_denied
from .sending.parts import part_size

PROMISES = ("write", "if absent", "if absent in parts", "checksums", "ranges", "odd keys", "versions", "removal")
"""The names of the findings, in their order."""
_CONTENT = b"a probe of keystow's\n"
_ODD = " ü+%25&=~'()/é"
_TRUST_NOT = (
    'do not rely on if_exists="error" or "skip" there: use a key that is different each time, or another server'
)


def promises(
    store: Store, prefix: str, *, takes_wrong: Callable[[str], Mapping[str, bool]] | None = None
) -> Iterator[Finding]:
    """What the endpoint of ``store`` keeps, ignores or refuses, for objects whose keys begin with ``prefix``.

    ``takes_wrong(key)`` says of each kind of checksum whether content is taken that does not have it. If nothing can
    be written, nothing else is tried.

    >>> from keystow import open_store
    >>> [each.outcome for each in promises(open_store("memory://promised"), "a/")].count("failed")
    0
    """
    key = f"{prefix}keystow-probe-{secrets.token_hex(8)}"
    odd = f"{key}{_ODD}"
    try:
        written = store.write(key, [_CONTENT])
    except StoreError as error:
        yield Finding.of("write", error)
        return
    written_keys = [key]
    try:
        yield Finding("write", "ok", f"kept; confirmed by {written.confirmed}")
        yield _if_absent("if absent", store, key, [b"another"])
        yield _if_absent("if absent in parts", store, key, [bytes(part_size(1)), b"another"])
        if takes_wrong is not None:
            yield _checksums(takes_wrong, key)
        yield _ranges(store, key)
        written_keys.append(odd)
        yield _odd_keys(store, odd)
        version = written.version_id
        yield Finding("versions", "ok", "kept" if version else "none: results name no version")
    finally:
        removal = _removal(store, written_keys)
    yield removal


def _if_absent(name: str, store: Store, key: str, chunks: list[bytes]) -> Finding:
    try:
        store.write(key, chunks, if_absent=True)
    except AlreadyExistsError:
        return Finding(name, "ok", "kept: what stands there was not overwritten")
    except UnsupportedError as error:
        return Finding(name, "failed", f"refused: {error}", _TRUST_NOT)
    except StoreError as error:
        refused = Finding.of(name, error)
        return Finding(name, "failed", f"refused: {refused.found}", _TRUST_NOT)
    return Finding(name, "failed", "ignored: what stood there was overwritten", _TRUST_NOT)


def _checksums(takes_wrong: Callable[[str], Mapping[str, bool]], key: str) -> Finding:
    try:
        taken = takes_wrong(key)
    except StoreError as error:
        return Finding.of("checksums", error)
    kept = [kind for kind, is_taken in taken.items() if not is_taken]
    ignored = [kind for kind, is_taken in taken.items() if is_taken]
    told = "; ".join(f"{how}: {' and '.join(kinds)}" for how, kinds in (("kept", kept), ("ignored", ignored)) if kinds)
    if kept:
        return Finding("checksums", "ok", told)
    return Finding("checksums", "failed", told, "verify what was published there: keystow verify RESULT reads it all")


def _ranges(store: Store, key: str) -> Finding:
    mend = "fetch whole archives from there, and no members or parts of them"
    try:
        store.write(key, [_CONTENT])  # again, as what was tried before may have replaced it
        got = b"".join(store.read(key, start=2, stop=7))
    except AccessDeniedError as error:
        return unless_denied("ranges", error)
    except StoreError as error:
        return Finding("ranges", "failed", f"refused: {Finding.of('ranges', error).found}", mend)
    if got == _CONTENT[2:7]:
        return Finding("ranges", "ok", "kept")
    return Finding("ranges", "failed", "ignored: other bytes came than were asked for", mend)


def _odd_keys(store: Store, key: str) -> Finding:
    mend = "keep to letters, digits and -_./ in keys there"
    try:
        store.write(key, [_CONTENT])
    except StoreError as error:
        return Finding("odd keys", "failed", f"refused: {Finding.of('odd keys', error).found}", mend)
    try:
        digest = hashlib.sha256(b"".join(store.read(key)))
    except AccessDeniedError:
        return Finding("odd keys", "ok", "kept, as far as writing tells: reading is not permitted")
    except StoreError as error:
        return Finding("odd keys", "failed", f"refused: {Finding.of('odd keys', error).found}", mend)
    if digest.digest() == hashlib.sha256(_CONTENT).digest():
        return Finding("odd keys", "ok", "kept: blanks, umlauts and signs come back as they were")
    return Finding("odd keys", "failed", "ignored: something else is under that key", mend)


def _removal(store: Store, keys: list[str]) -> Finding:
    left = []
    for key in keys:
        try:
            store.delete(key)
        except StoreError:
            left.append(key)
    if not left:
        return Finding("removal", "ok", "what was written is removed again")
    return Finding("removal", "unknown", "what was written stays there", f"remove {' and '.join(map(repr, left))}")
