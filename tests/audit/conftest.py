"""An audit trail with a clock that tests turn by hand."""

import pytest

from service.audit.trail import AuditTrail
from tests.support.clock import HandClock

KEY = b"the audit key of the tests, 32 b"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def trail(clock: HandClock) -> AuditTrail:
    return AuditTrail(KEY, now=clock.now)
