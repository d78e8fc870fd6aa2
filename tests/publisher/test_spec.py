"""Destinations, in the imperative and the declarative syntax."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystow import PublisherSpec, SpecError
from keystow.keys import FILE, S3

few = settings(deadline=None, database=None, max_examples=50)

SPEC = PublisherSpec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("s3://bucket/key", SPEC("s3", "bucket", "key")),
        ("S3://bucket/key", SPEC("s3", "bucket", "key")),
        ("  s3://bucket/key\n", SPEC("s3", "bucket", "key")),
        ("s3://bucket/deep/er/key/", SPEC("s3", "bucket", "deep/er/key/")),
        ("s3://bucket//key", SPEC("s3", "bucket", "/key")),
        ("s3://bucket/{jobID}/{date:%Y/%m}", SPEC("s3", "bucket", "{jobID}/{date:%Y/%m}")),
        ("s3://b/date={date}/x", SPEC("s3", "b", "date={date}/x")),
        ("s3://b/date={date}/job={jobID},opt=region=r", SPEC("s3", "b", "date={date}/job={jobID}", region="r")),
        ("s3://b/a=b", SPEC("s3", "b", "a=b")),
        ("s3://b/a?b=c", SPEC("s3", "b", "a?b=c")),
        ("s3://b/a#b", SPEC("s3", "b", "a#b")),
        ("s3://b/a%20b%", SPEC("s3", "b", "a%20b%")),
        ("s3://b/a b+c&d", SPEC("s3", "b", "a b+c&d")),
        ("s3://b/ключ/文件", SPEC("s3", "b", "ключ/文件")),
        ("s3://b/a,b", SPEC("s3", "b", "a,b")),
        ("s3://b/a,b,c,opt=region=r", SPEC("s3", "b", "a,b,c", region="r")),
        ("s3://b/a,", SPEC("s3", "b", "a,")),
        ("s3://b/a,1=2", SPEC("s3", "b", "a,1=2")),
        ("s3://b/s3://c/k", SPEC("s3", "b", "s3://c/k")),
        ('"s3://b/a,region=r"', SPEC("s3", "b", "a,region=r")),
        ('"s3://b/a,region=r",opt=region=eu', SPEC("s3", "b", "a,region=r", region="eu")),
        ('s3://b/k,"opt=endpoint=http://h:1/a,b=c"', SPEC("s3", "b", "k", endpoint="http://h:1/a,b=c")),
        ('"s3://b/say ""hi"""', SPEC("s3", "b", 'say "hi"')),
        ('s3://b/say "hi"', SPEC("s3", "b", 'say "hi"')),
        ("dst=s3://b/k", SPEC("s3", "b", "k")),
        ("destination=s3://b/k,opt=region=r", SPEC("s3", "b", "k", region="r")),
        ("target=s3://b/a=b", SPEC("s3", "b", "a=b")),
        ("opt=region=r,dst=s3://b/k", SPEC("s3", "b", "k", region="r")),
        ("s3,opt=bucket=b,opt=key=k", SPEC("s3", "b", "k")),
        ("s3,opt=bucket=b,opt=key=a=b/{jobID}", SPEC("s3", "b", "a=b/{jobID}")),
        ("s3://b,opt=key=k", SPEC("s3", "b", "k")),
        ("s3://b/k,opt=key=k", SPEC("s3", "b", "k")),
        ("s3://b/k,OPT=Region=r,Option=ENDPOINT=http://h", SPEC("s3", "b", "k", endpoint="http://h", region="r")),
        ("s3://b/k,opt=encoding=plain", SPEC("s3", "b", "k", encoding="plain")),
        ("s3://b/k,opt=Encoding=GZIP", SPEC("s3", "b", "k")),
        ("s3://b/k,opt=region=r,opt=region=r", SPEC("s3", "b", "k", region="r")),
        ("s3://b/a, b", SPEC("s3", "b", "a, b")),
        ("s3://Old_Bucket.eu/k", SPEC("s3", "Old_Bucket.eu", "k")),
        ("gs://b/k,opt=endpoint=http://h", SPEC("gs", "b", "k", endpoint="http://h")),
        ("az://$web/k,opt=endpoint=http://h", SPEC("az", "$web", "k", endpoint="http://h")),
        ("memory://m/k", SPEC("memory", "m", "k")),
        ("file:///a/b/c", SPEC("file", "/a/b", "c")),
        ("file:///a/b/c/", SPEC("file", "/a/b", "c/")),
        ("file:///c", SPEC("file", "/", "c")),
        ("file:///{jobID}", SPEC("file", "/", "{jobID}")),
        ("file:///a/b/{jobID}", SPEC("file", "/a/b", "{jobID}")),
        ("file:///a/b/run-{jobID}/c", SPEC("file", "/a/b", "run-{jobID}/c")),
        ("file:///a/{date:%Y/%m}/c/{jobID}", SPEC("file", "/a", "{date:%Y/%m}/c/{jobID}")),
        ("file:///a/{{b}}/{jobID}", SPEC("file", "/a/{b}", "{jobID}")),
        ("file:///a/{{b}}/c", SPEC("file", "/a/{b}", "c")),
        ("file:///a/b/c,d", SPEC("file", "/a/b", "c,d")),
    ],
)
def test_the_imperative_syntax(text, spec):
    assert SPEC.parse(text) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no destination: write s3://bucket/key"),
        ("opt=region=r", "names no destination"),
        ("s3://b", "'s3://b' names no key: write s3://bucket/key, such as s3://bucket/results/{jobID}"),
        ("s3://b/", "names no key"),
        ("s3:///k", "names no bucket"),
        ("s3:b/k", "names no bucket"),
        ("bucket/key", "'bucket/key' names no bucket: write s3://bucket/key"),
        ("s3,opt=key=k", "names no bucket"),
        ("s3,opt=bucket=b", "names no key"),
        ("s3,opt=bucket=a/b,opt=key=k", "'a/b' is no bucket for s3: give a name of letters, digits, '.', '_' and '-'"),
        ("s3://my bucket/k", "'my bucket' is no bucket for s3"),
        ("s3://.b/k", "'.b' is no bucket for s3"),
        ("s3://" + "b" * 256 + "/k", "is no bucket for s3"),
        ("gs://ü/k", "'ü' is no bucket for gs"),
        ("az://Results/k", "'Results' is no bucket for az: give a container's name, 3 to 63 of a-z, 0-9 and '-'"),
        ("az://ab/k", "'ab' is no bucket for az"),
        ("memory,opt=bucket=a/b,opt=key=k", "'a/b' is no bucket for memory: give a name without '/'"),
        ("http://b/k", "there is no publisher type 'http': known are s3, gs, az, memory, file"),
        ("https://b/k?X-Amz-Signature=s", "there is no publisher type 'https': known are s3"),
        ("file:///s/k,opt=region=x", "a file destination takes no region"),
        ("file:///s/k,opt=endpoint=http://h", "a file destination takes no endpoint"),
        ("memory://s/k,opt=region=x", "a memory destination takes no region"),
        ("gs://bucket/k,opt=region=x", "a gs destination takes no region"),
        ("az://bucket/k,opt=region=x", "an az destination takes no region"),
        ("sftp://u@h/s/k,opt=endpoint=http://h", "a sftp destination takes no endpoint"),
        ("s3://b/k, opt=region=r", "a space stands before 'opt=region=r': take it out, or quote the key"),
        ('"s3://b/k", opt=region=r', "a space stands before 'opt=region=r'"),
        ("s33://b/k", "there is no publisher type 's33': did you mean s3?"),
        ("fil:///b/k", "did you mean file?"),
        ("file://b/k", "'file://b/k' is no absolute path: write file:///b/k"),
        ("file,opt=bucket=b,opt=key=k", "'b' is no bucket for file: give an absolute directory"),
        ("s3://b/k,region=eu-west-1", "an option is written with opt=: write opt=region=eu-west-1"),
        ("s3://b/k,Endpoint=http://h", "write opt=Endpoint=http://h"),
        ("s3://b/k,colour=red", "there is no colour= here: write opt=name=value, or quote the key"),
        ("s3://b/k,opt=regoin=r", "there is no option 'regoin': did you mean region?"),
        ("s3://b/k,opt=colour=red", "there is no option 'colour': known are bucket, key, endpoint, region, encoding"),
        ("s3://b/k,opt=region", "the option region has no value: write opt=region=VALUE"),
        ("s3://b/k,opt=region=", "Publisher.Params.Region is empty"),
        ("s3://b/k,opt=region=a,opt=region=b", "the option region is given twice, as 'a' and as 'b': give one"),
        ("s3://b/k,opt=bucket=c", "the bucket is given twice, as 'b' and as 'c': give one"),
        ("s3://b/k,opt=key=l", "the key is given twice, as 'k' and as 'l': give one"),
        ("s3://b/k,dst=s3://c/l", "the destination is given twice"),
        ('"s3://b/k","x"', "'x' is no option: write opt=name=value"),
        ('"s3://b/k', "is no CSV"),
        ('"s3://b/k"x', "is no CSV"),
        ("s3://b/k,opt=encoding=zip", "there is no encoding 'zip': use gzip (one archive) or plain (a prefix)"),
        ("s3://b/k,opt=endpoint=s3.example.com", "'s3.example.com' is no endpoint: write a URL such as https://"),
        ("s3://b/k,opt=endpoint=ftp://h", "'ftp://h' is no endpoint"),
        ("s3://b/k,opt=endpoint=http://", "'http://' is no endpoint"),
        ("s3://b/k,opt=endpoint=http://[h", "is no endpoint"),
        ("s3://b/k,opt=endpoint=http://h:99999", "is no endpoint"),
        ("s3://b/k,opt=endpoint=http://h?a=b", "is no endpoint"),
        ("s3://b/k,opt=region=us east", "'us east' is no region: use a name such as us-east-1"),
    ],
)
def test_what_is_wrong_in_the_imperative_syntax(text, said):
    with pytest.raises(SpecError) as caught:
        SPEC.parse(text)
    assert said in str(caught.value)


