"""Fixtures for the whole suite: an environment without the user's credentials, and one real S3 server."""

import datetime as dt
import inspect
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from keystow.testing.servers import Credentials, SeaweedFS

SERVERS = {"seaweed", "bucket", "versioned_bucket", "login", "s3", "gcs", "azure", "moto", "keystow_s3", "keystow_gcs"}

# A shell's background job ignores SIGINT, and what it starts inherits that; some tests interrupt what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("keystow", deadline=None, database=None)
settings.register_profile("fast", parent=settings.get_profile("keystow"), max_examples=20)
settings.register_profile(
    "mutants",  # the same few examples each time, and no search for the smallest: that one fails is enough
    parent=settings.get_profile("keystow"),
    max_examples=40,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("keystow")


def _given(item: pytest.Item) -> set[str]:
    """The arguments that ``parametrize`` gives, which are no fixtures, whatever they are called."""
    given = [mark.args[0] for mark in item.iter_markers("parametrize") if not mark.kwargs.get("indirect")]
    return {name.strip() for names in given for name in (names.split(",") if isinstance(names, str) else names)}


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """What uses a server is marked so, that ``make test-fast`` can leave it out.

    It takes a fixture of that name, or asks for one by the name that it is given as a parameter.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        asks = "keystow_store" in fixtures or "request" in inspect.signature(item.obj).parameters
        if SERVERS & fixtures - _given(item) or (asks and SERVERS & {str(value) for value in parameters}):
            item.add_marker(pytest.mark.server)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No credentials, endpoints, job ids or dates of whoever runs the tests; no look beyond loopback for a role."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "BACALHAU_", "FSSPEC_", "KEYSTOW_")) or name == "SOURCE_DATE_EPOCH":
            monkeypatch.delenv(name)
    empty = tmp_path_factory.getbasetemp() / "no-home"
    monkeypatch.setenv("HOME", str(empty))
    monkeypatch.setenv("FSSPEC_CONFIG_DIR", str(empty))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """One SeaweedFS for the session. A server that does not start is a failure, not a skip."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def bucket(seaweed: SeaweedFS) -> str:
    """A bucket without versions, shared: use keys of your own."""
    return seaweed.make_bucket()


@pytest.fixture(scope="session")
def versioned_bucket(seaweed: SeaweedFS) -> str:
    """A bucket with versions, shared: use keys of your own."""
    return seaweed.make_bucket(versioned=True)


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> "Login":
    """Puts a key pair into the environment, where the default chain finds it."""
    return Login(monkeypatch)


class Login:
    """``login(credentials)``; an administrator's are ``login(seaweed)``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, who: Credentials | SeaweedFS) -> None:
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", who.access_key)
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", who.secret_key)


@pytest.fixture
def workplace(seaweed: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: "Login") -> Path:
    """A directory with ``results`` in it, and ``my-bucket`` at the endpoint that the environment names."""
    login(seaweed)
    if "my-bucket" not in [bucket["Name"] for bucket in seaweed.client().list_buckets()["Buckets"]]:
        seaweed.make_bucket("my-bucket", versioned=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweed.endpoint)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    subprocess.run(
        [sys.executable, Path(__file__).parent.parent / "examples" / "job.py", tmp_path / "results"], check=True
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def real_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thousands of real files: an installed package with its data, without what Python adds while it runs."""
    import botocore

    source = Path(botocore.__file__).parent
    target = tmp_path_factory.mktemp("real") / "botocore"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def same_tree(one: Path, other: Path) -> bool:
    """Whether ``diff`` finds the same names, contents and links."""
    done = subprocess.run(["diff", "-r", "--no-dereference", one, other], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority nobody knows, and a server's certificate from it: ``ca.pem`` and ``server.pem``."""
    return _certified(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def other_certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, of another authority that has the same name."""
    return _certified(tmp_path_factory.mktemp("other-certificates"))


def _certified(directory: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = dt.datetime.now(dt.UTC)

    def certificate(name, issuer, key, signer, *extensions):
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )
        for extension, critical in extensions:
            made = made.add_extension(extension, critical)
        return made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (directory / "ca.pem").write_bytes(
        certificate("ours", "ours", authority, authority, (x509.BasicConstraints(ca=True, path_length=0), True))
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    private = server.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.pem").write_bytes(private + certificate("server", "ours", server, authority, (address, False)))
    return directory
