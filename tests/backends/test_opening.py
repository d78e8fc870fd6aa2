"""From URLs to stores, and what opening one takes along."""

import subprocess
import sys

import pytest

from keystow.backends import MissingExtraError, UnknownStoreError, open_store


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "s3://bucket"),
        ("results", "file:///directory"),
        ("/tmp/results", "file:///directory"),
        ("nosuch://host/dir", "memory://name"),
        ("S3://bucket", "s3://bucket"),
        ("s3:bucket", "s3://bucket"),
        ("s3://", "names no bucket"),
        ("s3:///", "names no bucket"),
        ("memory://", "names no bucket"),
        ("memory:///", "names no bucket"),
        ("file://", "names no bucket"),
        ("file://dir/below", "file:///dir/below"),
    ],
)
def test_what_names_no_store(url, says) -> None:
    with pytest.raises(UnknownStoreError, match=says) as refused:
        open_store(url)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("url", ["memory://name", "file:///dir", "s3://bucket"])
def test_an_option_that_a_store_does_not_have(url) -> None:
    with pytest.raises(TypeError, match="colour"):
        open_store(url, colour="red")


def test_slashes_around_a_memory_name_mean_nothing() -> None:
    open_store("memory:///slashed/").write("x", [b"x"])
    assert [stat.key for stat in open_store("memory://slashed").list()] == ["x"]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


WITHOUT = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
from keystow.backends import MissingExtraError, open_store
open_store("memory://name").write("x", [b"x"])
try:
    open_store("s3://bucket", engine="fsspec")
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "missing",
    [["s3fs"], ["aiobotocore"], ["s3fs", "aiobotocore", "botocore", "aiohttp"]],
    ids="+".join,
)
def test_a_missing_extra_is_named(missing) -> None:
    assert "pip install 'keystow[s3]'" in run(WITHOUT.format(missing=missing))
    assert issubclass(MissingExtraError, ImportError)


def test_importing_is_light() -> None:
    loaded = run("import sys, keystow.backends; print(*sys.modules)").split()
    assert "keystow.backends.opening" in loaded
    heavy = {"s3fs", "aiobotocore", "botocore", "aiohttp", "yaml", "fsspec", "asyncio"}
    assert not heavy & set(loaded)
