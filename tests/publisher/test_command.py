"""The command in a process of its own: what it prints, where, and with which status it ends."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from archive_strategies import lay, seen
from commands import KEYSTOW, complaint, keystow, run
from conftest import same_tree

from keystow import PublishedResult, fetch, publish, verify
from keystow.backends import StoreError, StoreUnavailableError, expiry_of
from keystow.command import main
from keystow.testing.servers import Credentials

KNOWN = {"BACALHAU_JOB_ID": "abc123", "BACALHAU_EXECUTION_ID": "e-1", "BACALHAU_NODE_ID": "n-1"}
AT = ("--at", "2023-09-26T14:05:30")


def said(ran):
    """What was told to people by a call that did what it should."""
    assert ran.status == 0, ran
    assert "Traceback" not in ran.err
    return list(map(_told, ran.err.splitlines()))


def _told(line):
    if line.startswith("{"):
        return json.loads(line)["message"]
    assert line.startswith("keystow: ")
    return line.removeprefix("keystow: ")


def results(text):
    """The results on stdout, which holds nothing else."""
    return [PublishedResult.from_mapping(each) for each in yaml.safe_load_all(text)]


def unprivileged(*arguments):
    """Runs the command as a process that permissions hold for, also where root runs the tests (capabilities(7))."""
    prefix = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    return run(*prefix, *KEYSTOW, *arguments)


# ---------------------------------------------------------------------------------------------------
# Calls that are wrong: status 2, and nothing is sent


@pytest.mark.server
@pytest.mark.parametrize(
    ("destination", "options", "advice"),
    [
        ("s3://b/{jobID", [], r"a stray '\{' in .*: write '\{\{' for a literal brace"),
        ("s3://b/a}b", [], r"a stray '\}'"),
        ("s3://b/{}", [], r"\{\}"),
        ("s3://b/{jobId}", [], r"unknown field \{jobId\}: did you mean \{jobID\}\?"),
        ("s3://b/{team}", [], r"unknown field \{team\}"),
        ("s3://b/{date:%B}", [], r"'%B' is not a date directive that a key may hold: use one of %Y"),
        ("s3://b/{jobID}", [], r"the template needs a value for \{jobID\}: give --job-id"),
        ("s3://b/{nodeID}/{jobID}", ["--job-id", "a"], r"needs a value for \{nodeID\}.*--node-id"),
        ("s3://b/{executionID}", [], r"needs a value for \{executionID\}.*--execution-id"),
        ("s3://b/{jobID}", ["--job-id", ""], r"the value of \{jobID\} is empty"),
        ("s3://b/{jobID}", ["--job-id", "a/b"], r"the value of \{jobID\} is 'a/b'.*'/' would change the shape"),
        ("s3://b/{x}", ["--label", "x=.."], r"the value of \{x\} is '\.\.'"),
        ("s3://b/{x}", ["--label", "jobID=1"], "the label 'jobID' has the name of a built-in field: choose another"),
        ("s3://b/k", ["--label", "x"], "'x' is no NAME=VALUE"),
        ("s3://b/k", ["--at", "yesterday"], "'yesterday' is no ISO 8601 time such as 2023-09-26T14:05:30"),
        ("s3://b/k", ["--at", "0001-01-01T00:00:00+14:00", "--timezone", "UTC"], "outside of the years 1 to 9999"),
        ("s3://b/k", ["--at", "9999-12-31T23:00:00Z", "--timezone", "Asia/Tokyo"], "outside of the years 1 to 9999"),
        ("s3://b/{x}", ["--label", "x=1", "--label", "x=2"], "a --label is given twice: give each NAME once"),
        ("s3://b/k", ["--timezone", "Mars"], "'Mars' is no time zone such as Europe/Berlin or UTC"),
        ("s3://b/k", ["--if-exists", "never"], "invalid choice: 'never'.*replace.*error.*skip"),
        ("s3://b/k", ["--symlinks", "all"], "invalid choice: 'all'"),
        ("s3://b/k", ["--special", "keep"], "invalid choice: 'keep'"),
        ("s3://b/k", ["--output", "xml"], "invalid choice: 'xml'"),
        ("s3://b/k", ["--level", "10"], "'10' is no level from 0 to 9"),
        ("s3://b/k", ["--level", "1", "--plain"], "--level 1 is for archives, and files under a prefix are stored as"),
        ("s3://b/k", ["--exclude", ""], "'' is no pattern: write one as in .gitignore"),
        ("s3://b/k", ["--include", "!a"], "'!a' leaves out what it names: give 'a' to --exclude"),
        ("s3://b/k", ["--include", "[a"], r"the pattern '\[a' has a '\[' without what belongs to it"),
        ("s3://b/k", ["--ignore-file", "absent"], "'absent' cannot be read .*: name a file with patterns"),
        ("s3://b/k", ["--colour"], r"unrecognized arguments: --colour \(see keystow publish --help\)"),
        ("s3://b/k,opt=regoin=r", [], "there is no option 'regoin': did you mean region?"),
        ("s3://b/k,region=r", [], "write opt=region=r"),
        ("s3://b/k,opt=encoding=zip", [], "there is no encoding 'zip': use gzip .* or plain"),
        ("s3://b/k,opt=endpoint=ftp://h", [], "given twice"),
        ("s3://b", [], "names no key: write s3://bucket/key"),
        ("b/k", [], "names no bucket: write s3://bucket/key"),
        ("s3://b ucket/k", [], "'b ucket' is no bucket for s3: give a name of letters"),
        ("s33://b/k", [], "there is no publisher type 's33': did you mean s3?"),
        ("s3://b/../k", [], r"S3 cannot store the key '\.\./k\.tar\.gz': it has the segment '\.\.'"),
        ("s3://b/" + "k" * 1020, [], "it is 1027 bytes long, and 1024 is the most"),
        ("s3://b/" + "k" * 1024, ["--plain"], "1024 is the most"),
        ("s3://b/k", ["--spec", "x.yaml"], "give a DESTINATION.*or --spec FILE: one of them"),
    ],
)
def test_a_wrong_call_sends_nothing(proxy, login, seaweed, small, destination, options, advice):
    login(seaweed)
    if "://" in destination:
        destination += f",opt=endpoint={proxy.url}"
    line = complaint(keystow("publish", small, destination, *options, AWS_ENDPOINT_URL=proxy.url), 2)
    assert re.search(advice, line)
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--debug"], "required: COMMAND (see keystow --help)"),
        (["publsh"], "invalid choice: 'publsh'"),
        (["publish"], "required: SOURCE"),
        (["publish", "."], "give a DESTINATION, such as s3://bucket/results/{jobID}, or --spec FILE"),
        (["publish", "absent", "memory://b/k"], "absent': name the file or directory to publish"),
        (["publish", ".", "--spec", "absent.yaml"], "'absent.yaml' is no file: give the YAML file of a publisher"),
        (["get"], "required: RESULT|URL, DIRECTORY"),
        (["get", "absent", "d"], "'absent' is no file with a published result, and no URL: give one of them"),
        (["get", "-", "d"], "'standard input' is empty"),
        (["verify", "absent"], "'absent' is no file with a published result"),
        (["url", "absent"], "required: --expires"),
        (["url", "absent", "--expires", "soon"], "'soon' is no duration such as 90s, 30m, 12h or 7d"),
        (["url", "absent", "--expires", "99999999999999d"], "is no duration such as"),
        (["url", "absent", "--expires", "9" * 5000], "is no duration such as"),
        (["verify", "absent", "more"], "unrecognized arguments: more (see keystow verify --help)"),
        (["key"], "required: TEMPLATE"),
        (["key", "{"], "a stray '{'"),
        (["key", ""], "the template is empty: write one, such as results/{jobID}"),
        (["key", "file:///d/{jobID}//b", "--job-id", "a"], "a file system cannot store the key 'a//b.tar.gz'"),
        (["key", "file:///d/{jobID}/../b", "--job-id", "a"], "a file system cannot store the key"),
    ],
)
def test_a_call_that_lacks_something(tmp_path, arguments, advice):
    assert advice in complaint(keystow(*arguments, cwd=tmp_path), 2)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "'spec.yaml' is empty: it must hold a mapping with Type and Params"),
        ("- s3", "'spec.yaml' holds no mapping with Type and Params"),
        ("a: b: c", "'spec.yaml' is no YAML: mapping values are not allowed here (line 1, column 5)"),
        ("Type: s3\nParams: {Bucket: b}", "Publisher.Params needs Key"),
        ("Type: s3\nParams: {Bucket: b, Kye: k}", "unknown name 'Kye': did you mean Key?"),
        ('{"Type": "s3", "Params": {"Bucket": "b", "Key": true}}', "Publisher.Params.Key is True: write it as text"),
        ("Name: a job\nType: batch", "it has no Publisher: give it one, with Type and Params"),
        ("Type: s3\nType: s3", "'spec.yaml' holds several destinations ('Type' stands twice)"),
        ("Tasks: [{Name: main}]", "the first of the job's Tasks has no Publisher: give it one, with Type and Params"),
    ],
)
def test_a_wrong_spec(tmp_path, small, text, advice):
    (tmp_path / "spec.yaml").write_text(text)
    assert advice in complaint(keystow("publish", small, "--spec", "spec.yaml", cwd=tmp_path), 2)


@pytest.mark.parametrize("written", ["today", "", "-1", "١٢", str(1 << 63), "9" * 5000])
def test_a_wrong_source_date_epoch(small, file_place, tmp_path, written):
    line = complaint(keystow("publish", small, file_place("k"), SOURCE_DATE_EPOCH=written), 2)
    assert line == f"SOURCE_DATE_EPOCH is {written!r}: set it to whole seconds since 1970, or unset it"
    assert not (tmp_path / "published").exists()


def test_one_wrong_destination_of_several_publishes_none(small, file_place, tmp_path):
    assert "{jobID}" in complaint(keystow("publish", small, file_place("a"), file_place("{jobID}")), 2)
    assert not (tmp_path / "published").exists()


# ---------------------------------------------------------------------------------------------------
# Calls that fail


def test_an_unreadable_file(small, file_place, tmp_path):
    (small / "score.txt").chmod(0)
    ran = unprivileged("publish", small, file_place("k"))
    assert complaint(ran, 1) == (
        f"{str(small / 'score.txt')!r}: cannot be read: give this user the permission to read it, or remove it"
    )
    assert not (tmp_path / "published").exists()


def test_an_unreadable_directory(small, file_place, tmp_path):
    (small / "model").chmod(0)
    line = complaint(unprivileged("publish", small, file_place("k")), 1)
    (small / "model").chmod(0o755)
    assert f"{str(small / 'model')!r}: cannot be read: give this user the permission" in line


def test_an_unreadable_spec(small, tmp_path):
    (tmp_path / "spec.yaml").write_text("Type: s3")
    (tmp_path / "spec.yaml").chmod(0)
    line = complaint(unprivileged("publish", small, "--spec", tmp_path / "spec.yaml"), 1)
    assert line == f"{str(tmp_path / 'spec.yaml')!r}: Permission denied"


def test_a_directory_that_may_not_be_written(small, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    ran = unprivileged("publish", small, f"file://{tmp_path}/locked/k")
    assert "may not be used by this user: change its permissions, or publish elsewhere" in complaint(ran, 1)


def test_a_link_that_leads_out(tmp_path, file_place):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "out").symlink_to("/etc/hostname")
    line = complaint(keystow("publish", tmp_path / "source", file_place("k")), 1)
    assert "the link 'out' -> '/etc/hostname' leads out of" in line
    assert line.endswith("remove it, or choose --symlinks follow or skip")


def test_a_special_file(tmp_path, file_place):
    (tmp_path / "source").mkdir()
    os.mkfifo(tmp_path / "source" / "pipe")
    assert "'pipe' is a FIFO" in complaint(keystow("publish", tmp_path / "source", file_place("k")), 1)
    assert said(keystow("publish", tmp_path / "source", file_place("k"), "--special", "skip"))[0] == "left out: pipe"


def test_a_key_below_a_file(small, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = complaint(keystow("publish", small, f"file://{tmp_path}/file/k"), 1)
    assert "lies below a file: choose a key that does not" in line


@pytest.fixture
def as_admin(seaweed, login):
    login(seaweed)


@pytest.mark.server
def test_a_bucket_that_is_not_there(seaweed, as_admin, small):
    line = complaint(keystow("publish", small, f"s3://no-such-bucket/k,opt=endpoint={seaweed.endpoint}"), 1)
    assert line.startswith("s3://no-such-bucket/k.tar.gz: NoSuchBucket")
    assert "create the bucket, or correct its name, endpoint or region" in line


@pytest.mark.server
@pytest.mark.parametrize("wrong", ["access key", "secret key"])
def test_a_wrong_key_pair(seaweed, bucket, login, small, wrong):
    secret = "not-the-secret-of-anybody"
    login(Credentials("nobody", secret) if wrong == "access key" else Credentials(seaweed.access_key, secret))
    line = complaint(keystow("publish", small, f"s3://{bucket}/k,opt=endpoint={seaweed.endpoint}"), 1)
    assert {"access key": "InvalidAccessKeyId", "secret key": "SignatureDoesNotMatch"}[wrong] in line
    assert "check the credentials that are in use" in line
    assert secret not in line


@pytest.mark.server
def test_no_permission(seaweed, bucket, login, small):
    login(
        seaweed.user(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": f"arn:aws:s3:::{bucket}/mine/*"}
                ],
            }
        )
    )
    place = f"s3://{bucket}/{{}},opt=endpoint={seaweed.endpoint}"
    line = complaint(keystow("publish", small, place.format("theirs/k")), 1)
    assert line.startswith(f"s3://{bucket}/theirs/k.tar.gz: AccessDenied")
    assert f"allow s3:PutObject on arn:aws:s3:::{bucket}/*, or use other credentials" in line
    assert said(keystow("publish", small, place.format("mine/k")))


def test_no_server(small, login):
    login(Credentials("any", "key"))
    line = complaint(keystow("publish", small, "s3://b/k,opt=endpoint=http://127.0.0.1:1"), 1)
    assert "http://127.0.0.1:1" in line
    assert "check the endpoint and the network" in line


def test_what_is_tried_again_is_told(small, login, tmp_path):
    """Of a prefix each file, and with ``--debug`` each try."""
    login(Credentials("any", "key"))
    publish = ("publish", small, "s3://b/k,opt=endpoint=http://127.0.0.1:1")
    for call in (publish, ("get", "http://127.0.0.1:1/b/k?X-Amz-Signature=secret", tmp_path / "back")):
        ran = keystow(*call)
        *told, last = ran.err.splitlines()
        assert [re.sub(r"\d+\.\d s", "… s", line)[:25] for line in told] == ["keystow: retrying in … s: "[:25]] * 3
        assert [line[-8:] for line in told] == ["(2 of 4)", "(3 of 4)", "(4 of 4)"]
        assert re.search(r"\(4 tries in \d+ s\)$", last)
        assert "secret" not in ran.err
    assert "keystow: given up after try 4, " in keystow(*publish, "--debug").err


def test_no_server_behind_a_url(tmp_path):
    line = complaint(keystow("get", "http://127.0.0.1:1/b/k.tar.gz?X-Amz-Signature=secret", tmp_path / "back"), 1)
    assert "http://127.0.0.1:1/b/k.tar.gz" in line
    assert "secret" not in line


SIGNED = "https://127.0.0.1:1/b/k.tar.gz?X-Amz-Signature=secret"


@pytest.mark.parametrize(
    ("arguments", "status", "advice"),
    [
        (["get", SIGNED.replace("https", "HTTP"), "back"], 1, "check the address and the network"),
        (["get", f" {SIGNED}", "back"], 1, "check the address and the network"),
        (["get", f"{SIGNED} b", "back"], 2, "the URL is none that can be fetched: give it as it was printed"),
        (["get", f"{SIGNED}é", "back"], 2, "the URL is none"),
        (["get", SIGNED.replace(":1/", ":x/"), "back"], 2, "the URL is none"),
        (["get", SIGNED.replace(":1/", ":99999/"), "back"], 2, "the URL is none"),
        (["get", SIGNED.replace("127.0.0.1", "[h"), "back"], 2, "the URL is none"),
        (["get", SIGNED.replace("//", "/"), "back"], 2, "the URL is none"),
        (["verify", SIGNED], 2, "can only be fetched: give the published result"),
        (["verify", SIGNED.replace("https", "Https")], 2, "can only be fetched: give the published result"),
        (["verify", "result.yaml", SIGNED], 2, "unrecognized arguments: https://127.0.0.1:1/b/k.tar.gz?…"),
        (["url", SIGNED, "--expires", "1h"], 2, "can only be fetched: give the published result"),
        (["publish", ".", SIGNED], 2, "there is no publisher type 'https'"),
        (["key", SIGNED], 2, "there is no publisher type 'https'"),
        (["publish", ".", f"s3://b/k,opt=endpoint={SIGNED}"], 2, "is no endpoint"),
    ],
)
def test_the_query_of_a_url_is_never_printed(tmp_path, arguments, status, advice):
    line = complaint(keystow(*arguments, cwd=tmp_path), status)
    assert advice in line
    assert "secret" not in line
    assert os.listdir(tmp_path) == []


@pytest.mark.server
@pytest.mark.parametrize(
    ("status", "error"), [(500, StoreUnavailableError), (503, StoreUnavailableError), (418, StoreError)]
)
def test_a_server_behind_a_url_that_fails(proxy, tmp_path, status, error):
    proxy.answer(lambda method, path: True, status, b"busy", nth=None)
    with pytest.raises(error) as caught:
        fetch(f"{proxy.url}/b/k?X-Amz-Signature=secret", tmp_path / "back")
    assert type(caught.value) is error
    assert bool(caught.value.hint) is (status >= 500)
    assert "secret" not in str(caught.value)


def test_no_credentials(small):
    line = complaint(keystow("publish", small, "s3://b/k"), 1)
    assert line.startswith("no AWS credentials were found: set AWS_ACCESS_KEY_ID")


def test_no_such_profile(small):
    line = complaint(keystow("publish", small, "s3://b/k", AWS_PROFILE="absent"), 1)
    assert "The config profile (absent) could not be found: correct the profile" in line


@pytest.mark.parametrize("kind", ["file", pytest.param("s3", marks=pytest.mark.server)])
def test_what_exists_stays_with_status_3(request, kind, small, files):
    destination = request.getfixturevalue(f"{kind}_place")
    first = said(keystow("publish", small, destination("once"), "--if-exists", "error"))
    assert len(first) == 1
    line = complaint(keystow("publish", files, destination("once"), "--if-exists", "error"), 3)
    assert "once.tar.gz" in line
    assert "already exists" in line
    assert line.endswith(": publish under another key, or with --if-exists replace or skip")


def test_what_exists_is_skipped_if_it_is_the_same(file_place, small, files):
    (first,) = results(keystow("publish", small, file_place("once")).out)
    ran = keystow("publish", small, file_place("once"), "--if-exists", "skip")
    assert said(ran) == [f"already there, with the same content: {file_place('once')}.tar.gz"]
    assert results(ran.out) == [first]
    line = complaint(keystow("publish", files, file_place("once"), "--if-exists", "skip"), 3)
    assert "already exists, and differs from what would have been published" in line
    assert line.endswith(": publish under another key, or with --if-exists replace")
    assert verify(first)


def test_what_exists_and_cannot_be_read_is_skipped_without_a_checksum(tmp_path, file_place, small):
    (first,) = results(keystow("publish", small, file_place("once")).out)
    (tmp_path / "published" / first.key).chmod(0)
    ran = unprivileged("publish", small, file_place("once"), "--if-exists", "skip")
    left = "already there, and left as it is, not compared, as that was not possible"
    assert said(ran) == [f"{left}: {file_place('once')}.tar.gz"]
    unknown = {"checksum_sha256": None, "size": None, "tar_sha256": None, "index_sha256": None}
    assert results(ran.out) == [replace(first, **unknown)]


@pytest.fixture
def result(file_place, small, tmp_path):
    """A published result in a file."""
    ran = keystow("publish", small, file_place("{jobID}"), "--job-id", "abc123")
    assert said(ran)
    (tmp_path / "result.yaml").write_text(ran.out)
    return tmp_path / "result.yaml"


@pytest.mark.parametrize("command", [["verify"], ["get"]], ids=["verify", "get"])
def test_what_is_not_as_it_was_published_has_status_4(result, files, stored, tmp_path, command):
    (published,) = results(result.read_text())
    theirs = publish(files, f"memory://{tmp_path.name}/theirs")
    stored(published).write(published.key, stored(theirs).read(theirs.key))
    line = complaint(keystow(*command, result, *[tmp_path / "back"] * (command == ["get"])), 4)
    found, expected = theirs.checksum_sha256, published.checksum_sha256
    assert line == f"what the store holds under '{published.url}' has the SHA-256 {found}, and {expected} was published"
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("command", ["verify", "get"])
def test_what_is_no_archive_any_more_has_status_4(result, stored, tmp_path, command):
    (published,) = results(result.read_text())
    stored(published).write(published.key, [b"tampered", b" with"])
    line = complaint(keystow(command, result, *[tmp_path / "back"] * (command == "get")), 4)
    assert hashlib.sha256(b"tampered with").hexdigest() in line
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("command", ["verify", "get"])
def test_what_is_gone(result, stored, tmp_path, command):
    (published,) = results(result.read_text())
    stored(published).delete(published.key)
    line = complaint(keystow(command, result, *[tmp_path / "back"] * (command == "get")), 1)
    assert published.key in line


def test_a_directory_that_is_not_empty(result, tmp_path):
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "mine").write_text("mine")
    line = complaint(keystow("get", result, tmp_path / "back"), 3)
    assert "exists and is not an empty directory: name a new one" in line
    assert os.listdir(tmp_path / "back") == ["mine"]


def test_a_result_without_a_checksum_cannot_be_verified(tmp_path):
    (tmp_path / "result.json").write_text('{"Type": "memory", "Params": {"Bucket": "b", "Key": "k"}}')
    line = complaint(keystow("verify", tmp_path / "result.json"), 2)
    assert line == "the result holds no ChecksumSHA256, so there is nothing to verify against: give --sha256"


# ---------------------------------------------------------------------------------------------------
# What is printed


def test_there_and_back(result, small, tmp_path):
    ran = keystow("get", result, tmp_path / "back")
    assert ran.out == ""
    assert said(ran) == [f"fetched {len(seen(small))} members of 10255 bytes into {tmp_path / 'back'}"]
    assert seen(tmp_path / "back") == seen(small)
    verified = keystow("verify", result)
    (published,) = results(result.read_text())
    assert verified.out == ""
    assert said(verified)[0].endswith(f"SHA-256 {published.checksum_sha256}")


def test_through_pipes(file_place, small, tmp_path):
    ran = keystow("publish", small, file_place("k"), "--output", "json")
    assert said(keystow("verify", "-", stdin=ran.out))
    assert said(keystow("get", "-", tmp_path / "back", stdin=ran.out))
    assert seen(tmp_path / "back") == seen(small)


def test_the_forms_of_the_result(file_place, small):
    yaml_form, json_form, key_form = (
        keystow("publish", small, file_place("ü,{jobID}"), "--job-id", "😀", "--output", form)
        for form in ("yaml", "json", "key")
    )
    for ran in (yaml_form, json_form, key_form):
        assert said(ran) == [f"published 5 files of 10255 bytes to {file_place('ü,😀')}.tar.gz"]
    assert key_form.out == "ü,😀.tar.gz\n"
    assert json_form.out.count("\n") == 1
    assert json.loads(json_form.out) == yaml.safe_load(yaml_form.out)
    (published,) = results(yaml_form.out)
    assert published.key == "ü,😀.tar.gz"
    assert said(keystow("verify", "-", stdin=json_form.out))


def test_a_name_that_no_encoding_has(file_place, small):
    """A directory takes any bytes; the key comes out as the bytes that went in."""
    ran = keystow("publish", small, file_place("\udcff"), "--output", "key")
    assert said(ran)
    assert ran.out == "\udcff.tar.gz\n"
    for form in ("yaml", "json"):
        ran = keystow("publish", small, file_place("\udcff"), "--output", form)
        assert said(keystow("verify", "-", stdin=ran.out))


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1"])
def test_the_locale_changes_nothing(file_place, small, locale):
    ran = keystow("publish", small, file_place("ü"), LC_ALL=locale, PYTHONIOENCODING="latin-1")
    assert said(ran)
    assert results(ran.out)[0].key == "ü.tar.gz"


def test_several_destinations(file_place, small, tmp_path):
    ran = keystow("publish", small, file_place("a"), f"file://{tmp_path}/other/b", "--plain")
    assert len(said(ran)) == 2 if ran.status == 0 else ran
    one, other = results(ran.out)
    assert (one.bucket, one.key) == (f"{tmp_path}/published", "a/")
    assert (other.bucket, other.key) == (f"{tmp_path}/other", "b/")


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_several_results_are_not_taken_for_one(file_place, small, tmp_path, form, options):
    ran = keystow("publish", small, file_place("a"), file_place("b"), "--output", form, *options)
    if form == "yaml":
        assert [each.key for each in results(ran.out)] == ["a.tar.gz", "b.tar.gz"]
    else:
        assert [json.loads(line)["PublishedResult"]["Params"]["Key"][0] for line in ran.out.splitlines()] == ["a", "b"]
    got = keystow("get", "-", tmp_path / "back", stdin=ran.out)
    checked = keystow("verify", "-", stdin=ran.out)
    if options:
        assert (got.status, checked.status) == (2, 2)
        return
    assert len(said(got)) == len(said(checked)) == 2
    assert same_tree(small, tmp_path / "back" / "1")
    assert same_tree(small, tmp_path / "back" / "2")
    one = keystow("get", "-", tmp_path / "one", "--select", "2", stdin=ran.out)
    assert len(said(one)) == 1
    assert same_tree(small, tmp_path / "one")
    for number in ("0", "3"):
        line = complaint(keystow("verify", "-", "--select", number, stdin=ran.out), 2)
        assert line == f"there is no result {number} in '-', which has 2: count them from 1"


def test_one_of_several_results_that_is_not_there(file_place, small, tmp_path):
    ran = keystow("publish", small, file_place("a"), file_place("b"))
    (tmp_path / "published" / "a.tar.gz").unlink()
    got = keystow("get", "-", tmp_path / "back", stdin=ran.out)
    assert got.status == 1
    assert os.listdir(tmp_path / "back") == ["2"]
    checked = keystow("verify", "-", stdin=ran.out)
    assert checked.status == 1
    missing, there = checked.err.splitlines()
    assert "a.tar.gz" in missing
    assert there.startswith("keystow: verified 1 object")


def test_options_may_stand_between_source_and_destination(small, tmp_path):
    ran = keystow("publish", small, "--job-id", "7", "--output", "key", f"file://{tmp_path}/store/{{jobID}}")
    assert (ran.status, ran.out) == (0, "7.tar.gz\n")


def test_one_destination_of_several_that_fails(file_place, small, tmp_path):
    (tmp_path / "file").write_text("in the way")
    ran = keystow("publish", small, f"file://{tmp_path}/file/a", file_place("b"))
    assert ran.status == 1
    failure, success = ran.err.splitlines()
    assert "lies below a file" in failure
    assert success.startswith("keystow: published 5 files")
    assert [published.key for published in results(ran.out)] == ["b.tar.gz"]


def test_a_prefix_of_which_some_is_skipped(file_place, tmp_path, files):
    lay(tmp_path / "one", {"score.txt": b"41"})
    said(keystow("publish", tmp_path / "one", file_place("p"), "--plain", "--no-manifest"))
    ran = keystow("publish", files, file_place("p"), "--plain", "--no-manifest", "--if-exists", "skip")
    assert (ran.status, ran.out) == (3, "")
    assert re.match(r"keystow: '.*/p/score\.txt' already exists, and differs from", ran.err)
    said(keystow("publish", files, file_place("p"), "--plain", "--no-manifest"))
    (tmp_path / "published" / "p" / "empty.txt").unlink()
    ran = keystow("publish", files, file_place("p"), "--plain", "--no-manifest", "--if-exists", "skip")
    assert said(ran)[0].startswith("published 4 files of ")
    assert said(ran)[0].endswith(f" to {file_place('p')}/ (3 files of it already there, with the same content)")
    (tmp_path / "published" / "p" / "score.txt").chmod(0)
    ran = unprivileged("publish", files, file_place("p"), "--plain", "--no-manifest", "--if-exists", "skip")
    left = "some files were there, and left as they are, not compared, as that was not possible"
    assert said(ran) == [f"{left}: {file_place('p')}/"]
    assert results(ran.out)[0].checksum_sha256 is None


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda spec: spec,
        lambda spec: {"Publisher": spec},
        lambda spec: {"Name": "job", "Type": "batch", "Tasks": [{"Name": "main", "Engine": {}, "Publisher": spec}]},
    ],
    ids=["bare", "Publisher", "Tasks"],
)
@pytest.mark.parametrize("encoding", ["gzip", "plain"])
def test_a_spec_file(tmp_path, files, wrapped, encoding):
    params = {"Bucket": str(tmp_path / "published"), "Key": "{jobID}", "Encoding": encoding}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(wrapped({"Type": "file", "Params": params})))
    assert "allow it with --allow file" in complaint(keystow("publish", files, "--spec", tmp_path / "job.yaml"), 2)
    ran = keystow("publish", files, "--spec", tmp_path / "job.yaml", "--allow", "file", **KNOWN)
    assert said(ran)
    (published,) = results(ran.out)
    assert published.key == {"gzip": "abc123.tar.gz", "plain": "abc123/"}[encoding]
    assert said(keystow("get", "-", tmp_path / "back", stdin=ran.out))
    assert same_tree(files, tmp_path / "back")


def test_a_dry_run_opens_nothing(small, tmp_path, file_place):
    where = "s3://b/{jobID},opt=endpoint=https://s3.eu-west-1.amazonaws.com"
    code = (
        "import sys; from keystow.command import main; status = main(sys.argv[1:]); "
        "print([name for name in ('s3fs', 'aiobotocore', 'botocore', 'fsspec', 'aiohttp') if name in sys.modules]); "
        "sys.exit(status)"
    )
    ran = run(
        sys.executable, "-c", code, "publish", small, where, file_place("k"), "--dry-run", BACALHAU_JOB_ID="abc123"
    )
    assert said(ran) == [
        "dry run: 5 files of 10255 bytes would be published to s3://b/abc123.tar.gz",
        "needs s3:PutObject: writes an object, in one request or in parts",
        f"dry run: 5 files of 10255 bytes would be published to {file_place('k')}.tar.gz",
        f"needs leave to make files in '{tmp_path}/published'",
    ]
    *printed, loaded = ran.out.splitlines(keepends=True)
    assert loaded == "[]\n"
    on_s3, on_disk = results("".join(printed))
    assert (on_s3.key, on_s3.region, on_s3.checksum_sha256) == ("abc123.tar.gz", "eu-west-1", None)
    assert on_disk.key == "k.tar.gz"
    assert not (tmp_path / "published").exists()


def test_a_dry_run_finds_what_is_wrong_with_the_source(tmp_path):
    (tmp_path / "empty").mkdir()
    line = complaint(keystow("publish", tmp_path / "empty", "s3://b/k", "--dry-run", "--plain"), 1)
    assert "there is no file in" in line


def test_a_key_that_becomes_a_hidden_name_is_pointed_out(small, file_place):
    ran = keystow("publish", small, "s3://b/results/{jobID}/", "--dry-run", BACALHAU_JOB_ID="abc123")
    note = said(ran)[0]
    assert note == "note: the key ends with '/', so the archive is named '.tar.gz': results/abc123/.tar.gz"


def test_what_is_left_out_is_named(small, file_place):
    ran = keystow("publish", small, file_place("k"), "--symlinks", "skip")
    assert said(ran)[0] == "left out: model/latest"


def test_source_date_epoch(tmp_path, file_place):
    """https://reproducible-builds.org/specs/source-date-epoch"""
    keys = []
    for number, mtime in enumerate((1, 2)):
        source = lay(tmp_path / f"source-{number}", {"a": b"1"}, mtime=mtime)
        ran = keystow("publish", source, file_place(f"k{number}"), SOURCE_DATE_EPOCH="1000000000")
        keys.append(results(ran.out)[0].checksum_sha256)
        assert said(keystow("get", "-", tmp_path / f"back-{number}", stdin=ran.out))
        assert (tmp_path / f"back-{number}" / "a").stat().st_mtime == 1_000_000_000
    assert keys[0] == keys[1]


