"""From a directory to a published result.

Strategy: everything that can be wrong with the call is found first, from the call alone (``plan``); then the source is
scanned, then the store is opened, then bytes flow.
"""

import logging
import mimetypes
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from os import PathLike
from typing import Literal

from . import surroundings
from .archive import Entry, SourceError, Tree, dereference, pack, scan
from .archive.scan import Special, Symlinks
from .backends import AlreadyExistsError, Store, StoreError, Written
from .backends.endpoints import region_of
from .backends.opening import engine_for, timeout_for
from .backends.sending.digest import Digest
from .backends.sending.parts import begun, part_size
from .checksum import Checksum
from .concurrency import Budget, in_order, under_way
from .errors import SpecError
from .keys import Context, Key, check_key, object_key
from .result import PublishedResult
from .spec import PublisherSpec
from .stored import AlreadyPublishedError, listing_checksum, open_result_store
from .surroundings import job_context, processors, with_instant
from .trust import Trust

IfExists = Literal["replace", "error", "skip"]
Progress = Callable[[int, int], None]
"""Is told how many bytes of how many have been read from the source."""

_AHEAD = 16 << 20
_PART = part_size(1)
_HELD = 8 * _PART
_log = logging.getLogger("keystow")
_types = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call amounts to, before anything is read or sent."""

    spec: PublisherSpec
    key: Key
    archive: bool
    timeout: timedelta | float | None = None

    def result(self) -> PublishedResult:
        """What will have been published, as far as it is known beforehand."""
        return PublishedResult(
            type=self.spec.type,
            bucket=self.spec.bucket,
            key=self.key,
            endpoint=self.spec.endpoint,
            region=self.spec.region or region_of(self.spec.endpoint),
            encoding="gzip" if self.archive else "plain",
            claimed=self.spec.claimed,
        )


def plan(
    destination: str | Mapping[str, object] | PublisherSpec,
    context: Context,
    *,
    archive: bool | None = None,
    trust: Trust | None = None,
    timeout: timedelta | float | None = None,
) -> Plan:
    """Reads ``destination`` and works out the key for ``context``.

    What a job says (``PublisherSpec.claimed``) is admitted by ``trust``; the default is the environment's.
    ``timeout`` is ``open_store``'s.

    Raises ``SpecError``, ``TemplateError``, ``MissingValueError``, ``ValueRefusedError`` or ``KeyRuleError``.
    """
    spec = _spec(destination)
    if spec.claimed:
        surroundings.admit_claimed(spec, proven=None, trust=trust or surroundings.trust(), error=SpecError)
    try:
        engine_for(spec.engine)
        timeout_for(timeout)
    except ValueError as error:
        raise SpecError(str(error)) from None
    if archive is None:
        archive = spec.encoding == "gzip"
    return Plan(spec, object_key(spec.key, context, archive=archive, rules=spec.rules), archive, timeout)


def publish(
    source: str | PathLike[str],
    destination: str | Mapping[str, object] | PublisherSpec,
    context: Context | None = None,
    *,
    archive: bool | None = None,
    if_exists: IfExists = "replace",
    symlinks: Symlinks = "inside",
    special: Special = "error",
    mtime: int | None = None,
    progress: Progress | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
) -> PublishedResult:
    """Publishes the directory (or file) ``source`` and returns what was published.

    ``destination`` is ``"s3://bucket/key-template,opt=…"``, the declarative mapping, or a ``PublisherSpec``. Without a
    ``context``, the ids are the running job's (``BACALHAU_JOB_ID`` and its like); without ``context.at``, the instant
    is now, in UTC.

    ``archive`` is ``True`` for one ``.tar.gz``, ``False`` for the files under a prefix, ``None`` for what the
    destination's ``Encoding`` says. ``if_exists``: ``"replace"`` the object, raise ``AlreadyExistsError`` for
    ``"error"`` (``AlreadyPublishedError``, which has the ``result``, if this very archive stands there and can be
    read), leave it and return a result without a checksum for ``"skip"``. ``symlinks`` and ``special`` (sockets, FIFOs
    and devices: ``"error"`` or ``"skip"``) are ``scan``'s. ``mtime`` (seconds since 1970) stands in for the times of
    all members. ``progress`` is called with the bytes read so far and in all.

    A destination that is a mapping is taken for a job's, whoever wrote it: it names S3, Google Cloud Storage or Azure.
    Other types of stores, such as ``"file"``, only if they are in ``allow``. ``allow_endpoints`` are URLs of servers
    that it may name, and then no others (default: ``KEYSTOW_ALLOW_ENDPOINTS``); what ``keystow.trust`` says of them.

    ``timeout`` is ``open_store``'s: when a request is over on which nothing moves, with all of its tries.

    Raises ``ValueError`` (``SpecError``, ``TemplateError``, …) for a call that is wrong, before anything is read;
    ``SourceError`` for a source that cannot be packed; ``StoreError`` for what the store refuses. Of an archive nothing
    is published then; of a prefix, the files that had arrived stay, and a note on the error counts them.
    """
    if if_exists not in {"replace", "error", "skip"}:
        raise SpecError(f"if_exists={if_exists!r} is no choice: use replace, error or skip")
    context = with_instant(job_context() if context is None else context)
    trusted = surroundings.trust(allow, allow_endpoints)
    planned = plan(destination, context, archive=archive, trust=trusted, timeout=timeout)
    tree = scanned(source, planned, symlinks, special)
    return carry_out(planned, tree, if_exists=if_exists, mtime=mtime, progress=progress)


def scanned(
    source: str | PathLike[str], planned: Plan, symlinks: Symlinks = "inside", special: Special = "error"
) -> Tree:
    """The tree to publish, with every key that it gives checked."""
    _check_apart(source, planned)
    tree = scan(source, symlinks=symlinks, special=special)
    if planned.archive:
        return tree
    tree = dereference(tree)
    names = [entry.name for entry in tree.files]
    if not names:
        raise SourceError(f"there is no file in {str(source)!r}, so nothing would be published under {planned.key!r}")
    check_key(planned.key, planned.spec.rules, names=names)
    return tree


def _check_apart(source: str | PathLike[str], planned: Plan) -> None:
    """Raises ``SpecError`` for a directory that would hold what is published of it, to be published the next time."""
    if planned.spec.type != "file" or not os.fspath(source):
        return
    root = os.path.realpath(source)
    target = os.path.realpath(f"{planned.spec.bucket}/{planned.key}")
    if target == root or target.startswith(os.path.join(root, "")):
        raise SpecError(f"the destination {target!r} lies inside the source {root!r}: publish to another directory")


def carry_out(
    planned: Plan, tree: Tree, *, if_exists: IfExists, mtime: int | None = None, progress: Progress | None = None
) -> PublishedResult:
    """Sends ``tree`` to where ``planned`` says."""
    sent = tree if progress is None else _watched(tree, progress)
    foreseen = planned.result()
    with _opening(foreseen, planned) as opening:
        if planned.archive:
            packed = partial(pack, threads=processors(), mtime=mtime)
            _, chunks = begun(packed(sent), lambda size: size >= _AHEAD or opening.done())
            store = opening.result()
            return _publish_archive(store, _located(foreseen, store), chunks, if_exists, partial(packed, tree))
        store = opening.result()
        return _publish_files(store, _located(foreseen, store), sent, if_exists)


@contextmanager
def _opening(result: PublishedResult, planned: Plan) -> Iterator[Future[Store]]:
    """The store being opened in another thread: to load a cloud's client takes as long as to pack many files."""
    work = partial(open_result_store, result, engine=planned.spec.engine, timeout=planned.timeout)
    opening = under_way(work, "keystow-open")
    try:
        yield opening
    finally:
        if opening.done():
            _close(opening)
        else:
            opening.add_done_callback(_close)


