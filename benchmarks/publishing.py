"""Publishing to S3: an archive, many small files, one large file."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.bench import Bench, Variables
from benchmarks.data import content_size
from benchmarks.markdown import size
from benchmarks.race import Aim
from benchmarks.section import Section
from benchmarks.workplace import Command, ours

_KEY = "object.tar.gz"
_PREFIX = "prefix/"


def archive(bench: Bench) -> list[Section]:
    """A tree as one archive."""
    count, total = content_size(bench.data.tree)
    commands = {
        **ours("keystow publish tree s3://$BUCKET/object"),
        "tar cz, aws s3 cp": Command(f"tar cz -C tree . | aws s3 cp --quiet - s3://$BUCKET/{_KEY}"),
        "tar, pigz, s5cmd pipe": Command(f"tar c -C tree . | pigz -p 2 | s5cmd pipe s3://$BUCKET/{_KEY}"),
        "tar, igzip, s5cmd pipe": Command(f"tar c -C tree . | igzip -2 -T 2 | s5cmd pipe s3://$BUCKET/{_KEY}"),
        "tarfile, boto3": Command(f"python tarfile_upload.py tree $BUCKET {_KEY}"),
    }
    aims = (
        Aim(("tar cz, aws s3 cp",), 6),
        Aim(("tar, pigz, s5cmd pipe",), 2.8),
        Aim(("tar, igzip, s5cmd pipe",), 1.2),
        Aim(("tarfile, boto3",), 8),
    )

    def check(variables: Variables) -> None:
        """The archive in the bucket has the tree's files and bytes."""
        body = bench.place.client.get_object(Bucket=variables["BUCKET"], Key=_KEY)["Body"]
        with tarfile.open(fileobj=body, mode="r|gz") as packed:
            sizes = [member.size for member in packed if member.isfile()]
        _expect((len(sizes), sum(sizes)), (count, total))

    job = f"publish {count} files, {size(total)}, as an archive to S3"
    return [bench.race(job, commands, _stage(bench), check, aims)]


def files(bench: Bench) -> list[Section]:
    """Many small files under a prefix."""
    count, total = content_size(bench.data.files)
    job = f"publish {count} files of {size(total / count)} under a prefix of S3"
    aims = (Aim(("aws s3 cp --recursive", "s3fs", "rclone copy", "boto3, 32 threads"), 2), Aim(("s5cmd cp",)))
    return [_plain(bench, job, bench.data.files, aims)]


def large(bench: Bench) -> list[Section]:
    """One large file under a prefix."""
    _, total = content_size(bench.data.large)
    aims = (Aim(("aws s3 cp --recursive", "s3fs", "rclone copy", "boto3, 32 threads", "s5cmd cp")),)
    return [_plain(bench, f"publish one file of {size(total)} under a prefix of S3", bench.data.large, aims)]


def _plain(bench: Bench, job: str, source: Path, aims: tuple[Aim, ...]) -> Section:
    name = source.name
    commands = {
        **ours(f"keystow publish {name} s3://$BUCKET/{_PREFIX} --plain"),
        "aws s3 cp --recursive": Command(f"aws s3 cp --quiet --recursive {name} s3://$BUCKET/{_PREFIX}"),
        "s3fs": Command(f"python s3fs_upload.py {name} $BUCKET prefix", "keystow"),
        "rclone copy": Command(f"rclone copy --s3-no-check-bucket --transfers 32 {name} peer:$BUCKET/{_PREFIX}"),
        "boto3, 32 threads": Command(f"python boto3_upload.py {name} $BUCKET prefix"),
        "s5cmd cp": Command(f"s5cmd --log error cp {name}/ s3://$BUCKET/{_PREFIX}"),
    }
    expected = {
        f"{_PREFIX}{path.relative_to(source)}": path.stat().st_size for path in source.rglob("*") if path.is_file()
    }

    def check(variables: Variables) -> None:
        """The bucket holds the files, with their sizes, and nothing else."""
        _expect(bench.place.objects(variables["BUCKET"]), expected)

    return bench.race(job, commands, _stage(bench), check, aims)


def _stage(bench: Bench) -> Callable[[], AbstractContextManager[Variables]]:
    @contextmanager
    def bucket() -> Iterator[Variables]:
        with bench.place.bucket() as name:
            yield {"BUCKET": name}

    return bucket


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"the bucket holds {str(found)[:500]}, and it should be {str(expected)[:500]}")
