"""Hypothesis strategies for what keystow works on."""

from collections.abc import Sequence
from datetime import UTC

from hypothesis import strategies as st

from keystow.keys import Context, Template

_SEGMENT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\\0{}"), min_size=1, max_size=12
).filter(lambda text: text not in {".", ".."} and not text.endswith(".") and not text.startswith(".keystow-"))
_PORTABLE = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_- +=é€", min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)

ODD_KEYS = (
    "a?versionId=x",
    "a?versionid=x",
    "#1",
    "a#1",
    "%2F",
    "%48%45%4C%4C%4F",
    "a b",
    " leading and trailing ",
    "a+b",
    "a&b=c;d",
    "'quoted\" <&>",
    "🙀/😀.bin",
    "é",
    "e\u0301",
    "*",
    "a:b",
    "[x]{y}",
    "~tilde^caret`",
)
"""Keys that clients and emulators are known to mishandle, and that every provider can hold."""


def keys(*, portable: bool = False) -> st.SearchStrategy[str]:
    """Keys of one to four segments that every provider can hold; ``portable`` ones hold no unusual characters."""
    segments = _PORTABLE if portable else _PORTABLE | _SEGMENT
    joined = st.lists(segments, min_size=1, max_size=4).map("/".join)
    return joined if portable else joined | st.sampled_from(ODD_KEYS)


def values() -> st.SearchStrategy[str]:
    """Values that a template admits in a key."""
    return _SEGMENT


def contexts(labels: Sequence[str] = ()) -> st.SearchStrategy[Context]:
    """Contexts with all ids, an instant in UTC, and a value for each of ``labels``."""
    return st.builds(
        Context,
        job_id=_SEGMENT,
        execution_id=_SEGMENT,
        node_id=_SEGMENT,
        at=st.datetimes(timezones=st.just(UTC)),
        labels=st.fixed_dictionaries(dict.fromkeys(labels, _SEGMENT)),
    )


def templates(labels: Sequence[str] = ()) -> st.SearchStrategy[Template]:
    """Templates of the built-in fields and ``labels``, with a ``/`` between any two fields."""
    names = ["jobID", "executionID", "nodeID", "date", "time", "date:%Y/%m/%d", "time:%H-%M", *labels]
    field = st.sampled_from(names).map("{{{}}}".format)
    literal = _PORTABLE.map(lambda text: text.replace("{", "{{").replace("}", "}}"))
    return st.lists(field | literal, min_size=1, max_size=6).map(lambda parts: Template("/".join(parts), labels=labels))


def chunkings(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """``data`` cut into pieces in every way, empty ones among them: what a stream of it may look like."""
    cuts = st.lists(st.integers(0, len(data)), max_size=8).map(sorted)
    return cuts.map(lambda at: [data[i:j] for i, j in zip([0, *at], [*at, len(data)], strict=True)])


def trees() -> st.SearchStrategy[dict[str, bytes]]:
    """Directories as mappings from relative names to contents: at least one file, none below another."""
    names = st.lists(_PORTABLE | _SEGMENT, min_size=1, max_size=3).map("/".join)
    files = st.dictionaries(names, st.binary(max_size=200), min_size=1, max_size=8)
    return files.filter(lambda tree: not any(other.startswith(f"{name}/") for name in tree for other in tree))
