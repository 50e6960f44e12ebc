"""Signing in with OpenID Connect, against a provider on this machine that signs its tokens."""

import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from dashboard.door import COOKIE, RECHECK_S, Door
from dashboard.gate import SignInGate, safe_next, signed_in
from dashboard.oidc import oidc_routes
from dashboard.oidc_journey import LIFETIME, Journeys
from dashboard.oidc_provider import RETRY_S
from dashboard.oidc_routes import AWAY, DENIED, JOURNEY_COOKIE, NO_ROLE, NOT_PROVED, STALE
from dashboard.sign_in_routes import NO_PASSWORDS, SignInRoutes
from service.accounts.throttle import ADDRESS_LIMIT
from service.accounts.values import Client, Role
from service.audit.actor import Actor
from service.settings import AlertSettings, DashboardSettings, Secret, Settings
from service.settings.proxies import TrustedProxies
from service.settings.sign_in import checked_sign_in
from service.store.engine import Store
from tests.support.dashboards import SECRET, server, wall_clock
from tests.support.dashboards import door as make_door
from tests.support.oidc_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    OidcProvider,
    ec_key,
    oidc_provider,
    rsa_key,
    signed,
    unsigned,
)

BASE = "http://127.0.0.1:8501"
PASSWORD = "correct horse battery"
BY = Actor.system("test")
Dashboard = Callable[..., TestClient]


