"""The audit log of tests: whoever changes something is `TESTER`, unless the test says who."""

from service.audit.actor import Actor
from service.audit.trail import AuditedChange, AuditFilter, AuditTrail
from service.store.engine import Store
from tests.support.clock import HandClock

TESTER = Actor("admin_key", "tester", "the test", "192.0.2.1")
TRAIL = AuditTrail(b"the audit key of the tests, 32 b", now=HandClock().now)


def audited(store: Store, action: str = "*", *, trail: AuditTrail = TRAIL) -> list[AuditedChange]:
    """What the log says, oldest first; its chain must be whole."""
    with store.read() as tx:
        assert trail.verify(tx).problems == ()
        return trail.list(tx, AuditFilter(action=action), limit=1000)[::-1]
