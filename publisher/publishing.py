"""From a directory, a file or a stream to a published result.

Strategy: everything that can be wrong with the call is found first, from the call alone (``Destination``); then the
source is scanned, then the store is opened, then bytes flow.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from os import PathLike
from typing import Unpack

from . import surroundings
from .archive import Packed, SourceError, Tree, dereference, packed, scan
from .archive.gzip import LEVEL
from .archive.manifest import NAME
from .archive.scan import Special, Symlinks
from .archive.selection import sensitive
from .backends import Credentials, Store
from .backends.credentials import check_credentials
from .backends.endpoints import region_of
from .backends.opening import engine_for, timeout_for
from .backends.options import CustomerKey, check_keyed, check_way, customer_key_for, refused
from .backends.sending.budget import Budget
from .backends.sending.parts import begun
from .backends.texts import some_of
from .committing import publish_files
from .errors import SpecError
from .keys import Context, Key, Template, check_key, object_key
from .manner import IfExists, Manner, selected
from .progress import Meter, Progress, Share, Tell, told_by
from .raw import Readable, check_file, is_stream, streamed
from .result import PublishedResult
from .sending import Sent, content_type_of, publish_object
from .spec import PublisherSpec
from .stored import PLAIN_ACCESS, Access, Opened, open_place
from .surroundings import job_context, processors, with_instant
from .trust import Trust
from .writing import Writing

Source = str | PathLike[str] | Readable
"""A directory, a file, or a binary stream."""

_AHEAD = 16 << 20
_log = logging.getLogger("keystow")


def _check_claimed(spec: PublisherSpec, access: Access, writing: Writing) -> None:
    """Raises ``SpecError`` for what costs the caller, or binds him for good, where somebody else alone says it."""
    own = {"requester_pays": access.requester_pays is not None, "lock_mode": "lock_mode" in writing}
    said = {"requester_pays": spec.requester_pays, "lock_mode": spec.options.lock_mode == "compliance"}
    for name, is_own in own.items():
        if said[name] and not is_own:
            raise SpecError(f"{name} is not taken on somebody's word: say it yourself, with {name}=")


def encoding_for(archive: bool | None, *, raw: bool) -> str | None:
    """The encoding that the keywords say, if they do. Raises ``SpecError`` if they say two."""
    if raw and archive is not None:
        raise SpecError(f"raw=True and archive={archive} are two ways to publish: give one of them")
    if raw:
        return "raw"
    return None if archive is None else "gzip" if archive else "plain"


class Destination:
    """Where to publish, read and checked once, from what was given alone; for any number of contexts.

    What a job says (``PublisherSpec.claimed``) is admitted by ``trust``; the default is the environment's.
    ``access`` is what the store is opened with. ``writing`` goes before what the destination says of how objects are
    written. Raises ``SpecError``.
    """

    def __init__(
        self,
        given: str | Mapping[str, object] | PublisherSpec,
        *,
        archive: bool | None = None,
        raw: bool = False,
        trust: Trust | None = None,
        access: Access = PLAIN_ACCESS,
        writing: Writing | None = None,
    ) -> None:
        spec = spec_of(given)
        writing = writing or {}
        keyed = access.customer_key is not None
        if spec.claimed:
            surroundings.admit_claimed(
                spec,
                proven=None,
                trust=trust or surroundings.trust(),
                error=SpecError,
                keyed=keyed,
                profile=access.profile,
            )
        try:
            engine_for(spec.engine)
            timeout_for(access.timeout)
            check_credentials(spec.type, access.credentials, access.profile)
            options = replace(spec.options, **writing)
            refusal = refused(["customer_key"], spec.type) if keyed else None
            check_keyed(options, keyed=keyed)
            if spec.endpoint is not None and access.customer_key is not None:
                check_way(spec.endpoint, customer_key_for(access.customer_key))
        except ValueError as error:
            raise SpecError(str(error)) from None
        if refusal is not None:
            raise SpecError(refusal)
        if spec.claimed:
            _check_claimed(spec, access, writing)
        pays = spec.requester_pays if access.requester_pays is None else access.requester_pays
        self.access = replace(access, requester_pays=pays)
        self.encoding = encoding_for(archive, raw=raw) or spec.encoding
        self.spec = replace(spec, options=options, requester_pays=pays, encoding=self.encoding)
        self._templates: dict[frozenset[str], Template] = {}

    def foreseen(self, context: Context) -> PublishedResult:
        """What will have been published for ``context``, as far as it is known beforehand.

        Raises ``TemplateError``, ``MissingValueError``, ``ValueRefusedError`` or ``KeyRuleError``.
        """
        return self.result(self._key(context))

    def result(self, key: Key) -> PublishedResult:
        """What is known, without the store, of what was published here under ``key``."""
        spec = self.spec
        return PublishedResult(
            type=spec.type,
            bucket=spec.bucket,
            key=key,
            endpoint=spec.endpoint,
            region=spec.region or region_of(spec.endpoint),
            encoding=self.encoding,
            claimed=spec.claimed,
        )

    def tells_executions_apart(self, context: Context) -> bool:
        """Whether another execution of the same job, later on the same day, gets another key."""
        at = context.at
        other = Context(
            job_id=context.job_id,
            execution_id=context.execution_id and _other(context.execution_id),
            node_id=context.node_id,
            at=at and at.replace(hour=(at.hour + 1) % 24, minute=(at.minute + 1) % 60, second=(at.second + 1) % 60),
            partition_index=context.partition_index,
            partition_count=context.partition_count,
            labels={name: _other(value) for name, value in context.labels.items()},
        )
        return self._key(other) != self._key(context)

    def _key(self, context: Context) -> Key:
        template, is_raw = self._template(context), self.encoding == "raw"
        return object_key(template, context, archive=self.encoding == "gzip", raw=is_raw, rules=self.spec.rules)

    def _template(self, context: Context) -> Template:
        labels = frozenset(context.labels)
        template = self._templates.get(labels)
        if template is None:
            template = Template(self.spec.key, labels=labels)
            self._templates = {labels: template}
        return template

    def fitted(self, manner: Manner) -> Manner:
        """``manner``, with what is said here of how objects are written. Raises ``SpecError`` if it does not fit."""
        if manner.manifest is not None and self.encoding != "plain":
            raise SpecError(
                f"manifest={manner.manifest} is for files under a prefix, and this is one object: leave it out"
            )
        if manner.level is not None and self.encoding == "plain":
            raise SpecError(f"level={manner.level} is for archives, and files under a prefix are stored as they are")
        if self.encoding == "raw" and (given := manner.about_directories):
            raise SpecError(
                f"{given[0]} is for directories, and what is raw is one file, stored as it is: leave it out"
            )
        manifest = self.encoding == "plain" and (self.spec.manifest if manner.manifest is None else manner.manifest)
        return replace(manner, manifest=manifest, options=self.spec.options if self.spec.options.named() else None)

    def store(self) -> Store:
        """Another store, open."""
        return open_place(self.spec, self.access)

    def scanned(
        self, source: Source, foreseen: PublishedResult, manner: Manner, found: Callable[[], Tree] | None = None
    ) -> Tree:
        """The tree to publish, with every key that it gives checked; a stream is not read yet.

        It is what ``found`` gives, or else what ``tree_of`` finds.
        """
        if not isinstance(source, str | PathLike):
            if self.encoding != "raw":
                raise SpecError("a stream can only be published as it is: give raw=True")
            return streamed(source)
        self._check_apart(source, foreseen)
        if self.encoding == "raw":
            check_file(source)
        tree = tree_of(source, manner) if found is None else found()
        if self.encoding != "plain":
            return tree
        tree = dereference(tree)
        names = [entry.name for entry in tree.files]
        key = foreseen.key
        if not names:
            raise SourceError(f"there is no file in {str(source)!r}, so nothing would be published under {key!r}")
        check_key(key, self.spec.rules, names=[*names, NAME] if manner.manifest else names)
        if NAME in names:
            raise SourceError(f"{NAME!r} is what a manifest is called: leave that file of {str(source)!r} out")
        return tree

    def _check_apart(self, source: str | PathLike[str], foreseen: PublishedResult) -> None:
        """Raises ``SpecError`` for a directory that would hold what is published of it, also the next time."""
        if self.spec.type != "file" or not os.fspath(source):
            return
        root = os.path.realpath(source)
        target = os.path.realpath(f"{foreseen.bucket}/{foreseen.key}")
        if lies_in(target, root):
            raise SpecError(f"the destination {target!r} lies inside the source {root!r}: publish to another directory")


def tree_of(source: str | PathLike[str], manner: Manner) -> Tree:
    """What there is to publish; what should perhaps not go along is logged."""
    tree = scan(source, symlinks=manner.symlinks, special=manner.special, selection=manner.selection)
    if found := sensitive(tree.entries):
        _log.warning("what goes along looks like secrets: %s: exclude what others should not see", some_of(found))
    return tree


def publish(
    source: Source,
    destination: str | Mapping[str, object] | PublisherSpec,
    context: Context | None = None,
    *,
    store: Store | None = None,
    archive: bool | None = None,
    raw: bool = False,
    if_exists: IfExists = "replace",
    symlinks: Symlinks = "inside",
    special: Special = "error",
    mtime: int | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    level: int | None = None,
    manifest: bool | None = None,
    progress: Progress | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    customer_key: bytes | str | CustomerKey | None = None,
    requester_pays: bool | str | None = None,
    **writing: Unpack[Writing],
) -> PublishedResult:
    """Publishes the directory (or file, or stream) ``source`` and returns what was published.

    ``destination`` is ``"s3://bucket/key-template,opt=…"``, the declarative mapping, or a ``PublisherSpec``. Without a
    ``context``, the ids are the running job's (``BACALHAU_JOB_ID`` and its like); without ``context.at``, the instant
    is now, in UTC.

    ``archive`` is ``True`` for one ``.tar.gz``, ``False`` for the files under a prefix, ``None`` for what the
    destination's ``Encoding`` says. ``raw=True`` stores one file, or what a binary stream has left, as it is, under
    exactly that key; what is about directories (``symlinks``, ``special``, ``level``, patterns) is then an error.

    ``if_exists``: ``"replace"`` the object; raise ``AlreadyExistsError`` for ``"error"`` (``AlreadyPublishedError``,
    which has the ``result``, if this very content stands there and can be read); for ``"skip"`` leave what stands
    there: if it is this very content, the result is as whole as if it had been sent; if it differs, that is an
    ``AlreadyExistsError``; where it may not be read, the result has no checksum. Of a prefix, each file is compared.

    ``symlinks`` and ``special`` (sockets, FIFOs and devices: ``"error"`` or ``"skip"``) are ``scan``'s. ``mtime``
    (seconds since 1970) stands in for the times of all members. ``level`` is gzip's, from 0 (stored) to 9 (small, and
    slow), 2 by default.

    ``include`` and ``exclude`` are patterns in gitignore's language: with the first, nothing goes along but what they
    match; of that, what the others match is left out, but for what one with ``!`` takes in again. It is an error if
    that leaves no file.

    Files under a prefix are published once the manifest is there that lists them, which is written last
    (docs/format.md, 10): who fetches reads exactly those. ``manifest=False`` writes none, and ``True`` one whatever the
    destination says. It decides what ``"error"`` is of: files without one, as an attempt before left them, stay if they
    are these very ones.

    ``progress`` is told how many bytes of the source have arrived in the store, and how many there are: a function,
    called as ``progress(done, total)``, or a ``Callback`` of fsspec's. ``done`` counts what the store has acknowledged
    and nothing else, never becomes less, and is ``total`` when all is published, not before. Of a stream, ``total`` is
    what was read so far; where there are no bytes, both are 0. It is called by any thread, by one at a time. What it
    raises ends the call; the last time, that undoes nothing.

    A destination that is a mapping is taken for a job's, whoever wrote it: it names S3, Google Cloud Storage or Azure.
    Other types of stores, such as ``"file"``, only if they are in ``allow``. ``allow_endpoints`` are URLs of servers
    that it may name, and then no others (default: ``KEYSTOW_ALLOW_ENDPOINTS``); what ``keystow.trust`` says of them.

    ``store`` is an open one that takes the place of the destination's, and stays open: its bucket is the destination's,
    which stands in the result. Without it, one is opened for this call; a ``Publisher`` keeps its own.

    ``timeout`` is ``open_store``'s: when a request is over on which nothing moves, with all of its tries. So are
    ``concurrency`` and ``memory``, what this call has under way at once (of a ``store`` that is given, its own count);
    ``credentials`` and ``profile``, who publishes, if not whom the environment names; ``customer_key``, which who reads
    what was published needs as well; and ``requester_pays``.

    ``writing`` are the options of ``keystow.backends.ObjectOptions`` (``encryption``, ``kms_key``, ``storage_class``,
    ``tags``, ``metadata``, ``lock_mode``, …), which go before those of the destination. What the destination's store
    does not have is refused.

    Raises ``ValueError`` (``SpecError``, ``TemplateError``, …) for a call that is wrong, before anything is read;
    ``SourceError`` for a source that cannot be packed; ``StoreError`` for what the store refuses; what a stream raises.
    Nothing is published then; of a prefix, the files that had arrived stay, without a manifest, and a note on the error
    counts them.

    >>> import io
    >>> publish(io.BytesIO(b"42"), "memory://bucket/exact/score.txt", raw=True).key
    'exact/score.txt'
    """
    told = told_by(progress, SpecError)
    manner = Manner(if_exists, symlinks, special, mtime, level, selected(include, exclude), manifest)
    trusted = surroundings.trust(allow, allow_endpoints)
    access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
    access.check(store, SpecError)
    to = Destination(destination, archive=archive, raw=raw, trust=trusted, access=access, writing=writing)
    to.access.check(store, SpecError)
    manner = to.fitted(manner)
    with closing(Opened(to.store, store)) as opened:
        return published(source, to, opened, context, manner, told=told)


def published(
    source: Source,
    to: Destination,
    opened: Opened,
    context: Context | None,
    manner: Manner,
    *,
    told: Tell | None = None,
) -> PublishedResult:
    """What was published of ``source``."""
    opened.check()
    foreseen = to.foreseen(with_instant(job_context() if context is None else context))
    return sent(to.scanned(source, foreseen, manner), foreseen, opened, manner, told=told).result


def sent(
    tree: Tree,
    foreseen: PublishedResult,
    opened: Opened,
    manner: Manner,
    *,
    told: Tell | None = None,
    archive: Iterator[Packed] | None = None,
) -> Sent:
    """What came of publishing ``tree``, where that was ``foreseen``. The store is opened meanwhile.

    The ``archive`` is packed already, if that is given: what ``packed_for`` gives.
    """
    meter = _meter(tree, foreseen, told)
    meter.begin()
    opening = opened.begin()
    if foreseen.encoding == "gzip":
        share = Share(meter)
        pieces = share.packed(packed_for(tree, manner) if archive is None else archive)
        _, chunks = begun(pieces, lambda size: size >= _AHEAD or opening.done())
        store = opening.result()
        done = publish_object(store, located(foreseen, store), chunks, "application/gzip", manner, share=share)
    elif foreseen.encoding == "plain":
        store = opening.result()
        done = publish_files(store, located(foreseen, store), tree, manner, meter)
    else:
        store = opening.result()
        (file,) = tree.files
        chunks = meter.coming(tree.read(file)) if is_stream(tree) else tree.read(file)
        kind = content_type_of(file.name)
        done = publish_object(store, located(foreseen, store), chunks, kind, manner, share=Share(meter))
    meter.end()
    return done


def _meter(tree: Tree, foreseen: PublishedResult, told: Tell | None) -> Meter:
    if told is None:
        return Meter(None)
    return Meter(told, tree.size, len(tree.files) if foreseen.encoding == "plain" else 1, known=not is_stream(tree))


def packed_for(tree: Tree, manner: Manner) -> Iterator[Packed]:
    """The archive in pieces."""
    return packed(tree, level=_level(manner), threads=processors(), mtime=manner.mtime)


def _level(manner: Manner) -> int:
    return LEVEL if manner.level is None else manner.level


def _other(value: str) -> str:
    """Another value, which is as long."""
    return f"{value[:-1]}{'y' if value.endswith('x') else 'x'}" if value else value


def lies_in(path: str, directory: str) -> bool:
    """Whether ``path`` is ``directory`` or lies in it; both are resolved."""
    return path == directory or path.startswith(os.path.join(directory, ""))


def spec_of(destination: str | Mapping[str, object] | PublisherSpec) -> PublisherSpec:
    """The destination, read. Raises ``SpecError``."""
    if isinstance(destination, PublisherSpec):
        return destination
    if isinstance(destination, str):
        return PublisherSpec.parse(destination)
    return PublisherSpec.from_mapping(destination)


def located(result: PublishedResult, store: Store) -> PublishedResult:
    """``result`` with the endpoint and the region that the store found out for itself."""
    return replace(
        result,
        endpoint=getattr(store, "endpoint", result.endpoint),
        region=getattr(store, "region", result.region),
    )
