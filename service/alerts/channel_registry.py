"""Channels in the store: create, list, show, update, rotate, delete; and opened, to send through them.

Methods take the caller's transaction and never commit; each change is audited in it, without what is secret. A deleted
channel stays for its deliveries, without its secrets.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, tuple_, update

from service.alerts.channel_values import ChannelKind, Prepared, PreparedChanges
from service.alerts.channels import webhook
from service.alerts.channels.addresses import AddressGuard
from service.alerts.vault import Config, Vault
from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.errors import InvalidInputError, NotFoundError
from service.keys.ids import sortable_id
from service.keys.token import RandomBytes
from service.store.alert_tables import alert_channel
from service.store.revision import lock_revision

OVERLAP = timedelta(hours=24)
_CHANNEL = alert_channel.c
_ID = re.compile(r"chn_[0-9A-Za-z]{1,36}", re.ASCII)
_ALIVE = _CHANNEL.deleted_at.is_(None)


class ChannelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as it may be shown."""

    id: str
    name: str
    kind: ChannelKind
    target: str
    created_at: datetime
    updated_at: datetime


class ChannelRegistry:
    """The channels of a store. *now* is the wall clock (UTC)."""

    def __init__(
        self,
        vault: Vault,
        *,
        guard: AddressGuard,
        now: Callable[[], datetime],
        random_bytes: RandomBytes,
        trail: AuditTrail,
    ) -> None:
        self._vault = vault
        self._now = now
        self._trail = trail
        self.guard = guard
        self.random_bytes = random_bytes

    def create(self, tx: Connection, new: Prepared, *, by: Actor) -> ChannelRecord:
        """A new channel, judged by `channel_values.prepared` before the transaction began."""
        lock_revision(tx)
        now = self._now()
        channel_id = sortable_id("chn_", now=now, random_bytes=self.random_bytes)
        sealed = self._vault.seal(tx, new.config)
        values = {"name": new.name, "kind": new.kind, "target": new.target[:400], "sealed": sealed}
        tx.execute(insert(alert_channel).values(id=channel_id, **values, created_at=now, updated_at=now))
        made = self.get(tx, channel_id)
        self._record(tx, "alert_channel.create", made, before=None, after=_shown(made), by=by)
        return made

    def get(self, tx: Connection, channel_id: str) -> ChannelRecord:
        """The channel with this id."""
        return _record_from(_row(tx, channel_id))

    def find(self, tx: Connection, id_or_name: str) -> ChannelRecord:
        """The channel with this id, or the only one with this name."""
        if _ID.fullmatch(id_or_name):
            return self.get(tx, id_or_name)
        if not id_or_name.isprintable():
            raise NotFoundError("no channel has such a name")
        query = select(alert_channel).where(_ALIVE, _CHANNEL.name == id_or_name).limit(2)
        found = [_record_from(row) for row in tx.execute(query).mappings()]
        if len(found) > 1:
            raise InvalidInputError(
                f"several channels are named {id_or_name!r}; give the id", field="channel"
            )
        if not found:
            raise NotFoundError(
                f"no channel has the id or name {id_or_name[:200]!r}; see: tollkeeper alerts channels list"
            )
        return found[0]

    def list(
        self, tx: Connection, *, limit: int, after: tuple[datetime, str] | None = None
    ) -> list[ChannelRecord]:
        """Newest first; *after* is `created_at` and `id` of the last channel of the page before."""
        order = (_CHANNEL.created_at, _CHANNEL.id)
        query = (
            select(alert_channel).where(_ALIVE).order_by(*(column.desc() for column in order)).limit(limit)
        )
        if after is not None:
            query = query.where(tuple_(*order) < tuple_(*after, types=[column.type for column in order]))
        return [_record_from(row) for row in tx.execute(query).mappings()]

    def update(
        self, tx: Connection, channel_id: str, *, changes: PreparedChanges, by: Actor
    ) -> ChannelRecord:
        """Change what *changes* holds, which `prepared_changes` judged before the transaction began."""
        lock_revision(tx)
        row = _row(tx, channel_id)
        values: dict[str, Any] = {"updated_at": self._now()}
        if changes.name is not None:
            values["name"] = changes.name
        if changes.target is not None:
            values["target"] = changes.target[:400]
        if changes.config:
            config = self._vault.open(tx, bytes(row["sealed"]))
            values["sealed"] = self._vault.seal(tx, config | changes.config)
        tx.execute(update(alert_channel).where(_CHANNEL.id == channel_id).values(**values))
        after = self.get(tx, channel_id)
        shown = {**_shown(after), "changed": sorted(changes.config)}
        self._record(tx, "alert_channel.update", after, before=_shown(_record_from(row)), after=shown, by=by)
        return after

    def rotate(self, tx: Connection, channel_id: str, *, by: Actor) -> tuple[ChannelRecord, str]:
        """A new secret for a webhook, which is returned once; the old one signs too for a day."""
        lock_revision(tx)
        row = _row(tx, channel_id)
        if row["kind"] != "webhook":
            raise InvalidInputError("only a webhook has a secret to be replaced", field="channel")
        now = self._now()
        config = self._vault.open(tx, bytes(row["sealed"]))
        secret = webhook.new_secret(self.random_bytes(webhook.SECRET_BYTES))
        until = (now + OVERLAP).isoformat()
        kept = [{"text": one["text"], "until": until} for one in _valid(config, now=now)[:1]]
        config["secrets"] = [{"text": secret, "until": None}, *kept]
        values = {"sealed": self._vault.seal(tx, config), "updated_at": now}
        tx.execute(update(alert_channel).where(_CHANNEL.id == channel_id).values(**values))
        found = self.get(tx, channel_id)
        self._record(tx, "alert_channel.rotate", found, before={}, after={}, by=by)
        return found, secret

    def delete(self, tx: Connection, channel_id: str, *, by: Actor) -> None:
        """End the channel and forget its secrets; what still waits for it is given up."""
        lock_revision(tx)
        found = self.get(tx, channel_id)
        self._record(tx, "alert_channel.delete", found, before=_shown(found), after=None, by=by)
        values = {"deleted_at": self._now(), "sealed": self._vault.seal(tx, {})}
        tx.execute(update(alert_channel).where(_CHANNEL.id == channel_id).values(**values))

    def rekey(self, tx: Connection, *, by: Actor) -> int:
        """Encrypt every channel under a new key; returns how many there are."""
        count = self._vault.rotate(tx)
        target = Target("alert_channel", "all", "all")
        after = {"channels": count}
        self._trail.record(tx, by=by, action="alert_channel.rekey", target=target, before=None, after=after)
        return count

    def config(self, tx: Connection, channel_id: str) -> tuple[ChannelRecord, Config]:
        """The channel and what it is made of, to send through it; a webhook's secrets are those that sign now."""
        row = _row(tx, channel_id)
        config = self._vault.open(tx, bytes(row["sealed"]))
        if row["kind"] == "webhook":
            config["secrets"] = [one["text"] for one in _valid(config, now=self._now())]
        return _record_from(row), config

    def _record(
        self,
        tx: Connection,
        action: str,
        channel: ChannelRecord,
        *,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        by: Actor,
    ) -> None:
        target = Target("alert_channel", channel.id, channel.name)
        self._trail.record(tx, by=by, action=action, target=target, before=before, after=after)


def _valid(config: Config, *, now: datetime) -> list[dict[str, Any]]:
    """The secrets that have not ended, the newest first."""
    return [
        one for one in config["secrets"] if one["until"] is None or now < datetime.fromisoformat(one["until"])
    ]


def _row(tx: Connection, channel_id: str) -> RowMapping:
    row = None
    if _ID.fullmatch(channel_id):
        query = select(alert_channel).where(_CHANNEL.id == channel_id, _ALIVE)
        row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFoundError(
            f"no channel has the id {channel_id[:100]!r}; see: tollkeeper alerts channels list"
        )
    return row


def _record_from(row: RowMapping) -> ChannelRecord:
    return ChannelRecord(**{name: row[name] for name in ChannelRecord.__struct_fields__})


def _shown(channel: ChannelRecord) -> dict[str, Any]:
    """What the audit log keeps: nothing that is sealed."""
    return {"name": channel.name, "kind": channel.kind, "target": channel.target}
