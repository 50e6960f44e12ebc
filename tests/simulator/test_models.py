"""The offered models are ones the price book knows, by request name and by reported name."""

import pytest
from genai_prices import Usage, calc_price

from service.simulator.faults import FAULTS
from service.simulator.models import CATALOGUE, UNPRICED, ModelCard, find_model

PRICED = [card for card in CATALOGUE.values() if card.id != UNPRICED]


@pytest.mark.parametrize("card", PRICED, ids=[card.id for card in PRICED])
def test_a_price_is_known(card: ModelCard) -> None:
    usage = Usage(input_tokens=1000, output_tokens=1000)
    asked, reported = (calc_price(usage, name) for name in (card.id, card.snapshot))
    assert asked.total_price > 0
    assert asked.model.id == reported.model.id


def test_a_snapshot_finds_its_model() -> None:
    assert find_model("gpt-4o-2024-08-06") is CATALOGUE["gpt-4o"]
    assert find_model("gpt-99") is None


@pytest.mark.parametrize("name", [*FAULTS, UNPRICED])
def test_a_magic_name_has_no_price(name: str) -> None:
    with pytest.raises(LookupError):
        calc_price(Usage(input_tokens=1000), name)
