"""Rules that a type cannot state: addresses, networks, zones, names, model patterns. Pure, but for the zone files."""

import ipaddress
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from service.errors import ConfigurationError

_PATTERN_LENGTH = 200


def check_base_url(text: str, *, key: str) -> str:
    """An address of a provider's API, without a slash at the end."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{key} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigurationError(f"{key} must be an http:// or https:// URL with a host")
    if "@" in parts.netloc:
        raise ConfigurationError(f"{key} must not hold a user or password; put the key into api_key")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ConfigurationError(f"{key} must not have a query or a fragment; end it with the API's path")
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ConfigurationError(f"{key} holds a character that no URL has; percent-encode it")
    return text.rstrip("/")


def check_network(text: str, *, key: str) -> str:
    """A network in CIDR notation, or one address."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise ConfigurationError(f"{key}: {text!r} is not a network such as 10.0.0.0/8") from error


def check_timezone(text: str, *, key: str) -> str:
    """The name of an IANA time zone."""
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"{key}: {text!r} is no IANA time zone; write one such as UTC or Europe/Madrid"
        ) from error
    return text


def label_problem(text: str, *, longest: int) -> str | None:
    """What is wrong with the name of something; None if nothing is. Names stand in tables, logs and file names."""
    if not 1 <= len(text) <= longest or not text.isprintable() or text != text.strip():
        return f"must have 1 to {longest} printable characters and no space at its ends"
    return None


def model_pattern_problem(text: str) -> str | None:
    """What is wrong with a model name or glob pattern (`*`, `?`, `[…]`); None if nothing is."""
    if not text or len(text) > _PATTERN_LENGTH:
        return f"a model pattern has 1 to {_PATTERN_LENGTH} characters"
    if not text.isprintable() or text != text.strip():
        return f"the model pattern {text!r} holds a control character, or a space at its ends"
    rest = text
    while "[" in rest:
        _, _, rest = rest.partition("[")
        negation = 1 if rest.startswith("!") else 0
        end = rest.find("]", negation + 1)
        if end < 0:
            return f"the model pattern {text!r} has a [ without its ]"
        rest = rest[end + 1 :]
    return None
