"""Evaluates the rules against the store: budgets twice a second where they changed, everything else by its metric.

Each rule is read in one snapshot together with its events, then its steps are one short transaction. `fence` is
called first in it and raises where somebody else leads by now. Many watchers at once raise each alert once: the
store's constraints decide. A rule that cannot be evaluated is logged, and keeps no other from it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from service.alerts import wording
from service.alerts.activity import activity_readings
from service.alerts.budget_outlook import History, burn_readings, forecast_readings, recent_spending
from service.alerts.budget_periods import (
    PeriodSpend,
    chosen,
    lowest_threshold,
    running_periods,
    used_readings,
)
from service.alerts.events import (
    EventBook,
    Happened,
    next_generations,
    open_events,
    rules_with_open_events,
)
from service.alerts.gauges import gauge_readings
from service.alerts.registry import load_rules, load_rules_by_id
from service.alerts.reports import THRESHOLD, due_report
from service.alerts.rules import Begin, Claim, Reading, Rule, Step, decide, end_all
from service.alerts.usage_readings import history_readings, upstream_readings, usage_readings
from service.budgets.policy import NO_BUDGETS, BudgetBook
from service.budgets.registry import load_budgets
from service.errors import StoreError, TollkeeperError
from service.logs import get_logger
from service.store.engine import Store
from service.store.revision import read_revision

HISTORY_FOR = timedelta(minutes=10)
Seen = tuple[int, int]
"""What a period had spent, and its limit."""


class Plan(msgspec.Struct, frozen=True):
    """What is to be done for a rule."""

    rule: Rule
    steps: list[Step]
    generations: dict[Claim, int]


class AlertWatcher:
    """Looks and acts. *now* is the wall clock; *woken* hears that there are messages to deliver."""

    def __init__(
        self,
        store: Store,
        events: EventBook,
        *,
        zone: ZoneInfo,
        now: Callable[[], datetime],
        fence: Callable[[Connection], None],
        woken: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._events = events
        self._zone = zone
        self._now = now
        self._fence = fence
        self._woken = woken
        self._budgets: tuple[int, BudgetBook] = (-1, NO_BUDGETS)
        self._seen: dict[tuple[str, str, datetime], Seen] = {}
        self._rules_seen: tuple[Rule, ...] = ()
        self._evaluated: dict[str, datetime] = {}
        self._failing: set[str] = set()
        self._history: tuple[datetime, int, History] | None = None

    def watch_budgets(self) -> int:
        """Raise what budgets have reached since the last look; returns how many steps took effect."""
        now = self._now()
        with self._store.read() as tx:
            rules = tuple(rule for rule in load_rules(tx) if rule.metric == "budget_used")
            book = self._book(tx)
            if rules != self._rules_seen:
                self._rules_seen, self._seen = rules, {}
            floor = lowest_threshold(rules, book)
            periods = running_periods(tx, now=now, floor=floor) if rules else []
            seen = {_key(one): _standing(one, book=book, now=now) for one in periods}
            changed = [one for one in periods if self._seen.get(_key(one)) != seen[_key(one)]]
            plans = []
            for rule in rules if changed else ():
                subjects = chosen(tx, rule, periods=changed, book=book)
                plans.append(
                    self._plan(
                        tx, rule, readings=used_readings(rule, subjects, now=now), now=now, complete=False
                    )
                )
        done = self._carry_out(plans, now=now)
        self._seen = seen
        return done

    def watch(self) -> int:
        """Evaluate every rule that is due; returns how many steps took effect."""
        now = self._now()
        with self._store.read() as tx:
            rules = load_rules(tx)
            ended = rules_with_open_events(tx) - {rule.id for rule in rules}
            plans = [
                Plan(rule, end_all(open_events(tx, rule.id)), {}) for rule in load_rules_by_id(tx, ended)
            ]
        done = self._carry_out(plans, now=now)
        self._evaluated = {rule.id: self._evaluated[rule.id] for rule in rules if rule.id in self._evaluated}
        for rule in rules:
            if self._is_due(rule, now=now):
                done += self._watch_rule(rule, now=now)
        return done

    def _watch_rule(self, rule: Rule, *, now: datetime) -> int:
        """Evaluate one rule; whatever is wrong with it alone is logged once, and is no other rule's business."""
        self._evaluated[rule.id] = now
        try:
            with self._store.read() as tx:
                work = self._work_for(tx, rule, now=now)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001  (a bad rule, or a defect)
            self._note_failure(rule, error)
            return 0
        try:
            done = work()
        except TollkeeperError:  # the store is away, or somebody else leads
            raise
        except Exception as error:  # noqa: BLE001  (a defect)
            self._note_failure(rule, error)
            return 0
        self._failing.discard(rule.id)
        return done

    def _work_for(self, tx: Connection, rule: Rule, *, now: datetime) -> Callable[[], int]:
        """What is to be done for a rule, after everything has been read."""
        if rule.measured.family == "report":
            reading = due_report(tx, rule, zone=self._zone, now=now)
            return partial(self._report, rule, reading, now=now)
        plan = self._plan(tx, rule, readings=self._read(tx, rule, now=now), now=now)
        return partial(self._carry_out, [plan], now=now)

    def _note_failure(self, rule: Rule, error: Exception) -> None:
        if rule.id not in self._failing:
            get_logger().error("alert_rule_failed", rule=rule.id, name=rule.name, exc_info=error)
        self._failing.add(rule.id)

    def _read(self, tx: Connection, rule: Rule, *, now: datetime) -> list[Reading]:
        match rule.measured.family:
            case "usage":
                return usage_readings(tx, rule, now=now)
            case "history":
                return history_readings(tx, rule, now=now)
            case "activity":
                return activity_readings(tx, rule, now=now)
            case "upstream":
                return upstream_readings(tx, rule, now=now)
            case "gauge":
                return gauge_readings(tx, rule, now=now)
            case _:
                return self._read_budgets(tx, rule, now=now)

    def _read_budgets(self, tx: Connection, rule: Rule, *, now: datetime) -> list[Reading]:
        book = self._book(tx)
        floor = lowest_threshold([rule], book) if rule.metric == "budget_used" else 0.0
        subjects = chosen(tx, rule, periods=running_periods(tx, now=now, floor=floor), book=book)
        match rule.metric:
            case "budget_used":
                return used_readings(rule, subjects, now=now)
            case "burn_rate":
                recent = recent_spending(tx, rule, subjects=subjects, book=book, now=now)
                return burn_readings(rule, subjects, recent=recent, now=now)
            case _:
                return (
                    forecast_readings(subjects, history=self._past(tx, now=now), now=now) if subjects else []
                )

    def _plan(
        self, tx: Connection, rule: Rule, *, readings: list[Reading], now: datetime, complete: bool = True
    ) -> Plan:
        subjects = None if complete else {reading.subject for reading in readings}
        events = open_events(tx, rule.id, subjects=subjects)
        steps = decide(rule, readings, events=events, now=now, complete=complete)
        begun = [step.key for step in steps if isinstance(step, Begin)]
        return Plan(rule, steps, next_generations(tx, rule.id, claims=begun))

    def _carry_out(self, plans: Sequence[Plan], *, now: datetime) -> int:
        done = 0
        for plan in plans:
            if not plan.steps:
                continue
            with self._store.write() as tx:
                self._fence(tx)
                happened = self._events.apply(
                    tx, plan.rule, steps=plan.steps, generations=plan.generations, now=now
                )
            done += self._announce(happened)
        return done

    def _report(self, rule: Rule, reading: Reading | None, *, now: datetime) -> int:
        if reading is None:
            return 0
        text = wording.report(rule, reading.details)
        with self._store.write() as tx:
            self._fence(tx)
            happened = self._events.report(tx, rule, reading=reading, threshold=THRESHOLD, text=text, now=now)
        return self._announce(happened)

    def _announce(self, happened: Sequence[Happened]) -> int:
        for one in happened:
            log = get_logger().warning if one.what in ("fired", "told") else get_logger().info
            log(
                f"alert_{one.what}",
                rule=one.rule,
                subject=one.subject,
                severity=one.severity,
                summary=one.summary,
            )
        if happened:
            self._woken()
        return len(happened)

    def _is_due(self, rule: Rule, *, now: datetime) -> bool:
        last = self._evaluated.get(rule.id)
        every = max(rule.measured.every_s, 15.0)  # what is looked at more often has a lane of its own
        return last is None or not timedelta(0) <= now - last < timedelta(seconds=every)

    def _book(self, tx: Connection) -> BudgetBook:
        revision = read_revision(tx)
        if revision != self._budgets[0]:
            self._budgets = (revision, load_budgets(tx))
        return self._budgets[1]

    def _past(self, tx: Connection, *, now: datetime) -> History:
        """What budgets have spent by day; older days hardly ever change."""
        known = self._history
        revision, book = self._budgets
        if known is None or known[1] != revision or not timedelta(0) <= now - known[0] < HISTORY_FOR:
            known = (now, revision, History.read(tx, book, zone=self._zone, now=now))
            self._history = known
        return known[2]


def _key(period: PeriodSpend) -> tuple[str, str, datetime]:
    return (*period.place, period.starts_at)


def _standing(period: PeriodSpend, *, book: BudgetBook, now: datetime) -> Seen:
    budget = book.find(period.budget_id)
    return (period.spent_nanos, 0 if budget is None else budget.limit_at(now))
