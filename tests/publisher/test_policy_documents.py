"""What policies say, read by matchers of our own: exactly the keys that begin with the template's fixed text."""

import json
import re
from pathlib import Path

import pytest
from commands import complaint, keystow
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cases, keys, texts

import keystow as ks
from keystow.errors import SpecError
from keystow.keys import KeyRuleError, TemplateError, object_key

pytestmark = pytest.mark.slow

BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"


def iam(pattern):
    """A pattern of IAM's as a regular expression: wildcards, and the variables that stand for what is none."""
    tokens = re.split(r"(\$\{[*?$]\}|[*?])", pattern)
    assert "${" not in "".join(tokens[::2]), "a variable that IAM would fill in, or not know"
    said = {"*": ".*", "?": ".", "${*}": r"\*", "${?}": r"\?", "${$}": r"\$"}
    return re.compile("".join(said[t] if i % 2 else re.escape(t) for i, t in enumerate(tokens)), re.DOTALL)


def azure(pattern):
    r"""The same of Azure's ``StringLike``, whose wildcards are literal behind a backslash."""
    assert "'" not in pattern, "the text would end here"
    tokens = re.split(r"(\\[*?]|[*?])", pattern)
    said = {"*": ".*", "?": ".", r"\*": r"\*", r"\?": r"\?"}
    return re.compile("".join(said[t] if i % 2 else re.escape(t) for i, t in enumerate(tokens)), re.DOTALL)


def cel(literal):
    """What a string of CEL's stands for."""
    assert literal[0] == literal[-1] == '"'
    body = literal[1:-1]
    assert re.fullmatch(r"""(?:[^"\\\r\n]|\\(?:[abfnrtv\\"'`?]|u[0-9a-fA-F]{4}))*""", body), "it is no one string"
    simple = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))

    def restored(found):
        escape = found[1]
        return chr(int(escape[1:], 16)) if escape[0] == "u" else simple.get(escape, escape)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", restored, body)


@st.composite
def specs(draw, kind, encoding="gzip"):
    """A destination whose key can be, with its template and keys like those that it gives."""
    case = draw(cases())
    try:
        spec = ks.PublisherSpec(kind, "bucket", case.text, encoding=encoding)
        made = ks.policy(spec, role="requester", manifest=False if encoding == "plain" else None)
    except (SpecError, KeyRuleError, TemplateError):
        assume(False)
    template = case.template()
    prefix = template.literal_prefix
    near = st.sampled_from([prefix, prefix[:-1], prefix[:-1] + "?", prefix.swapcase(), prefix.replace("*", "x")])
    key = draw(keys | st.builds(str.__add__, near, texts(max_size=8)) | st.just(case.key))
    return case, template, made, key


def statement(made, name):
    (found,) = [each for each in made.document["Statement"] if each["Sid"] == name]
    return found


@given(specs("s3"))
def test_a_resource_of_iams_is_the_keys_that_begin_so(given):
    case, template, made, key = given
    pattern = iam(statement(made, "Objects")["Resource"])
    is_meant = bool(pattern.fullmatch(f"arn:aws:s3:::bucket/{key}"))
    if case.holes:
        assert is_meant == key.startswith(template.literal_prefix)
    else:
        assert is_meant == (key == object_key(template, case.context, archive=True))


@given(specs("s3", "plain"))
def test_what_may_be_listed_is_what_begins_so(given):
    case, template, made, key = given
    listing = statement(made, "Listing")
    assert listing["Resource"] == "arn:aws:s3:::bucket"
    prefix = template.literal_prefix if case.holes else object_key(template, case.context, archive=False)
    allowed = listing.get("Condition", {"StringLike": {"s3:prefix": "*"}})
    assert ("Condition" in listing) == bool(prefix)
    assert bool(iam(allowed["StringLike"]["s3:prefix"]).fullmatch(key)) == key.startswith(prefix)


