"""What ``keystow policy`` prints, enforced by a real server: it is enough, and nothing in it is spare.

SeaweedFS takes policies through its IAM API. What it does not tell apart is declared at the end.
"""

import io
import json
import os
import urllib.request
from dataclasses import replace

import pytest
from commands import keystow
from conftest import same_tree

import keystow as ks
from keystow.backends import AccessDeniedError, AlreadyExistsError, open_store
from keystow.testing.servers import Credentials, Moto

pytestmark = pytest.mark.server


@pytest.fixture
def place(seaweed, bucket, versioned_bucket, request):
    """A destination below a prefix that no other test has."""
    own = "".join(c if c.isalnum() else "-" for c in request.node.name)

    def placed(key, *, versioned=False, options=""):
        at = versioned_bucket if versioned else bucket
        return f"s3://{at}/{own}/{key},opt=endpoint={seaweed.endpoint}{options}"

    return placed


@pytest.fixture
def enter(seaweed, login):
    """Goes on as a new user, who has what the command prints, and no more; ``without`` takes a permission out again."""

    def entered(destination, *arguments, without=None):
        ran = keystow("policy", destination, *arguments)
        assert ran.status == 0, ran.err
        policy = json.loads(ran.out)
        for statement in policy["Statement"]:
            statement["Action"] = [action for action in statement["Action"] if action != without]
        policy["Statement"] = [statement for statement in policy["Statement"] if statement["Action"]]
        if not policy["Statement"]:
            policy["Statement"] = [{"Effect": "Allow", "Action": ["s3:ListAllMyBuckets"], "Resource": "*"}]
        login(seaweed.user(policy))

    return entered


@pytest.fixture
def opened(seaweed):
    """The store of a destination, and its key."""
    stores = []

    def open_it(destination):
        url = destination.partition(",")[0]
        bucket, _, key = url.removeprefix("s3://").partition("/")
        stores.append(open_store(f"s3://{bucket}", endpoint=seaweed.endpoint))
        return stores[-1], key

    yield open_it
    for store in stores:
        store.close()


JOB = ks.Context(job_id="abc123")


# A publisher's is enough


@pytest.mark.parametrize("versioned", [False, True])
@pytest.mark.parametrize("if_exists", ["replace", "error", "skip"])
def test_an_archive_is_published_in_each_mode(place, enter, login, seaweed, small, tmp_path, if_exists, versioned):
    to = place("{jobID}/archive", versioned=versioned)
    enter(to, "--role", "publisher", "--if-exists", if_exists)
    published = ks.publish(small, to, JOB, if_exists=if_exists)
    if if_exists == "replace":
        published = ks.publish(small, to, JOB)
    elif if_exists == "error":
        with pytest.raises(FileExistsError):
            ks.publish(small, to, JOB, if_exists="error")
    else:
        again = ks.publish(small, to, JOB, if_exists="skip")
        assert again.checksum_sha256 == published.checksum_sha256, "it was compared"
    login(seaweed)
    assert ks.fetch(published, tmp_path / "back").verified


def test_files_under_a_prefix_are_published(place, enter, login, seaweed, files, tmp_path):
    to = place("{jobID}/plain")
    enter(to, "--role", "publisher", "--plain", "--if-exists", "skip")
    published = ks.publish(files, to, JOB, archive=False, if_exists="skip")
    again = ks.publish(files, to, JOB, archive=False, if_exists="skip")
    assert again.index_sha256 == published.index_sha256
    enter(to, "--role", "publisher", "--plain", "--if-exists", "error")
    once = place("{jobID}/once")
    assert ks.publish(files, once, JOB, archive=False, if_exists="error").index_sha256
    with pytest.raises(AlreadyExistsError):
        ks.publish(files, once, JOB, archive=False, if_exists="error")
    login(seaweed)
    ks.fetch(published, tmp_path / "back")
    assert same_tree(files, tmp_path / "back")


def test_a_stream_is_published_under_the_one_key_there_is(place, enter, login, seaweed):
    to = place("exact.bin")
    enter(to, "--role", "publisher", "--raw")
    published = ks.publish(io.BytesIO(b"42"), to, raw=True)
    login(seaweed)
    assert ks.verify(published).size == 2


