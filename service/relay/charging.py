"""From what an answer said about itself to the tokens and the cost of its record.

Without usage from the upstream the tokens are estimated from the request and from the output seen, marked
`estimated`, with bounds. The price is that of the model which answered; where none is known, of the one asked for.
An upstream with `cost = "provider"` costs what its provider reports, where it reports a cost.
"""

from collections.abc import Callable

import msgspec

from service.ledger.costs import MEDIA_LEFT_OUT, provider_rating, rate_record
from service.ledger.record import RequestRecord, clip
from service.pricing.pricebook import PriceBook
from service.pricing.rating import Rating
from service.relay.calibration import Calibrations
from service.relay.request import ChatRequest
from service.usage.estimate import Estimate, estimate_output, estimate_prompt
from service.usage.metered import Metered
from service.usage.text import TextMeasure
from service.usage.tokens import TokenUsage

MOST_CHOICES = 128
MOST_OUTPUT_TOKENS = 1_000_000


def charge_nothing(record: RequestRecord, facts: Metered | None) -> None:
    """No answer, no usage: the cost is 0, and known to be."""
    record.cost_nanos = 0
    record.cost_status = "free"
    if facts is not None:
        record.error_type = record.error_type or clip(facts.error_type)
        record.error_code = record.error_code or clip(facts.error_code)


class Question(msgspec.Struct, frozen=True):
    """What an estimate can be made from, and what earlier answers taught."""

    request: ChatRequest
    body: bytes
    calibrations: Calibrations
    generated: Callable[[], TextMeasure]
    """The generated text seen; measured only where it is needed."""
    prefers_provider_cost: bool = False


def charge(record: RequestRecord, facts: Metered, *, book: PriceBook, question: Question) -> None:
    """Fill in what the upstream answered, used and costs."""
    record.response_id = clip(facts.response_id)
    record.response_model = clip(facts.response_model)
    record.service_tier = clip(facts.service_tier)
    record.finish_reasons = facts.finish_reasons or None
    record.usage_raw = facts.usage_raw
    record.usage_flags = facts.usage_flags or None
    record.provider_cost_nanos = facts.provider_cost_nanos
    record.usage_source = facts.usage_source
    usage = facts.usage
    if usage is None:
        usage = _estimate(record, question)
    elif facts.usage_source == "provider" and not facts.usage_flags:
        question.calibrations.teach(
            record.upstream_model, body=question.body, generated=question.generated, usage=usage
        )
    put_usage(record, usage)
    reported = provider_rating(facts.provider_cost_nanos) if question.prefers_provider_cost else None
    put_rating(record, reported or rate_record(record, usage, book=book))


def put_usage(record: RequestRecord, usage: TokenUsage) -> None:
    """Copy the counts into their columns."""
    record.input_tokens = usage.input_tokens
    record.output_tokens = usage.output_tokens
    record.cache_read_input_tokens = usage.cache_read_input_tokens
    record.cache_write_input_tokens = usage.cache_write_input_tokens
    record.audio_input_tokens = usage.audio_input_tokens
    record.image_input_tokens = usage.image_input_tokens
    record.reasoning_output_tokens = usage.reasoning_output_tokens
    record.audio_output_tokens = usage.audio_output_tokens
    record.image_output_tokens = usage.image_output_tokens


def put_rating(record: RequestRecord, rating: Rating) -> None:
    """Copy the cost and its lines into their columns."""
    record.cost_nanos = rating.cost_nanos
    record.cost_status = rating.cost_status
    record.price_id = rating.price_id
    record.cost_lines = tuple(msgspec.to_builtins(line) for line in rating.lines) or None


def _estimate(record: RequestRecord, question: Question) -> TokenUsage:
    """Estimated usage; a flag says whether media in the request had to be left out of it."""
    model = record.upstream_model
    prompt = estimate_prompt(question.body, question.calibrations.prompt(model))
    output = estimate_output(question.generated(), question.calibrations.output(model))
    record.usage_source = "estimated"
    record.usage_low = prompt.low + output.low
    record.usage_high = prompt.high + _most_output(output, question.request)
    if prompt.partial:
        record.usage_flags = (*(record.usage_flags or ()), MEDIA_LEFT_OUT)
    return TokenUsage(input_tokens=prompt.tokens, output_tokens=output.tokens)


def _most_output(seen: Estimate, request: ChatRequest) -> int:
    """The upstream may have produced more than we saw, up to what the client allowed."""
    limit = min(request.max_completion_tokens or request.max_tokens or 0, MOST_OUTPUT_TOKENS)
    return max(seen.high, limit * max(1, min(request.n or 1, MOST_CHOICES)))
