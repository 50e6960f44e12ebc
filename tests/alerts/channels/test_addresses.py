"""Which addresses a channel may call."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.alerts.channels.addresses import (
    AddressGuard,
    ForbiddenAddressError,
    Resolve,
    UnknownHostError,
    carried,
    system_resolve,
)
from service.errors import InvalidInputError

FORBIDDEN = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104  (judged, not bound)
    "10.0.0.5",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.5",
    "::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::10.0.0.5",
    "64:ff9b:1::a00:5",
    "2002:a00:5::1",
    "2002:7f00:1::",
    "2001:db8::1",
    "100::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_what_is_not_public_is_refused_and_named(address: str) -> None:
    with pytest.raises(
        ForbiddenAddressError, match=r"url: .*add its network to alerts\.allowed_networks"
    ) as refused:
        AddressGuard().pinned(address, port=443)
    assert refused.value.field == "url"


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_may_be_called(address: str) -> None:
    assert ip_address(AddressGuard().pinned(address, port=443)) == ip_address(address)


def test_a_name_is_judged_by_every_address_it_has() -> None:
    guard = AddressGuard(resolve=lambda _host, _port: ["8.8.8.8", "10.0.0.5"])
    with pytest.raises(ForbiddenAddressError, match=r"hooks\.example is 10\.0\.0\.5, a private address"):
        guard.pinned("hooks.example", port=443)


def test_a_name_is_pinned_to_the_first_address_and_asked_once() -> None:
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["8.8.8.8", "8.8.4.4"]

    assert AddressGuard(resolve=resolve).pinned("hooks.example", port=8443) == "8.8.8.8"
    assert asked == [("hooks.example", 8443)]


def test_networks_can_be_allowed() -> None:
    guard = AddressGuard(["10.1.0.0/16", "fd00::/8"])
    assert guard.pinned("10.1.2.3", port=25) == "10.1.2.3"
    assert ip_address(guard.pinned("::ffff:10.1.2.3", port=25)) == ip_address("::ffff:10.1.2.3")
    assert guard.pinned("fd00::7", port=25) == "fd00::7"
    with pytest.raises(ForbiddenAddressError, match=r"10\.2\.0\.1"):
        guard.pinned("10.2.0.1", port=25)
    assert guard.is_internal("10.1.2.3")
    assert not guard.is_internal("8.8.8.8")


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "an address of this machine"),
        ("169.254.169.254", "link-local address .cloud metadata"),
        ("10.0.0.1", "a private address"),
        ("224.0.0.1", "not a public address"),
    ],
)
def test_the_refusal_says_what_it_is(address: str, kind: str) -> None:
    with pytest.raises(ForbiddenAddressError, match=kind):
        AddressGuard().pinned(address, port=443)


def test_a_name_without_an_address() -> None:
    def fails(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    ways: list[Resolve] = [fails, lambda _host, _port: []]
    for resolve in ways:
        with pytest.raises(UnknownHostError, match=r"the host nowhere\.example has no address"):
            AddressGuard(resolve=resolve).pinned("nowhere.example", port=443)


def test_a_zone_of_an_address_does_not_matter() -> None:
    with pytest.raises(ForbiddenAddressError, match="link-local"):
        AddressGuard(resolve=lambda _host, _port: ["fe80::1%eth0"]).pinned("printer", port=443)


def test_the_system_resolves_this_machine() -> None:
    assert "127.0.0.1" in system_resolve("localhost", 80)


@given(st.ip_addresses())
def test_no_notation_of_a_forbidden_address_gets_through(address: object) -> None:
    """An address inside an address is judged like the address itself."""
    guard = AddressGuard()
    inner = carried(address)  # type: ignore[arg-type]
    assert guard.permits(address) == guard.permits(inner)  # type: ignore[arg-type]
    if inner.version == 4:
        mapped = f"::ffff:{inner}"
        if not guard.permits(inner):
            with pytest.raises(InvalidInputError):
                guard.pinned(mapped, port=443)
