"""Channels in the store: sealed, masked wherever they are shown, audited without their secrets."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from service.alerts.channel_registry import OVERLAP
from service.alerts.channel_values import ChannelChanges, NewChannel, prepared, prepared_changes
from service.alerts.channels.addresses import AddressGuard
from service.alerts.vault import Vault, generation_of
from service.alerts.views import ChannelView
from service.errors import ConfigurationError, InvalidInputError, NotFoundError
from service.store.alert_tables import alert_channel
from service.store.engine import Store
from tests.support.alert_town import Town
from tests.support.audit import TESTER, audited

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops"
KEY = "0123456789abcdef0123456789abcdef"
PUBLIC = AddressGuard(resolve=lambda _host, _port: ["8.8.8.8"])
SECRETS = ("TIiajkdnlazkcOXrIdevi7FQ", "t0ken", KEY, "whsec_")


def everything(store: Store) -> str:
    """Every value of every table, as text."""
    with store.read() as tx:
        tables = ("alert_channel", "alert_rule", "alert_delivery", "audit_entry", "store_fact")
        return "".join(repr(tx.execute(text(f"SELECT * FROM {name}")).all()) for name in tables)


@pytest.fixture
def three(town: Town) -> dict[str, str]:
    town.desk.channels.guard = PUBLIC
    return {
        "chat": town.channel("chat", url=SLACK)[0],
        "hook": town.channel("hook", url="https://hooks.example/t0ken?key=t0ken")[0],
        "page": town.channel("page", routing_key=KEY)[0],
    }


def test_no_secret_stands_in_the_store(town: Town, three: dict[str, str]) -> None:
    assert three
    found = everything(town.store)
    assert [secret for secret in SECRETS if secret in found] == []


def test_what_is_shown_is_masked(town: Town, three: dict[str, str]) -> None:
    with town.store.read() as tx:
        shown = {name: town.desk.channels.get(tx, channel) for name, channel in three.items()}
    assert {name: (one.kind, one.target) for name, one in shown.items()} == {
        "chat": ("apprise", "slack://********"),
        "hook": ("webhook", "https://hooks.example/********"),
        "page": ("pagerduty", "https://events.pagerduty.com/********"),
    }
    assert "sealed" not in ChannelView.__struct_fields__


def test_what_is_opened_is_what_was_given(town: Town, three: dict[str, str]) -> None:
    with town.store.read() as tx:
        assert town.desk.channels.config(tx, three["chat"])[1] == {"url": SLACK}
        assert town.desk.channels.config(tx, three["page"])[1]["routing_key"] == KEY
        hook = town.desk.channels.config(tx, three["hook"])[1]
    assert hook["url"] == "https://hooks.example/t0ken?key=t0ken"
    assert [secret[:6] for secret in hook["secrets"]] == ["whsec_"]


def test_values_on_their_way_do_not_show_secrets() -> None:
    for value in (
        NewChannel(name="chat", url=SLACK, secret="whsec_abc", routing_key=KEY),
        prepared(NewChannel(name="chat", url=SLACK), guard=PUBLIC, random_bytes=bytes),
        ChannelChanges(url=SLACK),
        prepared_changes("apprise", ChannelChanges(url=SLACK), guard=PUBLIC),
        Vault(b"root" * 8),
    ):
        assert [secret for secret in (*SECRETS, "root") if secret in repr(value)] == []


def test_a_change_leaves_the_rest(town: Town, three: dict[str, str]) -> None:
    changes = prepared_changes(
        "webhook", ChannelChanges(name="hook 2", url="https://other.example/t0ken"), guard=PUBLIC
    )
    with town.store.write() as tx:
        before = town.desk.channels.config(tx, three["hook"])[1]
        changed = town.desk.channels.update(tx, three["hook"], changes=changes, by=TESTER)
        after = town.desk.channels.config(tx, three["hook"])[1]
        renamed = prepared_changes("log", ChannelChanges(name="Chat"), guard=PUBLIC)
        assert town.desk.channels.update(tx, three["chat"], changes=renamed, by=TESTER).name == "Chat"
        keyed = prepared_changes("pagerduty", ChannelChanges(routing_key=KEY[::-1]), guard=PUBLIC)
        town.desk.channels.update(tx, three["page"], changes=keyed, by=TESTER)
        assert town.desk.channels.config(tx, three["page"])[1]["routing_key"] == KEY[::-1]
    assert (changed.name, changed.target) == ("hook 2", "https://other.example/********")
    assert after == {**before, "url": "https://other.example/t0ken"}
    entry = audited(town.store, "alert_channel.update", trail=town.trail)[0]
    assert entry.after is not None
    assert entry.after["changed"] == ["url"]
    assert "t0ken" not in everything(town.store)


def test_a_new_secret_signs_beside_the_old_one_for_a_day(town: Town, three: dict[str, str]) -> None:
    def signing() -> list[str]:
        with town.store.read() as tx:
            found: list[str] = town.desk.channels.config(tx, three["hook"])[1]["secrets"]
            return found

    (first,) = signing()
    with town.store.write() as tx:
        _, second = town.desk.channels.rotate(tx, three["hook"], by=TESTER)
    assert signing() == [second, first]
    town.pass_time(OVERLAP - timedelta(seconds=1))
    assert signing() == [second, first]
    town.pass_time(timedelta(seconds=1))
    assert signing() == [second]
    with town.store.write() as tx:
        _, third = town.desk.channels.rotate(tx, three["hook"], by=TESTER)
    assert signing() == [third, second]
    with pytest.raises(InvalidInputError, match="only a webhook has a secret"), town.store.write() as tx:
        town.desk.channels.rotate(tx, three["chat"], by=TESTER)


def test_a_deleted_channel_keeps_no_secret(town: Town, three: dict[str, str]) -> None:
    with town.store.write() as tx:
        town.desk.channels.delete(tx, three["hook"], by=TESTER)
        sealed = tx.execute(
            select(alert_channel.c.sealed).where(alert_channel.c.id == three["hook"])
        ).scalar_one()
        assert Vault(town.desk.channels._vault._root).open(tx, bytes(sealed)) == {}
        with pytest.raises(NotFoundError):
            town.desk.channels.get(tx, three["hook"])


def test_everything_can_be_sealed_anew(town: Town, three: dict[str, str]) -> None:
    def sealed() -> dict[str, bytes]:
        with town.store.read() as tx:
            rows = tx.execute(select(alert_channel.c.id, alert_channel.c.sealed))
            return {row.id: bytes(row.sealed) for row in rows}

    before = sealed()
    for number in (2, 3):
        with town.store.write() as tx:
            assert town.desk.channels.rekey(tx, by=TESTER) == 3
            assert generation_of(tx) == number
    assert not set(before.values()) & set(sealed().values())
    with town.store.read() as tx:
        assert town.desk.channels.config(tx, three["chat"])[1] == {"url": SLACK}
    late = town.channel("late", kind="log")[0]
    with town.store.read() as tx:
        assert town.desk.channels.config(tx, late)[1] == {}


def test_another_root_secret_opens_nothing(town: Town, three: dict[str, str]) -> None:
    with town.store.read() as tx:
        sealed = tx.execute(
            select(alert_channel.c.sealed).where(alert_channel.c.id == three["chat"])
        ).scalar_one()
        with pytest.raises(ConfigurationError, match="was made with another secret key"):
            Vault(b"another root secret").open(tx, bytes(sealed))


def test_pages_and_names(town: Town, three: dict[str, str]) -> None:
    channels = town.desk.channels
    with town.store.read() as tx:
        first = channels.list(tx, limit=2)
        rest = channels.list(tx, limit=2, after=(first[-1].created_at, first[-1].id))
        assert {one.id for one in (*first, *rest)} == set(three.values())
        assert channels.find(tx, "chat").id == channels.find(tx, three["chat"]).id
        for name in ("absent", "chn_absent", "a\x00b"):
            with pytest.raises(NotFoundError):
                channels.find(tx, name)
    town.channel("chat", kind="log")
    with town.store.read() as tx, pytest.raises(InvalidInputError, match="several channels are named 'chat'"):
        channels.find(tx, "chat")


@pytest.mark.parametrize(
    ("fields", "kind", "target"),
    [
        ({"url": SLACK}, "apprise", "slack://********"),
        ({"url": "https://hooks.slack.com/services/T1/A1/abc"}, "apprise", "slack://********"),
        ({"url": "https://hooks.example/x"}, "webhook", "https://hooks.example/********"),
        (
            {"kind": "webhook", "url": "https://hooks.slack.com/x"},
            "webhook",
            "https://hooks.slack.com/********",
        ),
        ({"routing_key": KEY}, "pagerduty", "https://events.pagerduty.com/********"),
        (
            {"routing_key": KEY, "url": "https://events.eu.pagerduty.com/v2/enqueue"},
            "pagerduty",
            "https://events.eu.pagerduty.com/********",
        ),
        ({"kind": "log"}, "log", "log"),
    ],
)
def test_the_kind_follows_from_what_is_given(fields: dict[str, Any], kind: str, target: str) -> None:
    found = prepared(NewChannel(name="a", **fields), guard=PUBLIC, random_bytes=bytes)
    assert (found.kind, found.target) == (kind, target)
    assert (found.signing_secret is not None) == (kind == "webhook")


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({}, "kind", "kind is missing"),
        ({"kind": "pigeon"}, "kind", "kind is 'pigeon'; use one of apprise, webhook, pagerduty, log"),
        ({"kind": "webhook"}, "url", "url is missing"),
        ({"kind": "log", "url": "https://x.example"}, "url", "the kind log has none"),
        ({"kind": "apprise", "url": SLACK, "secret": "whsec_x"}, "secret", "the kind apprise has none"),
        ({"kind": "webhook", "url": "https://x.example", "routing_key": KEY}, "routing_key", "has none"),
        ({"url": "file:///etc/passwd"}, "url", "the scheme 'file' is not allowed"),
        ({"url": "json://10.0.0.1/x"}, "url", "the scheme 'json' is not allowed"),
        ({"kind": "webhook", "url": "slack://x"}, "url", "a webhook needs https://"),
        ({"url": "https://x.example", "secret": "short"}, "secret", "secret must be whsec_"),
        ({"kind": "pagerduty", "routing_key": "short"}, "routing_key", "32 characters"),
        ({"kind": "pagerduty"}, "routing_key", "32 characters"),
        ({"kind": "apprise", "url": SLACK + " x"}, "url", "character that no URL has"),
        ({"kind": "log", "name": " "}, "name", "printable"),
    ],
)
def test_a_bad_channel_is_refused_by_the_name_of_its_field(
    fields: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(InvalidInputError, match=reason) as refused:
        prepared(NewChannel(**{"name": "a", **fields}), guard=PUBLIC, random_bytes=bytes)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://internal.example/t0ken"},
        {"url": "https://10.0.0.5/t0ken"},
        {"url": "https://169.254.169.254/latest/meta-data"},
        {"url": "https://[::ffff:10.0.0.5]/t0ken"},
        {"url": "http://localhost:8080/t0ken"},
        {"url": "mailto://me:t0ken@mail.internal?to=a@b.example"},
        {"url": "mmosts://chat.internal/t0ken"},
        {"routing_key": KEY, "url": "https://10.0.0.5/v2/enqueue"},
    ],
)
def test_an_address_inside_is_refused_and_named(fields: dict[str, Any]) -> None:
    guard = AddressGuard(resolve=lambda _host, _port: ["10.0.0.5"])
    with pytest.raises(InvalidInputError, match=r"alerts\.allowed_networks") as refused:
        prepared(NewChannel(name="a", **fields), guard=guard, random_bytes=bytes)
    assert refused.value.field == "url"
    assert "t0ken" not in str(refused.value)


def test_plain_http_is_for_addresses_inside_only() -> None:
    with pytest.raises(InvalidInputError, match="only called over https"):
        prepared(NewChannel(name="a", url="http://hooks.example"), guard=PUBLIC, random_bytes=bytes)
    inside = AddressGuard(["10.0.0.0/8"], resolve=lambda _host, _port: ["10.0.0.5"])
    found = prepared(NewChannel(name="a", url="http://hooks.internal/x"), guard=inside, random_bytes=bytes)
    assert found.target == "http://hooks.internal/********"


def test_a_name_without_an_address_yet_is_taken_and_judged_later() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    guard = AddressGuard(resolve=unknown)
    found = prepared(NewChannel(name="a", url="https://later.example/x"), guard=guard, random_bytes=bytes)
    assert found.target == "https://later.example/********"


def test_changes_have_to_fit_the_kind() -> None:
    with pytest.raises(InvalidInputError, match="the log has none"):
        prepared_changes("log", ChannelChanges(url="https://x.example"), guard=PUBLIC)
    with pytest.raises(InvalidInputError, match="the kind webhook has none"):
        prepared_changes("webhook", ChannelChanges(routing_key=KEY), guard=PUBLIC)
