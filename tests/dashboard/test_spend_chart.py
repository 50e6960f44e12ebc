"""The chart of spend: what is drawn adds up to the report, in every bucket, whatever is folded into the rest."""

from datetime import timedelta

import pytest

from dashboard.charts import REST, Option
from dashboard.spend_chart import LARGEST, spend
from service.reporting.intervals import Interval
from service.reporting.spend_series import SpendOf, SpendOverTime, SpendQuery, spend_over_time
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from tests.dashboard.conftest import DAYS
from tests.support.records import START

SINCE, UNTIL, ZONE = START - timedelta(days=1), START + timedelta(days=DAYS), "America/Los_Angeles"


def found(store: Store, *, dimension: str, interval: Interval = "day") -> SpendOverTime:
    query = SpendQuery(
        since=SINCE, until=UNTIL, interval=interval, timezone=ZONE, dimension=dimension, largest=LARGEST
    )
    with store.read() as tx:
        return spend_over_time(tx, query)


def drawn(option: Option) -> list[float]:
    """The height of every stack."""
    stacks = zip(*(series["data"] for series in option["series"]), strict=True)
    return [sum(value or 0 for value in values) for values in stacks]


@pytest.mark.parametrize("dimension", ["model", "key", "project", "upstream"])
@pytest.mark.parametrize("interval", ["hour", "day"])
def test_the_bars_add_up_to_the_report(sqlite_books: Store, dimension: str, interval: Interval) -> None:
    option = spend(found(sqlite_books, dimension=dimension, interval=interval), dimension=dimension)
    with sqlite_books.read() as tx:
        plain = usage_report(
            tx, UsageQuery(since=SINCE, until=UNTIL, interval=interval, timezone=ZONE, percentiles=False)
        )
    heights = [round(height * 10**9) for height in drawn(option)]
    assert heights == [row.measures.cost_nanos or 0 for row in plain.rows]
    assert len(option["xAxis"]["data"]) == len(heights)
    assert sum(heights) == plain.total.cost_nanos


def test_beyond_seven_the_smallest_are_one_series(sqlite_books: Store) -> None:
    series = spend(found(sqlite_books, dimension="model"), dimension="model")["series"]
    assert [one["name"] for one in series[7:]] == [REST]
    sums = [sum(value or 0 for value in one["data"]) for one in series]
    assert sums[:7] == sorted(sums[:7], reverse=True)
    assert sums[7] <= sums[6]


@pytest.mark.parametrize(("nanos", "decimals"), [(2_000_000_000, 2), (30_000_000, 3), (7, 9)])
def test_the_smallest_amount_keeps_two_digits(nanos: int, decimals: int) -> None:
    made = SpendOverTime(
        since=START,
        until=START + timedelta(days=1),
        interval="day",
        timezone="UTC",
        largest=(SpendOf({"model": "m"}, (nanos,)),),
        rest=None,
    )
    assert spend(made, dimension="model")["tooltip"]["valueFormatter"] == f"$%,.{decimals}f"


def test_keys_of_one_name_are_told_apart() -> None:
    made = SpendOverTime(
        since=START,
        until=START + timedelta(days=1),
        interval="day",
        timezone="UTC",
        largest=tuple(
            SpendOf({"key_id": f"key_00000000000000{tail}", "key_name": "chat"}, (5,)) for tail in "ab"
        ),
        rest=None,
    )
    names = [one["name"] for one in spend(made, dimension="key")["series"]]
    assert names == ["chat (…00000a)", "chat (…00000b)"]