def test_an_object_of_many_parts_is_published(place, enter, login, seaweed, noise):
    to = place("{jobID}/parts")
    enter(to, "--role", "publisher")
    published = ks.publish(noise, to, JOB)
    login(seaweed)
    assert "-" in seaweed.client().head_object(Bucket=published.bucket, Key=published.key)["ETag"]
    assert ks.verify(published).size > 8 << 20


def test_what_is_said_of_how_objects_are_written(place, enter, small, seaweed, login):
    to = place("{jobID}/tagged", options=",opt=tags=project=apollo,opt=kmskeyid=results")
    enter(to, "--role", "publisher")
    published = ks.publish(small, to, JOB)
    enter(to, "--role", "requester")
    assert ks.verify(published).objects == 1
    login(seaweed)
    at = {"Bucket": published.bucket, "Key": published.key}
    assert seaweed.client().get_object_tagging(**at)["TagSet"] == [{"Key": "project", "Value": "apollo"}]
    assert seaweed.client().head_object(**at)["SSEKMSKeyId"] == "results"


# A requester's is enough


@pytest.mark.parametrize("versioned", [False, True])
def test_an_archive_is_fetched_verified_and_handed_on(place, enter, login, seaweed, small, tmp_path, versioned):
    to = place("{jobID}/archive", versioned=versioned)
    login(seaweed)
    published = ks.publish(small, to, JOB)
    assert (published.version_id is not None) == versioned
    ks.publish(small, to, JOB, mtime=0)
    if not versioned:
        published = ks.publish(small, to, JOB)
    enter(to, "--role", "requester", *["--with-versions"] * versioned)
    assert ks.verify(published).objects == 1
    assert ks.fetch(published, tmp_path / "back").verified
    with urllib.request.urlopen(ks.presign(published, expires=60)) as answer:
        assert answer.read(2) == b"\x1f\x8b"


def test_files_under_a_prefix_are_fetched(place, enter, login, seaweed, files, tmp_path):
    to = place("{jobID}/plain")
    login(seaweed)
    published = ks.publish(files, to, JOB, archive=False)
    bare = ks.publish(files, place("{jobID}/bare"), JOB, archive=False, manifest=False)
    enter(to, "--role", "requester", "--plain")
    assert ks.verify(published).objects == 4
    ks.fetch(published, tmp_path / "back")
    assert same_tree(files, tmp_path / "back")
    refused(lambda: ks.verify(bare))
    refused(lambda: ks.verify(published, strict=True))
    enter(to, "--role", "requester", "--plain", "--no-manifest")
    assert ks.verify(bare).objects == ks.verify(published, strict=True).objects == 4


# They are tight


def refused(work):
    with pytest.raises(AccessDeniedError):
        work()


@pytest.mark.parametrize("arguments", [[], ["--plain"], ["--with-abort"], ["--if-exists", "error"]])
def test_a_publisher_writes_there_and_does_nothing_else(place, enter, opened, arguments):
    to = place("{jobID}/k")
    enter(to, "--role", "publisher", *arguments)
    store, key = opened(to)
    own = key.removesuffix("{jobID}/k")
    store.write(f"{own}any/x", [b"ours"])
    for other in (own.removesuffix("/"), f"{own.removesuffix('/')}-2/x", f"x/{own}x", "x"):
        refused(lambda other=other: store.write(other, [b"x"]))
    refused(lambda: list(store.read(f"{own}any/x")))
    refused(lambda: store.stat(f"{own}any/x"))
    refused(lambda: list(store.list(own)))
    refused(lambda: store.delete(f"{own}any/x"))


def test_a_publisher_that_compares_reads_there_and_nowhere_else(place, enter, opened, login, seaweed):
    to = place("{jobID}/k")
    login(seaweed)
    administrator, key = opened(to)
    other = f"other-{key.removesuffix('{jobID}/k')}x"
    administrator.write(other, [b"theirs"])
    enter(to, "--role", "publisher", "--if-exists", "skip")
    store, _ = opened(to)
    refused(lambda: list(store.read(other)))
    refused(lambda: list(store.list(key.removesuffix("{jobID}/k"))))


