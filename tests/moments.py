"""Something done at a chosen moment of another's work: before one of its calls, or between two of its lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from keystow.archive import checked, leftovers, limits, partial, removal, unpack, writing

Watcher = Callable[[str, tuple[Any, ...]], object]

FILES = {sys.modules[module.__module__].__file__ for module in (unpack,)} | {
    module.__file__ for module in (checked, leftovers, limits, partial, removal, writing)
}
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


@contextmanager
def interrupted(at: int) -> Iterator[list[int]]:
    """Ctrl-C before the line of number ``at`` that the unpacking runs; gives the lines counted."""
    lines = [0]

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            lines[0] += 1
            if lines[0] == at:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)
