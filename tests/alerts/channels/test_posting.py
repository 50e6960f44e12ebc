"""One POST: to the address that was judged, under the name that was given, and nowhere else."""

import ssl
import time
from pathlib import Path

import pytest

from service.alerts.channels.addresses import AddressGuard
from service.alerts.channels.outcome import DeliveryFailedError
from service.alerts.channels.posting import MOST_BYTES, Poster, parse
from service.errors import InvalidInputError
from tests.support.receivers import Answer, receiver

CERTS = Path(__file__).parents[2] / "upstream" / "certs"
LOOPBACK = ["127.0.0.0/8"]


def poster(**more: object) -> Poster:
    guard = AddressGuard(LOOPBACK, resolve=lambda _host, _port: ["127.0.0.1"])
    return Poster(guard, monotonic=time.monotonic, **more)  # type: ignore[arg-type]


def post(url: str, using: Poster | None = None) -> str:
    return (using or poster()).post(url, body=b'{"a":1}', headers={"content-type": "application/json"})


def test_the_body_arrives_with_the_name_that_was_given() -> None:
    with receiver() as found:
        assert post(f"http://hooks.example:{found.port}/in?x=1") == "HTTP 200"
    (got,) = found.got
    assert (got.path, got.body) == ("/in?x=1", b'{"a":1}')
    assert got.headers["host"] == f"hooks.example:{found.port}"
    assert got.headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "proxy-authorization"} & got.headers.keys()


def test_environment_proxies_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with receiver() as found:
        assert post(f"{found.url}/") == "HTTP 200"


def test_the_certificate_is_checked_for_the_name_not_for_the_address() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTS / "localhost.pem", CERTS / "localhost.key")
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, name, _context: asked.append(name)
    trusting = ssl.create_default_context(cafile=str(CERTS / "authority.pem"))
    with receiver(tls=server) as found:
        assert post(f"https://localhost:{found.port}/x", poster(tls=trusting)) == "HTTP 200"
        with pytest.raises(DeliveryFailedError, match="certificate"):
            post(f"https://elsewhere.example:{found.port}/x", poster(tls=trusting))
        with pytest.raises(DeliveryFailedError, match="certificate"):
            post(f"https://localhost:{found.port}/x")
    assert asked[:2] == ["localhost", "elsewhere.example"]
    assert len(found.got) == 1


def test_redirects_are_not_followed() -> None:
    with receiver() as aim, receiver() as found:
        found.choose = lambda _got: Answer(302, headers={"location": f"{aim.url}/secret"})
        with pytest.raises(DeliveryFailedError, match="HTTP 302: redirects are not followed"):
            post(f"{found.url}/")
    assert (len(found.got), len(aim.got)) == (1, 0)


def test_a_name_that_is_inside_is_not_called() -> None:
    guard = AddressGuard(resolve=lambda _host, _port: ["169.254.169.254"])
    with pytest.raises(DeliveryFailedError, match=r"hooks\.example is 169\.254\.169\.254, a link-local"):
        post("https://hooks.example/", Poster(guard, monotonic=time.monotonic))


def test_public_addresses_are_called_over_https_only() -> None:
    guard = AddressGuard(resolve=lambda _host, _port: ["8.8.8.8"])
    with pytest.raises(DeliveryFailedError, match="only called over https"):
        post("http://hooks.example/", Poster(guard, monotonic=time.monotonic))


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_answer_that_is_no_acceptance_is_a_failure(status: int) -> None:
    with receiver() as found:
        found.choose = lambda _got: Answer(status, b"no\n  thank you", {"retry-after": "17"})
        with pytest.raises(DeliveryFailedError, match=f"HTTP {status}: no thank you") as failed:
            post(f"{found.url}/")
    assert (failed.value.retry_after_s, failed.value.final) == (17.0, False)


def test_who_is_gone_for_good_is_not_asked_again() -> None:
    with receiver() as found:
        found.choose = lambda _got: Answer(410, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})
        with pytest.raises(DeliveryFailedError) as failed:
            post(f"{found.url}/")
    assert (failed.value.retry_after_s, failed.value.final) == (None, True)


def test_a_long_answer_is_not_read_to_its_end() -> None:
    with receiver() as found:
        found.choose = lambda _got: Answer(500, b"x" * 50_000_000)
        with pytest.raises(DeliveryFailedError) as failed:
            post(f"{found.url}/")
    assert len(str(failed.value)) < MOST_BYTES


def test_a_slow_answer_is_cut() -> None:
    clock = iter(range(0, 10_000, 15))
    slow = Poster(AddressGuard(LOOPBACK), monotonic=lambda: float(next(clock)))
    with receiver() as found:
        found.choose = lambda _got: Answer(500, b"y" * 1_000)
        with pytest.raises(DeliveryFailedError, match="HTTP 500"):
            post(f"{found.url}/", slow)
    assert next(clock) <= 60  # it looked at the clock twice: at the start and after a piece


def test_nobody_listens() -> None:
    with receiver() as found:
        port = found.port
    with pytest.raises(DeliveryFailedError, match="ConnectError"):
        post(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://x.example/", "begins with 'ftp'"),
        ("x.example", "begins with ''"),
        ("https:///x", "has no host"),
        ("https://x.example:0/", "has no host"),
        ("https://x.example:99999/", "is not a URL"),
        ("https://user:word@x.example/", "must not hold a user or password"),
        ("https://x.example/a b", "character that no URL has"),
        ("https://x.example/\u00e9", "character that no URL has"),
        ("https://x.example/\\..", "character that no URL has"),
        ("https://x.example/" + "a" * 2000, "too long"),
    ],
)
def test_what_is_no_url_is_refused_without_repeating_it(url: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason) as refused:
        parse(url)
    assert refused.value.field == "url"
    assert "word" not in str(refused.value).replace("password", "")


def test_parts_of_a_url() -> None:
    place = parse("https://[2606:4700::1]:8443/a?b=c#d")
    assert (place.authority, place.path) == ("[2606:4700::1]:8443", "/a?b=c")
    assert parse("https://x.example").authority == "x.example"
    assert parse("http://x.example:80").authority == "x.example"
