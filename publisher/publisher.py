"""A publisher that stays open: what a program uses that publishes more than once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Self, Unpack

from . import fetching, files, surroundings
from .archive import Limits
from .archive.scan import Special, Symlinks
from .backends import Credentials, Store
from .backends.endpoints import is_provider, is_same
from .backends.options import CustomerKey
from .backends.sending.budget import Budget
from .errors import ResultError, SpecError
from .fetching import Fetched, Verified
from .keys import Context
from .manner import IfExists, Manner, selected
from .progress import Progress, told_by
from .publishing import Destination, Source, published
from .reading import Result, read_result
from .result import PublishedResult
from .spec import PublisherSpec
from .stored import Access, Opened
from .writing import Writing

if TYPE_CHECKING:
    from .archives import Archive


class Publisher:
    """A destination whose template is read once and whose store is opened once, when it is first needed.

    It may be used from several threads at once, within a ``with`` or until ``close``. The arguments are those of
    ``keystow.publish``; a ``store`` that is given stays open. Raises ``ValueError`` (``SpecError``, …) for arguments
    that are wrong.

    >>> import pathlib, tempfile
    >>> results = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (results / "score.txt").write_text("42")
    >>> with Publisher("memory://bucket/results-{jobID}") as publisher:
    ...     for job in ("a", "b"):
    ...         publisher.publish(results, Context(job_id=job)).key
    'results-a.tar.gz'
    'results-b.tar.gz'
    """

    def __init__(
        self,
        destination: str | Mapping[str, object] | PublisherSpec,
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
    ) -> None:
        manner = Manner(if_exists, symlinks, special, mtime, level, selected(include, exclude), manifest)
        self._trust = surroundings.trust(allow, allow_endpoints)
        self._access = Access(timeout, credentials, profile, customer_key, requester_pays, Budget(concurrency, memory))
        self._access.check(store, SpecError)
        self._to = Destination(
            destination, archive=archive, raw=raw, trust=self._trust, access=self._access, writing=writing
        )
        self._to.access.check(store, SpecError)
        self._manner = self._to.fitted(manner)
        self._opened = Opened(self._to.store, store)

    def publish(
        self, source: Source, context: Context | None = None, *, progress: Progress | None = None
    ) -> PublishedResult:
        """Publishes ``source`` as ``keystow.publish`` does, and raises what it raises."""
        return published(source, self._to, self._opened, context, self._manner, told=told_by(progress, SpecError))

    def fetch(
        self,
        result: Result,
        directory: str | PathLike[str],
        *,
        sha256: str | None = None,
        verify: bool = True,
        limits: Limits | None = None,
        progress: Progress | None = None,
        members: Collection[str] | None = None,
        manifest: bool | None = None,
        strict: bool = False,
        index: str | PathLike[str] | None = None,
    ) -> Fetched:
        """``keystow.fetch``, of what lies in this publisher's store. Raises ``ResultError`` for what does not."""
        found, store = self._ours(result, proven=verify, sha256=sha256, by_index=members is not None)
        return fetching.fetch(
            found,
            directory,
            store=store,
            sha256=sha256,
            verify=verify,
            limits=limits,
            progress=progress,
            members=members,
            manifest=manifest,
            strict=strict,
            index=index,
        )

    def verify(
        self,
        result: Result,
        *,
        sha256: str | None = None,
        limits: Limits | None = None,
        progress: Progress | None = None,
        members: Collection[str] | None = None,
        manifest: bool | None = None,
        strict: bool = False,
        index: str | PathLike[str] | None = None,
    ) -> Verified:
        """``keystow.verify``, of what lies in this publisher's store. Raises ``ResultError`` for what does not."""
        found, store = self._ours(result, sha256=sha256, by_index=members is not None)
        return fetching.verify(
            found,
            store=store,
            sha256=sha256,
            limits=limits,
            progress=progress,
            members=members,
            manifest=manifest,
            strict=strict,
            index=index,
        )

    def open_archive(
        self, result: Result, *, verify: bool = True, index: str | PathLike[str] | None = None
    ) -> "Archive":
        """``keystow.open_archive``, of what lies in this publisher's store, and to be used as long as this is open.

        Raises ``ResultError`` for what does not.
        """
        from .archives import open_archive

        found, store = self._ours(result, proven=verify, by_index=True)
        return open_archive(found, store=store, verify=verify, index=index)

    def presign(self, result: Result, *, expires: timedelta | float, pin_version: bool = True) -> str:
        """``keystow.presign``, of what lies in this publisher's store. Raises ``ResultError`` for what does not."""
        found, store = self._ours(result)
        return fetching.presign(found, store=store, expires=expires, pin_version=pin_version)

    def presign_each(
        self, result: Result, *, expires: timedelta | float, pin_version: bool = True
    ) -> Iterator[tuple[str, str]]:
        """``keystow.presign_each``, of what lies in this publisher's store. Raises ``ResultError`` for the others."""
        found, store = self._ours(result)
        return files.presign_each(found, store=store, expires=expires, pin_version=pin_version)

    def _ours(
        self, result: Result, *, proven: bool = True, sha256: str | None = None, by_index: bool = False
    ) -> tuple[PublishedResult, Store]:
        """``result``, which lies in the store, and that; what somebody else wrote may name no more than elsewhere."""
        self._opened.check()
        found, spec = read_result(result), self._to.spec
        digests = (sha256, found.checksum_sha256, found.index_sha256 if by_index else None)
        proven = proven and any(digest is not None for digest in digests)
        surroundings.admit_claimed(
            found,
            proven=proven,
            trust=self._trust,
            error=ResultError,
            keyed=self._access.customer_key is not None,
            profile=self._access.profile,
        )
        place = f"{spec.type}://{spec.bucket}"
        if (found.type, found.bucket) == (spec.type, spec.bucket):
            store = self._opened.begin().result()
            here = getattr(store, "endpoint", spec.endpoint)
            if self._is_here(found.endpoint, here):
                return found, store
            place += f" at {here}" if here else ""
        raise ResultError(f"{found.url} does not lie in this publisher's {place}: use keystow.fetch, or verify")

    def _is_here(self, endpoint: str | None, here: str | None) -> bool:
        """Whether a result with that ``endpoint`` lies ``here``; without one, each of them is the provider's own."""
        if endpoint is None:
            return here is None or self._to.spec.endpoint is None
        return is_same(endpoint, here) if here is not None else is_provider(self._to.spec.type, endpoint)

    def close(self) -> None:
        """Closes the store that was opened; nothing more is published afterwards."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
