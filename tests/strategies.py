"""Hypothesis strategies for keys: templates as known pieces, so that a test can say what a key must be."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from hypothesis import strategies as st

from keystow.keys import Context, Template

IDS = {"executionID": "execution_id", "jobID": "job_id", "nodeID": "node_id"}
NUMBERS = {"partitionIndex": "partition_index", "partitionCount": "partition_count"}
DIRECTIVES = "YmdHMSfjyVGu"
SPECIFIED = {"date": "%Y%m%d", "time": "%H%M%S"}
CONTROL = "\x00\n\x1f\x7f\x80\x9f"
TEMPLATE_TEXT = ["{jobID}", "{date:%Y}", "{{", "}}", "{", "}", "%s", "%(jobID)s", "%2F", "%", "{0}", ".tar.gz", ".tar"]


def directive(at: datetime, letter: str) -> str:
    """What C's strftime writes, with the zeros that glibc leaves out of the years before 1000."""
    return at.strftime(f"%{letter}").zfill(4 if letter in "YG" else 0)


class Hole(NamedTuple):
    """A placeholder; ``form`` alternates literal text and directives' letters, and is empty for an id or a label.

    ``width`` is what stands behind the colon of a number, if there is one.
    """

    name: str
    form: tuple[str, ...] = ()
    width: int | None = None

    @property
    def written(self) -> str:
        if self.name in NUMBERS:
            return f"{{{self.name}}}" if self.width is None else f"{{{self.name}:0{self.width}}}"
        spec = "".join(f"%{part}" if index % 2 else part for index, part in enumerate(self.form))
        return f"{{{self.name}}}" if SPECIFIED.get(self.name, "") == spec else f"{{{self.name}:{spec}}}"

    def value(self, context: Context) -> str:
        if self.form:
            return "".join(directive(context.at, part) if i % 2 else part for i, part in enumerate(self.form))
        if self.name in NUMBERS:
            return str(getattr(context, NUMBERS[self.name])).zfill(self.width or 0)
        return getattr(context, IDS[self.name]) if self.name in IDS else context.labels[self.name]


@dataclass(frozen=True)
class Case:
    """A template in pieces, the labels it may use, and a context that has a value for every field."""

    pieces: tuple[str | Hole, ...]
    context: Context

    @property
    def text(self) -> str:
        return "".join(
            p.written if isinstance(p, Hole) else p.replace("{", "{{").replace("}", "}}") for p in self.pieces
        )

    @property
    def key(self) -> str:
        """What the template must give where values stand in the key as they are."""
        return "".join(p.value(self.context) if isinstance(p, Hole) else p for p in self.pieces)

    @property
    def holes(self) -> list[Hole]:
        return [piece for piece in self.pieces if isinstance(piece, Hole)]

    @property
    def values(self) -> dict[str, str | datetime | int]:
        """One value for each field, as ``bind`` takes it."""
        return {hole.name: self._value(hole) for hole in self.holes}

    def _value(self, hole: Hole) -> str | datetime | int:
        if hole.name in NUMBERS:
            return getattr(self.context, NUMBERS[hole.name])
        return self.context.at if hole.form else hole.value(self.context)

    def template(self, **options) -> Template:
        return Template(self.text, labels=self.context.labels, **options)


def texts(*, exclude: str = "", **sizes: int) -> st.SearchStrategy[str]:
    """Text of any script that UTF-8 can write."""
    return st.text(st.characters(codec="utf-8", exclude_characters=exclude), **sizes)


def _mixed(awkward: list[str], *, exclude: str = "") -> st.SearchStrategy[str]:
    piece = st.one_of(
        st.sampled_from(awkward), texts(exclude=exclude, min_size=1, max_size=3), st.sampled_from("aé.界")
    )
    return st.lists(piece, min_size=1, max_size=4).map("".join)


safe_values = _mixed([*TEMPLATE_TEXT, "..", " ", "😀"]).filter(
    lambda v: v not in {".", ".."} and not any(c in "/\\" or ord(c) < 32 or 127 <= ord(c) < 160 for c in v)
)
"""Values that leave the shape of a key alone."""

unsafe_values = st.one_of(
    st.sampled_from(["", ".", ".."]), st.tuples(safe_values, st.sampled_from("/\\" + CONTROL), safe_values).map("".join)
)
"""Values that would change the shape of a key."""