class Monotonic:
    """A clock in seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider(now=lambda: wall_clock().timestamp()) as found:
        yield found


@pytest.fixture
def door(sqlite_store: Store, monotonic: Monotonic) -> Door:
    return msgspec.structs.replace(make_door(sqlite_store), monotonic=monotonic)


@pytest.fixture
def dashboard(door: Door, provider: OidcProvider) -> Iterator[Dashboard]:
    """A dashboard that signs in with the provider."""
    opened: list[TestClient] = []

    def make(*, public_url: str = "", secret: str | None = CLIENT_SECRET, **fields: Any) -> TestClient:
        given = {
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_admins": ("group:ops",),
            "oidc_viewers": ("*@example.com",),
            "oidc_name": "Example & Sons",
        }
        dashboard = checked_sign_in(DashboardSettings(**{**given, **fields}))
        settings = Settings(
            dashboard=dashboard,
            alerts=AlertSettings(dashboard_url=public_url),
            oidc_client_secret=None if secret is None else Secret(secret),
        )
        oidc = oidc_routes(settings, door, root=SECRET.encode(), random_bytes=os.urandom)
        own = SignInRoutes(
            door,
            proxies=TrustedProxies(),
            provider=dashboard.oidc_name,
            with_password=dashboard.sign_in == "password",
        )
        app = Starlette(
            routes=[*own.routes, *oidc, Route("/", page), Route("/spend", page)],
            middleware=[
                Middleware(
                    SignInGate, door=door, hosts=("127.0.0.1",), also_open=[route.path for route in oidc]
                )
            ],
        )
        client = TestClient(app, base_url=BASE, follow_redirects=False)
        opened.append(client)
        return client.__enter__()

    yield make
    for client in opened:
        client.__exit__(None, None, None)


def page(request: Request) -> PlainTextResponse:
    found = signed_in(request)
    assert found is not None
    return PlainTextResponse(f"{found.account.name} {found.account.role}")


def leave(client: TestClient, *, to: str = "/") -> str:
    """Set out for the provider; where the browser is sent."""
    answer = client.get("/oidc/login", params={"next": to})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def sign_in(client: TestClient, provider: OidcProvider, *, to: str = "/") -> Any:
    """There and back."""
    back = provider.consent(leave(client, to=to))
    return come_back(client, back)


def come_back(client: TestClient, url: str) -> Any:
    parts = urlsplit(url)
    return client.get(f"{parts.path}?{parts.query}")


def refused(answer: Any, sentence: str, status: int) -> bool:
    """Whether the page says one sentence, and begins no session."""
    shown = re.findall(r'role="alert">([^<]*)<', unescape(answer.text))
    cookies = [line.partition("=")[0] for line in answer.headers.get_list("set-cookie")]
    return (answer.status_code, shown, COOKIE in cookies) == (status, [sentence], False)


def test_who_comes_from_the_provider_has_a_session_of_ours(
    dashboard: Dashboard, provider: OidcProvider, door: Door
) -> None:
    client = dashboard()
    form = client.get("/login?next=%2Fspend%3Fby%3DKey").text
    assert 'href="/oidc/login?next=%2Fspend%3Fby%3DKey">Sign in with Example &amp; Sons</a>' in form
    assert 'name="password"' in form
    answer = sign_in(client, provider, to="/spend?by=Key")
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/spend?by=Key"' in answer.text
    assert answer.headers["cache-control"] == "no-store"
    session = next(line for line in answer.headers.get_list("set-cookie") if line.startswith(COOKIE))
    assert "HttpOnly" in session
    assert "samesite=strict" in session.lower()
    assert client.get("/spend").text == "ada@example.com viewer"
    assert client.get("/oidc/login?next=%2Fspend").headers["location"] == "/spend"
    with door.store.read() as tx:
        (account,) = door.accounts.list(tx)
    assert account.identity == f"{provider.issuer} ada-1"


def test_the_way_there_says_what_it_must(dashboard: Dashboard) -> None:
    client = dashboard(oidc_scopes=("email", "groups"))
    answer = client.get("/oidc/login")
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["tenant"] == ["7"]
    assert query["scope"] == ["openid email groups"]
    assert query["redirect_uri"] == [f"{BASE}/oidc/callback"]
    assert query["client_id"] == [CLIENT_ID]
    assert len(query["code_challenge"][0]) == 43
    assert len({query[name][0] for name in ("state", "nonce", "code_challenge")}) == 3
    (cookie,) = answer.headers.get_list("set-cookie")
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "Path=/oidc/" in cookie
    assert "Max-Age=600" in cookie
    assert "Secure" not in cookie


def test_behind_a_proxy_the_public_address_is_the_one_to_come_back_to(
    dashboard: Dashboard, provider: OidcProvider
) -> None:
    client = dashboard(public_url="https://costs.example/")
    answer = client.get("/oidc/login")
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["redirect_uri"] == ["https://costs.example/oidc/callback"]
    assert "Secure" in answer.headers["set-cookie"]
    client.cookies.clear()
    cookie = answer.cookies.get(JOURNEY_COOKIE) or answer.headers["set-cookie"].split("=", 1)[1].split(";")[0]
    client.cookies.set(JOURNEY_COOKIE, cookie, path="/oidc/")
    assert come_back(client, provider.consent(answer.headers["location"])).status_code == 200


@pytest.mark.parametrize(
    ("methods", "in_header"),
    [
        (["client_secret_basic"], True),
        (["client_secret_post"], False),
        (["private_key_jwt", "client_secret_post"], False),
    ],
)
def test_the_secret_travels_as_the_provider_wants_it(
    dashboard: Dashboard, provider: OidcProvider, methods: list[str], *, in_header: bool
) -> None:
    provider.metadata["token_endpoint_auth_methods_supported"] = methods
    assert sign_in(dashboard(), provider).status_code == 200
    ((form, authorization),) = provider.token_requests
    assert (bool(authorization), "client_secret" in form) == (in_header, not in_header)


def test_a_wrong_secret_is_the_operators_business(dashboard: Dashboard, provider: OidcProvider) -> None:
    with capture_logs() as logs:
        assert refused(sign_in(dashboard(secret="wrong"), provider), AWAY, 503)
    assert "invalid_client" in logs[-1]["reason"]
    assert "TOLLKEEPER_OIDC_CLIENT_SECRET" in logs[-1]["reason"]
    assert refused(sign_in(dashboard(secret=None), provider), AWAY, 503)
    assert provider.token_requests[-1][0]["client_id"] == CLIENT_ID


def test_elliptic_keys_sign_too(dashboard: Dashboard, provider: OidcProvider) -> None:
    provider.key = ec_key("curve")
    provider.published.append(provider.key)
    assert sign_in(dashboard(), provider).status_code == 200


@pytest.mark.parametrize(
    ("state", "cookie"), [("wrong", True), ("", True), (None, True), ("right", False)], ids=str
)
def test_another_state_is_refused(
    dashboard: Dashboard, provider: OidcProvider, state: str | None, *, cookie: bool
) -> None:
    client = dashboard()
    query = parse_qs(urlsplit(provider.consent(leave(client))).query)
    given = {"code": query["code"][0]} | ({} if state is None else {"state": state})
    if state == "right":
        given["state"] = query["state"][0]
    if not cookie:
        client.cookies.clear()
    assert refused(client.get("/oidc/callback", params=given), STALE, 400)
    assert provider.token_requests == []


def test_an_answer_counts_once(dashboard: Dashboard, provider: OidcProvider) -> None:
    client = dashboard()
    back = provider.consent(leave(client))
    journey = client.cookies[JOURNEY_COOKIE]
    assert come_back(client, back).status_code == 200
    assert JOURNEY_COOKIE not in client.cookies
    assert refused(come_back(client, back), STALE, 400)
    client.cookies.set(JOURNEY_COOKIE, journey, path="/oidc/")
    assert refused(come_back(client, back), NOT_PROVED, 403)


def other_nonce(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({**claims, "nonce": "another"}, provider.key)


def no_nonce(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({name: value for name, value in claims.items() if name != "nonce"}, provider.key)


def other_audience(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({**claims, "aud": "another client"}, provider.key)


def two_audiences_without_azp(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({**claims, "aud": [CLIENT_ID, "another"]}, provider.key)


def other_party(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({**claims, "azp": "another"}, provider.key)


def other_issuer(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({**claims, "iss": "https://evil.example"}, provider.key)


def expired(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({**claims, "exp": claims["iat"] - 61}, provider.key)


def without_end(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({name: value for name, value in claims.items() if name != "exp"}, provider.key)


def from_the_future(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({**claims, "iat": claims["iat"] + 3_600}, provider.key)


def nobody(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed({**claims, "sub": ""}, provider.key)


def foreign_key(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed(claims, rsa_key(provider.key.kid))


def unknown_key(claims: dict[str, Any], _provider: OidcProvider) -> str:
    return signed(claims, rsa_key("unknown"))


def alg_none(claims: dict[str, Any], provider: OidcProvider) -> str:
    return unsigned(claims, kid=provider.key.kid)


def hmac_of_the_public_key(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed(claims, provider.key, alg="HS256")


def critical(claims: dict[str, Any], provider: OidcProvider) -> str:
    return signed(claims, provider.key, crit=["unheard-of"], **{"unheard-of": 1})


def garbage(_claims: dict[str, Any], _provider: OidcProvider) -> str:
    return "not.a-token"


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (other_nonce, "nonce"),
        (no_nonce, "nonce"),
        (other_audience, "aud"),
        (two_audiences_without_azp, "azp"),
        (other_party, "azp"),
        (other_issuer, "iss"),
        (expired, "ExpiredTokenError"),
        (without_end, "exp"),
        (from_the_future, "issued in the future"),
        (nobody, "sub"),
        (foreign_key, "BadSignatureError"),
        (unknown_key, "names a key"),
        (alg_none, "UnsupportedAlgorithmError"),
        (hmac_of_the_public_key, "UnsupportedAlgorithmError"),
        (critical, "unheard-of"),
        (garbage, "not signed as it must be"),
    ],
)
def test_a_token_that_is_not_for_us_signs_nobody_in(
    dashboard: Dashboard, provider: OidcProvider, door: Door, forge: Callable[..., str], reason: str
) -> None:
    provider.make_token = lambda claims: forge(claims, provider)
    with capture_logs() as logs:
        assert refused(sign_in(dashboard(), provider), NOT_PROVED, 403)
    (line,) = (line for line in logs if line["event"] == "oidc_sign_in_refused")
    assert reason in line["reason"]
    with door.store.read() as tx:
        assert door.accounts.list(tx) == []


def test_an_answer_in_the_name_of_another_provider_is_refused(
    dashboard: Dashboard, provider: OidcProvider
) -> None:
    client = dashboard()
    back = provider.consent(leave(client)).replace("iss=http%3A", "iss=https%3A")
    assert refused(come_back(client, back), NOT_PROVED, 403)
    assert provider.token_requests == []


def test_what_the_provider_refuses_is_told_calmly(dashboard: Dashboard, provider: OidcProvider) -> None:
    client = dashboard()
    state = parse_qs(urlsplit(leave(client)).query)["state"][0]
    answer = client.get("/oidc/callback", params={"state": state, "error": "access_denied", "code": "x"})
    assert refused(answer, DENIED, 403)
    state = parse_qs(urlsplit(leave(client)).query)["state"][0]
    assert refused(client.get("/oidc/callback", params={"state": state}), DENIED, 403)
    assert provider.token_requests == []


def test_a_new_key_is_fetched_when_a_token_names_it(
    dashboard: Dashboard, provider: OidcProvider, monotonic: Monotonic
) -> None:
    client = dashboard()
    assert sign_in(client, provider).status_code == 200
    client.cookies.clear()
    provider.key = rsa_key("second")
    provider.published = [provider.key]
    assert refused(sign_in(client, provider), NOT_PROVED, 403)  # asked a moment ago
    monotonic.now += RETRY_S
    assert sign_in(client, provider).status_code == 200
    assert provider.asked.count("/keys") == 2


def test_keys_that_cannot_verify_are_passed_over(dashboard: Dashboard, provider: OidcProvider) -> None:
    keys: list[Any] = [
        {"kty": "oct", "k": "AAAA", "kid": provider.key.kid},
        {"kty": "post-quantum", "kid": "q"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": 3},
        {**rsa_key("encrypts").public, "use": "enc"},
        "no key",
        provider.key.public,
    ]
    provider.answers["/keys"] = (200, msgspec.json.encode({"keys": keys}))
    assert sign_in(dashboard(), provider).status_code == 200


def test_without_keys_nobody_is_signed_in(dashboard: Dashboard, provider: OidcProvider) -> None:
    provider.answers["/keys"] = (200, b"{}")
    assert refused(sign_in(dashboard(), provider), NOT_PROVED, 403)


def test_while_the_store_is_away_nobody_is_let_in(
    dashboard: Dashboard, provider: OidcProvider, door: Door
) -> None:
    client = dashboard()
    back = provider.consent(leave(client))
    door.store.engine.dispose()
    path = Path(door.store.url.database or "")
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        answer = come_back(client, back)
        assert (answer.status_code, "does not answer right now" in answer.text) == (503, True)
    finally:
        door.store.engine.dispose()
        hidden.replace(path)
    assert provider.token_requests == []


def test_what_the_provider_says_of_itself_is_kept(dashboard: Dashboard, provider: OidcProvider) -> None:
    client = dashboard()
    for _ in range(3):
        leave(client)
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


def test_while_the_provider_is_away_passwords_work(
    dashboard: Dashboard, provider: OidcProvider, door: Door, monotonic: Monotonic
) -> None:
    with door.store.write() as tx:
        made = door.accounts.create(tx, name="Ada", role="viewer", by=BY)
    door.sign_in.with_link(made.link.token, PASSWORD, client=Client())
    client = dashboard()
    discovery = "/.well-known/openid-configuration"
    provider.answers[discovery] = (500, b"")
    for _ in range(3):
        assert refused(client.get("/oidc/login"), AWAY, 503)
    assert provider.asked == [discovery]  # a failure is remembered for a moment
    assert client.post("/login", data={"name": "Ada", "password": PASSWORD}).status_code == 303
    client.cookies.clear()
    provider.answers.clear()
    monotonic.now += RETRY_S
    assert sign_in(client, provider).status_code == 200


def test_a_provider_that_cannot_be_reached_is_one_sentence(dashboard: Dashboard) -> None:
    client = dashboard(oidc_issuer="http://127.0.0.1:1")
    with capture_logs() as logs:
        assert refused(client.get("/oidc/login"), AWAY, 503)
    assert "cannot be reached: ConnectError" in logs[-1]["reason"]


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/token", 500, b"{}"),
        ("/token", 200, b"<html>"),
        ("/token", 200, b"{}"),
        ("/token", 429, b"slow down"),
        ("/token", 302, b""),
        ("/token", 200, b"[" + b"1," * (1 << 19) + b"1]"),
    ],
)
def test_a_broken_token_endpoint_counts_for_nothing(
    dashboard: Dashboard, provider: OidcProvider, path: str, status: int, body: bytes
) -> None:
    client = dashboard()
    provider.answers[path] = (status, body)
    for _ in range(2):
        assert refused(sign_in(client, provider), AWAY, 503)
    provider.answers.clear()
    assert sign_in(client, provider).status_code == 200


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "http://127.0.0.1:1/other"},
        {"token_endpoint": "http://id.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": 7},
        {"jwks_uri": "http://127.0.0.1:1/keys"},
    ],
    ids=lambda metadata: next(iter(metadata)),
)
def test_a_discovery_document_that_cannot_be_right_is_refused(
    dashboard: Dashboard, provider: OidcProvider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    assert refused(dashboard().get("/oidc/login"), AWAY, 503)


def test_an_issuer_may_end_with_a_slash(dashboard: Dashboard, provider: OidcProvider) -> None:
    issuer = f"{provider.issuer}/"
    client = dashboard(oidc_issuer=issuer)
    provider.metadata["issuer"] = issuer
    provider.claims["iss"] = issuer
    back = provider.consent(leave(client)).replace("&iss=", "&not_iss=")
    assert come_back(client, back).status_code == 200


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["staff", "ops"]}, "admin"),
        ({"groups": "ops"}, "admin"),
        ({"groups": ["staff"]}, "viewer"),
        ({"email": "eve@example.com.evil.example"}, None),
        ({"email": "ada@other.example", "groups": ["ops"]}, "admin"),
        ({"email_verified": False}, None),
        ({"email_verified": "true"}, None),
        ({"email": None, "groups": {"ops": True}}, None),
    ],
    ids=str,
)
def test_roles_come_from_the_claims(
    dashboard: Dashboard, provider: OidcProvider, door: Door, claims: dict[str, Any], role: Role | None
) -> None:
    provider.claims |= claims
    client = dashboard()
    answer = sign_in(client, provider)
    if role is None:
        assert refused(answer, NO_ROLE, 403)
        with door.store.read() as tx:
            assert door.accounts.list(tx) == []
    else:
        assert client.get("/").text.split()[-1] == role


def test_roles_may_stand_in_another_claim(dashboard: Dashboard, provider: OidcProvider) -> None:
    provider.claims |= {"https://example.com/roles": ["ops"], "groups": []}
    client = dashboard(oidc_groups_claim="https://example.com/roles")
    sign_in(client, provider)
    assert client.get("/").text == "ada@example.com admin"


def test_who_loses_the_role_at_the_provider_is_out_at_the_next_sign_in(
    dashboard: Dashboard, provider: OidcProvider, monotonic: Monotonic
) -> None:
    client, elsewhere = dashboard(), dashboard()
    sign_in(client, provider)
    provider.claims["email_verified"] = False
    assert refused(sign_in(elsewhere, provider), NO_ROLE, 403)
    monotonic.now += RECHECK_S + 0.1
    assert client.get("/").status_code == 401


def test_a_disabled_account_does_not_come_back(
    dashboard: Dashboard, provider: OidcProvider, door: Door, monotonic: Monotonic
) -> None:
    client = dashboard()
    sign_in(client, provider)
    with door.store.write() as tx:
        (account,) = door.accounts.list(tx)
        door.accounts.disable(tx, account.id, by=BY)
    monotonic.now += RECHECK_S + 0.1
    assert client.get("/").status_code == 401
    assert refused(sign_in(client, provider), NO_ROLE, 403)


def test_signing_out_ends_the_session_on_the_server(dashboard: Dashboard, provider: OidcProvider) -> None:
    client = dashboard()
    sign_in(client, provider)
    token = client.cookies[COOKIE]
    assert "You are signed out" in client.post("/logout").text
    client.cookies.set(COOKIE, token)
    assert client.get("/").status_code == 401


def test_an_account_with_a_password_is_not_taken_over(
    dashboard: Dashboard, provider: OidcProvider, door: Door
) -> None:
    with door.store.write() as tx:
        door.accounts.create(tx, name="ada@example.com", role="admin", by=BY)
    client = dashboard()
    sign_in(client, provider)
    name, role = client.get("/").text.rsplit(" ", 1)
    assert (name != "ada@example.com", role) == (True, "viewer")


def test_codes_cannot_be_guessed_for_long(dashboard: Dashboard, provider: OidcProvider) -> None:
    client = dashboard()
    location = leave(client)
    journey = client.cookies[JOURNEY_COOKIE]
    state = parse_qs(urlsplit(location).query)["state"][0]
    codes = []
    for number in range(ADDRESS_LIMIT + 2):
        client.cookies.set(JOURNEY_COOKIE, journey, path="/oidc/")
        answer = client.get("/oidc/callback", params={"state": state, "code": f"guess {number}"})
        codes.append(answer.status_code)
    assert codes == [403] * ADDRESS_LIMIT + [429] * 2
    assert "Too many attempts" in answer.text
    assert len(provider.token_requests) == ADDRESS_LIMIT


def test_the_provider_may_be_the_only_way_in(
    dashboard: Dashboard, provider: OidcProvider, door: Door
) -> None:
    client = dashboard(sign_in="oidc")
    form = client.get("/login").text
    assert "Sign in with Example &amp; Sons" in form
    assert 'name="password"' not in form
    with door.store.write() as tx:
        made = door.accounts.create(tx, name="Ada", role="viewer", by=BY)
    door.sign_in.with_link(made.link.token, PASSWORD, client=Client())
    assert refused(client.post("/login", data={"name": "Ada", "password": PASSWORD}), NO_PASSWORDS, 403)
    assert sign_in(client, provider).status_code == 200


def test_the_way_back_leads_only_to_our_own_pages(dashboard: Dashboard, provider: OidcProvider) -> None:
    answer = sign_in(dashboard(), provider, to="https://evil.example")
    assert 'content="0;url=/"' in answer.text
    assert safe_next("/oidc/login?next=%2F") == "/"


def test_a_journey_ends_and_cannot_be_forged() -> None:
    moment = wall_clock()
    clock = [moment]
    journeys = Journeys(b"k" * 32, now=lambda: clock[0], random_bytes=os.urandom)
    journey = journeys.begin(next_path="/spend")
    cookie = journeys.cookie(journey)
    assert journeys.resume(cookie) == journey
    assert journey.verifier not in cookie + repr(journey)
    assert journeys.begin(next_path="/" + "x" * 2_000).next_path == "/"
    for wrong in (None, "", ".", "x.y", cookie[:-1], cookie + "é", "x" * 5_000 + ".y", f"x{cookie}"):
        assert journeys.resume(wrong) is None
    others = Journeys(b"o" * 32, now=lambda: clock[0], random_bytes=os.urandom)
    assert others.resume(cookie) is None
    clock[0] = moment + LIFETIME + timedelta(seconds=1)
    assert journeys.resume(cookie) is None


def test_the_process_signs_in_with_the_provider(sqlite_url: str, provider: OidcProvider) -> None:
    variables = {
        "TOLLKEEPER_DASHBOARD_SIGN_IN": "oidc",
        "TOLLKEEPER_DASHBOARD_OIDC_ISSUER": provider.issuer,
        "TOLLKEEPER_DASHBOARD_OIDC_CLIENT_ID": CLIENT_ID,
        "TOLLKEEPER_DASHBOARD_OIDC_VIEWERS": "*@example.com",
        "TOLLKEEPER_OIDC_CLIENT_SECRET": CLIENT_SECRET,
    }
    with server(sqlite_url, **variables) as (_, url), httpx.Client(base_url=url, timeout=60) as browser:
        assert browser.get("/", headers={"accept": "text/html"}).headers["location"] == "/login"
        assert "Sign in with your organisation" in browser.get("/login").text
        assert browser.get("/oidc/elsewhere").status_code == 401
        away = browser.get("/oidc/login").headers["location"]
        back = httpx.get(away).headers["location"]
        assert browser.get(back).status_code == 200
        found = browser.get("/", headers={"accept": "text/html"})
        assert (found.status_code, "<title>Streamlit" in found.text) == (200, True)
