"""Leases in memory: all or nothing, only in time, and never more than the store has granted."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from service.budgets.allowance import UNSURE_S, Allowance, Demand, Held, Short
from service.budgets.answers import Acquired, Busy, Exhausted, Gone, Lost, Outcome, Recall
from service.budgets.leasing import Lease
from service.budgets.slices import Slice

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = NOW + timedelta(hours=12)
A, B = ("bud_a", ""), ("bud_b", "ann")


def demand(place: tuple[str, str] = A, *, limit: int = 1_000, version: int = 1) -> Demand:
    return Demand(place, limit, version)


class Relay:
    """An allowance with a clock, filled by hand."""

    def __init__(self) -> None:
        ids = count(1)
        self.allowance = Allowance(new_id=lambda: next(ids))
        self.monotonic = 100.0
        self.now = NOW

    def hold(self, *demands: Demand, amount: int = 10) -> Held | Short:
        return self.allowance.hold(demands or (demand(),), amount, now=self.now, monotonic=self.monotonic)

    def ask(
        self, *demands: Demand, amount: int = 10, outcome: Outcome | None = None, grant: int = 100
    ) -> None:
        """Ask for room, and hear *outcome*; without one, *grant* on every budget."""
        wants = self.allowance.plan(
            demands or (demand(),), amount, queued=0, now=self.now, monotonic=self.monotonic
        )
        if outcome is None:
            outcome = tuple(
                Acquired(
                    place=want.place,
                    lease_id=want.lease_id,
                    granted=grant,
                    limit_nanos=1_000,
                    version=1,
                    free_nanos=900,
                    starts_at=NOW - timedelta(hours=12),
                    ends_at=END,
                    wanted=0,
                )
                for want in wants
            )
        self.allowance.answered(wants, outcome, deadline=self.monotonic + 28, monotonic=self.monotonic)

    def slice(self, place: tuple[str, str] = A) -> Slice:
        part = self.allowance.find(place)
        assert part is not None
        return part

    def rest(self) -> None:
        self.allowance.rest(now=self.now, monotonic=self.monotonic, idle_s=4, close_s=60)

    def give_back(
        self, *results: Lease | Busy | Lost, everything: bool = False
    ) -> list[tuple[int, int, bool]]:
        steps = self.allowance.give_back(everything=everything)
        self.allowance.given_back(steps, results, monotonic=self.monotonic)
        return [(step.part.lease_id, step.total, step.closing) for step in steps]


@pytest.fixture
def relay() -> Relay:
    return Relay()


@pytest.fixture
def filled(relay: Relay) -> Relay:
    """One slice of 100."""
    relay.ask()
    return relay


def exhausted(place: tuple[str, str] = A) -> Exhausted:
    return Exhausted(
        place=place,
        limit_nanos=100,
        spent_nanos=90,
        held_nanos=10,
        idle_nanos=0,
        ends_at=END,
        wanted=3,
    )


def test_nothing_is_held_before_the_store_has_granted(relay: Relay) -> None:
    assert relay.hold() == Short((demand(),))
    relay.ask()
    assert isinstance(relay.hold(amount=100), Held)
    assert relay.hold(amount=1) == Short((demand(),))


def test_holding_is_all_or_nothing(filled: Relay) -> None:
    assert filled.hold(demand(A), demand(B)) == Short((demand(B),))
    assert filled.slice().held == 0
    filled.ask(demand(B), grant=5)
    assert filled.hold(demand(A), demand(B)) == Short((demand(B),))
    assert (filled.slice(A).held, filled.slice(B).held) == (0, 0)
    assert isinstance(filled.hold(demand(A), demand(B), amount=5), Held)
    assert (filled.slice(A).held, filled.slice(B).held) == (5, 5)


def test_settling_makes_a_hold_a_cost(filled: Relay) -> None:
    held = filled.hold(amount=60)
    assert isinstance(held, Held)
    part = held.slices[0]
    filled.allowance.settle(part, held=60, actual=25)
    assert (part.held, part.spent, part.spare) == (0, 25, 75)
    assert part.charge(60).lease_id == part.lease_id


def test_an_over_run_leaves_nothing_to_hold(filled: Relay) -> None:
    part = filled.slice()
    assert isinstance(filled.hold(amount=60), Held)
    filled.allowance.settle(part, held=60, actual=140)
    assert part.spare == 0
    assert filled.hold(amount=1) == Short((demand(),))


def test_no_hold_at_or_after_the_deadline(filled: Relay) -> None:
    filled.monotonic += 27.999
    assert isinstance(filled.hold(), Held)
    filled.monotonic += 0.001
    assert isinstance(filled.hold(), Short)


def test_no_hold_outside_the_period(filled: Relay) -> None:
    filled.now = END - timedelta(microseconds=1)
    assert isinstance(filled.hold(), Held)
    filled.now = END
    assert isinstance(filled.hold(), Short)
    filled.now = NOW - timedelta(hours=12, microseconds=1)
    assert isinstance(filled.hold(), Short), "a clock that was set back"


def test_a_slice_past_its_time_is_replaced_and_given_back_once_nothing_runs_on_it(filled: Relay) -> None:
    old = filled.slice()
    assert isinstance(filled.hold(amount=30), Held)
    filled.monotonic += 30
    filled.ask()
    assert filled.slice().lease_id != old.lease_id
    assert filled.give_back(Lease(30, 0)) == [(old.lease_id, 30, False)]
    filled.allowance.settle(old, held=30, actual=20)
    assert filled.give_back(Lease(30, 20, 0, "closed")) == [(old.lease_id, 20, True)]
    assert filled.allowance.retired == []


@pytest.mark.parametrize("changed", [demand(limit=999), demand(version=2)])
def test_after_a_change_of_the_budget_the_store_decides_anew(filled: Relay, changed: Demand) -> None:
    assert isinstance(filled.hold(demand()), Held)
    assert isinstance(filled.hold(changed), Short)
    assert filled.slice().spare == 0
    assert isinstance(filled.hold(demand(limit=2_000), amount=0), Held), "a higher limit takes nothing away"


@pytest.mark.parametrize("outcome", [exhausted(), Gone(A), Busy(1)])
def test_a_refusal_changes_nothing(filled: Relay, outcome: Outcome) -> None:
    filled.ask(outcome=outcome)
    assert (filled.slice().granted, filled.slice().busy) == (100, False)
    assert filled.give_back() == []


def test_a_refused_first_lease_leaves_no_trace(relay: Relay) -> None:
    relay.ask(demand(A), demand(B), outcome=exhausted(B))
    assert relay.allowance.living == []


def test_our_own_refusal_recalls_nothing_of_ours(filled: Relay) -> None:
    filled.ask(outcome=exhausted())
    recall = Recall(filled.slice().lease_id, active=True, expires_at=END, wanted=3)
    filled.allowance.heard([recall], renewed_until=END, deadline=0)
    assert filled.slice().spare == 100


def test_a_lost_lease_is_retired_and_another_taken(filled: Relay) -> None:
    old = filled.slice().lease_id
    filled.ask(outcome=Lost(old))
    assert filled.allowance.living == []
    assert [part.lease_id for part in filled.allowance.retired] == [old]
    filled.ask()
    assert filled.slice().lease_id != old


def test_without_an_answer_what_may_have_been_granted_is_given_back(filled: Relay) -> None:
    wants = filled.allowance.plan([demand()], 200, queued=0, now=NOW, monotonic=100)
    filled.allowance.unanswered(wants)
    assert filled.slice().granted == 100
    assert filled.give_back() == [(1, 100, False)]
    assert filled.give_back(Lease(100)) == [(1, 100, False)], "until the store has answered"
    assert filled.give_back() == []


def test_a_grant_nobody_answered_for_may_still_come_true(relay: Relay) -> None:
    relay.allowance.unanswered(relay.allowance.plan([demand()], 10, queued=0, now=NOW, monotonic=100))
    relay.rest()
    assert relay.give_back(Lost(1)) == [(1, 0, True)]
    relay.monotonic += UNSURE_S - 1
    assert relay.give_back(Lost(1)) == [(1, 0, True)]
    relay.monotonic += 1
    assert relay.give_back(Lost(1)) == [(1, 0, True)]
    assert relay.give_back() == []


def test_idle_slices_are_let_go_and_closed_when_idle_for_long(filled: Relay) -> None:
    assert isinstance(filled.hold(amount=30), Held)
    filled.monotonic += 3.9
    filled.rest()
    assert filled.give_back() == []
    filled.monotonic += 0.1
    filled.rest()
    assert filled.give_back(Lease(30)) == [(1, 30, False)]
    filled.allowance.settle(filled.slice(), held=30, actual=30)
    filled.slice().deadline = 1_000
    filled.monotonic += 60
    filled.rest()
    assert filled.give_back(Lease(30, 30, 0, "closed")) == [(1, 30, True)]


def test_a_recall_takes_what_is_spare(filled: Relay) -> None:
    assert isinstance(filled.hold(amount=30), Held)
    filled.allowance.heard([Recall(1, active=True, expires_at=END, wanted=1)], renewed_until=END, deadline=0)
    assert filled.slice().spare == 0
    assert filled.give_back(Lease(30)) == [(1, 30, False)]
    filled.ask(grant=90)
    filled.allowance.heard([Recall(1, active=True, expires_at=END, wanted=0)], renewed_until=END, deadline=0)


def test_a_renewal_counts_only_where_the_store_has_renewed(filled: Relay) -> None:
    later = NOW + timedelta(seconds=30)
    for expires_at, deadline in ((NOW, 128.0), (later, 200.0)):
        recall = Recall(1, active=True, expires_at=expires_at, wanted=0)
        filled.allowance.heard([recall], renewed_until=later, deadline=200)
        assert filled.slice().deadline == deadline


def test_a_lease_the_store_has_ended_is_retired(filled: Relay) -> None:
    filled.allowance.heard(
        [Recall(1, active=False, expires_at=NOW, wanted=0), Recall(9, active=True, expires_at=NOW, wanted=5)],
        renewed_until=END,
        deadline=200,
    )
    assert isinstance(filled.hold(), Short)
    assert [part.lease_id for part in filled.allowance.retired] == [1]


def test_answers_do_not_overtake_each_other(filled: Relay) -> None:
    wants = filled.allowance.plan([demand()], 200, queued=0, now=NOW, monotonic=100)
    filled.allowance.heard([Recall(1, active=False, expires_at=NOW, wanted=4)], renewed_until=END, deadline=0)
    filled.monotonic += 1_000
    filled.rest()
    assert filled.give_back(everything=True) == []
    assert filled.slice().lease_id == wants[0].lease_id


def test_nothing_above_what_was_told_is_spent_while_it_is_given_back(filled: Relay) -> None:
    assert isinstance(filled.hold(amount=30), Held)
    filled.monotonic += 5
    filled.rest()
    filled.allowance.settle(filled.slice(), held=30, actual=10)
    assert filled.give_back(Lease(30)) == [(1, 30, False)]
    assert filled.slice().spare == 20
    assert filled.slice().granted == filled.slice().stored == 30


def test_portions_grow_while_refills_come_soon_and_shrink_when_they_do_not(relay: Relay) -> None:
    def wanted(amount: int) -> int:
        [want] = relay.allowance.plan([demand()], amount, queued=0, now=NOW, monotonic=relay.monotonic)
        acquired = Acquired(
            place=A,
            lease_id=want.lease_id,
            granted=want.want,
            limit_nanos=1_000,
            version=1,
            free_nanos=0,
            starts_at=NOW - timedelta(hours=1),
            ends_at=END,
            wanted=0,
        )
        relay.allowance.answered([want], (acquired,), deadline=10_000, monotonic=relay.monotonic)
        return want.want - want.need

    assert [wanted(10), wanted(10), wanted(10)] == [10, 20, 40]
    relay.monotonic += 10
    assert wanted(10) == 20
    [want] = relay.allowance.plan([demand()], 10, queued=5_000, now=NOW, monotonic=relay.monotonic)
    assert want.want - want.need == 5_000


def test_at_the_end_everything_goes_back(filled: Relay) -> None:
    filled.ask(demand(B))
    assert isinstance(filled.hold(amount=30), Held)
    done = Lease(0, 0, 0, "closed")
    assert filled.give_back(done, done, everything=True) == [(1, 30, True), (2, 0, True)]
    assert (filled.allowance.living, filled.allowance.retired) == ([], [])
