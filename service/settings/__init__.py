"""Settings: one frozen value, read once from file, environment and flags. Every field says what it means.

`load` is the way in. Secrets are `Secret` values, which no log, repr or page shows.
"""

from service.settings.loading import Loaded, load, survey
from service.settings.secret import Secret
from service.settings.upstreams import with_simulator
from service.settings.values import (
    AccountingSettings,
    AlertSettings,
    BudgetSettings,
    ContentSettings,
    DashboardSettings,
    RelaySettings,
    Settings,
    StoreSettings,
    TelemetrySettings,
    UpstreamSettings,
)

__all__ = [
    "AccountingSettings",
    "AlertSettings",
    "BudgetSettings",
    "ContentSettings",
    "DashboardSettings",
    "Loaded",
    "RelaySettings",
    "Secret",
    "Settings",
    "StoreSettings",
    "TelemetrySettings",
    "UpstreamSettings",
    "load",
    "survey",
    "with_simulator",
]
