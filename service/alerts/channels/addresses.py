"""Which addresses a channel may call: public ones, and what the operator has allowed (SSRF).

A name is resolved once, every address it has is judged, and the call goes to the address that was judged: a second
answer of the name server cannot lead it elsewhere. Addresses that carry another one inside (IPv4-mapped, 6to4, NAT64)
are judged by what they carry.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence

from service.errors import InvalidInputError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")


class ForbiddenAddressError(InvalidInputError):
    """A channel leads to an address that it may not call."""


class UnknownHostError(InvalidInputError):
    """A channel's host has no address."""


class AddressGuard:
    """Judges addresses. *allowed* are networks, beside the public ones, that channels may call."""

    def __init__(self, allowed: Sequence[str] = (), *, resolve: Resolve | None = None) -> None:
        self._allowed = [ipaddress.ip_network(network) for network in allowed]
        self._resolve = resolve or system_resolve

    def pinned(self, host: str, *, port: int) -> str:
        """The address to call for *host*.

        Raises:
            ForbiddenAddressError: one of its addresses may not be called.
            UnknownHostError: it has none.
        """
        addresses = self._addresses(host, port)
        for address in addresses:
            if not self.permits(address):
                what = _kind_of(carried(address))
                named = "" if str(address) == host else f"{host} is "
                raise ForbiddenAddressError(
                    f"url: {named}{address}, {what}; to allow it, add its network to alerts.allowed_networks",
                    field="url",
                )
        return str(addresses[0])

    def is_internal(self, address: str) -> bool:
        """Whether an address is one that the operator has allowed beside the public ones."""
        return not carried(ipaddress.ip_address(address)).is_global

    def permits(self, address: Address) -> bool:
        """Whether a channel may call *address*."""
        inner = carried(address)
        if any(inner.version == network.version and inner in network for network in self._allowed):
            return True
        return inner.is_global and not inner.is_multicast and not inner.is_reserved

    def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            return [ipaddress.ip_address(host)]
        except ValueError:
            pass
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise UnknownHostError(f"url: the host {host} has no address: {error}", field="url") from error
        if not found:
            raise UnknownHostError(f"url: the host {host} has no address", field="url")
        return [ipaddress.ip_address(text.partition("%")[0]) for text in found]


def carried(address: Address) -> Address:
    """The address inside an address; itself where there is none."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in _NAT64 or address in _LOCAL_NAT64):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and int(address) >> 32 == 0 and int(address) > 1:  # ::a.b.c.d, deprecated
        inner = ipaddress.IPv4Address(int(address))
    return address if inner is None else inner


def system_resolve(host: str, port: int) -> list[str]:
    """The addresses that the system knows for a name, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _kind_of(address: Address) -> str:
    if address.is_loopback:
        return "an address of this machine"
    if address.is_link_local:
        return "a link-local address (cloud metadata lies there)"
    if address.is_private:
        return "a private address"
    return "not a public address"
