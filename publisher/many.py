"""Many publications at once, with outcomes as they end.

Strategy: as many are taken as may be under way, and one more for each outcome that was taken. Who reads the outcomes
slowly has the publications read slowly, and nothing grows with their number.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from queue import SimpleQueue
from typing import Unpack

from . import surroundings
from .archive.scan import Special, Symlinks
from .backends import ObjectOptions
from .backends.opening import timeout_for
from .backends.sending.budget import Budget
from .crews import Crew, Lent, Lost, Processes, Threads
from .errors import SpecError, WorkerLostError
from .manner import IfExists, Manner, selected
from .publishing import encoding_for
from .result import PublishedResult
from .stored import Access
from .tasks import Answer, Publication, Task, Terms, reading, task_of
from .writing import Writing

_THREADS = 8
_LENT = 32
_TRIES = 3
"""How often a publication is sent whose worker is lost."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a publication: a ``result``, or an ``error``. ``index`` is its place among all, from 0."""

    index: int
    publication: Publication
    result: PublishedResult | None = None
    error: BaseException | None = None


def publish_many(
    publications: Iterable[Publication],
    *,
    executor: Executor | None = None,
    processes: int | None = None,
    at_once: int | None = None,
    archive: bool | None = None,
    raw: bool = False,
    if_exists: IfExists = "replace",
    symlinks: Symlinks = "inside",
    special: Special = "error",
    mtime: int | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    level: int | None = None,
    manifest: bool | None = None,
    allow: Collection[str] = (),
    allow_endpoints: Collection[str] | None = None,
    timeout: timedelta | float | None = None,
    concurrency: int | None = None,
    memory: int | None = None,
    profile: str | None = None,
    requester_pays: bool | str | None = None,
    **writing: Unpack[Writing],
) -> Generator[Outcome, None, None]:
    """Publishes each of ``publications``, ``(source, destination, context)``, and gives an ``Outcome`` as each ends.

    They are read in the thread that takes the outcomes, when one is taken, and only so many that ``at_once`` are under
    way. They are published by threads (8, or ``at_once``); with ``processes``, by so many processes of our own, which
    are started by ``spawn``, and anew when one is lost; or by an ``executor``: a ``ProcessPoolExecutor`` (with 32
    ``at_once``), or ``client.get_executor()`` of a Dask client (extra ``dask``), whose workers must reach the same
    sources. A worker is sent names and values and no credentials: it uses those that it finds where it runs.

    The other arguments are those of ``publish``, with ``concurrency`` and ``memory`` for each publication, and so is
    what an outcome's ``error`` can be. One that fails does not stop the others. A publication whose worker is lost is
    sent again, three times in all; then, and if an executor is broken for good, its ``error`` is a ``WorkerLostError``.
    With ``if_exists="error"`` no object is written twice, and what is there and is the very one that was to be
    published counts as published, whoever did it: so a run that was killed can be run again. Files of a prefix that a
    lost worker had written stay if they are the very ones; with ``manifest=False`` they are in the way.

    To close the generator ends what is under way within seconds, and leaves no thread that publishes and no process;
    what an executor has begun ends by itself.

    Raises ``ValueError`` (``SpecError``) for arguments that are wrong, before anything is read; later what reading
    ``publications`` raises, and ``WorkerLostError`` if the executor is broken, each after the outcomes that are due.

    >>> import pathlib, tempfile
    >>> results = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (results / "score.txt").write_text("42")
    >>> from keystow import Context
    >>> jobs = ((results, "memory://bucket/{jobID}", Context(job_id=job)) for job in ("a", "b"))
    >>> sorted(outcome.result.key for outcome in publish_many(jobs))
    ['a.tar.gz', 'b.tar.gz']
    """
    manner = Manner(if_exists, symlinks, special, mtime, level, selected(include, exclude), manifest)
    access = Access(timeout, profile=profile, requester_pays=requester_pays, budget=Budget(concurrency, memory))
    terms = Terms(manner, archive, raw, surroundings.trust(allow, allow_endpoints), access, writing)
    return published_many(publications, terms, executor=executor, processes=processes, at_once=at_once)


