"""What may be given for a channel, and what of it may be shown.

`prepared` judges everything, the addresses too, before a transaction begins: it may ask the name server. What it gives
goes into the store sealed; only `target` is ever shown.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from service.alerts.channels import pagerduty, services, webhook
from service.alerts.channels.addresses import AddressGuard, UnknownHostError
from service.alerts.channels.outcome import DeliveryFailedError
from service.alerts.channels.posting import URL_LENGTH, parse, refuse_plain
from service.alerts.vault import Config
from service.errors import InvalidInputError
from service.keys.values import check_name
from service.settings.secret import MASK

ChannelKind = Literal["apprise", "webhook", "pagerduty", "log"]
KINDS: Mapping[str, ChannelKind] = {
    "apprise": "apprise",
    "webhook": "webhook",
    "pagerduty": "pagerduty",
    "log": "log",
}
_ROUTING_KEY = re.compile(r"[0-9A-Za-z]{32}", re.ASCII)


class NewChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new channel is made of. *kind* may be left out where *url* tells it; a webhook's *secret* is made."""

    name: str
    kind: str | None = None
    url: str | None = None
    secret: str | None = None
    routing_key: str | None = None

    def __repr__(self) -> str:
        return f"NewChannel(name={self.name!r}, kind={self.kind!r}, ********)"


class ChannelChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes on a channel; UNSET fields stay. Its kind stays: make another."""

    name: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    routing_key: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return "ChannelChanges(********)"


class Prepared(msgspec.Struct, frozen=True):
    """A judged channel. *config* is secret, *target* may be shown."""

    name: str
    kind: ChannelKind
    target: str
    config: Config

    @property
    def signing_secret(self) -> str | None:
        """What a webhook's receiver needs; shown once."""
        return self.config["secrets"][0]["text"] if self.kind == "webhook" else None

    def __repr__(self) -> str:
        return f"Prepared({self.name!r}, {self.kind!r}, {self.target!r}, ********)"


class PreparedChanges(msgspec.Struct, frozen=True):
    """Judged changes of a channel; None stays. *config* is secret."""

    name: str | None
    target: str | None
    config: Config

    def __repr__(self) -> str:
        return f"PreparedChanges({self.name!r}, {self.target!r}, ********)"


def prepared(new: NewChannel, *, guard: AddressGuard, random_bytes: Callable[[int], bytes]) -> Prepared:
    """The channel, or a refusal with the name of the field; no refusal repeats a secret."""
    check_name(new.name, field="name")
    kind = _kind(new)
    _refuse_others(new, kind=kind)
    match kind:
        case "apprise":
            url = _url(new)
            return Prepared(new.name, kind, check_apprise(url, guard=guard), {"url": url})
        case "webhook":
            url = _url(new)
            secret = new.secret or webhook.new_secret(random_bytes(webhook.SECRET_BYTES))
            webhook.secret_bytes(secret)
            config = {"url": url, "secrets": [{"text": secret, "until": None}]}
            return Prepared(new.name, kind, check_post(url, guard=guard), config)
        case "pagerduty":
            url = new.url or pagerduty.URL
            key = check_routing_key(new.routing_key)
            config = {"url": url, "routing_key": key}
            return Prepared(new.name, kind, check_post(url, guard=guard), config)
        case _:
            return Prepared(new.name, kind, "log", {})


def check_apprise(url: str, *, guard: AddressGuard) -> str:
    """What may be shown of a URL of apprise, if it may be used."""
    _check_text(url)
    service = services.service_of(url)
    for host in service.hosts:
        _check_host(host, 443, guard=guard)
    return service.target


def check_post(url: str, *, guard: AddressGuard) -> str:
    """What may be shown of a URL that is posted to, if it may be used: its host; its path may be a secret."""
    place = parse(url)
    address = _check_host(place.host, place.port, guard=guard)
    if address is not None:
        try:
            refuse_plain(place, address=address, guard=guard)
        except DeliveryFailedError as error:
            raise InvalidInputError(str(error), field="url") from error
    return f"{place.scheme}://{place.authority}/{MASK}"


def check_routing_key(text: str | None) -> str:
    """An integration key of PagerDuty's Events API v2."""
    if text is None or not _ROUTING_KEY.fullmatch(text):
        raise InvalidInputError(
            "routing_key must be the 32 characters of an integration key of Events API v2",
            field="routing_key",
        )
    return text


def prepared_changes(kind: ChannelKind, changes: ChannelChanges, *, guard: AddressGuard) -> PreparedChanges:
    """The changes, judged, for a channel of this kind."""
    config: Config = {}
    name = target = None
    if changes.name is not UNSET:
        check_name(changes.name, field="name")
        name = changes.name
    if changes.url is not UNSET:
        if kind == "log":
            raise InvalidInputError("url: the log has none", field="url")
        check = check_apprise if kind == "apprise" else check_post
        target = check(changes.url, guard=guard)
        config["url"] = changes.url
    if changes.routing_key is not UNSET:
        if kind != "pagerduty":
            raise InvalidInputError(
                f"routing_key: a channel of the kind {kind} has none", field="routing_key"
            )
        config["routing_key"] = check_routing_key(changes.routing_key)
    return PreparedChanges(name, target, config)


def _kind(new: NewChannel) -> ChannelKind:
    if new.kind is not None:
        if new.kind not in KINDS:
            raise InvalidInputError(f"kind is {new.kind[:50]!r}; use one of {', '.join(KINDS)}", field="kind")
        return KINDS[new.kind]
    if new.routing_key is not None:
        return "pagerduty"
    if new.url is None:
        raise InvalidInputError("kind is missing: give url, routing_key, or the kind log", field="kind")
    if services.scheme_of(new.url) not in ("http", "https"):
        return "apprise"
    host = parse(new.url).host
    return "apprise" if services.native_service(host) is not None else "webhook"


def _refuse_others(new: NewChannel, *, kind: ChannelKind) -> None:
    fields = {
        "apprise": {"url"},
        "webhook": {"url", "secret"},
        "pagerduty": {"url", "routing_key"},
        "log": set(),
    }
    for name in ("url", "secret", "routing_key"):
        if getattr(new, name) is not None and name not in fields[kind]:
            raise InvalidInputError(f"{name}: a channel of the kind {kind} has none", field=name)


def _url(new: NewChannel) -> str:
    if not new.url:
        raise InvalidInputError("url is missing", field="url")
    return new.url


def _check_text(url: str) -> None:
    if len(url) > URL_LENGTH or not url.isprintable() or " " in url:
        raise InvalidInputError("url is too long or holds a character that no URL has", field="url")


def _check_host(host: str, port: int, *, guard: AddressGuard) -> str | None:
    """The address, judged; None where the name has none yet: it is judged again whenever it is called."""
    try:
        return guard.pinned(host, port=port)
    except UnknownHostError:
        return None
