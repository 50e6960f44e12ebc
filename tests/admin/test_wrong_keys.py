"""How wrong admin keys are counted and told."""

from itertools import chain

from service.admin.wrong_keys import (
    FAILURES_PER_MINUTE,
    MAX_ADDRESSES,
    MICROS_PER_MINUTE,
    TOLD_PER_HOUR,
    Judged,
    WrongAdminKeys,
)

HOUR = 60 * MICROS_PER_MINUTE


def test_the_first_and_the_last_of_an_address_are_told() -> None:
    wrong = WrongAdminKeys()
    judged = [wrong.judge("a", micros=HOUR) for _ in range(FAILURES_PER_MINUTE + 1)]
    assert judged[0] == Judged(0, "first")
    assert judged[1:-2] == [Judged(0, None)] * (FAILURES_PER_MINUTE - 2)
    assert judged[-2:] == [Judged(0, "limit"), Judged(60, None)]
    assert wrong.judge("b", micros=HOUR) == Judged(0, "first")
    assert wrong.judge(None, micros=HOUR) == Judged(0, "first")


def test_a_minute_later_it_counts_anew_and_tells_nothing() -> None:
    wrong = WrongAdminKeys()
    for _ in range(2 * FAILURES_PER_MINUTE):
        wrong.judge("a", micros=HOUR)
    again = [wrong.judge("a", micros=HOUR + MICROS_PER_MINUTE) for _ in range(FAILURES_PER_MINUTE)]
    assert again == [Judged(0, None)] * FAILURES_PER_MINUTE


def test_an_hour_later_it_tells_again() -> None:
    wrong = WrongAdminKeys()
    assert [wrong.judge("a", micros=hour * HOUR).event for hour in (1, 2)] == ["first", "first"]


def test_the_wait_is_until_the_next_minute() -> None:
    wrong = WrongAdminKeys()
    for _ in range(FAILURES_PER_MINUTE):
        wrong.judge("a", micros=HOUR)
    assert wrong.judge("a", micros=HOUR + 1).retry_after_s == 60
    assert wrong.judge("a", micros=HOUR + 58_500_000).retry_after_s == 2
    assert wrong.judge("a", micros=HOUR + MICROS_PER_MINUTE - 1).retry_after_s == 1


def test_many_addresses_are_not_all_told() -> None:
    wrong = WrongAdminKeys()
    events = [wrong.judge(f"a{number}", micros=HOUR).event for number in range(TOLD_PER_HOUR + 10)]
    assert events.count("first") == TOLD_PER_HOUR
    assert events[-1] is None


def test_memory_is_bounded() -> None:
    wrong = WrongAdminKeys()
    for address in chain(range(MAX_ADDRESSES + 5)):
        wrong.judge(str(address), micros=HOUR)
    assert len(wrong._counts) <= MAX_ADDRESSES + 1