def test_credentials_in_an_endpoint_are_refused_and_not_repeated():
    with pytest.raises(SpecError, match="default credentials chain") as caught:
        SPEC.parse("s3://b/k,opt=endpoint=https://AKIA:secret@h")
    assert "secret" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


PARAMS = {"Bucket": "b", "Key": "k"}
S3_MAPPING = {"Type": "s3", "Params": PARAMS}


@pytest.mark.parametrize(
    "mapping",
    [
        S3_MAPPING,
        {"Publisher": S3_MAPPING},
        {"publisher": S3_MAPPING},
        {"type": "S3", "PARAMS": {"bucket": "b", "KEY": "k"}},
        {"Type": "s3", "Params": PARAMS | {"Endpoint": None, "Region": None}},
        {"Name": "a job", "Type": "batch", "Publisher": S3_MAPPING},
        {"Name": "a job", "Tasks": [{"Name": "main", "Publisher": S3_MAPPING}, {"Publisher": None}]},
        {"Publisher": S3_MAPPING, "Tasks": [{"Name": "main"}]},
        {"Name": "a job", "tasks": [{"name": "main", "publisher": S3_MAPPING}]},
        {"Tasks": [{"Engine": {"Type": "docker"}, "Publisher": {"type": "s3", "params": PARAMS}}]},
    ],
)
def test_the_declarative_syntax(mapping):
    assert SPEC.from_mapping(mapping) == SPEC("s3", "b", "k")


