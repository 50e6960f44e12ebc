"""`tollkeeper budgets create`, `update`, `raise` and `delete`: the same rules as the admin API."""

from datetime import datetime
from typing import Any

import click
from msgspec import UNSET
from sqlalchemy import Connection

from service.admin.parameters import instant_of
from service.budgets.registry import StoredBudget
from service.budgets.standings import standing
from service.budgets.values import (
    DEFAULT_THRESHOLDS,
    BudgetChanges,
    GivenRaise,
    GivenScope,
    NewBudget,
    parse_short,
)
from service.budgets.views import BudgetView
from service.cli.budget_options import fields_of, opened, scope_of, scope_options
from service.cli.options import json_option, list_of, store_options
from service.cli.output import print_fields, print_json
from service.cli.session import operator, utc_now
from service.errors import InvalidInputError
from service.keys.values import parse_duration
from service.reporting.intervals import time_zone

NONE = "none"
LIMIT_HELP = "USD, as a plain decimal number such as 10.00."
MODE_HELP = "hard refuses what does not fit; soft only counts and alerts."
MODELS_HELP = "Count only these models, separated by commas; `*` and `?` are wildcards"
ANCHOR_HELP = "Day on which it begins: of the month (1 to 31), or of the week (Monday is 1)."
THRESHOLDS_HELP = "Shares of the limit that alerts watch, separated by commas."


@click.command()
@click.argument("short", required=False, metavar="[LIMIT/WINDOW]")
@scope_options
@click.option("--limit", help=LIMIT_HELP)
@click.option("--window", help="hour, day, week, month or total.")
@click.option("--timezone", default="UTC", show_default=True, help="IANA time zone in which periods begin.")
@click.option("--anchor-day", type=int, default=1, show_default=True, help=ANCHOR_HELP)
@click.option("--mode", default="hard", show_default=True, help=MODE_HELP)
@click.option("--models", help=f"{MODELS_HELP}.")
@click.option("--thresholds", help=f"{THRESHOLDS_HELP} [default: 0.5,0.8,1]")
@store_options
@json_option
def create(*, short: str | None, as_json: bool, **options: Any) -> None:
    """Make a budget, such as: budgets create 10usd/month --project search."""
    limit, window = _amount(short, options)
    thresholds = options["thresholds"]
    with opened(options, create=True) as there, there.store.write() as tx:
        scope = scope_of(options, keys=there.keys, tx=tx)
        if scope is None:
            raise InvalidInputError(
                "say whose spending counts: --global, --project, --key, --end-user or --model", field="scope"
            )
        new = NewBudget(
            scope=GivenScope(scope.kind, scope.id),
            limit_usd=limit,
            window=window,
            timezone=options["timezone"],
            anchor_day=options["anchor_day"],
            mode=options["mode"],
            models=list_of(options["models"]),
            thresholds=DEFAULT_THRESHOLDS if thresholds is None else _shares(thresholds),
        )
        made = _view(tx, there.budgets.create(tx, new, by=operator()))
    _print(made, as_json=as_json)


@click.command()
@click.argument("budget")
@click.option("--limit", help=LIMIT_HELP)
@click.option("--timezone", help="IANA time zone; counts from the end of the running period.")
@click.option("--anchor-day", type=int, help=f"{ANCHOR_HELP} Counts from the end of the running period.")
@click.option("--mode", help=MODE_HELP)
@click.option("--models", help=f"{MODELS_HELP}; `none` for all.")
@click.option("--thresholds", help=THRESHOLDS_HELP)
@store_options
@json_option
def update(budget: str, *, as_json: bool, **options: Any) -> None:
    """Change what is given; the rest stays. A limit below what is spent refuses at once."""
    models, thresholds, anchor = options["models"], options["thresholds"], options["anchor_day"]
    changes = BudgetChanges(
        limit_usd=_given(options["limit"]),
        timezone=_given(options["timezone"]),
        anchor_day=_given(anchor),
        mode=_given(options["mode"]),
        models=UNSET if models is None else None if models == NONE else list_of(models),
        thresholds=UNSET if thresholds is None else list(_shares(thresholds)),
    )
    _change(budget, changes, options, as_json=as_json)


@click.command(name="raise")
@click.argument("budget")
@click.argument("amount", metavar="USD")
@click.option("--until", help="When the raise ends: 2d, or an instant such as 2030-01-31T00:00:00Z.")
@store_options
@json_option
def raise_limit(budget: str, amount: str, *, until: str | None, as_json: bool, **options: Any) -> None:
    """Allow so much more for a while; `none` in place of USD ends a raise before its time."""
    given = None
    if amount != NONE:
        if until is None:
            raise InvalidInputError(
                "raise.until is missing: say when it ends, with --until", field="raise.until"
            )
        given = GivenRaise(amount, _ahead(until))
    _change(budget, BudgetChanges(temporary_raise=given), options, as_json=as_json)


@click.command()
@click.argument("budget")
@store_options
@json_option
def delete(budget: str, *, as_json: bool, **options: Any) -> None:
    """Delete a budget: it refuses nothing any more. Its history stays."""
    with opened(options) as there, there.store.write() as tx:
        gone = _view(tx, there.budgets.delete(tx, budget, by=operator()))
    if as_json:
        print_json(gone)
    else:
        click.echo(f"{budget} is deleted; its history stays: tollkeeper budgets history {budget}")


def _change(budget: str, changes: BudgetChanges, options: dict[str, Any], *, as_json: bool) -> None:
    with opened(options) as there, there.store.write() as tx:
        changed = _view(tx, there.budgets.update(tx, budget, changes=changes, by=operator()))
    _print(changed, as_json=as_json)


def _amount(short: str | None, options: dict[str, Any]) -> tuple[str, str]:
    """Limit and window, as one short form or as two options."""
    limit, window = options["limit"], options["window"]
    if short is not None:
        if limit is not None or window is not None:
            raise InvalidInputError("give LIMIT/WINDOW, or --limit and --window, not both", field="budget")
        return parse_short(short)
    if limit is None or window is None:
        raise InvalidInputError("give a limit and a window, such as 10usd/month", field="budget")
    return limit, window


def _given(value: Any) -> Any:
    return UNSET if value is None else value


def _shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InvalidInputError(
            f"thresholds is {text[:50]!r}; write 0.5,0.8,1", field="thresholds"
        ) from error


def _ahead(text: str) -> datetime:
    now = utc_now()
    try:
        return now + parse_duration(text, field="raise.until")
    except InvalidInputError:
        return instant_of(text, field="raise.until", zone=time_zone("UTC"))
    except OverflowError as error:
        raise InvalidInputError(
            f"raise.until is {text!r}, which is too far ahead", field="raise.until"
        ) from error


def _view(tx: Connection, stored: StoredBudget) -> BudgetView:
    now = standing(tx, stored.budget, "", at=utc_now())
    return BudgetView.standing(stored.budget, now, **stored.dates)


def _print(view: BudgetView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        print_fields(fields_of(view).items())
