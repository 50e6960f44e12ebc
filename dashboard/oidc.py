"""Puts the sign-in with OpenID Connect together from the settings; without an issuer there is none."""

from starlette.routing import Route

from dashboard.door import Door
from dashboard.oidc_journey import Journeys
from dashboard.oidc_provider import Provider
from dashboard.oidc_routes import OidcRoutes
from service.keys.secrets import oidc_key
from service.keys.token import RandomBytes
from service.settings import Settings
from service.settings.proxies import TrustedProxies


def oidc_routes(settings: Settings, door: Door, *, root: bytes, random_bytes: RandomBytes) -> list[Route]:
    """The routes of the provider that is set."""
    if not settings.dashboard.oidc_issuer:
        return []
    provider = Provider(
        settings.dashboard,
        secret=settings.oidc_client_secret,
        now=door.now,
        monotonic=door.monotonic,
    )
    return OidcRoutes(
        door,
        provider=provider,
        journeys=Journeys(oidc_key(root), now=door.now, random_bytes=random_bytes),
        settings=settings.dashboard,
        public_url=settings.alerts.dashboard_url,
        proxies=TrustedProxies(settings.relay.trusted_proxies),
    ).routes
