"""The rules that a new store begins with. They are made once; who deletes one is not given it again."""

from sqlalchemy import Connection

from service.alerts.registry import RuleRegistry
from service.alerts.values import NewRule
from service.audit.actor import Actor
from service.store.facts import read_fact
from service.store.revision import lock_revision
from service.store.tables import store_fact

MADE = "default_alert_rules"
DEFAULTS = (
    NewRule(name="Budget used", metric="budget_used"),
    NewRule(name="Budget will be exceeded", metric="budget_forecast"),
    NewRule(name="Budget burns fast", metric="burn_rate"),
    NewRule(name="Unusual spending", metric="spend_anomaly"),
    NewRule(name="Requests fail", metric="error_rate"),
    NewRule(name="Upstream is down", metric="upstream_down"),
    NewRule(name="Requests without a price", metric="unpriced", window="1d"),
    NewRule(name="Usage is estimated", metric="estimated_share", window="1d", warning=0.2, min_requests=50),
    NewRule(name="Journal fills up", metric="journal_backlog"),
    NewRule(name="Books disagree", metric="bookkeeping_drift"),
    NewRule(name="Weekly report", metric="report"),
)


def ensure_defaults(tx: Connection, registry: RuleRegistry) -> int:
    """Make the default rules unless that was done before; returns how many were made. Safe to race."""
    lock_revision(tx)
    if read_fact(tx, MADE) is not None:
        return 0
    tx.execute(store_fact.insert().values(name=MADE, value="1"))
    by = Actor.system("keeper")
    for new in DEFAULTS:
        registry.create(tx, new, by=by)
    return len(DEFAULTS)