# ---------------------------------------------------------------------------------------------------
# Keys and contexts


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["results/{jobID}/{date}/{time}/", "--job-id", "abc123", *AT], "results/abc123/20230926/140530/.tar.gz"),
        (["results/{jobID}/{date}/{time}/", "--plain", *AT], "results/abc123/20230926/140530/"),
        (["{jobID}{executionID}{nodeID}"], "abc123e-1n-1.tar.gz"),
        (["{jobID}-{executionID}-{nodeID}", "--execution-id", "x", "--node-id", "y"], "abc123-x-y.tar.gz"),
        (["k.tar.gz"], "k.tar.gz"),
        (["k.tar.gz", "--plain"], "k.tar.gz/"),
        (["{date}T{time}", "--at", "2023-09-26T14:05:30+02:00"], "20230926T140530.tar.gz"),
        (["{date}T{time}", "--at", "2023-09-26T14:05:30Z"], "20230926T140530.tar.gz"),
        (["{date}T{time}", "--at", "2023-09-26"], "20230926T000000.tar.gz"),
        (["{date}T{time}", *AT, "--timezone", "Asia/Tokyo"], "20230926T140530.tar.gz"),
        (["{date}T{time}", "--at", "2023-09-26T23:00:00Z", "--timezone", "Asia/Tokyo"], "20230927T080000.tar.gz"),
        (["{date:%Y/%m/%d}/{team}", *AT, "--label", "team=red"], "2023/09/26/red.tar.gz"),
        (["{a}{b}", "--label", "a=1", "--label", "b=x=y"], "1x=y.tar.gz"),
        (["{{{jobID}}}"], "{abc123}.tar.gz"),
    ],
)
def test_the_key_as_publish_uses_it(arguments, key, small):
    ran = keystow("key", *arguments, **KNOWN)
    assert (said(ran), ran.out) == ([], f"{key}\n")
    template, *options = arguments
    dry = keystow("publish", small, f"s3://b/{template}", *options, "--dry-run", "--output", "key", **KNOWN)
    assert (dry.status, dry.out) == (0, ran.out)


