"""What holds of the head of an answer, whoever reads it: it is whole, and it is the final one.

``http.client`` takes what has come by the end of the connection for a head, 103 for the answer, and one of two lengths.
"""

import http.client
import io
from collections.abc import Iterable

_MOST_INTERIM = 100


class WholeLines(io.BufferedReader):
    """What a connection brings, in which a line that it ended within is none (RFC 9112, section 8)."""

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line, or ``size`` bytes of it. Raises ``RemoteDisconnected`` if the connection ends before that."""
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size:
            raise http.client.RemoteDisconnected("the connection ended before the answer did")
        return line


def is_interim(status: int, before: int) -> bool:
    """Whether there is another answer to come (RFC 9110, section 15.2), where there were ``before`` such ones.

    Raises ``HTTPException`` if there are too many, and for 101, as nobody asks for another protocol.
    """
    if status >= 200:
        return False
    if status == http.client.SWITCHING_PROTOCOLS or before >= _MOST_INTERIM:
        raise http.client.HTTPException(f"no answer comes after status {status}")
    return True


def check_lengths(lengths: Iterable[str]) -> None:
    """Raises ``HTTPException`` if the values of Content-Length are not all the same (RFC 9112, section 6.3)."""
    if len(set(lengths)) > 1:
        raise http.client.HTTPException("the answer has two lengths")
