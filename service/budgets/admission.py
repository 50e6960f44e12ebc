"""A request that was let in: what is held for it, and what becomes of the holds."""

from collections.abc import Sequence

from service.budgets.allowance import Allowance
from service.budgets.charges import Charge
from service.budgets.slices import Slice
from service.pricing.money import format_usd


class Admission:
    """A request's holds. Exactly one of `settle` and `release` counts; later calls change nothing."""

    __slots__ = ("_allowance", "_held", "_open", "charges", "slices")

    def __init__(
        self, allowance: Allowance, *, slices: Sequence[Slice], held: int, soft: Sequence[Charge]
    ) -> None:
        self._allowance = allowance
        self._held = held
        self._open = True
        self.slices = slices
        self.charges = (*(part.charge(held) for part in slices), *soft)

    def settle(self, actual_nanos: int | None) -> None:
        """The request has ended; a cost that is not known counts as what was held."""
        if self._open:
            self._open = False
            actual = self._held if actual_nanos is None else actual_nanos
            for part in self.slices:
                self._allowance.settle(part, held=self._held, actual=actual)

    def release(self) -> None:
        """The request was never sent."""
        self.settle(0)

    @property
    def remaining_nanos(self) -> int | None:
        """What is left on the tightest hard budget, as far as this relay knows; None without one."""
        return min((part.free_nanos + part.spare for part in self.slices), default=None)

    def remaining_usd(self) -> str | None:
        """`remaining_nanos` for the header."""
        left = self.remaining_nanos
        return None if left is None else format_usd(max(0, left))
