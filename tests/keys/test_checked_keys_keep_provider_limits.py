"""`check_key(key, rules)`: "provider limits for object names as data (bytes or characters, segments, forbidden forms; a
prefix is checked together with the names that go under it)".

The limits are written a second time here, in plain code, from the providers' pages.
"""

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import cases, keys

from keystow.keys import AZURE, FILE, GCS, S3, KeyRuleError, archive_key, check_key, object_key, prefix_key


def utf8(key):
    try:
        return key.encode()
    except UnicodeEncodeError:
        return None


def fits_s3(key):
    """Up to 1,024 bytes of UTF-8; no relative segments, which HTTP clients resolve away; no NUL."""
    data = utf8(key)
    return data is not None and 1 <= len(data) <= 1024 and not {".", ".."} & set(key.split("/")) and 0 not in data


def fits_gcs(key):
    """As S3; no carriage return or line feed, and not under `.well-known/acme-challenge/`."""
    return fits_s3(key) and not {"\r", "\n"} & set(key) and not key.startswith(".well-known/acme-challenge/")


def fits_azure(key):
    """1 to 1,024 characters, 254 segments; no segment ends with a dot, no name with a slash; no character that is
    invalid in a URL path.
    """
    return (
        utf8(key) is not None
        and 1 <= len(key) <= 1024
        and key.count("/") <= 253
        and not any(segment.endswith(".") for segment in key.split("/"))
        and not key.endswith("/")
        and not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F or c in "\\\ue000\ufffe\uffff" for c in key)
    )


def fits_file(key):
    """PATH_MAX is 4,096 with its NUL, NAME_MAX is 255; a name is any bytes but NUL and the slash."""
    try:
        data = os.fsencode(key)
    except UnicodeEncodeError:
        return False
    segments = data.split(b"/")
    return (
        len(data) < 4096 and b"\0" not in data and all(0 < len(s) <= 255 and s not in (b".", b"..") for s in segments)
    )


PROVIDERS = [(S3, fits_s3), (GCS, fits_gcs), (AZURE, fits_azure), (FILE, fits_file)]
providers = pytest.mark.parametrize(("rules", "fits"), PROVIDERS, ids=[rules.provider for rules, _ in PROVIDERS])


def passes(key, rules, names=None):
    try:
        return check_key(key, rules, names=names) == key
    except KeyRuleError:
        return False


@providers
@given(key=keys)
@example("a" * 1024)
@example("a" * 1025)
@example("é" * 512)
@example("é" * 512 + "a")
@example("😀" * 256)
@example("a" + "😀" * 256)
@example("界" * 1024)
@example("界" * 1025)
@example("界" * 85)
@example("界" * 85 + "a")
@example("a/" * 253 + "a")
@example("a/" * 254 + "a")
@example("a" + "/" * 253 + "a")
@example("界/" * 1023 + "界")
@example("界/" * 1023 + "界a")
@example("a\ue000b")
@example("a\uffffb")
@example("a/./b")
@example("a/b.")
@example("a./b")
@example("a/b./")
@example(".../b")
@example("a\nb")
def test_a_checked_key_fits_and_a_refused_one_does_not(rules, fits, key):
    assert passes(key, rules) == fits(key)


@providers
@given(prefix=keys.map(lambda key: key + "/"), names=st.lists(keys, max_size=3))
@example("a" * 1022 + "/", [])
@example("a" * 1023 + "/", [])
@example("a/", ["b" * 1022, "b" * 1023])
@example("a/", ["b", "c/../d"])
@example("a/", [""])
def test_a_prefix_is_checked_together_with_its_names(rules, fits, prefix, names):
    """DESIGN: "a prefix is checked together with the names that go under it" """
    assert passes(prefix, rules, names) == all(fits(prefix + name) for name in names or ["x"])


@providers
@given(case=cases(), archive=st.booleans())
def test_an_object_key_fits(rules, fits, case, archive):
    """`object_key`: "… then the provider's key rules" """
    expected = archive_key(case.key) if archive else prefix_key(case.key)
    try:
        key = object_key(case.text, case.context, archive=archive, rules=rules)
    except KeyRuleError:
        key = None
    assert key == (expected if fits(expected if archive else expected + "x") else None)


@providers
@given(case=cases())
def test_a_raw_key_fits(rules, fits, case):
    try:
        key = object_key(case.text, case.context, archive=False, raw=True, rules=rules)
    except KeyRuleError:
        key = None
    assert key == (case.key if fits(case.key) and not case.key.endswith("/") else None)


@pytest.mark.parametrize("character", "aé界😀")
def test_the_disk_agrees_about_the_longest_name(tmp_path, character):
    """NAME_MAX counts bytes: the longest name that passes can be made, and one that is refused cannot."""
    longest = character * (255 // len(character.encode()))
    padded = longest + "a" * (255 - len(longest.encode()))
    (tmp_path / check_key(padded, FILE)).touch()
    assert not passes(padded + "a", FILE)
    with pytest.raises(OSError, match="too long"):
        (tmp_path / (padded + "a")).touch()


@providers
def test_every_letter_and_most_signs_may_stand_in_a_key(rules, fits):
    for character in map(chr, range(0x20, 0x7F)):
        key = f"a{character}b"
        assert passes(key, rules) == fits(key), character
        assert fits(key) or (character, rules) == ("\\", AZURE)
