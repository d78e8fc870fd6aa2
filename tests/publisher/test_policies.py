"""The specification's two IAM policies, enforced by a real server, and what their users are told beyond them."""

import io
import os
from dataclasses import replace

import pytest
from archive_strategies import seen
from commands import complaint, keystow
from conftest import same_tree
from reading import while_read

import keystow as ks
from keystow.archive import SourceChangedError
from keystow.backends import AccessDeniedError
from keystow.testing.servers import COMPUTE_NODE_POLICY, REQUESTER_POLICY

pytestmark = pytest.mark.server

PART = 8 << 20


@pytest.fixture(scope="module")
def compute_node(seaweed, bucket):
    return seaweed.user(COMPUTE_NODE_POLICY(bucket))


@pytest.fixture(scope="module")
def requester(seaweed, bucket):
    return seaweed.user(REQUESTER_POLICY(bucket))


@pytest.fixture(scope="module")
def versioned_requester(seaweed, versioned_bucket):
    return seaweed.user(REQUESTER_POLICY(versioned_bucket))


def destination(seaweed, bucket, key):
    return f"s3://{bucket}/{key},opt=endpoint={seaweed.endpoint}"


def test_a_compute_node_publishes_a_small_archive(seaweed, bucket, compute_node, login, small, tmp_path):
    login(compute_node)
    published = ks.publish(small, destination(seaweed, bucket, "node/small"))
    login(seaweed)
    assert ks.fetch(published, tmp_path / "back").verified
    assert seen(tmp_path / "back") == seen(small)


def test_a_compute_node_publishes_in_parts(seaweed, bucket, compute_node, login, real_tree, tmp_path):
    login(compute_node)
    published = ks.publish(real_tree, destination(seaweed, bucket, "node/parts"))
    login(seaweed)
    stored = seaweed.client().head_object(Bucket=bucket, Key=published.key)
    assert stored["ContentLength"] > PART
    assert stored["ETag"].strip('"').endswith(f"-{-(-stored['ContentLength'] // PART)}")
    assert ks.fetch(published, tmp_path / "back").verified
    assert same_tree(real_tree, tmp_path / "back")


def test_a_compute_node_publishes_a_plain_directory(seaweed, bucket, compute_node, login, files, tmp_path):
    login(compute_node)
    published = ks.publish(files, destination(seaweed, bucket, "node/plain"), archive=False)
    login(seaweed)
    assert ks.fetch(published, tmp_path / "back").verified
    assert same_tree(files, tmp_path / "back")


def test_a_compute_node_publishes_a_stream(seaweed, bucket, compute_node, login, tmp_path):
    login(compute_node)
    published = ks.publish(io.BytesIO(b"42"), destination(seaweed, bucket, "node/stream"), raw=True)
    login(seaweed)
    assert ks.verify(published).size == 2


@pytest.mark.parametrize("if_exists", ["error", "skip"])
def test_a_compute_node_may_ask_not_to_overwrite(seaweed, bucket, compute_node, login, small, if_exists):
    login(compute_node)
    place = destination(seaweed, bucket, f"node/once-{if_exists}")
    assert ks.publish(small, place, if_exists=if_exists).checksum_sha256
    if if_exists == "skip":
        assert ks.publish(small, place, if_exists="skip").checksum_sha256 is None
    else:
        with pytest.raises(FileExistsError, match=f"s3://{bucket}/node/once-error.tar.gz: already exists") as refused:
            ks.publish(small, place, if_exists="error")
        assert not isinstance(refused.value, ks.AlreadyPublishedError), "it may not be read"


