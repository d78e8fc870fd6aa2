"""Where a symbolic link leads inside a tree, worked out from names alone (path_resolution(7)).

Strategy: the links stand in a tree of their segments, so that a step costs the same at any depth. The target of a link
that is asked about may be walked for nothing, as the tree holds it; what is walked of others on the way is counted, so
that the time for all links is linear in what the tree holds.
"""

import itertools
from collections.abc import Iterable

_MOST_LINKS = 40
_MOST_SEGMENTS = 4096
_SPARE = 1 << 20  # segments of other links' targets that all links together may pass, beside …
_SPARE_EACH = 64  # … those for each link

_Node = dict[str, "_Node | str"]  # a link is the text of its target


class LeadsOutError(ValueError):
    """The path leaves the tree, or winds so long that nobody could tell."""


class LoopError(ValueError):
    """More links than a system follows stand one behind the other."""


class Links:
    """The symbolic links of a tree, given as pairs of name and target.

    >>> Links([("a/link", "../b")]).resolve("a/link/x")
    'b/x'
    """

    def __init__(self, links: Iterable[tuple[str, str]]) -> None:
        self._root: _Node = {}
        self._spare = _SPARE
        for name, target in links:
            self._spare += _SPARE_EACH
            *above, last = name.split("/")
            node = self._root
            for segment in above:
                inner = node.setdefault(segment, {})
                if isinstance(inner, str):
                    break  # below a link, where no path leads
                node = inner
            else:
                node[last] = target

    def resolve(self, path: str) -> str:
        """The name that ``path`` stands for once all links in it are followed; the root is ``""``.

        The name need not exist. Raises ``LeadsOutError`` for a path that passes above the root or through an absolute
        target, ``LoopError`` for one that goes round.
        """
        pending = path.split("/")[::-1]
        names: list[str] = []
        nodes: list[_Node | None] = [self._root]
        followed = walked = 0
        while pending:
            segment = pending.pop()
            walked += 1
            if walked > _MOST_SEGMENTS:
                raise LeadsOutError(path)
            if segment in {"", "."}:
                continue
            if segment == "..":
                if not names:
                    raise LeadsOutError(path)
                names.pop()
                nodes.pop()
                continue
            node = nodes[-1]
            found = node.get(segment) if node else None
            if not isinstance(found, str):
                names.append(segment)
                nodes.append(found)
                continue
            followed += 1
            if followed > _MOST_LINKS:
                raise LoopError(path)
            if followed > 1:
                self._spare -= found.count("/") + 1
            if found.startswith("/") or self._spare < 0:
                raise LeadsOutError(path)
            pending.extend(reversed(found.split("/")))
        return "/".join(names)

    def leads_out(self, name: str, target: str) -> bool:
        """Whether the link ``name`` to ``target``, one of the tree's, may lead out of it.

        One that goes round, or on for longer than Linux follows (others follow longer), stays inside if it goes up at
        its start only, which ``resolve`` has walked by then: the links that it passes next are judged on their own.
        """
        try:
            self.resolve(name)
        except LeadsOutError:
            return True
        except LoopError:
            segments = [segment for segment in target.split("/") if segment not in {"", "."}]
            return ".." in itertools.dropwhile("..".__eq__, segments)
        return False
