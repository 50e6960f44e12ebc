"""`/oidc/login` and `/oidc/callback`: to the identity provider and back, by OpenID Connect's code flow with PKCE.

What begins here is a session like any other: it ends on the server, and the provider's tokens are not kept. What goes
wrong is one sentence on the page and a line with the reason in the log.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard import sign_in_pages as pages
from dashboard.door import COOKIE, Door
from dashboard.gate import OIDC, SEE_OTHER, UNAVAILABLE, safe_next
from dashboard.oidc_journey import LIFETIME, Journey, Journeys
from dashboard.oidc_provider import Provider, ProviderAwayError
from dashboard.sign_in_routes import BAD_REQUEST, FORBIDDEN, TOO_MANY, client_of, too_many, with_cookie
from service.accounts.session_registry import IssuedSession
from service.accounts.sign_in import NotProvedError
from service.accounts.values import Identity, IdentityRoles, identity_of
from service.errors import ConflictError, InvalidInputError, StoreUnavailableError
from service.settings import DashboardSettings
from service.settings.proxies import TrustedProxies

LOGIN_PATH, CALLBACK_PATH = f"{OIDC}login", f"{OIDC}callback"
JOURNEY_COOKIE = "tollkeeper_oidc"
STALE = "This attempt to sign in has ended, or was begun in another window. Start again."
NO_ROLE = "The identity provider knows you, but nobody gave you a role here. Ask an administrator."
NOT_PROVED = "The identity provider's answer could not be accepted. Start again; the log says what was wrong."
AWAY = "The identity provider does not answer as it should right now. Try again in a moment."
DENIED = "The identity provider did not sign you in. Start again, or ask whoever runs it."
_LONGEST_CODE = 4_096

_logger = structlog.get_logger("tollkeeper")


class OidcRoutes:
    """The routes of one door and one provider. *public_url* is the dashboard's; empty: as the browser calls it."""

    def __init__(
        self,
        door: Door,
        *,
        provider: Provider,
        journeys: Journeys,
        settings: DashboardSettings,
        public_url: str,
        proxies: TrustedProxies,
    ) -> None:
        self._door = door
        self._provider = provider
        self._journeys = journeys
        self._groups_claim = settings.oidc_groups_claim
        self._roles = IdentityRoles(admins=settings.oidc_admins, viewers=settings.oidc_viewers)
        self._public_url = public_url
        self._proxies = proxies

    @property
    def routes(self) -> list[Route]:
        """What the application serves."""
        return [
            Route(LOGIN_PATH, self._calmly(self.leave), methods=["GET"]),
            Route(CALLBACK_PATH, self._calmly(self.come_back), methods=["GET"]),
        ]

    def _calmly(self, answer: Callable[[Request], Response]) -> Callable[..., object]:
        """*answer* on a thread; what is expected to go wrong as a page."""

        async def endpoint(request: Request) -> Response:
            try:
                found = await asyncio.to_thread(answer, request)
            except StoreUnavailableError:
                found = HTMLResponse(pages.away(), UNAVAILABLE)
            except (ProviderAwayError, NotProvedError, InvalidInputError, ConflictError) as error:
                found = self._failed(request, error)
            found.headers["cache-control"] = "no-store"
            return found

        return endpoint

    def leave(self, request: Request) -> Response:
        """To the provider; straight on for who is signed in."""
        to = safe_next(request.query_params.get("next"))
        if self._door.who(request.cookies.get(COOKIE)) is not None:
            return RedirectResponse(to, SEE_OTHER)
        journey = self._journeys.begin(next_path=to)
        uri = self._redirect_uri(request)
        answer = RedirectResponse(self._provider.authorization_url(journey, redirect_uri=uri), SEE_OTHER)
        answer.set_cookie(
            JOURNEY_COOKIE,
            self._journeys.cookie(journey),
            max_age=int(LIFETIME.total_seconds()),
            path=OIDC,
            httponly=True,
            secure=uri.startswith("https:"),
            samesite="lax",  # the provider's redirect must bring it along
        )
        return answer

    def come_back(self, request: Request) -> Response:
        """A session for whom the provider vouches, or why not."""
        journey = self._journeys.resume(request.cookies.get(JOURNEY_COOKIE))
        query = request.query_params
        if journey is None or query.get("state") != journey.state:
            return self._refused(STALE, BAD_REQUEST, reason="state", request=request)
        self._provider.check_issuer(query.get("iss"))
        code = query.get("code", "")
        if "error" in query or not 0 < len(code) <= _LONGEST_CODE:
            return self._refused(DENIED, FORBIDDEN, reason=query.get("error", "no code"), request=request)
        return self._entered(request, journey, code=code)

    def _entered(self, request: Request, journey: Journey, *, code: str) -> Response:
        uri = self._redirect_uri(request)

        def prove() -> Identity:
            return identity_of(self._named(self._provider.claims(code, journey=journey, redirect_uri=uri)))

        client = client_of(request, self._proxies)
        found = self._door.sign_in.with_identity(prove, roles=self._roles, client=client)
        if isinstance(found, IssuedSession):
            # A page, not a redirect: after one, the browser would still count the visit as the provider's and
            # keep our cookie (SameSite=Strict) to itself.
            answer = with_cookie(HTMLResponse(pages.onward(journey.next_path)), request, found)
            return _without_journey(answer)
        if found.reason == "throttled":
            problem = too_many(found)
            return self._refused(problem, TOO_MANY, reason="throttled", request=request)
        return self._refused(NO_ROLE, FORBIDDEN, reason="no role, or disabled", request=request)

    def _named(self, claims: Mapping[str, Any]) -> dict[str, object]:
        """The claims, with the groups where `identity_of` looks for them."""
        groups = claims.get(self._groups_claim)
        return {**claims, "groups": [groups] if isinstance(groups, str) else groups}

    def _redirect_uri(self, request: Request) -> str:
        base = self._public_url or f"{request.url.scheme}://{request.url.netloc}"
        return base.rstrip("/") + CALLBACK_PATH

    def _failed(self, request: Request, error: Exception) -> Response:
        is_away = isinstance(error, ProviderAwayError)
        status = UNAVAILABLE if is_away else FORBIDDEN
        return self._refused(AWAY if is_away else NOT_PROVED, status, reason=str(error), request=request)

    def _refused(self, problem: str, status: int, *, reason: str, request: Request) -> Response:
        address = client_of(request, self._proxies).address
        _logger.warning("oidc_sign_in_refused", reason=reason[:500], status=status, address=address)
        return _without_journey(HTMLResponse(pages.not_signed_in(problem), status))


def _without_journey(answer: Response) -> Response:
    answer.delete_cookie(JOURNEY_COOKIE, path=OIDC, httponly=True, samesite="lax")
    return answer