@given(specs("gs", "plain"))
def test_a_condition_of_googles_is_on_the_keys_that_begin_so(given):
    case, template, made, _ = given
    prefix = template.literal_prefix if case.holes else object_key(template, case.context, archive=False)
    (binding,) = made.document["bindings"]
    assert ("condition" in binding) == bool(prefix)
    if prefix:
        found = re.fullmatch(
            r"resource\.name\.startsWith\((\".*\")\) \|\| "
            r"api\.getAttribute\(\"storage\.googleapis\.com/objectListPrefix\", \"\"\)\.startsWith\((\".*\")\)",
            binding["condition"]["expression"],
        )
        assert cel(found[1]) == f"projects/_/buckets/bucket/objects/{prefix}"
        assert cel(found[2]) == prefix


@given(specs("az"))
def test_a_condition_of_azures_is_on_the_keys_that_begin_so(given):
    case, template, made, key = given
    condition = made.document["assignment"]["condition"]
    found = re.fullmatch(
        rf"\(\(!\(ActionMatches\{{'{BLOBS}/read'\}}\)\) OR \(@Resource\[{BLOBS}:path\] StringLike '(.*)'\)\)", condition
    )
    pattern = azure(found[1])
    is_meant = bool(pattern.fullmatch(key))
    if not case.holes:
        assert pattern.fullmatch(object_key(template, case.context, archive=True))
        return
    prefix = template.literal_prefix
    assert is_meant or not key.startswith(prefix)
    if is_meant:
        start = key[: len(prefix)]
        assert all(ours == theirs or ours == "'" for ours, theirs in zip(prefix, start, strict=True))


# What is in them, and why


PUBLISHER = [
    ("", {}, ["s3:PutObject"]),
    ("", {"if_exists": "error"}, ["s3:PutObject"]),
    ("", {"if_exists": "skip"}, ["s3:PutObject", "s3:GetObject"]),
    ("", {"with_abort": True}, ["s3:PutObject", "s3:AbortMultipartUpload"]),
    (",opt=tags=a=1", {}, ["s3:PutObject", "s3:PutObjectTagging"]),
    ("", {"legal_hold": True}, ["s3:PutObject", "s3:PutObjectLegalHold"]),
    (
        ",opt=lockmode=governance,opt=retainuntil=2030-01-31T00:00:00+00:00",
        {},
        ["s3:PutObject", "s3:PutObjectRetention"],
    ),
    ("", {"kms_key": "k"}, ["s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt"]),
    ("", {"encryption": "aws:kms", "storage_class": "STANDARD_IA", "metadata": {"a": "b"}}, ["s3:PutObject"]),
]
REQUESTER = [
    ("", {}, ["s3:GetObject"]),
    ("", {"with_versions": True}, ["s3:GetObject", "s3:GetObjectVersion"]),
    ("", {"archive": False}, ["s3:GetObject"]),
    ("", {"archive": False, "manifest": False}, ["s3:GetObject", "s3:ListBucket"]),
    (",opt=encoding=plain", {}, ["s3:GetObject"]),
    (",opt=encoding=plain,opt=manifest=false", {}, ["s3:GetObject", "s3:ListBucket"]),
    (",opt=encoding=plain,opt=manifest=false", {"manifest": True}, ["s3:GetObject"]),
    (",opt=kmskeyid=k,opt=tags=a=1", {}, ["s3:GetObject", "kms:Decrypt"]),
]


@pytest.mark.parametrize(
    ("role", "options", "given", "permissions"),
    [("publisher", *row) for row in PUBLISHER] + [("requester", *row) for row in REQUESTER],
)
def test_what_is_granted_on_s3(role, options, given, permissions):
    made = ks.policy(f"s3://bucket/results/{{jobID}}{options}", role=role, **given)
    assert [grant.permission for grant in made.grants] == permissions
    assert [action for each in made.document["Statement"] for action in each["Action"]] == permissions
    assert all(re.match("[a-z]", grant.why) for grant in made.grants)


