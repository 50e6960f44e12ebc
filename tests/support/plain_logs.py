"""Logs as a process has them that has not set up any: printed to standard output, where tests can read them."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Whatever a test before has set up is not there."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
