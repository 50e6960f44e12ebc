"""One lease in a relay's memory. Pure."""

from datetime import datetime

from service.budgets.answers import Place
from service.budgets.charges import Charge
from service.budgets.windows import BEGINNING

LOW = 4
NEVER = float("-inf")


class Slice:
    """One lease in memory. Amounts in nano-USD; `spent` counts what the store may not know yet."""

    __slots__ = (
        "busy",
        "deadline",
        "ends_at",
        "filled_at",
        "free_nanos",
        "granted",
        "held",
        "lease_id",
        "limit_nanos",
        "made",
        "place",
        "portion",
        "spent",
        "starts_at",
        "stored",
        "used_at",
        "version",
        "wanted",
    )

    def __init__(self, place: Place, lease_id: int) -> None:
        self.place = place
        self.lease_id = lease_id
        self.granted = 0
        self.stored = 0
        self.made = False
        self.spent = 0
        self.held = 0
        self.limit_nanos = 0
        self.version = 0
        self.free_nanos = 0
        self.deadline = 0.0
        self.starts_at = BEGINNING
        self.ends_at: datetime | None = None
        self.used_at = 0.0
        self.filled_at = NEVER
        self.portion = 0
        self.busy = False
        self.wanted = 0

    @property
    def bound(self) -> int:
        """Spent, or held and perhaps spent yet."""
        return self.spent + self.held

    @property
    def order(self) -> tuple[Place, datetime]:
        """In which order periods are locked, where several are."""
        return (self.place, self.starts_at)

    @property
    def unsure(self) -> bool:
        """Whether nobody knows if the store has this lease: it was asked for and never answered."""
        return self.filled_at == NEVER

    @property
    def low(self) -> bool:
        """Whether it is worth asking for more before anybody has to wait, while there is plenty."""
        return not self.busy and self.spare < self.portion // LOW and self.free_nanos > self.portion * LOW

    @property
    def spare(self) -> int:
        """What one more request may hold."""
        return max(0, self.granted - self.spent - self.held)

    def charge(self, held: int) -> Charge:
        """What a record says of a hold here."""
        return Charge(self.place[0], self.place[1], self.lease_id, held)
