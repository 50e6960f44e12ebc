"""`/login`, `/logout` and `/link/…`: what begins and ends a session, and sets its cookie.

The cookie is for this host only, out of reach of scripts, and never sent along from another site. Argon2 and the store
are asked on threads. A form that cannot be read is a form with empty fields.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard import sign_in_pages as pages
from dashboard.door import COOKIE, Door
from dashboard.front_end import first_files, prefetched
from dashboard.gate import LINK, LOGIN, LOGOUT, SEE_OTHER, UNAVAILABLE, safe_next
from service.accounts.first_visit import FIRST_NAME
from service.accounts.session_registry import IssuedSession
from service.accounts.sign_in import Refused
from service.accounts.values import Client
from service.errors import ConflictError, InvalidInputError, NotFoundError, StoreUnavailableError
from service.settings.proxies import TrustedProxies

WRONG = "Name or password is wrong."
NO_PASSWORDS = "Nobody signs in with a password here."
BAD_REQUEST, FORBIDDEN, TOO_MANY, GONE = 400, 403, 429, 410
_FORM_BYTES = 8_192
_MINUTE_S = 60


class SignInRoutes:
    """The routes of one door. *proxies* are those whose word on a client's address counts.

    *provider* is what an identity provider is called, if there is one; without *with_password* it is the only way in
    but for one-time links.
    """

    def __init__(
        self, door: Door, *, proxies: TrustedProxies, provider: str = "", with_password: bool = True
    ) -> None:
        self._door = door
        self._proxies = proxies
        self._ahead = prefetched(first_files())
        self._page = partial(pages.login, provider=provider, with_password=with_password, ahead=self._ahead)
        self._with_password = with_password

    @property
    def routes(self) -> list[Route]:
        """What the application serves."""
        return [
            Route(LOGIN, self._calmly(self.login_form), methods=["GET"]),
            Route(LOGIN, self._calmly(self.log_in), methods=["POST"]),
            Route(LOGOUT, self._calmly(self.logout_form), methods=["GET"]),
            Route(LOGOUT, self._calmly(self.log_out), methods=["POST"]),
            Route(LINK + "{token}", self._calmly(self.link_form), methods=["GET"]),
            Route(LINK + "{token}", self._calmly(self.use_link), methods=["POST"]),
        ]

    def _calmly(self, answer: Callable[[Request, dict[str, str]], Response]) -> Callable[..., object]:
        """*answer* on a thread, with the fields of the form; a calm page while the store is away."""

        async def endpoint(request: Request) -> Response:
            form = await _form(request) if request.method == "POST" else {}
            try:
                found = await asyncio.to_thread(answer, request, form)
            except StoreUnavailableError:
                found = HTMLResponse(pages.away(), UNAVAILABLE)
            found.headers["cache-control"] = "no-store"
            return found

        return endpoint

    def login_form(self, request: Request, _form: dict[str, str]) -> Response:
        """Name and password; straight on for who is signed in."""
        to = safe_next(request.query_params.get("next"))
        if self._door.who(request.cookies.get(COOKIE)) is not None:
            return RedirectResponse(to, SEE_OTHER)
        missing = self._door.first_account_is_missing()
        return HTMLResponse(self._page(next_path=to, no_accounts=missing))

    def log_in(self, request: Request, form: dict[str, str]) -> Response:
        """A session, or why not: one answer for an unknown name and a wrong password."""
        to = safe_next(form.get("next"))
        if not self._with_password:
            return HTMLResponse(self._page(next_path=to, problem=NO_PASSWORDS), FORBIDDEN)
        found = self._door.sign_in.with_password(
            form.get("name", "").strip(), form.get("password", ""), client=self.client(request)
        )
        if isinstance(found, IssuedSession):
            return self.let_in(request, found, to=to)
        problem, status = _refusal(found)
        return HTMLResponse(self._page(next_path=to, problem=problem), status)

    def logout_form(self, request: Request, _form: dict[str, str]) -> Response:
        """Asks first: a link cannot sign anybody out."""
        signed_in = self._door.who(request.cookies.get(COOKIE))
        return HTMLResponse(pages.signed_out() if signed_in is None else pages.sign_out())

    def log_out(self, request: Request, _form: dict[str, str]) -> Response:
        """End the session on the server, and take the cookie away."""
        signed_in = self._door.who(request.cookies.get(COOKIE))
        if signed_in is not None:
            self._door.end(signed_in)
        answer = HTMLResponse(pages.signed_out())
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    def link_form(self, request: Request, _form: dict[str, str]) -> Response:
        """What a link is for. Looking at it does not use it up: programs that preview links look."""
        return self._link_page(request, problem=None, status=200)

    def use_link(self, request: Request, form: dict[str, str]) -> Response:
        """Use it up."""
        token, client = request.path_params["token"], self.client(request)
        try:
            if "password" in form:
                issued = self._door.sign_in.with_link(token, form["password"], client=client)
            else:
                name = form.get("name") or FIRST_NAME
                issued = self._door.first_visit.enter(token, client=client, name=name)
        except InvalidInputError as error:
            return self._link_page(request, problem=f"{error}.", status=BAD_REQUEST)
        except (NotFoundError, ConflictError):
            return HTMLResponse(pages.stale_link(), GONE)
        return self.let_in(request, issued, to="/")

    def _link_page(self, request: Request, *, problem: str | None, status: int) -> Response:
        token = request.path_params["token"]
        action = f"{LINK}{token}"
        with self._door.store.read() as tx:
            link = self._door.accounts.find_link(tx, token)
            if link is None:
                return HTMLResponse(pages.stale_link(), GONE)
            if link.account_id is None:
                return HTMLResponse(
                    pages.first_visit(action=action, name=FIRST_NAME, problem=problem, ahead=self._ahead),
                    status,
                )
            name = self._door.accounts.get(tx, link.account_id).name
        shown = pages.set_password(action=action, name=name, problem=problem, ahead=self._ahead)
        return HTMLResponse(shown, status)

    def let_in(self, request: Request, issued: IssuedSession, *, to: str) -> Response:
        """Go on with the cookie of the session."""
        return with_cookie(RedirectResponse(to, SEE_OTHER), request, issued)

    def client(self, request: Request) -> Client:
        """Where a browser is."""
        return client_of(request, self._proxies)


def with_cookie(answer: Response, request: Request, issued: IssuedSession) -> Response:
    """*answer*, which gives the browser the session."""
    lifetime = issued.session.expires_at - issued.session.created_at
    answer.set_cookie(
        COOKIE,
        issued.token,
        max_age=int(lifetime.total_seconds()),
        path="/",
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="strict",
    )
    return answer


def client_of(request: Request, proxies: TrustedProxies) -> Client:
    """Where a browser is."""
    peer = None if request.client is None else request.client.host
    forwarded = request.headers.get("x-forwarded-for", "")
    return Client(proxies.client(peer, forwarded=forwarded), request.headers.get("user-agent"))


def too_many(found: Refused) -> str:
    """When an attempt is possible again."""
    minutes = max(1, round(found.retry_after_s / _MINUTE_S))
    return f"Too many attempts. Try again in {minutes} min."


def _refusal(found: Refused) -> tuple[str, int]:
    if found.reason == "wrong":
        return WRONG, FORBIDDEN
    return too_many(found), TOO_MANY


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _FORM_BYTES:
            return {}
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        return {}
