"""The files of a tree as objects under a prefix, and the manifest that makes them published.

Strategy: the manifest is written last, so what was cut off has none. Where nothing may be replaced, no file is, and who
writes the manifest first has published; files that are there already, as an attempt before left them, must be ours.
"""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import NamedTuple

from .archive import ArchiveError, Entry, Tree
from .archive.manifest import MOST_BYTES, NAME, Item, written_manifest
from .backends import (
    AccessDeniedError,
    AlreadyExistsError,
    CredentialsError,
    NotFoundError,
    Store,
    UnknownOutcomeError,
)
from .backends.sending.budget import budget_of
from .backends.sending.digest import Digest, PartsDigest
from .backends.sending.parts import part_size
from .backends.sending.ranges import RANGE
from .backends.sending.workers import held_of, in_order, objects_pace
from .checksum import Checksum
from .ending import until
from .errors import SpecError
from .manifests import Found, read_manifest
from .manner import Manner
from .progress import Meter, Share
from .result import PublishedResult
from .sending import Sent, content_type_of, recognised, write_object
from .standing import HINT, check_same, compared
from .stored import AlreadyPublishedError, listing_checksum

_PART = part_size(1)
_UNREADABLE = "permit to read it, so that it can be compared, or publish under another key"
_log = logging.getLogger("keystow")


def publish_files(store: Store, result: PublishedResult, tree: Tree, manner: Manner, meter: Meter) -> Sent:
    """The files of ``tree``, each under its own name behind ``result.key``; if one fails, no other is begun."""
    if manner.manifest and manner.if_exists != "replace":
        _check_uncommitted(store, result, tree, manner)
    there: dict[str, _There] = {}
    try:
        for entry, arrived in _arriving(store, result, tree, manner, meter):
            there[entry.name] = arrived
        done = _committed(store, result, tree, there, manner)
    except AlreadyPublishedError:
        raise
    except BaseException as error:
        is_unknown = isinstance(error, UnknownOutcomeError) and len(there) == len(tree.files)
        manifest = "perhaps with" if is_unknown else "without"
        sent = sum(not each.was_there for each in there.values())
        how_many = f"at least {sent}" if sent else "perhaps some"
        counted = f"{how_many} of {len(tree.files)} files had already been sent to {result.key!r}"
        error.add_note(f"{counted}, {manifest} the manifest that makes them published" if manner.manifest else counted)
        raise
    return Sent(done, sum(each.was_there for each in there.values()))


class _There(NamedTuple):
    """What stands under a key now: its SHA-256, version and ETag, as far as known, and whether it was there before."""

    sha256: str | None
    version_id: str | None
    etag: str | None
    was_there: bool


def _arriving(
    store: Store, result: PublishedResult, tree: Tree, manner: Manner, meter: Meter
) -> Iterator[tuple[Entry, _There]]:
    ending, budget = threading.Event(), budget_of(store)
    pace, most = objects_pace(budget), budget.held

    def send(entry: Entry) -> _There:
        chunks = _until(ending, tree.read(entry))
        share = Share(meter)
        there = _sent(store, result.key + entry.name, chunks, content_type_of(entry.name), manner, share=share)
        share.stands(entry.size)
        return there

    def weigh(entry: Entry) -> int:
        return held_of(entry.size, _PART, most)

    return in_order(send, tree.files, pace=pace, weigh=weigh, most=most, ending=ending)


def _sent(
    store: Store, key: str, chunks: Iterator[bytes], content_type: str, manner: Manner, *, share: Share
) -> _There:
    if manner.if_exists == "replace":
        written = write_object(store, key, chunks, content_type, manner, share=share)
        return _There(written.sha256, written.version_id, written.etag, was_there=False)
    ours = PartsDigest(chunks)
    try:
        written = write_object(store, key, ours, content_type, manner, share=share)
    except AlreadyExistsError as error:
        if manner.if_exists == "error" and not manner.manifest:
            raise
        standing = compared(store, key, ours)
        if standing is None:
            if manner.manifest:
                error.hint = _UNREADABLE
                raise
            return _There(None, None, None, was_there=True)
        check_same(standing, error)
        return _There(ours.hexdigest(), standing.found.version_id, standing.found.etag, was_there=True)
    return _There(written.sha256, written.version_id, written.etag, was_there=False)


