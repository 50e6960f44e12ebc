"""One HTTP POST to a URL that an operator gave, with nothing left to the far end: no redirect, no proxy, no cookie.

The name is resolved once and judged (`addresses`); the connection goes to that address, with the name in the Host
header and in TLS. Plain http is only for addresses inside. Of the answer at most `MOST_BYTES` are read, to say what
went wrong.
"""

import ssl
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx
import msgspec

from service.alerts.channels.addresses import AddressGuard
from service.alerts.channels.outcome import DeliveryFailedError
from service.errors import InvalidInputError
from service.upstream.tls import client_context

TIMEOUT_S = 10.0
TOTAL_S = 20.0
MOST_BYTES = 2_048
GONE = 410
URL_LENGTH = 2_000
_PORTS = {"http": 80, "https": 443}


class Place(msgspec.Struct, frozen=True):
    """A URL taken apart."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Poster:
    """Posts. *tls* and *monotonic* are for tests to replace."""

    def __init__(
        self,
        guard: AddressGuard,
        *,
        monotonic: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._monotonic = monotonic
        self._tls = tls

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> str:
        """Send *body*; returns the status for the log.

        Raises:
            DeliveryFailedError: it was not taken.
        """
        place = parse(url)
        try:
            address = self._guard.pinned(place.host, port=place.port)
        except InvalidInputError as error:
            raise DeliveryFailedError(str(error)) from error
        refuse_plain(place, address=address, guard=self._guard)
        context = self._tls if self._tls is not None else client_context()
        transport = httpx.HTTPTransport(verify=context, trust_env=False, retries=0)
        with httpx.Client(transport=transport, trust_env=False, timeout=TIMEOUT_S) as client:
            request = client.build_request(
                "POST",
                f"{place.scheme}://{f'[{address}]' if ':' in address else address}:{place.port}{place.path}",
                content=body,
                headers={
                    "host": place.authority,
                    "accept-encoding": "identity",
                    "user-agent": "tollkeeper",
                    **headers,
                },
                extensions={"sni_hostname": place.host},
            )
            try:
                answer = client.send(request, stream=True, follow_redirects=False)
                try:
                    text = self._beginning(answer)
                finally:
                    answer.close()
            except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
                raise DeliveryFailedError(f"{type(error).__name__}: {error}") from error
        return _judged(answer, text)

    def _beginning(self, answer: httpx.Response) -> str:
        deadline = self._monotonic() + TOTAL_S
        found = b""
        for piece in answer.iter_raw():
            found += piece
            if len(found) >= MOST_BYTES or self._monotonic() > deadline:
                break
        return found[:MOST_BYTES].decode("utf-8", "replace")


def parse(url: str) -> Place:
    """A URL that can be posted to; refusals name the field and never repeat the URL, which may hold a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInputError(f"url is not a URL: {error}", field="url") from error
    if parts.scheme not in _PORTS:
        raise InvalidInputError(
            f"url begins with {parts.scheme[:20]!r}; a webhook needs https:// (or http:// for an address inside)",
            field="url",
        )
    if not host or port == 0:
        raise InvalidInputError("url has no host", field="url")
    if "@" in parts.netloc:
        raise InvalidInputError("url must not hold a user or password", field="url")
    if len(url) > URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise InvalidInputError("url is too long or holds a character that no URL has", field="url")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme, host, port or _PORTS[parts.scheme], path)


def refuse_plain(place: Place, *, address: str, guard: AddressGuard) -> None:
    """Alerts do not cross the Internet unencrypted."""
    if place.scheme == "http" and not guard.is_internal(address):
        raise DeliveryFailedError("url: a public address is only called over https")


def _judged(answer: httpx.Response, text: str) -> str:
    status = answer.status_code
    if answer.is_success:
        return f"HTTP {status}"
    if answer.has_redirect_location:
        raise DeliveryFailedError(f"HTTP {status}: redirects are not followed; give the final URL")
    wait = answer.headers.get("retry-after", "")
    raise DeliveryFailedError(
        f"HTTP {status}: {' '.join(text.split())[:300]}",
        retry_after_s=float(wait) if wait.isascii() and wait.isdigit() else None,
        final=status == GONE,
    )
