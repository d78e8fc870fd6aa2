"""Templates for object keys (specification, "Dynamic Naming").

Strategy: the text is parsed once into literals and placeholders. Expanding fills the placeholders in one pass, so a
value is never read as template text. What a context's value looks like in a key is worked out once per context.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Literal

from .context import ARGUMENTS, NUMBERS, Context
from .errors import TemplateError
from .fields import Field, label_hint
from .instants import DATE, TIME, parse_format
from .numbers import parse_width
from .reading import Reader, reader
from .rules import LONGEST
from .values import PERCENT, REFUSE, VERBATIM, Policy

_INSTANTS = {"date": DATE, "time": TIME}
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SPECIFIED = tuple(name for name in ARGUMENTS if name not in NUMBERS)
_BACALHAU_TOKEN = r"\{(" + "|".join(_SPECIFIED) + r")\}"
_LABEL = "[A-Za-z_][A-Za-z0-9_.-]*"
_MOST_RENDERED = 1000


class Template:
    """A key with placeholders, parsed once.

    The fields are ``{executionID}``, ``{jobID}``, ``{nodeID}``, ``{date}`` (YYYYMMDD), ``{time}`` (HHMMSS),
    ``{partitionIndex}``, ``{partitionCount}`` and the names in ``labels``. ``{date:%Y/%m/%d}`` and ``{time:%H}`` take
    the strftime directives whose output is all digits, ``{partitionIndex:04}`` fills up with zeros to 4 digits.
    ``{{`` and ``}}`` are literal braces.

    ``values`` says what becomes of a value that would change the shape of a key (empty, ``/``, a backslash, a control
    character, ``.`` or ``..``): ``"refuse"`` it, or ``"percent"``-encode it (RFC 3986, section 2.1) so that ``match``
    gives it back. ``dialect="bacalhau"`` knows the five fields of the specification and nothing else: no formats, no
    escapes, other braces are text and values are taken as they come.

    Raises ``TemplateError`` with the position, and for an unknown field its name and the nearest known one.

    >>> from datetime import UTC, datetime
    >>> template = Template("results/{jobID}/{date}/{time}/")
    >>> template.expand(Context(job_id="abc123", at=datetime(2023, 9, 26, 14, 5, 30, tzinfo=UTC)))
    'results/abc123/20230926/140530/'
    >>> template.match("results/abc123/20230926/140530/")
    {'jobID': 'abc123', 'date': '20230926', 'time': '140530'}
    >>> template.prefix(jobID="abc123")
    'results/abc123/'
    """

    __slots__ = ("_named", "_parts", "_pick", "_policy", "_reader", "dialect")

    dialect: str
    _parts: tuple[str | Field, ...]
    _policy: Policy
    _named: dict[str, str | Field]
    """The parts by the names under which ``Context.rendered`` holds their text."""
    _pick: Callable[[Mapping[str, str]], str | tuple[str, ...]]
    _reader: Reader | None

    def __init__(
        self,
        text: str,
        *,
        labels: Iterable[str] = (),
        values: Literal["refuse", "percent"] = "refuse",
        dialect: Literal["keystow", "bacalhau"] = "keystow",
    ) -> None:
        if dialect not in {"keystow", "bacalhau"}:
            raise TemplateError(f"there is no dialect {dialect!r}: use 'keystow' or 'bacalhau'")
        if values not in {"refuse", "percent"}:
            raise TemplateError(f"there is no policy values={values!r}: use 'refuse' or 'percent'")
        names = (labels,) if isinstance(labels, str) else tuple(labels)
        if dialect == "keystow":
            _check_labels(names)
            self._set(_parse(text, (*ARGUMENTS, *names)), PERCENT if values == "percent" else REFUSE, dialect)
        elif names or values != "refuse":
            raise TemplateError("the bacalhau dialect has no labels and takes values as they come")
        else:
            self._set(_parse_bacalhau(text), VERBATIM, dialect)

    def _set(self, parts: Iterable[str | Field], policy: Policy, dialect: str) -> None:
        self._parts = _joined(parts)
        self._policy = policy
        self.dialect = dialect
        names = [f"text {p}" if isinstance(p, str) else f"{policy.name} {p.written}" for p in self._parts]
        self._named = dict(zip(names, self._parts, strict=True))
        self._pick = itemgetter(*names) if names else lambda _: ()
        self._reader = None

    @property
    def _placeholders(self) -> list[Field]:
        return [part for part in self._parts if isinstance(part, Field)]

    @property
    def parts(self) -> tuple[str | Field, ...]:
        """Its literal texts and its placeholders, in order."""
        return self._parts

    @property
    def text(self) -> str:
        """The template as it is written, with what was bound filled in."""
        escape = self.dialect == "keystow"
        return "".join(
            f"{{{p.written}}}" if isinstance(p, Field) else p.replace("{", "{{").replace("}", "}}") if escape else p
            for p in self._parts
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """The field names, in order of first use."""
        return tuple(dict.fromkeys(field.name for field in self._placeholders))

    @property
    def literal_prefix(self) -> str:
        """The text before the first field: a prefix of every key that the template can give."""
        first = self._parts[0] if self._parts else ""
        return first if isinstance(first, str) else ""

    @property
    def last(self) -> "Template":
        """Its last literal text or placeholder, alone."""
        return _restored(self._parts[-1:], self._policy, self.dialect)

    def expand(self, context: Context) -> str:
        """The key for ``context``.

        Raises ``MissingValueError`` for a field without a value and ``ValueRefusedError`` for a value that the
        policy does not admit; both name the field.
        """
        try:
            return "".join(self._pick(context.rendered))
        except KeyError:
            if len(context.rendered) > _MOST_RENDERED:
                context.rendered = {}  # a context may meet any number of templates
            rendered = context.rendered
            for name, part in self._named.items():
                rendered[name] = part if isinstance(part, str) else part.render(context, self._policy)
            return "".join(self._pick(rendered))

    def match(self, key: str) -> dict[str, str] | None:
        """The values that give ``key``, or ``None`` if the template cannot give it.

        Repeated fields must agree. A date, a time or a number is given as it stands in the key; where one field is
        written in several formats, each goes under its own name as written (``date:%Y``). Where a key can be read in
        several ways, earlier values are as short as they can be. ``bind(**match(key))`` gives the key again.

        A key of more characters than any provider takes is no match. Raises ``MatchTooCostlyError`` for one that can be
        read in too many ways to try them all, which fields with a ``/`` between them never are.
        """
        if len(key) > LONGEST:
            return None
        if self._reader is None:
            self._reader = reader(self._parts, self._policy, self._names())
        values = self._reader(key)
        if values and self._policy.name == "percent":
            return {name: self._policy.restore(text) for name, text in values.items()}
        return values

    def _names(self) -> dict[Field, str]:
        """Each placeholder once, with the name under which its value is given."""
        distinct = list(dict.fromkeys(self._placeholders))
        forms = [field.name for field in distinct]
        return {field: field.name if forms.count(field.name) == 1 else field.written for field in distinct}

    def bind(self, /, **values: str | datetime | int) -> "Template":
        """A template with these fields filled in and the others left.

        Names are those of the template (``jobID=…``). A date or time is given as it stands in a key, or as a
        ``datetime``; a number as it stands in a key, or as an ``int``. Raises ``TemplateError`` for a name that the
        template does not have, ``ValueRefusedError`` for a value that it does not admit.

        >>> Template("{jobID}/{date}").bind(jobID="abc123").text
        'abc123/{date}'
        """
        names = self._names()
        for name, value in values.items():
            if value is None:
                raise TypeError(f"the value of {name} is None: leave it out, or give it as text")
            if name not in names.values() and name not in self.fields:
                raise TemplateError(_unknown(name, [*names.values()]))
        bound = object.__new__(Template)
        bound._set([self._bound(part, names, values) for part in self._parts], self._policy, self.dialect)
        return bound

    def texts(self, /, **values: str | datetime | int) -> dict[str, str]:
        """What ``match`` gives of these fields for each key of ``bind(**values)``. Raises what ``bind`` raises.

        >>> Template("{partitionIndex:04}/{jobID}").texts(partitionIndex=3)
        {'partitionIndex': '0003'}
        """
        self.bind(**values)
        names = self._names()
        bound = {name: self._bound(field, names, values) for field, name in names.items()}
        return {name: self._policy.restore(text) for name, text in bound.items() if isinstance(text, str)}

    def _bound(
        self, part: str | Field, names: Mapping[Field, str], values: Mapping[str, str | datetime | int]
    ) -> str | Field:
        if isinstance(part, str):
            return part
        name = names[part]
        value = values.get(name, values.get(part.name))
        if value is None:
            return part
        if name not in values and isinstance(value, str):
            forms = ", ".join(repr(n) for f, n in names.items() if f.name == part.name)
            at_once = "a datetime" if part.format else "an int"
            raise TemplateError(f"{{{part.name}}} is written in several formats: bind each ({forms}), or {at_once}")
        return part.admit(value, self._policy)

    def prefix(self, /, **values: str | datetime | int) -> str:
        """The longest prefix under which to list keys once these fields are known.

        Raises what ``bind`` raises.
        """
        return self.bind(**values).literal_prefix

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Template):
            return NotImplemented
        return (self._parts, self._policy, self.dialect) == (other._parts, other._policy, other.dialect)

    def __hash__(self) -> int:
        return hash((self._parts, self._policy, self.dialect))

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def __reduce__(self) -> tuple[Callable[..., "Template"], tuple[object, ...]]:
        return _restored, (self._parts, self._policy, self.dialect)


def template_of_any_labels(text: str, labels: Iterable[str]) -> Template:
    """A template whose labels are these, and whatever else it names. Raises ``TemplateError``.

    >>> template_of_any_labels("{jobID}/{run}", labels=["set"]).fields
    ('jobID', 'run')
    """
    names = [*labels]
    while True:
        try:
            return Template(text, labels=names)
        except TemplateError as error:
            if error.field is None:
                raise
            names.append(error.field)


def _restored(parts: tuple[str | Field, ...], policy: Policy, dialect: str) -> Template:
    template = object.__new__(Template)
    template._set(parts, policy, dialect)
    return template


def _joined(parts: Iterable[str | Field]) -> tuple[str | Field, ...]:
    out: list[str | Field] = []
    for part in parts:
        last = out[-1] if out else None
        if isinstance(part, str) and isinstance(last, str):
            out[-1] = last + part
        elif part != "":
            out.append(part)
    return tuple(out)


def _check_labels(labels: tuple[str, ...]) -> None:
    for label in labels:
        if not re.fullmatch(_LABEL, label):
            raise TemplateError(
                f"the label {label!r} is no field name: use letters, digits, '_', '-' and '.', "
                "starting with a letter or '_'"
            )
        if label in ARGUMENTS:
            given = f"Context({ARGUMENTS[label]}=…)"
            raise TemplateError(
                f"the label {label!r} has the name of a built-in field: choose another, or give {given}"
            )


def _unknown(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """What to say of a field that is not known; ``otherwise`` what else it may be, if its name is like none."""
    known = list(known)
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.strip().casefold(), folded, n=1, cutoff=0.5)
    hint = f"did you mean {{{folded[near[0]]}}}?" if near else "known are " + ", ".join(known or ["none"]) + otherwise
    return f"unknown field {{{name}}}: {hint}"


def _parse(text: str, known: tuple[str, ...]) -> Iterable[str | Field]:
    end = 0
    for found in _TOKEN.finditer(text):
        yield text[end : found.start()]
        end = found.end()
        token = found.group()
        if token in {"{{", "}}"}:
            yield token[0]
        elif len(token) == 1:
            raise TemplateError(
                f"a stray {token!r} in {text!r}: write {token * 2!r} for a literal brace", found.start()
            )
        else:
            yield _field(found.group(1), known, found.start(1))
    yield text[end:]


def _field(written: str, known: tuple[str, ...], position: int) -> Field:
    name, colon, spec = written.partition(":")
    if name not in known:
        if not re.fullmatch(_LABEL, name):
            hint = "; for a literal brace write '{{'" if not name else ""
            raise TemplateError(_unknown(name, known) + hint, position)
        label = f"; for a label, give labels=[{name!r}] to the Template, or {label_hint(name)}"
        raise TemplateError(_unknown(name, known, label), position, name)
    if name in _INSTANTS:
        return Field(name, written, parse_format(spec if colon else _INSTANTS[name], position + len(name) + 1))
    if name in NUMBERS:
        return Field(name, written, width=parse_width(spec, name, position + len(name) + 1) if colon else 1)
    if colon:
        raise TemplateError(f"{{{name}}} takes no format: write {{{name}}}", position)
    return Field(name, written)


def _parse_bacalhau(text: str) -> Iterable[str | Field]:
    for index, piece in enumerate(re.split(_BACALHAU_TOKEN, text)):
        yield _field(piece, _SPECIFIED, 0) if index % 2 else piece
