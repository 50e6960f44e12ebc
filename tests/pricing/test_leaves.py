import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pricing.card import INPUT_METERS, METERS, OUTPUT_METERS
from service.pricing.leaves import Leaves, split, split_any, split_text
from service.usage.tokens import TokenUsage
from tests.pricing.cards import used

COUNT = st.integers(-5, 50) | st.integers(-(10**20), 10**20)
USAGES = st.builds(
    TokenUsage, input_tokens=COUNT,
    output_tokens=COUNT,
    **{
        field: st.none() | COUNT
        for field in TokenUsage.__struct_fields__
        if field not in ("input_tokens", "output_tokens")
    },
)  # fmt: skip


def of(leaves: Leaves) -> dict[str, int]:
    return dict(leaves.lines)


@given(USAGES)
def test_leaves_sum_to_the_totals_and_none_is_negative(usage: TokenUsage) -> None:
    leaves = of(split(usage))

    assert all(quantity > 0 for quantity in leaves.values())
    assert sum(leaves.get(meter, 0) for meter in INPUT_METERS) == max(usage.input_tokens, 0)
    assert sum(leaves.get(meter, 0) for meter in OUTPUT_METERS) == max(usage.output_tokens, 0)


PLAIN = st.integers(-2, 20)


@given(
    st.builds(
        TokenUsage,
        input_tokens=PLAIN,
        output_tokens=PLAIN,
        cache_read_input_tokens=st.none() | PLAIN,
        cache_write_input_tokens=st.none() | PLAIN,
        reasoning_output_tokens=st.none() | PLAIN,
        audio_input_tokens=st.sampled_from([None, None, 0, 1]),
    )
)
def test_the_short_way_leads_where_the_long_one_does(usage: TokenUsage) -> None:
    short = split_text(usage)

    assert short in (None, split_any(usage))
    if usage.audio_input_tokens or split_any(usage).contradictory:
        assert short is None


@pytest.mark.parametrize(
    "field",
    [field for field in TokenUsage.__struct_fields__ if field not in ("input_tokens", "output_tokens")],
)
def test_the_short_way_is_not_taken_for_a_negative_count(field: str) -> None:
    assert split_text(used(10, 10, **{field: -1})) is None


@given(USAGES)
def test_the_short_way_is_not_taken_for_what_it_cannot_say(usage: TokenUsage) -> None:
    assert split_text(usage) in (None, split_any(usage))


@given(USAGES)
def test_a_leaf_comes_once_and_in_the_order_of_the_meters(usage: TokenUsage) -> None:
    meters = [meter for meter, _ in split(usage).lines]

    assert meters == [meter for meter in METERS if meter in meters]


@given(USAGES)
def test_counts_that_are_not_flagged_are_kept_as_they_came(usage: TokenUsage) -> None:
    split_ = split(usage)
    leaves = of(split_)
    if split_.contradictory:
        return
    read = ("cache_read_input", "cache_read_audio_input", "cache_read_image_input")
    write = ("cache_write_input", "cache_write_1h_input")
    audio = ("audio_input", "cache_read_audio_input")

    assert sum(leaves.get(meter, 0) for meter in read) == (usage.cache_read_input_tokens or 0)
    assert sum(leaves.get(meter, 0) for meter in write) == (usage.cache_write_input_tokens or 0)
    assert leaves.get("cache_write_1h_input", 0) == (usage.cache_write_1h_input_tokens or 0)
    assert leaves.get("reasoning_output", 0) == (usage.reasoning_output_tokens or 0)
    assert leaves.get("audio_output", 0) == (usage.audio_output_tokens or 0)
    assert leaves.get("image_output", 0) == (usage.image_output_tokens or 0)
    assert sum(leaves.get(meter, 0) for meter in audio) <= (usage.audio_input_tokens or 0)


