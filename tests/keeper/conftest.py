"""Fixtures of the keeper's tests."""

from tests.support.plain_logs import plain_logs as plain_logs  # noqa: PLC0414  (a fixture of this folder)
