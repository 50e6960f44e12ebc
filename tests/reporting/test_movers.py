"""Why spend changed: the three effects add up to the change, exactly, and each is what it says."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.reporting.movers import Mover, movers
from service.reporting.usage import UsageRow
from tests.reporting.figures_of import row


def used(key: str, model: str | None, tokens: int, nanos: int | None) -> UsageRow:
    sums: dict[str, Any] = {} if nanos is None else {"cost_nanos": nanos}
    return row({"project": key, "model": model}, input_tokens=tokens, **sums)


def only(before: list[UsageRow], now: list[UsageRow]) -> Mover:
    (mover,) = movers(before, now, part="model")
    return mover


def effects(mover: Mover) -> tuple[int, int, int]:
    return mover.volume_nanos, mover.mix_nanos, mover.price_nanos


def test_twice_the_tokens_is_volume() -> None:
    mover = only([used("p", "a", 10, 100)], [used("p", "a", 20, 200)])
    assert effects(mover) == (100, 0, 0)
    assert (mover.delta_nanos, mover.main_effect) == (100, "volume")
    assert mover.dimensions == {"project": "p"}


def test_a_dearer_model_in_the_place_of_another_is_mix() -> None:
    before = [used("p", "cheap", 90, 90), used("p", "dear", 10, 100)]
    now = [used("p", "cheap", 10, 10), used("p", "dear", 90, 900)]
    mover = only(before, now)
    assert effects(mover) == (0, 720, 0)
    assert mover.main_effect == "mix"


def test_a_higher_price_per_token_is_price() -> None:
    mover = only([used("p", "a", 100, 100)], [used("p", "a", 100, 150)])
    assert effects(mover) == (0, 0, 50)
    assert mover.main_effect == "price"


def test_a_new_model_is_mix_at_its_own_price() -> None:
    mover = only([used("p", "a", 100, 100)], [used("p", "a", 50, 50), used("p", "b", 50, 500)])
    assert effects(mover) == (0, 450, 0)


def test_who_was_not_there_before_is_volume_and_so_is_who_left() -> None:
    new, gone = (
        only([], [used("p", "a", 10, 100)]),
        only([used("p", "a", 10, 100)], []),
    )
    assert effects(new) == (100, 0, 0)
    assert effects(gone) == (-100, 0, 0)
    assert gone.main_effect == "volume"


def test_cost_without_tokens_is_price() -> None:
    assert effects(only([used("p", "a", 0, 10)], [used("p", "a", 0, 30)])) == (0, 0, 20)


def test_unpriced_usage_counts_nothing_and_what_did_not_change_is_left_out() -> None:
    assert movers([used("p", "a", 10, None)], [used("p", "a", 99, None)], part="model") == []
    assert movers([used("p", "a", 10, 7)], [used("p", "a", 99, 7)], part="model") == []


def test_the_largest_change_comes_first_whatever_its_direction() -> None:
    before = [used("down", "a", 10, 900), used("up", "a", 10, 100)]
    now = [used("down", "a", 10, 100), used("up", "a", 10, 300)]
    assert [mover.dimensions["project"] for mover in movers(before, now, part="model")] == ["down", "up"]


rows = st.lists(
    st.builds(
        used,
        st.sampled_from(["p", "q"]),
        st.sampled_from(["a", "b", None]),
        st.integers(0, 10**9),
        st.none() | st.integers(0, 10**12),
    ),
    max_size=8,
)


@given(rows, rows)
def test_the_effects_add_up_to_the_change_exactly(before: list[UsageRow], now: list[UsageRow]) -> None:
    found = movers(before, now, part="model")
    for mover in found:
        assert sum(effects(mover)) == mover.delta_nanos
    total_before, total_now = (sum(one.measures.cost_nanos or 0 for one in some) for some in (before, now))
    assert sum(mover.delta_nanos for mover in found) == total_now - total_before
