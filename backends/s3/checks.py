"""What goes with a body so that the server verifies it on arrival: SHA-256 where that is understood, else Content-MD5.

Strategy: AWS understands SHA-256. What another endpoint understands is found out once for each store, from the first
answers: who says the SHA-256 again has verified it (SeaweedFS and MinIO do), and gets no MD5 any more; who does not
gets MD5 alone; and what is refused is left out. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

import base64
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from keystow.backends.answers import Stored
from keystow.backends.errors import StoreError

REFUSALS = {
    "InvalidArgument",
    "InvalidRequest",
    "NotImplemented",
    "NotSupported",
    "UnsupportedOperation",
    "MalformedHeader",
    "400",
    "501",
}
"""Codes with which servers refuse a header that they do not know; a checksum that is wrong has others."""

_log = logging.getLogger("keystow")

Result = TypeVar("Result")


class Checks(NamedTuple):
    """What an endpoint understands; of ``sha256`` that is not known where it is ``None``."""

    sha256: bool | None
    md5: bool

    def params(self, body: bytes, sha256: str) -> dict[str, str]:
        """The parameters that let the server verify ``body``, whose SHA-256 is given in hex."""
        found = {}
        if self.sha256 is not False:
            found["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        if self.sha256 is not True and self.md5:
            found["ContentMD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        return found

    def fewer(self) -> "Checks | None":
        """What is left when what went along was refused."""
        if self.sha256 is not False:
            return Checks(sha256=False, md5=True)
        return Checks(sha256=False, md5=False) if self.md5 else None


AWS = Checks(sha256=True, md5=False)
OTHERS = Checks(sha256=None, md5=True)


class Verification:
    """What is known of one endpoint."""

    def __init__(self, where: str, known: Checks) -> None:
        self._where = where
        self._fixed = known == AWS
        self.known = known

    def begun(self, ask: Callable[[Mapping[str, str]], Result]) -> Result:
        """What ``ask`` gives, which begins an upload in parts with these parameters."""
        return self._fitting(lambda checks: ask({} if checks.sha256 is False else {"ChecksumAlgorithm": "SHA256"}))[0]

    def stored(self, ask: Callable[[Checks], Stored]) -> Stored:
        """What ``ask`` gives, whose request carries these checks."""
        answer, checks = self._fitting(ask)
        if checks.sha256 is None:
            self._learn(Checks(sha256=answer.checksum is not None, md5=True))
        if checks.sha256 is False and not checks.md5:
            return answer
        return Stored(answer.etag, answer.version_id, answer.checksum, "checksum")

    def _fitting(self, ask: Callable[[Checks], Result]) -> tuple[Result, Checks]:
        """What ``ask`` gives with the most checks that the endpoint does not refuse, and those."""
        checks = self.known
        while True:
            try:
                answer = ask(checks)
            except StoreError as error:
                fewer = None if self._fixed or error.code not in REFUSALS else checks.fewer()
                if fewer is None:
                    raise
                checks = fewer
            else:
                if checks != self.known and checks.sha256 is False:
                    self._learn(checks)
                return answer, checks

    def _learn(self, checks: Checks) -> None:
        self.known = checks
        if checks.md5:
            _log.debug("%s: content is verified by %s", self._where, "SHA-256" if checks.sha256 else "Content-MD5")
        else:
            _log.warning("%s: this endpoint refuses checksums: what arrives there is not verified", self._where)
