"""Names in the documentation and in the Grafana dashboard are names of metrics that there are."""

import json
import re
from pathlib import Path
from typing import Any

from service.telemetry import names
from service.telemetry.names import Instrument
from service.telemetry.prometheus import label_name, metric_name

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"\b(?:tollkeeper|gen_ai|process)_[a-z_]+\b")
INSTRUMENTS = [value for value in vars(names).values() if isinstance(value, Instrument)]
LABELS = {label_name(value) for value in vars(names).values() if isinstance(value, str) and "." in value}


def known() -> set[str]:
    found = set(LABELS)
    for one in INSTRUMENTS:
        name = metric_name(one)
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if one.bounds else set()
        found.add(name)
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DOCS / "grafana-dashboard.json").read_text())["panels"]
    return found


def test_what_the_operations_page_names_is_there() -> None:
    text = (DOCS / "operations.md").read_text()
    assert set(NAME.findall(text)) - known() == set()


def test_the_operations_page_names_every_metric() -> None:
    text = (DOCS / "operations.md").read_text()
    assert [metric_name(one) for one in INSTRUMENTS if f"`{metric_name(one)}`" not in text] == []


def test_the_dashboard_asks_for_metrics_that_are_there() -> None:
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert len(asked) > 15
    for expression in asked:
        assert NAME.findall(expression)
        assert set(NAME.findall(expression)) - known() == set(), expression
        assert expression.count("(") == expression.count(")")


def test_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
