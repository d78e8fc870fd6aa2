"""The same tree under the same template is the same key, the same SHA-256 and the same tree in every store."""

import hashlib
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from keystow import PublisherSpec, fetch, publish
from keystow.archive.manifest import NAME
from keystow.keys import AZURE, FILE, GCS, S3, KeyRuleError, check_key, object_key
from keystow.testing import strategies

pytestmark = pytest.mark.server


@pytest.fixture
def sandboxes(keystow_memory, keystow_file, keystow_s3, keystow_gcs, keystow_azure):
    return [keystow_memory, keystow_file, keystow_s3, keystow_gcs, keystow_azure]


def everyone_can_hold(template, context, names, *, archive):
    try:
        for rules in (S3, GCS, AZURE, FILE):
            key = object_key(template, context, archive=archive, rules=rules)
            check_key(key, rules, names=None if archive else names)
    except KeyRuleError:
        return False
    return True


def make(directory, tree):
    for name, content in tree.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)


def read_back(directory):
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def listed(digests):
    lines = (b"%s  %s\0" % (digest.encode(), name) for name, digest in sorted(digests.items()))
    return hashlib.sha256(b"".join(lines)).hexdigest()


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "plain"])
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(tree=strategies.trees(), template=strategies.templates(), context=strategies.contexts())
def test_every_store_tells_the_same(sandboxes, archive, tree, template, context):
    """The SHA-256 is also that of what the store itself holds, as counted here."""
    text = f"{uuid.uuid4()}/{template.text}"
    assume(everyone_can_hold(text, context, tree, archive=archive))
    told, held = [], []
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        make(source, tree)
        for sandbox in sandboxes:
            kind, _, bucket = sandbox.url.partition("://")
            result = publish(source, PublisherSpec(kind, bucket, text, sandbox.endpoint), context, archive=archive)
            fetched = fetch(result, Path(scratch) / sandbox.name)
            assert fetched.verified
            assert read_back(Path(fetched.directory)) == tree
            told.append((result.key, result.checksum_sha256.hex, fetched.sha256.hex))
            store = sandbox.open()
            held.append(
                {
                    o.key: hashlib.sha256(b"".join(store.read(o.key))).hexdigest()
                    for o in store.list(result.key)
                    if o.key != result.key + NAME  # it tells versions, which are each store's own
                }
            )
            store.close()
    assert told == [told[0]] * len(sandboxes)
    assert held == [held[0]] * len(sandboxes)
    key, checksum, _ = told[0]
    if archive:
        assert held[0] == {key: checksum}
    else:
        assert {name.removeprefix(key) for name in held[0]} == set(tree)
        assert checksum == listed({name.removeprefix(key).encode(): digest for name, digest in held[0].items()})
