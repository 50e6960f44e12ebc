"""`/admin/v1/prices`."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from service.pricing.catalog import load_book, store_cards
from service.pricing.genai import import_genai_prices
from service.store.revision import read_revision
from tests.admin.conftest import Api, error_of

GPT_4O = {
    "provider": "openai",
    "model": "gpt-4o",
    "input_usd_per_mtok": "2.50",
    "output_usd_per_mtok": "10.00",
}


def create(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.call("POST", "/prices", json=GPT_4O | fields)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def revision(api: Api) -> int:
    with api.store.read() as tx:
        return read_revision(tx)


def resolved(api: Api, **where: Any) -> Any:
    """The id of the price that relays would use now."""
    with api.store.read() as tx:
        book = load_book(tx)
    card = book.resolve(**{"provider": "openai", "model": "gpt-4o", "at": api.clock.now(), **where})
    return None if card is None else card.id


def test_a_price_is_created_as_it_was_written(api: Api) -> None:
    before = revision(api)
    created = create(api, cache_read_input_usd_per_mtok="1.25", effective_from="2026-01-01")
    assert revision(api) == before + 1
    assert created.pop("id").startswith("price_")
    assert created == {
        "status": "current",
        "source": "override",
        "source_version": "1",
        "created_at": "2026-03-01T12:00:00Z",
        "provider": "openai",
        "model": "gpt-4o",
        "scope": "global",
        "scope_id": None,
        "effective_from": "2026-01-01T00:00:00Z",
        "effective_to": None,
        "input_usd_per_mtok": "2.50",
        "cache_read_input_usd_per_mtok": "1.25",
        "output_usd_per_mtok": "10.00",
    }


def test_a_price_is_shown_by_its_id(sqlite_api: Api) -> None:
    created = create(sqlite_api)
    assert sqlite_api.get(f"/prices/{created['id']}") == created
    assert error_of(sqlite_api.call("GET", "/prices/price_none"))["code"] == "not_found"


@pytest.mark.parametrize("safe", ["", "/"], ids=["slash encoded", "slash plain"])
def test_an_imported_price_is_shown_by_its_id(sqlite_api: Api, safe: str) -> None:
    card = next(card for card in import_genai_prices() if card.id.count("/") > 1)
    with sqlite_api.store.write() as tx:
        store_cards(tx, [card], now=sqlite_api.clock.now())
    shown = sqlite_api.get(f"/prices/{quote(card.id, safe=safe)}")
    assert (shown["id"], shown["scope"], shown["source"]) == (card.id, "imported", "genai-prices")


def test_precedence_is_key_project_upstream_global_imported(api: Api) -> None:
    key = api.create(name="one", project="p")["id"]
    imported = next(card for card in import_genai_prices() if card.id.startswith("openai/gpt-4o@"))
    with api.store.write() as tx:
        store_cards(tx, [imported], now=api.clock.now())
    where = {"key_id": key, "project": "p", "upstream": "u"}
    expected = [imported.id]
    assert resolved(api, **where) == imported.id
    for scope, scope_id in (("global", None), ("upstream", "u"), ("project", "p"), ("key", key)):
        expected.append(create(api, scope=scope, scope_id=scope_id)["id"])
        assert resolved(api, **where) == expected[-1]
    for identifier, next_one in zip(expected[:0:-1], expected[-2::-1], strict=True):
        assert api.call("DELETE", f"/prices/{identifier}").json()["status"] == "ended"
        assert resolved(api, **where) == next_one


def test_pages_hold_each_price_once_and_filters_narrow_them(api: Api) -> None:
    with api.store.write() as tx:
        cards = [card for card in import_genai_prices() if card.provider in {"openai", "groq"}]
        store_cards(tx, cards, now=api.clock.now())
    api.clock.advance(timedelta(hours=1))
    first = create(api)
    seen, cursor = [], None
    while True:
        page = api.get("/prices", limit=150, all="true", **({"cursor": cursor} if cursor else {}))
        seen += [price["id"] for price in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen[0] == first["id"]
    assert len(seen) == len(set(seen)) == len(cards) + 1
    of_groq = [card.id for card in cards if card.provider == "groq"]
    assert {p["id"] for p in api.get("/prices", provider="groq", all="true", limit=1000)["data"]} == set(
        of_groq
    )
    found = api.get("/prices", model="GPT-4o*", scope="imported", limit=1000)["data"]
    assert {"gpt-4o", "gpt-4o-mini"} <= {price["model"] for price in found}
    assert all(price["model"].startswith("gpt-4o") for price in found)
    assert api.get("/prices", source="override")["data"] == [first]
    assert api.get("/prices", model="gpt_4o")["data"] == []


def test_ended_prices_are_listed_only_on_request(sqlite_api: Api) -> None:
    created = create(sqlite_api)
    ended = sqlite_api.call(
        "DELETE", f"/prices/{created['id']}", params={"at": "2026-03-01T13:00:00Z"}
    ).json()
    assert (ended["status"], ended["effective_to"]) == ("current", "2026-03-01T13:00:00Z")
    assert len(sqlite_api.get("/prices")["data"]) == 1
    sqlite_api.clock.advance(timedelta(hours=1))
    assert sqlite_api.get("/prices")["data"] == []
    (listed,) = sqlite_api.get("/prices", all="true")["data"]
    assert listed == ended | {"status": "ended"}
    assert error_of(sqlite_api.call("DELETE", f"/prices/{created['id']}"))["code"] == "conflict"


def test_a_price_set_again_ends_the_one_before(api: Api) -> None:
    first = create(api)
    assert create(api) == first
    api.clock.advance(timedelta(minutes=1))
    second = create(api, input_usd_per_mtok="3.00")
    assert resolved(api) == second["id"] != first["id"]
    assert api.get(f"/prices/{first['id']}")["status"] == "ended"
    third = create(api)
    assert third["id"] not in {first["id"], second["id"]}
    assert resolved(api) == third["id"]


def test_a_price_for_later_leaves_the_present_one(sqlite_api: Api) -> None:
    first = create(sqlite_api)
    later = create(sqlite_api, input_usd_per_mtok="1", effective_from="2026-04-01")
    assert later["status"] == "scheduled"
    assert resolved(sqlite_api) == first["id"]
    assert resolved(sqlite_api, at=sqlite_api.clock.now() + timedelta(days=40)) == later["id"]


@pytest.mark.parametrize(
    "amount",
    ["NaN", "-1", "1e3", "1" * 31, "0." + "1" * 30, "inf", "1,5", "", " 1", "0.0000001", "9999999999999999"],
)
def test_amounts_that_are_no_plain_decimals_are_refused(sqlite_api: Api, amount: str) -> None:
    before = revision(sqlite_api)
    answer = sqlite_api.call("POST", "/prices", json=GPT_4O | {"output_usd_per_mtok": amount})
    assert answer.status_code == 400
    error = error_of(answer)
    assert error["param"] == "output_usd_per_mtok"
    assert "output_usd_per_mtok" in error["message"]
    assert revision(sqlite_api) == before
    assert sqlite_api.get("/prices", all="true")["data"] == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input_usd_per_mtok": 2.5}, "input_usd_per_mtok"),
        ({"input_usd_per_mtok": True}, "input_usd_per_mtok"),
        ({"inptu_usd_per_mtok": "1"}, "inptu_usd_per_mtok"),
        ({"scope": "imported"}, "scope"),
        ({"scope": "key"}, "scope_id"),
        ({"scope": "key", "scope_id": "key_of_nobody"}, "scope_id"),
        ({"model": "a\x00b"}, "model"),
        ({"provider": "a\x00b"}, "provider"),
        ({"aliases": ["a\x00b"]}, "aliases"),
        ({"model": None}, "model"),
        ({"effective_from": "yesterday"}, "effective_from"),
        ({"tiers": [{"from_input_tokens": 5, "output_usd_per_mtok": "x"}]}, "tiers[0].output_usd_per_mtok"),
    ],
)
def test_other_mistakes_name_their_field(api: Api, fields: dict[str, Any], param: str) -> None:
    answer = api.call("POST", "/prices", json=GPT_4O | fields)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"scope": "nobody"}, "scope"),
        ({"modle": "x"}, "modle"),
        ({"model": "a\x00"}, "model"),
    ],
)
def test_wrong_parameters_of_a_list_are_refused(api: Api, query: dict[str, Any], param: str) -> None:
    answer = api.call("GET", "/prices", params=query)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


def test_viewers_may_look_and_not_touch(sqlite_api: Api) -> None:
    created = create(sqlite_api)
    key = sqlite_api.viewer_key
    assert sqlite_api.call("GET", "/prices", key=key).status_code == 200
    assert sqlite_api.call("POST", "/prices", key=key, json=GPT_4O).status_code == 403
    assert sqlite_api.call("DELETE", f"/prices/{created['id']}", key=key).status_code == 403


def test_an_imported_price_cannot_be_ended(sqlite_api: Api) -> None:
    card = next(card for card in import_genai_prices() if card.model == "gpt-4o")
    with sqlite_api.store.write() as tx:
        store_cards(tx, [card], now=sqlite_api.clock.now())
    error = error_of(sqlite_api.call("DELETE", f"/prices/{quote(card.id, safe='')}"))
    assert error["message"] == f"{card.id} is an imported price; add an override instead"
