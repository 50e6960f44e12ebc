"""Lets nobody past without a session: every HTTP request and every WebSocket of the dashboard. An ASGI middleware.

Open are the pages that sign somebody in, the health check, and Streamlit's own scripts, styles and fonts, which are
the same everywhere and hold nothing of the books: a browser fetches them while somebody signs in. A browser that
follows a link from another site does not send its cookie (SameSite=Strict), so it is asked to come again from here
before it is taken for signed out. Forms and WebSockets are taken from our own pages only. Requests under a host name
that is not ours are refused (DNS rebinding). What comes under the name of a public address with https has come over
TLS, up to the proxy in front of us.
"""

import asyncio
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from dashboard.door import COOKIE, Door
from dashboard.headers import App, Message, Receive, Send
from service.accounts.values import SignedIn
from service.errors import StoreUnavailableError

LOGIN, LOGOUT, LINK, OIDC = "/login", "/logout", "/link/", "/oidc/"
OPEN = ("/_stcore/health",)
FRONT_END = ("/static/js/", "/static/css/", "/static/media/")
SHELL = ("/static/", "/_stcore/host-config", "/favicon")
"""What a page needs to load at all; it holds nothing of the books."""
SEE_OTHER, UNAUTHORIZED, FORBIDDEN, MISDIRECTED, UNAVAILABLE = 303, 401, 403, 421, 503
SIGNED_IN = "tollkeeper.signed_in"
_COME_AGAIN = '<!doctype html><meta http-equiv="refresh" content="0"><title>Tollkeeper</title>'


class SignInGate:
    """Passes on to *app* what comes with a session. *hosts* are our names; none means any.

    *also_open* are paths of an identity provider's sign-in, where one is set. *public_url* is the address as people
    reach it through a proxy, where there is one.
    """

    def __init__(
        self,
        app: App,
        *,
        door: Door,
        hosts: Iterable[str] = (),
        also_open: Iterable[str] = (),
        public_url: str = "",
    ) -> None:
        self._app = app
        self._door = door
        self._hosts = frozenset(hosts)
        self._open = frozenset((LOGIN, LOGOUT, *OPEN, *also_open))
        public = urlsplit(public_url)
        self._tls_host = public.hostname if public.scheme == "https" else None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Judge one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if self._tls_host is not None and connection.url.hostname == self._tls_host:
            scope["scheme"] = "https" if scope["type"] == "http" else "wss"
        refusal = await self._judged(connection)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)

    async def _judged(self, connection: HTTPConnection) -> Response | None:
        """The answer to who may not pass."""
        path, is_page = connection.url.path, connection.scope["type"] == "http"
        if self._hosts and (connection.url.hostname or "") not in self._hosts:
            return PlainTextResponse("This host name is not the dashboard's.\n", MISDIRECTED)
        acts = not is_page or connection.scope["method"] not in ("GET", "HEAD")
        if acts and not _is_ours(
            connection
        ):  # cookies know no ports: another program of this machine may ask
            return PlainTextResponse("This was not sent from a page of the dashboard.\n", FORBIDDEN)
        if self._is_open(path) or (not acts and path.startswith(FRONT_END)):
            return None
        try:
            found = await asyncio.to_thread(self._door.who, connection.cookies.get(COOKIE))
        except StoreUnavailableError:
            return self._unknown(connection)
        if found is not None:
            connection.scope.setdefault("state", {})[SIGNED_IN] = found
            return None
        return _signed_out(connection)

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(LINK)

    def _unknown(self, connection: HTTPConnection) -> Response | None:
        """While the store is away: the frame of a page, which says so by itself and asks again."""
        is_shell = connection.scope["type"] == "websocket" or _wants_page(connection)
        if is_shell or connection.url.path.startswith(SHELL):
            return None
        return PlainTextResponse("The store does not answer right now; try again in a moment.\n", UNAVAILABLE)


def signed_in(connection: HTTPConnection) -> SignedIn | None:
    """Who was let through with this request."""
    found: SignedIn | None = connection.scope.get("state", {}).get(SIGNED_IN)
    return found


def _signed_out(connection: HTTPConnection) -> Response:
    if not _wants_page(connection):
        return PlainTextResponse("Sign in first.\n", UNAUTHORIZED)
    if connection.headers.get("sec-fetch-site") == "cross-site" and COOKIE not in connection.cookies:
        return HTMLResponse(_COME_AGAIN)
    wanted = connection.url.path + (f"?{connection.url.query}" if connection.url.query else "")
    to = LOGIN if wanted == "/" else f"{LOGIN}?next={quote(wanted, safe='')}"
    return RedirectResponse(to, SEE_OTHER)


def _wants_page(connection: HTTPConnection) -> bool:
    return connection.scope["type"] == "http" and "text/html" in connection.headers.get("accept", "")


def _is_ours(connection: HTTPConnection) -> bool:
    """Whether a form or a WebSocket comes from a page of this host; browsers say so, other programs say nothing."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == connection.headers.get("host")


def safe_next(text: str | None) -> str:
    """Where to go after signing in: a path of ours, or the first page."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\")) or not text.isprintable():
        return "/"
    return "/" if text.startswith((LOGIN, LOGOUT, LINK, OIDC)) else text
