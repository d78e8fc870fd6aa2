"""Publishes a directory of results to any object store, under a name you can predict, and proves it arrived.

>>> import pathlib, tempfile
>>> from keystow import Context, publish, verify
>>> results = pathlib.Path(tempfile.mkdtemp())
>>> _ = (results / "score.txt").write_text("42")
>>> published = publish(results, "memory://bucket/results-{jobID}", Context(job_id="abc123"))
>>> published.key
'results-abc123.tar.gz'
>>> verify(published).sha256 == published.checksum_sha256
True
"""

TYPE_CHECKING = False  # as typing has it, which takes longer to load than all that is here
if TYPE_CHECKING:
    from typing import Any

    from .agreement import Agreement, Difference, Group, agree
    from .archive import ArchiveError, SourceError
    from .archives import Archive, open_archive
    from .awaited import aagree, afetch, apublish, averify
    from .backends import AlreadyExistsError, S3Credentials, Store, StoreError, UnknownOutcomeError, open_store
    from .checksum import Checksum
    from .doctor import Finding, diagnose
    from .errors import (
        MemberError,
        MemberIsDirectoryError,
        MemberNotFoundError,
        ResultError,
        SpecError,
        TicketError,
        VerificationError,
        WorkerLostError,
    )
    from .fetching import Fetched, Verified, fetch, presign, verify
    from .files import list_files, presign_each
    from .keys import Context, Template
    from .listing import Listed, list_published
    from .many import Outcome, publish_many
    from .policies import Policy, lifecycle, policy
    from .publisher import Publisher
    from .publishing import publish
    from .result import PublishedResult
    from .root import KeystowError
    from .several import Delivery, PartlyPublishedError, publish_each
    from .spec import PublisherSpec
    from .stored import AlreadyPublishedError
    from .ticket import Ticket
    from .tickets import issue_ticket, publish_with_ticket

_HOMES = {
    "Agreement": "agreement",
    "AlreadyExistsError": "backends",
    "AlreadyPublishedError": "stored",
    "Archive": "archives",
    "ArchiveError": "archive",
    "Checksum": "checksum",
    "Context": "keys",
    "Delivery": "several",
    "Difference": "agreement",
    "Fetched": "fetching",
    "Finding": "doctor",
    "Group": "agreement",
    "KeystowError": "root",
    "Listed": "listing",
    "MemberError": "errors",
    "MemberIsDirectoryError": "errors",
    "MemberNotFoundError": "errors",
    "Outcome": "many",
    "PartlyPublishedError": "several",
    "Policy": "policies",
    "PublishedResult": "result",
    "Publisher": "publisher",
    "PublisherSpec": "spec",
    "ResultError": "errors",
    "S3Credentials": "backends",
    "SourceError": "archive",
    "SpecError": "errors",
    "Store": "backends",
    "StoreError": "backends",
    "Template": "keys",
    "Ticket": "ticket",
    "TicketError": "errors",
    "UnknownOutcomeError": "backends",
    "VerificationError": "errors",
    "Verified": "fetching",
    "WorkerLostError": "errors",
    "aagree": "awaited",
    "afetch": "awaited",
    "agree": "agreement",
    "apublish": "awaited",
    "averify": "awaited",
    "diagnose": "doctor",
    "fetch": "fetching",
    "issue_ticket": "tickets",
    "lifecycle": "policies",
    "list_files": "files",
    "list_published": "listing",
    "open_archive": "archives",
    "open_store": "backends",
    "policy": "policies",
    "presign": "fetching",
    "presign_each": "files",
    "publish": "publishing",
    "publish_each": "several",
    "publish_many": "many",
    "publish_with_ticket": "tickets",
    "verify": "fetching",
}

__all__ = [
    "Agreement",
    "AlreadyExistsError",
    "AlreadyPublishedError",
    "Archive",
    "ArchiveError",
    "Checksum",
    "Context",
    "Delivery",
    "Difference",
    "Fetched",
    "Finding",
    "Group",
    "KeystowError",
    "Listed",
    "MemberError",
    "MemberIsDirectoryError",
    "MemberNotFoundError",
    "Outcome",
    "PartlyPublishedError",
    "Policy",
    "PublishedResult",
    "Publisher",
    "PublisherSpec",
    "ResultError",
    "S3Credentials",
    "SourceError",
    "SpecError",
    "Store",
    "StoreError",
    "Template",
    "Ticket",
    "TicketError",
    "UnknownOutcomeError",
    "VerificationError",
    "Verified",
    "WorkerLostError",
    "aagree",
    "afetch",
    "agree",
    "apublish",
    "averify",
    "diagnose",
    "fetch",
    "issue_ticket",
    "lifecycle",
    "list_files",
    "list_published",
    "open_archive",
    "open_store",
    "policy",
    "presign",
    "presign_each",
    "publish",
    "publish_each",
    "publish_many",
    "publish_with_ticket",
    "verify",
]


def __getattr__(name: str) -> "Any":  # noqa: ANN401
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
