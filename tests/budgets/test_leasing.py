"""The steps of a lease, one by one."""

from hypothesis import given
from hypothesis import strategies as st

from service.budgets.leasing import (
    Lease,
    abandoned,
    adopted,
    closed,
    granted,
    quarantined,
    settled,
    shrunk,
)

amounts = st.integers(0, 1_000)
leases = st.builds(Lease, amounts, amounts, amounts, st.sampled_from(["active", "quarantined", "closed"]))


def active(grant: int = 0, spent: int = 0) -> Lease:
    return Lease(granted=grant, spent=spent)


@given(st.builds(active, amounts, amounts), amounts, amounts, st.integers(-500, 1_000), st.integers(1, 9))
def test_a_grant_fits_and_covers_the_need(
    lease: Lease, need: int, want: int, free: int, holders: int
) -> None:
    need = max(need, lease.spent)
    after = granted(lease, need=need, want=want, free=free, holders=holders)
    if after is None:
        assert need - lease.reserve > free
        return
    assert after.granted >= need
    assert after.reserve - lease.reserve <= free
    again = granted(after, need=need, want=want, free=free - after.reserve + lease.reserve, holders=holders)
    assert again == after, "asking again takes nothing twice"


def test_a_grant_is_what_is_wanted_within_a_fair_share() -> None:
    assert granted(active(), need=10, want=50, free=1_000, holders=1) == active(50)
    assert granted(active(), need=10, want=5_000, free=1_000, holders=1) == active(250)
    assert granted(active(), need=10, want=5_000, free=1_000, holders=5) == active(50)
    assert granted(active(), need=900, want=5_000, free=1_000, holders=5) == active(900)
    assert granted(active(), need=1_001, want=5_000, free=1_000, holders=1) is None
    assert granted(active(100, 40), need=120, want=0, free=20, holders=1) == active(120, 40)


def test_after_an_over_run_the_excess_counts_as_granted() -> None:
    assert granted(active(100, 130), need=130, want=130, free=0, holders=1) == active(130, 130)
    assert granted(active(100, 130), need=150, want=150, free=19, holders=1) is None


def test_a_lowered_limit_cuts_the_lease_itself() -> None:
    assert granted(active(100, 10), need=40, want=100, free=-50, holders=1) == active(50, 10)
    assert granted(active(100, 10), need=40, want=100, free=-60, holders=1) == active(40, 10)
    assert granted(active(100, 10), need=40, want=100, free=-61, holders=1) is None


def test_reserves() -> None:
    assert active(100, 40).reserve == 100
    assert active(100, 140).reserve == 140
    assert Lease(100, 40, 0, "quarantined").reserve == 100
    assert Lease(100, 40, 25, "closed").reserve == 65


@given(leases, amounts)
def test_settling_changes_the_reserve_only_by_an_over_run(lease: Lease, cost: int) -> None:
    after = settled(lease, cost=cost)
    room = lease.reserve - lease.spent
    assert after.spent == lease.spent + cost
    assert after.reserve == lease.reserve + max(0, cost - room)


@given(leases, amounts)
def test_nothing_is_kept_that_was_given_back(lease: Lease, amount: int) -> None:
    for after in (shrunk(lease, to=amount), closed(lease, final=amount), adopted(lease)):
        assert after.spent == lease.spent
        if lease.state == "closed":
            assert after.burned <= lease.burned, "a burned remainder only gets smaller"
    assert adopted(lease).reserve == lease.spent


def test_only_an_active_lease_shrinks() -> None:
    assert shrunk(active(100, 40), to=60) == active(60, 40)
    assert shrunk(active(100, 40), to=200) == active(100, 40)
    assert shrunk(active(100, 40), to=-5) == active(0, 40)
    for state in ("quarantined", "closed"):
        lease = Lease(100, 40, 0, state)
        assert shrunk(lease, to=50) == lease


def test_what_a_closing_holder_has_not_reported_stays() -> None:
    returned = closed(active(100, 40), final=70)
    assert (returned.state, returned.reserve) == ("closed", 70)
    assert settled(returned, cost=30).reserve == 70
    assert settled(returned, cost=35).reserve == 75
    assert closed(active(100, 40), final=30).reserve == 40


def test_a_late_word_of_the_holder_cannot_take_more() -> None:
    assert closed(Lease(100, 40, 60, "closed"), final=70) == Lease(100, 40, 30, "closed")
    assert closed(Lease(100, 40, 0, "closed"), final=70) == Lease(100, 40, 0, "closed")


def test_quarantine_and_abandonment() -> None:
    lease = quarantined(active(100, 40))
    assert lease == Lease(100, 40, 0, "quarantined")
    assert abandoned(lease, burn=True) == Lease(100, 40, 60, "closed")
    assert abandoned(lease, burn=False) == Lease(100, 40, 0, "closed")
    assert abandoned(Lease(100, 140, 0, "quarantined"), burn=True).reserve == 140


def test_only_what_is_quarantined_is_abandoned_and_only_what_is_active_quarantined() -> None:
    done = Lease(100, 40, 7, "closed")
    assert quarantined(done) == done
    assert abandoned(done, burn=True) == done
    assert abandoned(active(100), burn=True) == active(100)