any_values = safe_values | unsafe_values.filter(bool) | _mixed([*TEMPLATE_TEXT, "/", "\\", "..", *CONTROL])
"""Values with at least one character."""

labels = st.builds(str.__add__, st.sampled_from("aZ_"), st.text("bY0_.-", max_size=4)) | st.just("self")

zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(timezones=zones)

literals = _mixed(["/", "//", "-", "results/", *TEMPLATE_TEXT, "\\", "\n"]) | st.just("")

_BETWEEN = st.sampled_from(["", "", "/", "-", "T", "e", "\\d"])


@st.composite
def formats(draw, between: st.SearchStrategy[str] = _BETWEEN) -> tuple[str, ...]:
    """Literal text and directives by turns, beginning and ending with text."""
    form = [draw(between)]
    for letter in draw(st.lists(st.sampled_from(DIRECTIVES), min_size=1, max_size=5)):
        form += [letter, draw(between)]
    return tuple(form)


dates = st.one_of(
    st.just(Hole("date", ("", "Y", "", "m", "", "d", ""))),
    st.just(Hole("time", ("", "H", "", "M", "", "S", ""))),
    st.builds(Hole, st.sampled_from(["date", "time"]), formats(), st.none()),
)

whole = st.integers(0, 12) | st.integers(0, 10**20 - 1)
"""Whole numbers as a partition's index and count can be."""

numbers = st.builds(Hole, st.sampled_from([*NUMBERS]), st.just(()), st.none() | st.integers(1, 20) | st.integers(1, 3))


def contexts(values: st.SearchStrategy[str] = safe_values) -> st.SearchStrategy[Context]:
    return st.builds(Context, job_id=values, execution_id=values, node_id=values, at=instants)


@st.composite
def cases(draw, values: st.SearchStrategy[str] = safe_values, *, unambiguous: bool = False) -> Case:
    """A case; an unambiguous one has at most one id, label or number between any two slashes.

    Such a key can be read in one way: its slashes are those of the template, and all directives have a fixed width.
    """
    names = tuple(draw(st.lists(labels, max_size=2, unique=True)))
    named = st.sampled_from([*IDS, *names]).map(Hole) | numbers
    if unambiguous:
        segment = st.tuples(literals, dates | st.just(""), named | st.just(""), dates | st.just(""), literals)
        segments = draw(st.lists(segment, min_size=1, max_size=4))
        pieces = [piece for segment in segments for piece in (*segment, "/") if piece != ""]
    else:
        pieces = draw(st.lists(literals | named | dates, max_size=6))
    used = {piece.name for piece in pieces if isinstance(piece, Hole)}
    ids = {argument: draw(values) if name in used else "unused" for name, argument in IDS.items()}
    given = {name: draw(values) if name in used else "unused" for name in names}
    counted = {argument: draw(whole) for argument in NUMBERS.values()}
    return Case(tuple(pieces), Context(**ids, **counted, at=draw(instants), labels=given))


def lengthened(pieces: st.SearchStrategy[str], sizes: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    """Text repeated and cut to a number of UTF-8 bytes, or to a few less where a character does not fit."""

    def fit(text: str, size: int) -> str:
        return (text.encode() * (size // len(text.encode()) + 1))[:size].decode(errors="ignore")

    return st.builds(fit, pieces, sizes)


keys = st.one_of(
    texts(max_size=40),
    st.lists(
        st.sampled_from(["/", ".", "..", "a", "é", "界", "😀", "\\", "\x00", "\r", "\x7f", "\ue000", "\uffff"])
    ).map("".join),
    lengthened(st.sampled_from(["a", "é", "界", "😀", "aé界😀", "a/", "界/", "b/é.c/"]), st.integers(1010, 1040)),
    lengthened(st.sampled_from(["界", "😀", "a/😀"]), st.integers(2040, 4110)),
    st.builds(
        "/".join, st.lists(lengthened(st.sampled_from("aé界😀"), st.integers(250, 260)), min_size=1, max_size=17)
    ),
    st.integers(250, 258).map(lambda count: "/".join("é" * count)),
    st.sampled_from(["", "\ud800", "a\udcff", ".well-known/acme-challenge/x", "x/.well-known/acme-challenge/x"]),
)
"""Keys of every kind, many of them at a provider's limits."""
