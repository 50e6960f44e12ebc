"""Names of dimensions: today's names, told apart, and a phrase where there is none."""

from dashboard.names import Named

ROWS: list[dict[str, str | None]] = [
    {"key_id": "key_0000001", "key_name": "chat"},
    {"key_id": "key_0000002", "key_name": "chat"},
    {"key_id": "key_0000003", "key_name": None},
    {"key_id": "key_0000004", "key_name": "Batch"},
    {"key_id": None, "key_name": None},
]


def test_two_keys_of_one_name_are_told_apart() -> None:
    names = Named.from_rows(ROWS, dimension="key")
    shown = [names.of(row, dimension="key") for row in ROWS]
    assert shown == ["chat (…000001)", "chat (…000002)", "key_0000003", "Batch", "(no key)"]


def test_values_are_what_reports_filter_by_in_the_order_of_their_names() -> None:
    names = Named.from_rows(ROWS, dimension="key")
    assert names.values() == ["key_0000004", "key_0000001", "key_0000002", "key_0000003"]
    assert names.of_value("key_0000004") == "Batch"
    assert names.of_value("key_of_another_report") == "key_of_another_report"


def test_other_dimensions_are_their_own_names() -> None:
    rows: list[dict[str, str | None]] = [{"model": "gpt-4o"}, {"model": None}]
    names = Named.from_rows(rows, dimension="model")
    assert [names.of(row, dimension="model") for row in rows] == ["gpt-4o", "(no model)"]
