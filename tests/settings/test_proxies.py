"""Whose address a request has, behind proxies and without."""

import pytest

from service.settings.proxies import TrustedProxies

TRUSTED = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.1.1.1", "203.0.113.7", "203.0.113.7"),
        ("10.1.1.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("10.1.1.1", "203.0.113.7, 10.2.2.2", "203.0.113.7"),
        ("10.1.1.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("10.1.1.1", "", "10.1.1.1"),
        ("10.1.1.1", " , ", "10.1.1.1"),
        ("10.1.1.1", "unknown", "10.1.1.1"),
        ("10.1.1.1", "unknown, 203.0.113.7", "203.0.113.7"),
        ("10.1.1.1", "203.0.113.7, not-an-address, 10.2.2.2", "10.2.2.2"),
        ("::ffff:10.1.1.1", "203.0.113.7", "203.0.113.7"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),
        ("not-an-address", "203.0.113.7", "not-an-address"),
        (None, "203.0.113.7", None),
    ],
)
def test_who_is_believed(peer: str | None, forwarded: str, expected: str | None) -> None:
    assert TrustedProxies(TRUSTED).client(peer, forwarded=forwarded) == expected


def test_without_proxies_nobody_is() -> None:
    assert TrustedProxies().client("10.1.1.1", forwarded="203.0.113.7") == "10.1.1.1"