@pytest.mark.parametrize(
    ("role", "given", "google", "azure"),
    [
        ("publisher", {}, ["create", "delete"], ["write"]),
        ("publisher", {"if_exists": "error"}, ["create"], ["write"]),
        ("publisher", {"if_exists": "skip"}, ["create", "get"], ["write", "read"]),
        ("publisher", {"with_abort": True}, ["create", "delete"], ["write"]),
        ("requester", {}, ["get"], ["read"]),
        ("requester", {"archive": False}, ["get"], ["read"]),
        ("requester", {"archive": False, "manifest": False}, ["get", "list"], ["read"]),
        ("requester", {"with_versions": True}, ["get"], ["read"]),
    ],
)
def test_what_is_granted_on_google_and_azure(role, given, google, azure):
    made = ks.policy("gs://bucket/results/{jobID}", role=role, **given)
    assert made.document["role"]["includedPermissions"] == [f"storage.objects.{name}" for name in google]
    made = ks.policy("az://results/{jobID}/k", role=role, **given)
    assert made.document["role"]["DataActions"] == [f"{BLOBS}/{name}" for name in azure]
    condition = made.document["assignment"]["condition"]
    assert all(f"ActionMatches{{'{grant.permission}'}}" in condition for grant in made.grants)


def test_what_is_granted_for_what_is_said_of_objects_there():
    made = ks.policy("az://results/{jobID}", role="publisher", tags={"a": "1"})
    assert [grant.permission for grant in made.grants] == [f"{BLOBS}/write", f"{BLOBS}/tags/write"]
    lock = ",opt=lockmode=governance,opt=retainuntil=2030-01-31T00:00:00+00:00"
    for made in (
        ks.policy(f"az://results/{{jobID}}{lock}", role="publisher"),
        ks.policy("az://results/{jobID}", role="publisher", legal_hold=True),
    ):
        keeping = f"{BLOBS}/immutableStorage/runAsSuperUser/action"
        assert [grant.permission for grant in made.grants] == [f"{BLOBS}/write", keeping]
        assert f"!(ActionMatches{{'{keeping}'}})" in made.document["assignment"]["condition"]
    lock += ",opt=kmskeyid=projects/p/k"
    made = ks.policy(f"gs://bucket/r/{{jobID}}{lock},opt=requesterpays=mine", role="publisher", if_exists="error")
    assert [grant.permission.rpartition(".")[2] for grant in made.grants] == ["create", "setRetention"]
    notes = " ".join(made.notes)
    assert "cryptoKeyEncrypterDecrypter" in notes
    assert "by the project mine: they need serviceusage.services.use" in notes


def test_the_documents_of_google_and_azure():
    assert ks.policy('gs://bucket/a"b\\c/{jobID}', role="requester").document == {
        "role": {"title": "keystow requester", "stage": "GA", "includedPermissions": ["storage.objects.get"]},
        "bindings": [
            {
                "role": "projects/PROJECT/roles/keystowRequester",
                "members": ["serviceAccount:NAME@PROJECT.iam.gserviceaccount.com"],
                "condition": {
                    "title": "keystow requester",
                    "expression": r'resource.name.startsWith("projects/_/buckets/bucket/objects/a\"b\\c/")',
                },
            }
        ],
    }
    made = ks.policy("az://con/it's*/{jobID},opt=endpoint=https://mine.blob.core.windows.net", role="publisher")
    assert made.document == {
        "role": {
            "Name": "keystow publisher",
            "IsCustom": True,
            "Description": "What a publisher of keystow's needs",
            "Actions": [],
            "DataActions": [f"{BLOBS}/write"],
            "AssignableScopes": ["/subscriptions/SUBSCRIPTION"],
        },
        "assignment": {
            "role": "keystow publisher",
            "principalId": "PRINCIPAL",
            "scope": "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers/Microsoft.Storage"
            "/storageAccounts/mine/blobServices/default/containers/con",
            "condition": f"((!(ActionMatches{{'{BLOBS}/write'}})) OR "
            rf"(@Resource[{BLOBS}:path] StringLike 'it?s\*/*'))",
            "conditionVersion": "2.0",
        },
    }
    assert any("a quote in the key stands as ?" in note for note in made.notes)
    assert not any("ACCOUNT" in note for note in made.notes)


