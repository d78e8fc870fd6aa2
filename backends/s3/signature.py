"""AWS Signature Version 4, in the headers of a request.

Strategy: botocore has it too, and takes 80 ms to load for that, and half as long again for each request; a test holds
what is signed here against it. https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import functools
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any

from .requests import Form

_ALGORITHM = "AWS4-HMAC-SHA256"


def signed(
    asked: Form, host: str, sha256: str, keys: Mapping[str, Any], region: str, *, now: float | None = None
) -> dict[str, str]:
    """The headers to send to ``host``: those of what is ``asked``, and what proves who is asking.

    ``sha256`` is that of the body, in hex; ``keys`` are the credentials, under the names of ``settings.KEYS``; ``now``
    is in seconds since 1970.
    """
    moment = _moment(int(time.time() if now is None else now))
    sent = {**asked.headers, "Host": host, "x-amz-content-sha256": sha256, "x-amz-date": moment}
    if keys["token"]:
        sent["x-amz-security-token"] = keys["token"]
    canonical = sorted((name.lower(), " ".join(value.split())) for name, value in sent.items())
    names = ";".join(name for name, _ in canonical)
    lines = [
        asked.method,
        asked.path,
        asked.query,
        *(f"{name}:{value}" for name, value in canonical),
        "",
        names,
        sha256,
    ]
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    begun = _begun(keys["secret_access_key"], scope)
    inner, outer = begun[0].copy(), begun[1].copy()
    inner.update(f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}".encode())
    outer.update(inner.digest())
    signature = outer.hexdigest()
    credential = f"{keys['access_key_id']}/{scope}"
    return {
        **sent,
        "Authorization": f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}",
    }


@functools.lru_cache(maxsize=1)
def _moment(seconds: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


@functools.lru_cache(maxsize=8)
def _begun(secret: str, scope: str) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """The inner and the outer hash of an HMAC (RFC 2104), past the key.

    To look for OpenSSL's functions each time, as ``hmac`` does, takes 5 % of a small request's processor time.
    """
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    padded = key.ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))
    return inner, outer
