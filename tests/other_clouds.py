"""What tests of the clouds compute for themselves."""

import base64
import functools


@functools.cache
def crc32c_of(data: bytes) -> str:
    """CRC-32C bit by bit (RFC 3720, appendix B.4), as Google writes it."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return base64.b64encode((value ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()
