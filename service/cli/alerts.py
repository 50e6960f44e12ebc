"""`tollkeeper alerts`: rules, channels, what was raised, how people were told, tests and simulations."""

import logging
import os
import socket
import sys
import time
from typing import Any
from uuid import UUID

import click

from service import logs
from service.alerts import event_log
from service.alerts.event_log import Attempt, Delivery, DeliveryFilter, EventFilter, parse_id
from service.alerts.outbox import retry as send_again
from service.alerts.rules import Rule
from service.alerts.values import NewRule, rule_from
from service.audit.actor import Target
from service.cli import alert_rules
from service.cli.alert_channels import channels
from service.cli.alert_desk import Installation, channel_id, opened, operator, rule_fields, rule_options
from service.cli.options import json_option, store_options
from service.cli.output import print_fields, print_json, print_table
from service.cli.progress import progress_bar
from service.cli.session import utc_now
from service.cli.times import point_in_time
from service.errors import InvalidInputError
from service.reporting.intervals import Span, time_zone

PATIENCE_S = 60.0
DEFAULT_LIMIT = 50
MOST = 1_000
_EVENTS = ("id", "fired_at", "state", "severity", "rule_name", "summary")
_DELIVERIES = ("id", "created_at", "channel_name", "kind", "state", "attempts", "error")
_ATTEMPTS = ("number", "started_at", "duration_ms", "ok", "detail")
_RAISED = ("fired_at", "resolved_at", "severity", "subject", "summary")


@click.group()
def alerts() -> None:
    """Rules, channels, events and deliveries of alerts."""


alerts.add_command(alert_rules.rules)
alerts.add_command(channels)
for command in (
    alert_rules.create,
    alert_rules.list_rules,
    alert_rules.show,
    alert_rules.update,
    alert_rules.delete,
    alert_rules.mute,
    alert_rules.unmute,
    alert_rules.metrics,
):
    alerts.add_command(command)  # `alerts create` is `alerts rules create`


@alerts.command()
@click.argument("event", required=False)
@click.option("--state", help="pending, firing or resolved (default: the last two).")
@click.option("--severity", help="info, warning or critical.")
@click.option("--rule", help="Only of this rule (name or id).")
@click.option("--since", help="Since this instant or day, or 7d for seven days ago.")
@click.option("--limit", type=click.IntRange(1, MOST), default=DEFAULT_LIMIT, show_default=True)
@store_options
@json_option
def events(event: str | None, *, as_json: bool, **options: Any) -> None:
    """List what was raised, newest first; or show EVENT with its deliveries."""
    with opened(options) as there:
        if event is not None:
            _show_event(there, parse_id(event, what="an alert"), as_json=as_json)
            return
        wanted = EventFilter(
            state=options["state"],
            severity=options["severity"],
            rule_id=None if options["rule"] is None else _rule(there, options["rule"]).id,
            since=_instant(there, options["since"]),
        )
        with there.store.read() as tx:
            found = event_log.list_events(tx, wanted, limit=options["limit"])
    if as_json:
        print_json(found)
    else:
        print_table(_EVENTS, ([getattr(one, name) for name in _EVENTS] for one in found))


@alerts.command()
@click.argument("delivery", required=False)
@click.option("--state", help="waiting, sending, delivered or dead.")
@click.option("--channel", help="Only to this channel (name or id).")
@click.option("--limit", type=click.IntRange(1, MOST), default=DEFAULT_LIMIT, show_default=True)
@store_options
@json_option
def deliveries(delivery: str | None, *, as_json: bool, **options: Any) -> None:
    """List deliveries, newest first; or show DELIVERY with its attempts."""
    with opened(options) as there:
        if delivery is not None:
            _print_delivery(*_delivery(there, parse_id(delivery, what="a delivery")), as_json=as_json)
            return
        channel = None if options["channel"] is None else channel_id(there, options["channel"])
        wanted = DeliveryFilter(state=options["state"], channel_id=channel)
        with there.store.read() as tx:
            found = event_log.list_deliveries(tx, wanted, limit=options["limit"])
    if as_json:
        print_json(found)
    else:
        print_table(_DELIVERIES, ([getattr(one, name) for name in _DELIVERIES] for one in found))


@alerts.command()
@click.argument("delivery")
@store_options
@json_option
def retry(delivery: str, *, as_json: bool, **options: Any) -> None:
    """Send a delivery that was given up once more; the keeper does it at once."""
    identifier = parse_id(delivery, what="a delivery")
    with opened(options) as there:
        with there.store.write() as tx:
            send_again(tx, identifier, now=utc_now())
            target = Target("alert_delivery", str(identifier), str(identifier))
            there.desk.trail.record(
                tx, by=operator(), action="alert_delivery.retry", target=target, before=None, after={}
            )
        _print_delivery(*_delivery(there, identifier), as_json=as_json)


