"""What a page shows, for tests: tables by a column, figures by their label, and everything that is Markdown."""

import json
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
from streamlit.testing.v1 import AppTest


def table(page: AppTest, *columns: str) -> Any:
    """The first table that has all these columns."""
    return next(one.value for one in page.dataframe if set(columns) <= set(one.value.columns))


def figures(page: AppTest) -> dict[str, str]:
    """Headline figures by their label."""
    return {metric.label: metric.value for metric in page.metric}


def charts(page: AppTest) -> dict[str, dict[str, Any]]:
    """Charts by their key."""
    return {str(one.key): json.loads(one.proto.spec) for one in page.get("echarts_chart")}


def press(page: AppTest, label: str) -> AppTest:
    """Click a button."""
    found = next(button for button in page.button if button.label == label)
    assert not found.disabled
    pressed = found.click().run()
    assert not pressed.exception
    return pressed


def nanos(amounts: Any) -> list[int | None]:
    """Amounts of a table as nano-USD."""
    return [None if pd.isna(amount) else round(amount * 10**9) for amount in amounts]


def refusals(page: AppTest) -> str:
    """What was refused, as it is shown."""
    return " ".join(str(element.proto.body) for element in page.get("html"))