@pytest.fixture(scope="module")
def shared(seaweed, bucket, versioned_bucket, tmp_path_factory):
    """What an administrator published: an archive, a plain directory, one without a manifest, and what has versions."""
    source = tmp_path_factory.mktemp("shared")
    (source / "score.txt").write_text("42")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", seaweed.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.secret_key)
        return {
            "archive": ks.publish(source, destination(seaweed, bucket, "shared/archive")),
            "plain": ks.publish(source, destination(seaweed, bucket, "shared/plain"), archive=False),
            "bare": ks.publish(source, destination(seaweed, bucket, "shared/bare"), archive=False, manifest=False),
            "versioned": ks.publish(source, destination(seaweed, versioned_bucket, "shared/versioned")),
            "raw": ks.publish(source / "score.txt", destination(seaweed, versioned_bucket, "shared/raw"), raw=True),
        }


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        (lambda store, key: b"".join(store.read(key)), "s3:GetObject"),
        (lambda store, key: list(store.list(key)), "s3:ListBucket"),
        (lambda store, key: store.delete(key), "s3:DeleteObject"),
        (lambda store, key: store.stat(key), "s3:GetObject"),
    ],
    ids=["read", "list", "delete", "stat"],
)
def test_a_compute_node_may_do_nothing_else(
    seaweed, bucket, compute_node, login, shared, stored, operation, permission
):
    login(compute_node)
    store = stored(shared["archive"])
    with pytest.raises(AccessDeniedError, match=f"allow {permission} on arn:aws:s3:::{bucket}"):
        operation(store, shared["archive"].key)
    store.close()
    login(seaweed)
    assert ks.verify(shared["archive"])


def yaml_file(tmp_path, result):
    import yaml

    path = tmp_path / "result.yaml"
    path.write_text(yaml.safe_dump({"PublishedResult": result.to_mapping()}))
    return path


@pytest.mark.parametrize("command", ["get", "verify"])
@pytest.mark.parametrize(
    ("kind", "permission"), [("archive", "s3:GetObject"), ("plain", "s3:GetObject"), ("bare", "s3:ListBucket")]
)
def test_what_a_compute_node_is_told_when_it_reads(
    seaweed, bucket, compute_node, login, shared, tmp_path, command, kind, permission
):
    login(compute_node)
    result = yaml_file(tmp_path, shared[kind])
    said = complaint(keystow(command, result, *([tmp_path / "back"] if command == "get" else [])), 1)
    assert "AccessDenied" in said
    assert f"allow {permission} on arn:aws:s3:::{bucket}" in said
    assert not (tmp_path / "back").exists()


def test_what_a_compute_node_is_told_of_another_bucket(
    seaweed, versioned_bucket, compute_node, login, small, real_tree
):
    login(compute_node)
    for source in (small, real_tree):
        said = complaint(keystow("publish", source, destination(seaweed, versioned_bucket, "node/elsewhere")), 1)
        assert f"s3://{versioned_bucket}/node/elsewhere.tar.gz" in said
        assert f"allow s3:PutObject on arn:aws:s3:::{versioned_bucket}/*" in said


def test_a_requester_fetches_directly(requester, login, shared, tmp_path):
    login(requester)
    assert ks.verify(shared["archive"]).objects == 1
    assert ks.fetch(shared["archive"], tmp_path / "back").verified
    assert (tmp_path / "back" / "score.txt").read_text() == "42"


def test_a_requester_signs_a_url_for_others(requester, login, shared, tmp_path, monkeypatch):
    """'The s3:GetObject permission is necessary for the requester node to provide a pre-signed URL to download the
    published results by the client.'
    """
    login(requester)
    url = ks.presign(shared["archive"], expires=600)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert ks.fetch(url, tmp_path / "back").sha256 == shared["archive"].checksum_sha256
    assert (tmp_path / "back" / "score.txt").read_text() == "42"


def test_a_requester_where_the_bucket_keeps_versions(versioned_requester, login, shared, tmp_path):
    """``s3:GetObject`` does not cover a named version: that is ``s3:GetObjectVersion``, on AWS as here."""
    login(versioned_requester)
    assert shared["versioned"].version_id
    url = ks.presign(shared["versioned"], expires=600, pin_version=False)
    assert ks.fetch(url, tmp_path / "by-url").sha256 == shared["versioned"].checksum_sha256
    assert ks.fetch(shared["versioned"], tmp_path / "directly").verified
    assert same_tree(tmp_path / "by-url", tmp_path / "directly")
    assert shared["raw"].version_id
    assert ks.fetch(shared["raw"], tmp_path / "raw").verified
    assert (tmp_path / "raw" / "raw").read_text() == "42"
    with pytest.raises(AccessDeniedError):
        ks.fetch(replace(shared["raw"], checksum_sha256=None), tmp_path / "unproven")
    unverifiable = replace(shared["versioned"], checksum_sha256=None)
    with pytest.raises(AccessDeniedError) as caught:
        ks.fetch(unverifiable, tmp_path / "refused")
    assert "the current object was not tried" in caught.value.__notes__[0]

    pinned = ks.presign(shared["versioned"], expires=600)
    said = complaint(keystow("get", pinned, tmp_path / "refused"), 1)
    assert "pins no version" in said
    assert "Signature" not in said.replace("SignatureDoesNotMatch", "")
    assert pinned.partition("?")[2] not in said
    assert not (tmp_path / "refused").exists()


