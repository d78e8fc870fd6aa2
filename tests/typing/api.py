"""The face as users type it: checked by mypy, never run."""

from collections.abc import Coroutine, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential, TokenCredential
from azure.core.credentials_async import AsyncTokenCredential
from botocore.credentials import Credentials as OfBotocore
from fsspec.callbacks import Callback
from google.oauth2.credentials import Credentials as OAuth

from keystow import (
    Agreement,
    Archive,
    Checksum,
    Context,
    Delivery,
    Difference,
    Fetched,
    Finding,
    Group,
    Listed,
    Outcome,
    PartlyPublishedError,
    Policy,
    PublishedResult,
    Publisher,
    PublisherSpec,
    S3Credentials,
    Store,
    Template,
    Ticket,
    TicketError,
    Verified,
    aagree,
    agree,
    diagnose,
    fetch,
    issue_ticket,
    lifecycle,
    list_files,
    list_published,
    open_archive,
    open_store,
    policy,
    presign,
    presign_each,
    publish,
    publish_each,
    publish_many,
    publish_with_ticket,
    verify,
)
from keystow.archive import Entry, Item, Tree, pack, scan, unpack
from keystow.backends import Credentials, Stat, Written
from keystow.keys import S3, Key, MatchTooCostlyError, check_key, object_key

context = Context(job_id="abc123", at=datetime(2023, 9, 26, tzinfo=UTC), labels={"run": "7"})
template: Template = Template("results/{jobID}/{run}", labels=["run"]).bind(run="7")
key: Key = object_key(template, context, archive=True)
exact: Key = object_key(template, context, archive=False, raw=True)
values: dict[str, str] | None = template.match(check_key(key, S3))
part: str = Template("{partitionIndex:04}").bind(partitionIndex=3).expand(Context(partition_index=3, partition_count=8))
too_costly: type[ValueError] = MatchTooCostlyError

spec = PublisherSpec.parse("s3://bucket/key")
result: PublishedResult = publish(Path("results"), spec, context, archive=True, if_exists="error", symlinks="inside")
raw: PublishedResult = publish(BytesIO(b"42"), "s3://bucket/key.bin", raw=True)
by_text: PublishedResult = publish("results", "s3://bucket/key", progress=lambda done, total: None)
gently: PublishedResult = publish("results", "s3://bucket/key", concurrency=4, memory=16 << 20)
by_callback: PublishedResult = publish("results", "s3://bucket/key", progress=Callback())
outcome: Outcome = next(publish_many([("results", spec, context), (Path("r"), {"Type": "s3"}, None)], processes=2))
either: tuple[PublishedResult | None, BaseException | None] = (outcome.result, outcome.error)
by_mapping: PublishedResult = publish("results", {"Type": "s3", "Params": {"Bucket": "b", "Key": "k"}})
checksum: Checksum | None = result.checksum_sha256
kept: str | None = result.store_checksum
entry: dict[str, object] = result.to_input_source("/inputs")
fetched: Fetched = fetch(result, Path("out"), verify=False)
verified: Verified = verify("result.yaml", progress=print, concurrency=1)
in_part: Fetched = fetch(result, "out", members=["*.csv"], index="old.index")
of_members: int | None = verify(result, members=["*.csv"], index=Path("old.index")).members
agreement: Agreement = agree([result, "result.yaml", Path("r"), "s3://b/k.tar.gz"], quorum=2, differences=3, timeout=30)
later: Coroutine[object, object, Agreement] = aagree([result, result], timeout=30)
group: Group = agreement.groups[0]
unlike: list[tuple[str, str]] = [(each.name, each.what) for each in agreement.differences]
of_group: set[Checksum] = {each.sha256 for each in agreement.differences} | {group.sha256}
one_of_them: Difference | None = next(iter(agreement.differences), None)
of_directories: list[Verified] = [verify(result, against="results", mtime=0), verify(result, against=scan("results"))]
with open_archive(result, timeout=30, index="old.index") as archive:
    as_it_is: Archive = archive
    entries: Mapping[str, Entry] = archive
    content: bytes = archive.open("score.txt").read()
