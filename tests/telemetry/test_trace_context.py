"""The caller's trace: what of the header is believed, and who is sampled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ledger.record import RequestRecord, uuid7
from service.telemetry.trace_context import (
    Parent,
    is_sampled,
    of_headers,
    parse,
    span_id_of,
    trace_id_of,
)
from tests.ledger.making import T0, ended, opening

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PARENT = Parent(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, sampled=True)


@pytest.mark.parametrize(
    ("text", "parent"),
    [
        (GOOD, PARENT),
        (GOOD[:-1] + "0", Parent(PARENT.trace_id, PARENT.span_id, sampled=False)),
        (GOOD[:-2] + "03", PARENT),
        ("cc" + GOOD[2:] + "-what-a-later-version-adds", PARENT),
        ("cc" + GOOD[2:], PARENT),
    ],
)
def test_headers_that_are_believed(text: str, parent: Parent) -> None:
    assert parse(text) == parent
    assert of_headers([(b"traceparent", text.encode())]) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "ff" + GOOD[2:],
        GOOD + "-more",
        GOOD.upper(),
        GOOD[:-3],
        GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        GOOD.replace("00f067aa0ba902b7", "0" * 16),
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace("-", "_"),
    ],
)
def test_headers_that_are_not(text: str | None) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"tracestate", GOOD.encode())],
        [(b"traceparent", GOOD.encode())] * 2,
        [(b"traceparent", b"cc" + GOOD.encode()[2:] + b"-" + b"x" * 128)],
        [(b"traceparent", "00-é".encode())],
        [(b"traceparent", b"a prompt that somebody put there")],
    ],
)
def test_what_is_not_kept_of_a_request(headers: list[tuple[bytes, bytes]]) -> None:
    assert of_headers(headers) is None


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    parse(text)
    of_headers([(b"traceparent", text.encode("utf-8", "surrogatepass"))])


def test_a_request_without_a_trace_is_found_by_its_id() -> None:
    record = ended(opening())
    assert trace_id_of(record).to_bytes(16, "big") == record.request_id
    assert span_id_of(record).to_bytes(8, "big") == record.id[8:]


def requests(count: int) -> list[RequestRecord]:
    records = []
    for number in range(count):
        spread = (number * 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF_FFFF
        record = ended(opening())
        record.id = record.request_id = uuid7(T0 + number, spread.to_bytes(8, "big"))
        records.append(record)
    return records


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_share_of_requests_is_the_one_asked_for(ratio: float) -> None:
    sampled = sum(is_sampled(record, None, ratio=ratio) for record in requests(4000))
    assert sampled == pytest.approx(4000 * ratio, abs=100)
    if ratio in (0.0, 1.0):
        assert sampled == 4000 * ratio


def test_every_attempt_of_a_request_is_judged_alike() -> None:
    for record in requests(200):
        again = ended(opening(attempt=2, request_id=record.request_id))
        assert is_sampled(record, None, ratio=0.3) is is_sampled(again, None, ratio=0.3)


@pytest.mark.parametrize(
    ("flag", "ratio", "sampled"), [(True, 0.0001, True), (False, 1.0, False), (True, 0.0, False)]
)
def test_a_caller_that_decided_is_followed_unless_spans_are_off(
    *, flag: bool, ratio: float, sampled: bool
) -> None:
    parent = Parent(1, 2, sampled=flag)
    assert {is_sampled(record, parent, ratio=ratio) for record in requests(50)} == {sampled}
