"""What happens while a source is read."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from keystow import publishing
from keystow.archive import Entry, Tree

_scan = publishing.scan


def while_read(hook: Callable[[int, int], object]) -> Callable[..., Tree]:
    """A ``scan`` for ``keystow.publishing``, whose tree tells ``hook`` how much of how much is read, at each chunk."""

    def scan(*arguments: Any, **options: Any) -> Tree:
        tree = _scan(*arguments, **options)
        done = 0
        counting = threading.Lock()

        def read(entry: Entry) -> Iterator[bytes]:
            nonlocal done
            for chunk in tree.read(entry):
                with counting:
                    done += len(chunk)
                    hook(done, tree.size)
                yield chunk

        return replace(tree, read=read)

    return scan
