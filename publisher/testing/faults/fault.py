"""One fault as a value: what goes wrong, at which request, where in it. It is printed as a word and read back from it.

Strategy: a fault happens at one moment of one exchange, which has four parts (the request's head and body, the
answer's head and body), after a number of bytes of one of them. ``PLACES`` says which kind may happen in which part;
nothing else knows of all the kinds.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

ANYWHERE = ("head", "body", "answer-head", "answer-body")
PLACES = {
    "cut": ANYWHERE,
    "reset": ANYWHERE,
    "stall": ANYWHERE,
    "delay": ANYWHERE,
    "trickle": ANYWHERE,
    "flip": ("body", "answer-body"),
    "shorten": ("answer-body",),
    "answer": ("head", "answer-head"),
    "replay": ("answer-head",),
    "pause": ANYWHERE,
    "crash": ANYWHERE,
    "interrupt": ANYWHERE,
    "terminate": ANYWHERE,
}
"""Where each kind may happen. In the answer's head, after 0 bytes, the server has acted and nobody knows of it.

- ``cut`` ends both connections in order (FIN), ``reset`` breaks them (RST).
- ``stall``: nothing more is read or sent, for ``seconds`` (0: until the proxy stops); then ``reset``.
- ``delay``: the same, and then it goes on. ``trickle``: the next bytes come one by one, ``seconds`` apart.
- ``flip`` changes one bit of the byte there. ``shorten`` ends an answer there, which announces no more than that.
- ``answer``: the proxy answers itself, with ``status`` and ``said``; in ``head`` the server hears nothing.
- ``replay`` sends the same request twice, and passes on the second answer, as a middlebox may.
- ``pause``, ``crash``, ``interrupt``, ``terminate`` are done by whoever runs the server and the client.
"""
EVENTS = {"pause", "crash", "interrupt", "terminate"}
SAID = {
    "": ("", ""),
    "xml": ("application/xml", "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>slow down</Message></Error>"),
    "html": ("text/html", "<html><body>It works!</body></html>"),
    "json": ("application/json", '{"error": {"code": 503, "message": "slow down"}}'),
}
"""Bodies of the proxy's own answers: nothing, S3's and Azure's words, a stranger's, Google's; each with its type."""
STATUSES = (500, 502, 503, 504, 429, 408, 200)
_DURATIONS = {"stall": (0.5, 3.0), "delay": (0.05, 1.0), "trickle": (0.001, 0.02), "pause": (0.2, 2.0)}
"""Seconds that are drawn; of a signal, those after the moment at which it is sent."""
_MOST_BYTES = 24


@dataclass(frozen=True, slots=True)
class WireFault:
    """What happens to the ``nth`` request that is ``on`` an operation or method, and to the ``times - 1`` after it.

    ``on=""`` counts every request, ``times=0`` has no end. ``byte`` counts from the beginning of ``place``; one behind
    its end is at its end. ``seconds``, ``status``, ``said`` and ``retry_after`` belong to some kinds (``PLACES``).
    Raises ``ValueError`` for what makes no sense.

    >>> WireFault.parse("reset:answer-body+17,on=part,nth=2")
    WireFault(kind='reset', place='answer-body', byte=17, on='part', nth=2)
    >>> str(WireFault("answer", "head", status=503, retry_after="1", times=0))
    'answer:head,times=0,status=503,retry_after=1'
    """

    kind: str
    place: str
    byte: int = 0
    on: str = ""
    nth: int = 1
    times: int = 1
    seconds: float = 0.0
    status: int = 0
    said: str = ""
    retry_after: str = ""

    def __post_init__(self) -> None:
        if self.place not in PLACES.get(self.kind, ()):
            known = ", ".join(f"{kind}:{'|'.join(places)}" for kind, places in PLACES.items())
            raise ValueError(f"there is no fault {self.kind}:{self.place}: use one of {known}")
        if min(self.byte, self.times, self.seconds) < 0 or self.nth < 1:
            raise ValueError(f"the fault {self} counts from below its beginning")
        if self.said not in SAID or (self.kind == "answer") != bool(self.status):
            raise ValueError(f"the fault {self} has no answer of its own: set status and said ({', '.join(SAID)})")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The fault that ``str`` printed so."""
        where, *settings = text.split(",")
        kind, _, position = where.partition(":")
        place, _, byte = position.partition("+")
        given = dict(setting.partition("=")[::2] for setting in settings) | ({"byte": byte} if byte else {})
        kinds: dict[str, Any] = {one.name: one.type for one in fields(cls)}
        if unknown := given.keys() - kinds.keys():
            raise ValueError(f"a fault has no {unknown.pop()!r}: {text!r}")
        return cls(kind, place, **{name: kinds[name](value) for name, value in given.items()})

    def __str__(self) -> str:
        position = f"+{self.byte}" if self.byte else ""
        return ",".join([f"{self.kind}:{self.place}{position}", *map("=".join, self._settings(skipped=3))])

    def __repr__(self) -> str:
        first = f"kind={self.kind!r}, place={self.place!r}"
        changed = [f"{one.name}={getattr(self, one.name)!r}" for one in self._changed(skipped=2)]
        return f"WireFault({', '.join([first, *changed])})"

    def _changed(self, skipped: int) -> list[Any]:
        return [one for one in fields(self)[skipped:] if getattr(self, one.name) != one.default]

    def _settings(self, skipped: int) -> list[tuple[str, str]]:
        return [(one.name, str(getattr(self, one.name))) for one in self._changed(skipped)]

    @property
    def label(self) -> str:
        """The kind for a table's row: what happened, and where."""
        if self.kind != "answer":
            return f"{self.kind} {self.place}"
        what = "stranger's 200" if self.status == 200 else f"{self.status}"
        return f"answer {what}{', server acted' if self.place == 'answer-head' else ''}"

    def happens(self, count: int) -> bool:
        """Whether it happens to request ``count`` of those that it is ``on``."""
        return count >= self.nth and (not self.times or count < self.nth + self.times)


def drawn(
    chance: random.Random,
    operations: Sequence[str],
    kinds: Sequence[str],
    *,
    places: Sequence[str] = ANYWHERE,
    most: int = 1,
) -> WireFault:
    """A fault of one of ``kinds``, in one of ``places``, on one of ``operations``, of which there are ``most``.

    The same state of ``chance`` gives the same fault. Raises ``IndexError`` where no kind fits the places.
    """
    kind = chance.choice(kinds)
    place = chance.choice([place for place in PLACES[kind] if place in places])
    byte = chance.choice((0, chance.randrange(1, 200), int(2 ** chance.uniform(0, _MOST_BYTES))))
    lasting = kind in {"cut", "reset", "answer"}
    return WireFault(
        kind,
        place,
        byte if kind not in {"answer", "replay"} else 0,
        on=chance.choice(operations),
        nth=chance.randrange(most) + 1,
        times=chance.choice((1, 1, 1, 1, 1, 2, 3, 0)) if lasting else 1,
        seconds=round(chance.uniform(*_DURATIONS.get(kind, (0.0, 0.3))), 3) if kind in _TIMED else 0.0,
        **(_own_answer(chance) if kind == "answer" else {}),
    )


_TIMED = {*_DURATIONS, "interrupt", "terminate"}


def _own_answer(chance: random.Random) -> dict[str, Any]:
    status = chance.choice(STATUSES)
    retry_after = chance.choice(("", "1")) if status in {429, 503} else ""
    return {"status": status, "said": chance.choice(list(SAID)), "retry_after": retry_after}
