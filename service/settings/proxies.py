"""Whose word on a client's address counts: that of the operator's own proxies. Pure."""

import ipaddress
from collections.abc import Iterable


class TrustedProxies:
    """The networks (CIDR) whose `X-Forwarded-For` is believed."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in networks)

    def client(self, peer: str | None, *, forwarded: str) -> str | None:
        """The peer, or behind trusted proxies the last address of *forwarded* that none of them is."""
        if not self._networks or peer is None or not self._trusts(peer):
            return peer
        for hop in reversed([part.strip() for part in forwarded.split(",") if part.strip()]):
            if _parsed(hop) is None:
                return peer
            peer = hop
            if not self._trusts(hop):
                break
        return peer

    def _trusts(self, address: str) -> bool:
        parsed = _parsed(address)
        if parsed is None:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(mapped.version == network.version and mapped in network for network in self._networks)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
