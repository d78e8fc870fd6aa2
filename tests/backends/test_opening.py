"""From URLs to stores, and what opening one takes along."""

import contextlib
import subprocess
import sys

import pytest

from keystow.backends import MissingExtraError, UnknownStoreError, open_store
from keystow.backends.opening import canonical, is_known, located


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
        ("gcs://", "names no bucket: write gs://bucket"),
        ("gs://bucket/below", "names more than a bucket: write gs://bucket"),
        ("s3a://bucket/a/b", "names more than a bucket: write s3://bucket"),
        ("abfs://container/a", "names more than a bucket: write az://container"),
        ("abfss://c@account.dfs.core.windows.net.evil.com", "is no account of Azure's: write CONTAINER@ACCOUNT"),
        ("abfss://c@evil.com/.dfs.core.windows.net", "is no account of Azure's"),
        ("wasb://c@", "is no account of Azure's"),
        ("az://c@account.blob.core.windows.net@evil.com", "is no account of Azure's"),
    ],
)
def test_what_names_no_store(url, says) -> None:
    with pytest.raises(UnknownStoreError, match=says) as refused:
        open_store(url)
    assert isinstance(refused.value, ValueError)


def test_a_path_that_is_not_absolute_is_advised_as_what_it_is(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    with pytest.raises(UnknownStoreError, match=r"write file:///home/somebody/store$"):
        open_store("file://~/store")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownStoreError) as refused:
        open_store("file://store/x")
    assert str(refused.value).endswith(f"write file://{tmp_path}/store/x, or file:///store/x")


@pytest.mark.parametrize(
    ("protocol", "meant"),
    [
        ("gcs", "gs"), ("gs", "gs"), ("s3a", "s3"), ("s3n", "s3"), ("azure", "az"), ("abfs", "az"), ("abfss", "az"),
        ("wasb", "az"), ("wasbs", "az"), ("local", "file"), ("memory", "memory"), ("sftp", "sftp"), ("", ""),
    ],
)  # fmt: skip
def test_other_names_mean_what_people_mean(protocol, meant) -> None:
    assert canonical(protocol) == meant == canonical(meant)
    assert is_known(protocol) == bool(protocol)


@pytest.mark.parametrize("protocol", ["abfs", "abfss", "wasb", "wasbs", "az", "azure"])
@pytest.mark.parametrize("service", ["dfs", "blob"])
def test_azures_own_urls_have_the_account_in_them(protocol, service) -> None:
    found = located(f"{protocol}://results@account.{service}.core.windows.net/a/b@c")
    assert found == ("az", "results/a/b@c", "https://account.blob.core.windows.net")
    assert located(f"{protocol}://results@account.{service}.core.usgovcloudapi.net")[1:] == (
        "results",
        "https://account.blob.core.usgovcloudapi.net",
    )
    assert located(f"{protocol}://results/a@b/c") == ("az", "results/a@b/c", None)


def test_what_is_located_elsewhere_is_taken_as_it_is() -> None:
    assert located("s3a://bucket/a@b") == ("s3", "bucket/a@b", None)
    assert located("sftp://user@host/dir") == ("sftp", "user@host/dir", None)
    assert located("local:///dir") == ("file", "/dir", None)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("gcs://bucket", "GCSStore"),
        ("s3a://bucket", "S3Store"),
        ("s3n://bucket/", "S3Store"),
        ("abfss://c", "AzureStore"),
    ],
)
def test_a_store_by_another_name(monkeypatch, url, kind) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true")
    with contextlib.closing(open_store(url, engine="fsspec")) as store:
        assert type(store).__name__ == kind


@pytest.mark.parametrize("url", ["abfss://c@mine.dfs.core.windows.net", "wasbs://c@mine.blob.core.windows.net/"])
def test_an_account_in_the_url_is_the_endpoint(monkeypatch, url) -> None:
    for name in ("CONNECTION_STRING", "ACCOUNT_NAME", "SAS_TOKEN"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5c3Rvdw==")
    with contextlib.closing(open_store(url)) as store:
        assert store.endpoint == "https://mine.blob.core.windows.net"
    with contextlib.closing(open_store(url, endpoint="https://mine.blob.core.windows.net")):
        pass
    with pytest.raises(ValueError, match="name two places"):
        open_store(url, endpoint="https://other.blob.core.windows.net")


@pytest.mark.parametrize(
    ("url", "missing", "extra"),
    [("gs://bucket", "gcsfs", "gcs"), ("az://container", "adlfs", "azure"), ("gcs://b", "gcsfs", "gcs")],
)
def test_an_extra_is_asked_for_when_the_store_is_opened(url, missing, extra) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from keystow.backends import MissingExtraError, open_store\n"
        f"try: open_store({url!r})\nexcept MissingExtraError as error: print(error)"
    )
    assert f"keystow[{extra}]" in run(code)


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
