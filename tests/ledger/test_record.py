"""Records: identifiers, texts that any store takes, and a length that any journal takes."""

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.journal import LARGEST_COMPLETION
from service.ledger.record import (
    TEXT_LIMIT,
    Opening,
    Outcome,
    RequestRecord,
    begin_record,
    clip,
    may_repeat,
    shorten,
    uuid7,
    uuid_text,
)
from tests.ledger.making import T0, ended, opening

TEXT_FIELDS = [
    field.name for field in msgspec.structs.fields(RequestRecord) if field.type in (str | None, str)
]


@given(st.integers(0, 2**47 * 1000), st.binary(min_size=8, max_size=16))
def test_an_identifier_is_a_uuid_of_version_7(micros: int, random: bytes) -> None:
    identifier = uuid7(micros, random)
    made = UUID(bytes=identifier)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == micros // 1000
    assert uuid_text(identifier) == str(made)


@given(st.integers(0, 2**50), st.integers(0, 2**50), st.binary(min_size=8, max_size=8))
def test_identifiers_sort_by_their_microsecond(one: int, other: int, random: bytes) -> None:
    if one != other:
        assert (uuid7(one, random) < uuid7(other, random)) == (one < other)


def test_identifiers_of_one_moment_differ_by_their_random_part() -> None:
    assert uuid7(T0, bytes(8)) != uuid7(T0, bytes(7) + b"\x01")


def test_a_record_begins_with_its_opening() -> None:
    known = opening(tags=("a", "b"), stream=True)
    record = begin_record(known)
    assert msgspec.structs.astuple(record)[: len(Opening.__struct_fields__)] == msgspec.structs.astuple(known)
    assert (record.outcome, record.repeat_count, record.cost_nanos, record.usage_source) == (
        "ok",
        1,
        None,
        "none",
    )


@pytest.mark.parametrize(
    ("outcome", "key_id", "expected"),
    [
        ("rejected_auth", None, True),
        ("rejected_auth", "key_a", False),
        ("rejected_unavailable", "key_a", True),
        ("ok", None, False),
    ],
)
def test_only_refusals_without_a_key_or_room_may_repeat(
    outcome: Outcome, key_id: str | None, *, expected: bool
) -> None:
    record = ended(opening(key_id=key_id))
    record.outcome = outcome
    assert may_repeat(record) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", ""),
        ("plain", "plain"),
        ("a\x00b", "a�b"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        ("🙂", "🙂"),
        ("x" * 513, "x" * 511 + "…"),
    ],
)
def test_a_text_is_cut_to_what_every_store_holds(text: str | None, expected: str | None) -> None:
    assert clip(text) == expected


@given(st.text(st.characters(codec=None), max_size=1_000), st.integers(1, 600))
def test_no_text_gets_past_the_limit(text: str, limit: int) -> None:
    clipped = clip(text, limit)
    assert clipped is not None
    assert len(clipped) <= limit
    assert "\x00" not in clipped
    clipped.encode()


def test_the_longest_record_is_shortened_to_what_the_journal_reserves() -> None:
    record = ended(opening())
    for name in TEXT_FIELDS:
        if name not in ("outcome", "usage_source", "cost_status"):
            setattr(record, name, "🙂" * TEXT_LIMIT)
    record.usage_raw = "�" * 8 * 1024
    record.usage_flags = ("early",)
    record.tags = tuple(f"{number:03d}" + "🙂" * 125 for number in range(32))
    record.finish_reasons = ("🙂" * 256,) * 1024
    record.cost_lines = ({"meter": "cache_read_image_input", "quantity": 2**62, "cost_nanos": 2**62},) * 14
    before = msgspec.structs.asdict(record)
    shorten(record)
    assert len(msgspec.msgpack.encode(record)) <= LARGEST_COMPLETION
    after = msgspec.structs.asdict(record)
    assert after["usage_flags"] == ("early", "shortened")
    assert after["usage_raw"] is None
    assert after["tags"][0].startswith("000🙂")
    kept = (
        "id",
        "request_id",
        "started_at",
        "input_tokens",
        "output_tokens",
        "cost_nanos",
        "cost_lines",
        "outcome",
    )
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_record_without_lists_is_shortened_too() -> None:
    record = ended(opening())
    shorten(record)
    assert (record.tags, record.finish_reasons, record.usage_flags) == (None, None, ("shortened",))
