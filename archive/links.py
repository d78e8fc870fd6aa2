"""Where a symbolic link leads inside a tree, worked out from names alone (path_resolution(7))."""

import itertools
from collections.abc import Mapping

_MOST_LINKS = 40
_MOST_SEGMENTS = 4096


class LeadsOutError(ValueError):
    """The path leaves the tree, or winds so long that nobody could tell."""


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
    followed = walked = 0
    while pending:
        segment = pending.pop()
        walked += 1
        if walked > _MOST_SEGMENTS:
            raise LeadsOutError(path)
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


def leads_out(name: str, links: Mapping[str, str]) -> bool:
    """Whether the link ``name`` may lead out of the tree.

    One that goes round, or on for longer than Linux follows (others follow longer), stays inside if it goes up at its
    start only, which ``resolve`` has walked by then: the links that it passes next are judged on their own.
    """
    try:
        resolve(name, links)
    except LeadsOutError:
        return True
    except LoopError:
        segments = [segment for segment in links[name].split("/") if segment not in {"", "."}]
        return ".." in itertools.dropwhile("..".__eq__, segments)
    return False
