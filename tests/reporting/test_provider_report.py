"""Providers' reports: OpenAI's shapes and CSV, exact, and refused with the place named."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.reporting.provider_report import ALL_MODELS, ProviderReport, line_item, parse_report

ZONE = ZoneInfo("UTC")
START = 1_772_755_200  # 2026-03-06
DAY = 86_400


def bucket(*results: dict[str, Any], start: int = START, end: int = START + DAY) -> dict[str, Any]:
    return {"object": "bucket", "start_time": start, "end_time": end, "results": list(results)}


def page(*buckets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"object": "page", "data": list(buckets), "has_more": False, "next_page": None, **more}


def usage(**counts: Any) -> dict[str, Any]:
    return {"object": "organization.usage.completions.result", "model": "gpt-4o", **counts}


def cost(value: Any, line: str | None = "gpt-4o, input", **more: Any) -> dict[str, Any]:
    amount = {"value": value, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": line, **more}


def read(document: Any, zone: ZoneInfo = ZONE) -> ProviderReport:
    return parse_report(document if isinstance(document, str) else json.dumps(document), zone=zone)


def test_usage_of_completions() -> None:
    report = read(page(bucket(usage(
        input_tokens=5_000, input_cached_tokens=1_800, input_cache_write_tokens=200, input_uncached_tokens=3_000,
        output_tokens=100, input_audio_tokens=None, output_audio_tokens=0, num_model_requests=7, batch=None,
    ))))  # fmt: skip
    assert {entry.meter: entry.quantity for entry in report.entries} == {
        "input_tokens": 5_000,
        "cache_read_input_tokens": 1_800,
        "cache_write_input_tokens": 200,
        "output_tokens": 100,
        "audio_output_tokens": 0,
        "requests": 7,
    }
    assert {(entry.day, entry.model, entry.cost) for entry in report.entries} == {
        (date(2026, 3, 6), "gpt-4o", None)
    }


def test_costs_keep_every_digit() -> None:
    text = json.dumps(page(bucket(cost(0)))).replace('"value": 0', '"value": 0.13080438340307526171875')
    (entry,) = read(text).entries
    assert entry.cost == Decimal("0.13080438340307526171875")
    assert entry.step == Decimal("1e-23")
    assert (entry.model, entry.meter, entry.quantity) == ("gpt-4o", "input", None)


@pytest.mark.parametrize(
    ("value", "expected"), [("0.060", "0.060"), (0.06, "0.06"), (2, "2"), (1.2e-05, "0.000012"), (0, "0")]
)
def test_amounts_come_as_numbers_or_as_texts(value: Any, expected: str) -> None:
    (entry,) = read(page(bucket(cost(value)))).entries
    assert entry.cost == Decimal(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpt-4o-2024-08-06, input", ("gpt-4o-2024-08-06", "input")),
        ("gpt-5.5-2026-04-23, cached input", ("gpt-5.5-2026-04-23", "cache_read_input")),
        ("gpt-5.6-sol, cache writes", ("gpt-5.6-sol", "cache_write_input")),
        ("priority | gpt-5.6-sol, output, long context", ("gpt-5.6-sol", "output")),
        ("gpt-6-astra, input_tokens", ("gpt-6-astra", "input")),
        ("GPT-audio-mini audio, input", ("gpt-audio-mini", "audio_input")),
        ("gpt-image-2.5 text, cached input", ("gpt-image-2.5", "cache_read_input")),
        ("gpt-image-2.5 image, cached input", ("gpt-image-2.5", "cache_read_image_input")),
        ("gpt-image-2.5 image, output", ("gpt-image-2.5", "image_output")),
        ("web search tool calls", ("web search tool calls", "total")),
        ("", (ALL_MODELS, "total")),
    ],
)
def test_line_items(text: str, expected: tuple[str, str]) -> None:
    assert line_item(text) == expected


def test_costs_by_line_may_say_their_quantity() -> None:
    result = cost("0.5", quantity=200.0, quantity_unit="1000_tokens")
    (entry,) = read(page(bucket(result))).entries
    assert entry.quantity == 200_000
    (entry,) = read(page(bucket(cost("0.5", quantity=3.5, quantity_unit="gibibyte_hours")))).entries
    assert entry.quantity is None


def test_days_are_those_of_the_zone_and_hours_belong_to_them() -> None:
    late = bucket(usage(input_tokens=1), start=START + 23 * 3_600, end=START + DAY)
    assert read(page(late)).entries[0].day == date(2026, 3, 6)
    (entry,) = read(page(late), ZoneInfo("Asia/Kolkata")).entries
    assert (entry.day, entry.span.since) == (date(2026, 3, 7), datetime(2026, 3, 6, 23, tzinfo=UTC))


def test_several_pages_and_what_is_missing() -> None:
    second = page(bucket(usage(input_tokens=2), start=START + DAY, end=START + 2 * DAY), has_more=True)
    report = read([page(bucket(usage(input_tokens=1))), second])
    assert [entry.quantity for entry in report.entries] == [1, 2]
    (note,) = report.notes
    assert "has_more" in note
    mixed = read([page(bucket(usage(input_tokens=1))), page(bucket(cost("1")))])
    assert len(mixed.entries) == 2
    other = {"object": "organization.usage.embeddings.result", "input_tokens": 5}
    assert read(page(bucket(other, usage(input_tokens=1)))).notes == (
        "results of the kind organization.usage.embeddings.result are left out",
    )


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (page(bucket(cost(-1))), "data[0].results[0].amount.value"),
        (page(bucket(cost("abc"))), "data[0].results[0].amount.value"),
        (page(bucket(cost("NaN"))), "data[0].results[0].amount.value"),
        (page(bucket(cost("Infinity"))), "data[0].results[0].amount.value"),
        (page(bucket(cost("1e30"))), "data[0].results[0].amount.value"),
        (page(bucket(cost("0." + "1" * 61))), "data[0].results[0].amount.value"),
        (page(bucket(cost("٣"))), "data[0].results[0].amount.value"),
        (page(bucket(cost(True))), "data[0].results[0].amount.value"),
        (page(bucket(cost(None))), "data[0].results[0].amount.value"),
        (page(bucket(cost(1) | {"amount": 5})), "data[0].results[0].amount"),
        (
            page(bucket(cost(1) | {"amount": {"value": 1, "currency": "eur"}})),
            "data[0].results[0].amount.currency",
        ),
        (page(bucket(cost(1, quantity=1.5, quantity_unit="tokens"))), "data[0].results[0].quantity"),
        (page(bucket(cost(1, line=5))), "data[0].results[0].line_item"),  # type: ignore[arg-type]
        (page(bucket(usage(input_tokens=-1))), "data[0].results[0].input_tokens"),
        (page(bucket(usage(input_tokens=1.5))), "data[0].results[0].input_tokens"),
        (page(bucket(usage(input_tokens=1 << 63))), "data[0].results[0].input_tokens"),
        (page(bucket(usage(model=5))), "data[0].results[0].model"),
        (page(bucket(start=5, end=5)), "data[0].end_time"),
        (page(bucket(start=-5)), "data[0].start_time"),
        (page(bucket(end=1 << 60)), "data[0].end_time"),
        (page({"results": 5}), "data[0].results"),
        (page(bucket(5)), "data[0].results[0]"),  # type: ignore[arg-type]
        (page(bucket(cost(1)), bucket(cost(2))), "data[1].start_time"),
        ([page(bucket(cost(1))), page(bucket(cost(1)))], "[1].data[0].start_time"),
        ({"data": 5}, "data"),
        ([5], "[0].data"),
        ([], "file"),
        (page(), "file"),
        ("{", "file"),
        ('{"data": NaN}', "file"),
        ("", "date"),
    ],
)
def test_a_mistake_refuses_the_file_and_names_its_place(document: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(document)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


HEADER = "date,model,meter,quantity,cost\n"


def test_a_csv() -> None:
    report = read(
        "\ufeffModel, Date ,meter,quantity,cost,note\n\nGPT-4o,2026-03-06,input_tokens,1000,,x\n"
        "gpt-4o,2026-03-06,cached input,,0.0100,\n,2026-03-06,,,12,\n",
        ZoneInfo("Asia/Kathmandu"),
    )
    assert [(one.model, one.meter, one.quantity, one.cost, one.step) for one in report.entries] == [
        ("gpt-4o", "input_tokens", 1_000, None, None),
        ("gpt-4o", "cache_read_input", None, Decimal("0.01"), Decimal("0.0001")),
        (ALL_MODELS, "total", None, Decimal(12), Decimal(1)),
    ]
    assert report.entries[0].span.since == datetime(2026, 3, 5, 18, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("2026-03-06,m,input,NaN,", "quantity"),
        ("2026-03-06,m,input,-1,", "quantity"),
        ("2026-03-06,m,input,1.5,", "line 2: quantity"),
        ("2026-03-06,m,input,1,1e3", "cost"),
        ("2026-03-06,m,input,1,-0.01", "cost"),
        ("2026-03-06,m,input,1,inf", "cost"),
        ("2026-03-06,m,input,1," + "9" * 31, "cost"),
        ("2026-03-06,m,input,1,٣", "cost"),
        ("2026-03-06,m,input,,", "quantity"),
        ("2026-03-06,m,tokenz,1,", "meter"),
        ("06.03.2026,m,input,1,", "date"),
        ("9999-12-31,m,input,1,", "date"),
        ("2026-03-06,m,input,1", "file"),
        ('2026-03-06,m,input,1,"', None),
    ],
)
def test_a_mistake_in_a_csv_names_line_and_field(row: str, field: str | None) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(HEADER + row + "\n")
    assert caught.value.field == field
    assert str(caught.value).startswith("line 2: ") or "line 2" in str(caught.value) or field is None


NAMES = st.sampled_from(["data", "results", "object", "amount", "value", "start_time", "end_time"])
SCALARS = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))


@given(st.text() | JSON.map(json.dumps))
def test_garbage_is_refused_on_purpose(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read(text)