def _close(opening: Future[Store]) -> None:
    if opening.exception() is None:
        opening.result().close()


def _spec(destination: str | Mapping[str, object] | PublisherSpec) -> PublisherSpec:
    if isinstance(destination, PublisherSpec):
        return destination
    if isinstance(destination, str):
        return PublisherSpec.parse(destination)
    return PublisherSpec.from_mapping(destination)


def _located(result: PublishedResult, store: Store) -> PublishedResult:
    """``result`` with the endpoint and the region that the store found out for itself."""
    return replace(
        result,
        endpoint=getattr(store, "endpoint", result.endpoint),
        region=getattr(store, "region", result.region),
    )


def _publish_archive(
    store: Store,
    result: PublishedResult,
    chunks: Iterator[bytes],
    if_exists: IfExists,
    again: Callable[[], Iterator[bytes]],
) -> PublishedResult:
    """Writes ``chunks``, which ``again`` gives anew."""
    try:
        written = store.write(result.key, chunks, if_absent=if_exists != "replace", content_type="application/gzip")
    except AlreadyExistsError as error:
        if if_exists == "skip":
            return result
        standing = _recognised(store, result, again)
        if standing is None:
            raise
        same = f"{error}, with the content that would have been published (SHA-256 {standing.checksum_sha256})"
        recognised = AlreadyPublishedError(same)
        vars(recognised).update(vars(error), result=standing)
        raise recognised from None
    checksum = Checksum(written.sha256)
    return replace(result, version_id=written.version_id, checksum_sha256=checksum, store_checksum=written.checksum)


