"""Which services of apprise may be used, and what their URLs may say. Pure: apprise itself is not imported here.

Some have one address for everybody; others name a host, which is judged like that of a webhook. Parameters are an
allow-list too: none turns verification off, follows redirects, reads files, or loads pictures.
"""

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

from service.errors import InvalidInputError
from service.settings.secret import MASK

FIXED = frozenset(
    {
        "dingtalk",
        "discord",
        "feishu",
        "gchat",
        "lark",
        "opsgenie",
        "pover",
        "slack",
        "tgram",
        "webex",
        "wecombot",
        "wxteams",
    }
)
HOSTED = frozenset(
    {
        "gotify",
        "gotifys",
        "mailto",
        "mailtos",
        "mmost",
        "mmosts",
        "ntfy",
        "ntfys",
        "rocket",
        "rockets",
        "workflow",
        "workflows",
    }
)
SCHEMES = tuple(sorted(FIXED | HOSTED))
NATIVE: Mapping[str, str] = {
    "hooks.slack.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
    "open.feishu.cn": "feishu",
    "open.larksuite.com": "lark",
    "oapi.dingtalk.com": "dingtalk",
    "qyapi.weixin.qq.com": "wecombot",
    "chat.googleapis.com": "gchat",
    "webexapis.com": "webex",
}
"""Hosts whose webhook URLs apprise understands as they are."""
NATIVE_SUFFIXES: Mapping[str, str] = {
    ".logic.azure.com": "workflows",
    ".environment.api.powerplatform.com": "workflows",
}
PARAMETERS = frozenset(
    {
        "bcc",
        "bot",
        "cc",
        "channel",
        "format",
        "from",
        "mode",
        "name",
        "pass",
        "priority",
        "region",
        "reply",
        "secret",
        "silent",
        "smtp",
        "thread",
        "to",
        "topic",
        "user",
    }
)
NATIVE_PARAMETERS = frozenset(
    {"access_token", "api-version", "key", "sig", "sp", "sv", "thread_id", "threadid", "token"}
)
_SCHEME = re.compile(r"([a-z0-9+.-]{1,20})://", re.IGNORECASE)


class Service(msgspec.Struct, frozen=True):
    """What a URL leads to. *hosts* are to be judged; *target* may be shown."""

    name: str
    hosts: tuple[str, ...]
    target: str


def service_of(url: str) -> Service:
    """The service of a URL, or a refusal that names what is wrong and never repeats the URL."""
    scheme = scheme_of(url)
    if scheme == "https":
        return _native(url)
    if scheme not in FIXED and scheme not in HOSTED:
        raise InvalidInputError(
            f"url: the scheme {scheme[:20]!r} is not allowed; use one of {', '.join(SCHEMES)}", field="url"
        )
    parts = _parts(url)
    given = _check_parameters(url, allowed=PARAMETERS)
    if scheme in FIXED:
        return Service(scheme, (), f"{scheme}://{MASK}")
    host = _host(parts)
    hosts = tuple(filter(None, (given.get("smtp") or host,)))
    return Service(scheme, hosts, f"{scheme}://{MASK}@{host}")


def scheme_of(url: str) -> str:
    """The scheme of a URL, in lower case."""
    found = _SCHEME.match(url)
    if found is None:
        raise InvalidInputError("url is not a URL; it begins with a scheme such as slack://", field="url")
    return found[1].lower()


def native_service(host: str) -> str | None:
    """The service that a host of webhook URLs belongs to."""
    known = NATIVE.get(host.lower())
    if known is not None:
        return known
    return next((name for suffix, name in NATIVE_SUFFIXES.items() if host.lower().endswith(suffix)), None)


def _native(url: str) -> Service:
    parts = _parts(url)
    host = _host(parts)
    name = native_service(host)
    if name is None:
        raise InvalidInputError(
            f"url: {host or 'the host'} is none of the services that are known by their URL; "
            "for a receiver of your own, make a channel of the kind webhook",
            field="url",
        )
    _check_parameters(url, allowed=NATIVE_PARAMETERS)
    return Service(name, (host,), f"{name}://{MASK}")


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise InvalidInputError("url is not a URL", field="url") from error


def _host(parts: SplitResult) -> str:
    return parts.hostname or ""


def _check_parameters(url: str, *, allowed: frozenset[str]) -> dict[str, str]:
    """The parameters as apprise reads them: from the first question mark on, also behind a `#`."""
    given = dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))
    for name in given:
        if name.lower() not in allowed:
            raise InvalidInputError(
                f"url: the parameter {name[:30]!r} is not allowed; use {', '.join(sorted(allowed))}",
                field="url",
            )
    return given
