"""Mappings as YAML (and so JSON) text."""

from collections.abc import Mapping

import yaml


def load_mapping(text: bytes, name: str, error: type[ValueError]) -> Mapping[str, object]:
    """The mapping that ``text`` holds. Raises ``error`` for what is no YAML, or no mapping."""
    try:
        loaded = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise error(f"{name!r} is no YAML: {' '.join(str(problem).split())}") from None
    if not isinstance(loaded, dict):
        raise error(f"{name!r} holds no mapping with Type and Params")
    return loaded


def dump_mapping(mapping: Mapping[str, object]) -> str:
    """``mapping`` as YAML, in its own order."""
    return yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=True)
