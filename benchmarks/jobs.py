"""What is done at S3 from afar, by ours and by the fastest that are known.

The peers are tuned: as many requests at a time as they gain from, and none that they can do without.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.data import content_size
from benchmarks.fetching import BETWEEN, GET, standing
from benchmarks.job import Job, peers
from benchmarks.markdown import size
from benchmarks.publishing import KEY, PREFIX, into_bucket, laid_out, packed

_PARTS = "-c 16 -p 16"
"""s5cmd's parts: so many at a time, of so many MiB."""
_MANY = "--transfers 128 --checkers 128"
_STREAMS = "--multi-thread-streams 16 --multi-thread-cutoff 16M --multi-thread-chunk-size 16M --ignore-checksum"
_UPLOAD = "--s3-upload-concurrency 16 --s3-chunk-size 16M --s3-disable-checksum --s3-use-unsigned-payload=true"
"""rclone hashes nothing: neither the file, nor what it sends."""
_NO_TIMES = "--use-server-modtime"
"""rclone asks for no file's own time, which would be one more request for each."""
_NO_HEAD = "--s3-no-check-bucket --s3-no-head"
"""rclone asks neither for the bucket, nor after what it has sent."""


def eight(bench: Bench) -> list[Job]:
    """What is raced."""
    large, tree, files = bench.data.far, bench.data.tree, bench.data.files
    return [
        fetch_archive(large),
        fetch_archive(tree),
        fetch_files(files),
        fetch_file(large),
        publish_archive(tree),
        publish_files(files),
        publish_file(large),
        publish_archive(large),
    ]


def of_one_file(large: Path) -> list[Job]:
    """Those that carry one file, whatever its size."""
    return [fetch_archive(large), fetch_file(large), publish_file(large), publish_archive(large)]


def fetch_archive(source: Path) -> Job:
    """An archive, fetched and unpacked."""
    theirs = {
        "s5cmd cp, tar xz": f"s5cmd --log error cp {_PARTS} s3://$BUCKET/{KEY} {BETWEEN} && tar xzf {BETWEEN} -C out",
        "s5cmd cat, tar xz": f"s5cmd cat {_PARTS} s3://$BUCKET/{KEY} | tar xz -C out",
        "s5cmd cat, igzip, tar x": f"s5cmd cat {_PARTS} s3://$BUCKET/{KEY} | igzip -dc | tar x -C out",
    }
    return _fetch(f"fetch and unpack an archive of {counted(source)}", source, _packing(source), theirs)


def fetch_files(source: Path) -> Job:
    """Many small files from under a prefix."""
    theirs = {
        "s5cmd cp": f"s5cmd --log error --numworkers 256 cp 's3://'$BUCKET'/{PREFIX}*' out/",
        "rclone copy": f"rclone copy {_MANY} {_NO_TIMES} peer:$BUCKET/{PREFIX} out",
    }
    return _fetch(f"fetch {counted(source)} from under a prefix", source, _laying_out(source), theirs)


def fetch_file(source: Path) -> Job:
    """One large file from under a prefix."""
    theirs = {
        "s5cmd cp": f"s5cmd --log error cp {_PARTS} 's3://'$BUCKET'/{PREFIX}*' out/",
        "rclone copy": f"rclone copy {_STREAMS} {_NO_TIMES} peer:$BUCKET/{PREFIX} out",
    }
    return _fetch(f"fetch {counted(source)} from under a prefix", source, _laying_out(source), theirs)


def publish_archive(source: Path) -> Job:
    """A tree as an archive."""
    packing = f"tar c -C {source.name} . | igzip -2 -T 2"
    theirs = {
        f"tar, igzip, s5cmd pipe {_PARTS}": f"{packing} | s5cmd pipe {_PARTS} s3://$BUCKET/{KEY}",
        "tar, igzip, s5cmd pipe": f"{packing} | s5cmd pipe s3://$BUCKET/{KEY}",
    }
    return Job(
        f"publish {counted(source)} as an archive",
        source,
        _packing(source),
        peers(theirs),
        lambda bench, variables: nullcontext((into_bucket(bench.place.bucket, variables), packed(bench, source))),
    )


def publish_files(source: Path) -> Job:
    """Many small files under a prefix."""
    theirs = {
        "s5cmd cp": f"s5cmd --log error --numworkers 256 cp {source.name}/ s3://$BUCKET/{PREFIX}",
        "rclone copy": f"rclone copy {_MANY} {_NO_HEAD} {source.name} peer:$BUCKET/{PREFIX}",
    }
    return _publish_plain(source, theirs)


def publish_file(source: Path) -> Job:
    """One large file under a prefix."""
    theirs = {
        "s5cmd cp": f"s5cmd --log error cp {_PARTS} {source.name}/ s3://$BUCKET/{PREFIX}",
        "rclone copy": f"rclone copy {_UPLOAD} {_NO_HEAD} {source.name} peer:$BUCKET/{PREFIX}",
    }
    return _publish_plain(source, theirs)


def counted(source: Path) -> str:
    """What a directory holds, in words."""
    count, total = content_size(source)
    if count == 1:
        return f"one file of {size(total)}"
    alike = len({path.stat().st_size for path in source.rglob("*") if path.is_file()}) == 1
    return f"{count} files of {size(total / count)}" if alike else f"{count} files, {size(total)}"


def _fetch(title: str, source: Path, published: str, theirs: Mapping[str, str]) -> Job:
    return Job(
        title,
        source,
        GET,
        peers(theirs),
        lambda bench, variables: standing(bench, source, published, bench.place.bucket, variables),
    )


def _publish_plain(source: Path, theirs: Mapping[str, str]) -> Job:
    return Job(
        f"publish {counted(source)} under a prefix",
        source,
        _laying_out(source),
        peers(theirs),
        lambda bench, variables: nullcontext(
            (into_bucket(bench.place.bucket, variables), laid_out(bench.place.objects, source))
        ),
    )


def _packing(source: Path) -> str:
    return f"keystow publish {source.name} s3://$BUCKET/object"


def _laying_out(source: Path) -> str:
    return f"keystow publish {source.name} s3://$BUCKET/{PREFIX} --plain"
