"""`tollkeeper budgets`: budgets and how they stand. Relays take a change over within 2 seconds."""

from collections.abc import Iterator
from typing import Any

import click

from service.budgets.detail import detail
from service.budgets.standings import MOST_SUBJECTS, history, standing
from service.budgets.values import BudgetFilter, check_subject
from service.budgets.views import BudgetDetail, BudgetView, PeriodView
from service.cli.budget_changes import create, delete, raise_limit, update
from service.cli.budget_options import Installation, fields_of, opened, scope_of, scope_options, scope_text
from service.cli.options import json_option, store_options
from service.cli.output import print_fields, print_json, print_table
from service.cli.session import utc_now

PAGE = 500
DEFAULT_HISTORY = 50
_COLUMNS = (
    "id",
    "scope",
    "mode",
    "window",
    "limit_usd",
    "spent_usd",
    "held_usd",
    "remaining_usd",
    "resets_at",
)
_AMOUNTS = ("limit_usd", "spent_usd", "held_usd", "remaining_usd")
_LEASES = ("holder", "state", "granted_usd", "spent_usd", "held_usd", "expires_at", "why")
_SUBJECTS = ("subject", "spent_usd", "held_usd", "remaining_usd", "resets_at")
_PERIODS = ("starts_at", "ends_at", "subject", "limit_usd", "spent_usd", "held_usd")


@click.group()
def budgets() -> None:
    """Create, list, show, update, raise and delete budgets; their history."""


@budgets.command(name="list")
@scope_options
@click.option("--all", "deleted", is_flag=True, help="Deleted budgets too.")
@store_options
@json_option
def list_budgets(*, deleted: bool, as_json: bool, **options: Any) -> None:
    """List the budgets, newest first, and how each stands now."""
    with opened(options) as there:
        with there.store.read() as tx:
            scope = scope_of(options, keys=there.keys, tx=tx)
        wanted = BudgetFilter(deleted=deleted)
        if scope is not None:
            wanted = BudgetFilter(kind=scope.kind, id=scope.id, deleted=deleted)
        found = list(_all(there, wanted))
    if as_json:
        print_json(found)
        return
    rows = [
        [scope_text(one) if name == "scope" else getattr(one, name) for name in _COLUMNS] for one in found
    ]
    print_table(_COLUMNS, rows, right=_AMOUNTS)


@budgets.command()
@click.argument("budget")
@click.option("--subject", help="Of a budget with the scope id `*`: which project, key, end user or model.")
@store_options
@json_option
def show(budget: str, *, subject: str | None, as_json: bool, **options: Any) -> None:
    """Show one budget, and where every held nano-dollar is."""
    with opened(options) as there, there.store.read() as tx:
        stored = there.budgets.get(tx, budget, deleted=True)
        found = detail(tx, stored, subject=subject, now=utc_now())
    if as_json:
        print_json(found)
        return
    _print_detail(found)


@budgets.command(name="history")
@click.argument("budget")
@click.option("--subject", help="Of a budget with the scope id `*`: which project, key, end user or model.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=DEFAULT_HISTORY, show_default=True)
@store_options
@json_option
def show_history(budget: str, *, subject: str | None, limit: int, as_json: bool, **options: Any) -> None:
    """Show the periods in which something was spent or held, the latest first; of a deleted budget too."""
    named = None if subject is None else check_subject(subject, field="subject")
    with opened(options) as there, there.store.read() as tx:
        stored = there.budgets.get(tx, budget, deleted=True)
        periods = [PeriodView.of(one) for one in history(tx, stored.budget, subject=named, limit=limit)]
    if as_json:
        print_json(periods)
        return
    print_table(
        _PERIODS,
        [[getattr(one, name) for name in _PERIODS] for one in periods],
        right=_PERIODS[3:],
    )


budgets.add_command(create)
budgets.add_command(update)
budgets.add_command(raise_limit)
budgets.add_command(delete)


def _all(there: Installation, wanted: BudgetFilter) -> Iterator[BudgetView]:
    after, now = None, utc_now()
    while True:
        with there.store.read() as tx:
            page = there.budgets.list(tx, limit=PAGE, after=after, wanted=wanted)
            for one in page:
                yield BudgetView.standing(one.budget, standing(tx, one.budget, "", at=now), **one.dates)
        if len(page) < PAGE:
            return
        after = (page[-1].created_at, page[-1].budget.id)


def _print_detail(found: BudgetDetail) -> None:
    fields = fields_of(found)
    leases, subjects = fields.pop("leases"), fields.pop("subjects")
    print_fields(fields.items())
    if leases:
        click.echo(f"\nHeld, {found.held_usd or 'by subject'} USD in all:")
        print_table(
            _LEASES,
            [[lease[name] for name in _LEASES] for lease in leases],
            right=("granted_usd", "spent_usd", "held_usd"),
        )
    if subjects:
        click.echo("\nEach by itself:" if len(subjects) < MOST_SUBJECTS else f"\nThe first {MOST_SUBJECTS}:")
        print_table(_SUBJECTS, [[one[name] for name in _SUBJECTS] for one in subjects], right=_SUBJECTS[1:4])
