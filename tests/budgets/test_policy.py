"""Which budgets apply to a request, under which limit."""

from datetime import timedelta

import msgspec
import pytest

from service.budgets.policy import NO_BUDGETS, Budget, BudgetBook, RequestFacts, Scope, TemporaryRaise
from tests.budgets.making import T0, budget

FACTS = RequestFacts("key_1", "alpha", "ann", "gpt-4o")


def applied(*budgets: Budget, facts: RequestFacts = FACTS) -> list[tuple[str, str]]:
    return [each.place for each in BudgetBook(budgets).applying(facts)]


@pytest.mark.parametrize(
    ("scope", "place"),
    [
        (Scope("global"), ("bud_a", "")),
        (Scope("project", "alpha"), ("bud_a", "")),
        (Scope("key", "key_1"), ("bud_a", "")),
        (Scope("end_user", "ann"), ("bud_a", "")),
        (Scope("model", "gpt-4o"), ("bud_a", "")),
        (Scope("model", "gpt-*"), ("bud_a", "")),
        (Scope("project", "*"), ("bud_a", "alpha")),
        (Scope("key", "*"), ("bud_a", "key_1")),
        (Scope("end_user", "*"), ("bud_a", "ann")),
        (Scope("model", "*"), ("bud_a", "gpt-4o")),
        (Scope("project", "beta"), None),
        (Scope("key", "key_2"), None),
        (Scope("end_user", "bob"), None),
        (Scope("model", "o1*"), None),
    ],
)
def test_a_scope_covers_its_requests(scope: Scope, place: tuple[str, str] | None) -> None:
    assert applied(budget(scope=scope)) == ([] if place is None else [place])


def test_several_apply_at_once_sorted_by_place() -> None:
    found = applied(
        budget("bud_c"),
        budget("bud_a", scope=Scope("key", "key_1")),
        budget("bud_b", scope=Scope("end_user", "*")),
    )
    assert found == [("bud_a", ""), ("bud_b", "ann"), ("bud_c", "")]


def test_models_narrow_any_scope() -> None:
    narrowed = budget(scope=Scope("key", "key_1"), models=("gpt-4o*", "o3"))
    assert applied(narrowed) == [("bud_a", "")]
    assert applied(narrowed, facts=RequestFacts("key_1", None, None, "claude-opus-5")) == []
    assert applied(narrowed, budget("bud_b"), facts=RequestFacts("key_2", None, None, "o3")) == [
        ("bud_b", "")
    ]


def test_a_request_without_an_end_user_is_nobodys() -> None:
    each = budget(scope=Scope("end_user", "*"))
    assert applied(each, facts=RequestFacts("key_1", None, None, "gpt-4o")) == []
    assert applied(each, facts=RequestFacts("key_1", "", "", "gpt-4o")) == []


def test_an_end_user_called_star_is_one_of_them() -> None:
    each = budget(scope=Scope("end_user", "*"))
    assert applied(each, facts=RequestFacts(None, None, "*", "gpt-4o")) == [("bud_a", "*")]


def test_a_long_name_is_cut_to_what_the_store_holds() -> None:
    [(_, subject)] = applied(
        budget(scope=Scope("end_user", "*")), facts=RequestFacts(None, None, "x" * 900, "gpt-4o")
    )
    assert subject == "x" * 200


def test_no_budgets_apply_where_there_are_none() -> None:
    assert list(NO_BUDGETS.applying(FACTS)) == []
    assert len(NO_BUDGETS) == 0
    assert BudgetBook([budget()]).find("bud_a") == budget()
    assert NO_BUDGETS.find("bud_a") is None


def test_a_temporary_raise_ends() -> None:
    raised = msgspec.structs.replace(budget(limit_nanos=5), raised=TemporaryRaise(3, T0))
    assert raised.limit_at(T0 - timedelta(microseconds=1)) == 8
    assert raised.limit_at(T0) == 5
    assert budget(limit_nanos=5).limit_at(T0) == 5


def test_thresholds_are_reached_to_the_nano() -> None:
    assert budget().crossed(spent_nanos=4_999_999_999, limit_nanos=10**10) == ()
    assert budget().crossed(spent_nanos=5_000_000_000, limit_nanos=10**10) == (0.5,)
    assert budget().crossed(spent_nanos=10**10, limit_nanos=10**10) == (0.5, 0.8, 1.0)
