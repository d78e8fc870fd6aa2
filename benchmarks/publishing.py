"""Publishing to S3: an archive, many small files, one large file."""

import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType

from benchmarks.bench import Bench, Check, Stage, Variables
from benchmarks.data import content_size
from benchmarks.markdown import size
from benchmarks.race import Aim
from benchmarks.section import Section
from benchmarks.workplace import Command, ours
from keystow.archive.manifest import NAME

KEY = "object.tar.gz"
PREFIX = "prefix/"


def archive(bench: Bench) -> list[Section]:
    """A tree as one archive."""
    count, total = content_size(bench.data.tree)
    commands = {
        **ours("keystow publish tree s3://$BUCKET/object"),
        "tar cz, aws s3 cp": Command(f"tar cz -C tree . | aws s3 cp --quiet - s3://$BUCKET/{KEY}"),
        "tar, pigz, s5cmd pipe": Command(f"tar c -C tree . | pigz -p 2 | s5cmd pipe s3://$BUCKET/{KEY}"),
        "tar, igzip, s5cmd pipe": Command(f"tar c -C tree . | igzip -2 -T 2 | s5cmd pipe s3://$BUCKET/{KEY}"),
        "tarfile, boto3": Command(f"python tarfile_upload.py tree $BUCKET {KEY}"),
    }
    aims = (
        Aim(("tar cz, aws s3 cp",), 6),
        Aim(("tar, pigz, s5cmd pipe",), 2.8),
        Aim(("tar, igzip, s5cmd pipe",), 1.2),
        Aim(("tarfile, boto3",), 8),
    )

    job = f"publish {count} files, {size(total)}, as an archive to S3"
    return [bench.race(job, commands, into_bucket(bench.place.bucket), packed(bench, bench.data.tree), aims)]


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
        **ours(f"keystow publish {name} s3://$BUCKET/{PREFIX} --plain"),
        "aws s3 cp --recursive": Command(f"aws s3 cp --quiet --recursive {name} s3://$BUCKET/{PREFIX}"),
        "s3fs": Command(f"python fsspec_files.py put s3 {name}/ $BUCKET/{PREFIX}", "keystow"),
        "rclone copy": Command(f"rclone copy --s3-no-check-bucket --transfers 32 {name} peer:$BUCKET/{PREFIX}"),
        "boto3, 32 threads": Command(f"python boto3_upload.py {name} $BUCKET prefix"),
        "s5cmd cp": Command(f"s5cmd --log error cp {name}/ s3://$BUCKET/{PREFIX}"),
    }
    return bench.race(job, commands, into_bucket(bench.place.bucket), laid_out(bench.place.objects, source), aims)


def into_bucket(
    bucket: Callable[[], AbstractContextManager[str]], variables: Variables = MappingProxyType({})
) -> Stage:
    """Gives each run a bucket of its own, and ``variables``."""

    @contextmanager
    def stage() -> Iterator[Variables]:
        with bucket() as name:
            yield {**variables, "BUCKET": name}

    return stage


def packed(bench: Bench, tree: Path) -> Check:
    """The archive in the bucket has the tree's files and bytes."""

    def check(variables: Variables) -> None:
        body = bench.place.client.get_object(Bucket=variables["BUCKET"], Key=KEY)["Body"]
        with tarfile.open(fileobj=body, mode="r|gz") as archive:
            sizes = [member.size for member in archive if member.isfile()]
        _expect((len(sizes), sum(sizes)), content_size(tree))

    return check


def laid_out(objects: Callable[[str], Mapping[str, int]], source: Path) -> Check:
    """The bucket holds the files, with their sizes, and nothing else but the manifest of keystow's."""
    expected = {
        f"{PREFIX}{path.relative_to(source)}": path.stat().st_size for path in source.rglob("*") if path.is_file()
    }

    def check(variables: Variables) -> None:
        found = objects(variables["BUCKET"])
        _expect({key: length for key, length in found.items() if key != PREFIX + NAME}, expected)

    return check


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"the bucket holds {str(found)[:500]}, and it should be {str(expected)[:500]}")