def _until(ending: threading.Event, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if ending.is_set():
            raise CancelledError
        yield chunk


def _committed(
    store: Store, result: PublishedResult, tree: Tree, there: dict[str, _There], manner: Manner
) -> PublishedResult:
    """The result, once the manifest is written, if there is to be one."""
    digests = {name: each.sha256 for name, each in there.items() if each.sha256 is not None}
    if len(digests) < len(there):
        return result
    whole = replace(result, checksum_sha256=listing_checksum(digests))
    if not manner.manifest:
        return whole
    data = written_manifest(
        Item(
            entry.name,
            entry.size,
            digests[entry.name],
            entry.mtime if manner.mtime is None else manner.mtime,
            entry.executable,
            there[entry.name].version_id,
            there[entry.name].etag if entry.size > RANGE else None,
        )
        for entry in tree.files
    )
    if len(data) > MOST_BYTES:
        said = f"a manifest of {len(data)} bytes, and no reader takes more than {MOST_BYTES}"
        raise SpecError(f"{len(tree.files)} files make {said}: publish an archive, or with manifest=False")
    try:
        written = write_object(store, result.key + NAME, [data], "application/gzip", manner, share=Share(Meter(None)))
    except AlreadyExistsError as error:
        return _standing_instead(store, result, whole, error, manner)
    return replace(whole, version_id=written.version_id, index_sha256=Checksum(written.sha256))


def _standing_instead(
    store: Store, result: PublishedResult, whole: PublishedResult, error: AlreadyExistsError, manner: Manner
) -> PublishedResult:
    """What somebody else has published meanwhile, if it is the same."""
    standing = _standing(store, result.key)
    if standing is None:
        error.hint = _UNREADABLE
        raise error
    if not standing.lists(whole.checksum_sha256):
        raise AlreadyExistsError(f"other files than these were published under {result.url!r}", hint=HINT) from error
    whole = standing.of(whole)
    if manner.if_exists == "error":
        raise recognised(error, whole) from None
    return whole


def _check_uncommitted(store: Store, result: PublishedResult, tree: Tree, manner: Manner) -> None:
    """Raises ``AlreadyExistsError`` if there is a manifest that is in the way, as far as anybody may look.

    One of these very files is in the way of ``"error"`` alone; what it lists is not asked for.
    """
    standing = _standing(store, result.key)
    if standing is None:
        return
    said = f"{result.url!r} was already published"
    if standing.may_list(tree):
        ours = listing_checksum({entry.name: _digest(tree, entry) for entry in tree.files})
        if standing.lists(ours):
            if manner.if_exists == "error":
                raise recognised(AlreadyExistsError(said), standing.of(replace(result, checksum_sha256=ours)))
            return
    raise AlreadyExistsError(f"{said}, and not with these files", hint=HINT)


class _Standing(NamedTuple):
    """What stands where a manifest does, ``None`` if it is none that can be read; and its version."""

    found: Found | None
    version_id: str | None

    def may_list(self, tree: Tree) -> bool:
        """Whether it announces as many files, of as many bytes."""
        if self.found is None:
            return False
        return (self.found.manifest.files, self.found.manifest.size) == (len(tree.files), tree.size)

    def lists(self, checksum: Checksum | None) -> bool:
        """Whether it lists the files that have this checksum together."""
        try:
            return self.found is not None and self.found.listing == checksum
        except ArchiveError as error:
            _log.debug("the manifest that stands there cannot be read: %s", error)
            return False

    def of(self, whole: PublishedResult) -> PublishedResult:
        """The result of what is published by it."""
        digest = None if self.found is None else self.found.sha256
        return replace(whole, version_id=self.version_id, index_sha256=digest)


def _digest(tree: Tree, entry: Entry) -> str:
    digest = Digest(tree.read(entry))
    for _ in until(digest):
        pass
    return digest.hexdigest()


def _standing(store: Store, prefix: str) -> _Standing | None:
    """The manifest that stands there, if there is one that may be read."""
    version_id = None
    try:
        version_id = store.stat(prefix + NAME).version_id
        return _Standing(read_manifest(store, prefix, version_id, or_current=True), version_id)
    except NotFoundError:
        return None
    except (AccessDeniedError, CredentialsError) as error:
        _log.debug("whether %r was published could not be asked: %s", prefix, error)
        return None
    except ArchiveError as error:
        _log.debug("what stands there is no manifest: %s", error)
        return _Standing(None, version_id)