@pytest.mark.parametrize(
    ("destination", "options", "key"),
    [
        ("s3://b/{jobID},opt=region=eu-1", [], "abc123.tar.gz"),
        ("s3://b/{jobID}", ["--plain"], "abc123/"),
        ("s3://b/{jobID},opt=encoding=plain", [], "abc123/"),
        ("file:///d/e/{jobID}/x", [], "abc123/x.tar.gz"),
    ],
)
def test_the_key_of_a_destination(destination, options, key):
    ran = keystow("key", destination, *options, **KNOWN)
    assert (said(ran), ran.out) == ([], f"{key}\n")


@pytest.mark.parametrize(
    ("zone", "status", "words"), [("UTC", 0, ""), ("Europe/Berlin", 2, "no time zones: install the package tzdata")]
)
def test_a_machine_without_time_zones(tmp_path, zone, status, words):
    hide = "import sys; sys.modules['tzdata'] = None; from keystow.command import main; sys.exit(main())"
    ran = run(sys.executable, "-c", hide, "key", "k", "--timezone", zone, PYTHONTZPATH=str(tmp_path))
    assert ran.status == status
    assert words in ran.err


def test_now_is_the_default_and_is_taken_in_the_time_zone():
    for zone, hours in (("UTC", 0), ("Asia/Tokyo", 9)):
        before = datetime.now(UTC) + timedelta(hours=hours)
        ran = keystow("key", "{date}{time}", "--timezone", zone)
        after = datetime.now(UTC) + timedelta(hours=hours)
        assert f"{before:%Y%m%d%H%M%S}" <= ran.out.removesuffix(".tar.gz\n") <= f"{after:%Y%m%d%H%M%S}"


