"""The mutants of a module: its source with one thing changed, by the operators of mutmut.

mutmut itself changes functions only, and none that is decorated. Here tables, patterns and properties count as well, as
what may be named and how long it may be stands in them. Left alone is what no test could see or what says nothing:
annotations and what exists for them, decorators, imports, ``__slots__`` and ``__all__``, and texts for people, which
are the string literals with a space in them, raw ones (patterns) excepted, and what is filled into them.
"""

import difflib
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.mutators import mutation_operators

_FOR_TYPES = m.Assign(
    targets=[m.AssignTarget(target=m.Name("TYPE_CHECKING") | m.Name("__slots__") | m.Name("__all__"))]
) | m.Assign(value=m.Call(func=m.Name("NewType") | m.Name("TypeVar")) | m.Subscript())
_LEFT_ALONE = (
    m.Annotation()
    | m.Decorator()
    | m.Import()
    | m.ImportFrom()
    | m.If(test=m.Name("TYPE_CHECKING"))
    | m.Call(func=m.Name("cast"))
)
_STATEMENTS = cst.SimpleStatementLine | cst.BaseCompoundStatement | cst.Module
_NEVER_CALLED_WITH_LESS = m.Call(func=m.Name("len") | m.Name("isinstance"))  # as any test at all would see it


class Mutant(NamedTuple):
    """A module with one change."""

    module: str
    """Its file, from the root of the repository."""
    scope: str
    """The class and function that were changed; empty at the top of the module."""
    lines: range
    """Those of the statement that was changed, as far as its own body."""
    was: str
    becomes: str
    source: str

    @property
    def name(self) -> tuple[str, str, str, str]:
        """What tells it apart, wherever its line has moved to."""
        return self.module, self.scope, self.was, self.becomes


def mutants(module: str, source: str) -> list[Mutant]:
    """All mutants of ``source``, in its order; two that read the same are one."""
    finder = _Finder(module, source)
    return list({mutant.source: mutant for mutant in finder.found() if _compiles(mutant.source)}.values())


class _Finder:
    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source
        wrapper = MetadataWrapper(cst.parse_module(source))
        self._tree = wrapper.module
        self._positions = wrapper.resolve(PositionProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)

    def found(self) -> Iterator[Mutant]:
        for node in self._changeable(self._tree):
            for kind, operator in mutation_operators:
                if isinstance(node, kind):
                    yield from (self._mutant(node, new) for new in operator(node) if not _says_nothing(node, new))

    def _changeable(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        if m.matches(node, _LEFT_ALONE) or _is_text(node) or (self._is_outside(node) and m.matches(node, _FOR_TYPES)):
            return
        yield node
        for child in node.children:
            yield from self._changeable(child)

    def _is_outside(self, node: cst.CSTNode) -> bool:
        return not any(isinstance(above, cst.FunctionDef) for above in self._above(node))

    def _above(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        while (parent := self._parents.get(node)) is not None:
            yield parent
            node = parent

    def _mutant(self, old: cst.CSTNode, new: cst.CSTNode) -> Mutant:
        source = self._tree.deep_replace(old, new).code
        was, becomes = _difference(self._source, source)
        scopes = [above.name.value for above in self._above(old) if isinstance(above, cst.FunctionDef | cst.ClassDef)]
        return Mutant(self._module, ".".join(scopes[::-1]), self._lines(old), was, becomes, source)

    def _lines(self, node: cst.CSTNode) -> range:
        statement = next(above for above in (node, *self._above(node)) if isinstance(above, _STATEMENTS))
        place = self._positions[statement]
        if isinstance(statement, cst.BaseCompoundStatement):
            return range(place.start.line, max(place.start.line, self._positions[statement.body].start.line - 1) + 1)
        return range(place.start.line, place.end.line + 1)


def _is_text(node: cst.CSTNode) -> bool:
    match node:
        case cst.SimpleString(value=value):
            return " " in value and "r" not in node.prefix
        case cst.FormattedString(parts=parts):
            texts = [part.value for part in parts if isinstance(part, cst.FormattedStringText)]
            return " " in "".join(texts) and "r" not in node.prefix
        case cst.ConcatenatedString(left=left, right=right):
            return _is_text(left) or _is_text(right)
    return False


def _says_nothing(old: cst.CSTNode, new: cst.CSTNode) -> bool:
    """Whether a text for people is all that a call no longer gets, or it is one that needs whatever it got."""
    if not isinstance(old, cst.Call) or not isinstance(new, cst.Call):
        return False
    if m.matches(old, _NEVER_CALLED_WITH_LESS):
        return True
    kept = {id(argument) for argument in new.args}
    return any(id(argument) not in kept and _is_text(argument.value) for argument in old.args)


def _difference(old: str, new: str) -> tuple[str, str]:
    """The lines that differ, each without its indentation."""
    before, after = old.splitlines(), new.splitlines()
    changed = [
        one for one in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if one[0] != "equal"
    ]
    first, last = changed[0], changed[-1]
    was, becomes = before[first[1] : last[2]], after[first[3] : last[4]]
    return "\n".join(map(str.strip, was)), "\n".join(map(str.strip, becomes))


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True
