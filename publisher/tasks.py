"""One of many publications as it goes to a worker, and what the worker keeps between them.

Strategy: what travels are values: names, text and numbers. A worker opens the stores itself, with the credentials that
it finds where it runs, and keeps them open for the next publication that goes there.
"""

import atexit
import os
import pickle
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from os import PathLike
from typing import NamedTuple

from .backends.texts import presentable
from .errors import SpecError
from .keys import Context
from .publishing import Destination, Manner, published
from .result import PublishedResult
from .root import KeystowError
from .spec import PublisherSpec
from .stored import PLAIN_ACCESS, Access, AlreadyPublishedError, Opened
from .surroundings import job_context, trust, with_instant
from .trust import Trust

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
    trust: Trust
    access: Access = PLAIN_ACCESS


class Destinations:
    """Reads where publications go, mostly the same few: those that were read last are at hand."""

    def __init__(self) -> None:
        self._known = lru_cache(_MOST_KNOWN)(_read)

    def find(self, given: str | Mapping[str, object] | PublisherSpec, terms: Terms) -> Destination:
        """``given``, read and checked. Raises ``SpecError``."""
        if not isinstance(given, str | PublisherSpec):
            given = PublisherSpec.from_mapping(given)
        claimed = isinstance(given, PublisherSpec) and given.claimed  # which makes no difference between two of them
        to = self._known(given, claimed, terms.archive, terms.trust, terms.access)
        to.check(terms.manner)
        return to


def _read(given: str | PublisherSpec, _: bool, archive: bool | None, trust: Trust, access: Access) -> Destination:
    return Destination(given, archive=archive, trust=trust, access=access)


class Task(NamedTuple):
    """A publication that may be sent. ``tries`` is which time this is, and ``sender`` who wants to know."""

    source: str
    spec: PublisherSpec
    context: Context
    terms: Terms
    sender: tuple[bytes, int]
    tries: int = 1


def task_of(publication: Publication, terms: Terms, destinations: Destinations) -> Task:
    """The publication as it is sent, however often: its instant and its ids are those of here and now.

    Raises ``ValueError`` for one whose destination or key is wrong, and ``TypeError`` for what is no publication.
    """
    source, destination, context = publication
    to = destinations.find(destination, terms)
    settled = with_instant(job_context() if context is None else context)
    to.foreseen(settled)
    path = os.fspath(source)
    return Task(path and os.path.join(os.getcwd(), path), to.spec, settled, terms, _this_process())


class Stores:
    """Open stores, each for all that goes there: those in use, and of the others as many as make eight."""

    def __init__(self) -> None:
        self._destinations = Destinations()
        self._lock = threading.RLock()  # who is interrupted within it may still close them
        self._lent: dict[tuple[object, ...], _Lent] = {}

    def destination(self, task: Task) -> Destination:
        """Where ``task`` goes from this process, whose environment is heeded too. Raises ``SpecError``."""
        if task.sender == _this_process():
            return self._destinations.find(task.spec, task.terms)
        if task.spec.type == "memory":
            raise SpecError("memory:// is each process's own, and another one's is gone with it: publish by threads")
        return self._destinations.find(task.spec, task.terms._replace(trust=trust(*task.terms.trust)))

    @contextmanager
    def lent(self, to: Destination, access: Access) -> Iterator[Opened]:
        """The store of ``to``, which stays open meanwhile."""
        spec = to.spec
        place = (spec.type, spec.bucket, spec.endpoint, spec.region, spec.engine, access)
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
        with stores.lent(to, task.terms.access) as opened:
            return published(task.source, to, opened, task.context, task.terms.manner, progress=None)
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