# ---------------------------------------------------------------------------------------------------
# URLs


@pytest.mark.server
def test_a_url_that_others_can_use(seaweed, versioned_bucket, as_admin, small, tmp_path, monkeypatch):
    ran = keystow("publish", small, f"s3://{versioned_bucket}/url,opt=endpoint={seaweed.endpoint}")
    assert said(ran)
    (published,) = results(ran.out)
    pinned, open_ended = (
        keystow("url", "-", "--expires", "10m", *options, stdin=ran.out) for options in ([], ["--no-pin-version"])
    )
    (told,) = said(pinned)
    assert told == f"the URL ends at {expiry_of(pinned.out):%Y-%m-%d %H:%M:%S} UTC"
    assert abs(expiry_of(pinned.out) - datetime.now(UTC) - timedelta(minutes=10)) < timedelta(minutes=5)
    assert "X-Amz-Expires=600" in pinned.out
    assert f"versionId={published.version_id}" in pinned.out
    assert "versionId" not in open_ended.out
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for number, url in enumerate((pinned.out.strip(), open_ended.out.strip())):
        got = keystow("get", url, tmp_path / f"back-{number}")
        assert len(said(got)) == 2
        assert said(got)[0].startswith("not verified: a URL")
        assert seen(tmp_path / f"back-{number}") == seen(small)


