"""One of several keepers leads: taken over within 15 s of a death, fenced against a leader that does not know yet."""

from datetime import timedelta

import pytest

from service.errors import StoreUnavailableError
from service.keeper.leadership import TAKE_OVER_S, VALID_S, Leadership, NotLeaderError
from service.store.engine import Store
from tests.support.clock import HandClock

SECOND = timedelta(seconds=1)


class Keepers:
    """Several keepers that tick together, by one clock."""

    def __init__(self, store: Store, *names: str) -> None:
        self.store = store
        self.clock = HandClock()
        self.all = {name: self.new(name) for name in names}

    def new(self, name: str) -> Leadership:
        """One more."""
        return Leadership(self.store, holder=name, monotonic=self.clock.monotonic)

    def run(self, seconds: int, *names: str) -> None:
        """Those named are alive for so long."""
        for _ in range(seconds):
            self.clock.advance(SECOND)
            for name in names:
                self.all[name].tick()

    @property
    def leaders(self) -> list[str]:
        """Who believes to lead."""
        return [name for name, one in self.all.items() if one.leads]


def may_act(keepers: Keepers, name: str) -> bool:
    try:
        with keepers.store.write() as tx:
            keepers.all[name].require(tx)
    except NotLeaderError:
        return False
    return True


def test_the_first_leads_at_once_and_stays(store: Store) -> None:
    keepers = Keepers(store, "a", "b", "c")
    keepers.run(1, "a", "b", "c")
    assert keepers.leaders == ["a"]
    keepers.run(120, "a", "b", "c")
    assert keepers.leaders == ["a"]
    assert [may_act(keepers, name) for name in "abc"] == [True, False, False]


def test_a_dead_leader_is_followed_within_fifteen_seconds(store: Store) -> None:
    keepers = Keepers(store, "a", "b", "c")
    keepers.run(30, "a", "b", "c")
    waited = 0
    while keepers.leaders != ["b"]:
        keepers.run(1, "b", "c")
        waited += 1
        assert waited <= 15
        assert len(keepers.leaders) <= 1
    assert not may_act(keepers, "a")


def test_two_never_lead_at_once(store: Store) -> None:
    """Also when the leader stands still for a while and comes back."""
    keepers = Keepers(store, "a", "b")
    keepers.run(5, "a", "b")
    for _ in range(40):
        keepers.run(1, "b")
        assert len(keepers.leaders) <= 1
    assert keepers.leaders == ["b"]
    assert not may_act(keepers, "a")
    for _ in range(40):
        keepers.run(1, "a", "b")
        assert keepers.leaders == ["b"]


def test_a_leader_that_was_stopped_cannot_write(store: Store) -> None:
    """It was frozen inside its work: it still believes to lead, the store knows better."""
    keepers = Keepers(store, "a", "b")
    keepers.run(2, "a", "b")
    frozen = keepers.all["a"]
    keepers.run(14, "b")
    frozen._beaten_at = keepers.clock.monotonic()  # its clock stood still with it
    believed = frozen.leads
    assert believed
    assert not may_act(keepers, "a")
    assert keepers.leaders == ["b"]
    assert may_act(keepers, "b")


def test_who_resigns_is_followed_at_once(store: Store) -> None:
    keepers = Keepers(store, "a", "b")
    keepers.run(3, "a", "b")
    keepers.all["a"].resign()
    keepers.run(1, "b")
    assert keepers.leaders == ["b"]
    keepers.all["a"].resign()  # who does not lead has nothing to hand over
    assert may_act(keepers, "b")


def test_a_restarted_keeper_waits_for_its_own_past(store: Store) -> None:
    keepers = Keepers(store, "a")
    keepers.run(3, "a")
    keepers.all["a again"] = keepers.new("a again")
    keepers.run(int(TAKE_OVER_S), "a again")
    assert not keepers.all["a again"].leads
    keepers.run(2, "a again")
    assert keepers.all["a again"].leads


def test_of_many_who_take_over_one_does(store: Store) -> None:
    keepers = Keepers(store, "a", "b", "c", "d")
    keepers.run(2, "a", "b", "c", "d")
    keepers.clock.advance(SECOND * 30)
    for name in "bcd":
        keepers.all[name]._watch()
    assert keepers.leaders == ["b"]


def test_a_leader_without_a_store_stops_leading(store: Store) -> None:
    keepers = Keepers(store, "a")
    keepers.run(2, "a")

    class Away(Store):
        def write(self) -> None:  # type: ignore[override]
            raise StoreUnavailableError("away")

    keepers.all["a"]._store = Away.__new__(Away)
    for _ in range(int(VALID_S) + 1):
        keepers.clock.advance(SECOND)
        if keepers.all["a"].leads:
            try:
                keepers.all["a"].tick()
            except StoreUnavailableError:
                continue
    assert not keepers.all["a"].leads
    keepers.all["a"]._store = store
    keepers.run(1, "a")
    assert keepers.all["a"].leads  # nobody else came meanwhile


def test_a_leader_that_was_replaced_learns_it_with_its_next_beat(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    keepers = Keepers(store, "a", "b")
    keepers.run(2, "a", "b")
    keepers.run(13, "b")
    keepers.run(4, "a")
    assert not keepers.all["a"].leads
    assert "keeper_leadership_lost" in capsys.readouterr().out
    keepers.run(1, "b")
