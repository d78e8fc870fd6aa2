"""Something done at a chosen moment of another's work: before one of its calls."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Watcher = Callable[[str, tuple[Any, ...]], object]

_watchers: list[Watcher] = []
_is_installed: list[bool] = []


def _told(event: str, arguments: tuple[Any, ...]) -> None:
    for watcher in tuple(_watchers):
        watcher(event, arguments)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """``watcher`` is told of each audit event before it happens; what it causes itself is not told."""
    if not _is_installed:
        _is_installed.append(True)
        sys.addaudithook(_told)  # for good: there is no way to take one away

    def once(event: str, arguments: tuple[Any, ...]) -> None:
        _watchers.remove(once)
        try:
            watcher(event, arguments)
        finally:
            _watchers.append(once)

    _watchers.append(once)
    try:
        yield
    finally:
        _watchers.remove(once)


def text(name: object) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


class At:
    """Does ``action`` before the first ``most`` events of a kind whose first argument is chosen by ``chosen``."""

    def __init__(self, event: str, chosen: Callable[[str], bool], action: Callable[[], object], most: int = 1) -> None:
        self.event, self.chosen, self.action, self.left = event, chosen, action, most
        self.happened = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == self.event and self.left and self.chosen(text(arguments[0])):
            self.left -= 1
            self.happened += 1
            self.action()
