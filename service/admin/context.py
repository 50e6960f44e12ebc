"""What the handlers of the admin API work with; `app` puts it together once per process."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime

import msgspec

from service.admin.wrong_keys import WrongAdminKeys
from service.alerts.desk import AlertDesk
from service.audit.trail import AuditTrail
from service.budgets.registry import BudgetRegistry
from service.content.registry import ContentRegistry
from service.errors import StoreError
from service.keys.admin_registry import AdminKeyRegistry
from service.keys.projects import ProjectRegistry
from service.keys.registry import KeyRegistry
from service.keys.snapshot import AdminGrant
from service.pricing.upkeep import PriceUpkeep
from service.settings import UpstreamSettings
from service.settings.proxies import TrustedProxies
from service.store.engine import Store


class AdminContext(msgspec.Struct, frozen=True, kw_only=True):
    """Collaborators of the admin API.

    *authenticate* judges a bearer token against the current snapshot. *refresh* makes this process take over a
    change at once; the others follow by themselves. *reporting_timezone* cuts days where a request names no zone.
    *checking* is held while this process proves the books.
    """

    store: Store
    trail: AuditTrail
    keys: KeyRegistry
    admin_keys: AdminKeyRegistry
    projects: ProjectRegistry
    budgets: BudgetRegistry
    prices: PriceUpkeep
    content: ContentRegistry
    alerts: AlertDesk
    authenticate: Callable[[str], AdminGrant | None]
    refresh: Callable[[], object]
    now: Callable[[], datetime]
    reporting_timezone: str = "UTC"
    upstreams: tuple[UpstreamSettings, ...] = ()
    proxies: TrustedProxies = msgspec.field(default_factory=TrustedProxies)
    wrong_keys: WrongAdminKeys = msgspec.field(default_factory=WrongAdminKeys)
    checking: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)

    def take_over(self) -> None:
        """Apply a committed change in this process at once; what fails here follows with the next poll."""
        with contextlib.suppress(StoreError):
            self.refresh()
