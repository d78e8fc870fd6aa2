"""Mappings as YAML and as JSON text."""

import json
from collections import Counter
from collections.abc import Mapping

import yaml

from .errors import ResultError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _SeveralError(Exception):
    """The text holds more than one mapping, or one that holds a key more than once."""


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: "dict[Any, yaml.Node]") -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        _refuse_repeated([key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        return node


def load_mapping(text: bytes, name: str, error: type[ValueError]) -> Mapping[str, object]:
    """The mapping that ``text`` holds. Raises ``error`` for what is neither YAML nor JSON, no mapping, or several."""
    try:
        loaded = _loaded(text)
    except _SeveralError as problem:
        what = "results" if issubclass(error, ResultError) else "destinations"
        raise error(f"{name!r} holds several {what} ({problem}): give each in a file of its own") from None
    except (yaml.YAMLError, ValueError) as problem:
        raise error(f"{name!r} is no YAML: {_what(problem)}") from None
    if loaded is None:
        raise error(f"{name!r} is empty: it must hold a mapping with Type and Params")
    if not isinstance(loaded, dict):
        raise error(f"{name!r} holds no mapping with Type and Params")
    return loaded


def dump_mapping(mapping: Mapping[str, object]) -> str:
    """``mapping`` as YAML, in its own order."""
    plain = dict(mapping)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    # PyYAML writes the line breaks of Unicode (U+0085, U+2028) as they are, and folds them when it reads.
    return text if yaml.safe_load(text) == plain else yaml.safe_dump(plain, sort_keys=False)


def _loaded(text: bytes) -> object:
    """JSON as JSON: PyYAML leaves the surrogate pairs in it as they are."""
    try:
        return json.loads(text, object_pairs_hook=_unrepeated)
    except json.JSONDecodeError as problem:
        if problem.msg == "Extra data" and problem.doc[problem.pos] == "{":
            raise _SeveralError("one after another") from None
    except ValueError:
        pass
    documents = [found for found in yaml.load_all(text, _Loader) if found is not None]
    if len(documents) > 1:
        raise _SeveralError(f"{len(documents)} documents")
    return documents[0] if documents else None


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    _refuse_repeated([name for name, _ in pairs])
    return dict(pairs)


def _refuse_repeated(names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise _SeveralError(f"{name!r} stands twice")


def _what(problem: Exception) -> str:
    mark = getattr(problem, "problem_mark", None)
    if isinstance(problem, yaml.MarkedYAMLError) and mark is not None:
        return f"{problem.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(problem).replace(' in "<byte string>"', "").split())
