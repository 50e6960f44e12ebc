"""`Idempotency-Key`: the same request is forwarded once, whichever relay it comes to.

Only a request that carries the header costs a visit to the store. Without the store it is refused: to forward it
might bill twice.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import assert_never
from uuid import UUID

from service.errors import (
    IdempotencyDoneError,
    IdempotencyReusedError,
    IdempotencyRunningError,
    InvalidRequestError,
    StoreUnavailableError,
    UnavailableError,
)
from service.ledger import idempotency
from service.ledger.idempotency import Claim, Done, First, OtherBody, Running, Verdict, nobody_was_billed
from service.ledger.record import Opening, RequestRecord
from service.store.engine import Store

LONGEST = 255


class IdempotencyKeys:
    """The idempotency keys of one store. *now* is the wall clock (UTC).

    *ended* gives the final record of a request that has just ended here, before the store has it.
    """

    def __init__(
        self, store: Store, *, now: Callable[[], datetime], ended: Callable[[bytes], RequestRecord | None]
    ) -> None:
        self._store = store
        self._now = now
        self._ended = ended

    async def claim(self, value: bytes, opening: Opening, *, body: bytes) -> Claim:
        """Make the request the first of its key.

        Raises:
            IdempotencyRunningError, IdempotencyDoneError: another request with this key is, or was, the same.
            IdempotencyReusedError: it was another.
            InvalidRequestError: no text that can be a key.
            UnavailableError: the store is away.
        """
        if not 1 <= len(value) <= LONGEST or not all(0x20 < byte < 0x7F for byte in value):  # noqa: PLR2004  (visible ASCII)
            raise InvalidRequestError(f"`Idempotency-Key` must be 1 to {LONGEST} visible ASCII characters.")
        asking = Claim(
            opening.key_id or "",
            hashlib.sha256(value).digest(),
            hashlib.sha256(body).digest(),
            UUID(bytes=opening.request_id),
        )
        try:
            verdict = await asyncio.to_thread(self._claim, asking)
        except StoreUnavailableError:
            raise UnavailableError(
                "The store is away, and a request with an Idempotency-Key needs it.",
                reason="store_unavailable",
            ) from None
        match verdict:
            case First():
                return asking
            case Running(first):
                record = self._ended(first.bytes)
                if record is not None and not nobody_was_billed(record.outcome, cost_nanos=record.cost_nanos):
                    raise _done(first, record.outcome)
                raise IdempotencyRunningError(
                    f"The request {first} with this Idempotency-Key is still running.", request_id=str(first)
                )
            case Done(first, outcome):
                raise _done(first, outcome)
            case OtherBody(first):
                raise IdempotencyReusedError(
                    f"This Idempotency-Key was sent with another body, in the request {first}; "
                    "send another key with this one.",
                    request_id=str(first),
                )
            case other:
                assert_never(other)

    async def release(self, claim: Claim) -> None:
        """The request left no record of its own; where the store is away its key stays taken for a day."""
        with contextlib.suppress(StoreUnavailableError):
            await asyncio.to_thread(self._release, claim)

    def _claim(self, asking: Claim) -> Verdict:
        with self._store.write() as tx:
            return idempotency.claim(tx, asking, now=self._now())

    def _release(self, claim: Claim) -> None:
        with self._store.write() as tx:
            idempotency.release(tx, claim)


def _done(first: UUID, outcome: str) -> IdempotencyDoneError:
    return IdempotencyDoneError(
        f"The request {first} with this Idempotency-Key has been made; it ended as `{outcome}`. "
        "Send another key to make it again.",
        request_id=str(first),
    )