def test_a_url_ends_with_the_credentials_that_signed_it(monkeypatch):
    """Whoever asks for more is told so, and not by a URL that claims what it does not keep."""
    for name, value in (("ACCESS_KEY_ID", "id"), ("SECRET_ACCESS_KEY", "secret"), ("SESSION_TOKEN", "token")):
        monkeypatch.setenv(f"AWS_{name}", value)
    result = {"Type": "s3", "Params": {"Bucket": "b", "Key": "k", "Endpoint": "http://127.0.0.1:9"}}
    asked = ["url", "-", "--expires", "12h"]
    unknown = keystow(*asked, stdin=json.dumps(result))
    assert said(unknown)[0].endswith("UTC, or with the temporary credentials that signed it")
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=45)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", end.isoformat())
    ran = keystow(*asked, stdin=json.dumps(result))
    assert end - timedelta(seconds=2) <= expiry_of(ran.out) <= end
    assert said(ran) == [
        f"the URL ends at {expiry_of(ran.out):%Y-%m-%d %H:%M:%S} UTC, with the credentials that signed it"
    ]


@pytest.mark.server
@pytest.mark.parametrize("expires", ["0s", "8d"])
def test_a_url_lasts_a_second_to_seven_days(seaweed, as_admin, tmp_path, expires):
    result = {"Type": "s3", "Params": {"Bucket": "b", "Key": "k", "Endpoint": seaweed.endpoint}}
    line = complaint(keystow("url", "-", "--expires", expires, stdin=json.dumps(result)), 2)
    assert "cannot last" in line
    assert "1 second to 7 days" in line


