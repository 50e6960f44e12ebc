"""What the acting pages change things with: the same registries as the admin API and the command line."""

from collections.abc import Callable
from datetime import datetime
from typing import Self

import msgspec

from service.alerts.desk import AlertDesk, AlertSurroundings
from service.audit.trail import AuditTrail
from service.budgets.registry import BudgetRegistry
from service.content.registry import ContentRegistry
from service.keys.projects import ProjectRegistry
from service.keys.registry import KeyRegistry
from service.keys.secrets import Peppers, audit_trail, content_vault
from service.keys.token import RandomBytes
from service.pricing.upkeep import PriceUpkeep
from service.settings import Settings
from service.settings.redaction import BUILT_IN


class Registries(msgspec.Struct, frozen=True, kw_only=True):
    """The registries of one installation."""

    trail: AuditTrail
    keys: KeyRegistry
    projects: ProjectRegistry
    budgets: BudgetRegistry
    prices: PriceUpkeep
    content: ContentRegistry
    alerts: AlertDesk
    random_bytes: RandomBytes

    @classmethod
    def of(
        cls,
        root: bytes,
        settings: Settings,
        *,
        now: Callable[[], datetime],
        random_bytes: RandomBytes,
        chance: Callable[[], float],
    ) -> Self:
        """From the root secret of the installation."""
        trail = audit_trail(root, now=now)
        return cls(
            trail=trail,
            keys=KeyRegistry(Peppers.of(root), trail=trail, now=now, random_bytes=random_bytes),
            projects=ProjectRegistry(
                now=now,
                random_bytes=random_bytes,
                trail=trail,
                redactions=(*BUILT_IN, *settings.content.patterns),
            ),
            budgets=BudgetRegistry(now=now, random_bytes=random_bytes, trail=trail),
            prices=PriceUpkeep(trail, now=now),
            content=ContentRegistry(content_vault(root), trail=trail, now=now),
            alerts=AlertDesk.of(
                root, settings.alerts, trail=trail, surroundings=AlertSurroundings(now, random_bytes, chance)
            ),
            random_bytes=random_bytes,
        )
