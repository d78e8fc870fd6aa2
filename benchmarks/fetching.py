"""Fetching from S3: an archive that is unpacked, and many small files."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench import Bench, Variables
from benchmarks.data import content_size
from benchmarks.markdown import size
from benchmarks.race import Aim
from benchmarks.section import Section
from benchmarks.workplace import IN_ONE_PIECE, Command, ours


def archive(bench: Bench) -> list[Section]:
    """An archive, fetched and unpacked."""
    count, total = content_size(bench.data.tree)
    key = "$BUCKET/object.tar.gz"
    commands = {
        **ours("keystow get published.yaml out"),
        "aws s3 cp, tar xz": Command(f"AWS_PROFILE={IN_ONE_PIECE} aws s3 cp --quiet s3://{key} - | tar xz -C out"),
        "rclone cat, tar xz": Command(f"rclone cat peer:{key} | tar xz -C out"),
        "s5cmd cat, tar xz": Command(f"s5cmd cat s3://{key} | tar xz -C out"),
    }
    aims = (Aim(("aws s3 cp, tar xz", "rclone cat, tar xz", "s5cmd cat, tar xz")),)
    job = f"fetch and unpack an archive of {count} files, {size(total)}, from S3"
    published = "keystow publish tree s3://$BUCKET/object > published.yaml"
    return [_fetched(bench, job, bench.data.tree, published=published, commands=commands, aims=aims)]


def files(bench: Bench) -> list[Section]:
    """Many small files under a prefix."""
    count, total = content_size(bench.data.files)
    commands = {
        **ours("keystow get published.yaml out"),
        "aws s3 cp --recursive": Command("aws s3 cp --quiet --recursive s3://$BUCKET/prefix/ out"),
        "rclone copy": Command("rclone copy --transfers 32 peer:$BUCKET/prefix out"),
        "s5cmd cp": Command("s5cmd --log error cp 's3://'$BUCKET'/prefix/*' out/"),
    }
    aims = (Aim(("aws s3 cp --recursive", "rclone copy", "s5cmd cp")),)
    job = f"fetch {count} files of {size(total / count)} from under a prefix of S3"
    published = "keystow publish files s3://$BUCKET/prefix/ --plain > published.yaml"
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
    out = bench.place.directory / "out"

    @contextmanager
    def empty(bucket: str) -> Iterator[Variables]:
        out.mkdir()
        try:
            yield {"BUCKET": bucket}
        finally:
            shutil.rmtree(out)

    def check(_: Variables) -> None:
        """What was fetched is what was published."""
        subprocess.run(["diff", "-r", "--no-dereference", source, out], check=True, stdout=subprocess.DEVNULL)

    with bench.place.bucket() as bucket:
        bench.place.run(Command(published, "keystow"), BUCKET=bucket)
        return bench.race(job, commands, lambda: empty(bucket), check, aims)
