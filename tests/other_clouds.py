"""What tests of the clouds compute for themselves."""

import base64
import functools

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def service_account(email: str = "me@example.com", token_uri: str = "http://127.0.0.1:9") -> dict[str, str]:
    """What stands in the key file of a service account of Google's."""
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "1",
        "private_key": _private_key(),
        "client_email": email,
        "token_uri": token_uri,
    }


@functools.cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


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
