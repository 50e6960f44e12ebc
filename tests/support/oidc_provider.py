"""An OpenID provider on this machine: discovery, keys, consent that is always given, codes exchanged under PKCE.

It signs with `cryptography` alone, so that what verifies is not what signed. Tests change what it says and does.
"""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CLIENT_ID = "tollkeeper at work"
CLIENT_SECRET = "s3cret:with/odd+signs%-0123456789"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class SigningKey(msgspec.Struct, frozen=True):
    """A private key, its id, and what it signs with."""

    kid: str
    private: PrivateKey

    @property
    def alg(self) -> str:
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    @property
    def public(self) -> dict[str, str]:
        """As in a JWKS document."""
        common = {"kid": self.kid, "use": "sig", "alg": self.alg}
        if isinstance(self.private, rsa.RSAPrivateKey):
            numbers = self.private.public_key().public_numbers()
            return {**common, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        point = self.private.public_key().public_numbers()
        return {**common, "kty": "EC", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)


def rsa_key(kid: str) -> SigningKey:
    return SigningKey(kid, rsa.generate_private_key(public_exponent=65537, key_size=2048))


def ec_key(kid: str) -> SigningKey:
    return SigningKey(kid, ec.generate_private_key(ec.SECP256R1()))


def signed(claims: dict[str, Any], key: SigningKey, **header: Any) -> str:
    """A JWS in compact form."""
    head = text(json.dumps({"alg": key.alg, "kid": key.kid, **header}).encode())
    message = f"{head}.{text(json.dumps(claims).encode())}"
    return f"{message}.{text(key.sign(message.encode()))}"


def unsigned(claims: dict[str, Any], **header: Any) -> str:
    """A token that nobody signed."""
    return f"{text(json.dumps({'alg': 'none', **header}).encode())}.{text(json.dumps(claims).encode())}."


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _number(value: int, length: int | None = None) -> str:
    return text(value.to_bytes(length or (value.bit_length() + 7) // 8))


class OidcProvider:
    """What the provider says of somebody, and how. *make_token* may be replaced."""

    def __init__(self, server: ThreadingHTTPServer, *, now: Callable[[], float]) -> None:
        self.issuer = f"http://127.0.0.1:{server.server_address[1]}"
        self.now = now
        self.key = rsa_key("first")
        self.published = [self.key]
        self.claims: dict[str, Any] = {"sub": "ada-1", "email": "ada@example.com", "email_verified": True}
        self.make_token: Callable[[dict[str, Any]], str] = lambda claims: signed(claims, self.key)
        self.metadata: dict[str, Any] = {}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.token_requests: list[tuple[dict[str, str], str]] = []
        self._lock = threading.Lock()
        self._codes: dict[str, dict[str, str]] = {}

    def consent(self, url: str) -> str:
        """What a browser gets that was sent here: the address to go back to, with a code."""
        query = dict(parse_qsl(urlsplit(url).query))
        assert query["client_id"] == CLIENT_ID
        assert query["response_type"] == "code"
        assert "openid" in query["scope"].split()
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        with self._lock:
            self._codes[code] = query
        back = urlencode({"code": code, "state": query["state"], "iss": self.issuer})
        return f"{query['redirect_uri']}?{back}"

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=7",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            **self.metadata,
        }

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The token endpoint."""
        with self._lock:
            self.token_requests.append((form, authorization))
            asked = self._codes.pop(form.get("code", ""), None)
        if not self._knows_client(form, authorization):
            return 401, {"error": "invalid_client"}
        challenge = text(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            asked is None
            or form.get("grant_type") != "authorization_code"
            or asked["redirect_uri"] != form.get("redirect_uri")
            or asked["code_challenge"] != challenge
        ):
            return 400, {"error": "invalid_grant", "error_description": "no such code"}
        moment = int(self.now())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": moment, "exp": moment + 300}
        token = self.make_token({**claims, "nonce": asked["nonce"], **self.claims})
        return 200, {"access_token": "unused", "token_type": "Bearer", "id_token": token}

    def _knows_client(self, form: dict[str, str], authorization: str) -> bool:
        if not authorization:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return (unquote(user), unquote(password)) == (CLIENT_ID, CLIENT_SECRET)


@contextmanager
def oidc_provider(*, now: Callable[[], float]) -> Iterator[OidcProvider]:
    """A provider on a free port. *now* is the clock of its tokens, in seconds."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/.well-known/openid-configuration":
                self._answer(path, 200, found.discovery())
            elif path == "/keys":
                self._answer(path, 200, {"keys": [key.public for key in found.published]})
            elif path == "/authorize":
                self.send_response(302)
                self.send_header("location", found.consent(self.path))
                self.end_headers()
            else:
                self._answer(path, 404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer("/token", *found.exchange(form, self.headers.get("authorization", "")))

        def _answer(self, path: str, status: int, document: dict[str, Any]) -> None:
            found.asked.append(path)
            status, body = found.answers.get(path, (status, json.dumps(document).encode()))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = OidcProvider(server, now=now)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
