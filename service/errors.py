"""What can go wrong, in Tollkeeper's own words. No HTTP status stands here.

    TollkeeperError
    ├── ConfigurationError            the operator's settings cannot be used; command line exit 2
    ├── InvalidInputError             a value given to a command or an API cannot be used; names the field
    ├── NotFoundError                 the named thing does not exist
    ├── ConflictError                 the named thing exists already, or changed meanwhile
    ├── StoreError
    │   ├── StoreUnavailableError     the SQL store cannot be reached now
    │   ├── StoreSchemaError          the store's schema is older or newer than this code
    │   └── ContentUnreadableError    captured content is not what was sealed for its record
    ├── JournalError
    │   └── JournalFullError          no room for one more record: refuse new requests
    ├── RefusalError                  the relay will not forward this request
    │   ├── AuthenticationError       no, unknown, revoked or expired key
    │   ├── TooManyFailuresError      too many wrong keys from one address
    │   ├── ModelNotAllowedError      the key may not use this model
    │   ├── ModelNotFoundError        no upstream serves the model
    │   ├── ModelUnpricedError        no price is known and policy refuses unpriced models
    │   ├── BudgetExhaustedError      a budget cannot pay for the request
    │   ├── RateLimitedError          too many requests or tokens a minute, or requests at once
    │   ├── IdempotencyError          the request's Idempotency-Key stands for another request
    │   │   ├── IdempotencyRunningError   which is the same and runs still
    │   │   ├── IdempotencyDoneError      which is the same and has ended
    │   │   └── IdempotencyReusedError    which had another body
    │   ├── InvalidRequestError       the body is not a chat-completions request
    │   ├── DuplicateKeyError         two top-level members of one name
    │   ├── BodyTooLargeError         the body exceeds the limit
    │   ├── BodyTimeoutError          the body came too slowly
    │   └── UnavailableError          shutting down, journal full, store required and away
    └── UpstreamError
        ├── UpstreamUnreachableError  no connection: nothing was sent, a retry bills nobody twice
        ├── UpstreamTimeoutError      connect, first byte, idle or total time-out
        ├── UpstreamBrokenError       the connection ended after the request was sent
        └── UpstreamAbortedError      we ended the call ourselves

`relay.failures` maps every leaf that a client can meet to its HTTP answer.
"""

from typing import Literal


class TollkeeperError(Exception):
    """Root of everything Tollkeeper raises on purpose."""


class ConfigurationError(TollkeeperError):
    """The operator's settings cannot be used."""


class InvalidInputError(TollkeeperError):
    """A value given to a command or an API cannot be used; *field* says which."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFoundError(TollkeeperError):
    """The named thing does not exist."""


class ConflictError(TollkeeperError):
    """The named thing exists already, or changed meanwhile."""


class StoreError(TollkeeperError):
    """Something about the SQL store."""


class StoreUnavailableError(StoreError):
    """The SQL store cannot be reached now."""


class StoreSchemaError(StoreError):
    """The store's schema is older or newer than this code."""


class ContentUnreadableError(StoreError):
    """Captured content was changed in the store, or sealed with another secret key."""


class JournalError(TollkeeperError):
    """Something about the journal on local disk."""


class JournalFullError(JournalError):
    """No room for one more record; nothing that is open is lost."""


class RefusalError(TollkeeperError):
    """The relay will not forward this request."""


class AuthenticationError(RefusalError):
    """No key, or one that is unknown, revoked or expired: all look alike to the client."""


class TooManyFailuresError(RefusalError):
    """Too many wrong keys from one address in this minute."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelNotAllowedError(RefusalError):
    """The key's allow-list does not name this model."""


class ModelNotFoundError(RefusalError):
    """No configured upstream serves the model."""


class ModelUnpricedError(RefusalError):
    """No price is known for the model, and the policy refuses unpriced models."""


class BudgetExhaustedError(RefusalError):
    """A budget cannot pay for the request; the message names it, its limit, what is spent and held, and its end.

    *free_nanos* is what the request could still have had.
    """

    def __init__(self, message: str, *, budget_id: str, free_nanos: int = 0) -> None:
        super().__init__(message)
        self.budget_id = budget_id
        self.free_nanos = free_nanos


class RateLimitedError(RefusalError):
    """Too many requests or tokens in this minute, or too many requests at once.

    *standing* holds the header names and values that tell the limit, what remains and when it is reset.
    """

    def __init__(
        self, message: str, *, retry_after_s: int, standing: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.standing = standing


class IdempotencyError(RefusalError):
    """The Idempotency-Key stands for the request *request_id*."""

    def __init__(self, message: str, *, request_id: str) -> None:
        super().__init__(message)
        self.request_id = request_id


class IdempotencyRunningError(IdempotencyError):
    """The same request is running."""


class IdempotencyDoneError(IdempotencyError):
    """The same request has ended."""


class IdempotencyReusedError(IdempotencyError):
    """Another request had this key."""


class InvalidRequestError(RefusalError):
    """The body is not a chat-completions request; *param* is the path of the offending member."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class DuplicateKeyError(InvalidRequestError):
    """Two top-level members of the same name among those the relay reads."""


class BodyTooLargeError(RefusalError):
    """The request body exceeds the configured limit."""


class BodyTimeoutError(RefusalError):
    """The request body did not arrive in time."""


class UnavailableError(RefusalError):
    """The relay cannot take requests now; *reason* is the code the client sees."""

    def __init__(
        self, message: str, *, reason: Literal["shutting_down", "journal_full", "store_unavailable"]
    ) -> None:
        super().__init__(message)
        self.reason = reason


class UpstreamError(TollkeeperError):
    """A call to a provider failed before a whole answer was there."""


class UpstreamUnreachableError(UpstreamError):
    """No connection was made and nothing was sent."""


Phase = Literal["connect", "first_byte", "idle", "total"]


class UpstreamTimeoutError(UpstreamError):
    """A time-out; *phase* says which. Only ``connect`` means that nothing was sent."""

    def __init__(self, message: str, *, phase: Phase) -> None:
        super().__init__(message)
        self.phase = phase


class UpstreamBrokenError(UpstreamError):
    """The connection ended, or spoke no HTTP, after the request was sent."""


class UpstreamAbortedError(UpstreamError):
    """The call was ended from our side."""