item: Item = next(list_files(result, sha256="0" * 64))
of_file: tuple[str, int, str, str | None] = (item.name, item.size, item.sha256, item.version_id)
named: dict[str, str] = dict(presign_each("s3://bucket/run/", expires=60))
url: str = presign(result.to_mapping(), expires=timedelta(hours=1), pin_version=False)

least: Policy = policy(spec, role="publisher", context=context, if_exists="skip", with_abort=True, kms_key="alias/a")
to_list: Policy = policy(spec, role="requester", archive=False, manifest=False)
document: str = lifecycle("s3://bucket/key", archive=False).to_json()
whys: list[str] = [grant.why for grant in least.grants]
listed: Iterator[Listed] = list_published(spec, job_id="a", labels={"run": "7"}, since=datetime(2026, 1, 1, tzinfo=UTC))
again: list[Fetched] = [fetch(each.result, each.fields["jobID"]) for each in listed]
whether: list[bool | None] = [each.manifest for each in list_published("s3://bucket/{jobID}", archive=False)]
bare: Fetched = fetch("s3://bucket/run/", "out", manifest=False)
alone: Verified = verify(result, manifest=True, strict=True)
found: Finding = next(diagnose(spec, context, archive=True, write_probe=True, timeout=5, profile="lab"))
told: list[str] = [found.name, found.outcome, found.found, found.advice]

credentials = S3Credentials("id", "secret", "token", expires_at=datetime(2030, 1, 1, tzinfo=UTC))
ended: datetime | None = credentials.expires_at


def lent() -> S3Credentials:
    """A provider."""
    return credentials


given: Credentials = lent
by_provider: PublishedResult = publish("results", "s3://bucket/key", credentials=lent)
by_profile: Fetched = fetch(by_provider, "out", profile="lab")
by_key: str = presign(by_provider, expires=60, credentials=credentials)
publisher = Publisher("s3://bucket/key", credentials=given)
of_each: Iterator[tuple[str, str]] = publisher.presign_each(result, expires=60, pin_version=False)
of_ours: Archive = publisher.open_archive(result, verify=False)
opened: Store = open_store("s3://bucket", credentials=lent)
by_botocore: Store = open_store("s3://bucket", credentials=OfBotocore("id", "secret"))
by_google: Store = open_store("gs://bucket", credentials=OAuth("token"))  # type: ignore[no-untyped-call]
by_azure: Store = open_store("az://container", credentials=AzureNamedKeyCredential("account", "a2V5"))
by_sas: Store = open_store("az://container", credentials=AzureSasCredential("sig=a"))


def by_token(token: TokenCredential, awaited: AsyncTokenCredential) -> list[Store]:
    """What azure.identity has, and azure.identity.aio."""
    return [open_store("az://container", credentials=token), open_store("az://container", credentials=awaited)]


store: Store = open_store("memory://bucket", concurrency=4, memory=16 << 20)
written: Written = store.write("key", [b"data"], if_absent=True, content_type="text/plain", metadata={"a": "b"})
reported: str | None = written.checksum
stats: Iterator[Stat] = store.list("prefix/")
tree: Tree = scan("results", symlinks="follow")
chunks: Iterator[bytes] = pack(tree, level=3, threads=2)
unpack(chunks, "out")

delivered: list[Delivery] = publish_each("results", [spec, "file:///there/k"], context, require=1, if_exists="skip")
try:
    publish_each("results", ["memory://b/k"], require="all", raw=True)
except PartlyPublishedError as partly:
    failures: list[BaseException | None] = [each.error for each in partly.deliveries]

ticket: Ticket = issue_ticket("s3://bucket/key", context, expires=timedelta(hours=1), max_size=1 << 30, tags={"a": "b"})
ends: datetime = ticket.expires
by_ticket: PublishedResult = publish_with_ticket(BytesIO(b"42"), Ticket.from_json(ticket.to_json()), timeout=30)
no_ticket: type[ValueError] = TicketError
