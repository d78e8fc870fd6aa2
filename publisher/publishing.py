"""From a directory to a published result.

Strategy: everything that can be wrong with the call is found first, from the call alone (``Destination``); then the
source is scanned, then the store is opened, then bytes flow.
"""

import logging
import mimetypes
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from os import PathLike
from typing import Literal

from . import surroundings
from .archive import Entry, Selection, SourceError, Tree, dereference, pack, scan, selection
from .archive.gzip import LEVEL, check_level
from .archive.scan import Special, Symlinks, check_choices
from .archive.selection import sensitive
from .backends import AlreadyExistsError, Credentials, Store, StoreError, Written
from .backends.credentials import check_credentials
from .backends.endpoints import region_of
from .backends.opening import engine_for, timeout_for
from .backends.sending.digest import Digest
from .backends.sending.parts import begun, part_size
from .checksum import Checksum
from .concurrency import Budget, in_order
from .errors import SpecError
from .keys import Context, Template, check_key, object_key
from .result import PublishedResult
from .spec import PublisherSpec
from .stored import PLAIN_ACCESS, Access, AlreadyPublishedError, Opened, listing_checksum, open_place
from .surroundings import job_context, processors, with_instant
from .trust import Trust

IfExists = Literal["replace", "error", "skip"]
Progress = Callable[[int, int], None]
"""Is told how many bytes of how many have been read from the source."""

_AHEAD = 16 << 20
_PART = part_size(1)
_HELD = 8 * _PART
_MOST_NAMED = 5
_log = logging.getLogger("keystow")
_types = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True, slots=True)
class Manner:
    """What becomes of what is found, in the source and in the store; ``publish`` says what each is."""

    if_exists: IfExists = "replace"
    symlinks: Symlinks = "inside"
    special: Special = "error"
    mtime: int | None = None
    level: int | None = None
    selection: Selection | None = None

    def __post_init__(self) -> None:
        if self.if_exists not in {"replace", "error", "skip"}:
            raise SpecError(f"if_exists={self.if_exists!r} is no choice: use replace, error or skip")
        try:
            check_level(LEVEL if self.level is None else self.level)
            check_choices(self.symlinks, self.special)
        except ValueError as error:
            raise SpecError(str(error)) from None


def selected(include: Sequence[str], exclude: Sequence[str]) -> Selection | None:
    """``selection(include, exclude)``. Raises ``SpecError`` for a pattern that is none."""
    try:
        return selection(
            (include,) if isinstance(include, str) else include, (exclude,) if isinstance(exclude, str) else exclude
        )
    except ValueError as error:
        raise SpecError(str(error)) from None


class Destination:
    """Where to publish, read and checked once, from what was given alone; for any number of contexts.

    What a job says (``PublisherSpec.claimed``) is admitted by ``trust``; the default is the environment's.
    ``access`` is what the store is opened with. Raises ``SpecError``.
    """

    def __init__(
        self,
        given: str | Mapping[str, object] | PublisherSpec,
        *,
        archive: bool | None = None,
        trust: Trust | None = None,
        access: Access = PLAIN_ACCESS,
    ) -> None:
        self.spec = spec = _spec(given)
        if spec.claimed:
            trusted = trust or surroundings.trust()
            surroundings.admit_claimed(spec, proven=None, trust=trusted, error=SpecError, profile=access.profile)
        try:
            engine_for(spec.engine)
            timeout_for(access.timeout)
            check_credentials(spec.type, access.credentials, access.profile)
        except ValueError as error:
            raise SpecError(str(error)) from None
        self.archive = spec.encoding == "gzip" if archive is None else archive
        self._access = access
        self._templates: dict[frozenset[str], Template] = {}

    def foreseen(self, context: Context) -> PublishedResult:
        """What will have been published for ``context``, as far as it is known beforehand.

        Raises ``TemplateError``, ``MissingValueError``, ``ValueRefusedError`` or ``KeyRuleError``.
        """
        spec = self.spec
        return PublishedResult(
            type=spec.type,
            bucket=spec.bucket,
            key=object_key(self._template(context), context, archive=self.archive, rules=spec.rules),
            endpoint=spec.endpoint,
            region=spec.region or region_of(spec.endpoint),
            encoding="gzip" if self.archive else "plain",
            claimed=spec.claimed,
        )

    def _template(self, context: Context) -> Template:
        labels = frozenset(context.labels)
        template = self._templates.get(labels)
        if template is None:
            template = Template(self.spec.key, labels=labels)
            self._templates = {labels: template}
        return template

    def check(self, manner: Manner) -> None:
        """Raises ``SpecError`` if ``manner`` is none for what is published here."""
        if manner.level is not None and not self.archive:
            raise SpecError(f"level={manner.level} is for archives, and files under a prefix are stored as they are")

    def store(self) -> Store:
        """Another store, open."""
        return open_place(self.spec, self._access)

    def scanned(self, source: str | PathLike[str], foreseen: PublishedResult, manner: Manner) -> Tree:
        """The tree to publish, with every key that it gives checked."""
        self._check_apart(source, foreseen)
        tree = scan(source, symlinks=manner.symlinks, special=manner.special, selection=manner.selection)
        if found := sensitive(tree.entries):
            _log.warning("%s: exclude what others should not see", _named(found))
        if self.archive:
            return tree
        tree = dereference(tree)
        names = [entry.name for entry in tree.files]
        key = foreseen.key
        if not names:
            raise SourceError(f"there is no file in {str(source)!r}, so nothing would be published under {key!r}")
        check_key(key, self.spec.rules, names=names)
        return tree

    def _check_apart(self, source: str | PathLike[str], foreseen: PublishedResult) -> None:
        """Raises ``SpecError`` for a directory that would hold what is published of it, also the next time."""
        if self.spec.type != "file" or not os.fspath(source):
            return
        root = os.path.realpath(source)
        target = os.path.realpath(f"{foreseen.bucket}/{foreseen.key}")
        if lies_in(target, root):
            raise SpecError(f"the destination {target!r} lies inside the source {root!r}: publish to another directory")