def test_azure_lists_by_a_prefix_that_begins_so():
    bare = ks.policy("az://con/r/{jobID}", role="requester", archive=False, manifest=False)
    condition = bare.document["assignment"]["condition"]
    assert condition == (
        f"((!(ActionMatches{{'{BLOBS}/read'}} AND NOT SubOperationMatches{{'Blob.List'}})) OR "
        f"(@Resource[{BLOBS}:path] StringLike 'r/*')) AND "
        f"((!(ActionMatches{{'{BLOBS}/read'}} AND SubOperationMatches{{'Blob.List'}})) OR "
        f"(@Request[{BLOBS}:prefix] StringLike 'r/*'))"
    )


ALIAS = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/results"}}


@pytest.mark.parametrize(
    ("key", "options", "resource", "condition"),
    [
        ("1234-ab", "", "arn:aws:kms:*:*:key/1234-ab", {}),
        ("1234-ab", ",opt=region=eu-west-1", "arn:aws:kms:eu-west-1:*:key/1234-ab", {}),
        ("arn:aws:kms:us-east-1:1:key/mrk-1", "", "arn:aws:kms:us-east-1:1:key/mrk-1", {}),
        ("alias/results", ",opt=region=cn-north-1", "arn:aws-cn:kms:cn-north-1:*:key/*", ALIAS),
        ("arn:aws:kms:us-east-1:1:alias/results", "", "arn:aws:kms:us-east-1:1:key/*", ALIAS),
    ],
)
def test_a_key_of_kms_is_named_and_used_through_s3_alone(key, options, resource, condition):
    made = ks.policy(f"s3://bucket/k/{{jobID}}{options}", role="publisher", kms_key=key)
    found = statement(made, "Key")
    assert found["Resource"] == resource
    assert found["Condition"] == {"StringLike": {"kms:ViaService": "s3.*"}} | condition


@pytest.mark.parametrize(
    ("options", "partition"),
    [
        ("", "aws"),
        (",opt=region=cn-north-1", "aws-cn"),
        (",opt=endpoint=https://s3.us-gov-west-1.amazonaws.com", "aws-us-gov"),
        (",opt=region=eusc-de-east-1", "aws-eusc"),
        (",opt=region=us-isob-east-1", "aws-iso-b"),
        (",opt=endpoint=https://s3.example.com", "aws"),
    ],
)
def test_the_partition_is_the_regions(options, partition):
    made = ks.policy(f"s3://bucket/k/{{jobID}}{options}", role="requester")
    assert statement(made, "Objects")["Resource"] == f"arn:{partition}:s3:::bucket/k/*"


def test_what_is_known_narrows_it_and_the_environment_does_not(monkeypatch):
    monkeypatch.setenv("BACALHAU_JOB_ID", "not-this")
    to = "s3://bucket/{jobID}/{run}/{partitionIndex}"
    for known, reached in [
        (None, "*"),
        (ks.Context(job_id="abc"), "abc/*"),
        (ks.Context(job_id="abc", labels={"run": "7"}), "abc/7/*"),
        (ks.Context(job_id="abc", labels={"run": "7"}, partition_index=3), "abc/7/3.tar.gz"),
    ]:
        made = ks.policy(to, role="publisher", context=known)
        assert statement(made, "Objects")["Resource"] == f"arn:aws:s3:::bucket/{reached}"
        assert any("all of the bucket is meant" in note for note in made.notes) == (reached == "*")
        assert any("{run} is taken for a label" in note for note in made.notes) == ("7" not in reached)


@pytest.mark.parametrize("said", [{"RequesterPays": "true"}, {"LockMode": "compliance"}])
def test_what_a_job_says_is_taken_on_its_word_as_nobody_pays_for_a_policy_or_is_bound_by_it(said):
    until = {"RetainUntil": "2030-01-31T00:00:00+00:00"} if "LockMode" in said else {}
    job = {"Type": "s3", "Params": {"Bucket": "bucket", "Key": "r/{jobID}", **said, **until}}
    made = ks.policy(job, role="publisher")
    assert ("s3:PutObjectRetention" in statement(made, "Objects")["Action"]) == ("LockMode" in said)
    assert ks.lifecycle(job) == ks.lifecycle("s3://bucket/r/{jobID}")