def _recognised(store: Store, result: PublishedResult, again: Callable[[], Iterator[bytes]]) -> PublishedResult | None:
    """``result`` as it stands in the store, if that holds what ``again`` gives, and can be read."""
    try:
        found = store.stat(result.key)
        ours = Digest(again())
        if any(ours.size > found.size for _ in ours) or ours.size < found.size:
            return None
        theirs = Digest(store.read(result.key, version_id=found.version_id))
        deque(theirs, maxlen=0)
    except (StoreError, SourceError) as error:
        _log.debug("what stands under %r could not be compared: %s", result.key, error)
        return None
    if theirs.hexdigest() != ours.hexdigest():
        return None
    return replace(result, version_id=found.version_id, checksum_sha256=Checksum(ours.hexdigest()))


def _publish_files(store: Store, result: PublishedResult, tree: Tree, if_exists: IfExists) -> PublishedResult:
    ending = threading.Event()
    memory = Budget(_HELD)

    def send(entry: Entry) -> Written | None:
        try:
            with memory.taking(_held_by(entry)):
                return store.write(
                    result.key + entry.name,
                    _until(ending, tree.read(entry)),
                    if_absent=if_exists != "replace",
                    content_type=_content_type(entry.name),
                )
        except AlreadyExistsError:
            if if_exists == "error":
                raise
            return None

    digests: dict[str, str] = {}
    done = 0
    try:
        for entry, written in in_order(send, tree.files, ending=ending):
            done += 1
            if written is not None:
                digests[entry.name] = written.sha256
    except BaseException as error:
        how_many = f"at least {done}" if done else "perhaps some"
        error.add_note(f"{how_many} of {len(tree.files)} files had already been published under {result.key!r}")
        raise
    if len(digests) < done:
        return result
    return replace(result, checksum_sha256=listing_checksum(digests))


def _held_by(entry: Entry) -> int:
    """The bytes that are held while a file is written: all of a small one, several parts of a large one."""
    return entry.size if entry.size <= _PART else _HELD


def _until(ending: threading.Event, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if ending.is_set():
            raise CancelledError
        yield chunk


def _content_type(name: str) -> str:
    kind, encoding = _types.guess_type(name, strict=True)
    if encoding is not None:
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}.get(encoding, "application/octet-stream")
    return kind or "application/octet-stream"


def _watched(tree: Tree, progress: Progress) -> Tree:
    total = tree.size
    done = 0
    counting = threading.Lock()

    def read(entry: Entry) -> Iterator[bytes]:
        nonlocal done
        for chunk in tree.read(entry):
            with counting:
                done += len(chunk)
                progress(done, total)
            yield chunk

    return replace(tree, read=read)
