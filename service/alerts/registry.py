"""Alert rules in the store: create, list, show, update, mute, delete.

Methods take the caller's transaction and never commit; each change is audited in it. Whoever evaluates reads the rules
anew each time, so a change holds within seconds. A deleted rule stays for its events, which end.
"""

import re
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, tuple_, update

from service.alerts.outbox import living_channels
from service.alerts.rules import Rule
from service.alerts.values import NewRule, RuleChanges, as_given, rule_from
from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.audit.values import difference
from service.errors import InvalidInputError, NotFoundError
from service.keys.ids import sortable_id
from service.keys.token import RandomBytes
from service.keys.values import parse_duration
from service.store.alert_tables import alert_rule
from service.store.revision import lock_revision

LONGEST_MUTE = timedelta(days=366)
_RULE = alert_rule.c
_ID = re.compile(r"rule_[0-9A-Za-z]{1,35}", re.ASCII)
_ALIVE = _RULE.deleted_at.is_(None)


class RuleRegistry:
    """The rules of a store. *now* is the wall clock (UTC)."""

    def __init__(self, *, now: Callable[[], datetime], random_bytes: RandomBytes, trail: AuditTrail) -> None:
        self._now = now
        self._random_bytes = random_bytes
        self._trail = trail

    def create(self, tx: Connection, new: NewRule, *, by: Actor) -> Rule:
        """A new rule; it is evaluated from now on."""
        values = new.checked()
        lock_revision(tx)
        _require_channels(tx, values["channels"])
        now = self._now()
        rule_id = sortable_id("rule_", now=now, random_bytes=self._random_bytes)
        tx.execute(insert(alert_rule).values(id=rule_id, **values, created_at=now, updated_at=now))
        made = self.get(tx, rule_id)
        self._record(tx, "alert_rule.create", made, before=None, after=_shown(made), by=by)
        return made

    def get(self, tx: Connection, rule_id: str) -> Rule:
        """The rule with this id."""
        return _get(tx, rule_id)

    def find(self, tx: Connection, id_or_name: str) -> Rule:
        """The rule with this id, or the only one with this name."""
        if _ID.fullmatch(id_or_name):
            return _get(tx, id_or_name)
        if not id_or_name.isprintable():
            raise NotFoundError("no rule has such a name")
        query = select(alert_rule).where(_ALIVE, _RULE.name == id_or_name).order_by(_RULE.created_at).limit(2)
        found = [rule_from(dict(row)) for row in tx.execute(query).mappings()]
        if len(found) > 1:
            raise InvalidInputError(f"several rules are named {id_or_name!r}; give the id", field="rule")
        if not found:
            raise NotFoundError(
                f"no rule has the id or name {id_or_name[:200]!r}; see: tollkeeper alerts rules list"
            )
        return found[0]

    def list(self, tx: Connection, *, limit: int, after: tuple[datetime, str] | None = None) -> list[Rule]:
        """Newest first; *after* is `created_at` and `id` of the last rule of the page before."""
        order = (_RULE.created_at, _RULE.id)
        query = select(alert_rule).where(_ALIVE).order_by(*(column.desc() for column in order)).limit(limit)
        if after is not None:
            query = query.where(tuple_(*order) < tuple_(*after, types=[column.type for column in order]))
        return [rule_from(dict(row)) for row in tx.execute(query).mappings()]

    def update(self, tx: Connection, rule_id: str, *, changes: RuleChanges, by: Actor) -> Rule:
        """Change what *changes* names."""
        lock_revision(tx)
        found = _get(tx, rule_id)
        values = changes.applied(found)
        if changes.channels is not msgspec.UNSET:
            _require_channels(tx, values["channels"])
        return self._change(tx, found, values, action="alert_rule.update", by=by)

    def mute(self, tx: Connection, rule_id: str, *, until: datetime, by: Actor) -> Rule:
        """Tell nobody until then; events are still recorded, and what lasts longer is told afterwards."""
        lock_revision(tx)
        found = _get(tx, rule_id)
        now = self._now()
        if until.tzinfo is None or not now < until <= now + LONGEST_MUTE:
            raise InvalidInputError("until must be an instant in the next 366 days", field="until")
        return self._change(tx, found, {"muted_until": until}, action="alert_rule.mute", by=by)

    def unmute(self, tx: Connection, rule_id: str, *, by: Actor) -> Rule:
        """End the silence now."""
        lock_revision(tx)
        found = _get(tx, rule_id)
        return self._change(tx, found, {"muted_until": None}, action="alert_rule.unmute", by=by)

    def delete(self, tx: Connection, rule_id: str, *, by: Actor) -> None:
        """End the rule and its alerts."""
        lock_revision(tx)
        found = _get(tx, rule_id)
        self._record(tx, "alert_rule.delete", found, before=_shown(found), after=None, by=by)
        tx.execute(update(alert_rule).where(_RULE.id == rule_id).values(deleted_at=self._now()))

    def _change(self, tx: Connection, found: Rule, values: dict[str, Any], *, action: str, by: Actor) -> Rule:
        tx.execute(update(alert_rule).where(_RULE.id == found.id).values(**values))
        changed = _get(tx, found.id)
        before, after = difference(_shown(found), _shown(changed))
        if not after:
            return changed
        tx.execute(update(alert_rule).where(_RULE.id == found.id).values(updated_at=self._now()))
        self._record(tx, action, changed, before=before, after=after, by=by)
        return _get(tx, found.id)

    def _record(
        self,
        tx: Connection,
        action: str,
        rule: Rule,
        *,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        by: Actor,
    ) -> None:
        target = Target("alert_rule", rule.id, rule.name)
        self._trail.record(tx, by=by, action=action, target=target, before=before, after=after)


