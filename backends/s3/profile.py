"""What AWS's configuration files say of the default profile, where that is no more than keys and a region.

Strategy: the files are read as botocore reads them, by the same parser. Whatever says more than that (roles, sessions,
endpoints, services, settings of S3), is empty or not sound, is left to botocore, which takes long to load.
"""

import configparser
import os
from collections.abc import Mapping
from typing import NamedTuple

_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
_KEYS = {
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "token": "aws_session_token",
}
_KNOWN = {"region", "output", *_KEYS.values()}


class Profile(NamedTuple):
    """The region, and the keys by the names that the code has for them; nothing where the files name none."""

    region: str | None = None
    keys: Mapping[str, str | None] | None = None


def configuration_files(environment: Mapping[str, str]) -> list[str]:
    """Those of AWS's two configuration files that there are, as botocore looks for them: it makes one of them.

    A variable that is empty names none.
    """
    paths = (environment.get(name, usual) for name, usual in _FILES.items())
    return list(filter(os.path.isfile, (os.path.expanduser(os.path.expandvars(path)) for path in paths)))


def simple_profile(environment: Mapping[str, str]) -> Profile | None:
    """What the files say of the default profile; ``None`` where botocore has to read them.

    >>> simple_profile({"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"})
    Profile(region=None, keys=None)
    """
    found = Profile()
    paths = configuration_files(environment)
    if paths and any(name.startswith("AWS_") and not value for name, value in environment.items()):
        return None
    for path in paths:
        try:
            said = _default_section(path)
        except (OSError, UnicodeDecodeError, configparser.Error):
            return None
        if not said.keys() <= _KNOWN or not all(map(_is_plain, said.values())):
            return None
        keys = {name: said.get(stored) for name, stored in _KEYS.items()}
        if any(keys.values()) and not (keys["access_key_id"] and keys["secret_access_key"]):
            return None
        found = Profile(said.get("region") or found.region, keys if any(keys.values()) else found.keys)
    return found


def _is_plain(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable()


def _default_section(path: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    with open(path) as file:
        parser.read_file(file)
    if any(name.startswith("profile") and "default" in name for name in parser.sections()):
        raise configparser.Error("it is a profile of that name, too")
    return dict(parser["default"]) if parser.has_section("default") else {}
