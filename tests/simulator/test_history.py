"""Thirty days that look lived in: rhythm, events, and facts that agree with each other."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from genai_prices import Usage, calc_price

from service.simulator.calls import SimulatedCall
from service.simulator.history import DAY, HOUR, MICROS, calendar, history
from service.simulator.workloads import (
    CONTRACT_READER,
    EXHAUSTED_KEY,
    FALLBACKS,
    PROFILES,
    SPIKING_KEY,
    WEEK,
    WORKLOADS,
)

END = datetime(2026, 11, 23, 15, tzinfo=UTC)  # a Monday
PLAN = calendar(END)
CALLS = list(history(end=END))


def of(key: str) -> list[SimulatedCall]:
    return [call for call in CALLS if call.key_name == key]


def days(calls: list[SimulatedCall]) -> Counter[int]:
    return Counter(call.started_at // DAY for call in calls)


def weekday(day: int) -> int:
    return datetime.fromtimestamp(day * DAY / MICROS, UTC).weekday()


def test_the_size_suits_a_demo() -> None:
    assert 20_000 < len(CALLS) < 50_000


def test_the_seed_and_the_end_decide() -> None:
    assert list(history(end=END, load=0.02)) == list(history(end=END, load=0.02))
    assert list(history(end=END, load=0.02)) != list(history(end=END, load=0.02, seed=2))
    abroad = END.astimezone(timezone(timedelta(hours=9)))
    assert list(history(end=abroad, load=0.02)) == list(history(end=END, load=0.02))


def test_calls_are_in_order_and_inside_the_window() -> None:
    requests = [call.started_at for call in CALLS if call.attempt == 1]
    assert requests == sorted(requests)
    assert PLAN.start <= requests[0]
    assert requests[-1] < PLAN.end
    assert PLAN.end - PLAN.start == 30 * DAY


def test_every_request_has_one_final_attempt() -> None:
    finals = Counter(call.request for call in CALLS if call.final)
    assert set(finals.values()) == {1}
    assert set(finals) == {call.request for call in CALLS}
    for first, second in pairwise(CALLS):
        assert (second.attempt == 2) == (first.request == second.request)


def test_four_teams_call_with_nine_keys() -> None:
    assert {call.project for call in CALLS} == {"support", "engineering", "marketing", "data", None}
    assert {call.key_name for call in CALLS} == {workload.key_name for workload in WORKLOADS} | {None}


def test_offices_are_quiet_on_weekends_and_at_night() -> None:
    reviews = of("code-review")
    weekend = sum(count for day, count in days(reviews).items() if weekday(day) >= 5)
    assert weekend < 0.1 * len(reviews)
    assert all(5 <= call.started_at % DAY // HOUR <= 19 for call in reviews)


def test_batches_run_at_night() -> None:
    hours = Counter(call.started_at % DAY // HOUR for call in of("nightly-extraction"))
    assert set(hours) == {0, 1, 2, 3, 4, 5, 22, 23}


def test_one_day_spikes() -> None:
    counts = days(of(SPIKING_KEY))
    (top, most), (_, second) = counts.most_common(2)
    assert top == PLAN.spike_day
    assert weekday(top) < 5
    assert most > 10 * second


def test_one_budget_runs_out() -> None:
    calls = of(EXHAUSTED_KEY)
    after = [call for call in calls if call.started_at >= PLAN.exhausted_from]
    assert after
    assert {call.outcome for call in after} == {"rejected_budget"}
    assert {call.error_code for call in after} == {"budget_exceeded"}
    assert all(call.upstream is None and call.output_tokens is None for call in after)
    assert [call for call in CALLS if call.outcome == "rejected_budget"] == after


def test_one_hour_is_an_outage_and_some_models_have_a_fallback() -> None:
    hour = [call for call in CALLS if PLAN.outage_start <= call.started_at < PLAN.outage_start + HOUR]
    failed = [call for call in hour if call.error_code == "overloaded"]
    assert len(failed) > 0.6 * len({call.request for call in hour})
    assert {call.upstream for call in failed} == {"openai"}
    rescued = [call for call in CALLS if call.attempt == 2]
    assert {call.upstream for call in rescued} == {"azure-openai"}
    assert {call.outcome for call in rescued} == {"ok"}
    assert {call.requested_model for call in rescued} <= set(FALLBACKS)
    assert all(not call.final for call in failed if call.requested_model in FALLBACKS)
    assert [call for call in CALLS if call.error_code == "overloaded"] == failed


def test_a_stranger_tries_keys_for_ten_minutes() -> None:
    scans = [call for call in CALLS if call.outcome == "rejected_auth"]
    assert len(scans) == 60
    assert scans[-1].started_at - scans[0].started_at < HOUR / 6
    assert {(call.key_name, call.requested_model, call.http_status) for call in scans} == {(None, None, 401)}


def test_one_model_has_no_price_and_no_usage_in_streams() -> None:
    calls = [call for call in of("contract-reader") if call.outcome == "ok"]
    assert {call.requested_model for call in calls} == {CONTRACT_READER.model}
    with pytest.raises(LookupError):
        calc_price(Usage(input_tokens=1), CONTRACT_READER.model)
    assert {(call.stream, call.usage_source) for call in calls} == {(True, "estimated"), (False, "provider")}


def test_every_other_model_has_a_price_at_its_provider() -> None:
    served = {(call.response_model, call.provider) for call in CALLS if call.response_model}
    for model, provider in served - {(CONTRACT_READER.reports, CONTRACT_READER.provider)}:
        assert model is not None
        assert calc_price(Usage(input_tokens=10), model, provider_id=provider).total_price > 0


def test_token_counts_agree() -> None:
    for call in CALLS:
        if call.input_tokens is None or call.output_tokens is None:
            assert call.usage_source == "none"
            assert call.response_model is None
            continue
        read, written = call.cache_read_input_tokens or 0, call.cache_write_input_tokens or 0
        assert read + written <= call.input_tokens
        assert (call.reasoning_output_tokens or 0) < call.output_tokens
        assert read == 0 or read >= 640


def test_unknown_details_are_none_and_never_zero() -> None:
    estimated = [call for call in CALLS if call.usage_source == "estimated"]
    assert {call.cache_read_input_tokens for call in estimated} == {None}
    assert {call.reasoning_output_tokens for call in estimated} == {None}


def test_times_agree() -> None:
    for call in CALLS:
        assert call.duration_ms > 0
        assert call.ttft_ms is None or call.ttft_ms <= call.duration_ms
        assert call.ttft_ms is None or call.stream


def test_everything_that_can_go_wrong_does_but_seldom() -> None:
    outcomes = Counter(call.outcome for call in CALLS)
    assert set(outcomes) == {
        "ok",
        "client_disconnect",
        "upstream_error",
        "midstream_error",
        "truncated",
        "timeout",
        "rejected_auth",
        "rejected_request",
        "rejected_rate_limit",
        "rejected_budget",
    }
    assert 0.96 < outcomes["ok"] / len(CALLS) < 0.99
    assert all(call.stream for call in CALLS if call.outcome in {"client_disconnect", "truncated"})


def test_some_people_ask_much_more_than_others() -> None:
    counts = Counter(call.end_user for call in of("support-assistant")).most_common()
    assert len(counts) > 500
    assert counts[0][1] > 10 * counts[-1][1]


@pytest.mark.parametrize("shift", range(7))
def test_events_fall_on_working_days_whatever_the_end(shift: int) -> None:
    plan = calendar(END + timedelta(days=shift))
    assert weekday(plan.spike_day) < 5
    assert weekday(plan.outage_start // DAY) < 5
    assert plan.start < plan.scan_start < plan.outage_start < plan.spike_day * DAY < plan.exhausted_from


def test_a_short_history_is_just_the_last_days() -> None:
    calls = list(history(end=END, days=2, load=0.1))
    assert {call.started_at // DAY for call in calls} <= {PLAN.end // DAY - offset for offset in range(3)}


def test_profiles_cover_a_day_and_weeks_cover_a_week() -> None:
    assert {len(profile) for profile in PROFILES.values()} == {24}
    assert {len(week) for week in WEEK.values()} == {7}