TABLE: list[tuple[str, TokenUsage, dict[str, int], bool]] = [
    ("nothing reported but totals", used(100, 20), {"input": 100, "output": 20}, False),
    ("nothing used", used(), {}, False),
    (
        "cached is part of input",
        used(100, cache_read_input_tokens=80),
        {"input": 20, "cache_read_input": 80},
        False,
    ),
    (
        "reads and writes are disjoint parts of input",
        used(5000, cache_read_input_tokens=1800, cache_write_input_tokens=200),
        {"input": 3000, "cache_read_input": 1800, "cache_write_input": 200},
        False,
    ),
    (
        "an hour's cache is part of the writes",
        used(100, cache_write_input_tokens=60, cache_write_1h_input_tokens=45),
        {"input": 40, "cache_write_input": 15, "cache_write_1h_input": 45},
        False,
    ),
    (
        "reasoning is part of output",
        used(10, 116, reasoning_output_tokens=60),
        {"input": 10, "output": 56, "reasoning_output": 60},
        False,
    ),
    (
        "audio that does not fit beside the cached part lies in it",
        used(100, audio_input_tokens=50, cache_read_input_tokens=80),
        {"cache_read_input": 50, "audio_input": 20, "cache_read_audio_input": 30},
        False,
    ),
    (
        "images that do not fit beside the cached part lie in it",
        used(100, image_input_tokens=50, cache_read_input_tokens=80),
        {"cache_read_input": 50, "image_input": 20, "cache_read_image_input": 30},
        False,
    ),
    (
        "cached audio, as reported",
        used(100, audio_input_tokens=50, cache_read_input_tokens=40, cache_read_audio_input_tokens=30),
        {"input": 40, "cache_read_input": 10, "audio_input": 20, "cache_read_audio_input": 30},
        False,
    ),
    ("video is part of input", used(100, video_input_tokens=30), {"input": 70, "video_input": 30}, False),
    (
        "citations and searches stand apart",
        used(10, 5, citation_tokens=7, web_searches=2),
        {"input": 10, "output": 5, "citation": 7, "web_search": 2},
        False,
    ),
    ("more cached than input is not believed", used(100, cache_read_input_tokens=150), {"input": 100}, True),
    (
        "more cached than the writes leave is not believed",
        used(100, cache_read_input_tokens=60, cache_write_input_tokens=50),
        {"input": 50, "cache_write_input": 50},
        True,
    ),
    ("more written than input", used(100, cache_write_input_tokens=150), {"cache_write_input": 100}, True),
    (
        "more for an hour than written at all",
        used(100, cache_write_input_tokens=10, cache_write_1h_input_tokens=20),
        {"input": 90, "cache_write_1h_input": 10},
        True,
    ),
    ("more reasoning than output", used(0, 50, reasoning_output_tokens=60), {"reasoning_output": 50}, True),
    ("more audio than input", used(10, audio_input_tokens=20), {"audio_input": 10}, True),
    ("more audio than output", used(0, 10, audio_output_tokens=20), {"audio_output": 10}, True),
    (
        "parts of output that do not fit together",
        used(0, 10, audio_output_tokens=6, image_output_tokens=3, reasoning_output_tokens=4),
        {"audio_output": 6, "image_output": 3, "reasoning_output": 1},
        True,
    ),
    (
        "more cached audio than cached",
        used(100, audio_input_tokens=50, cache_read_input_tokens=10, cache_read_audio_input_tokens=30),
        {"input": 50, "audio_input": 40, "cache_read_audio_input": 10},
        True,
    ),
    ("a negative part", used(10, 10, cache_read_input_tokens=-4), {"input": 10, "output": 10}, True),
    ("a negative number of searches", used(1, web_searches=-1), {"input": 1}, True),
    ("a negative number of citations", used(1, citation_tokens=-1), {"input": 1}, True),
    ("negative totals", used(-10, -10), {}, True),
]


@pytest.mark.parametrize(
    ("usage", "leaves", "odd"), [case[1:] for case in TABLE], ids=[case[0] for case in TABLE]
)
def test_each_token_is_in_one_leaf(usage: TokenUsage, leaves: dict[str, int], *, odd: bool) -> None:
    found = split(usage)

    assert of(found) == leaves
    assert found.contradictory == odd
