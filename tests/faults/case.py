"""One case of the bench as a value, which is one line: store, engine, what is done, and what goes wrong."""

import random
from typing import NamedTuple

from keystow.testing.faults import ANYWHERE, EVENTS, PLACES, ClientLimit, WireFault, drawn

LANES = (("s3", "fsspec"), ("s3", "obstore"), ("gs", "fsspec"), ("az", "fsspec"))
"""Each store with each engine; the two on S3 share no server."""
PUBLISHES = [
    f"publish-{what}-{if_exists}-{state}"
    for what in ("small", "large", "prefix")
    for if_exists in ("replace", "error", "skip")
    for state in (("free", "taken", "published") if what == "prefix" else ("free", "taken"))
]
READS = ["get-small", "get-large", "get-prefix", "get-url", "verify-small", "verify-large", "verify-prefix", "list"]
_LOSE = {"gs": {"get-url"}}  # only a service account can sign, and the emulator has none
_OPERATIONS = {
    "publish-small": (("put",), 1),
    "publish-large": (("begin", "part", "complete"), 1),
    "publish-prefix": (("put",), 9),
    "get-small": (("get",), 1),
    "get-large": (("get",), 1),
    "get-url": (("get",), 1),
    "get-prefix": (("list", "get", "get"), 5),
    "verify-small": (("get",), 1),
    "verify-large": (("get",), 1),
    "verify-prefix": (("list", "get", "get"), 5),
    "list": (("list",), 1),
}
"""What each sends, and how often about."""
_WEIGHTS = {"cut": 3, "reset": 3, "answer": 5, "flip": 2, "stall": 2}
_KINDS = [kind for kind in (*PLACES, "disk", "files") for _ in range(_WEIGHTS.get(kind, 1))]
_OF_A_READ = ("head", "answer-head", "answer-body")


class Case(NamedTuple):
    """One run of keystow. ``seed`` decides what the line does not say."""

    seed: int
    store: str
    engine: str
    mode: str
    fault: WireFault | ClientLimit

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self._asdict().items())

    @classmethod
    def parse(cls, line: str) -> "Case":
        """The case that ``str`` printed so. Raises ``ValueError``."""
        given = dict(word.partition("=")[::2] for word in line.split())
        if given.keys() != set(cls._fields) or (given["store"], given["engine"]) not in LANES:
            raise ValueError(f"a case is seed=… store=… engine=… mode=… fault=…, and this is {line!r}")
        if given["mode"] not in [*PUBLISHES, *READS]:
            raise ValueError(f"there is no mode {given['mode']!r}: use one of {', '.join([*PUBLISHES, *READS])}")
        kind = ClientLimit if given["fault"].startswith(("disk+", "files+")) else WireFault
        return cls(int(given["seed"]), given["store"], given["engine"], given["mode"], kind.parse(given["fault"]))

    @property
    def what(self) -> str:
        """What is published or read: ``"small"``, ``"large"``, ``"prefix"``, ``"url"`` or ``"list"``."""
        return self.mode.split("-")[1] if "-" in self.mode else self.mode

    @property
    def if_exists(self) -> str:
        """``"replace"``, ``"error"`` or ``"skip"``; empty for what publishes nothing."""
        return self.mode.split("-")[2] if self.publishes else ""

    @property
    def taken(self) -> bool:
        """Whether an older object stands under the key, or under half of a prefix's."""
        return self.mode.endswith(("-taken", "-published"))

    @property
    def published(self) -> bool:
        """Whether the older objects are of an older publication, with its manifest."""
        return self.mode.endswith("-published")

    @property
    def versioned(self) -> bool:
        """Whether the bucket keeps the versions of these: that of every second seed, where the server can."""
        return self.published and self.store != "az" and self.seed % 2 == 1

    @property
    def publishes(self) -> bool:
        """Whether it writes to the store."""
        return self.mode.startswith("publish")

    @property
    def by_command(self) -> bool:
        """Whether the command is run, because a signal is sent; else it is the library."""
        return isinstance(self.fault, WireFault) and self.fault.kind in {"interrupt", "terminate"}

    @property
    def by_limit(self) -> bool:
        """Whether the client runs short of something, so that the system's own errors are to be expected."""
        return isinstance(self.fault, ClientLimit)


def drawn_case(seed: int, store: str, engine: str) -> Case:
    """The case of a seed, for one store and engine."""
    chance = random.Random(f"{seed} {store} {engine}")
    modes = [mode for mode in [*PUBLISHES, *READS, *READS] if mode not in _LOSE.get(store, ())]
    kinds = [kind for kind in _KINDS if kind != "crash" or store == "s3"]  # the others hold everything in memory
    mode, kind = chance.choice(modes), chance.choice(kinds)
    if kind == "disk" and not mode.startswith("get"):
        kind = "files"
    if kind in {"disk", "files"}:
        fault = ClientLimit(kind, chance.randrange(64, 1 << 14) if kind == "disk" else chance.randrange(12, 32))
        return Case(seed, store, engine, mode, fault)
    if mode in {"list", "get-url"} and kind in EVENTS - {"pause", "crash"}:
        kind = "cut"
    operations, most = _OPERATIONS["-".join(mode.split("-")[:2])]
    places = ANYWHERE if mode.startswith("publish") else _OF_A_READ
    return Case(seed, store, engine, mode, drawn(chance, operations, [kind], places=places, most=most))