def test_all_that_it_may_hold():
    params = PARAMS | {"Endpoint": "https://h", "Region": "r", "Encoding": "Plain"}
    assert SPEC.from_mapping({"Type": "s3", "Params": params}) == SPEC("s3", "b", "k", "https://h", "r", "plain")
    file = {"Type": "file", "Params": {"Bucket": "/a", "Key": "k"}}
    assert SPEC.from_mapping(file) == SPEC("file", "/a", "k")


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ([S3_MAPPING], "is no destination: give a mapping with Type and Params"),
        ({}, "Publisher needs a Type, such as Type: s3"),
        ({"Params": PARAMS}, "Publisher needs a Type"),
        ({"Type": 3, "Params": PARAMS}, "Publisher needs a Type"),
        ({"Type": "s3"}, "Publisher.Params needs Bucket"),
        ({"Type": "s3", "Params": {"Bucket": "b"}}, "Publisher.Params needs Key"),
        ({"Type": "s3", "Params": {"Bucket": "b", "Key": ""}}, "Publisher.Params.Key is empty"),
        ({"Type": "s3", "Params": {"Bucket": "b", "Key": 2023}}, "Publisher.Params.Key is 2023: write it as text"),
        ({"Type": "s3", "Params": ["Bucket"]}, "Publisher.Params is ['Bucket']: it must be a mapping"),
        ({"Publisher": "s3"}, "Publisher is 's3': it must be a mapping"),
        ({"Type": "s3", "Param": PARAMS}, "unknown name 'Param': did you mean Params?"),
        ({"Type": "s3", "Params": PARAMS | {"Buckt": "c"}}, "unknown name 'Buckt': did you mean Bucket?"),
        ({"Type": "s3", "Params": PARAMS | {"ACL": "public"}}, "unknown name 'ACL': known are Bucket, Key, Endpoint"),
        ({"Type": "s3", "Params": PARAMS | {7: "c"}}, "unknown name 7"),
        ({"Type": "s3", "Params": PARAMS | {"bucket": "c"}}, "Publisher.Params has Bucket twice"),
        ({"Type": "ipfs", "Params": PARAMS}, "there is no publisher type 'ipfs'"),
        ({"Type": "file", "Params": PARAMS}, "'b' is no bucket for file: give an absolute directory"),
        ({"Tasks": [{"Name": "main"}]}, "the first of the job's Tasks has no Publisher: give it one"),
        ({"Name": "a job", "Tasks": []}, "the first of the job's Tasks has no Publisher"),
        ({"Tasks": "main"}, "the first of the job's Tasks has no Publisher"),
        ({"Publishr": S3_MAPPING}, "unknown name 'Publishr': did you mean Publisher?"),
        ({"Name": "a job", "Type": "batch"}, "it has no Publisher: give it one, with Type and Params"),
    ],
)
def test_what_is_wrong_in_the_declarative_syntax(mapping, said):
    with pytest.raises(SpecError) as caught:
        SPEC.from_mapping(mapping)
    assert said in str(caught.value)


