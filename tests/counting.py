"""A proxy that counts how many requests a server is sent at once."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from keystow.testing.servers import FaultProxy

Answer = TypeVar("Answer")

_COMPANY = 5.0
"""Seconds for which a request waits for the others that are to be there with it: some come alone."""


class Counting(FaultProxy):
    """Looks at each request for a while, as one that is far, before it passes it on; ``highest`` had it at once."""

    def __init__(self, upstream: str) -> None:
        self.now = self.highest = 0
        self.seconds = 0.03
        self._awaited = 0
        self._is_first = False
        self._counting = threading.Condition()
        super().__init__(upstream)

    def fault_for(self, method: str, path: str) -> Any:
        with self._counting:
            self.now += 1
            self.highest = max(self.highest, self.now)
            self._counting.notify_all()
            is_first, self._is_first = self._is_first, False
            if not is_first:
                self._counting.wait_for(lambda: self.highest >= self._awaited, _COMPANY)
        time.sleep(self.seconds)
        with self._counting:
            self.now -= 1
        return super().fault_for(method, path)

    def most_of(self, call: Callable[[], Answer], awaited: int = 0) -> tuple[Answer, int]:
        """What ``call`` gives, and how many requests there were at once meanwhile.

        Whoever sends ``awaited`` at once may be slow at it: until so many are there, each waits for the others, but for
        the first, as what its answer says may have to be known before.
        """
        self.highest, self._awaited, self._is_first = 0, awaited, True
        return call(), self.highest