@pytest.mark.parametrize(
    ("destination", "key"),
    [("s3://bucket/r*/{jobID}", "r*/"), ("s3://bucket/{jobID}", ""), ("s3://bucket/r", "r.tar.gz")],
)
def test_the_rule_for_unfinished_uploads(destination, key):
    (rule,) = ks.lifecycle(destination).document["Rules"]
    assert rule["Filter"] == {"Prefix": key}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


@pytest.mark.parametrize("destination", ["gs://bucket/{jobID}", "az://con/{jobID}"])
def test_where_there_is_nothing_to_set(destination):
    made = ks.lifecycle(destination)
    assert (made.document, made.grants) == ({}, ())
    assert [note for note in made.notes if "there is nothing to set" in note] == list(made.notes)


@pytest.mark.parametrize(
    ("destination", "given", "said"),
    [
        ("file:///directory/{jobID}", {"role": "publisher"}, "a file destination has no policies: S3, Google"),
        ("memory://b/k", {"role": "publisher"}, "a memory destination has no policies"),
        ("sftp://host/directory/k", {"role": "requester"}, "a sftp destination has no policies"),
        ("s3://bucket/k", {"role": "reader"}, "there is no role 'reader': use publisher or requester"),
        ("s3://bucket/k", {"role": "publisher", "if_exists": "no"}, "if_exists='no' is no choice"),
        ("s3://bucket/k", {"role": "publisher", "with_versions": True}, "with_versions=True is not for the publisher"),
        ("s3://bucket/k", {"role": "requester", "with_abort": True}, "with_abort=True is not for the requester"),
        ("s3://bucket/k", {"role": "requester", "if_exists": "skip"}, 'if_exists="skip" is not for the requester'),
        ("gs://bucket/k", {"role": "publisher", "tags": {"a": "1"}}, "Google has none: use metadata"),
        ("s3://bucket", {"role": "publisher"}, "names no key"),
        ("s3://bucket/{a", {"role": "publisher"}, "a stray '{'"),
        ("az://con/a./{jobID}", {"role": "publisher"}, "Azure Blob Storage cannot store the key"),
    ],
)
def test_what_is_wrong_is_said(destination, given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ks.policy(destination, **given)


# The command


def test_the_document_is_printed_and_the_reasons_are_told():
    to = "s3://bucket/results/{jobID}"
    ran = keystow("policy", to, "--role", "publisher", "--if-exists", "skip", "--tag", "a=1", "--output", "json")
    made = ks.policy(to, role="publisher", if_exists="skip", tags={"a": "1"})
    assert (ran.status, json.loads(ran.out)) == (0, made.document)
    told = [json.loads(line)["message"] for line in ran.err.splitlines()]
    assert len(told) == len(made.grants) + len(made.notes)
    assert "s3:PutObject: writes an object, in one request or in parts" in told
    assert any("(--with-abort adds it; --lifecycle is the rule)" in message for message in told)
    assert any("(--if-exists skip)" in message for message in told)
    assert not any(re.search(r"\w=(True|False|\")", message) for message in told)


@pytest.mark.parametrize("kind", ["s3", "gs", "az"])
@pytest.mark.parametrize("role", ["publisher", "requester"])
def test_it_is_told_in_the_words_of_the_command(kind, role):
    with_it = {"publisher": ["--with-abort"], "requester": ["--with-versions"]}[role]
    for arguments in ([], with_it):
        ran = keystow("policy", f"{kind}://results/{{jobID}}", "--role", role, *arguments)
        assert ran.status == 0
        assert not re.search(r"\w=(True|False|\")|\(\)", ran.err), ran.err


def test_what_is_typed_of_a_job_is_known():
    ran = keystow(
        "policy",
        "s3://b/{jobID}/{date}",
        "--role",
        "publisher",
        "--job-id",
        "j",
        "--at",
        "2026-01-02",
        BACALHAU_JOB_ID="x",
    )
    assert statement(ks.Policy(json.loads(ran.out)), "Objects")["Resource"] == "arn:aws:s3:::b/j/20260102.tar.gz"


def test_its_help_names_no_variable_of_a_jobs():
    assert "BACALHAU" in keystow("key", "--help").out
    assert "BACALHAU" not in keystow("policy", "--help").out


def test_the_rule_is_printed_alone():
    ran = keystow("policy", "s3://bucket/results/{jobID}", "--lifecycle")
    assert json.loads(ran.out) == ks.lifecycle("s3://bucket/results/{jobID}").document
    ran = keystow("policy", "gs://bucket/results/{jobID}", "--lifecycle")
    assert (ran.status, ran.out) == (0, "")
    assert "there is nothing to set" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["s3://bucket/k"], "one of the arguments --role --lifecycle is required"),
        (["s3://bucket/k", "--role", "publisher", "--lifecycle"], "not allowed with argument"),
        (["s3://bucket/k", "--lifecycle", "--with-abort"], "--lifecycle is about unfinished uploads alone"),
        (
            ["s3://bucket/k", "--role", "requester", "--with-abort"],
            "--with-abort is not for the requester: leave it out",
        ),
        (["s3://bucket/k", "--role", "requester", "--if-exists", "skip"], "--if-exists skip is not for the requester"),
        (["s3://b/k", "--role", "requester", "--no-manifest"], "--no-manifest is for files under a prefix"),
        (["s3://b/k", "--lifecycle", "--plain", "--no-manifest"], "--lifecycle is about unfinished uploads alone"),
        (["file:///d/k", "--lifecycle"], "a file destination has no policies"),
        (["s3://bucket/{jobID}", "--role", "publisher", "--job-id", "a/b"], "the value of {jobID}"),
    ],
)
def test_a_call_that_is_wrong(arguments, said):
    assert said in complaint(keystow("policy", *arguments), 2)


