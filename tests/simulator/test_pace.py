"""The pace in seconds."""

from service.simulator.pace import BELIEVABLE, Pace


def test_zero_is_as_fast_as_possible() -> None:
    pace = Pace(tokens_per_s=0, ttft_s=5)
    assert (pace.before_head_s(1000), pace.seconds(1000)) == (0, 0)


def test_tokens_take_time_and_reasoning_delays_the_head() -> None:
    pace = Pace(tokens_per_s=50, ttft_s=0.5)
    assert (pace.seconds(100), pace.before_head_s(100)) == (2, 2.5)


def test_the_default_is_believable() -> None:
    assert 20 < BELIEVABLE.tokens_per_s < 200
    assert 0.1 < BELIEVABLE.ttft_s < 1
