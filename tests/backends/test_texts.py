"""No secret and nothing that moves a terminal is in a text that leaves, and preparing a text twice changes nothing."""

import base64
import json
import logging
import pickle
import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keystow.backends import NotFoundError, StoreError, UnknownStoreError
from keystow.backends.texts import escaped, guard_logs, keep_secret, masked, presentable

SECRET = "s3cr3t/Ab+9="


@pytest.mark.parametrize(
    "text",
    [
        f"https://{SECRET.replace('/', '')}@host/x",
        f"http://user:{SECRET}@host:9000/x",
        f"ftp://user:{SECRET}@host/x",
        f"https://bucket.s3.amazonaws.com/key?X-Amz-Signature={SECRET}&a=b",
        f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature={SECRET}\r\nHost: x",
        f"{{'Authorization': b'Bearer {SECRET}'}}",
        f"X-Amz-Security-Token: {SECRET}",
        f"('x-amz-security-token', '{SECRET}')",
        f"x-ms-copy-source-authorization={SECRET}",
        f"Set-Cookie: id={SECRET}",
        f"AccountName=a;AccountKey={SECRET};BlobEndpoint=http://h",
        f"SharedAccessSignature=sv=2024&sig={SECRET}",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f'{{"access_token": "{SECRET}", "expires_in": 3599}}',
        f"<SessionToken>{SECRET}</SessionToken>",
        f"password='{SECRET}'",
        f"Bearer {SECRET}{SECRET}",
        f"SharedKey account:{SECRET}",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
        f'{{"private_key": "-----BEGIN PRIVATE KEY-----\\n{SECRET}\\n-----END PRIVATE KEY-----"}}',
        f"private_key=-----BEGIN RSA PRIVATE KEY-----\n{SECRET}",
        f'{{\\"X-Amz-Security-Token\\": \\"{SECRET}\\"}}',
        f"{{'X-Amz-Security-Token': ['{SECRET}']}}",
        f"{{'password': 'correct {SECRET}, b'}}",
        f"password: {SECRET}",
        f"SecretAccessKey: {SECRET}",
        f'secret_key: "{SECRET}"',
        f'Authorization: Digest username="u", response="{SECRET}"',
        f'Cookie: a="b"; session={SECRET}',
        f"x-amz-server-side-encryption-customer-key: {SECRET}",
        f"X-Goog-Api-Key: {SECRET}",
        f"api_key={SECRET}",
        f"passphrase={SECRET}",
        f"sv%3D2024%26X-Amz-Signature%3D{SECRET}",
        f'"token":\n "{SECRET}"',
        f"token  =  {SECRET}",
        f"<sts:SessionToken>{SECRET}</sts:SessionToken>",
        f"&lt;SessionToken&gt;{SECRET}&lt;/SessionToken&gt;",
        f"https://host/b?prefix='a'&upload_id={SECRET}",
        f"https://user:p@{SECRET.replace('/', '')}@host/",
        f"ftp://user:p@{SECRET}@host/",
    ],
)
def test_a_secret_is_masked_where_it_stands(text):
    shown = presentable(text)
    assert SECRET not in shown
    assert SECRET.replace("/", "") not in shown
    assert "…" in shown
    assert presentable(shown) == shown
    assert SECRET not in str(StoreError(text))
    assert SECRET not in repr(NotFoundError("x", code=text, request_id=text, hint=text))
    assert SECRET not in str(UnknownStoreError(text))


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a@b?c=d&e#f: NoSuchKey",
        "http://127.0.0.1:9000/bucket/a@b",
        "sftp://user@host/directory",
        "AuthorizationHeaderMalformed: The authorization header is malformed; the region 'us-east-1' is wrong",
        "InvalidToken: The provided token is malformed",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        "the basic rules of a bearer",
        f"the archive has the SHA-256 {'0a' * 32}",
        "the request signature we calculated does not match: token: expired, secret: none",
        "<sigma>0.05 was chosen, and a-token>b is none",
        "basic authentication is not offered, and bearer tokens are",
    ],
)
def test_what_is_no_secret_stays(text):
    assert presentable(text) == text


def test_a_secret_that_a_store_uses_is_masked_in_every_place():
    keep_secret("kept/by+a=store", None, "short")
    assert presentable("it said kept/by+a=store, in short, and kept%2Fby%2Ba%3Dstore") == "it said …, in short, and …"


def test_only_the_newest_secrets_are_kept():
    keep_secret(*(f"numbered-secret-{number}" for number in range(1000)))
    assert presentable("numbered-secret-999") == "…"
    assert presentable("numbered-secret-1 was long ago") == "numbered-secret-1 was long ago"


