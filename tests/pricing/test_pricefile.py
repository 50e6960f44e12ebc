from textwrap import dedent

import pytest

from service.errors import InvalidInputError
from service.pricing.card import RateStep, flat
from service.pricing.pricefile import PriceFileFormat, parse_price_file

TOML = dedent("""\
    # our contract
    [[prices]]
    provider = "openai"
    model = "gpt-4o"
    effective_from = 2026-12-01
    input_usd_per_mtok = "2.25"
    output_usd_per_mtok = 9.00

      [[prices.tiers]]
      from_input_tokens = 200_001
      input_usd_per_mtok = "4.50"

      [prices.variants.batch]
      input_usd_per_mtok = "1.125"

    [[prices]]
    model = "llama-*"
    scope = "upstream"
    scope_id = "gpu-box"
    input_usd_per_mtok = 0
    output_usd_per_mtok = "0.05"
    """)
CSV = dedent("""\
    provider,model,effective_from,input_usd_per_mtok,output_usd_per_mtok
    openai,gpt-4o,2026-12-01, 2.25 ,9.00
    ,"llama-3.1",,0,

    mistral,codestral,,0.3,0.9
    """)


def test_a_toml_file_holds_prices() -> None:
    first, second = parse_price_file(TOML, "toml")

    assert first.rates.input == (RateStep(0, 2_250_000), RateStep(200_001, 4_500_000))
    assert first.rates.output == flat(9_000_000)
    assert first.variants[0].rates.input == flat(1_125_000)
    assert (second.scope, second.scope_id, second.provider) == ("upstream", "gpu-box", None)
    assert second.match.prefixes == ("llama-",)
    assert second.rates.input == flat(0)


def test_a_csv_file_holds_prices() -> None:
    cards = parse_price_file(CSV, "csv")

    assert [(card.provider, card.model) for card in cards] == [
        ("openai", "gpt-4o"),
        (None, "llama-3.1"),
        ("mistral", "codestral"),
    ]
    assert cards[0].rates.input == flat(2_250_000)
    assert cards[1].rates.input == flat(0)
    assert cards[1].rates.output is None


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter() -> None:
    for text, file_format in ((TOML, "toml"), (CSV, "csv")):
        kind: PriceFileFormat = "toml" if file_format == "toml" else "csv"
        assert parse_price_file("\ufeff" + text.replace("\n", "\r\n"), kind) == parse_price_file(text, kind)


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ('"2.25"', '"2,25"', 6, "input_usd_per_mtok"),
        ("9.00", "nan", 7, "output_usd_per_mtok"),
        ("9.00", "-9.00", 7, "output_usd_per_mtok"),
        ("9.00", "9e0", 7, "output_usd_per_mtok"),
        ("9.00", "true", 7, "output_usd_per_mtok"),
        ("output_usd_per_mtok = 9", "output_usd_per_tok = 9", 7, "output_usd_per_tok"),
        ("200_001", '"200k"', 10, "tiers[0].from_input_tokens"),
        ('"4.50"', '"4.5x"', 11, "tiers[0].input_usd_per_mtok"),
        ('"1.125"', '"half"', 14, "variants.batch.input_usd_per_mtok"),
        ('model = "gpt-4o"\n', "", 2, "model"),
        ('model = "llama-*"\n', "", 16, "model"),
        ('"upstream"', '"team"', 18, "scope"),
        ('scope_id = "gpu-box"\n', "", 16, "scope_id"),
        ('"0.05"', '"0.0000005"', 21, "output_usd_per_mtok"),
        ("# our contract\n", "currency = 'EUR'\n", 1, "currency"),
    ],
)
def test_a_broken_toml_file_names_line_and_field(old: str, new: str, line: int, field: str) -> None:
    assert old in TOML
    with pytest.raises(InvalidInputError, match=rf"^line {line}: ") as caught:
        parse_price_file(TOML.replace(old, new, 1), "toml")

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        (" 2.25 ", "2.2.5", 2, "input_usd_per_mtok"),
        ("0.3", "Infinity", 5, "input_usd_per_mtok"),
        ("codestral", "", 5, "model"),
        ("0.9", "0.9,1", 5, "provider"),
        ("model", "modell", 1, "model"),
        ("effective_from", "effective", 1, "effective"),
        ("effective_from", "provider", 1, "provider"),
        ("2026-12-01", "1 Dec", 2, "effective_from"),
        ('"llama-3.1"', '"llama-3.1', 5, "prices"),
    ],
)
def test_a_broken_csv_file_names_line_and_field(old: str, new: str, line: int, field: str) -> None:
    assert old in CSV
    with pytest.raises(InvalidInputError, match=rf"^line {line}: ") as caught:
        parse_price_file(CSV.replace(old, new, 1), "csv")

    assert caught.value.field == field


@pytest.mark.parametrize("text", ["[[prices]\n", "prices = [", "[" * 100_000])
def test_what_is_no_toml_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="not valid TOML"):
        parse_price_file(text, "toml")


@pytest.mark.parametrize(
    ("text", "message"), [("prices = 5", "line 1: prices must"), ("prices = [5]", "line 1: a price")]
)
def test_prices_that_are_no_tables_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_price_file(text, "toml")


@pytest.mark.parametrize(
    ("text", "file_format"), [("", "toml"), ("# none\n", "toml"), ("model,request_usd\n", "csv")]
)
def test_a_file_without_prices_is_refused(text: str, file_format: PriceFileFormat) -> None:
    with pytest.raises(InvalidInputError, match="no prices"):
        parse_price_file(text, file_format)


def test_an_empty_csv_file_has_no_header() -> None:
    with pytest.raises(InvalidInputError, match=r"line 1: .*model"):
        parse_price_file("", "csv")


def test_one_price_twice_in_a_file_is_refused() -> None:
    twice = CSV + "mistral,codestral,,0.4,0.9\n"

    with pytest.raises(InvalidInputError, match="line 6: the price of codestral repeats that of line 5"):
        parse_price_file(twice, "csv")


def test_prices_of_one_model_at_different_times_are_two() -> None:
    assert len(parse_price_file(CSV + "mistral,codestral,2027-01-01,0.4,0.9\n", "csv")) == 4


def test_inline_tables_are_read_and_errors_point_to_where_they_begin() -> None:
    inline = 'prices = [{model = "a", input_usd_per_mtok = "1"}, {model = "b", input_usd_per_mtok = "x"}]\n'

    assert len(parse_price_file(inline.replace('"x"', '"2"'), "toml")) == 2
    with pytest.raises(InvalidInputError, match="line 1: input_usd_per_mtok"):
        parse_price_file(inline, "toml")
