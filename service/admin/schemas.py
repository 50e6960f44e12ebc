"""What the admin API takes and gives, where it differs from the domain's own values. Pure.

Bodies forbid unknown fields, so what is read-only cannot be set.
"""

from datetime import datetime
from typing import Any, Self

import msgspec

from service.budgets.views import BudgetView
from service.keys.values import KeyStatus, VirtualKey, status_of
from service.reporting.figures import Measures
from service.reporting.intervals import Interval
from service.reporting.usage import UsageReport


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A virtual key without its secret. *models* null means every model."""

    id: str
    name: str
    project: str
    status: KeyStatus
    models: list[str] | None
    metadata: dict[str, Any] | None
    limits: dict[str, int] | None
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: VirtualKey, *, now: datetime, **more: Any) -> Self:
        """The key as it stands at *now*."""
        return cls(**msgspec.structs.asdict(found), status=status_of(found, now=now), **more)


class IssuedKeyView(KeyView, frozen=True, kw_only=True):
    """A virtual key with its text, which no later answer repeats."""

    key: str


class CreatedKeyView(IssuedKeyView, frozen=True, kw_only=True):
    """A new virtual key with its text and the budgets that were made with it."""

    budgets: list[BudgetView]


class UsageAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of `start`, `end`, the dimensions asked for and the measures; *total* is over all of them.

    Grouped by `cost_status` or `usage_source`, a row has the dimension's value in place of the measure's counts.
    """

    data: list[dict[str, Any]]
    next: None = None
    total: Measures
    since: datetime
    until: datetime
    interval: Interval | None
    timezone: str
    group_by: tuple[str, ...]

    @classmethod
    def of(cls, report: UsageReport) -> Self:
        """The report as rows without nesting."""
        rows = [
            {
                "start": row.start,
                "end": row.end,
                **msgspec.structs.asdict(row.measures),
                **row.dimensions,
            }
            for row in report.rows
        ]
        return cls(
            data=rows,
            total=report.total,
            since=report.since,
            until=report.until,
            interval=report.interval,
            timezone=report.timezone,
            group_by=report.group_by,
        )


class RotateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the secrets before stay valid, as `0s`, `12h` or `7d`."""

    overlap: str = "0s"
