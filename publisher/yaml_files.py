"""Mappings as YAML and as JSON text."""

import json
from collections.abc import Mapping

import yaml


def load_mapping(text: bytes, name: str, error: type[ValueError]) -> Mapping[str, object]:
    """The mapping that ``text`` holds. Raises ``error`` for what is neither YAML nor JSON, or no mapping."""
    try:
        loaded = _loaded(text)
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
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)


def _what(problem: Exception) -> str:
    mark = getattr(problem, "problem_mark", None)
    if isinstance(problem, yaml.MarkedYAMLError) and mark is not None:
        return f"{problem.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(problem).replace(' in "<byte string>"', "").split())
