"""Refusals for want of money or of rate. They belong into `service.errors`' tree, below `RefusalError`."""

from service.errors import RefusalError


class BudgetExhaustedError(RefusalError):
    """A budget cannot pay for the request; the message names it, its limit, what is spent and held, and its end."""

    def __init__(self, message: str, *, budget_id: str) -> None:
        super().__init__(message)
        self.budget_id = budget_id


class RateLimitedError(RefusalError):
    """Too many requests or tokens in this minute, or too many requests at once."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