def publish(
    source: str | PathLike[str],
    destination: str | Mapping[str, object] | PublisherSpec,
    context: Context | None = None,
    *,
    store: Store | None = None,
    archive: bool | None = None,
    if_exists: IfExists = "replace",
    symlinks: Symlinks = "inside",
    special: Special = "error",
    mtime: int | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    level: int | None = None,
    progress: Progress | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
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
    all members. ``level`` is gzip's, from 0 (stored) to 9 (small, and slow), 2 by default.

    ``include`` and ``exclude`` are patterns in gitignore's language: with the first, nothing goes along but what they
    match; of that, what the others match is left out, but for what one with ``!`` takes in again. It is an error if
    that leaves no file.

    ``progress`` is called with the bytes read so far and in all.

    A destination that is a mapping is taken for a job's, whoever wrote it: it names S3, Google Cloud Storage or Azure.
    Other types of stores, such as ``"file"``, only if they are in ``allow``. ``allow_endpoints`` are URLs of servers
    that it may name, and then no others (default: ``KEYSTOW_ALLOW_ENDPOINTS``); what ``keystow.trust`` says of them.

    ``store`` is an open one that takes the place of the destination's, and stays open: its bucket is the destination's,
    which stands in the result. Without it, one is opened for this call; a ``Publisher`` keeps its own.

    ``timeout`` is ``open_store``'s: when a request is over on which nothing moves, with all of its tries.
    ``credentials`` and ``profile`` are ``open_store``'s, too: who publishes, if not whom the environment names.

    Raises ``ValueError`` (``SpecError``, ``TemplateError``, …) for a call that is wrong, before anything is read;
    ``SourceError`` for a source that cannot be packed; ``StoreError`` for what the store refuses. Of an archive nothing
    is published then; of a prefix, the files that had arrived stay, and a note on the error counts them.
    """
    manner = Manner(if_exists, symlinks, special, mtime, level, selected(include, exclude))
    trusted = surroundings.trust(allow, allow_endpoints)
    access = Access(timeout, credentials, profile)
    access.check(store, SpecError)
    to = Destination(destination, archive=archive, trust=trusted, access=access)
    to.check(manner)
    with closing(Opened(to.store, store)) as opened:
        return published(source, to, opened, context, manner, progress=progress)


def published(
    source: str | PathLike[str],
    to: Destination,
    opened: Opened,
    context: Context | None,
    manner: Manner,
    *,
    progress: Progress | None,
) -> PublishedResult:
    """What was published of ``source``."""
    opened.check()
    foreseen = to.foreseen(with_instant(job_context() if context is None else context))
    return sent(to.scanned(source, foreseen, manner), foreseen, opened, manner, progress)


def sent(
    tree: Tree, foreseen: PublishedResult, opened: Opened, manner: Manner, progress: Progress | None = None
) -> PublishedResult:
    """What was published of ``tree``, where that was ``foreseen``. The store is opened meanwhile."""
    watched = tree if progress is None else _watched(tree, progress)
    opening = opened.begin()
    if foreseen.encoding == "plain":
        store = opening.result()
        return _publish_files(store, _located(foreseen, store), watched, manner.if_exists)
    level = LEVEL if manner.level is None else manner.level
    packed = partial(pack, level=level, threads=processors(), mtime=manner.mtime)
    _, chunks = begun(packed(watched), lambda size: size >= _AHEAD or opening.done())
    store = opening.result()
    return _publish_archive(store, _located(foreseen, store), chunks, manner.if_exists, partial(packed, tree))


def lies_in(path: str, directory: str) -> bool:
    """Whether ``path`` is ``directory`` or lies in it; both are resolved."""
    return path == directory or path.startswith(os.path.join(directory, ""))


def _named(sensitive: Sequence[str]) -> str:
    first = ", ".join(map(repr, sensitive[:_MOST_NAMED]))
    more = f" and {len(sensitive) - _MOST_NAMED} more" if len(sensitive) > _MOST_NAMED else ""
    return f"what goes along looks like secrets: {first}{more}"


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
