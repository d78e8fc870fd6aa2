"""What tests of the clouds compute for themselves."""

import base64
import functools


@functools.cache
def crc32c_of(data: bytes) -> str:
    """CRC-32C (RFC 3720, appendix B.4), as Google writes it."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _AFTER[(value ^ byte) & 0xFF]
    return base64.b64encode((value ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


def _after(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_AFTER = tuple(map(_after, range(256)))
"""What is left of each byte, bit by bit."""
