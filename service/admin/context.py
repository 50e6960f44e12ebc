"""What the handlers of the admin API work with; `app` puts it together once per process."""

import contextlib
from collections.abc import Callable
from datetime import datetime

import msgspec

from service.audit.trail import AuditTrail
from service.budgets.registry import BudgetRegistry
from service.errors import StoreError
from service.keys.projects import ProjectRegistry
from service.keys.registry import KeyRegistry
from service.keys.snapshot import AdminGrant
from service.pricing.upkeep import PriceUpkeep
from service.store.engine import Store


class AdminContext(msgspec.Struct, frozen=True, kw_only=True):
    """Collaborators of the admin API.

    *authenticate* judges a bearer token against the current snapshot. *refresh* makes this process take over a
    change at once; the others follow by themselves. *reporting_timezone* cuts days where a request names no zone.
    """

    store: Store
    trail: AuditTrail
    keys: KeyRegistry
    projects: ProjectRegistry
    budgets: BudgetRegistry
    prices: PriceUpkeep
    authenticate: Callable[[str], AdminGrant | None]
    refresh: Callable[[], object]
    now: Callable[[], datetime]
    reporting_timezone: str = "UTC"

    def take_over(self) -> None:
        """Apply a committed change in this process at once; what fails here follows with the next poll."""
        with contextlib.suppress(StoreError):
            self.refresh()
