"""A store that fails on order, for tests of what your code makes of it."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from keystow.backends import Capabilities, ObjectOptions, Stat, Store, StoreUnavailableError, Written
from keystow.backends.contract import Arrived

Operation = Literal["write", "read", "stat", "list", "delete", "presign"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the ``nth`` call (from 1) of ``operation``.

    ``"raise"`` does nothing and raises ``error``; ``"lose"`` does what was asked and then raises ``error``, as when the
    answer is lost; ``"hang"`` waits until ``release`` is set, and then does what was asked.
    """

    operation: Operation
    nth: int = 1
    kind: Literal["raise", "lose", "hang"] = "raise"
    error: Exception = field(default_factory=lambda: StoreUnavailableError("the store failed, as it was ordered to"))
    release: threading.Event = field(default_factory=threading.Event)


class FaultyStore:
    """``store``, but for ``faults``. ``calls`` lists the operations and keys that were asked for.

    >>> from keystow import open_store
    >>> store = FaultyStore(open_store("memory://faulty"), Fault("write", nth=2))
    >>> store.write("a", [b"1"]).size
    1
    >>> store.write("b", [b"2"])
    Traceback (most recent call last):
    keystow.backends.errors.StoreUnavailableError: the store failed, as it was ordered to
    """

    def __init__(self, store: Store, *faults: Fault) -> None:
        self._store = store
        self._faults = faults
        self._lock = threading.Lock()
        self.calls: list[tuple[Operation, str]] = []

    @property
    def capabilities(self) -> Capabilities:
        """Those of the store behind."""
        return self._store.capabilities

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        if_absent: bool = False,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        arrived: Arrived | None = None,
    ) -> Written:
        """``Store.write``, unless a fault was ordered."""
        lost = self._begin("write", key)
        said: dict[str, Any] = {"options": options, "arrived": arrived}
        said = {name: value for name, value in said.items() if value is not None}
        written = self._store.write(
            key, chunks, if_absent=if_absent, content_type=content_type, metadata=metadata, **said
        )
        _lose(lost)
        return written

    def read(
        self, key: str, *, version_id: str | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        """``Store.read``, unless a fault was ordered; a lost answer ends after the first piece."""
        lost = self._begin("read", key)
        for piece in self._store.read(key, version_id=version_id, start=start, stop=stop):
            yield piece
            _lose(lost)
        _lose(lost)

    def stat(self, key: str, *, version_id: str | None = None) -> Stat:
        """``Store.stat``, unless a fault was ordered."""
        lost = self._begin("stat", key)
        found = self._store.stat(key, version_id=version_id)
        _lose(lost)
        return found

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """``Store.list``, unless a fault was ordered; a lost answer ends after the first object."""
        lost = self._begin("list", prefix)
        for found in self._store.list(prefix):
            yield found
            _lose(lost)
        _lose(lost)

    def delete(self, key: str) -> None:
        """``Store.delete``, unless a fault was ordered."""
        lost = self._begin("delete", key)
        self._store.delete(key)
        _lose(lost)

    def presign(
        self, key: str, *, expires: timedelta | float, method: str = "GET", version_id: str | None = None
    ) -> str:
        """``Store.presign``, unless a fault was ordered."""
        lost = self._begin("presign", key)
        url = self._store.presign(key, expires=expires, method=method, version_id=version_id)
        _lose(lost)
        return url

    def close(self) -> None:
        """Closes the store behind."""
        self._store.close()

    def _begin(self, operation: Operation, key: str) -> Fault | None:
        """Carries out what was ordered for this call, and gives the fault that is to happen after it."""
        with self._lock:
            self.calls.append((operation, key))
            count = sum(called == operation for called, _ in self.calls)
        for fault in self._faults:
            if (fault.operation, fault.nth) != (operation, count):
                continue
            if fault.kind == "raise":
                raise fault.error
            if fault.kind == "hang":
                fault.release.wait()
                return None
            return fault
        return None


def _lose(fault: Fault | None) -> None:
    if fault is not None:
        raise fault.error
