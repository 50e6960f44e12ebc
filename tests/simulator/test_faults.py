"""Magic model names."""

import pytest

from service.simulator.faults import FAULTS, parse


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_own_name(name: str) -> None:
    magic = parse(name)
    assert magic is not None
    assert (magic.fault, magic.model) == (FAULTS[name], None)


def test_a_number_sets_what_the_fault_counts() -> None:
    assert [magic.fault.status for magic in map(parse, ["sim-error-429", "sim-error-503"]) if magic] == [
        429,
        503,
    ]
    cut, slow, big = (parse(name) for name in ("sim-cut-3", "sim-slow-first-byte-250", "sim-big-event-64"))
    assert cut is not None
    assert cut.fault.break_after == 3
    assert slow is not None
    assert slow.fault.head_delay_ms == 250
    assert big is not None
    assert big.fault.pad_kib == 64


def test_a_real_model_can_stand_behind_a_fault() -> None:
    magic = parse("sim-cut-3:gpt-4o-mini")
    assert magic is not None
    assert magic.model == "gpt-4o-mini"
    assert magic.fault.break_with == "cut"


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "sim-", "sim-unknown", "sim-crlf-3", "sim-error-200x", "sim-error-99", "sim-error-600", "sim"],
)
def test_other_names_are_not_magic(name: str) -> None:
    assert parse(name) is None