def published_many(
    publications: Iterable[Publication],
    terms: Terms,
    *,
    executor: Executor | None = None,
    processes: int | None = None,
    at_once: int | None = None,
) -> Generator[Outcome, None, None]:
    """``publish_many``, of which the ``terms`` are known."""
    if executor is not None and processes is not None:
        raise ValueError("executor= and processes= are two ways to do the same: give one of them")
    for name, number in (("processes", processes), ("at_once", at_once)):
        if number is not None and number < 1:
            raise ValueError(f"{name}={number} publishes nothing: give 1 or more")
    timeout_for(terms.access.timeout)
    _check_terms(terms)
    if executor is not None:
        return _outcomes(publications, terms, partial(Lent, executor), at_once or _LENT)
    if processes is not None:
        return _outcomes(publications, terms, partial(Processes, processes), at_once or 2 * processes)
    threads = at_once or _THREADS
    return _outcomes(publications, terms, partial(Threads, threads), threads)


def _check_terms(terms: Terms) -> None:
    """Raises ``SpecError`` for what would be wrong with every publication, ``TypeError`` for a keyword there is not."""
    for name in terms.writing.keys() - Writing.__annotations__.keys():
        why = (
            ", as no secret is sent to a worker: it uses what it finds"
            if name in {"credentials", "customer_key"}
            else ""
        )
        raise TypeError(f"publish_many() takes no {name}={why}")
    encoding_for(terms.archive, raw=terms.raw)
    try:
        ObjectOptions(**terms.writing)
    except ValueError as error:
        raise SpecError(str(error)) from None


def _outcomes(
    publications: Iterable[Publication], terms: Terms, hire: Callable[[], Crew], at_once: int
) -> Generator[Outcome, None, None]:
    crew = hire()
    sent, read = _Sent(crew), reading(terms)
    failed: list[Exception] = []
    try:
        for index, publication in enumerate(_until_one_fails(publications, failed)):
            try:
                task = task_of(publication, terms, read)
            except Exception as error:  # noqa: BLE001  it is the outcome of this one, and the others go on
                yield Outcome(index, publication, error=error)
                continue
            sent.add(index, publication, task)
            while sent.under_way >= at_once or sent.has_ended:
                yield sent.next()
            if sent.broken:
                failed.append(WorkerLostError(f"the workers are gone, and no more was sent to them: {sent.broken}"))
                break
        while sent.under_way:
            yield sent.next()
        if failed:
            raise failed[0]
    finally:
        crew.end()


def _until_one_fails(publications: Iterable[Publication], failed: list[Exception]) -> Iterator[Publication]:
    """The publications; what reading them raises is noted, as others that are under way have outcomes still."""
    try:
        yield from publications
    except Exception as error:  # noqa: BLE001  it is raised once those have come
        failed.append(error)


class _Sent:
    """What is under way with a crew."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._ended: SimpleQueue[tuple[int, Answer | Lost]] = SimpleQueue()
        self._tasks: dict[int, tuple[Publication, Task]] = {}
        self.broken = ""

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    @property
    def has_ended(self) -> bool:
        return not self._ended.empty()

    def add(self, index: int, publication: Publication, task: Task) -> None:
        self._tasks[index] = publication, task
        self._crew.send(task, partial(self._tell, index))

    def _tell(self, index: int, answer: Answer | Lost) -> None:
        self._ended.put((index, answer))

    def next(self) -> Outcome:
        """The next outcome. What was lost is sent again before it is one."""
        while True:
            index, answer = self._ended.get()
            publication, task = self._tasks.pop(index)
            if not isinstance(answer, Lost):
                break
            if answer.for_good:
                self.broken = answer.why
            if answer.for_good or task.tries == _TRIES:
                answer = WorkerLostError(
                    f"the worker was lost ({task.tries} of {_TRIES} tries; {answer.why}), and nobody knows whether "
                    f"{task.source!r} was published: publish it again"
                )
                break
            self.add(index, publication, task._replace(tries=task.tries + 1))
        if isinstance(answer, PublishedResult):
            return Outcome(index, publication, answer)
        return Outcome(index, publication, error=answer)
