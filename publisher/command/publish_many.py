"""``keystow publish-many``: many directories at once, each line of a file one of them."""

import json
import sys
from contextlib import closing, contextmanager

from . import typed
from .claimed import take_trust
from .context import given_context, take_encoding
from .failures import status_of, worded
from .loading import uncollected
from .manner import given_manner, take_manner
from .streams import note
from .written import given_writing, take_opening, take_writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO

    from keystow.keys import Context
    from keystow.many import Outcome
    from keystow.spec import PublisherSpec
    from keystow.tasks import Publication

USAGE = "JOBS"
DESCRIPTION = (
    "Publish each source that a line of JOBS names, and print what came of it as a line of JSON. A line is a JSON "
    'object: {"source": "results/1", "destination": "s3://bucket/{jobID}", "job_id": "1"}; also execution_id, node_id, '
    "partition_index, partition_count, labels, at."
)
EXAMPLES = {
    "what each line of a file names, by 4 processes; again, it publishes what is not there": (
        "keystow publish-many jobs.jsonl --if-exists skip --processes 4 > outcomes.jsonl"
    ),
    "what a program prints": (
        """echo '{"source": "results", "destination": "s3://my-bucket/many/1"}' | keystow publish-many -"""
    ),
}
_JOBS = "a file with a JSON object a line, or - for stdin"
_PROCESSES = "publish by N processes; default: by threads"
_DASK = "publish by the workers of the Dask scheduler there, such as tcp://127.0.0.1:8786"
_NUMBERS = ("partition_index", "partition_count")
_TEXTS = ("job_id", "execution_id", "node_id")
_NAMES = ("source", "destination", *_TEXTS, *_NUMBERS, "labels", "at")
_FEW = 32


