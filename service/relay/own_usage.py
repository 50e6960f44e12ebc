"""`GET /v1/usage`: what the calling key has used, today, this month and in all, as the reports count it; its limits.

Its budgets are its own and its project's: what others spend of a global budget is not the key's business.

Days and months begin in the reporting time zone. SQL runs on threads, few at a time: a key that asks without pause
takes nothing from the others.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from service.budgets.policy import EACH, Budget
from service.budgets.registry import budgets_of_key
from service.budgets.standings import standing
from service.budgets.views import BudgetFields, StandingView
from service.errors import StoreUnavailableError, UnavailableError
from service.keys.snapshot import KeyGrant
from service.reporting.intervals import start_of_day, time_zone
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store

AT_ONCE = 2
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Before every record."""
_SHOWN = (
    "requests",
    "errors",
    "input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "unpriced_requests",
    "coverage",
)
NOTHING_USD = "0.00"


class OwnUsage:
    """Answers keys about themselves. *now* is the wall clock."""

    def __init__(self, store: Store, *, timezone: str, now: Callable[[], datetime]) -> None:
        self._store = store
        self._zone = time_zone(timezone)
        self._now = now
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def of(self, grant: KeyGrant) -> dict[str, Any]:
        """The usage of the key of *grant*; UnavailableError while the store is away."""
        async with self._turns:
            try:
                return await asyncio.to_thread(self._read, grant)
            except StoreUnavailableError as error:
                raise UnavailableError(
                    "The books cannot be read now; ask again later.", reason="store_unavailable"
                ) from error

    def _read(self, grant: KeyGrant) -> dict[str, Any]:
        now = self._now()
        today, month = period_starts(now, zone=self._zone)
        with self._store.read() as tx:
            periods = {
                name: _period(tx, grant.key_id, since=since, until=now)
                for name, since in (("today", today), ("month", month), ("total", None))
            }
            mine = budgets_of_key(tx, key_id=grant.key_id, project=grant.project)
            budgets = [_budget(tx, budget, grant, now=now) for budget in mine]
        return {
            "object": "usage",
            "key": {"id": grant.key_id, "name": grant.name, "project": grant.project},
            "timezone": self._zone.key,
            "as_of": now,
            **periods,
            "budgets": budgets,
            "limits": [
                {"scope": scope, **msgspec.structs.asdict(limits)}
                for scope, limits in (("key", grant.limits), ("project", grant.project_limits))
                if limits is not None
            ],
        }


def _budget(tx: Connection, budget: Budget, grant: KeyGrant, *, now: datetime) -> dict[str, Any]:
    names = {"key": grant.key_id, "project": grant.project}
    subject = names[budget.scope.kind] if budget.scope.id == EACH else ""
    fields = msgspec.to_builtins(BudgetFields.of(budget), builtin_types=(datetime,))
    stands = msgspec.structs.asdict(StandingView.of(standing(tx, budget, subject, at=now)))
    return {"id": budget.id, **fields, **stands}


def period_starts(now: datetime, *, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the day and the month of *now* began in *zone*."""
    day = now.astimezone(zone).date()
    return start_of_day(day, zone=zone), start_of_day(day.replace(day=1), zone=zone)


def _period(tx: Connection, key_id: str, *, since: datetime | None, until: datetime) -> dict[str, Any]:
    query = UsageQuery(since=since or BEGINNING, until=until, filters={"key": (key_id,)}, percentiles=False)
    total = usage_report(tx, query).total
    shown = {name: getattr(total, name) for name in _SHOWN}
    # without any request it is known that nothing was spent; with unpriced ones only, it is not
    cost = NOTHING_USD if not total.attempts else total.cost_usd
    return {"since": since, "cost_usd": cost, **shown}
