"""What the server holds, asked of itself with a plain client, and whether that agrees with what the client was told.

Strategy: ``judge`` is a pure function of what stood there before, what stands there now, and the outcome. It knows
nothing of the fault: whatever went wrong, the same promises hold.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from keystow.testing.servers.process import request

from .case import READS, Case

Contents = Mapping[str, str]
"""SHA-256 (hex) of what stands under each key."""
SOON = 8.0
"""Seconds within which a signal ends a client; the promise is 2, and the machine may be slow, and busy with others."""

_PROVED = set(READS) - {"get-url"}
"""Reads that know the SHA-256. With a URL comes none: it tells the one of what was read, say of a gzip head with
another time in it; that the files are the same holds for it too.
"""


class Outcome(NamedTuple):
    """What a client was told: ``kind`` is done, exists, unknown, failed, interrupted, raw or hung.

    ``sha256`` is what was reported, ``arrived`` how many files of a prefix, ``names`` a listing; ``told`` the error.
    """

    kind: str
    sha256: str = ""
    told: str = ""
    arrived: int = 0
    names: tuple[str, ...] = ()
    seconds: float = 0.0


class Standing(NamedTuple):
    """The manifest that stands in the store: ``"ours"``, the ``"older"`` one or an ``"other"``; empty if there is none.

    ``lacking`` are the files that it lists and that are not to be had as it says.
    """

    whose: str = ""
    lacking: int = 0


class Seen(NamedTuple):
    """All that is judged: the store ``before`` and ``after``, and what is ``ours``, which is published or was before.

    The ``manifest`` is not among the others. ``sha256`` is what a success reports. ``target`` is what a ``get`` made,
    ``None`` if nothing, ``tree`` what it should have made, and ``left`` what stands beside it. ``since_signal`` is in
    seconds.
    """

    before: Contents
    after: Contents
    ours: Contents
    sha256: str
    outcome: Outcome
    target: Contents | None = None
    tree: Contents = {}
    left: tuple[str, ...] = ()
    since_signal: float | None = None
    manifest: Standing = Standing()


def judge(case: Case, seen: Seen) -> list[str]:
    """Each promise that was broken, in words; none is the hope."""
    broken = [*_of_the_end(seen), *_of_the_store(case, seen)]
    if seen.outcome.kind not in {"hung", "raw"}:
        broken += _of_a_publish(case, seen) if case.publishes else _of_a_read(case, seen)
    return broken


def _of_the_end(seen: Seen) -> Iterator[str]:
    outcome = seen.outcome
    if outcome.kind == "hung":
        yield f"hung: it had not ended after {outcome.seconds:.0f} s"
    if outcome.kind == "raw":
        yield f"raw: {outcome.told[:300]}"
    if seen.since_signal is not None and seen.since_signal > SOON and outcome.kind != "hung":
        yield f"late: it ended {seen.since_signal:.1f} s after the signal"


def _of_the_store(case: Case, seen: Seen) -> Iterator[str]:
    ours = seen.ours if case.publishes else {}
    for key, content in seen.after.items():
        if key not in seen.before and key not in ours:
            yield f"stray: {key} was never published"
        elif content not in {seen.before.get(key), ours.get(key)}:
            yield f"torn: what stands under {key} is neither the old object nor ours"
        elif case.if_exists in {"error", "skip"} and content != seen.before.get(key, content):
            yield f"overwritten: {key} under {case.if_exists}"
    yield from (f"gone: {key}" for key in seen.before.keys() - seen.after.keys())


def _of_a_publish(case: Case, seen: Seen) -> Iterator[str]:
    outcome = seen.outcome
    conditional = case.if_exists in {"error", "skip"}
    kept = seen.before if conditional else {}
    wanted = {**seen.ours, **kept}
    there = {key for key, content in seen.ours.items() if seen.after.get(key) == content}
    differs = any(seen.before.get(key, content) != content for key, content in seen.ours.items())
    if outcome.kind == "done":
        if wrong := sorted(key for key, content in wanted.items() if seen.after.get(key) != content):
            yield f"untrue success: {', '.join(wrong)} is not there, or not whole"
        if case.taken and case.if_exists == "error":
            yield "untrue success: an object stood there, and error was asked for"
        if outcome.sha256 not in ({"" if differs else seen.sha256, ""} if kept else {seen.sha256}):
            yield f"untrue success: it reported the SHA-256 {outcome.sha256 or 'of nothing'}"
    if case.what == "prefix":
        yield from _of_a_manifest(case, seen)
    if outcome.kind == "exists" and not (case.taken and conditional and (differs or case.if_exists == "error")):
        yield "ours called foreign: there was no other object"
    if outcome.kind == "failed" and case.what != "prefix" and there:
        yield f"untrue failure: it is there, and this does not say so: {outcome.told[:200]}"
    if len(there) < outcome.arrived - len(kept):
        yield f"untrue note: {outcome.arrived} were to be there, and {len(there)} are"


def _of_a_manifest(case: Case, seen: Seen) -> Iterator[str]:
    """Where no versions are kept, files that are replaced are lacking to the older manifest, which is documented."""
    whose, lacking = seen.manifest
    if whose == "other":
        yield "torn: the manifest is none of what is published"
    if case.published and not whose:
        yield "gone: the older manifest"
    if lacking and (whose == "ours" or case.versioned or case.if_exists != "replace"):
        yield f"untrue manifest: {lacking} files that it lists are not there"
    if seen.outcome.kind == "done" and whose != "ours":
        yield "untrue success: our manifest is not there"
    if seen.outcome.kind in {"failed", "exists"} and whose == "ours":
        yield f"untrue failure: it is published, and this does not say so: {seen.outcome.told[:200]}"


def _of_a_read(case: Case, seen: Seen) -> Iterator[str]:
    outcome = seen.outcome
    if outcome.kind == "done":
        if case.mode == "list" and set(outcome.names) != seen.before.keys():
            yield f"untrue success: {len(outcome.names)} were listed, and {len(seen.before)} are there"
        if case.mode.startswith("get") and seen.target != seen.tree:
            yield "untrue success: what was fetched is not what was published"
        if case.mode in _PROVED and outcome.sha256 not in {"", seen.sha256}:
            yield f"untrue success: it reported the SHA-256 {outcome.sha256}"
    elif seen.target and (outcome.kind, seen.target) != ("interrupted", seen.tree):
        yield f"left: {len(seen.target)} files of {len(seen.tree)} stand in the directory of a get that failed"
    if seen.left and "not all that was unpacked could be removed again" not in outcome.told:
        yield f"left: {', '.join(seen.left)} beside the directory"


# -- the servers themselves


class Holdings(NamedTuple):
    """A bucket as its server shows it, without keystow and without the proxy.

    ``put`` gives the version that was written, if versions are kept; ``get`` reads that, or if it is gone or none is
    given, the current object.
    """

    put: Callable[[str, bytes], str | None]
    names: Callable[[str], list[str]]
    get: Callable[[str, str | None], bytes]

    def under(self, prefix: str) -> dict[str, str]:
        """The SHA-256 of all that stands under ``prefix``."""
        return {name: hashlib.sha256(self.get(name, None)).hexdigest() for name in self.names(prefix)}


def s3_holdings(server: Any, bucket: str) -> Holdings:
    """By botocore."""
    client = server.client()

    def put(key: str, body: bytes) -> str | None:
        version: str | None = client.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId")
        return version

    def names(prefix: str) -> list[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def get(key: str, version: str | None) -> bytes:
        try:
            named = {"VersionId": version} if version else {}
            return bytes(client.get_object(Bucket=bucket, Key=key, **named)["Body"].read())
        except client.exceptions.ClientError:
            if version is None:
                raise
            return get(key, None)

    return Holdings(put, names, get)


def google_holdings(server: Any, bucket: str) -> Holdings:
    """By Google's JSON API."""
    objects = f"storage/v1/b/{bucket}/o"

    def put(key: str, body: bytes) -> str:
        url = f"{server.endpoint}/upload/{objects}?uploadType=media&name={quote(key, safe='')}"
        said = request("POST", url, body, {"Content-Type": "application/octet-stream"})
        return str(json.loads(said)["generation"])

    def names(prefix: str) -> list[str]:
        listing = json.loads(request("GET", f"{server.endpoint}/{objects}?prefix={quote(prefix, safe='')}"))
        return [found["name"] for found in listing.get("items", ())]

    def get(key: str, version: str | None) -> bytes:
        try:
            named = f"&generation={version}" if version else ""
            return request("GET", f"{server.endpoint}/{objects}/{quote(key, safe='')}?alt=media{named}")
        except OSError:
            if version is None:
                raise
            return get(key, None)

    return Holdings(put, names, get)


def azure_holdings(server: Any, container: str) -> Holdings:
    """By Azure's own client."""
    from azure.storage.blob import ContainerClient

    client = ContainerClient.from_connection_string(server.connection_string, container, retry_total=0)

    def put(key: str, body: bytes) -> None:
        client.upload_blob(key, body, overwrite=True)

    return Holdings(
        put,
        lambda prefix: list(client.list_blob_names(name_starts_with=prefix)),
        lambda key, _: bytes(client.download_blob(key).readall()),
    )