def take_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declares what the command takes."""
    parser.add_argument("jobs", metavar="JOBS", help=_JOBS)
    workers = parser.add_mutually_exclusive_group()
    workers.add_argument("--processes", metavar="N", type=typed.number, help=_PROCESSES)
    workers.add_argument("--dask", metavar="ADDRESS", help=_DASK)
    take_encoding(parser)
    parser.add_argument("--output", choices=("json",), default="json", help="a line of JSON for each (docs/many.md)")
    take_manner(parser.add_argument_group("what goes along, and what is there"))
    take_trust(parser.add_argument_group("what the author of a job may ask for"))
    asking = parser.add_argument_group("who asks, for how long, and how much at once")
    typed.take_timeout(asking)
    typed.take_budget(asking, " by each publication")
    take_opening(asking)
    take_writing(parser)
    parser.set_defaults(prints=True, read="jobs")


def run(options: "argparse.Namespace") -> int:
    """Publishes, prints each outcome, and says how many there were."""
    with uncollected():
        from keystow.backends.sending.budget import Budget
        from keystow.many import published_many
        from keystow.stored import Access
        from keystow.surroundings import trust
        from keystow.tasks import Terms

    archive = False if options.plain else None
    trusted = trust(options.allow, options.allow_endpoint)
    access = Access(
        options.timeout,
        profile=options.profile,
        requester_pays=options.requester_pays,
        budget=Budget(options.concurrency, options.memory),
    )
    terms = Terms(given_manner(options), archive, options.raw, trusted, access, given_writing(options))
    told = _Told()
    with _opened(options.jobs) as file, _workers(options) as workers:
        jobs = _Jobs(file, told.failed)
        with closing(published_many(jobs, terms, **workers)) as outcomes:
            try:
                for outcome in outcomes:
                    told.ended(jobs.lines.pop(outcome.index), outcome)
            finally:
                told.counted()
    return told.status


class _Told:
    """What is printed as it comes, and what is said in the end."""

    def __init__(self) -> None:
        self.status = 0
        self._published = self._left = self._failed = 0

    def ended(self, line: int, outcome: "Outcome") -> None:
        """What came of the publication on that ``line``."""
        if outcome.result is None:
            self.failed(line, outcome.error or ValueError("nothing came of it"))
            return
        if outcome.result.checksum_sha256 is None:
            self._left += 1
        else:
            self._published += 1
        _print({"line": line, "PublishedResult": outcome.result.to_mapping()})

    def failed(self, line: int, error: BaseException) -> None:
        """The first error gives the exit status."""
        from keystow.backends.texts import presentable

        self._failed += 1
        self.status = self.status or status_of(error) or 1
        message = presentable("; ".join(worded(error)))
        _print({"line": line, "error": {"kind": getattr(error, "kind", "failed"), "message": message}})

    def counted(self) -> None:
        """Says how many there were."""
        left = f", {self._left} already there and left as they were" if self._left else ""
        note(f"{self._published} published{left}, {self._failed} failed")


def _print(outcome: "dict[str, Any]") -> None:
    print(json.dumps(outcome), flush=True)


class _Jobs:
    """The publications in a file, read as they are asked for; a line that holds none has ``failed``.

    ``lines`` are the numbers of the lines of those that were given out, by their index; who has an outcome takes it.
    """

    def __init__(self, file: "BinaryIO", failed: "Callable[[int, Exception], None]") -> None:
        self._file = file
        self._failed = failed
        self.lines: dict[int, int] = {}

    def __iter__(self) -> "Iterator[Publication]":
        index = 0
        for number, line in enumerate(_lines(self._file), 1):
            if line.isspace():
                continue
            try:
                publication = _publication(line)
            except ValueError as error:
                self._failed(number, error)
                continue
            self.lines[index] = number
            index += 1
            yield publication


def _lines(file: "BinaryIO") -> "Iterator[bytes]":
    """The lines, of each no more than tells that it is too long."""
    from keystow.yaml_files import MOST_BYTES

    while line := file.readline(MOST_BYTES + 2):
        yield line.rstrip(b"\n")[: MOST_BYTES + 1] or b"\n"
        while line and not line.endswith(b"\n"):
            line = file.readline(MOST_BYTES)


def _publication(line: bytes) -> "Publication":
    """What a line says, whoever wrote it. Raises ``SpecError``."""
    from keystow.errors import SpecError
    from keystow.params import folded
    from keystow.yaml_files import load_json_object

    given = folded(load_json_object(line, SpecError), _NAMES, "it", SpecError)
    source = given.get("source")
    if not isinstance(source, str) or not source:
        raise SpecError('it names no source: write {"source": …, "destination": …}')
    return source, _destination(given.get("destination")), _context(given)


def _destination(given: object) -> "PublisherSpec":
    from dataclasses import replace

    from keystow.errors import SpecError
    from keystow.spec import PublisherSpec

    if isinstance(given, dict):
        return PublisherSpec.from_mapping(given)
    if isinstance(given, str) and given:
        return replace(PublisherSpec.parse(given), claimed=True)  # as whoever wrote the line could have a mapping
    raise SpecError('it names no destination: write {"source": …, "destination": …}')


def _context(given: "dict[str, object]") -> "Context":
    """What the line says of the run, as if it had been typed."""
    import argparse

    from keystow.errors import SpecError

    def read(name: str, by: "Callable[[str], Any]" = str) -> "Any":  # noqa: ANN401
        value = given.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise SpecError(f"{name} is {value!r}: write it as text, in quotes")
        try:
            return by(value)
        except argparse.ArgumentTypeError as error:
            raise SpecError(f"{name}: {error}") from None

    labels = given.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise SpecError(f"labels is {labels!r}: write a mapping of names to texts")
    typed_values = {name: read(name) for name in _TEXTS} | {name: read(name, typed.number) for name in _NUMBERS}
    at = read("at", typed.instant)
    return given_context(argparse.Namespace(**typed_values, label=list(labels.items()), at=at, timezone=None))


@contextmanager
def _opened(path: str) -> "Iterator[BinaryIO]":
    from keystow.errors import SpecError

    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise SpecError(f"{path!r} is no file: give one with a JSON object a line") from None
    with file:
        yield file


@contextmanager
def _workers(options: "argparse.Namespace") -> "Iterator[dict[str, Any]]":
    """What ``publish_many`` takes of who does it."""
    if options.dask is None:
        yield {"processes": options.processes}
        return
    try:
        from distributed import Client
    except ImportError:
        from keystow.backends import MissingExtraError

        raise MissingExtraError("--dask needs the extra dask: pip install 'keystow[dask]'") from None
    with Client(options.dask, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        threads = sum(client.ncores().values())
        yield {"executor": client.get_executor(pure=False), "at_once": max(_FEW, 2 * threads)}
