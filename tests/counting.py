"""A proxy that counts how many requests a server is sent at once."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from keystow.testing.servers import FaultProxy

Answer = TypeVar("Answer")


class Counting(FaultProxy):
    """Looks at each request for a while, as one that is far, before it passes it on; ``highest`` had it at once."""

    def __init__(self, upstream: str) -> None:
        self.now = self.highest = 0
        self.seconds = 0.03
        self._counting = threading.Lock()
        super().__init__(upstream)

    def fault_for(self, method: str, path: str) -> Any:
        with self._counting:
            self.now += 1
            self.highest = max(self.highest, self.now)
        time.sleep(self.seconds)
        with self._counting:
            self.now -= 1
        return super().fault_for(method, path)

    def most_of(self, call: Callable[[], Answer]) -> tuple[Answer, int]:
        """What ``call`` gives, and how many requests there were at once meanwhile."""
        self.highest = 0
        return call(), self.highest
