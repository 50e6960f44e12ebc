"""Slack, Teams, Discord, e-mail and others by apprise: allowed services only, no redirects, no pictures from elsewhere.

apprise is imported when the first such channel is opened: it takes most of a second, which no relay should spend.
Texts that came from outside (names of keys, of projects) can neither mention a whole channel nor hide a link.
"""

import logging
import re
import warnings
from collections.abc import Mapping
from typing import Any

from service.alerts.channels.addresses import AddressGuard, UnknownHostError
from service.alerts.channels.outcome import DeliveryFailedError, Envelope
from service.alerts.channels.services import service_of
from service.errors import InvalidInputError

TIMEOUT_S = 20.0
TITLE = "Tollkeeper"
_MENTION = re.compile(r"@(?=everyone|here|channel|all\b)", re.IGNORECASE)
_SECRETS = re.compile(r"[^/:@?&=#,]{8,}")


class AppriseChannel:
    """Sends through one service of apprise."""

    def __init__(self, url: str, *, guard: AddressGuard) -> None:
        self._url = url
        self._guard = guard

    def __repr__(self) -> str:
        return "AppriseChannel(********)"

    def send(self, envelope: Envelope) -> str:
        """Format and send; the service's own time-outs apply."""
        try:
            plugin = self.opened()
            self._judge(plugin)
        except InvalidInputError as error:
            raise DeliveryFailedError(str(error)) from error
        import apprise

        sender = apprise.Apprise(asset=plugin.asset)
        sender.add(plugin)
        result = sender.notify(
            title=title_of(envelope.payload),
            body=body_of(envelope.payload),
            notify_type=_type_of(envelope.payload),
            body_format=apprise.NotifyFormat.TEXT,
            timeout=TIMEOUT_S,
        )
        if not result:
            raise DeliveryFailedError(self._reason(result))
        return f"taken by {plugin.service_name}"

    def opened(self) -> Any:
        """The plugin of the URL, with everything off that could lead elsewhere."""
        service_of(self._url)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # apprise imports what Python has deprecated
            import apprise

            own = logging.getLogger(apprise.LOGGER_NAME)
            own.propagate = False  # it logs URLs with their secrets; results keep what it says
            asset = apprise.AppriseAsset(
                app_id=TITLE,
                app_desc="Alerts",
                app_url="",
                async_mode=False,
                http_redirects=False,
                image_url_mask="",
                image_url_logo="",
                secure_logging=True,
                service_timeout=TIMEOUT_S,
                storage_mode=apprise.PersistentStoreMode.MEMORY,
            )
            plugin = apprise.Apprise.instantiate(self._url, asset=asset, suppress_exceptions=True)
        if plugin is None:
            raise InvalidInputError("url: apprise does not understand it; check its parts", field="url")
        plugin.redirects = False
        plugin.verify_certificate = True
        for name in ("include_image", "avatar", "footer_logo", "avatar_url"):
            if hasattr(plugin, name):
                setattr(plugin, name, None if name == "avatar_url" else False)
        return plugin

    def _judge(self, plugin: Any) -> None:
        """Where the plugin itself says which host it calls, judge that as well."""
        hosts = set(service_of(self._url).hosts)
        hosts.update(filter(None, (getattr(plugin, "smtp_host", None),)))
        for host in hosts:
            try:
                self._guard.pinned(host, port=plugin.port or 443)
            except UnknownHostError:
                continue  # apprise will say so, or it is no host (a topic of ntfy.sh)

    def _reason(self, result: Any) -> str:
        """What apprise logged, without what stands in the URL."""
        said = "; ".join(str(entry.message) for entry in result.logs())
        for secret in sorted(_SECRETS.findall(self._url.partition("://")[2]), key=len, reverse=True):
            said = said.replace(secret, "********")
        return f"{result.status.name.lower()}: {said[:500] or 'apprise gave no reason'}"


def title_of(payload: Mapping[str, Any]) -> str:
    """The subject line."""
    match payload["type"]:
        case "alert.firing":
            return plain(f"[{payload['severity']}] {payload['rule']}")
        case "alert.resolved":
            return plain(f"[resolved] {payload['rule']}")
        case "report":
            return plain(payload["rule"])
        case _:
            return "Tollkeeper test"


def body_of(payload: Mapping[str, Any]) -> str:
    """The text: what happened, to whom, since when, where to look."""
    lines = [payload["summary"]]
    if payload["type"] == "report":
        lines += [_line_of(row) for row in payload["details"].get("top", ())]
    elif payload["type"] != "test":
        lines += [f"Subject: {payload['subject']}", f"Since: {payload['fired_at']}"]
    lines += payload["links"].values()
    return "\n".join(map(plain, lines))


def plain(text: str) -> str:
    """*text* without what chat programs take for a mention, a link or markup of their own."""
    shown = text.replace("<", "\u2039").replace(">", "\u203a").replace("](", "] (")
    return _MENTION.sub("@\u200b", shown)


def _line_of(row: Mapping[str, Any]) -> str:
    names = [str(value) for name, value in row.items() if name not in ("requests", "cost_usd") and value]
    return f"{', '.join(names) or 'unknown'}: {row['cost_usd'] or '0.00'} USD, {row['requests']} requests"


def _type_of(payload: Mapping[str, Any]) -> Any:
    import apprise

    if payload["type"] == "alert.resolved":
        return apprise.NotifyType.SUCCESS
    return {
        "critical": apprise.NotifyType.FAILURE,
        "warning": apprise.NotifyType.WARNING,
    }.get(payload["severity"], apprise.NotifyType.INFO)
