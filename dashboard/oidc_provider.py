"""Calls to the identity provider: its discovery document, its keys, and a code exchanged for an ID token.

The only module of the dashboard that calls out. No redirect is followed, no proxy of the environment used, and at most
`MOST_BYTES` are read within `TOTAL_S`. What the provider says of itself is kept for an hour, a failure for seconds, so
that a provider that is down does not hold every visitor up. Blocking; threads may share it.
"""

import base64
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec
from joserfc.jwk import KeySet

from dashboard.oidc_journey import Journey
from dashboard.oidc_token import Expected, UnknownKeyError, key_set, verified
from service.accounts.sign_in import NotProvedError
from service.errors import TollkeeperError
from service.settings import DashboardSettings, Secret
from service.settings.sign_in import is_protected
from service.upstream.tls import client_context

TIMEOUT_S = 10.0
TOTAL_S = 20.0
MOST_BYTES = 1 << 20
FRESH_S = 3600.0
RETRY_S = 10.0
_CLIENT_ERRORS = range(400, 500)


class ProviderAwayError(TollkeeperError):
    """The identity provider cannot be reached, or does not answer as OpenID Connect says."""


class Metadata(msgspec.Struct, frozen=True):
    """What the discovery document says (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Known(msgspec.Struct, frozen=True):
    """What was fetched, or why it could not be, and when."""

    metadata: Metadata | None
    keys: KeySet
    problem: str
    at: float


class Provider:
    """One identity provider. *monotonic* is a clock in seconds that nobody sets; *tls* is for tests to replace."""

    def __init__(
        self,
        settings: DashboardSettings,
        *,
        secret: Secret | None,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._now = now
        self._monotonic = monotonic
        self._tls = tls
        self._turn = threading.Lock()
        self._known: Known | None = None

    def authorization_url(self, journey: Journey, *, redirect_uri: str) -> str:
        """Where to send a browser.

        Raises:
            ProviderAwayError: the provider does not say.
        """
        endpoint = self._metadata().authorization_endpoint
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._settings.oidc_scopes),
            "state": journey.state,
            "nonce": journey.nonce,
            "code_challenge": journey.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def check_issuer(self, issuer: str | None) -> None:
        """An answer that says who gives it (RFC 9207) must come from this provider."""
        if issuer is not None and issuer != self._metadata().issuer:
            raise NotProvedError("the answer comes from another identity provider (iss)")

    def claims(self, code: str, *, journey: Journey, redirect_uri: str) -> dict[str, Any]:
        """The verified claims of who came back with *code*.

        Raises:
            ProviderAwayError: the provider cannot be asked.
            NotProvedError: it refuses the code, or its token cannot be accepted.
        """
        metadata = self._metadata()
        token = self._exchanged(metadata, code, journey=journey, redirect_uri=redirect_uri)
        expected = Expected(
            issuer=metadata.issuer, client_id=self._settings.oidc_client_id, nonce=journey.nonce
        )
        known = self._fetched()
        try:
            return verified(token, known.keys, expected=expected, now=self._now())
        except UnknownKeyError:
            if self._monotonic() - known.at < RETRY_S:
                raise
        renewed = self._fetched(before=known)
        return verified(token, renewed.keys, expected=expected, now=self._now())

    def _exchanged(self, metadata: Metadata, code: str, *, journey: Journey, redirect_uri: str) -> str:
        """The ID token for a code (OpenID Connect Core 1.0, section 3.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": journey.verifier,
        }
        headers = {}
        methods = metadata.token_endpoint_auth_methods_supported
        if self._secret is not None and ("client_secret_basic" in methods or not methods):
            pair = f"{quote(self._settings.oidc_client_id, safe='')}:{quote(self._secret.reveal(), safe='')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = self._settings.oidc_client_id
            if self._secret is not None:
                form["client_secret"] = self._secret.reveal()
        status, document = self._call("POST", metadata.token_endpoint, form=form, headers=headers)
        if status in _CLIENT_ERRORS:
            error = str(document.get("error") if isinstance(document, dict) else None)[:100]
            if error == "invalid_grant":
                raise NotProvedError("the identity provider refused the code (invalid_grant)")
            raise ProviderAwayError(
                f"the identity provider refused this dashboard: HTTP {status}, {error!r}; "
                "check dashboard.oidc_client_id and TOLLKEEPER_OIDC_CLIENT_SECRET"
            )
        token = document.get("id_token") if isinstance(document, dict) else None
        if not isinstance(token, str):
            raise ProviderAwayError(f"the identity provider's token endpoint gave no ID token: HTTP {status}")
        return token

    def _metadata(self) -> Metadata:
        metadata = self._fetched().metadata
        assert metadata is not None  # otherwise it was an error
        return metadata

    def _fetched(self, *, before: Known | None = None) -> Known:
        """What the provider says of itself, newer than *before*. One thread asks, others wait for its answer."""
        with self._turn:
            known = self._known
            age = FRESH_S if known is None else self._monotonic() - known.at
            stale = age >= (RETRY_S if known is not None and known.metadata is None else FRESH_S)
            if known is None or stale or known is before:
                known = self._known = self._asked()
        if known.metadata is None:
            raise ProviderAwayError(known.problem)
        return known

    def _asked(self) -> Known:
        nothing = KeySet([])
        try:
            metadata = self._discovered()
            _, document = self._call("GET", metadata.jwks_uri)
        except ProviderAwayError as error:
            return Known(None, nothing, str(error), self._monotonic())
        return Known(metadata, key_set(document), "", self._monotonic())

    def _discovered(self) -> Metadata:
        issuer = self._settings.oidc_issuer
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        status, document = self._call("GET", url)
        try:
            found = msgspec.convert(document, Metadata)
        except msgspec.ValidationError as error:
            raise ProviderAwayError(f"{url} is no discovery document: HTTP {status}, {error}") from error
        if found.issuer.rstrip("/") != issuer.rstrip("/"):
            raise ProviderAwayError(f"{url} names another issuer, {found.issuer[:200]!r}; set that one")
        for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            if not is_protected(endpoint):
                raise ProviderAwayError(f"{url} names an address without https: {endpoint[:200]!r}")
        return found

    def _call(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and JSON of one call; anything but success or a client error is an error."""
        deadline = self._monotonic() + TOTAL_S
        context = self._tls if self._tls is not None else client_context()
        common = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "tollkeeper"}
        body = b""
        try:
            with (
                httpx.Client(verify=context, trust_env=False, timeout=TIMEOUT_S) as client,
                client.stream(method, url, data=form, headers={**common, **(headers or {})}) as answer,
            ):
                for piece in answer.iter_raw():
                    body += piece
                    if len(body) > MOST_BYTES or self._monotonic() > deadline:
                        raise ProviderAwayError(f"{url} answers at too great length, or too slowly")
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise ProviderAwayError(f"{url} cannot be reached: {type(error).__name__}: {error}") from error
        status = answer.status_code
        if not answer.is_success and (form is None or status not in _CLIENT_ERRORS):
            raise ProviderAwayError(f"{url} answers HTTP {status}")
        try:
            return status, msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if status in _CLIENT_ERRORS:
                return status, None
            raise ProviderAwayError(f"{url} does not answer in JSON: HTTP {status}") from error
