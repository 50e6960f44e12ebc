"""`/admin/v1/budgets`."""

from datetime import timedelta
from typing import Any

import pytest

from service.budgets import leases
from service.budgets.answers import Want
from service.budgets.charges import NO_LEASE, Charge, Spending
from service.budgets.settling import settle_flush
from service.store.revision import read_revision
from service.store.types import to_micros
from tests.admin.conftest import Api, error_of

USD = 10**9
BAD_LIMITS: list[Any] = [
    *("0", "-1", "NaN", "1e999", "Infinity", "1" * 19, "", "1,5", "0.0000000001", "1000000001"),
    *(10, 1.5, None, True, [], float("nan")),
]
GIVEN: dict[str, Any] = {"scope": {"kind": "global"}, "limit_usd": "10.00", "window": "month"}


def made(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.call("POST", "/budgets", json=GIVEN | fields)
    assert answer.status_code == 201, answer.text
    budget: dict[str, Any] = answer.json()
    return budget


def lease(api: Api, budget_id: str, lease_id: int, amount: int, *, subject: str = "") -> None:
    now = api.clock.now()
    with api.store.write() as tx:
        wants = [Want((budget_id, subject), lease_id, amount, amount)]
        leases.acquire(tx, wants, holder=f"relay-{lease_id}", now=now, expires_at=now + timedelta(seconds=30))


def spend(api: Api, budget_id: str, cost: int, *, lease_id: int = NO_LEASE, subject: str = "") -> None:
    spending = Spending()
    charge = Charge(budget_id, subject, lease_id, 0)
    spending.add([charge], cost_nanos=cost, started_at=to_micros(api.clock.now()))
    with api.store.write() as tx:
        settle_flush(tx, spending)


def test_a_budget_is_kept_as_it_was_given(api: Api) -> None:
    budget = made(
        api,
        models=["gpt-4o*"],
        limit_usd="10.000000001",
        window="month",
        timezone="Europe/Madrid",
        anchor_day=15,
        mode="soft",
        thresholds=[1, 0.5],
    )
    assert budget == {
        "id": budget["id"],
        "scope": {"kind": "global", "id": None},
        "models": ["gpt-4o*"],
        "limit_usd": "10.000000001",
        "window": "month",
        "timezone": "Europe/Madrid",
        "anchor_day": 15,
        "mode": "soft",
        "thresholds": [0.5, 1.0],
        "raise": None,
        "limit_now_usd": "10.000000001",
        "spent_usd": "0.00",
        "held_usd": "0.00",
        "remaining_usd": "10.000000001",
        "starts_at": "2026-02-14T23:00:00Z",
        "resets_at": "2026-03-14T23:00:00Z",
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
        "deleted_at": None,
    }
    shown = api.get(f"/budgets/{budget['id']}")
    assert (shown.pop("leases"), shown.pop("subjects")) == ([], None)
    assert shown == budget
    assert api.get("/budgets")["data"] == [budget]


def test_a_total_never_resets(api: Api) -> None:
    assert made(api, window="total")["resets_at"] is None


def test_leases_add_up_to_what_is_held(api: Api) -> None:
    budget = made(api)["id"]
    lease(api, budget, 1, 3 * USD)
    lease(api, budget, 2, USD)
    spend(api, budget, USD // 4, lease_id=1)
    spend(api, budget, 7)
    shown = api.get(f"/budgets/{budget}")
    assert (shown["spent_usd"], shown["held_usd"], shown["remaining_usd"]) == (
        "0.250000007",
        "3.75",
        "5.999999993",
    )
    assert shown["leases"] == [
        {
            "id": "1",
            "holder": "relay-1",
            "state": "active",
            "granted_usd": "3.00",
            "spent_usd": "0.25",
            "held_usd": "2.75",
            "expires_at": "2026-03-01T12:00:30Z",
            "why": "a relay spends from it",
        },
        {
            "id": "2",
            "holder": "relay-2",
            "state": "active",
            "granted_usd": "1.00",
            "spent_usd": "0.00",
            "held_usd": "1.00",
            "expires_at": "2026-03-01T12:00:30Z",
            "why": "a relay spends from it",
        },
    ]
    api.clock.advance(timedelta(minutes=1))
    assert api.get(f"/budgets/{budget}")["leases"][0]["why"].startswith("nobody renews it")
    with api.store.write() as tx:
        leases.reap(tx, now=api.clock.now(), grace=timedelta(0), quarantine=timedelta(0))
    gone = api.get(f"/budgets/{budget}")
    assert gone["held_usd"] == "3.75"
    assert {(one["state"], one["why"].partition(":")[0]) for one in gone["leases"]} == {("closed", "burned")}


def test_each_subject_stands_for_itself(api: Api) -> None:
    budget = made(api, scope={"kind": "end_user", "id": "*"})["id"]
    spend(api, budget, USD, subject="ann")
    lease(api, budget, 1, 2 * USD, subject="bob")
    shown = api.get(f"/budgets/{budget}")
    assert (shown["spent_usd"], shown["held_usd"], shown["remaining_usd"], shown["leases"]) == (
        None,
        None,
        None,
        [],
    )
    assert [(one["subject"], one["spent_usd"], one["held_usd"]) for one in shown["subjects"]] == [
        ("ann", "1.00", "0.00"),
        ("bob", "0.00", "2.00"),
    ]
    bob = api.get(f"/budgets/{budget}", subject="bob")
    assert (bob["held_usd"], bob["remaining_usd"], bob["subjects"]) == ("2.00", "8.00", None)
    assert [one["holder"] for one in bob["leases"]] == ["relay-1"]
    [listed] = api.get("/budgets")["data"]
    assert (listed["spent_usd"], listed["limit_usd"]) == (None, "10.00")


def test_history_by_pages(api: Api) -> None:
    budget = made(api, scope={"kind": "end_user", "id": "*"}, window="day")["id"]
    for day in range(1, 4):
        for name in ("ann", "bob\u2009é"):
            spend(api, budget, day * USD, subject=name)
        api.clock.advance(timedelta(days=1))
    seen, cursor = [], None
    while True:
        page = api.get(f"/budgets/{budget}/periods", limit=4, **({"cursor": cursor} if cursor else {}))
        seen += page["data"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [(one["subject"], one["spent_usd"]) for one in seen] == [
        (name, f"{day}.00") for day in (3, 2, 1) for name in ("bob\u2009é", "ann")
    ]
    assert seen[0] == {
        "subject": "bob\u2009é",
        "starts_at": "2026-03-03T00:00:00Z",
        "ends_at": "2026-03-04T00:00:00Z",
        "limit_usd": "10.00",
        "spent_usd": "3.00",
        "held_usd": "0.00",
    }
    only = api.get(f"/budgets/{budget}/periods", subject="ann", limit=2)
    assert [one["spent_usd"] for one in only["data"]] == ["3.00", "2.00"]
    assert only["next"] is not None


def test_patch_and_raise_and_delete_are_in_force_at_once(api: Api) -> None:
    budget = made(api)["id"]
    spend(api, budget, 6 * USD)
    with api.store.read() as tx:
        before = read_revision(tx)
    lowered = api.call("PATCH", f"/budgets/{budget}", json={"limit_usd": "5"}).json()
    assert (lowered["limit_usd"], lowered["remaining_usd"], lowered["spent_usd"]) == ("5.00", "0.00", "6.00")
    given = {"amount_usd": "2.5", "until": "2026-03-02T01:00:00+01:00"}
    raised = api.call("PATCH", f"/budgets/{budget}", json={"raise": given}).json()
    assert raised["raise"] == {"amount_usd": "2.50", "until": "2026-03-02T00:00:00Z"}
    assert (raised["limit_usd"], raised["limit_now_usd"], raised["remaining_usd"]) == ("5.00", "7.50", "1.50")
    api.clock.advance(timedelta(days=1))
    assert api.get(f"/budgets/{budget}")["limit_now_usd"] == "5.00"
    ended = api.call("PATCH", f"/budgets/{budget}", json={"raise": None}).json()
    assert ended["raise"] is None
    gone = api.call("DELETE", f"/budgets/{budget}")
    assert (gone.status_code, gone.json()["deleted_at"]) == (200, "2026-03-02T12:00:00Z")
    assert api.get("/budgets")["data"] == []
    assert [one["id"] for one in api.get("/budgets", deleted=True)["data"]] == [budget]
    [period] = api.get(f"/budgets/{budget}/periods")["data"]
    assert (period["limit_usd"], period["spent_usd"]) == ("10.00", "6.00")  # lowered when it was spent
    assert api.call("DELETE", f"/budgets/{budget}").status_code == 404
    assert api.call("PATCH", f"/budgets/{budget}", json={"limit_usd": "1"}).status_code == 404
    with api.store.read() as tx:
        assert read_revision(tx) == before + 4


def test_a_new_time_zone_counts_from_the_end_of_the_running_period(api: Api) -> None:
    budget = made(api, window="day")["id"]
    spend(api, budget, USD)
    changed = api.call("PATCH", f"/budgets/{budget}", json={"timezone": "Asia/Tokyo"}).json()
    assert (changed["timezone"], changed["resets_at"], changed["spent_usd"]) == (
        "Asia/Tokyo",
        "2026-03-02T00:00:00Z",
        "1.00",
    )
    api.clock.advance(timedelta(hours=12))
    following = api.get(f"/budgets/{budget}")
    assert (following["starts_at"], following["resets_at"]) == (
        "2026-03-02T00:00:00Z",
        "2026-03-02T15:00:00Z",
    )
    assert following["spent_usd"] == "0.00"


def test_lists_by_scope_and_by_pages(api: Api) -> None:
    key = api.create(project="search")["id"]
    mine = made(api, scope={"kind": "key", "id": key})["id"]
    made(api, scope={"kind": "project", "id": "search"})
    made(api)
    assert [one["id"] for one in api.get("/budgets", scope_kind="key", scope_id=key)["data"]] == [mine]
    seen, cursor = [], None
    while True:
        page = api.get("/budgets", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [one["id"] for one in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        *(({"limit_usd": limit}, "limit_usd") for limit in BAD_LIMITS),
        ({"window": "year"}, "window"),
        ({"window": None}, "window"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "a\u0000"}, "timezone"),
        ({"scope": {"kind": "team", "id": "a"}}, "scope.kind"),
        ({"scope": {"kind": "key"}}, "scope.id"),
        ({"scope": {"kind": "key", "id": "key_absent"}}, "scope.id"),
        ({"scope": {"kind": "project", "id": "absent"}}, "scope.id"),
        ({"scope": {"kind": "global", "id": "x"}}, "scope.id"),
        ({"scope": {"kind": "end_user", "id": "a\u0000"}}, "scope.id"),
        ({"scope": {"kind": "model", "id": "gpt-["}}, "scope.id"),
        ({"scope": {"kind": "global", "name": "x"}}, "scope.name"),
        ({"scope": "global"}, "scope"),
        ({"anchor_day": 32}, "anchor_day"),
        ({"anchor_day": "1"}, "anchor_day"),
        ({"mode": "warn"}, "mode"),
        ({"models": []}, "models"),
        ({"thresholds": [0]}, "thresholds"),
        ({"thresholds": ["x"]}, "thresholds[0]"),
        ({"spent_usd": "1"}, "spent_usd"),
        ({"budget_usd": "1"}, "budget_usd"),
    ],
)
def test_what_cannot_be_is_refused_by_name(sqlite_api: Api, fields: dict[str, Any], param: str) -> None:
    body = GIVEN | fields
    if any(value != value for value in body.values()):  # noqa: PLR0124  (NaN, which no JSON has)
        answer = sqlite_api.call(
            "POST", "/budgets", content=str(body).replace("'", '"').replace("nan", "NaN")
        )
        assert answer.status_code == 400
    else:
        answer = sqlite_api.call("POST", "/budgets", json=body)
        assert (answer.status_code, error_of(answer)["param"]) == (400, param)
    assert error_of(answer)["type"] == "invalid_request_error"
    assert sqlite_api.get("/budgets")["data"] == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"limit_usd": "0"}, "limit_usd"),
        ({"limit_usd": None}, "limit_usd"),
        ({"window": "day"}, "window"),
        ({"scope": {"kind": "global"}}, "scope"),
        ({"timezone": "x"}, "timezone"),
        ({"anchor_day": 0}, "anchor_day"),
        ({"raise": {"amount_usd": "1", "until": "2020-01-01T00:00:00Z"}}, "raise.until"),
        ({"raise": {"amount_usd": "1", "until": "2030-01-01T00:00:00"}}, "raise.until"),
        ({"raise": {"amount_usd": "-1", "until": "2030-01-01T00:00:00Z"}}, "raise.amount_usd"),
        ({"raise": {"amount_usd": "1"}}, "raise.until"),
        ({"held_usd": "0"}, "held_usd"),
    ],
)
def test_changes_that_cannot_be(sqlite_api: Api, body: Any, param: str) -> None:
    budget = made(sqlite_api)["id"]
    answer = sqlite_api.call("PATCH", f"/budgets/{budget}", json=body)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