def test_one_key_is_one_key(place, enter, opened):
    to = place("exact")
    enter(to, "--role", "publisher")
    store, key = opened(to)
    store.write(f"{key}.tar.gz", [b"ours"])
    for other in (key, f"{key}.tar.gz2", f"{key}.tar.gz/x", f"{key}.tar.g"):
        refused(lambda other=other: store.write(other, [b"x"]))


def test_what_is_typed_of_a_job_narrows_it_to_that_job(place, enter, small):
    to = place("{jobID}/{run}/k")
    enter(to, "--role", "publisher", "--job-id", "abc123")
    labelled = ks.Context(job_id="abc123", labels={"run": "7"})
    assert ks.publish(small, to, labelled).checksum_sha256
    refused(lambda: ks.publish(small, to, ks.Context(job_id="abc124", labels={"run": "7"})))


@pytest.mark.parametrize("arguments", [[], ["--plain"], ["--plain", "--no-manifest"], ["--with-versions"]])
def test_a_requester_reads_there_and_does_nothing_else(place, enter, opened, login, seaweed, arguments):
    to = place("{jobID}/k", versioned=True)
    login(seaweed)
    administrator, key = opened(to)
    own = key.removesuffix("{jobID}/k")
    version = administrator.write(f"{own}any/x", [b"ours"]).version_id
    administrator.write(f"other-{own}x", [b"theirs"])
    enter(to, "--role", "requester", *arguments)
    store, _ = opened(to)
    assert b"".join(store.read(f"{own}any/x")) == b"ours"
    refused(lambda: list(store.read(f"other-{own}x")))
    refused(lambda: store.write(f"{own}any/x", [b"x"]))
    refused(lambda: store.delete(f"{own}any/x"))
    for prefix in ("", own.removesuffix("/"), f"other-{own}", "o"):
        refused(lambda prefix=prefix: list(store.list(prefix)))
    if "--no-manifest" in arguments:
        assert [found.key for found in store.list(f"{own}any/")] == [f"{own}any/x"]
    else:
        refused(lambda: list(store.list(own)))
    if "--with-versions" in arguments:
        assert b"".join(store.read(f"{own}any/x", version_id=version)) == b"ours"
    else:
        refused(lambda: list(store.read(f"{own}any/x", version_id=version)))


def test_a_list_needs_to_list_there_and_nothing_else(place, enter, login, seaweed, small):
    to = place("{jobID}/archive")
    login(seaweed)
    published = ks.publish(small, to, JOB)
    enter(to, "--role", "requester", "--plain", "--no-manifest", without="s3:GetObject")
    assert [each.key for each in ks.list_published(to)] == [published.key]
    enter(to, "--role", "requester")
    refused(lambda: list(ks.list_published(to)))


def test_each_permission_of_a_publisher_is_missed(place, enter, small):
    to = place("{jobID}/k")
    enter(to, "--role", "publisher", without="s3:PutObject")
    refused(lambda: ks.publish(small, to, JOB))
    enter(to, "--role", "publisher", "--if-exists", "skip", without="s3:GetObject")
    assert ks.publish(small, to, JOB, if_exists="skip").checksum_sha256
    assert ks.publish(small, to, JOB, if_exists="skip").checksum_sha256 is None, "it was not compared"


def test_each_permission_of_a_requester_is_missed(place, enter, login, seaweed, small, files, tmp_path):
    archive, plain = place("{jobID}/archive", versioned=True), place("{jobID}/plain", versioned=True)
    login(seaweed)
    one, many = ks.publish(small, archive, JOB), ks.publish(files, plain, JOB, archive=False)
    enter(archive, "--role", "requester", "--with-versions", without="s3:GetObject")
    refused(lambda: ks.verify(replace(one, version_id=None)))
    enter(archive, "--role", "requester", "--with-versions", without="s3:GetObjectVersion")
    refused(lambda: ks.fetch(replace(one, checksum_sha256=None), tmp_path / "back"))
    enter(plain, "--role", "requester", "--plain", "--no-manifest", without="s3:ListBucket")
    refused(lambda: ks.verify(many, manifest=False))


