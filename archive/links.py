"""Where a symbolic link leads inside a tree, worked out from names alone (path_resolution(7))."""

from collections.abc import Mapping

_MOST_LINKS = 40


class LeadsOutError(ValueError):
    """The path leaves the tree."""


class LoopError(ValueError):
    """More links than a system follows stand one behind the other."""


def resolve(path: str, links: Mapping[str, str]) -> str:
    """The name that ``path`` stands for once all ``links`` (name → target) in it are followed; the root is ``""``.

    The name need not exist. Raises ``LeadsOutError`` for a path that passes above the root or through an absolute
    target, ``LoopError`` for one that goes round.

    >>> resolve("a/link/x", {"a/link": "../b"})
    'b/x'
    """
    pending = path.split("/")[::-1]
    done: list[str] = []
    followed = 0
    while pending:
        segment = pending.pop()
        if segment in {"", "."}:
            continue
        if segment == "..":
            if not done:
                raise LeadsOutError(path)
            done.pop()
            continue
        done.append(segment)
        target = links.get("/".join(done))
        if target is None:
            continue
        followed += 1
        if followed > _MOST_LINKS:
            raise LoopError(path)
        if target.startswith("/"):
            raise LeadsOutError(path)
        done.pop()
        pending.extend(reversed(target.split("/")))
    return "/".join(done)