def test_the_rules_of_a_key_are_the_providers():
    assert SPEC.parse("s3://b/k").rules is S3
    assert SPEC.parse("memory://b/k").rules is S3
    assert SPEC.parse("file:///b/k").rules is FILE


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
names = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20)
endpoints = names.map("https://h{}.example".format)
encodings = st.sampled_from(["gzip", "plain", "raw"])
buckets = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
specs = st.one_of(
    st.builds(SPEC, st.just("s3"), buckets, text, st.none() | endpoints, st.none() | names, encodings),
    st.builds(SPEC, st.just("memory"), text.filter(lambda name: "/" not in name), text, encoding=encodings),
    st.builds(
        SPEC, st.just("file"), text.filter(lambda name: "\0" not in name).map("/{}".format), text, encoding=encodings
    ),
)


@few
@given(specs)
def test_the_declarative_form_is_read_back(spec):
    assert SPEC.from_mapping(spec.to_mapping()) == spec
    assert SPEC.from_mapping({"Publisher": spec.to_mapping()}) == spec


def quoted(field):
    doubled = field.replace('"', '""')
    return f'"{doubled}"'


@few
@given(bucket=names, key=text.filter(lambda key: not set(key) & set("\r\n")), region=names)
def test_any_key_may_be_quoted(bucket, key, region):
    """RFC 4180; a line break has no place in a destination."""
    assert SPEC.parse(quoted(f"s3://{bucket}/{key}") + f",opt=region={region}") == SPEC(
        "s3", bucket, key, region=region
    )


