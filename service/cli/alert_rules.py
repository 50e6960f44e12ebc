"""`tollkeeper alerts rules`: what is watched. Where a command takes RULE, an id or an unambiguous name will do."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from service.alerts.metrics import METRICS
from service.alerts.registry import mute_until
from service.alerts.rules import Rule
from service.alerts.values import NewRule, RuleChanges
from service.alerts.views import RuleView
from service.cli.alert_desk import Installation, opened, operator, rule_fields, rule_options
from service.cli.options import json_option, store_options
from service.cli.output import print_fields, print_json, print_table
from service.cli.session import utc_now
from service.cli.times import point_in_time
from service.reporting.intervals import time_zone

PAGE = 500
_COLUMNS = ("id", "name", "metric", "group_by", "window", "warning", "critical", "muted_until")


@click.group()
def rules() -> None:
    """Create, list, show, update and delete alert rules."""


@click.command()
@click.option("--name", required=True, help="What to call the rule; it stands in every message.")
@click.option("--metric", required=True, help="What it watches; see: tollkeeper alerts metrics.")
@rule_options
@store_options
@json_option
def create(*, as_json: bool, **options: Any) -> None:
    """Make a rule. What is left out comes from the metric."""
    with opened(options, create=True) as there:
        fields = rule_fields(options, there)
        new = NewRule(name=options["name"], metric=options["metric"], **fields)
        with there.store.write() as tx:
            made = there.desk.rules.create(tx, new, by=operator())
    _print(made, as_json=as_json)


@click.command(name="list")
@store_options
@json_option
def list_rules(*, as_json: bool, **options: Any) -> None:
    """List the rules, newest first."""
    with opened(options) as there:
        found = [RuleView.of(rule) for rule in _all(there)]
    if as_json:
        print_json(found)
        return
    print_table(_COLUMNS, ([_cell(getattr(one, name)) for name in _COLUMNS] for one in found))


@click.command()
@click.argument("rule")
@store_options
@json_option
def show(rule: str, *, as_json: bool, **options: Any) -> None:
    """Show one rule."""
    with opened(options) as there, there.store.read() as tx:
        found = there.desk.rules.find(tx, rule)
    _print(found, as_json=as_json)


@click.command()
@click.argument("rule")
@click.option("--name", help="A new name.")
@rule_options
@store_options
@json_option
def update(rule: str, *, as_json: bool, **options: Any) -> None:
    """Change what is given; `none` takes the metric's default."""
    with opened(options) as there:
        fields = rule_fields(options, there)
        if options["name"] is not None:
            fields["name"] = options["name"]
        with there.store.write() as tx:
            found = there.desk.rules.find(tx, rule)
            changed = there.desk.rules.update(tx, found.id, changes=RuleChanges(**fields), by=operator())
    _print(changed, as_json=as_json)


@click.command()
@click.argument("rule")
@store_options
@json_option
def delete(rule: str, *, as_json: bool, **options: Any) -> None:
    """Delete a rule. Its alerts end; what it raised stays in the log."""
    with opened(options) as there, there.store.write() as tx:
        found = there.desk.rules.find(tx, rule)
        there.desk.rules.delete(tx, found.id, by=operator())
    _print(found, as_json=as_json)


@click.command()
@click.argument("rule")
@click.option("--for", "duration", help="How long, such as 2h.")
@click.option("--until", help="Until this instant or day.")
@store_options
@json_option
def mute(rule: str, *, duration: str | None, until: str | None, as_json: bool, **options: Any) -> None:
    """Tell nobody for a while. What still lasts then is told."""
    now = utc_now()
    with opened(options) as there:
        zone = time_zone(there.settings.accounting.reporting_timezone)
        at = None if until is None else point_in_time(until, field="--until", zone=zone, now=now)
        end: datetime = mute_until(duration, at, now=now)
        with there.store.write() as tx:
            found = there.desk.rules.find(tx, rule)
            muted = there.desk.rules.mute(tx, found.id, until=end, by=operator())
    _print(muted, as_json=as_json)


@click.command()
@click.argument("rule")
@store_options
@json_option
def unmute(rule: str, *, as_json: bool, **options: Any) -> None:
    """End the silence of a rule now."""
    with opened(options) as there, there.store.write() as tx:
        found = there.desk.rules.find(tx, rule)
        changed = there.desk.rules.unmute(tx, found.id, by=operator())
    _print(changed, as_json=as_json)


@click.command()
@json_option
def metrics(*, as_json: bool) -> None:
    """What rules can watch, and what holds where they do not say."""
    names = ("name", "unit", "window", "warning", "critical", "min_requests", "says")
    rows = [{name: getattr(metric, name) for name in names} for metric in METRICS.values()]
    if as_json:
        print_json(rows)
        return
    print_table(names, ([_cell(value) for value in row.values()] for row in rows))


for command in (create, list_rules, show, update, delete, mute, unmute):
    rules.add_command(command)


def _all(there: Installation) -> Iterator[Rule]:
    after = None
    while True:
        with there.store.read() as tx:
            page = there.desk.rules.list(tx, limit=PAGE, after=after)
        yield from page
        if len(page) < PAGE:
            return
        after = (page[-1].created_at, page[-1].id)


def _print(rule: Rule, *, as_json: bool) -> None:
    view = RuleView.of(rule)
    if as_json:
        print_json(view)
        return
    print_fields((name, _cell(getattr(view, name))) for name in view.__struct_fields__)


def _cell(value: Any) -> Any:
    """A number as it was given: 0.05 is not 0.1."""
    return f"{value:g}" if isinstance(value, float) else value
