"""A published result as an input of a Bacalhau job, in the words that Bacalhau reads.

From its sources (https://github.com/bacalhau-project/bacalhau): an input is a ``Source`` and a ``Target``
(``pkg/models/input_source.go``). Of S3, the source has the ``Params`` of ``SourceSpec`` (``pkg/s3/types.go``), and is
read as ``explodeKey`` in ``pkg/storage/s3/storage.go`` says:

- A key that ends with ``/`` or ``*`` is a prefix, with the blanks around it and one ``*`` taken away. What is under it
  is listed and read; the version and the checksum are not looked at.
- Any other key is that of one object. Its ``ChecksumSHA256`` is compared *as text* with what S3 answers to
  ``HeadObject``: base64, of a multipart upload that of its parts' digests with ``-`` and their number behind it.
- ``Filter`` and ``Partition`` choose among the objects. No published result can say so.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from .errors import ResultError
from .params import named, read_params

_PARAMS = ("Bucket", "Key", "Endpoint", "Region", "VersionID", "ChecksumSHA256")
_KEPT = re.compile(r"[A-Za-z0-9+/]{43}=(-[0-9]{1,5})?")


class Source(NamedTuple):
    """What a job's S3 source says; ``checksum`` is as it stands there."""

    bucket: str
    key: str
    is_prefix: bool
    endpoint: str | None
    region: str | None
    version_id: str | None
    checksum: str | None

    @property
    def whole_checksum(self) -> str | None:
        """The checksum, unless it is that of a multipart upload's parts, which is none of the whole object."""
        found = _KEPT.fullmatch(self.checksum or "")
        return None if found and found[1] else self.checksum

    @property
    def kept_checksum(self) -> str | None:
        """The checksum, if it is in the form in which S3 keeps it: no other can be equal to S3's answer."""
        return self.checksum if _KEPT.fullmatch(self.checksum or "") else None


def is_input(mapping: object) -> bool:
    """Whether ``mapping`` is an entry of ``InputSources``, or holds them."""
    names = {str(name).casefold() for name in mapping} if isinstance(mapping, Mapping) else set()
    return not names.isdisjoint(("inputsources", "source"))


def read_input(mapping: Mapping[str, object]) -> Source:
    """Reads one entry of ``InputSources``, bare or as the only one under that name. Raises ``ResultError``."""
    entries = named(mapping, "InputSources")
    if entries is not None and not (isinstance(entries, list) and len(entries) == 1):
        count = len(entries) if isinstance(entries, list) else "no list of"
        raise ResultError(f"InputSources holds {count} sources: give it the one that you mean")
    entry = entries[0] if entries else mapping
    source = named(entry, "Source") if isinstance(entry, Mapping) else None
    if not isinstance(source, Mapping):
        raise ResultError(f"the entry of InputSources is {entry!r}: it needs a Source, with Type and Params")
    params = named(source, "Params")
    chosen = {"Type": named(source, "Type"), "Params": _chosen(params) if isinstance(params, Mapping) else params}
    kind, values = read_params(chosen, wrapper="Source", names=_PARAMS, required=("Bucket", "Key"), error=ResultError)
    if kind != "s3":
        raise ResultError(f"the Source is of the type {kind!r}: a published result is read of s3 alone")
    key = values["Key"]
    is_prefix = key.endswith(("/", "*"))
    if is_prefix and not key.strip().removesuffix("*"):
        raise ResultError(f"the Source's Key is {key!r}, which is the whole bucket: give the prefix of one result")
    return Source(
        bucket=values["Bucket"],
        key=key.strip().removesuffix("*") if is_prefix else key,
        is_prefix=is_prefix,
        endpoint=values.get("Endpoint"),
        region=values.get("Region"),
        version_id=None if is_prefix else values.get("VersionID"),
        checksum=None if is_prefix else values.get("ChecksumSHA256"),
    )


def written_input(source: Source, target: str) -> dict[str, object]:
    """One entry of ``InputSources``. Raises ``ResultError`` for a key that Bacalhau would read as another."""
    if not target.strip():
        raise ResultError("the target is empty: give the path at which the job finds its input, such as /inputs")
    if source.is_prefix and source.key != source.key.strip():
        raise ResultError(f"Bacalhau takes the blanks around the prefix {source.key!r} away: publish under another key")
    if not source.is_prefix and source.key.endswith(("/", "*")):
        raise ResultError(f"Bacalhau reads the key {source.key!r} as a prefix: publish under another key")
    values = {
        "Bucket": source.bucket,
        "Key": source.key if not source.is_prefix or source.key.endswith("/") else f"{source.key}*",
        "Endpoint": source.endpoint,
        "Region": source.region,
        "VersionID": None if source.is_prefix else source.version_id,
        "ChecksumSHA256": None if source.is_prefix else source.checksum,
    }
    params = {name: value for name, value in values.items() if value is not None}
    return {"Source": {"Type": "s3", "Params": params}, "Target": target}


def _chosen(params: Mapping[str, object]) -> dict[str, object]:
    """``params`` without the empty ones: what Bacalhau writes itself has all of them (``SourceSpec.ToMap``)."""
    given = {}
    for name, value in params.items():
        if str(name).casefold() not in {"filter", "partition"}:
            if value not in (None, ""):
                given[str(name)] = value
        elif not _says_nothing(value):
            raise ResultError(
                f"Source.Params.{name} chooses among objects, and a published result is all: leave it out"
            )
    return given


def _says_nothing(choice: object) -> bool:
    if isinstance(choice, Mapping):
        return all(map(_says_nothing, choice.values()))
    return choice in (None, "", 0, "0", "none")
