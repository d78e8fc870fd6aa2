"""A template turned round: which keys of a listing it gives, of what values, and under which prefixes to look for them.

Strategy: the suffix rule cannot be undone by looking at the key alone, as a value may bring the suffix along. So there
are up to two texts that a template may have given, and the one without the suffix is tried first.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from .errors import KeyRuleError
from .fields import Field
from .instants import read, render
from .naming import archive_key, file_key, prefix_key
from .narrowing import narrowed
from .numbers import digits
from .rules import S3, KeyRules, check_key
from .spans import Span, span
from .template import Template

_ANY_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
_RULES: dict[str, tuple[str, Callable[[str], str]]] = {
    "gzip": (".tar.gz", archive_key),
    "plain": ("/", prefix_key),
    "raw": ("", str),
}
"""What the suffix rule puts behind the keys of each encoding, and the rule."""


class Reading(NamedTuple):
    """What a key says: the fields' values, and the time that its date and time tell of, if they tell of any."""

    fields: dict[str, str]
    span: Span | None


class Listing:
    """The keys that ``object_key`` gives of ``template`` where these fields are ``known``, by an encoding and rules.

    ``zone`` is where the instants were read off. The template is of keystow's own dialect, as destinations are:
    Bacalhau has another suffix rule, and values with ``/``. Raises what ``Template.bind`` raises.

    >>> listing = Listing(Template("results/{jobID}/{date}"), "gzip", known={"jobID": "abc123"})
    >>> listing.prefixes(since=None, until=None)
    ['results/abc123/']
    >>> listing.read("results/abc123/20261128.tar.gz").fields
    {'jobID': 'abc123', 'date': '20261128'}
    """

    def __init__(
        self,
        template: Template,
        encoding: str,
        *,
        known: Mapping[str, str | int] | None = None,
        rules: KeyRules = S3,
        zone: tzinfo = UTC,
    ) -> None:
        self._known = template.texts(**known or {})
        self._bound = template.bind(**known or {})
        self._order = _order(template.parts)
        self._encoding = encoding
        self._rules = rules
        self._zone = zone
        self._formats = [part for part in self._bound.parts if isinstance(part, Field) and part.format is not None]
        self._slashes = _slashes(self._bound.parts) if encoding == "plain" else 0

    def prefixes(self, *, since: datetime | None, until: datetime | None) -> list[str]:
        """Under which prefixes all of the keys lie whose instant is not before ``since``, and before ``until``.

        None is a prefix of another.
        """
        parts = [*self._bound.parts, _suffix(self._bound.parts, _RULES[self._encoding][0])]
        return narrowed(parts, since=since, until=until, zone=self._zone)

    def whole(self, key: str) -> str | None:
        """The key under which the object ``key`` was published, or the prefix; ``None`` if it is none of those."""
        if self._encoding != "plain":
            return key
        names = key.split("/", self._slashes)
        return key[: -len(names[-1])] if len(names) > self._slashes and names[-1] else None

    def read(self, whole: str) -> Reading | None:
        """What a key, or a prefix, says, or ``None`` if it is not one of these.

        Raises ``MatchTooCostlyError``.
        """
        for text in self._expanded(whole):
            found = self._bound.match(text)
            if found is not None and self._can_be(whole):
                return Reading(self._with_known(found), self._span(found))
        return None

    def _with_known(self, found: dict[str, str]) -> dict[str, str]:
        """All values, in the order of the template."""
        if not self._known:
            return found
        fields = self._known | found
        return {name: fields[name] for name in sorted(fields, key=self._order.__getitem__)}

    def _expanded(self, whole: str) -> list[str]:
        """What the template may have given, for the suffix rule to make ``whole`` of it."""
        mark, rule = _RULES[self._encoding]
        return [text for text in dict.fromkeys((whole.removesuffix(mark), whole)) if rule(text) == whole]

    def _can_be(self, whole: str) -> bool:
        """Whether ``whole`` keeps the provider's rules."""
        try:
            if self._encoding == "raw":
                file_key(whole)
            check_key(whole, self._rules, names=() if self._encoding == "plain" else None)
        except KeyRuleError:
            return False
        return True

    def _span(self, found: Mapping[str, str]) -> Span | None:
        directives: dict[str, str] = {}
        for field in self._formats:
            if field.format is not None:
                directives |= read(field.format, found.get(field.written) or found[field.name])
        return span(directives, self._zone)


def _order(parts: Sequence[str | Field]) -> dict[str, int]:
    """Where a value stands among the others, by each name under which ``Template.match`` may give it."""
    fields = [part for part in parts if isinstance(part, Field)]
    order = {field.written: index for index, field in reversed([*enumerate(fields)])}
    for index, field in enumerate(fields):
        order.setdefault(field.name, index)
    return order


def _slashes(parts: Sequence[str | Field]) -> int:
    """How many ``/`` there are in each prefix: a value has none."""
    count = sum((part if isinstance(part, str) else part.format or "").count("/") for part in parts)
    return count + (not _sample(parts).endswith("/"))


def _suffix(parts: Sequence[str | Field], mark: str) -> str:
    """What the suffix rule puts behind each key of ``parts``, as far as that does not depend on values."""
    end = _sample(parts)
    if end.endswith(mark) or mark.endswith(end):
        return ""
    is_open = bool(parts) and isinstance(parts[-1], Field) and parts[-1].format is None and parts[-1].width is None
    return "" if is_open and mark != "/" else mark


def _sample(parts: Sequence[str | Field]) -> str:
    """The last literal text, or what the last placeholder may write."""
    last = parts[-1] if parts else ""
    if isinstance(last, str):
        return last
    if last.format is not None:
        return render(last.format, _ANY_INSTANT)
    return digits(0, last.width) if last.width is not None else "value"