@alerts.command()
@click.argument("channel")
@store_options
@json_option
def test(channel: str, *, as_json: bool, **options: Any) -> None:
    """Send a test message to CHANNEL now and say what came of it; exit 1 if it was not taken."""
    logs.configure(level=logging.WARNING)
    with opened(options) as there:
        with there.store.write() as tx:
            found = there.desk.channels.find(tx, channel)
            delivery = there.desk.put_test(tx, found.id, by=operator())
        _send(there, delivery)
        stands, log = _delivery(there, delivery)
    _print_delivery(stands, log, as_json=as_json)
    if stands.state != "delivered":
        sys.exit(1)


@alerts.command()
@click.argument("rule", required=False)
@click.option("--metric", help="Simulate a rule that is not made yet.")
@rule_options
@click.option("--since", default="30d", show_default=True, help="Instant, day, or 30d for thirty days ago.")
@click.option("--until", help="Instant or day, exclusive (default: now).")
@store_options
@json_option
def simulate(rule: str | None, *, metric: str | None, as_json: bool, **options: Any) -> None:
    """When RULE, or a rule of the given fields, would have fired on stored history."""
    from service.alerts.simulation import simulate as run

    if (rule is None) == (metric is None):
        raise InvalidInputError("name a rule, or give --metric", field="rule")
    with opened(options) as there, progress_bar("Going through history") as progress:
        tried = _rule(there, rule) if rule is not None else _new_rule(there, str(metric), options)
        since = _instant(there, options["since"])
        assert since is not None  # it has a default
        span = Span(since, _instant(there, options["until"]) or utc_now())
        zone = time_zone(there.settings.accounting.reporting_timezone)
        found = run(there.store, tried, span=span, zone=zone, progress=progress)
    if as_json:
        print_json({"rule": tried.name, "since": span.since, "until": span.until, "data": found})
        return
    if found:
        print_table(_RAISED, ([getattr(one, name) for name in _RAISED] for one in found))
    click.echo(f"{tried.name} would have fired {len(found)} times.", err=True)


def _rule(there: Installation, text: str) -> Rule:
    with there.store.read() as tx:
        return there.desk.rules.find(tx, text)


def _new_rule(there: Installation, metric: str, options: dict[str, Any]) -> Rule:
    values = NewRule(name=metric, metric=metric, **rule_fields(options, there)).checked()
    now = utc_now()
    dates = {"created_at": now, "updated_at": now, "deleted_at": None, "muted_until": None}
    return rule_from({"id": "", **values, **dates})


def _instant(there: Installation, text: str | None) -> Any:
    if text is None:
        return None
    zone = time_zone(there.settings.accounting.reporting_timezone)
    return point_in_time(text, field="--since", zone=zone, now=utc_now())


def _send(there: Installation, delivery: UUID) -> None:
    """Deliver it from this process; a keeper that was faster has done it."""
    from service.alerts.channels.opening import ChannelOpener
    from service.alerts.channels.posting import Poster
    from service.alerts.courier import Courier, CourierClock

    poster = Poster(there.desk.channels.guard, monotonic=time.monotonic)
    courier = Courier(
        there.store,
        there.desk.outbox,
        opener=ChannelOpener(there.desk.channels, poster=poster),
        clock=CourierClock(utc_now, time.monotonic),
        name=f"{socket.gethostname()}:{os.getpid()}:test",
    )
    courier.deliver(delivery)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        courier.give_up_slow()
        with there.store.read() as tx:
            stands = event_log.get_delivery(tx, delivery)[0]
        if stands.state != "sending" and stands.attempts:
            return
        time.sleep(0.05)


def _delivery(there: Installation, delivery: UUID) -> tuple[Delivery, list[Attempt]]:
    with there.store.read() as tx:
        return event_log.get_delivery(tx, delivery)


def _show_event(there: Installation, event: UUID, *, as_json: bool) -> None:
    with there.store.read() as tx:
        found = event_log.get_event(tx, event)
        sent = event_log.list_deliveries(tx, DeliveryFilter(event_id=event), limit=MOST)
    if as_json:
        print_json({**{name: getattr(found, name) for name in found.__struct_fields__}, "deliveries": sent})
        return
    print_fields((name, getattr(found, name)) for name in found.__struct_fields__)
    click.echo()
    print_table(_DELIVERIES, ([getattr(one, name) for name in _DELIVERIES] for one in sent))


def _print_delivery(delivery: Delivery, log: list[Attempt], *, as_json: bool) -> None:
    if as_json:
        print_json({**{name: getattr(delivery, name) for name in delivery.__struct_fields__}, "log": log})
        return
    print_fields((name, getattr(delivery, name)) for name in delivery.__struct_fields__)
    click.echo()
    print_table(_ATTEMPTS, ([getattr(one, name) for name in _ATTEMPTS] for one in log))
