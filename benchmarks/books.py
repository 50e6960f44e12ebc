"""Made-up books for benchmarks: records as a busy month leaves them, deterministic, generated as they are consumed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

from service.ledger.record import RequestRecord, uuid7
from service.store.types import to_micros

START = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 30
MODELS = ("gpt-4o", "gpt-4o-mini", "o4-mini", "claude-sonnet-4-5", "gemini-2.5-flash")


def records(count: int, *, start: datetime = START, keys: int = 50, seed: int = 1) -> Iterator[RequestRecord]:
    """*count* records over `DAYS` from *start*, in the order of time."""
    rng = Random(seed)
    first, length = to_micros(start), DAYS * 86_400_000_000
    for number in range(count):
        yield _record(rng, started_at=first + number * length // count, key=rng.randrange(keys))


def batches(
    count: int, *, start: datetime = START, size: int = 1_000, keys: int = 50
) -> Iterator[list[RequestRecord]]:
    """The same in batches, as the recorder writes them."""
    batch: list[RequestRecord] = []
    for record in records(count, start=start, keys=keys):
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _record(rng: Random, *, started_at: int, key: int) -> RequestRecord:
    identifier = uuid7(started_at, rng.randbytes(8))
    model = MODELS[rng.randrange(len(MODELS))]
    failed = rng.random() < 0.03
    tokens_in, tokens_out = rng.randrange(50, 8_000), rng.randrange(10, 900)
    lines = (
        {"meter": "input", "quantity": tokens_in, "rate_picos": 2_500_000, "cost_nanos": tokens_in * 2_500},
        {
            "meter": "output",
            "quantity": tokens_out,
            "rate_picos": 10_000_000,
            "cost_nanos": tokens_out * 10_000,
        },
    )
    return RequestRecord(
        id=identifier,
        request_id=identifier,
        attempt=1,
        started_at=started_at,
        client_address="10.0.3.7",
        user_agent="OpenAI/Python 3.54.0",
        key_id=f"key_{key:016}",
        key_name=f"service {key}",
        project=f"team-{key % 8}",
        end_user=f"user-{rng.randrange(2_000)}",
        upstream="main",
        provider="openai",
        requested_model=model,
        upstream_model=model,
        response_model=f"{model}-2026-08-06",
        response_id=f"chatcmpl-{rng.getrandbits(96):024x}",
        stream=rng.random() < 0.7,
        ttft_ms=rng.lognormvariate(6, 0.5),
        duration_ms=rng.lognormvariate(8, 0.7),
        overhead_ms=0.4,
        http_status=500 if failed else 200,
        outcome="upstream_error" if failed else "ok",
        finish_reasons=("stop",),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cache_read_input_tokens=0,
        reasoning_output_tokens=0,
        usage_source="provider",
        usage_raw=f'{{"prompt_tokens":{tokens_in},"completion_tokens":{tokens_out}}}',
        cost_nanos=sum(line["cost_nanos"] for line in lines if isinstance(line["cost_nanos"], int)),
        cost_status="priced",
        price_id="genai-prices:openai/gpt-4o@0.2.3",
        cost_lines=lines,
        bytes_in=4_000,
        bytes_out=9_000,
        chunks=60,
    )
