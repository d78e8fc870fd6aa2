"""What stores of each type take: buckets, parameters besides, keys."""

import re

import pytest

from keystow.errors import ResultError, SpecError
from keystow.places import KINDS, check_name, check_place, check_type, host_in, kind_of

TAKEN = {"s3": {"endpoint", "region", "engine"}, "gs": {"endpoint", "engine"}, "az": {"endpoint", "engine"}}
BUCKETS = {"s3": "My_Bucket.1", "gs": "bucket", "az": "container-1", "file": "/a directory", "memory": "any: name?"}
VALUES = {"endpoint": "https://host", "region": "eu-1", "engine": "fsspec"}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("kind", [*BUCKETS, "sftp"])
def test_a_parameter_is_taken_or_refused(kind, name):
    bucket = BUCKETS.get(kind, "user@host/directory")
    check_place(kind, bucket, {name: None}, SpecError)
    if name in TAKEN.get(kind, ()):
        check_place(kind, bucket, {name: VALUES[name]}, SpecError)
    else:
        with pytest.raises(SpecError, match=rf"^an? {kind} destination takes no {name}: leave it out$"):
            check_place(kind, bucket, {name: VALUES[name]}, SpecError)


@pytest.mark.parametrize(
    ("kind", "bucket"),
    [
        ("s3", ""),
        ("s3", "-a"),
        ("s3", "a/b"),
        ("s3", "a" * 256),
        ("gs", "a b"),
        ("az", "ab"),
        ("az", "A-container"),
        ("az", "$other"),
        ("az", "a" * 64),
        ("memory", ""),
        ("memory", "a/b"),
        ("file", "relative"),
        ("sftp", ""),
        ("sftp", "[x"),
        ("sftp", "a\u2100b"),
        ("file", "/tmp/a\0b"),
        ("file", "/tmp/\ud800"),
    ],
)
def test_no_bucket(kind, bucket):
    with pytest.raises(ResultError, match=rf"^{re.escape(repr(bucket))} is no bucket for {kind}: give ") as caught:
        check_place(kind, bucket, {}, ResultError)
    assert str(caught.value).endswith(kind_of(kind).what)


@pytest.mark.parametrize(
    ("kind", "bucket"), [("memory", "a\0b"), ("memory", "[x"), ("file", "/dir/[x"), ("file", "/[x")]
)
def test_only_what_is_a_host_has_to_look_like_one(kind, bucket):
    check_place(kind, bucket, {}, SpecError)


@pytest.mark.parametrize("bucket", ["$root", "$web", "$logs"])
def test_azures_own_containers(bucket):
    check_place("az", bucket, {}, SpecError)


@pytest.mark.parametrize("bucket", ["user:PW@host/d", ":@host", "u:P:W@host", "u:P W@host/a@b"])
def test_no_password_stands_in_a_place(bucket):
    with pytest.raises(
        SpecError, match=r"^the ftp destination holds a password, .* set FSSPEC_FTP_PASSWORD, or use a key$"
    ):
        check_place("ftp", bucket, {}, SpecError)
    check_place("file", f"/{bucket}", {}, SpecError)


def test_whose_password_it_is():
    for kind in ("s3", "gs", "az"):
        with pytest.raises(SpecError, match=r"leave it out, and use the default credentials chain$"):
            check_place(kind, "AKIA:secret@bucket", {}, SpecError)
    check_place("memory", "user:PW@host", {}, SpecError)
    assert {kind: kind_of(kind).what for kind in ("s3", "gs")} == dict.fromkeys(("s3", "gs"), kind_of("s3").what)
    assert kind_of("s3").what


def test_the_server_in_a_place():
    assert host_in("sftp", "user@Host:22/d") == "host"
    assert host_in("zip", "") is None
    assert [host_in(kind, "user@host/d") for kind in KINDS] == [None] * len(KINDS)


@pytest.mark.parametrize("bucket", ["user@host:22/d", "host:22/d", "host/a:b@c", "host/a@b", "host:22/a@b/c"])
def test_what_is_no_password(bucket):
    check_place("sftp", bucket, {}, SpecError)


@pytest.mark.parametrize("name", ["http", "https", "gopher", ""])
def test_no_type(name):
    with pytest.raises(SpecError, match=rf"^there is no publisher type {name!r}: "):
        check_type(name, SpecError)


def test_types():
    assert [check_type(name, SpecError) for name in (*KINDS, "S3", "sftp", "GCS")] == [*KINDS, "s3", "sftp", "gs"]


def test_keys_and_prefixes():
    check_name("s3", "a" * 1024, prefix=False, error=ResultError)
    with pytest.raises(ResultError, match="1025 bytes long"):
        check_name("s3", "a" * 1024, prefix=True, error=ResultError)
    check_name("s3", "a::b", prefix=False, error=ResultError)
    with pytest.raises(ResultError, match=r"^the key 'a::b' holds '::', which chains one file system to another"):
        check_name("zip", "a::b", prefix=False, error=ResultError)
