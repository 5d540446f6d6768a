"""Where a request comes from, when a proxy may stand in between.

Rules
1. ``X-Forwarded-For`` counts only if the peer is a trusted proxy, and is read from its end: what stands before the last
   address that no trusted proxy wrote was written by anybody.
2. A trusted proxy is nobody's address. Requests that it sends without a forwarded address are not limited: that would
   hit everybody behind it. A log names it all the same: those who ask on the proxy's machine have its address.
3. An IPv6 network of 64 bits is one address: it is what one household or one machine gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice

from starlette.types import Scope

from tidings.errors import ConfigurationError

FORWARDED_ADDRESSES_MAX = 16  # of X-Forwarded-For that are looked at, from its end; as many trusted proxies in a row

_Network = IPv4Network | IPv6Network
IPV6_PREFIX_BITS = 64


class Addresses:
    """Tells addresses apart; ``trusted_proxies`` are addresses or networks such as ``10.0.0.0/8``.

    Raises:
        ConfigurationError: One of them is neither.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = [_network(each) for each in trusted_proxies]

    def of(self, scope: Scope) -> str:
        """The name under which the client of this request is counted; empty: not known, and not to be limited."""
        here, is_proxy = self._nearest(scope)
        return "" if here is None or is_proxy else _name(here)

    def told(self, scope: Scope) -> str:
        """The address that a log names for this request, that of a trusted proxy too; empty: none (a socket file)."""
        here, _is_proxy = self._nearest(scope)
        return "" if here is None else _name(here)

    def name(self, peer: str) -> str:
        """The name of a peer of ours; empty: a trusted proxy, or no address (a socket file)."""
        here = _address(peer)
        return "" if here is None or self._is_trusted(here) else _name(here)

    def _nearest(self, scope: Scope) -> tuple[IPv4Address | IPv6Address | None, bool]:
        """The believed address that is nearest to the client, and whether it is a trusted proxy's."""
        client = scope.get("client")
        here = _address(client[0]) if client else None
        if here is None or not self._is_trusted(here):
            return here, False
        for text in islice(_forwarded(scope["headers"]), FORWARDED_ADDRESSES_MAX):
            before = _address(text)
            if before is None:
                break
            here = before
            if not self._is_trusted(here):
                return here, False
        return here, True

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def _forwarded(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[str]:
    """The last address first. Entries further in front than anybody looks stay one text."""
    for name, value in reversed(headers):
        if name == b"x-forwarded-for":
            yield from reversed(value.decode("latin-1").rsplit(",", FORWARDED_ADDRESSES_MAX))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in ``192.0.2.1``, ``192.0.2.1:5000``, ``2001:db8::1`` or ``[2001:db8::1]:5000``; None: none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _name(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, IPV6_PREFIX_BITS), strict=False))
    return str(address)


def _network(text: str) -> _Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ConfigurationError(
            f"trusted_proxies (TIDINGS_TRUSTED_PROXIES): {text!r} is neither an address nor a network like 10.0.0.0/8"
        ) from None
