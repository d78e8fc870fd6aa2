"""When a pre-signed URL ends, as it says itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystow.backends import expiry_of

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Date=20261129T110000Z&X-Amz-Expires=3600&X-Amz-Signature=x",
        "X-Goog-Expires=3600&X-Goog-Date=20261129T110000Z",
        "sp=r&se=2026-11-29T12%3A00%3A00Z&sig=x",
        "se=2026-11-29T13:00:00%2B01:00&sig=x",
        "se=2026-11-29T12:00&sig=x",
    ],
)
def test_what_ends_at_noon(query):
    assert expiry_of(f"https://host/bucket/key?{query}") == NOON


@pytest.mark.parametrize(
    "query",
    [
        "",
        "versionId=1",
        "X-Amz-Date=20261129T110000Z",
        "X-Amz-Date=yesterday&X-Amz-Expires=3600",
        "X-Amz-Date=20261129T110000Z&X-Amz-Expires=soon",
        "X-Amz-Date=20261129T110000Z&X-Amz-Expires=99999999999999999",
        "se=later&sig=x",
        "se=2026-11-29T12:00",
    ],
)
def test_what_does_not_say_when(query):
    assert expiry_of(f"https://host/bucket/key?{query}") is None


@given(st.integers(1_000_000_000, 4_000_000_000), st.integers(1, 7 * 86400))
def test_it_ends_so_long_after_it_was_signed(instant, seconds):
    signed = datetime.fromtimestamp(instant, UTC)
    url = f"https://host/key?X-Amz-Date={signed:%Y%m%dT%H%M%SZ}&X-Amz-Expires={seconds}"
    assert expiry_of(url) == signed + timedelta(seconds=seconds)
