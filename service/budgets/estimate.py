"""The most that a request can cost: what is held before it is sent. Pure.

Every token is at least one byte of its text, so the bytes of the body bound the tokens of messages and tools, with
some for what providers put around them; the context window bounds both. An image's tokens have nothing to do with
its bytes and are counted apart; audio in the body has far fewer tokens than bytes; media behind a link may fill the
window. The answer has at most n times what was asked for, else the model's maximum. The price is the dearest one.
"""

import re

import msgspec

from service.budgets.model_limits import ModelLimits
from service.pricing.card import PriceCard
from service.pricing.rating import NO_SEARCHING, Searching, upper_bound_nanos

PER_MESSAGE = 8
"""Role and delimiters around a message, generously."""
AROUND = 64
TOOLS_PROMPT = 1_024
"""Instructions that providers add where tools or a response format are given."""
MOST_CHOICES = 128
_ESCAPED_ASCII = b"\\u00"
_MEDIA = re.compile(rb'"type"\s*+:\s*+"(image_url|image|input_image|input_audio|file|video_url|video)"')
_IMAGES = frozenset((b"image_url", b"image", b"input_image"))
_INPUT_AUDIO = b"input_audio"
_HIDDEN = re.compile(rb'"[^"\\]*+\\u00[^"]*+"\s*+:|"type"\s*+:\s*+"[^"\\]*+\\u00')
_TOOLS = re.compile(rb'"(?:tools|functions|response_format)"')
MOST_SEARCHES = 50
"""Web searches of one request; Perplexity's deep research makes a few dozen."""
_SEARCHERS = frozenset({"perplexity"})
_SOUND_IN = re.compile(rb'"type"\s*+:\s*+"input_audio"')
_SOUND_OUT = re.compile(rb'"modalities"\s*+:\s*+\[[^\]]*"audio"')
_SEARCH = re.compile(rb'"web_search')


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for, as far as its cost can depend on it."""

    body: bytes
    messages: int
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int | None = None


def estimate_nanos(demand: Demand, *, card: PriceCard | None, limits: ModelLimits) -> int | None:
    """The most the request can cost; None where nobody knows the price."""
    if card is None or _unpriced_sound(demand.body, card=card):
        return None
    return upper_bound_nanos(
        card,
        max_input_tokens=most_input_tokens(demand, limits=limits),
        max_output_tokens=most_output_tokens(demand, limits=limits),
        searching=_searching(demand, card=card, limits=limits),
    )


def _unpriced_sound(body: bytes, *, card: PriceCard) -> bool:
    """Whether sound may go in or come out that has no price of its own: it would be charged nothing."""
    if card.rates.audio_input is None and _SOUND_IN.search(body) is not None:
        return True
    return card.rates.audio_output is None and _SOUND_OUT.search(body) is not None


def _searching(demand: Demand, *, card: PriceCard, limits: ModelLimits) -> Searching:
    """Nobody says beforehand how often a model will search; more often than this has not been seen."""
    searches = (
        card.provider in _SEARCHERS or "search" in card.model or _SEARCH.search(demand.body) is not None
    )
    return Searching(MOST_SEARCHES, limits.context_window) if searches else NO_SEARCHING


def most_input_tokens(demand: Demand, *, limits: ModelLimits) -> int:
    """An upper bound of the prompt's tokens."""
    window = limits.context_window
    images, boundless = _media(demand.body)
    if boundless or (images and limits.image_tokens is None):
        return window
    tokens = len(demand.body) + PER_MESSAGE * demand.messages + AROUND
    if _TOOLS.search(demand.body) is not None:
        tokens += TOOLS_PROMPT
    return min(window, tokens + images * (limits.image_tokens or 0))


def most_output_tokens(demand: Demand, *, limits: ModelLimits) -> int:
    """An upper bound of the answer's tokens, reasoning included."""
    asked = [limit for limit in (demand.max_completion_tokens, demand.max_tokens) if limit is not None]
    each = min(max(asked), limits.context_window) if asked else limits.max_output_tokens
    return max(0, each) * min(max(demand.n or 1, 1), MOST_CHOICES)


def affordable_output_tokens(
    demand: Demand, *, card: PriceCard, limits: ModelLimits, remaining_nanos: int
) -> int | None:
    """The longest answer (per choice) whose hold fits into *remaining_nanos*; None where none does."""
    prompt = most_input_tokens(demand, limits=limits)
    choices = min(max(demand.n or 1, 1), MOST_CHOICES)
    searching = _searching(demand, card=card, limits=limits)
    low, high = 0, most_output_tokens(demand, limits=limits) // choices
    while low < high:
        middle = (low + high + 1) // 2
        cost = upper_bound_nanos(
            card, max_input_tokens=prompt, max_output_tokens=middle * choices, searching=searching
        )
        if cost is not None and cost <= remaining_nanos:
            low = middle
        else:
            high = middle - 1
    return low or None


def _media(body: bytes) -> tuple[int, bool]:
    r"""How many images a body holds at most, and whether something in it may be of any length.

    A member or a type that hides behind an escape such as ``\u0069mage_url`` may be anything.
    """
    if _ESCAPED_ASCII in body and _HIDDEN.search(body) is not None:
        return 0, True
    images = 0
    for found in _MEDIA.finditer(body):
        if found[1] in _IMAGES:
            images += 1
        elif found[1] != _INPUT_AUDIO:
            return 0, True
    return images, False
