"""Any store played against a dict: what happens in whatever order, the two must agree."""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from keystow.backends import AlreadyExistsError, NotFoundError, Store

from .strategies import chunkings, keys


class _StoppedError(Exception):
    pass


class StoreMachine(RuleBasedStateMachine):
    """Subclass it with ``open_store``, which gives an empty store, and run ``Machine.TestCase``.

    >>> from keystow import open_store
    >>> class Memory(StoreMachine):
    ...     def open_store(self):
    ...         store = open_store("memory://machine")
    ...         for found in list(store.list()):
    ...             store.delete(found.key)
    ...         return store
    """

    key_strategy: ClassVar[st.SearchStrategy[str]] = keys(portable=True)
    names = Bundle("names")

    def open_store(self) -> Store:
        """An empty store, for one run of the machine."""
        raise NotImplementedError("give the machine a method open_store that returns an empty store")

    @initialize()
    def begin(self) -> None:
        """Opens the store, with an empty dict beside it."""
        self.store = self.open_store()
        self.model: dict[str, bytes] = {}

    @initialize(target=names, data=st.data())
    def first_name(self, data: st.DataObject) -> str:
        """A key to begin with."""
        return data.draw(self.key_strategy)

    @rule(target=names, data=st.data())
    def another_name(self, data: st.DataObject) -> str:
        """A key that does not lie below another, nor above: some stores cannot hold both."""
        return data.draw(self.key_strategy)

    @rule(key=names, content=st.binary(max_size=100), data=st.data())
    def write(self, key: str, content: bytes, data: st.DataObject) -> None:
        """The new content stands."""
        if self._clashes(key):
            return
        written = self.store.write(key, data.draw(chunkings(content)))
        assert (written.size, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        self.model[key] = content

    @rule(key=names, content=st.binary(max_size=100))
    def write_if_absent(self, key: str, content: bytes) -> None:
        """It raises exactly if there is an object."""
        if self._clashes(key) or not self.store.capabilities.if_absent:
            return
        try:
            self.store.write(key, [content], if_absent=True)
        except AlreadyExistsError:
            assert key in self.model
        else:
            assert key not in self.model
            self.model[key] = content

    @rule(key=names, content=st.binary(max_size=100))
    def write_and_fail(self, key: str, content: bytes) -> None:
        """A writer that fails changes nothing."""
        if self._clashes(key):
            return

        def failing() -> Iterator[bytes]:
            yield content
            raise _StoppedError

        with contextlib.suppress(_StoppedError):
            self.store.write(key, failing())
            raise AssertionError("the writer's own error did not come through")

    @rule(key=names)
    def delete(self, key: str) -> None:
        """The object is gone, if there was one."""
        if self._clashes(key):
            return
        self.store.delete(key)
        self.model.pop(key, None)

    @rule(key=names, start=st.integers(0, 120), length=st.none() | st.integers(0, 120))
    def read(self, key: str, start: int, length: int | None) -> None:
        """What is read is what was written, or the same kind of error."""
        if self._clashes(key):
            return
        stop = None if length is None else start + length
        try:
            content = b"".join(self.store.read(key, start=start, stop=stop))
        except NotFoundError:
            assert key not in self.model
        else:
            assert content == self.model.get(key, b"")[start:stop]

    @rule(prefix=names, cut=st.integers(0, 8))
    def list_prefix(self, prefix: str, cut: int) -> None:
        """A listing holds what starts with the prefix, and nothing else."""
        prefix = prefix[:cut]
        assert {found.key for found in self.store.list(prefix)} == {k for k in self.model if k.startswith(prefix)}

    @invariant()
    def listing_is_the_model(self) -> None:
        """At any time, keys and sizes agree."""
        if hasattr(self, "model"):
            listed = [(found.key, found.size) for found in self.store.list()]
            assert sorted(listed) == sorted((key, len(content)) for key, content in self.model.items())

    def teardown(self) -> None:
        """Lets go of the store."""
        if hasattr(self, "store"):
            self.store.close()

    def _clashes(self, key: str) -> bool:
        return any(key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in self.model)
