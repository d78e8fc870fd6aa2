"""Why a publication fails, or would: what stands between a destination and its store, in the order of looking.

Strategy: what is wrong with the destination's text is an error, as with every other call; all that depends on this
machine and on the store is a finding, each with what to do. Without being told to, nothing is written.
"""

import itertools
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from functools import partial

from .archive.manifest import NAME
from .backends import Credentials, Store, StoreError
from .backends.errors import BucketNotFoundError, MissingExtraError, NotFoundError
from .backends.findings import Finding, unless_denied
from .backends.promises import promises
from .errors import SpecError
from .keys import Context, MissingValueError, TemplateError
from .publishing import Destination
from .spec import PublisherSpec
from .stored import Access, open_place
from .surroundings import job_context, trust, with_instant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backends.s3.examining import Asked

__all__ = ["Finding", "diagnose"]

_STORES = {
    "s3": "S3",
    "gs": "Google Cloud Storage",
    "az": "Azure Blob Storage",
    "file": "a directory",
    "memory": "this process",
}
_OPENED = {"key": "its key", "sas": "a shared access signature", "token": "a token", "none": "nobody"}
_GOOGLE = "https://storage.googleapis.com"


def diagnose(
    destination: str | Mapping[str, object] | PublisherSpec,
    context: Context | None = None,
    *,
    archive: bool | None = None,
    raw: bool = False,
    write_probe: bool = False,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    credentials: Credentials | None = None,
    profile: str | None = None,
    requester_pays: bool | str | None = None,
) -> Iterator[Finding]:
    """What is found on the way to ``destination``, one thing after another, as soon as it is known.

    Without a ``context`` it is the running job's, and now. With ``write_probe``, small objects, and one of two parts,
    are written beside the key, to see which promises the store keeps, and removed again. After what has failed, that
    which depends on it is not looked at. The other arguments are ``publish``'s, which raises the same for them.

    Raises ``SpecError``.

    >>> [found.outcome for found in diagnose("memory://bucket/results", write_probe=True)].count("failed")
    0
    """
    access = Access(timeout, credentials, profile, None, requester_pays)
    trusted = trust(allow, allow_endpoints)
    to = Destination(destination, archive=archive, raw=raw, trust=trusted, access=access)
    key, finding = _key(to, with_instant(job_context() if context is None else context))
    return _found(to, key, finding, write_probe=write_probe)


def on_the_way_to(to: Destination, key: str) -> Iterator[Finding]:
    """What is found on the way to ``key``, without writing."""
    return _found(to, key, Finding("key", "ok", key), write_probe=False)


def _found(to: Destination, key: str | None, of_key: Finding, *, write_probe: bool) -> Iterator[Finding]:
    spec = to.spec
    yield Finding("destination", "ok", f"{_STORES.get(spec.type, spec.type)}: {spec.type}://{spec.bucket}/{spec.key}")
    yield of_key
    failed = set()
    for finding in _on_the_way(to):
        yield finding
        failed |= {finding.name} if finding.outcome == "failed" else set()
    if failed - {"clock"}:
        return
    try:
        store = open_place(spec, to.access)
    except (StoreError, MissingExtraError, ValueError) as error:
        yield Finding.of("store", error)
        return
    with closing(store):
        yield from _asked_of(store, to, key, write_probe=write_probe)


def _on_the_way(to: Destination) -> Iterator[Finding]:
    """What is found before the store is opened."""
    if to.spec.type == "s3":
        yield from _examined_s3(to)
    elif to.spec.type == "az":
        yield _opened_by(to)
    elif to.spec.type == "file":
        yield _directory(to.spec.bucket)


def _asked_of(store: Store, to: Destination, key: str | None, *, write_probe: bool) -> Iterator[Finding]:
    """What the open store says; nothing more after it could not be reached or read for a fault of its own."""
    reached = _reached(store) if to.spec.type in {"gs", "az"} else ()
    reading = () if key is None else (_reading(store, each) for each in (key,))
    for finding in itertools.chain(reached, reading):
        yield finding
        if finding.outcome == "failed" and finding.name != "clock":
            return
    if not write_probe:
        mend = "write_probe=True writes beside the key, and removes that again"
        yield Finding("writing", "unknown", "it cannot be asked without writing", mend)
    elif key is None:
        yield Finding("writing", "unknown", "without a key nothing is written", "give what its fields stand for")
    else:
        wrong = partial(_wrong, to) if to.spec.type == "s3" else None
        yield from promises(store, key[: key.rfind("/") + 1], takes_wrong=wrong)