@pytest.mark.parametrize(
    ("result", "status", "advice"),
    [
        (
            {"Type": "file", "Params": {"Bucket": "/b", "Key": "k", "ChecksumSHA256": "0" * 64}},
            1,
            "publish to a store that is served over HTTP",
        ),
        ({"Type": "gopher", "Params": {"Bucket": "b", "Key": "k"}}, 2, "there is no publisher type 'gopher'"),
    ],
)
def test_what_has_no_url(result, status, advice):
    assert advice in complaint(keystow("url", "-", "--expires", "1h", stdin=json.dumps(result)), status)


# ---------------------------------------------------------------------------------------------------
# Around the command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["publish", "get", "verify", "url", "ls", "key", "policy", "ticket", "doctor", "help"]),
        (
            ["publish", "--help"],
            ["SOURCE", "DESTINATION", "--spec", "--job-id", "--timezone", "--dry-run", "--check", "--plain"],
        ),
        (["get", "--help"], ["RESULT|URL", "DIRECTORY", "stdin"]),
        (["verify", "--help"], ["RESULT", "SHA-256"]),
        (["index", "--help"], ["RESULT|URL|ARCHIVE", "--gzidx", "rapidgzip"]),
        (["url", "--help"], ["--expires", "--no-pin-version", "s3:GetObjectVersion"]),
        (["ls", "--help"], ["DESTINATION", "--since", "--until", "--label", "--timezone", "--output"]),
        (["key", "--help"], ["TEMPLATE", "--label", "--at"]),
        (["policy", "--help"], ["DESTINATION", "--role", "--lifecycle", "--with-abort", "--with-versions"]),
        (["ticket", "--help"], ["DESTINATION", "--expires", "--max-size", "--sha256", "--file", "--job-id"]),
        (["doctor", "--help"], ["DESTINATION", "--write-probe", "--output", "--profile", "--spec"]),
    ],
)
def test_help(arguments, words):
    ran = keystow(*arguments, COLUMNS="200")
    assert said(ran) == []
    assert [word for word in words if word not in ran.out] == []


