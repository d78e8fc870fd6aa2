"""Fetching from S3: an archive that is unpacked, and many small files."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType

from benchmarks.bench import Bench, Check, Stage, Variables
from benchmarks.data import content_size
from benchmarks.markdown import size
from benchmarks.race import Aim
from benchmarks.section import Section
from benchmarks.workplace import IN_ONE_PIECE, RESULT, Command, ours, publishers
from keystow.archive.manifest import NAME

GET = f"keystow get {RESULT} out"
"""Fetches what was published into a bucket, the result of which is named after it."""
BETWEEN = "fetched.tar.gz"
"""Where a peer may put an archive before it unpacks it."""


def archive(bench: Bench) -> list[Section]:
    """An archive, fetched and unpacked."""
    count, total = content_size(bench.data.tree)
    key = "$BUCKET/object.tar.gz"
    commands = {
        **ours(GET),
        "aws s3 cp, tar xz": Command(f"AWS_PROFILE={IN_ONE_PIECE} aws s3 cp --quiet s3://{key} - | tar xz -C out"),
        "rclone cat, tar xz": Command(f"rclone cat peer:{key} | tar xz -C out"),
        "s5cmd cat, tar xz": Command(f"s5cmd cat s3://{key} | tar xz -C out"),
    }
    aims = (Aim(("aws s3 cp, tar xz", "rclone cat, tar xz", "s5cmd cat, tar xz")),)
    job = f"fetch and unpack an archive of {count} files, {size(total)}, from S3"
    published = "keystow publish tree s3://$BUCKET/object"
    return [_fetched(bench, job, bench.data.tree, published=published, commands=commands, aims=aims)]


def files(bench: Bench) -> list[Section]:
    """Many small files under a prefix."""
    count, total = content_size(bench.data.files)
    commands = {
        **ours(GET),
        "aws s3 cp --recursive": Command("aws s3 cp --quiet --recursive s3://$BUCKET/prefix/ out"),
        "rclone copy": Command("rclone copy --transfers 32 peer:$BUCKET/prefix out"),
        "s5cmd cp": Command("s5cmd --log error cp 's3://'$BUCKET'/prefix/*' out/"),
    }
    aims = (Aim(("aws s3 cp --recursive", "rclone copy", "s5cmd cp")),)
    job = f"fetch {count} files of {size(total / count)} from under a prefix of S3"
    published = "keystow publish files s3://$BUCKET/prefix/ --plain"
    return [_fetched(bench, job, bench.data.files, published=published, commands=commands, aims=aims)]


def _fetched(
    bench: Bench,
    job: str,
    source: Path,
    *,
    published: str,
    commands: Mapping[str, Command],
    aims: Sequence[Aim],
) -> Section:
    with standing(bench, source, published, bench.place.bucket) as (stage, check):
        return bench.race(job, commands, stage, check, aims)


@contextmanager
def standing(
    bench: Bench,
    source: Path,
    published: str,
    bucket: Callable[[], AbstractContextManager[str]],
    variables: Variables = MappingProxyType({}),
) -> Iterator[tuple[Stage, Check]]:
    """Within this, the command ``published`` has published ``source`` into a bucket, for ``GET`` to fetch it.

    It gives what each run is given, and checked by; ``variables`` are for all commands.
    """
    out = bench.place.directory / "out"
    between = bench.place.directory / BETWEEN

    @contextmanager
    def empty() -> Iterator[Variables]:
        out.mkdir()
        try:
            yield given
        finally:
            shutil.rmtree(out)
            between.unlink(missing_ok=True)

    def check(_: Variables) -> None:
        """What was fetched is what was published."""
        subprocess.run(
            ["diff", "-r", "--no-dereference", f"--exclude={NAME}", source, out], check=True, stdout=subprocess.DEVNULL
        )

    with bucket() as name:
        given = {**variables, "BUCKET": name}
        for command in publishers(published):
            bench.place.run(command, **given)
        yield empty, check
