"""One case as its client sees it: in a process of its own, through the proxy, with what it gave or raised."""

import contextlib
import io
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from keystow.testing import Sandbox

from .case import Case
from .oracle import Outcome

_FOREIGN = ("AWS_", "AZURE_", "BACALHAU_", "FSSPEC_", "GOOGLE_", "KEYSTOW_")
_NOTE = re.compile(r"at least (\d+) of \d+ files had already been sent")
_ENDINGS = {0: "done", 1: "failed", 3: "exists", 4: "failed", 130: "interrupted", 143: "interrupted"}


class Job(NamedTuple):
    """What a client is given: the place as the proxy shows it, what to publish or the result to read, and a target."""

    case: Case
    place: Sandbox
    key: str
    source: Path
    result: Path
    target: Path


def play(job: Job, answers: Connection) -> None:
    """Runs the case and sends its ``Outcome``; the whole life of the process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job has not
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]
    os.environ.update(job.place.environment, HOME=str(job.target.parent), KEYSTOW_ENGINE=job.case.engine)
    with open(os.devnull, "wb") as nothing:
        for stream in (1, 2):  # on which a library's panic prints pages
            os.dup2(nothing.fileno(), stream)
    answers.send(None)
    if hasattr(job.case.fault, "hold"):
        job.case.fault.hold()
    begun = time.monotonic()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        outcome = _by_command(job) if job.case.by_command else _by_library(job)
    answers.send(outcome._replace(seconds=time.monotonic() - begun))
    os._exit(0)  # what a stuck thread holds on to is not waited for: the outcome has been told


def _by_library(job: Job) -> Outcome:
    from keystow.backends import AlreadyExistsError, UnknownOutcomeError

    try:
        return _done(job)
    except BaseException as error:  # noqa: BLE001  every kind is judged
        told = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
        kinds = [(AlreadyExistsError, "exists"), (UnknownOutcomeError, "unknown")]
        own = type(error).__module__.startswith("keystow") or (isinstance(error, OSError) and job.case.by_limit)
        kind = next((kind for known, kind in kinds if isinstance(error, known)), "failed" if own else "raw")
        return Outcome(kind, told=told, arrived=_arrived(told))


def _done(job: Job) -> Outcome:
    from keystow import Context, fetch, presign, publish, verify

    case = job.case
    if case.publishes:
        destination = job.place.destination(job.key)
        archive = case.what != "prefix"
        found = publish(job.source, destination, Context(), archive=archive, if_exists=case.if_exists)  # type: ignore[arg-type]
        return Outcome("done", sha256=found.checksum_sha256.hex if found.checksum_sha256 else "")
    if case.mode == "list":
        with contextlib.closing(job.place.open()) as store:
            return Outcome("done", names=tuple(found.key for found in store.list(job.key)))
    if case.mode == "get-url":
        return Outcome("done", sha256=fetch(presign(job.result, expires=600), job.target).sha256.hex)
    done = fetch(job.result, job.target) if case.mode.startswith("get") else verify(job.result)
    return Outcome("done", sha256=done.sha256.hex)


def _by_command(job: Job) -> Outcome:
    from keystow.command import main

    case, said, complaint = job.case, io.StringIO(), io.StringIO()
    if case.publishes:
        plain = ["--plain"] if case.what == "prefix" else []
        words = ["publish", job.source, job.place.destination(job.key), "--if-exists", case.if_exists, *plain]
        words += ["--output", "json"]
    else:
        words = [case.mode.split("-")[0], job.result, *([job.target] if case.mode.startswith("get") else [])]
    with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(said):
        try:
            status = main([str(word) for word in words])
        except SystemExit as ending:
            status = int(str(ending.code))
        except BaseException as error:  # noqa: BLE001  an interrupt that nobody caught ends in a traceback
            return Outcome("raw", told=f"{type(error).__name__}: {error}")
        finally:
            for late in (signal.SIGINT, signal.SIGTERM):
                signal.signal(late, signal.SIG_IGN)
    told = complaint.getvalue()
    kind = "raw" if "Traceback" in told else _ENDINGS.get(status, "raw")
    sha256 = "".join(_checksums(json.loads(said.getvalue()))) if kind == "done" and case.publishes else ""
    return Outcome(kind, sha256=sha256, told=f"exit status {status}: {told}", arrived=_arrived(told))


def _checksums(said: dict[str, dict[str, dict[str, str]]]) -> Iterator[str]:
    checksum = said["PublishedResult"]["Params"].get("ChecksumSHA256")
    if checksum:
        yield checksum.removeprefix("0x")


def _arrived(told: str) -> int:
    found = _NOTE.search(told)
    return int(found[1]) if found else 0