# What is left of an upload that fails


@pytest.fixture
def enforcing(monkeypatch):
    """moto, which heeds IAM's policies once ``enforce`` was called."""
    with Moto() as server:

        def enforce():
            monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
            monkeypatch.setattr("moto.core.responses.ActionAuthenticatorMixin.request_count", 0)

        server.enforce = enforce
        yield server


@pytest.mark.parametrize("may", [False, True])
def test_the_parts_of_an_upload_that_fails_are_removed_by_who_may(enforcing, login, may, monkeypatch):
    """On moto, as SeaweedFS takes the permission to write for that to abort; it may take its time for the answer."""
    monkeypatch.setattr("keystow.backends.s3.upload._ABORT_SECONDS", 60)
    bucket = enforcing.make_bucket()
    to = f"s3://{bucket}/results/{{jobID}},opt=endpoint={enforcing.endpoint}"
    made = ks.policy(to, role="publisher", raw=True, with_abort=may)
    iam = enforcing._client("iam", Credentials("any", "key"))
    iam.create_user(UserName=bucket)
    iam.put_user_policy(UserName=bucket, PolicyName="printed", PolicyDocument=made.to_json())
    key = iam.create_access_key(UserName=bucket)["AccessKey"]
    login(Credentials(key["AccessKeyId"], key["SecretAccessKey"]))

    class Failing(io.RawIOBase):
        left = 20 << 20

        def readable(self):
            return True

        def readinto(self, buffer):
            if self.left <= 0:
                raise RuntimeError("the job was killed")
            self.left -= len(buffer)
            return len(buffer)

    enforcing.enforce()
    with pytest.raises(RuntimeError) as failed:
        ks.publish(Failing(), to, JOB, raw=True)
    notes = getattr(failed.value, "__notes__", [])
    assert [note for note in notes if "could not be removed (AccessDenied)" in note] == notes
    assert bool(notes) != may
    refused(lambda: ks.verify(f"s3://{bucket}/results/abc123,opt=endpoint={enforcing.endpoint}", sha256="0" * 64))


def test_the_rule_for_unfinished_uploads_is_one_that_servers_take(seaweed):
    bucket = seaweed.make_bucket()
    ran = keystow("policy", f"s3://{bucket}/results/{{jobID}}", "--lifecycle")
    printed = json.loads(ran.out)
    with Moto() as moto:
        moto.make_bucket(bucket)
        for server in (seaweed, moto):
            client = server.client()
            client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=printed)
            assert client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == printed["Rules"]


# Gaps of the server: what it does not tell apart, or reads otherwise than AWS


def test_the_server_takes_the_permission_to_write_for_those_to_tag_and_to_abort(place, enter, seaweed, small):
    to = place("{jobID}/k")
    enter(to, "--role", "publisher")
    tagged = ks.publish(small, to, JOB, tags={"project": "apollo"})
    client = seaweed.client(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    upload = client.create_multipart_upload(Bucket=tagged.bucket, Key=tagged.key)
    client.abort_multipart_upload(Bucket=tagged.bucket, Key=tagged.key, UploadId=upload["UploadId"])


@pytest.mark.parametrize("special", ["*", "?", "${x}"])
def test_the_server_does_not_know_the_escapes_of_aws(place, enter, small, special):
    """It reaches other keys, and not these; a note of the command's says that it may be so."""
    to = place(f"a{special.replace('{', '{{').replace('}', '}}')}b/{{jobID}}")
    assert "not every relative of S3 understands" in keystow("policy", to, "--role", "publisher").err
    enter(to, "--role", "publisher")
    refused(lambda: ks.publish(small, to, JOB))
    if special in "*?":
        assert ks.publish(small, place("a${{o}}b/{jobID}"), JOB)


def test_a_lone_dollar_needs_no_escape(place, enter, small):
    to = place("a$b$/{jobID}")
    enter(to, "--role", "publisher")
    assert ks.publish(small, to, JOB).checksum_sha256