def mute_until(duration: str | None, until: datetime | None, *, now: datetime) -> datetime:
    """The end of a silence that is given by its length or its end."""
    if (duration is None) == (until is None):
        raise InvalidInputError("say either for how long (`for`) or until when (`until`)", field="for")
    if until is not None:
        return until
    return now + parse_duration(duration or "", field="for")


def load_rules(tx: Connection) -> list[Rule]:
    """Every rule that is to be evaluated, oldest first."""
    query = select(alert_rule).where(_ALIVE).order_by(_RULE.created_at, _RULE.id)
    return [rule_from(dict(row)) for row in tx.execute(query).mappings()]


def load_rules_by_id(tx: Connection, ids: Collection[str]) -> list[Rule]:
    """These rules, deleted ones too."""
    if not ids:
        return []
    query = select(alert_rule).where(_RULE.id.in_(sorted(ids))).order_by(_RULE.id)
    return [rule_from(dict(row)) for row in tx.execute(query).mappings()]


def _get(tx: Connection, rule_id: str) -> Rule:
    if not _ID.fullmatch(rule_id):
        raise NotFoundError(f"no rule has the id {rule_id[:100]!r}; see: tollkeeper alerts rules list")
    row = tx.execute(select(alert_rule).where(_RULE.id == rule_id, _ALIVE)).mappings().first()
    if row is None:
        raise NotFoundError(f"no rule has the id {rule_id!r}; see: tollkeeper alerts rules list")
    return rule_from(dict(row))


def _require_channels(tx: Connection, ids: Collection[str]) -> None:
    known = living_channels(tx, list(ids)) if ids else {}
    for identifier in ids:
        if identifier not in known:
            raise InvalidInputError(
                f"channels: no channel has the id {identifier[:100]!r}; see: tollkeeper alerts channels list",
                field="channels",
            )


def _shown(rule: Rule) -> dict[str, Any]:
    """The rule's fields, as the audit log keeps them."""
    fields: dict[str, Any] = msgspec.to_builtins(as_given(rule))
    return {**fields, "muted_until": rule.muted_until}
