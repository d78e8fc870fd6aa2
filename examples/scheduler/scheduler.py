"""A small scheduler: of many runners one claims a job, runs it in an empty directory, and publishes what it left."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import keystow
from keystow.backends import AlreadyExistsError, Store, StoreUnavailableError


def claim(store: Store, job_id: str, runner: str, attempts: int = 3) -> bool:
    """Whether the job is this runner's; true for one of all that ask, also if the store's answer gets lost."""
    for attempt in range(1, attempts + 1):
        try:
            store.write(f"claims/{job_id}", [runner.encode()], if_absent=True)
        except AlreadyExistsError:
            break
        except StoreUnavailableError:
            if attempt == attempts:
                raise
        else:
            return True
    return b"".join(store.read(f"claims/{job_id}")) == runner.encode()


def run(job: Callable[[Path], object], job_id: str, destination: str) -> keystow.PublishedResult:
    """Runs ``job`` in a directory of its own and publishes the results; nothing is published if it raises."""
    with tempfile.TemporaryDirectory() as directory:
        job(Path(directory))
        return keystow.publish(directory, destination, keystow.Context(job_id=job_id))
