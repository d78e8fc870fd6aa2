"""What a policy is asked for, and what it is: the keys that it reaches, what is granted, and a word why."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from keystow.backends import ObjectOptions

Role = Literal["publisher", "requester"]
ROLES: tuple[str, ...] = get_args(Role)
WEEK = 7
"""The days after which an unfinished upload is given up, as Google and Azure do by themselves."""
COMPARES = 'reads what stands under a key already, to compare it with what would be published (if_exists="skip")'
UNSEEN = (
    "{} is left out: where the answer to a write is lost, it cannot be found out whether that was done "
    "(UnknownOutcomeError)"
)
"""What a publisher that may not read has to live with (``backends/sending/settling.py``)."""
_UNLISTED = (
    "{} is left out, as a manifest tells the files: it is needed with strict=True, and for a prefix without "
    "a manifest (manifest=False adds it)"
)
_UNCOMPARED = (
    "{} is left out: files that a publication which was cut off has left cannot be compared, and are in the way"
)


class Reach(NamedTuple):
    """The keys that are meant: those which start with ``prefix``, or where it is ``exact`` that one alone."""

    bucket: str
    prefix: str
    exact: bool
    endpoint: str | None
    region: str | None

    @property
    def is_whole_bucket(self) -> bool:
        """Whether every key is meant."""
        return not self.prefix


class Asked(NamedTuple):
    """Who is to do what with these keys."""

    reach: Reach
    role: Role
    if_exists: str
    is_plain: bool
    has_manifest: bool
    options: ObjectOptions
    requester_pays: bool | str
    with_abort: bool
    with_versions: bool

    @property
    def reads(self) -> bool:
        """Whether objects are read: by a requester, and by a publisher that compares what stands there."""
        return self.role == "requester" or self.if_exists == "skip"

    @property
    def lists(self) -> bool:
        """Whether keys are listed, as only who fetches a prefix does of which no manifest tells the files."""
        return self.role == "requester" and self.is_plain and not self.has_manifest

    def notes(self, reading: str, listing: str) -> Iterator[str]:
        """What a prefix with a manifest has to do without, if these permissions are left out."""
        if not self.has_manifest:
            return
        if self.role == "requester":
            yield _UNLISTED.format(listing)
        elif self.if_exists == "error":
            yield _UNCOMPARED.format(reading)


class Grant(NamedTuple):
    """A permission, by the name that the cloud has for it, and what it is needed for."""

    permission: str
    why: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, or a lifecycle rule.

    ``document`` is what the cloud takes; it is empty where there is nothing to set. ``grants`` say why each permission
    is in it, and ``notes`` what is left out, or has to be filled in.
    """

    document: Mapping[str, Any]
    grants: tuple[Grant, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The document in JSON, indented."""
        return json.dumps(self.document, indent=2, ensure_ascii=False)
