"""The gate: nobody gets past it without a session, forms are our own, and signing in leads only to our own pages."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboard.door import COOKIE, RECHECK_S, Door
from dashboard.gate import SignInGate, safe_next, signed_in
from dashboard.sign_in_routes import WRONG, SignInRoutes
from service.accounts.values import Client
from service.audit.actor import Actor
from service.settings.proxies import TrustedProxies
from service.store.engine import Store
from tests.support.dashboards import door as make_door

BASE = "http://127.0.0.1:8501"
STREAM = "ws://127.0.0.1:8501/_stcore/stream"
PAGE = {"accept": "text/html"}
PASSWORD = "correct horse battery"
BY = Actor.system("test")


@pytest.fixture
def door(sqlite_store: Store) -> Door:
    return make_door(sqlite_store)


@pytest.fixture
def client(door: Door) -> Iterator[TestClient]:
    def page(request: Request) -> PlainTextResponse:
        found = signed_in(request)
        assert found is not None
        return PlainTextResponse(found.account.name)

    routes = SignInRoutes(door, proxies=TrustedProxies()).routes
    app = Starlette(
        routes=[
            *routes,
            Route("/", page),
            Route("/requests", page),
            Route("/_stcore/health", health),
            WebSocketRoute("/_stcore/stream", stream),
        ],
        middleware=[Middleware(SignInGate, door=door, hosts=("127.0.0.1",))],
    )
    with TestClient(app, base_url=BASE, follow_redirects=False) as found:
        yield found


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def health(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


@pytest.fixture
def ada(door: Door) -> str:
    """An account with a password; its name."""
    with door.store.write() as tx:
        made = door.accounts.create(tx, name="Ada", role="viewer", by=BY)
    door.sign_in.with_link(made.link.token, PASSWORD, client=Client())
    return "Ada"


def log_in(client: TestClient, name: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post("/login", data={"name": name, "password": password, **more})


def test_who_has_no_session_is_led_to_the_sign_in_and_back(client: TestClient, ada: str) -> None:
    answer = client.get("/requests?range=24h&key=a%26b", headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/login?next=%2Frequests%3Frange%3D24h%26key%3Da%2526b",
    )
    form = client.get(answer.headers["location"])
    assert 'name="next" value="/requests?range=24h&amp;key=a%26b"' in form.text
    answer = log_in(client, ada, next="/requests?range=24h&key=a%26b")
    assert (answer.status_code, answer.headers["location"]) == (303, "/requests?range=24h&key=a%26b")
    assert client.get("/requests").text == ada


@pytest.mark.parametrize("token", [None, "", "nonsense", "x" * 43])
def test_nothing_but_the_sign_in_and_the_health_is_open(client: TestClient, token: str | None) -> None:
    if token is not None:
        client.cookies.set(COOKIE, token)
    assert client.get("/_stcore/health").text == "ok"
    assert client.get("/login").status_code == 200
    assert client.get("/", headers={"accept": "application/json"}).status_code == 401
    for path in ("/static/x", "/files/requests", "/_stcore/upload_file/a/b", "/media/x", "/loginx"):
        assert client.get(path).status_code == 401


def test_the_front_end_is_open_for_reading_alone(client: TestClient) -> None:
    assert client.get("/static/js/x.js").status_code == 404
    assert client.post("/static/js/x.js").status_code == 401
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/static/js/_stcore/stream"):
        pass


def test_the_cookie_is_out_of_reach(client: TestClient, ada: str) -> None:
    (header,) = log_in(client, ada).headers.get_list("set-cookie")
    assert "HttpOnly" in header
    assert "samesite=strict" in header.lower()
    assert "Path=/" in header
    assert "Secure" not in header
    with TestClient(client.app, base_url="https://127.0.0.1", follow_redirects=False) as secure:
        assert "Secure" in log_in(secure, ada).headers["set-cookie"]


@pytest.mark.parametrize(
    ("public_url", "host", "secure"),
    [
        ("https://costs.example", "costs.example", True),
        ("https://costs.example:8443", "Costs.Example:8443", True),
        ("https://costs.example", "127.0.0.1:8501", False),
        ("http://costs.example", "costs.example", False),
        ("", "costs.example", False),
    ],
)
def test_behind_a_proxy_with_tls_the_cookie_is_secure(
    door: Door, ada: str, public_url: str, host: str, *, secure: bool
) -> None:
    """The proxy speaks plain HTTP to us; under its name nobody comes but through it."""
    app = Starlette(
        routes=SignInRoutes(door, proxies=TrustedProxies()).routes,
        middleware=[Middleware(SignInGate, door=door, public_url=public_url)],
    )
    with TestClient(app, base_url=BASE, follow_redirects=False, headers={"host": host}) as proxied:
        answer = log_in(proxied, ada)
    assert answer.status_code == 303
    assert ("Secure" in answer.headers["set-cookie"]) == secure


@pytest.mark.parametrize(
    ("name", "password"), [("Ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("Ada", "")]
)
def test_one_answer_for_an_unknown_name_and_a_wrong_password(
    client: TestClient, ada: str, name: str, password: str
) -> None:
    answer = log_in(client, name, password)
    assert ada
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert WRONG in answer.text


def test_guessing_is_slowed_down(client: TestClient, ada: str) -> None:
    codes = [log_in(client, ada, f"guess {number}").status_code for number in range(30)]
    assert codes[0] == 403
    assert codes[-1] == 429
    assert "Too many attempts" in log_in(client, ada, PASSWORD).text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_a_form_of_another_site_is_refused(client: TestClient, ada: str, headers: dict[str, str]) -> None:
    answer = client.post("/login", data={"name": ada, "password": PASSWORD}, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:19999"},
        {"origin": "https://evil.example"},
        {"origin": BASE, "sec-fetch-site": "same-site"},
    ],
)
def test_a_websocket_of_another_program_on_this_machine_is_refused(
    client: TestClient, ada: str, headers: dict[str, str]
) -> None:
    """Cookies know no ports."""
    client.post("/login", data={"name": ada, "password": PASSWORD}, headers={"origin": BASE})
    with client.websocket_connect(STREAM, headers={"origin": BASE}) as ours:
        assert ours.receive_text() == "hello"
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(STREAM, headers=headers) as theirs,
    ):
        theirs.receive_text()


def test_our_own_form_is_taken(client: TestClient, ada: str) -> None:
    for headers in ({"sec-fetch-site": "same-origin"}, {"origin": BASE}):
        answer = client.post("/login", data={"name": ada, "password": PASSWORD}, headers=headers)
        assert answer.status_code == 303


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "/"),
        ("/spend?by=Key", "/spend?by=Key"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\r\nset-cookie: x", "/"),
        ("/login", "/"),
        ("/logout", "/"),
        ("/link/x", "/"),
    ],
)
def test_signing_in_leads_only_to_our_own_pages(given: str | None, expected: str) -> None:
    assert expected == safe_next(given)


def test_another_host_name_is_refused(client: TestClient) -> None:
    assert client.get("/login", headers={"host": "evil.example"}).status_code == 421


def test_signing_out_ends_the_session_on_the_server(client: TestClient, ada: str) -> None:
    log_in(client, ada)
    token = client.cookies[COOKIE]
    assert client.get("/logout").status_code == 200
    assert client.get("/").text == ada
    assert "You are signed out" in client.post("/logout").text
    client.cookies.set(COOKIE, token)
    assert client.get("/").status_code == 401


def test_a_disabled_account_is_out_within_seconds(client: TestClient, ada: str, door: Door) -> None:
    log_in(client, ada)
    assert client.get("/").text == ada
    with door.store.write() as tx:
        door.accounts.disable(tx, door.accounts.find(tx, ada).id, by=BY)
    asyncio.run(asyncio.sleep(RECHECK_S + 0.1))
    assert client.get("/").status_code == 401


def test_a_visit_from_another_site_comes_again_before_it_is_taken_for_signed_out(client: TestClient) -> None:
    answer = client.get("/", headers={**PAGE, "sec-fetch-site": "cross-site"})
    assert (answer.status_code, "http-equiv" in answer.text) == (200, True)
    assert client.get("/", headers={**PAGE, "sec-fetch-site": "same-origin"}).status_code == 303


def test_the_first_link_lets_in_once_and_looking_does_not_use_it_up(client: TestClient, door: Door) -> None:
    assert "Nobody has an account yet" in client.get("/login").text
    with door.store.write() as tx:
        link = door.accounts.first_link(tx, by=BY)
    assert link is not None
    for _ in range(2):
        assert "Open the dashboard" in client.get(f"/link/{link.token}").text
    answer = client.post(f"/link/{link.token}", data={"name": "admin"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert client.get("/").text == "admin"
    client.cookies.clear()
    assert client.post(f"/link/{link.token}", data={"name": "admin"}).status_code == 410
    assert client.get(f"/link/{link.token}").status_code == 410


def test_the_link_of_an_account_sets_its_password(client: TestClient, door: Door) -> None:
    with door.store.write() as tx:
        made = door.accounts.create(tx, name="<b>Bo</b>", role="viewer", by=BY)
    path = f"/link/{made.link.token}"
    assert "&lt;b&gt;Bo&lt;/b&gt;" in client.get(path).text
    refused = client.post(path, data={"password": "short"})
    assert refused.status_code == 400
    assert "12 to 256 characters" in refused.text
    assert client.post(path, data={"name": "admin"}).status_code == 410  # not the first visit
    assert client.post(path, data={"password": PASSWORD}).status_code == 303
    assert client.get("/").text == "<b>Bo</b>"


@pytest.mark.parametrize("body", [b"\xff\xfe", b"x" * 10_000, b"a=1&" * 100])
def test_a_form_that_cannot_be_read_signs_nobody_in(client: TestClient, ada: str, body: bytes) -> None:
    assert ada
    answer = client.post("/login", content=body)
    assert answer.status_code == 403


def test_while_the_store_is_away_nobody_is_let_in(client: TestClient, ada: str, door: Door) -> None:
    log_in(client, ada)
    door.known.clear()
    door.store.engine.dispose()
    path = Path(door.store.url.database or "")
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        assert client.get("/requests", headers={"accept": "*/*"}).status_code == 503
        assert log_in(client, ada).status_code == 503
        assert "does not answer right now" in client.get("/login").text
    finally:
        door.store.engine.dispose()
        hidden.replace(path)
