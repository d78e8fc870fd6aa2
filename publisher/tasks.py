"""One of many publications as it goes to a worker, and what the worker keeps between them.

Strategy: what travels are values: names, text and numbers. A worker opens the stores itself, with the credentials that
it finds where it runs, and keeps them open for the next publication that goes there.
"""

import atexit
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from os import PathLike
from typing import NamedTuple

from .backends.texts import presentable
from .errors import SpecError
from .keys import Context
from .manner import Manner
from .publishing import Destination, published
from .result import PublishedResult
from .root import KeystowError
from .spec import PublisherSpec
from .stored import Access, AlreadyPublishedError, Opened
from .surroundings import job_context, trust, with_instant
from .trust import Trust
from .writing import Writing

Publication = tuple[str | PathLike[str], str | Mapping[str, object] | PublisherSpec, Context | None]
"""A source, a destination and a context, each as ``publish`` takes it."""
Answer = PublishedResult | BaseException

_MOST_OPEN = 8
_MOST_KNOWN = 64
_TOKEN = os.urandom(8)


class Terms(NamedTuple):
    """What holds for all publications of one call; ``publish`` says what each is."""

    manner: Manner
    archive: bool | None
    raw: bool
    trust: Trust
    access: Access
    writing: Writing


Given = str | Mapping[str, object] | PublisherSpec


def reading(terms: Terms) -> Callable[[Given], Destination]:
    """Reads and checks where publications go, mostly the same few: those that were read last are at hand."""

    @lru_cache(_MOST_KNOWN)
    def known(given: str | PublisherSpec, _: bool) -> Destination:
        return Destination(
            given,
            archive=terms.archive,
            raw=terms.raw,
            trust=terms.trust,
            access=terms.access,
            writing=terms.writing,
        )

    def read(given: Given) -> Destination:
        if not isinstance(given, str | PublisherSpec):
            given = PublisherSpec.from_mapping(given)
        return known(given, _is_claimed(given))

    return read


def _is_claimed(given: str | PublisherSpec) -> bool:
    """Whether somebody else wrote it, which makes no difference between two specs."""
    return isinstance(given, PublisherSpec) and given.claimed


class Task(NamedTuple):
    """A publication that may be sent. ``tries`` is which time this is, and ``sender`` who wants to know."""

    source: str
    spec: PublisherSpec
    context: Context
    manner: Manner
    trust: Trust
    access: Access
    sender: tuple[bytes, int]
    tries: int = 1


def task_of(publication: Publication, terms: Terms, read: Callable[[Given], Destination]) -> Task:
    """The publication as it is sent, however often: its instant and its ids are those of here and now.

    Raises ``ValueError`` for one whose destination or key is wrong, and ``TypeError`` for what is no publication.
    """
    source, destination, context = publication
    if not isinstance(source, str | PathLike):
        raise SpecError(f"a {type(source).__name__} cannot be sent to a worker: give the path of a file or a directory")
    to = read(destination)
    manner = to.fitted(terms.manner)
    settled = with_instant(job_context() if context is None else context)
    to.foreseen(settled)
    path = os.fspath(source)
    whole = path and os.path.join(os.getcwd(), path)
    return Task(whole, to.spec, settled, manner, terms.trust, terms.access, _this_process())


def _known(spec: PublisherSpec, _: bool, trust: Trust, access: Access) -> Destination:
    """Where ``spec`` leads; what it says of a lock, the sender has admitted."""
    return Destination(spec, trust=trust, access=access, writing={"lock_mode": spec.options.lock_mode})


class Stores:
    """Open stores, each for all that goes there: those in use, and of the others as many as make eight."""

    def __init__(self) -> None:
        self._known = lru_cache(_MOST_KNOWN)(_known)
        self._lock = threading.RLock()  # who is interrupted within it may still close them
        self._lent: dict[tuple[object, ...], _Lent] = {}

    def destination(self, task: Task) -> Destination:
        """Where ``task`` goes from this process, whose environment is heeded too. Raises ``SpecError``."""
        is_ours = task.sender == _this_process()
        if task.spec.type == "memory" and not is_ours:
            raise SpecError("memory:// is each process's own, and another one's is gone with it: publish by threads")
        trusted = task.trust if is_ours else trust(*task.trust)
        return self._known(task.spec, task.spec.claimed, trusted, task.access)

    @contextmanager
    def lent(self, to: Destination) -> Iterator[Opened]:
        """The store of ``to``, which stays open meanwhile."""
        spec = to.spec
        place = (spec.type, spec.bucket, spec.endpoint, spec.region, spec.engine, to.access)
        with self._lock:
            lent = self._lent.pop(place, None) or _Lent(Opened(to.store))
            self._lent[place] = lent
            lent.users += 1
        try:
            yield lent.opened
        finally:
            with self._lock:
                lent.users -= 1
                self._close_idle(_MOST_OPEN)

    def close(self) -> None:
        """Closes those that nobody uses."""
        with self._lock:
            self._close_idle(0)

    def _close_idle(self, most: int) -> None:
        idle = [place for place, lent in self._lent.items() if not lent.users]
        for place in idle[: max(0, len(self._lent) - most)]:
            self._lent.pop(place).opened.close()


class _Lent:
    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.users = 0


def run(task: Task, stores: Stores) -> Answer:
    """What was published, or why it was not.

    An archive that was there, and is the very one, is what was to be published: a worker that was lost, or a run before
    this one, had done it.
    """
    try:
        to = stores.destination(task)
        with stores.lent(to) as opened:
            return published(task.source, to, opened, task.context, task.manner)
    except AlreadyPublishedError as error:
        return error.result
    except Exception as error:  # noqa: BLE001  it is the outcome of this one, and the others go on
        return error


def run_elsewhere(task: Task) -> Answer:
    """``run`` in a process that others hand tasks to, with stores that stay open until it ends."""
    answer = run(task, _kept(os.getpid()))
    return portable(answer) if isinstance(answer, BaseException) else answer


def portable(error: BaseException) -> BaseException:
    """``error``, or what it says, if it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  our own
    except Exception:  # noqa: BLE001  whatever its class makes of it
        return KeystowError(presentable(f"{type(error).__name__}: {error}"))
    return error


@cache
def _kept(process: int) -> Stores:  # noqa: ARG001  one that was forked has its own
    stores = Stores()
    atexit.register(stores.close)
    return stores


def _this_process() -> tuple[bytes, int]:
    """What no other process has; the number alone may be given twice, on two machines."""
    return _TOKEN, os.getpid()