@pytest.mark.parametrize(
    "command",
    ["publish", "publish-many", "get", "verify", "index", "url", "ls", "key", "policy", "ticket", "doctor", "help"],
)
def test_every_option_has_a_word_of_help(command):
    options = keystow(command, "--help", COLUMNS="200").out.partition("\noptions:\n")[2].partition("\nexamples:\n")[0]
    lines = re.sub(r"\n {10,}", "  ", re.sub(r"^(\w.*:)?\n", "", options, flags=re.MULTILINE)).splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"  -.*?  +\S.*", line)] == []


def test_the_version():
    ran = keystow("--version")
    assert said(ran) == []
    assert re.fullmatch(r"keystow \d+\.\d+\.\d+\S*\n", ran.out)


def closed(redirection, *arguments):
    return run("sh", "-c", f'exec "$@" {redirection}', "sh", *KEYSTOW, *arguments)


@pytest.mark.parametrize("command", [["publish", "{small}", "{place}"], ["key", "k"], ["url", "x", "--expires", "1h"]])
def test_a_closed_stdout_is_refused_before_anything_is_sent(small, file_place, tmp_path, command):
    arguments = [part.format(small=small, place=file_place("k")) for part in command]
    assert complaint(closed(">&-", *arguments), 2).startswith("standard output is closed")
    assert not (tmp_path / "published").exists()


def test_a_closed_stdout_that_is_not_needed(result, tmp_path):
    assert closed(">&-", "get", result, tmp_path / "back").status == 0
    assert closed(">&- 2>&- <&-", "verify", result).status == 0


