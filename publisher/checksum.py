"""A SHA-256 digest in the three ways that people write it."""

import base64
import binascii
import re
from typing import Self

from .errors import ResultError

_HEX = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})")


class Checksum(str):
    """A SHA-256 digest: text of 64 lower-case hex digits, as ``sha256sum`` prints it.

    Reads hex, hex after ``0x`` (the specification's way), and base64 (S3's header). Raises ``ResultError`` for
    anything else.

    >>> Checksum("0x" + "00" * 32).base64
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:  # noqa: D102
        return super().__new__(cls, _digits(text))

    @property
    def hex(self) -> str:
        """The 64 hex digits, without ``0x``."""
        return str(self)

    @property
    def base64(self) -> str:
        """The digest as S3's ``x-amz-checksum-sha256`` header holds it."""
        return base64.b64encode(bytes.fromhex(self)).decode()


def _digits(text: str) -> str:
    if found := _HEX.fullmatch(text):
        return found[1].lower()
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32:
        composite = " (perhaps the composite of a multipart upload, which is none of the object)" if "-" in text else ""
        raise ResultError(f"{text!r} is no SHA-256{composite}: give 64 hex digits, with or without 0x, or base64")
    return digest.hex()
