"""Whether the transcripts are compared, or written anew."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--write-sessions``, which only a call for this folder has."""
    parser.addoption("--write-sessions", action="store_true", help="write the transcripts in docs/sessions anew")


@pytest.fixture(scope="session")
def writes(request: pytest.FixtureRequest) -> bool:
    """Whether pages are written."""
    return bool(request.config.getoption("--write-sessions", default=False))