@pytest.mark.parametrize(
    "command", [["verify", "-"], ["get", "-", "d"], ["url", "-", "--expires", "1h"], ["agree", "a", "-"]]
)
def test_a_closed_stdin(command):
    assert complaint(closed("<&-", *command), 2).startswith("standard input is closed: name the file")


@pytest.mark.parametrize(("command", "status"), [(["verify", "absent"], 2), (["key"], 2), (["verify", "{result}"], 0)])
def test_what_is_meant_for_a_closed_stderr_goes_nowhere(result, command, status):
    ran = closed("2>&-", *[part.format(result=result) for part in command])
    assert (ran.status, ran.out, ran.err) == (status, "", "")


def test_the_handler_of_sigterm_is_given_back(capsys):
    """Also in a process of somebody else's, and in a thread, where none can be set."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        ours = signal.getsignal(signal.SIGTERM)
        assert main(["key", "k"]) == 0
        assert signal.getsignal(signal.SIGTERM) is ours
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(main, ["key", "k"]).result() == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().out == "k.tar.gz\n" * 2


@pytest.mark.parametrize("command", ["key k", "publish {small} memory://b/k", "publish {small} s3://b/k --dry-run"])
def test_a_reader_that_has_gone(small, command):
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [*KEYSTOW, *command.format(small=small).split()], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert ran.returncode == 1
    assert b"Traceback" not in ran.stderr
    assert b"BrokenPipe" not in ran.stderr


ONCE_NEEDED = ["csv", "mimetypes", "shutil", "urllib.request", "yaml"]


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import keystow", ["typing", "importlib", "re", "argparse", "fsspec", "keystow.keys"]),
        ("import keystow.keys", ["s3fs", "aiobotocore", "botocore", "yaml", "fsspec", "isal", "asyncio", "inspect"]),
        ("import keystow; keystow.publish", ["s3fs", "aiobotocore", "botocore", "asyncio", "rich", *ONCE_NEEDED]),
        ("import keystow; keystow.fetch", ["s3fs", "aiobotocore", "botocore", "asyncio", "rich", *ONCE_NEEDED]),
        ("from keystow.command import main; main(['key', 'k'])", ["yaml", "fsspec", "isal", "zoneinfo", "json"]),
        (
            "from keystow.command import main; main(['key', '{date}'])",
            ["inspect", "asyncio", "tarfile", "shutil"],
        ),
    ],
)
def test_what_is_loaded_late(code, unwanted):
    ran = run(sys.executable, "-c", f"import sys; {code}; print([n for n in {unwanted!r} if n in sys.modules])")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[-1] == "[]"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("call", [["publish", "{small}", "{place}"], ["get", "{place}", "{small}/absent"]])
def test_what_is_loaded_after_the_first_request(small, call, scheme):
    """Nobody takes the request, and so all was loaded that it takes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"s3://bucket/k.tar.gz,opt=endpoint={scheme}://127.0.0.1:{taken.getsockname()[1]}"
        words = [word.format(small=small, place=place) for word in call]
        ran = run(sys.executable, "-c", STARTED, *words, "--timeout", "1s", **KEYS)
    assert "Connection refused" in ran.err
    status, is_on, *loaded = ran.out.split()
    assert (status, is_on) == ("1", "True")
    late = {"botocore", "encodings.idna", "csv", "mimetypes", "urllib.request", "yaml"}
    assert not late & set(loaded)
    assert {"keystow.backends.s3.signed", "http.client"} < set(loaded)


KEYS = {"AWS_ACCESS_KEY_ID": "known", "AWS_SECRET_ACCESS_KEY": "secret"}
STARTED = """
import gc, sys
from keystow.command import main

status = main(sys.argv[1:])
print(status, gc.isenabled(), *sys.modules)
"""


def test_a_collector_that_is_off_stays_off(small, tmp_path):
    code = "import gc, sys; gc.disable(); from keystow.command import main; main(sys.argv[1:]); print(gc.isenabled())"
    assert run(sys.executable, "-c", code, "publish", small, f"file://{tmp_path}/k", "-q").out.endswith("\nFalse\n")


def test_the_collector_is_set_once_in_a_process(small, tmp_path):
    code = (
        "import gc, sys; from keystow.command import main; main(sys.argv[1:]); gc.set_threshold(123); "
        "main(sys.argv[1:]); print(gc.get_threshold()[0])"
    )
    assert run(sys.executable, "-c", code, "publish", small, f"file://{tmp_path}/k", "-q").out.endswith("\n123\n")


def test_what_is_loaded_is_not_looked_through_for_garbage(small, tmp_path):
    code = "import gc, sys; from keystow.command import main; main(sys.argv[1:]); print(gc.get_freeze_count() > 10_000)"
    assert run(sys.executable, "-c", code, "publish", small, f"file://{tmp_path}/k", "-q").out.endswith("\nTrue\n")


COMMANDS = {
    "publish",
    "get",
    "cat",
    "manifest",
    "verify",
    "agree",
    "index",
    "url",
    "ls",
    "key",
    "policy",
    "ticket",
    "doctor",
}
LOADED = """
import sys
from keystow.command import main

try:
    main(sys.argv[1:])
finally:
    print(*[name for name in sys.modules if name.startswith("keystow")])
"""


@pytest.mark.parametrize(
    ("call", "command"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["absent"], set()),
        (["key", "k"], {"key"}),
        (["--debug", "key", "k"], {"key"}),
        *([[command, "--help"], {command}] for command in sorted(COMMANDS)),
    ],
)
def test_the_command_that_is_called_is_loaded_and_no_other(call, command):
    loaded = set(run(sys.executable, "-c", LOADED, *call).out.splitlines()[-1].split())
    assert {name for name in COMMANDS if f"keystow.command.{name}" in loaded} == command
    assert not loaded & {"keystow.publishing", "keystow.fetching"}


def test_every_public_name_is_there():
    ran = run(sys.executable, "-c", "from keystow import *; import keystow; print(dir(keystow) == keystow.__all__)")
    assert (ran.status, ran.out) == (0, "True\n")
    ran = run(sys.executable, "-c", "import keystow; keystow.absent")
    assert "AttributeError: module 'keystow' has no attribute 'absent'" in ran.err
