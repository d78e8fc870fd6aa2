"""Links replaced by what they lead to, for stores that have no links."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from .errors import SourceError
from .links import LeadsOutError, Links, LoopError
from .tree import Entry, Tree, order, parents


def dereference(tree: Tree) -> Tree:
    """``tree`` with each symbolic link replaced by the file or directory inside the tree that it leads to.

    Raises ``SourceError`` for a link that leads nowhere, or into a directory that holds it.
    """
    symlinks = [entry for entry in tree.entries if entry.kind == "symlink"]
    if not symlinks:
        return tree
    links = Links((entry.name, entry.target) for entry in symlinks)
    named = {entry.name: entry for entry in tree.entries}
    below: dict[str, list[Entry]] = {}
    for entry in tree.entries:
        for parent in ("", *parents(entry.name)):
            below.setdefault(parent, []).append(entry)
    destinations = {entry.name: _destination(entry, links, named) for entry in symlinks}

    def expanded(entry: Entry, name: str, within: frozenset[str]) -> Iterator[Entry]:
        if entry.kind != "symlink":
            yield replace(entry, name=name)
            return
        found = destinations[entry.name]
        if found in within:
            raise _refused(entry, "leads to a directory that holds it")
        yield replace(named[found], name=name)
        for child in below.get(found, []):
            yield from expanded(child, name + child.name[len(found) :], within | {found})

    entries = [out for entry in tree.entries for out in expanded(entry, entry.name, frozenset())]
    return replace(tree, entries=tuple(sorted(entries, key=lambda entry: order(entry.name))))


def _destination(entry: Entry, links: Links, named: Mapping[str, Entry]) -> str:
    try:
        found = links.resolve(entry.name)
    except LoopError:
        raise _refused(entry, "goes round in a circle") from None
    except LeadsOutError:
        raise _refused(entry, "leads out of the tree") from None
    if not found or entry.name.startswith(f"{found}/"):
        raise _refused(entry, "leads to a directory that holds it")
    if found not in named:
        raise _refused(entry, "leads nowhere")
    return found


def _refused(entry: Entry, what: str) -> SourceError:
    return SourceError(
        f"the link {entry.name!r} -> {entry.target!r} {what}, so it cannot be published as an object: "
        'remove it, publish an archive, or choose symlinks="skip"'
    )
