"""Which settings of the sign-in with OpenID Connect cannot work. Pure."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from service.errors import ConfigurationError
from service.settings.checks import check_base_url
from service.settings.values import DashboardSettings


def checked_sign_in(dashboard: DashboardSettings) -> DashboardSettings:
    """The settings of the dashboard, if people can sign in with them.

    Raises:
        ConfigurationError: an identity provider is needed, or is there without what belongs to it.
    """
    if not dashboard.oidc_issuer:
        if dashboard.sign_in == "oidc":
            raise ConfigurationError(
                "dashboard.sign_in is oidc, which needs dashboard.oidc_issuer; set it, or choose password"
            )
        return dashboard
    check_base_url(dashboard.oidc_issuer, key="dashboard.oidc_issuer")
    if not is_protected(dashboard.oidc_issuer):
        raise ConfigurationError("dashboard.oidc_issuer must begin with https://, but for this machine's own")
    if not dashboard.oidc_client_id:
        raise ConfigurationError(
            "dashboard.oidc_issuer needs dashboard.oidc_client_id; register Tollkeeper with the provider"
        )
    if not dashboard.oidc_admins and not dashboard.oidc_viewers:
        raise ConfigurationError(
            "dashboard.oidc_issuer lets nobody in yet; name somebody in dashboard.oidc_admins or oidc_viewers"
        )
    for key in ("oidc_admins", "oidc_viewers"):
        for entry in getattr(dashboard, key):
            _check_entry(entry, key=f"dashboard.{key}")
    scopes = ("openid", *(scope for scope in dashboard.oidc_scopes if scope != "openid"))
    return msgspec.structs.replace(dashboard, oidc_scopes=scopes)


def is_protected(url: str) -> bool:
    """Whether nobody between here and *url* can read along: TLS, or this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and (host == "localhost" or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_entry(entry: str, *, key: str) -> None:
    """A pattern that fits every address would let in whoever has an account with a public provider."""
    kind, colon, value = entry.partition(":")
    if colon and kind in ("group", "sub") and value:
        return
    user, at, domain = entry.rpartition("@")
    if not at or not user or not domain or any(sign in domain for sign in "*?[]"):
        raise ConfigurationError(
            f"{key}: {entry!r} is not an e-mail address, *@ and a domain, group:NAME or sub:SUBJECT"
        )