@given(st.text())
@example("\x1b]0;title\x07 \x9b31m \u202e \u2066 \u2028 \ud800 \r\n")
@example("Authorization: a\nX-Amz-Security-Token: b\n")
def test_nothing_moves_a_terminal_and_twice_is_as_good_as_once(text):
    shown = presentable(text)
    assert not any(unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"} for character in shown)
    assert not any(unicodedata.bidirectional(character) in {"LRE", "RLE", "LRO", "RLO", "PDF"} for character in shown)
    assert not any(unicodedata.bidirectional(character) in {"LRI", "RLI", "FSI", "PDI"} for character in shown)
    assert presentable(shown) == shown


def test_log_records_are_prepared(caplog):
    guard_logs("keystow-test.guarded")
    guard_logs("keystow-test.guarded")
    logger = logging.getLogger("keystow-test.guarded")
    assert len(logger.filters) == 1
    with caplog.at_level(logging.DEBUG):
        logger.debug("headers: %s", {"X-Amz-Security-Token": SECRET})
    assert SECRET not in caplog.text
    assert "X-Amz-Security-Token" in caplog.text


def test_an_error_crosses_to_another_process():
    error = NotFoundError("gone \x1b[2J", code="404", request_id="r", hint="look")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("text", ["a-" * 500_000, "\x1b" * 100_000, "key=" * 9_000, "http:" * 9_000], ids=len)
def test_a_very_long_text_is_cut(text):
    shown = presentable(text)
    assert len(shown) <= 6000
    assert shown.endswith(f"… ({len(text)} characters)")
    assert presentable(shown) == shown


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["secret", "token-", "<secret", "a-token>", "sig", "<sig", "password=", "&lt;secret"])
def test_a_hostile_text_takes_no_time(piece):
    """The masks look for no end of what has no beginning; 8,000 characters took minutes."""
    assert presentable(piece * (8000 // len(piece)))


def test_a_secret_on_the_cut_is_not_shown_in_part():
    keep_secret("a-secret-" * 100)
    assert "a-secret-" not in presentable("x" * 7900 + "a-secret-" * 100)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://host/key?anything=at+all&b then", "at https://host/key?… then"),
        ("it is eyJhbGciOi_J9.eyJzdWIi-Q.c2ln here", "it is … here"),
        ("it is ya29.a0Af-x.y here", "it is … here"),
        ("it is ghp_0123456789abcdefghij here", "it is … here"),
    ],
)
def test_a_secret_is_known_by_its_form(text, shown):
    assert presentable(text) == shown


def test_what_is_cut_is_over_six_thousand_characters_or_was_over_eight():
    assert presentable("x" * 6000) == "x" * 6000
    assert presentable("x" * 6001) == "x" * 5900 + "… (6001 characters)"
    masked = "Bearer ".ljust(8000, "1")
    assert presentable(masked) == "Bearer …"
    assert presentable(masked + "1") == "… (8001 characters)"


def test_a_secret_has_eight_characters_or_more():
    keep_secret("8letters", "7-chars")
    assert presentable("8letters and 7-chars") == "… and 7-chars"


def test_the_newest_256_secrets_are_kept():
    """One that is used again is new again."""
    many = [f"secret-number-{number:04}" for number in range(300)]
    keep_secret(*many)
    assert [presentable(one) for one in many] == many[:44] + ["…"] * 256
    keep_secret(many[44])
    keep_secret(*(f"another-{number}" for number in range(255)))
    assert presentable(many[44]) == "…"
    assert presentable(many[45]) == many[45]


@pytest.mark.parametrize(
    "spell",
    [
        lambda secret: quote(secret, safe="/"),
        lambda secret: quote(secret, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
        lambda secret: json.dumps(secret).replace("/", "\\/"),
        lambda secret: base64.b64encode(secret.encode()).decode(),
    ],
    ids=["path", "lower-case escapes", "JSON", "base64"],
)
def test_a_known_secret_is_masked_in_another_spelling(spell):
    secret = "FwoG/abc+def/ghi==XYZ"
    keep_secret(secret)
    assert presentable(f"you sent {spell(secret).strip(chr(34))} here") == "you sent … here"


def test_lines_stay_lines_where_they_are_to():
    assert masked("a\npassword=abc\nb") == "a\npassword=…\nb"
    assert escaped("a\x1b[2J\u202eb") == "a\\x1b[2J\\u202eb"
