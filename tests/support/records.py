"""Request records as a relay would leave them: many kinds, every field consistent with the others.

`requests` and `several` are Hypothesis strategies; `some` makes a fixed, larger set.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import delete

from service.ledger.record import Outcome, RequestRecord, uuid7
from service.ledger.writer import Writer
from service.store.dimension_tables import dimension_rollup_day, dimension_rollup_hour
from service.store.engine import Store
from service.store.model_rollup_tables import model_rollup, model_rollup_day, model_rollup_hour
from service.store.tables import (
    ledger_entry,
    request_record,
    usage_rollup,
    usage_rollup_day,
    usage_rollup_hour,
)
from service.store.types import to_micros

START = datetime(2026, 3, 6, tzinfo=UTC)
"""Two days before daylight saving begins in Los Angeles."""
ROLLUPS = (
    usage_rollup,
    usage_rollup_hour,
    usage_rollup_day,
    model_rollup,
    model_rollup_hour,
    model_rollup_day,
)
BY_VALUE = (dimension_rollup_hour, dimension_rollup_day)
DAY_MICROS = 86_400_000_000

KEYS = (("key_a", "alpha", "team-1"), ("key_b", "beta", "team-2"), ("key_ü", "ünïcode 🙂", None))
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "model_with%signs")
FAILED: tuple[Outcome, ...] = ("upstream_error", "midstream_error", "truncated", "timeout", "interrupted")
ANSWERED: tuple[Outcome, ...] = ("ok", "ok", "ok", "ok", "client_disconnect")
REFUSED: tuple[Outcome, ...] = ("rejected_auth", "rejected_request", "rejected_rate_limit", "rejected_budget")


def request_of(rng: Random, *, started_at: int) -> list[RequestRecord]:
    """One request: a refusal, or one to three attempts of which the last is final."""
    request_id = uuid7(started_at, rng.randbytes(8))
    if rng.random() < 0.15:
        return [_refusal(rng, request_id=request_id, started_at=started_at)]
    attempts = rng.choice((1, 1, 1, 2, 3))
    records = []
    for number in range(1, attempts + 1):
        at = started_at + (number - 1) * rng.randrange(1, 2_000_000)
        records.append(_attempt(rng, request_id=request_id, started_at=at, number=number))
        records[-1].final = number == attempts
        if number < attempts:
            records[-1].outcome = rng.choice(FAILED)
    return records


def _refusal(rng: Random, *, request_id: bytes, started_at: int) -> RequestRecord:
    known = rng.random() < 0.5
    key_id, key_name, project = rng.choice(KEYS) if known else (None, None, None)
    return RequestRecord(
        id=uuid7(started_at, rng.randbytes(8)),
        request_id=request_id,
        attempt=1,
        started_at=started_at,
        key_id=key_id,
        key_name=key_name,
        project=project,
        requested_model=rng.choice((None, "a model of the client's own making")),
        outcome=rng.choice(REFUSED),
        http_status=401,
        repeat_count=1 if known else rng.randrange(1, 50),
        bytes_in=rng.choice((None, 10)),
        duration_ms=rng.random(),
        cost_nanos=0,
        cost_status="free",
    )


def _attempt(rng: Random, *, request_id: bytes, started_at: int, number: int) -> RequestRecord:
    key_id, key_name, project = rng.choice(KEYS)
    model = rng.choice(MODELS)
    record = RequestRecord(
        id=uuid7(started_at, rng.randbytes(8)),
        request_id=request_id,
        attempt=number,
        started_at=started_at,
        key_id=key_id,
        key_name=key_name,
        project=project,
        end_user=rng.choice((None, "", "user-1", "user-2")),
        session=rng.choice((None, "session-1")),
        tags=rng.choice((None, (), ("batch",), ("batch", "nightly"))),
        upstream=rng.choice(("openai", "azure")),
        provider=rng.choice((None, "openai")),
        requested_model=model,
        upstream_model=rng.choice((None, model, f"{model}-2026")),
        stream=rng.choice((None, False, True)),
        outcome=rng.choice((*ANSWERED, *FAILED)),
        http_status=rng.choice((None, 200, 500)),
        ttft_ms=rng.choice((None, rng.uniform(0, 20_000))),
        duration_ms=rng.choice((None, rng.uniform(0, 2_000_000), float(rng.randrange(200)))),
        bytes_in=rng.choice((None, rng.randrange(10_000))),
        bytes_out=rng.choice((None, rng.randrange(10_000))),
        response_id=rng.choice((None, f"chatcmpl-{rng.randrange(10**9)}")),
        response_model=rng.choice((None, model)),
        error_type=rng.choice((None, "server_error")),
        error_code=rng.choice((None, "overloaded")),
        price_id=rng.choice((None, "card-1", "card-2")),
        service_tier=rng.choice((None, "default", "flex")),
    )
    _meter(rng, record)
    return record


def _meter(rng: Random, record: RequestRecord) -> None:
    record.usage_source = rng.choice(("provider", "provider", "partial", "estimated", "none"))
    if record.usage_source == "none":
        record.cost_status = "unpriced"
        return
    record.input_tokens = rng.randrange(100_000)
    record.output_tokens = rng.randrange(10_000)
    record.cache_read_input_tokens = rng.choice((None, 0, rng.randrange(record.input_tokens + 1)))
    record.reasoning_output_tokens = rng.choice((None, 0, rng.randrange(record.output_tokens + 1)))
    record.audio_input_tokens = rng.choice((None, 0, 3))
    record.cost_status = rng.choice(
        ("priced", "priced", "partial", "assumed", "provider", "unpriced", "free")
    )
    if record.cost_status == "unpriced":
        return
    lines = [0, 0] if record.cost_status == "free" else [rng.randrange(10**9), rng.randrange(10**7)]
    record.cost_nanos = sum(lines)
    record.cost_lines = tuple(
        {"meter": meter, "quantity": 10, "rate_picos": line * 100, "cost_nanos": line}
        for meter, line in zip(("input", "output"), lines, strict=True)
    )
    record.provider_cost_nanos = rng.choice((None, record.cost_nanos, 5))


@st.composite
def requests(draw: st.DrawFn, *, days: int = 4) -> list[RequestRecord]:
    """One request within *days* from `START`."""
    offset = draw(st.integers(0, days * DAY_MICROS - 1))
    return request_of(Random(draw(st.integers(0, 2**32))), started_at=to_micros(START) + offset)


def several(*, days: int, at_most: int) -> st.SearchStrategy[list[RequestRecord]]:
    """The records of some requests, each with an id of its own."""
    drawn = st.lists(requests(days=days), max_size=at_most, unique_by=lambda request: request[0].id)
    return drawn.map(lambda found: [record for request in found for record in request])


def some(*, seed: int, count: int, days: int) -> list[RequestRecord]:
    """At least *count* records, spread over *days* from `START`."""
    rng = Random(seed)
    records: list[RequestRecord] = []
    while len(records) < count:
        records += request_of(rng, started_at=to_micros(START) + rng.randrange(days * DAY_MICROS))
    return records


def write(store: Store, records: Sequence[RequestRecord]) -> int:
    """Store *records* as the recorder does; returns how many were new."""
    return Writer(store, clock=lambda: to_micros(START)).write(records) if records else 0


def wipe(store: Store) -> None:
    """Empty the books."""
    with store.write() as tx:
        for table in (request_record, ledger_entry, *ROLLUPS, *BY_VALUE):
            tx.execute(delete(table))


def stored_rollups(store: Store) -> list[tuple[Any, ...]]:
    """Everything in the rollups, with 0 for a bin of NULL."""
    bins = sum(1 for column in usage_rollup.c if "_bin_" in column.name)
    rows: list[tuple[Any, ...]] = []
    with store.read() as tx:
        for table in ROLLUPS:
            found = tx.execute(table.select().order_by(*table.primary_key))
            rows += [(table.name, *row[:-bins], *(count or 0 for count in row[-bins:])) for row in found]
        for table in BY_VALUE:
            ordered = table.select().order_by(table.c.bucket, *table.primary_key)
            columns = [table.c.bucket, *(column for column in table.c if column.name != "bucket")]
            rows += [(table.name, *row) for row in tx.execute(ordered.with_only_columns(*columns))]
    return rows
