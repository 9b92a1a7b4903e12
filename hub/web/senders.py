"""From which address a request comes, as far as limits by address need to know."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

_HEADER = b"x-real-ip"
_SITE = 64
"""The prefix of one site's IPv6 addresses (RFC 6177): a sender who has one of them has all of them."""


class Senders:
    """Believes `X-Real-IP` only from the configured proxies, which must overwrite it; no other header counts."""

    def __init__(self, proxy_addresses: str) -> None:
        """proxy_addresses: addresses and networks, separated by commas; empty for none."""
        self._proxies = [ip_network(text) for text in proxy_addresses.split(",") if text]

    def of(self, scope: Mapping[str, Any]) -> str:
        """The sender's address, or the /64 network of an IPv6 address; "" if the connection has none."""
        peer = _parsed(scope["client"][0]) if scope.get("client") else None
        if peer is not None and any(peer in network for network in self._proxies):
            peer = _forwarded(scope["headers"]) or peer
        if isinstance(peer, IPv6Address):
            return str(ip_network((int(peer) >> (128 - _SITE) << (128 - _SITE), _SITE)))
        return "" if peer is None else str(peer)


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> IPv4Address | IPv6Address | None:
    """The address that a proxy passed on; None unless there is exactly one."""
    values = [value for name, value in headers if name == _HEADER]
    return _parsed(values[0].decode("latin-1")) if len(values) == 1 else None


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