@pytest.mark.parametrize("kind", ["s3", "gs", "az"])
def test_what_a_manifest_spares_is_said(kind):
    def said(**given):
        notes = ks.policy(f"{kind}://bucket/r/{{jobID}}", **given).notes
        return [note for note in notes if "left out, as a manifest" in note or "cut off" in note]

    (note,) = said(role="requester", archive=False)
    assert "strict=True" in note
    assert "manifest=False" in note
    assert said(role="requester", archive=False, manifest=False) == said(role="requester") == []
    (note,) = said(role="publisher", archive=False, if_exists="error")
    assert "in the way" in note
    assert said(role="publisher", archive=False) == said(role="publisher", archive=False, if_exists="skip") == []
    assert said(role="publisher", archive=False, if_exists="error", manifest=False) == []


def test_the_page_names_every_permission():
    page = (Path(__file__).parent.parent.parent / "docs" / "permissions.md").read_text("utf-8")
    everything = {"if_exists": "skip", "with_abort": True, "legal_hold": True}
    lock = ",opt=lockmode=governance,opt=retainuntil=2030-01-31T00:00:00+00:00"
    made = [
        ks.policy(f"s3://b/k{lock}", role="publisher", tags={"a": "1"}, kms_key="k", **everything),
        ks.policy("s3://b/k", role="requester", archive=False, manifest=False, with_versions=True),
        ks.policy(f"gs://b/k{lock}", role="publisher"),
        ks.policy("gs://b/k", role="requester", archive=False, manifest=False),
        ks.policy("az://con/k", role="publisher", tags={"a": "1"}, if_exists="skip", legal_hold=True),
    ]
    granted = {grant.permission for each in made for grant in each.grants}
    assert len(granted) == 19
    rows = {found.replace("…", BLOBS) for found in re.findall(r"^\| [a-z ,]+ \| \w+ \| `([^`]+)`", page, re.MULTILINE)}
    assert rows == granted
