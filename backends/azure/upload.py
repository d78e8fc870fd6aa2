"""One write of one key to Azure Blob Storage, as a block blob.

Strategy: up to 1 MiB goes in one Put Blob; more is staged as blocks, some under way while the next are produced,
and appears with the block list. Blocks that were staged and never committed are invisible and gone after a week. Every
write carries an id of its own, and the request that makes the blob appear is settled by it (``sending/settling.py``).
"""

import hashlib
import io
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from keystow.backends.answers import Stored
from keystow.backends.contract import Arrived
from keystow.backends.options import ObjectOptions
from keystow.backends.sending.in_flight import Cancel, Told, in_flight
from keystow.backends.sending.parts import Body
from keystow.backends.sending.repeating import retried_on_loop
from keystow.backends.sending.settling import decided, write_id

from . import answers
from .client import Container

LARGEST_PUT = 1 << 20
"""Bytes of one Put Blob, whose MD5 the SDK computes on the event loop."""


class Upload:
    """One write of one key."""

    def __init__(self, container: Container, key: str, if_absent: bool, options: ObjectOptions) -> None:
        from azure.core import MatchConditions
        from azure.storage.blob import ContentSettings

        self._container = container
        self._key = key
        self._blob = container.blob(key)
        self._id = write_id()
        self._settings = partial(
            ContentSettings,
            content_type=options.content_type,
            cache_control=options.cache_control,
            content_disposition=options.content_disposition,
        )
        self._metadata = {**options.metadata, answers.MARK: self._id}
        self._scoped = container.keyed | (
            {"encryption_scope": options.encryption_scope} if options.encryption_scope else {}
        )
        self._given = self._scoped | _given(options)
        self._condition = {"match_condition": MatchConditions.IfMissing} if if_absent else {}

    def single(self, body: bytes, _: str) -> Stored:
        """Put Blob, with its MD5 verified on arrival and kept."""
        md5 = bytearray(hashlib.md5(body, usedforsecurity=False).digest())
        return self._decided(
            lambda: self._blob.upload_blob(
                io.BytesIO(body),
                length=len(body),
                overwrite=not self._condition,
                metadata=self._metadata,
                content_settings=self._settings(content_md5=md5),
                validate_content=True,
                max_concurrency=1,
                **self._given,
            ),
            len(body),
        )

    def in_parts(self, pieces: Iterator[bytes], arrived: Arrived | None = None) -> Stored:
        """Put Block for each piece, with its MD5 verified on arrival, then Put Block List."""
        from azure.storage.blob import BlobBlock

        listed: list[Any] = []
        size = 0

        def send(number: int, piece: bytes, told: Told[None]) -> Cancel:
            nonlocal size
            size += len(piece)
            listed.append(BlobBlock(block_id=f"{self._id}{number:06}"))
            stage = partial(self._stage, listed[-1].id, piece)
            return self._container.loop.begin(retried_on_loop(stage, patience=self._container.bounds.patience), told)

        container = self._container
        in_flight(pieces, send, pace=container.pace, budget=container.bounds.budget, arrived=arrived)
        return self._decided(
            lambda: self._blob.commit_block_list(
                listed,
                metadata=self._metadata,
                content_settings=self._settings(),
                validate_content=True,
                **self._condition,
                **self._given,
            ),
            size,
        )

    async def _stage(self, identifier: str, piece: bytes) -> None:
        """A block may be staged again under its own id, so a lost answer does no harm."""
        staging = self._blob.stage_block(
            identifier, Body(piece), length=len(piece), validate_content=True, **self._scoped
        )
        await self._container.sound(self._key, staging)

    def _decided(self, request: Callable[[], Awaitable[dict[str, Any]]], size: int) -> Stored:
        def look() -> Stored | None:
            found = self._blob.get_blob_properties(read_timeout=self._container.bounds.brief, **self._container.keyed)
            return self._container.told(self._key, found, answers.ours, size, self._id)

        def send() -> Stored:
            return self._container.told(self._key, request(), answers.made)

        return decided(send, look, self._container.where(self._key), self._container.bounds)


def _given(options: ObjectOptions) -> dict[str, Any]:
    """What the SDK takes of a new blob, beside its headers and metadata."""
    from azure.storage.blob import ImmutabilityPolicy, StandardBlobTier

    policy = None
    if options.retain_until is not None:
        mode = "Locked" if options.lock_mode == "compliance" else "Unlocked"
        policy = ImmutabilityPolicy(expiry_time=options.retain_until, policy_mode=mode)
    given = {
        "standard_blob_tier": options.storage_class and StandardBlobTier(options.storage_class.title()),
        "tags": dict(options.tags),
        "immutability_policy": policy,
        "legal_hold": options.legal_hold,
    }
    return {name: value for name, value in given.items() if value}