def _key(to: Destination, context: Context) -> tuple[str | None, Finding]:
    """The key of this context, if it can be made."""
    try:
        key = to.foreseen(context).key
    except (MissingValueError, TemplateError) as error:
        if isinstance(error, TemplateError) and error.field is None:
            raise SpecError(str(error)) from None
        return None, Finding.of("key", error, "unknown")
    except ValueError as error:
        return None, Finding.of("key", error)
    return key, Finding("key", "ok", key)


def _examined_s3(to: Destination) -> Iterator[Finding]:
    try:
        asked = _asked(to)
    except (StoreError, ValueError) as error:
        yield Finding.of("credentials", error)
        return
    except ImportError:
        yield Finding("store", "failed", "S3 needs the extra s3", "pip install 'keystow[s3]'")
        return
    from .backends.s3.examining import examined

    yield from examined(asked)


def _asked(to: Destination) -> "Asked":
    from .backends.endpoints import region_of
    from .backends.opening import engine_for, timeout_for
    from .backends.s3.examining import Asked
    from .backends.s3.options import Terms
    from .backends.s3.place import Options
    from .backends.s3.provided import Provided
    from .backends.sending.limits import bounds

    spec, access = to.spec, to.access
    limits = bounds(timeout_for(access.timeout))
    given = None if access.credentials is None else Provided(access.credentials)
    region = spec.region or region_of(spec.endpoint)
    options = Options(spec.endpoint, region, access.profile, None, None, limits.connect, given)
    terms = Terms(None, bool(access.requester_pays))
    return Asked(spec.bucket, engine_for(spec.engine), options, terms, limits.still)


def _wrong(to: Destination, key: str) -> Mapping[str, bool]:
    from .backends.s3.examining import takes_wrong_checksums

    return takes_wrong_checksums(_asked(to), key)


def _opened_by(to: Destination) -> Finding:
    """What opens Azure's account."""
    from .backends.azure.settings import account

    try:
        found = account(to.spec.endpoint, os.environ, to.access.credentials)
    except (StoreError, ValueError) as error:
        return Finding.of("credentials", error)
    chain = "the default chain" if found.by == "token" else "the environment"
    source = chain if to.access.credentials is None else "the caller"
    return Finding("credentials", "ok", f"account {found.name}, by {_OPENED[found.by]}, of {source}")


def _directory(path: str) -> Finding:
    """Whether files can be made there, or the directory that is not there yet."""
    there = path
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        return Finding("directory", "failed", f"{there!r} is no directory", "name another one, or move it away")
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("directory", "failed", f"nothing can be made in {there!r}", "have its permissions changed")
    return Finding("directory", "ok", "it is there" if there == path else f"it will be made, in {there!r}")


def _reached(store: Store) -> Iterator[Finding]:
    """Whether Google's or Azure's server answers, and how its clock is."""
    from .backends.reaching import clock, reached
    from .backends.s3.failures import proxy_to

    endpoint: str | None = getattr(store, "endpoint", None)
    url = endpoint or _GOOGLE
    yield Finding("endpoint", "ok", url if endpoint else f"{url}, as none is set")
    heard, finding = reached(url, proxy=proxy_to(url))
    yield finding
    if heard is not None:
        yield clock(heard)


def _reading(store: Store, key: str) -> Finding:
    """What a look at the key says of who looks."""
    is_prefix = key.endswith("/")
    try:
        stat = store.stat(f"{key}{NAME}" if is_prefix else key)
    except BucketNotFoundError as error:
        return Finding.of("bucket", error)
    except NotFoundError:
        what = "there is no manifest under the prefix" if is_prefix else "nothing is published under the key"
        return Finding("reading", "ok", f"permitted; {what} yet")
    except StoreError as error:
        mend = "whoever only publishes needs none; for who fetches: keystow policy DESTINATION --role requester"
        return unless_denied("reading", error, mend)
    if is_prefix:
        return Finding("reading", "ok", "permitted; files were published under the prefix already, with a manifest")
    return Finding("reading", "ok", f"permitted; there is an object of {stat.size} bytes under the key already")
