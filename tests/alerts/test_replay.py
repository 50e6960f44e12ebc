"""The state machine without a store."""

from service.alerts.replay import Replay
from tests.alerts.making import DAY, HOUR, MINUTE, NOW, reading, rule, shares


def test_what_lasts_is_raised_once_however_often_it_would_be_told() -> None:
    replay = Replay(rule(renotify="1h"))
    for hours in range(5):
        replay.take([reading(0.3)], at=NOW + hours * HOUR)
    assert [one.fired_at for one in replay.raised] == [NOW]


def test_an_alert_ends_when_it_is_gone_for_long_enough() -> None:
    replay = Replay(rule())
    for minutes, value in ((0, 0.3), (2, 0.0), (4, 0.3), (6, 0.0), (12, 0.0)):
        replay.take([reading(value)], at=NOW + minutes * MINUTE)
    assert [(one.fired_at, one.resolved_at) for one in replay.raised] == [(NOW, NOW + 12 * MINUTE)]


def test_what_is_confirmed_within_a_step_is_no_moment() -> None:
    replay = Replay(rule())
    replay._decide([reading(0.3)], at=NOW)
    replay._decide([reading(0.0)], at=NOW + MINUTE)
    assert replay.raised == []


def test_budgets_fire_at_once_and_end_with_their_period() -> None:
    replay = Replay(rule("budget_used"))
    for day in range(2):
        used = reading(0.9, subject="bud_1", period=NOW + day * DAY, thresholds=shares(0.5, 0.8))
        replay.take(
            [reading(1.0, subject="bud_1", period=used.period, thresholds=used.thresholds, details=DETAILS)],
            at=NOW + day * DAY,
        )
    assert [(one.threshold, one.resolved_at) for one in replay.raised] == [
        (0.5, NOW + DAY),
        (0.8, NOW + DAY),
        (0.5, None),
        (0.8, None),
    ]


DETAILS = {"spent_usd": "10.00", "limit_usd": "10.00"}
