"""Which budgets a request has to fit into, and what one looks like. Pure.

A budget belongs to a scope: everything, a project, a key, an end user or a model. The id ``*`` gives each project,
key, end user or model an allowance of its own; the `subject` then tells them apart. A list of models narrows any
scope. `hard` budgets refuse, `soft` ones only count.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from service.budgets.windows import WindowRule
from service.keys.models import ModelMatcher

ScopeKind = Literal["global", "project", "key", "end_user", "model"]
Mode = Literal["hard", "soft"]
SCOPE_KINDS: tuple[ScopeKind, ...] = ("global", "project", "key", "end_user", "model")
EACH = "*"
"""The scope id that stands for every one by itself."""
SUBJECT_LENGTH = 200
_PER_MILLE = 1000


class Scope(msgspec.Struct, frozen=True):
    """Whose spending counts; *id* is None for `global`."""

    kind: ScopeKind
    id: str | None = None


class TemporaryRaise(msgspec.Struct, frozen=True):
    """So much more, until then."""

    amount_nanos: int
    until: datetime


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget. *models* None means every model; *thresholds* are shares of the limit that alerts watch.

    *version* grows with every change: what was leased under an older one has to be asked for anew.
    """

    id: str
    scope: Scope
    limit_nanos: int
    rule: WindowRule
    mode: Mode = "hard"
    models: tuple[str, ...] | None = None
    thresholds: tuple[float, ...] = ()
    raised: TemporaryRaise | None = None
    version: int = 0

    def limit_at(self, instant: datetime) -> int:
        """The limit in force, a temporary raise included."""
        if self.raised is not None and instant < self.raised.until:
            return self.limit_nanos + self.raised.amount_nanos
        return self.limit_nanos

    def crossed(self, *, spent_nanos: int, limit_nanos: int) -> tuple[float, ...]:
        """The thresholds that *spent_nanos* has reached."""
        return tuple(
            share
            for share in self.thresholds
            if spent_nanos * _PER_MILLE >= limit_nanos * round(share * _PER_MILLE)
        )


class RequestFacts(msgspec.Struct, frozen=True, gc=False):
    """What decides which budgets apply."""

    key_id: str | None
    project: str | None
    end_user: str | None
    model: str


class Applied(msgspec.Struct, frozen=True):
    """A budget that applies; *subject* is '' unless its scope is `*`."""

    budget: Budget
    subject: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Whose money it is; every relay visits places in this order."""
        return (self.budget.id, self.subject)


class BudgetBook:
    """Every budget of one revision of the store, found by what a request is."""

    __slots__ = ("_budgets", "_by_subject", "_matchers", "_patterns")

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self._budgets = {budget.id: budget for budget in budgets}
        self._matchers = {
            budget.id: ModelMatcher(budget.models)
            for budget in self._budgets.values()
            if budget.models is not None
        }
        self._by_subject: dict[tuple[ScopeKind, str | None], list[Budget]] = {}
        self._patterns: list[tuple[ModelMatcher, Budget]] = []
        for budget in self._budgets.values():
            kind, identifier = budget.scope.kind, budget.scope.id
            if kind == "model" and identifier != EACH:
                self._patterns.append((ModelMatcher([identifier or ""]), budget))
            else:
                self._by_subject.setdefault((kind, identifier), []).append(budget)

    def __len__(self) -> int:
        return len(self._budgets)

    def __iter__(self) -> Iterator[Budget]:
        return iter(self._budgets.values())

    def find(self, budget_id: str) -> Budget | None:
        """The budget with this id."""
        return self._budgets.get(budget_id)

    def applying(self, facts: RequestFacts) -> Sequence[Applied]:
        """The budgets of a request, sorted by place."""
        if not self._budgets:
            return ()
        found = [Applied(budget) for budget in self._by_subject.get(("global", None), ())]
        known: tuple[tuple[ScopeKind, str | None], ...] = (
            ("project", facts.project),
            ("key", facts.key_id),
            ("end_user", facts.end_user),
            ("model", facts.model),
        )
        for kind, identifier in known:
            if not identifier:
                continue
            if identifier != EACH:
                found += [Applied(budget) for budget in self._by_subject.get((kind, identifier), ())]
            subject = identifier[:SUBJECT_LENGTH]
            found += [Applied(budget, subject) for budget in self._by_subject.get((kind, EACH), ())]
        found += [Applied(budget) for matcher, budget in self._patterns if matcher.allows(facts.model)]
        if self._matchers:
            found = [applied for applied in found if self._covers(applied.budget, facts.model)]
        if len(found) > 1:
            found.sort(key=_place)
        return found

    def _covers(self, budget: Budget, model: str) -> bool:
        matcher = self._matchers.get(budget.id)
        return matcher is None or matcher.allows(model)


def _place(applied: Applied) -> tuple[str, str]:
    return applied.place


NO_BUDGETS = BudgetBook(())
