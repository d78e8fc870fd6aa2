"""The face as users type it: checked by mypy, never run."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keystow import (
    Checksum,
    Context,
    Fetched,
    Outcome,
    PublishedResult,
    PublisherSpec,
    Store,
    Template,
    Verified,
    fetch,
    open_store,
    presign,
    publish,
    publish_many,
    verify,
)
from keystow.archive import Tree, pack, scan, unpack
from keystow.backends import Stat, Written
from keystow.keys import S3, Key, MatchTooCostlyError, check_key, object_key

context = Context(job_id="abc123", at=datetime(2023, 9, 26, tzinfo=UTC), labels={"run": "7"})
template: Template = Template("results/{jobID}/{run}", labels=["run"]).bind(run="7")
key: Key = object_key(template, context, archive=True)
values: dict[str, str] | None = template.match(check_key(key, S3))
part: str = Template("{partitionIndex:04}").bind(partitionIndex=3).expand(Context(partition_index=3, partition_count=8))
too_costly: type[ValueError] = MatchTooCostlyError

spec = PublisherSpec.parse("s3://bucket/key")
result: PublishedResult = publish(Path("results"), spec, context, archive=True, if_exists="error", symlinks="inside")
by_text: PublishedResult = publish("results", "s3://bucket/key", progress=lambda done, total: None)
outcome: Outcome = next(publish_many([("results", spec, context), (Path("r"), {"Type": "s3"}, None)], processes=2))
either: tuple[PublishedResult | None, BaseException | None] = (outcome.result, outcome.error)
by_mapping: PublishedResult = publish("results", {"Type": "s3", "Params": {"Bucket": "b", "Key": "k"}})
checksum: Checksum | None = result.checksum_sha256
kept: str | None = result.store_checksum
entry: dict[str, object] = result.to_input_source("/inputs")
fetched: Fetched = fetch(result, Path("out"), verify=False)
verified: Verified = verify("result.yaml")
url: str = presign(result.to_mapping(), expires=timedelta(hours=1), pin_version=False)

store: Store = open_store("memory://bucket")
written: Written = store.write("key", [b"data"], if_absent=True, content_type="text/plain", metadata={"a": "b"})
reported: str | None = written.checksum
stats: Iterator[Stat] = store.list("prefix/")
tree: Tree = scan("results", symlinks="follow")
chunks: Iterator[bytes] = pack(tree, level=3, threads=2)
unpack(chunks, "out")