@pytest.mark.parametrize(
    ("path", "query", "param"),
    [
        ("", {"scope_kind": "team"}, "scope_kind"),
        ("", {"scope_id": "a\x00"}, "scope_id"),
        ("", {"scope": "key"}, "scope"),
        ("", {"cursor": "zz"}, "cursor"),
        ("", {"limit": "0"}, "limit"),
        ("/{id}", {"subject": "ann"}, "subject"),
        ("/{id}", {"subject": "a\x00"}, "subject"),
        ("/{id}", {"user": "ann"}, "user"),
        ("/{id}/periods", {"subject": ""}, "subject"),
        ("/{id}/periods", {"cursor": "W10="}, "cursor"),
        ("/{id}/periods", {"cursor": "WzEsIlx1ZDgwMCJd"}, "cursor"),
        ("/{id}/periods", {"cursor": "WzEsIlx1MDAwMCJd"}, "cursor"),
    ],
)
def test_questions_that_cannot_be(sqlite_api: Api, path: str, query: dict[str, str], param: str) -> None:
    budget = made(sqlite_api)["id"]
    answer = sqlite_api.call("GET", f"/budgets{path.format(id=budget)}", params=query)
    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


@pytest.mark.parametrize("budget", ["bud_absent", "%00", "..%2f", "a" * 5000, "bud_' OR 1=1 --"])
def test_a_budget_that_is_not_there(api: Api, budget: str) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/periods", None),
        ("DELETE", "", None),
        ("PATCH", "", {"limit_usd": "1"}),
    ):
        answer = api.call(method, f"/budgets/{budget}{path}", json=body)
        assert answer.status_code == 404
        error_of(answer)
