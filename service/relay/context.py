"""What every exchange of one relay process needs, put together once by `app`."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from service.budgets.policy import BudgetBook
from service.content.capturer import Capturer
from service.keys.snapshot import KeySnapshot
from service.ledger.journal import Journal
from service.ledger.recorder import Recorder
from service.ledger.refusals import RefusalCoalescer
from service.pricing.pricebook import PriceBook
from service.relay.calibration import Calibrations
from service.relay.holds import Holding
from service.relay.idempotency import IdempotencyKeys
from service.settings import AccountingSettings, RelaySettings
from service.store.revision import RevisionPoller
from service.upstream.client import UpstreamClient
from service.upstream.routing import Router


class RelaySnapshot(msgspec.Struct, frozen=True):
    """The configuration in the store that requests need, as of one revision."""

    keys: KeySnapshot
    prices: PriceBook
    budgets: BudgetBook


class Clock(msgspec.Struct, frozen=True):
    """Time and chance, so that tests can set them."""

    micros: Callable[[], int]
    """UTC microseconds since 1970."""
    monotonic: Callable[[], float]
    """Seconds that never go back."""
    random_bytes: Callable[[int], bytes]


class Interruptible(Protocol):
    """Something that a shutdown can end."""

    @property
    def streaming(self) -> bool:
        """Whether the client asked for a stream."""
        ...

    def interrupt(self) -> None:
        """End now; what was measured so far is recorded."""
        ...


class RetryAllowance:
    """At most one retry for ten requests, so that retries never double the load on a failing upstream."""

    SHARE = 0.1
    BURST = 10.0

    def __init__(self) -> None:
        self._saved = self.BURST

    def earn(self) -> None:
        """A request has come."""
        self._saved = min(self.BURST, self._saved + self.SHARE)

    def take(self) -> bool:
        """Whether one more retry is allowed now."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True


class RelayContext(msgspec.Struct, kw_only=True, eq=False):
    """Collaborators and the little state that the requests of one process share. Event loop only."""

    settings: RelaySettings
    accounting: AccountingSettings
    configuration: RevisionPoller[RelaySnapshot]
    router: Router
    client: UpstreamClient
    journal: Journal
    recorder: Recorder
    refusals: RefusalCoalescer
    holding: Holding
    idempotency: IdempotencyKeys
    clock: Clock
    capturer: Capturer
    retry_allowance: RetryAllowance = msgspec.field(default_factory=RetryAllowance)
    calibrations: Calibrations = msgspec.field(default_factory=Calibrations)
    exchanges: set[Interruptible] = msgspec.field(default_factory=set)
    refuses_stream_options: set[str] = msgspec.field(default_factory=set)
    traced: bool = False
    """Whether spans are exported, so that a caller's `traceparent` is kept with its record."""
    disconnect_drains: int = 0
    draining: bool = False