def test_where_the_current_object_is_another_a_requester_is_not_given_it(
    seaweed, versioned_bucket, versioned_requester, login, small, files, tmp_path
):
    login(seaweed)
    place = destination(seaweed, versioned_bucket, "shared/overwritten")
    old = ks.publish(small, place)
    ks.publish(files, place)
    login(versioned_requester)
    said = complaint(keystow("get", yaml_file(tmp_path, old), tmp_path / "back"), 4)
    assert old.checksum_sha256 in said
    assert not (tmp_path / "back").exists()
    login(seaweed)
    assert ks.fetch(old, tmp_path / "back").verified


@pytest.mark.parametrize("size", ["one request", "in parts", "plain"])
def test_what_a_requester_is_told_when_it_publishes(seaweed, bucket, requester, login, small, files, real_tree, size):
    login(requester)
    source = {"one request": small, "in parts": real_tree, "plain": files}[size]
    ran = keystow(
        "publish", source, destination(seaweed, bucket, "refused-to-a-requester/x"), *["--plain"] * (size == "plain")
    )
    assert (ran.status, ran.out) == (1, "")
    assert "Traceback" not in ran.err
    first, *notes = [line for line in ran.err.splitlines() if "looks like secrets" not in line]
    assert f"allow s3:PutObject on arn:aws:s3:::{bucket}/*" in first
    assert len(notes) == (size == "plain")
    assert "Contents" not in seaweed.client().list_objects_v2(Bucket=bucket, Prefix="refused-to-a-requester/")


def test_what_a_requester_is_told_when_it_lists(requester, bucket, login, shared, tmp_path):
    login(requester)
    assert keystow("get", yaml_file(tmp_path, shared["plain"]), tmp_path / "whole").status == 0
    said = complaint(keystow("get", yaml_file(tmp_path, shared["bare"]), tmp_path / "back"), 1)
    assert f"allow s3:ListBucket on arn:aws:s3:::{bucket}," in said


REFUSED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def refuse_abort(proxy):
    proxy.answer(lambda method, path: method == "DELETE", 403, REFUSED, nth=None)


def test_a_source_that_fails_is_reported_where_the_upload_may_not_be_aborted(
    bucket, proxy, compute_node, login, tmp_path, noise, monkeypatch
):
    login(compute_node)
    refuse_abort(proxy)

    def shrink(done, total):
        if done > total * 8 // 10:
            os.truncate(noise / "data", 1000)

    monkeypatch.setattr("keystow.publishing.scan", while_read(shrink))
    with pytest.raises(SourceChangedError, match="changed while it was packed") as caught:
        ks.publish(noise, f"s3://{bucket}/abort/source,opt=endpoint={proxy.url}")
    assert [exchange.status for exchange in proxy.requests if exchange.method == "DELETE"] == [403]
    assert len(caught.value.__notes__) == 1
    assert "could not be removed (AccessDenied)" in caught.value.__notes__[0]


def test_a_part_that_is_refused_is_reported_where_the_upload_may_not_be_aborted(
    bucket, proxy, compute_node, login, noise
):
    login(compute_node)
    refuse_abort(proxy)
    full = b"<Error><Code>QuotaExceeded</Code><Message>The bucket is full</Message></Error>"
    proxy.answer(lambda method, path: "partNumber=2" in path, 403, full, nth=None)
    ran = keystow("publish", noise, f"s3://{bucket}/abort/part,opt=endpoint={proxy.url}")
    assert (ran.status, ran.out) == (1, "")
    first, note = ran.err.splitlines()
    assert "QuotaExceeded: The bucket is full" in first
    assert "could not be removed (AccessDenied)" in note
    assert "lifecycle rule" in note