@few
@given(bucket=names, key=st.text(string.ascii_letters + "=?#%&+;:@!$'()* -_.~/{}", min_size=1, max_size=30))
def test_a_key_without_commas_and_quotes_needs_no_quoting(bucket, key):
    assert SPEC.parse(f"s3://{bucket}/{key}x") == SPEC("s3", bucket, f"{key}x")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~/x", "/home/me/x"),
        ("~/x/{jobID}.tar.gz", "/home/me/x/{jobID}.tar.gz"),
        ("/abs/path", "/abs/path"),
        ("./store/x", "/here/store/x"),
        ("../store/x", "/here/../store/x"),
        ("file://~/x", "/home/me/x"),
        ("file://./store/x", "/here/store/x"),
        ("local://./x", "/here/x"),
    ],
)
def test_a_path_is_told_how_to_write_it(monkeypatch, written, meant):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr("os.getcwd", lambda: "/here")
    with pytest.raises(SpecError) as caught:
        PublisherSpec.parse(written)
    assert f"write file://{meant}" in str(caught.value)
    assert PublisherSpec.parse(f"file://{meant}").type == "file"


@pytest.mark.parametrize("text", ["s3://b/k ", "s3://b/k\t\n", "s3://b/k,opt=region=us-east-1 "])
def test_no_space_at_the_end_is_dropped_without_a_word(text):
    with pytest.raises(SpecError, match=r"a space stands behind .*: take it out, or quote the key if it belongs to it"):
        PublisherSpec.parse(text)


def test_a_quoted_key_may_end_with_a_space():
    assert PublisherSpec.parse('"s3://b/k ",opt=region=us-east-1').key == "k "


@pytest.mark.parametrize("made", [PublisherSpec.parse, lambda text: PublisherSpec("sftp", text.split("://")[1], "k")])
def test_no_password_goes_into_a_result(made):
    with pytest.raises(
        SpecError, match=r"holds a password, which results would repeat: .* set FSSPEC_SFTP_PASSWORD"
    ) as caught:
        made("sftp://user:PW@host/d/k")
    assert "PW" not in str(caught.value).replace("FSSPEC_SFTP_PASSWORD", "")
    assert PublisherSpec.parse("sftp://user@host:22/d/k").bucket == "user@host:22/d"


@pytest.mark.parametrize(
    ("written", "spec"),
    [
        ("gcs://b/k", PublisherSpec("gs", "b", "k")),
        ("S3A://b/k", PublisherSpec("s3", "b", "k")),
        ("s3n://b/k,opt=region=r", PublisherSpec("s3", "b", "k", region="r")),
        ("azure://container/k", PublisherSpec("az", "container", "k")),
        ("abfs://container/a/k", PublisherSpec("az", "container", "a/k")),
        (
            "abfss://container@account.dfs.core.windows.net/a/k",
            PublisherSpec("az", "container", "a/k", "https://account.blob.core.windows.net"),
        ),
        (
            "wasbs://container@account.blob.core.windows.net/k",
            PublisherSpec("az", "container", "k", "https://account.blob.core.windows.net"),
        ),
    ],
)
def test_an_alias_means_what_people_mean(written, spec):
    assert PublisherSpec.parse(written) == spec


def test_an_account_of_somebody_else_is_none_of_azures():
    with pytest.raises(SpecError, match=r"'account\.dfs\.evil\.example\.com' is no account of Azure's"):
        PublisherSpec.parse("abfss://container@account.dfs.evil.example.com/k")
